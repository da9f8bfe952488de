//! Time and randomness as arguments.

/// Wall time in milliseconds since the Unix epoch. Shown to people; never decides anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(pub u64);

/// Where time comes from. One implementation reads the machine's clocks; tests and simulations bring their own.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Wall time, for display and logs.
    fn wall(&self) -> Timestamp;
    /// Milliseconds on a clock that never jumps or runs backwards; its origin means nothing.
    fn monotonic_ms(&self) -> u64;
}

/// Where secrets (keys, tokens, nonces) come from: the operating system, or a seeded source in tests only.
pub trait Entropy: Send + Sync + std::fmt::Debug {
    /// Fills `bytes` with unpredictable bytes.
    fn fill(&self, bytes: &mut [u8]);
}
