//! Who may come in, and how often: tokens of people and tools, credentials of nodes, and those who guess.
//!
//! What is stored of a secret is its digest, and that stands in memory too: of tokens here, of nodes in `presence`. So a
//! request costs no SQL. A secret is found by the id in its text; the comparison takes the same time for all.
//!
//! Without tokens nobody can be told from another: then there are no limits by caller either, and only loopback is
//! served.

mod first;
mod node;
mod session;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use clap::ValueEnum;
use federation::limits::{GUESS_RATE, GUESSERS_MAX, TOKEN_OPEN_MAX, TOKEN_RATE};
use federation::rate::Used;
use federation::secret::{Kind, Secret, same};
use federation::{Clock, Digest, Entropy, Timestamp};

use crate::store::{ApiToken, Store, StoreError};

pub(crate) use self::first::{FirstToken, first_token};
pub use self::first::{NewAdminToken, create_token};
pub(crate) use self::node::{Credential, Denied, Visit};
pub(crate) use self::session::SESSION_S;
pub use federation::TokenName;

/// How old the written time of a token's last use may get before it is written again.
const USED_STALE_MS: u64 = 30_000;

/// Whether callers must show a token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Auth {
    /// No: whoever reaches the coordinator may do everything.
    #[default]
    None,
    /// Yes: people and tools an API token, nodes their credential.
    Tokens,
}

/// What a token is good for. Each includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Scope {
    /// To look at everything but secrets.
    Read,
    /// To make models and runs and to direct them.
    Operate,
    /// To say who may come in, and to copy the database.
    Admin,
}

/// The tokens in memory, and who guesses.
#[derive(Debug)]
pub(crate) struct Access {
    nodes: Auth,
    people: Auth,
    entropy: Arc<dyn Entropy>,
    tokens: Mutex<BTreeMap<u64, Held>>,
    /// Held while the tokens are read again: an older reading must not replace a newer one.
    reading: tokio::sync::Mutex<()>,
    guesses: Mutex<BTreeMap<IpAddr, Used>>,
    wrong: AtomicU64,
    sessions: session::Sessions,
}

/// A token that is not revoked.
#[derive(Debug)]
struct Held {
    scope: Scope,
    expires_ms: Option<u64>,
    seat: Arc<Seat>,
    rate: Used,
    used_ms: Option<u64>,
    written_ms: Option<u64>,
}

/// What a token's requests hold while they are open: they are counted by it.
#[derive(Debug)]
pub(crate) struct Seat {
    hash: Digest,
    revoked: AtomicBool,
}

/// A request that may come in.
#[derive(Clone, Debug)]
pub(crate) struct Pass {
    /// The token's number.
    pub(crate) id: u64,
    /// What it is good for.
    pub(crate) scope: Scope,
    /// To be kept until the request is answered to its end.
    pub(crate) seat: Arc<Seat>,
}

/// Why a request may not come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stranger {
    /// No text of a token's form, and so no guess either.
    Formless,
    /// No token that holds.
    Unknown,
    /// The token's time is over.
    Expired,
    /// Too many requests of this token, or too many at once; worth another try after so many milliseconds.
    TooOften(u64),
}

impl Scope {
    /// The scope as it stands in the database, in REST and in help texts.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Operate => "operate",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Scope {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = [Self::Read, Self::Operate, Self::Admin];
        let found = all.into_iter().find(|scope| scope.as_str() == text);
        found.ok_or_else(|| format!("`{text}` is not read, operate or admin"))
    }
}

impl Seat {
    /// Whether the token was revoked while its request was open.
    pub(crate) fn is_revoked(&self) -> bool {
        self.revoked.load(Ordering::Relaxed)
    }
}

impl Access {
    /// As yet without tokens.
    pub(crate) fn new(nodes: Auth, people: Auth, entropy: Arc<dyn Entropy>) -> Self {
        let sessions = session::Sessions::new(&*entropy);
        Self {
            nodes,
            people,
            entropy,
            sessions,
            tokens: Mutex::default(),
            reading: tokio::sync::Mutex::default(),
            guesses: Mutex::default(),
            wrong: AtomicU64::new(0),
        }
    }

    /// Whether nodes must show who they are.
    pub(crate) fn asks_nodes(&self) -> bool {
        self.nodes == Auth::Tokens
    }

    /// Whether people and tools must.
    pub(crate) fn asks_people(&self) -> bool {
        self.people == Auth::Tokens
    }

    /// A new secret.
    pub(crate) fn new_secret(&self) -> Secret {
        Secret::new(&*self.entropy)
    }

