//! Times and spans as people read and type them.

use std::str::FromStr;

use coordinator::SystemClock;
use federation::Clock as _;
use thiserror::Error;

/// A span of time as people type it: `500ms`, `30s`, `10m`, `2h`, `7d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// In milliseconds.
    pub(crate) ms: u64,
}

/// Text that is no span.
#[derive(Debug, PartialEq, Eq, Error)]
#[error("expected a number with ms, s, m, h or d, such as 30s or 7d")]
pub(crate) struct SpanError;

/// Units from the largest, with how many milliseconds they have.
const UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, SpanError> {
        let end = text.find(|c: char| !c.is_ascii_digit()).ok_or(SpanError)?;
        let (number, unit) = text.split_at(end);
        let number: u64 = number.parse().map_err(|_| SpanError)?;
        let (_, unit_ms) = UNITS.iter().find(|(name, _)| *name == unit).ok_or(SpanError)?;
        Ok(Self { ms: number.checked_mul(*unit_ms).ok_or(SpanError)? })
    }
}

/// Milliseconds since 1970, now.
pub(crate) fn now_ms() -> u64 {
    SystemClock::new().wall().0
}

/// A span for people: its two largest units.
pub(crate) fn span(ms: u64) -> String {
    let Some(first) = UNITS[..4].iter().position(|(_, unit)| ms >= *unit) else {
        return format!("{ms} ms");
    };
    let (name, unit) = UNITS[first];
    let whole = format!("{} {name}", ms / unit);
    match UNITS[..4].get(first + 1) {
        Some((smaller, size)) if ms % unit >= *size => {
            format!("{whole} {} {smaller}", ms % unit / size)
        }
        _ => whole,
    }
}

/// How long ago, or how soon: its largest unit.
pub(crate) fn age(ms: u64, now_ms: u64) -> String {
    let one = |ms: u64| {
        let unit = UNITS[..4].iter().find(|(_, unit)| ms >= *unit);
        unit.map(|(name, unit)| format!("{} {name}", ms / unit))
    };
    match (one(now_ms.saturating_sub(ms)), one(ms.saturating_sub(now_ms))) {
        (Some(past), _) => format!("{past} ago"),
        (None, Some(future)) => format!("in {future}"),
        (None, None) => "now".to_owned(),
    }
}

/// A time in UTC, and how long ago it was.
pub(crate) fn time(ms: u64, now_ms: u64) -> String {
    format!("{} ({})", utc(ms), age(ms, now_ms))
}

/// A time in UTC, to the second.
pub(crate) fn utc(ms: u64) -> String {
    coordinator::audit::utc(ms).replace('T', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_numbers_with_a_unit() {
        for (text, ms) in
            [("500ms", 500), ("0s", 0), ("30s", 30_000), ("10m", 600_000), ("7d", 604_800_000)]
        {
            assert_eq!(text.parse(), Ok(Span { ms }), "{text}");
        }
        for bad in [
            "",
            "10",
            "m",
            "1.5h",
            "-1s",
            "1 s",
            "1w",
            "99999999999999999999s",
            "9999999999999999999d",
        ] {
            assert_eq!(bad.parse::<Span>(), Err(SpanError), "{bad}");
        }
    }

    #[test]
    fn spans_and_ages_are_told_in_large_units() {
        for (ms, told) in [
            (0, "0 ms"),
            (999, "999 ms"),
            (1_000, "1 s"),
            (59_999, "59 s"),
            (61_000, "1 m 1 s"),
            (3_600_000, "1 h"),
            (5_430_000, "1 h 30 m"),
            (90_000_000, "1 d 1 h"),
        ] {
            assert_eq!(span(ms), told);
        }
        assert_eq!(age(1_000, 1_999), "now");
        assert_eq!(age(1_000, 62_000), "1 m ago");
        assert_eq!(age(7_201_000, 1_000), "in 2 h");
    }

    #[test]
    fn dates_are_what_the_calendar_says() {
        // From `date -u -d @S`.
        for (ms, text) in [
            (0, "1970-01-01 00:00:00Z"),
            (951_782_400_000, "2000-02-29 00:00:00Z"),
            (951_868_799_999, "2000-02-29 23:59:59Z"),
            (1_709_172_000_000, "2024-02-29 02:00:00Z"),
            (1_795_644_000_123, "2026-11-25 22:00:00Z"),
            (4_107_542_400_000, "2100-03-01 00:00:00Z"),
        ] {
            assert_eq!(utc(ms), text);
            let parsed = coordinator::audit::parse_time(text);
            assert_eq!(parsed.map(|at| at.0), Ok(ms / 1_000 * 1_000));
        }
    }
}
