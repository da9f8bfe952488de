//! How values read: times, sizes, shares, digests, states. A state has a sign and a word, never a colour alone.

use maud::{Markup, html};

use crate::audit::utc;

/// A number with thin spaces between its thousands.
pub(super) fn count(number: impl Into<u64>) -> String {
    let digits = number.into().to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3 * 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// How many nodes.
pub(super) fn nodes(number: u64) -> String {
    format!("{} node{}", count(number), if number == 1 { "" } else { "s" })
}

/// A share in percent with one digit; a dash of nothing.
pub(super) fn percent(part: u64, whole: u64) -> String {
    match part.saturating_mul(1_000).checked_div(whole) {
        None => "–".to_owned(),
        Some(permille) => format!("{}.{}\u{202f}%", permille / 10, permille % 10),
    }
}

/// A size.
pub(super) fn bytes(bytes: u64) -> String {
    scaled(bytes, "B", &["kB", "MB", "GB", "TB"])
}

/// Synaptic operations.
pub(super) fn operations(operations: u64) -> String {
    scaled(operations, "", &["k", "M", "G", "T"])
}

/// An energy in picojoules, of which one synaptic operation takes `per`.
pub(super) fn energy(operations: u64, per_tenths: u64) -> String {
    let picojoules = operations.saturating_mul(per_tenths) / 10;
    scaled(picojoules, "pJ", &["nJ", "µJ", "mJ", "J", "kJ"])
}

fn scaled(number: u64, unit: &str, larger: &[&str]) -> String {
    let mut divisor = 1_u64;
    let mut name = unit;
    for next in larger {
        if number / divisor < 1_000 {
            break;
        }
        divisor = divisor.saturating_mul(1_000);
        name = next;
    }
    let text = if divisor == 1 {
        number.to_string()
    } else {
        let tenths = number / (divisor / 10);
        format!("{}.{}", tenths / 10, tenths % 10)
    };
    if name.is_empty() { text } else { format!("{text}\u{202f}{name}") }
}

/// A duration.
pub(super) fn duration(ms: u64) -> String {
    let s = ms / 1_000;
    match s {
        0 => format!("{ms}\u{202f}ms"),
        1..60 => format!("{s}\u{202f}s"),
        60..3_600 => format!("{}\u{202f}min {:02}\u{202f}s", s / 60, s % 60),
        3_600..86_400 => format!("{}\u{202f}h {:02}\u{202f}min", s / 3_600, s / 60 % 60),
        _ => format!("{}\u{202f}d {:02}\u{202f}h", s / 86_400, s / 3_600 % 24),
    }
}

/// When something was: how long ago for people, when exactly for those who point at it. The script keeps it up.
pub(super) fn ago(at_ms: u64, now_ms: u64) -> Markup {
    let exact = utc(at_ms);
    html! { time datetime=(exact) title=(exact) data-ago=(at_ms) { (since(at_ms, now_ms)) } }
}

/// When something was, exactly.
pub(super) fn at(at_ms: u64) -> Markup {
    let exact = utc(at_ms);
    let short = exact.get(..19).unwrap_or(&exact).replace('T', " ");
    html! { time.nowrap datetime=(exact) title=(exact) { (short) } }
}

fn since(at_ms: u64, now_ms: u64) -> String {
    let s = now_ms.saturating_sub(at_ms) / 1_000;
    match s {
        0..5 => "just now".to_owned(),
        5..60 => format!("{s}\u{202f}s ago"),
        60..3_600 => format!("{}\u{202f}min ago", s / 60),
        3_600..86_400 => format!("{}\u{202f}h ago", s / 3_600),
        _ => format!("{}\u{202f}d ago", s / 86_400),
    }
}

/// The begin of a digest; all of it for those who point at it or copy it.
pub(super) fn digest(text: &str) -> Markup {
    html! { code.digest title=(text) { (text.get(..12).unwrap_or(text)) } }
}

/// How good news a state is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    Good,
    Busy,
    Calm,
    Warn,
    Bad,
}

/// A state: sign, word, and a colour that says no more.
pub(super) fn state(text: &str) -> Markup {
    let mood = match text {
        "completed" | "published" | "done" | "present" | "ready" | "holds" => Mood::Good,
        "running" | "open" | "rolling" | "closing" => Mood::Busy,
        "paused" | "waiting" | "abandoned" | "quiet" => Mood::Warn,
        "failed" | "tripped" | "revoked" | "storage_full" | "store_failing" => Mood::Bad,
        _ => Mood::Calm,
    };
    badge(mood, &text.replace('_', " "))
}

/// A word with a sign.
pub(super) fn badge(mood: Mood, text: &str) -> Markup {
    let (class, sign) = match mood {
        Mood::Good => ("good", "●"),
        Mood::Busy => ("busy", "◐"),
        Mood::Calm => ("calm", "○"),
        Mood::Warn => ("warn", "▲"),
        Mood::Bad => ("bad", "✕"),
    };
    html! { span.badge.(class) { span.sign aria-hidden="true" { (sign) } " " (text) } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_that_are_read_back() {
        let times = [
            0,
            951_782_400_000,
            951_868_800_000,
            1_795_651_199_000,
            4_102_444_800_000,
            253_402_300_799_000,
        ];
        for at_ms in times {
            assert_eq!(crate::audit::parse_time(&utc(at_ms)).unwrap().0, at_ms, "{}", utc(at_ms));
        }
        assert_eq!(utc(951_782_400_999), "2000-02-29T00:00:00Z");
    }

    #[test]
    fn values_read_as_people_write_them() {
        assert_eq!(
            (count(999_u32), count(1_234_567_u64)),
            ("999".to_owned(), "1\u{202f}234\u{202f}567".to_owned())
        );
        assert_eq!(percent(2, 3), "66.6\u{202f}%");
        assert_eq!((percent(0, 0), percent(7, 7)), ("–".to_owned(), "100.0\u{202f}%".to_owned()));
        assert_eq!(
            (bytes(999), bytes(14_200), bytes(u64::MAX)),
            (
                "999\u{202f}B".to_owned(),
                "14.2\u{202f}kB".to_owned(),
                "18446744.0\u{202f}TB".to_owned()
            )
        );
        assert_eq!(energy(1_000_000, 53), "5.3\u{202f}µJ");
        assert_eq!(
            (duration(250), duration(61_000), duration(90_000_000)),
            (
                "250\u{202f}ms".to_owned(),
                "1\u{202f}min 01\u{202f}s".to_owned(),
                "1\u{202f}d 01\u{202f}h".to_owned()
            )
        );
        assert_eq!(
            (since(10_000, 11_000), since(0, 7_200_000), since(9, 3)),
            ("just now".to_owned(), "2\u{202f}h ago".to_owned(), "just now".to_owned())
        );
    }
}
