//! CPU time, and what is made of several measurements of it.

use rustix::time::{ClockId, clock_gettime};

/// CPU time of this process so far, in nanoseconds.
pub(crate) fn cpu_ns() -> f64 {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    now.tv_sec as f64 * 1e9 + now.tv_nsec as f64
}

/// The least time that `work` takes out of `times`, in nanoseconds.
pub(crate) fn best_ns(times: usize, mut work: impl FnMut()) -> f64 {
    (0..times).fold(f64::INFINITY, |best, _| {
        let start = cpu_ns();
        work();
        best.min(cpu_ns() - start)
    })
}

/// The middle one of `values`, the upper one of two.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}
