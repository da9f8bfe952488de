//! Numbers and text as people read them.

/// Escapes text for HTML and XML, in elements and in attributes. What XML forbids becomes a replacement character.
#[must_use]
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(char),
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            char if char.is_control() => out.push('\u{fffd}'),
            char => out.push(char),
        }
    }
    out
}

/// A count with its thousands apart, by narrow spaces that do not break.
#[must_use]
pub(super) fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

/// A share, 0 to 1, in percent with one digit, on one line.
#[must_use]
pub(super) fn percent(share: f64) -> String {
    format!("{:.1}\u{a0}%", share * 100.0)
}

/// A quantity with the prefix that leaves one to three digits before the point, three digits in all.
fn scaled(value: f64, units: &[(f64, &str)]) -> String {
    let (scale, unit) =
        units.iter().rev().find(|(scale, _)| value.abs() >= *scale).unwrap_or(&units[0]);
    let value = value / scale;
    let digits = match value.abs() {
        size if size >= 100.0 || size == 0.0 => 0,
        size if size >= 10.0 => 1,
        _ => 2,
    };
    format!("{value:.digits$} {unit}")
}

/// A quantity on an axis: without a fraction of zeros.
#[must_use]
pub(super) fn tick(quantity: &str) -> String {
    let Some((number, unit)) = quantity.split_once(' ') else { return quantity.to_owned() };
    let number = match number.split_once('.') {
        Some((whole, fraction)) => {
            let fraction = fraction.trim_end_matches('0');
            if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") }
        }
        None => number.to_owned(),
    };
    if number == "0" { number } else { format!("{number} {unit}") }
}

/// A byte count, in decimal units.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
pub(super) fn bytes(count: u64) -> String {
    if count < 1000 {
        return format!("{count} B");
    }
    scaled(count as f64, &[(1e3, "kB"), (1e6, "MB"), (1e9, "GB"), (1e12, "TB")])
}

/// An energy in nanojoules.
#[must_use]
pub(super) fn energy(nanojoules: f64) -> String {
    scaled(nanojoules, &[(1.0, "nJ"), (1e3, "µJ"), (1e6, "mJ"), (1e9, "J"), (1e12, "kJ")])
}

/// A time in seconds.
#[must_use]
pub(super) fn seconds(seconds: f64) -> String {
    if seconds >= 7200.0 {
        return scaled(seconds / 3600.0, &[(1.0, "h"), (48.0, "h")]);
    }
    if seconds >= 600.0 {
        return format!("{:.0} min", seconds / 60.0);
    }
    scaled(seconds, &[(1e-6, "µs"), (1e-3, "ms"), (1.0, "s")])
}

/// A large number, with a prefix.
#[must_use]
pub(super) fn large(value: f64) -> String {
    if value < 1000.0 {
        return scaled(value, &[(1.0, "")]).trim_end().to_owned();
    }
    scaled(value, &[(1e3, "k"), (1e6, "M"), (1e9, "G"), (1e12, "T")])
}

/// The beginning of a digest.
#[must_use]
pub(super) fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_in_text_is_text() {
        assert_eq!(
            escape("<script>alert(\"1\" & '2')</script>"),
            "&lt;script&gt;alert(&quot;1&quot; &amp; &#39;2&#39;)&lt;/script&gt;"
        );
        assert_eq!(escape("a\u{0}b\u{1b}c\nd"), "a\u{fffd}b\u{fffd}c\nd");
    }

    #[test]
    fn numbers_are_for_people() {
        let spaced = |text: &str| text.replace('_', "\u{202f}");
        assert_eq!([0, 999, 1000, 1_234_567].map(count), {
            ["0", "999", "1_000", "1_234_567"].map(spaced)
        });
        assert_eq!([0, 999, 1_500, 25_000_000].map(bytes), ["0 B", "999 B", "1.50 kB", "25.0 MB"]);
        assert_eq!([0.0, 12.34, 12_340.0].map(energy), ["0 nJ", "12.3 nJ", "12.3 µJ"]);
        assert_eq!([0.000_33, 0.5, 31.4, 900.0, 90_000.0].map(seconds), {
            ["330 µs", "500 ms", "31.4 s", "15 min", "25.0 h"].map(str::to_owned)
        });
        assert_eq!([12.0, 999.0, 72_000.0].map(large), ["12.0", "999", "72.0 k"]);
        assert_eq!(
            ["1.00 s", "2.50 kB", "20.0 µJ", "0 nJ"].map(tick),
            ["1 s", "2.5 kB", "20 µJ", "0"]
        );
        assert_eq!(percent(0.98765), "98.8\u{a0}%");
        assert_eq!((short("0123456789abcdef"), short("ab")), ("0123456789ab", "ab"));
    }
}
