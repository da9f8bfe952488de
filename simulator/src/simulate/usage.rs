//! What this process uses, as the system counts it; nothing where it does not tell.

use std::fs;

use super::learn::THREAD;

/// Memory and CPU time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Usage {
    /// Memory in use, in bytes.
    pub(crate) rss_bytes: u64,
    /// The most there ever was.
    pub(crate) rss_max_bytes: u64,
    /// CPU seconds of the threads that learn.
    pub(crate) learning_s: f64,
    /// CPU seconds of all others.
    pub(crate) others_s: f64,
}

impl Usage {
    /// Now.
    pub(crate) fn now() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let kib = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let number = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
            number.unwrap_or(0) * 1024
        };
        let mut usage =
            Self { rss_bytes: kib("VmRSS:"), rss_max_bytes: kib("VmHWM:"), ..Self::default() };
        let Ok(threads) = fs::read_dir("/proc/self/task") else { return usage };
        for thread in threads.flatten() {
            // A thread that has ended meanwhile has no files any more.
            let read =
                |file: &str| fs::read_to_string(thread.path().join(file)).unwrap_or_default();
            let ns: Option<u64> =
                read("schedstat").split_whitespace().next().and_then(|text| text.parse().ok());
            let seconds = std::time::Duration::from_nanos(ns.unwrap_or(0)).as_secs_f64();
            if read("comm").starts_with(THREAD) {
                usage.learning_s += seconds;
            } else {
                usage.others_s += seconds;
            }
        }
        usage
    }
}