    /// Takes over which tokens there are: at the start, and after one was made or revoked.
    pub(crate) async fn read_tokens(&self, store: &Store) -> Result<(), StoreError> {
        let _turn = self.reading.lock().await;
        let found = store.valid_tokens().await?;
        let mut tokens = self.lock();
        let mut before = std::mem::take(&mut *tokens);
        for token in found {
            let ApiToken { id, scope, hash, expires_ms, used_ms, .. } = token;
            let held = before.remove(&id).unwrap_or_else(|| Held {
                scope,
                expires_ms,
                seat: Arc::new(Seat { hash, revoked: AtomicBool::new(false) }),
                rate: Used::default(),
                used_ms,
                written_ms: used_ms,
            });
            tokens.insert(id, held);
        }
        for gone in before.into_values() {
            gone.seat.revoked.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Lets in whoever shows a token that holds.
    pub(crate) fn let_in(&self, text: &str, clock: &dyn Clock) -> Result<Pass, Stranger> {
        let (id, secret) = Secret::read::<u64>(Kind::Token, text).ok_or(Stranger::Formless)?;
        self.take(id, &secret.digest(), clock)
    }

    /// Lets in whoever showed this token.
    fn take(&self, id: u64, hash: &Digest, clock: &dyn Clock) -> Result<Pass, Stranger> {
        let now = clock.wall();
        let mut tokens = self.lock();
        let held = tokens.get_mut(&id).filter(|held| same(&held.seat.hash, hash));
        let held = held.ok_or(Stranger::Unknown)?;
        if held.expires_ms.is_some_and(|expires_ms| expires_ms <= now.0) {
            return Err(Stranger::Expired);
        }
        held.used_ms = held.used_ms.max(Some(now.0));
        let open = Arc::strong_count(&held.seat) - 1;
        if open >= TOKEN_OPEN_MAX {
            return Err(Stranger::TooOften(1_000));
        }
        TOKEN_RATE.take(&mut held.rate, clock.monotonic_ms()).map_err(Stranger::TooOften)?;
        Ok(Pass { id, scope: held.scope, seat: Arc::clone(&held.seat) })
    }

    /// Somebody at `peer` showed a secret that does not hold. Tells them when to try again if they do so too often.
    pub(crate) fn guessed(&self, peer: Option<IpAddr>, clock: &dyn Clock) -> Result<(), u64> {
        self.wrong.fetch_add(1, Ordering::Relaxed);
        let now_ms = clock.monotonic_ms();
        let mut guesses = self.guesses.lock().expect("no code panics while it holds the guesses");
        let peer = peer.map_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED), network);
        if !guesses.contains_key(&peer) && guesses.len() >= GUESSERS_MAX {
            guesses.retain(|_, used| !used.is_nothing(now_ms));
            if guesses.len() >= GUESSERS_MAX
                && let Some(least) = guesses.iter().min_by_key(|(_, used)| **used).map(|one| *one.0)
            {
                guesses.remove(&least);
            }
        }
        let used = guesses.entry(peer).or_default();
        let quiet = used.is_nothing(now_ms);
        if quiet {
            tracing::warn!(%peer, "somebody shows a secret that does not hold");
        }
        GUESS_RATE.take(used, now_ms)
    }

    /// Secrets that were shown since the start and do not hold.
    pub(crate) fn wrong(&self) -> u64 {
        self.wrong.load(Ordering::Relaxed)
    }

    /// When a token was last used, if since the start.
    pub(crate) fn used(&self, id: u64) -> Option<Timestamp> {
        self.lock().get(&id).and_then(|held| held.used_ms).map(Timestamp)
    }

    /// Tokens whose written time of use is stale, with the times to write; these count as written from now on.
    pub(crate) fn take_used(&self) -> Vec<(u64, Timestamp)> {
        let mut tokens = self.lock();
        let stale = tokens.iter_mut().filter_map(|(&id, held)| {
            let used_ms = held.used_ms?;
            let written = held.written_ms.is_some_and(|at| used_ms < at + USED_STALE_MS);
            (!written).then(|| {
                held.written_ms = Some(used_ms);
                (id, Timestamp(used_ms))
            })
        });
        stale.collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Held>> {
        self.tokens.lock().expect("no code panics while it holds the tokens")
    }
}

/// Whom an address belongs to, as far as addresses tell: of IPv6 everybody has a network of 64 bits.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        v4 @ IpAddr::V4(_) => v4,
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
    }
}
