//! What the process takes of the device's memory, as the system counts it.

use std::fs;

/// The most that was resident at once, in KiB; `None` where the system does not say (it is Linux that does).
#[must_use]
pub(crate) fn peak_kib() -> Option<u64> {
    peak(&fs::read_to_string("/proc/self/status").ok()?)
}

/// The line `VmHWM:     5120 kB`.
fn peak(status: &str) -> Option<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    value.trim().strip_suffix(" kB")?.trim_end().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_read() {
        let status =
            "Name:\tmuster-agent\nVmPeak:\t  90000 kB\nVmHWM:\t    5120 kB\nVmRSS:\t    4096 kB\n";
        assert_eq!(peak(status), Some(5_120));
        assert_eq!((peak(""), peak("VmHWM:\t5120 MB")), (None, None));
    }
}
