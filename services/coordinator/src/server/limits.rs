//! How long and how much the doors put up with, before anybody has said who they are.

use std::time::Duration;

/// What a connection may take before it is served, and while it is. The defaults are what `muster serve` runs with; only
/// tests have others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DoorLimits {
    /// Longest that a TLS handshake may take: many round trips on the worst line.
    pub handshake: Duration,
    /// Most TLS handshakes under way at a door: what two cores do in a fraction of a second.
    pub handshakes_max: usize,
    /// When so many are under way, one older than this makes room for the next: silence holds nobody up for longer.
    pub handshake_yields: Duration,
    /// Longest that the head of a REST request may take to come, and that an idle connection is kept.
    pub head: Duration,
    /// Longest that the opening of an HTTP/2 connection may take: its preface and its first settings.
    pub opening: Duration,
    /// Longest that a REST client may take nothing of its answer.
    pub stall: Duration,
    /// Most connections of people and tools; `None` for as many as open files allow.
    pub people_max: Option<usize>,
}

impl Default for DoorLimits {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            handshakes_max: 512,
            handshake_yields: Duration::from_secs(2),
            head: Duration::from_secs(10),
            opening: Duration::from_secs(10),
            stall: Duration::from_secs(30),
            people_max: None,
        }
    }
}
