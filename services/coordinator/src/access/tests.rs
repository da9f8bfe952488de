//! Tokens, guesses and rates, without sockets.
