//! What cannot be seen from outside, or quicker here.
