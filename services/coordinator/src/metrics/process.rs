//! What the operating system says of this process, under the names that Prometheus' own libraries use.

use std::fs;

use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};
use rustix::time::{ClockId, clock_gettime};

/// Adds what can be read; on a system without `/proc`, less.
pub(super) fn register(registry: &mut Registry) {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    let nanos = f64::from(u32::try_from(used.tv_nsec).unwrap_or_default());
    let whole = u32::try_from(used.tv_sec).unwrap_or(u32::MAX);
    registry.register_with_unit(
        "process_cpu",
        "Processor time that this process used",
        Unit::Seconds,
        prometheus_client::metrics::counter::ConstCounter::new(f64::from(whole) + nanos / 1e9),
    );
    if let Some(bytes) = resident_bytes() {
        let help = "Memory of this process that is in RAM";
        registry.register_with_unit(
            "process_resident_memory",
            help,
            Unit::Bytes,
            ConstGauge::new(bytes),
        );
    }
    if let Ok(files) = fs::read_dir("/proc/self/fd") {
        let open = i64::try_from(files.count()).unwrap_or(i64::MAX);
        registry.register("process_open_fds", "Open files of this process", ConstGauge::new(open));
    }
    let most = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    if let Some(most) = most.and_then(|most| i64::try_from(most).ok()) {
        let help = "Most files that this process may have open";
        registry.register("process_max_fds", help, ConstGauge::new(most));
    }
}

fn resident_bytes() -> Option<i64> {
    let text = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: i64 = text.split(' ').nth(1)?.parse().ok()?;
    Some(pages * i64::try_from(rustix::param::page_size()).ok()?)
}
