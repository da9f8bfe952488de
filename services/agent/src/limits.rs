//! Every limit of the agent, once, with its reason. Those it shares with the coordinator are in `federation::limits`.

/// Longest time one ask for work stays open, in milliseconds: below the idle timeout of common proxies.
pub const ORDER_WAIT_MS: u32 = 30_000;
/// Longest time to set up a connection, in milliseconds.
pub const CONNECT_MS_MAX: u64 = 5_000;
/// Longest time for a TLS handshake, in milliseconds: several round trips of a slow line, and a coordinator to which all
/// nodes come back at once.
pub const HANDSHAKE_MS_MAX: u64 = 10_000;
/// Most bytes of a file of certificates that are read: a system's whole store has a quarter of it.
pub const PEM_BYTES_MAX: u64 = 1 << 20;
/// Longest time for a call that only looks something up, in milliseconds; an ask for work has [`ORDER_WAIT_MS`] more.
pub const CALL_MS_MAX: u64 = 15_000;
/// Longest time for a call that moves a version or an update, in milliseconds: 4 MiB at 40 kB/s.
pub const TRANSFER_MS_MAX: u64 = 120_000;
/// First pause after a failed call, in milliseconds; it doubles with each further one.
pub const BACKOFF_MS_MIN: u64 = 200;
/// Longest pause after a failed call, in milliseconds: how long a coordinator that is back can go unnoticed.
pub const BACKOFF_MS_MAX: u64 = 30_000;
/// Shortest pause when the coordinator says that there is nothing to do, in milliseconds.
pub const IDLE_MS_MIN: u64 = 10;
/// Longest pause that the coordinator can ask for, in milliseconds: a wrong number must not silence a node for days.
pub const IDLE_MS_MAX: u64 = federation::limits::RETRY_MS_MAX as u64;
/// Most nodes that share a directory of states: many more than one machine runs.
pub const STATES_MAX: u32 = 10_000;
/// How far the node's clock may be from the coordinator's before that is told, in milliseconds: well above what the way
/// of an answer takes, well below what spoils certificates and logs.
pub const CLOCK_OFF_MS_MAX: u64 = 60_000;
/// Largest status file that is read, in bytes: many times what all its keys take.
pub const STATUS_BYTES_MAX: u64 = 16 << 10;
/// Times an evaluation is reported before the node goes on without: it is worth less than the round.
pub const REPORT_TRIES_MAX: u32 = 4;
/// Times a payload that arrived damaged is sent again before the update is dropped.
pub const DAMAGED_TRIES_MAX: u32 = 3;
/// Versions kept on disk: the one in use, its successor, and two for a fleet that serves more than one model.
pub const CACHE_VERSIONS_MAX: usize = 4;
/// Models whose residual is kept; of more, the one used longest ago starts again from zero.
pub const RESIDUALS_MAX: usize = 8;
/// Counted rounds whose outcome is still awaited; of more, the oldest counts as published.
pub const AWAITING_MAX: usize = 8;
/// Largest journal that is read, in bytes: residuals, changes, an update and its residual, of the largest model.
pub const JOURNAL_BYTES_MAX: u64 = (4 * (RESIDUALS_MAX as u64 + AWAITING_MAX as u64 + 1) + 1)
    * federation::limits::WEIGHTS_MAX as u64
    + 65_536;
/// Most events a recording may hold in this node's share: 128 MiB.
pub const RECORDING_EVENTS_MAX: usize = 16 << 20;
