//! A point in time as people type it and read it.

use federation::Timestamp;
use thiserror::Error;

/// Text that is no point in time.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("neither milliseconds since 1970 nor a time such as 2026-11-25T22:00:00Z")]
pub struct TimeError;

/// Milliseconds since 1970, or an RFC 3339 time from 1970 on.
///
/// # Errors
/// [`TimeError`] when it is neither.
pub fn parse_time(text: &str) -> Result<Timestamp, TimeError> {
    if let Ok(ms) = number(text) {
        return Ok(Timestamp(ms));
    }
    let (date, rest) = text.split_at_checked(10).ok_or(TimeError)?;
    let rest = rest.strip_prefix(['T', 't', ' ']).ok_or(TimeError)?;
    let (clock, rest) = rest.split_at_checked(8).ok_or(TimeError)?;
    let (fraction_ms, zone) = match rest.strip_prefix('.') {
        None => (0, rest),
        Some(rest) => {
            let end = rest.find(|c: char| !c.is_ascii_digit()).ok_or(TimeError)?;
            let digits = rest.get(..end).filter(|digits| !digits.is_empty()).ok_or(TimeError)?;
            (number(&format!("{digits:0<3}")[..3])?, &rest[end..])
        }
    };
    let [year, month, day] = parts(date, '-', [4, 2, 2])?;
    let [hour, minute, second] = parts(clock, ':', [2, 2, 2])?;
    let fine = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=days_in(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    if !fine {
        return Err(TimeError);
    }
    let minutes = (days_before(year, month) + day - 1) * 1_440 + hour * 60 + minute;
    let minutes = match zone.split_at_checked(1).ok_or(TimeError)? {
        ("Z" | "z", "") => Some(minutes),
        (sign @ ("+" | "-"), offset) => {
            let [hours, rest] = parts(offset, ':', [2, 2])?;
            if hours >= 24 || rest >= 60 {
                return Err(TimeError);
            }
            let offset = hours * 60 + rest;
            if sign == "+" { minutes.checked_sub(offset) } else { Some(minutes + offset) }
        }
        _ => return Err(TimeError),
    };
    Ok(Timestamp((minutes.ok_or(TimeError)? * 60 + second) * 1_000 + fraction_ms))
}

/// A time after RFC 3339, in UTC and whole seconds.
#[must_use]
pub fn utc(at_ms: u64) -> String {
    let (days, s) = (at_ms / 86_400_000, at_ms / 1_000 % 86_400);
    // After Howard Hinnant: days since the first of March of the year 0, in eras of 400 years.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = era * 400 + year + next;
    let (hour, minute, second) = (s / 3_600, s / 60 % 60, s % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

fn number(digits: &str) -> Result<u64, TimeError> {
    if digits.bytes().all(|byte| byte.is_ascii_digit()) {
        digits.parse().map_err(|_| TimeError)
    } else {
        Err(TimeError)
    }
}

/// Numbers of so many digits each, between separators.
fn parts<const N: usize>(
    text: &str,
    between: char,
    digits: [usize; N],
) -> Result<[u64; N], TimeError> {
    let mut numbers = [0; N];
    let mut texts = text.split(between);
    for (value, digits) in numbers.iter_mut().zip(digits) {
        let text = texts.next().filter(|text| text.len() == digits).ok_or(TimeError)?;
        *value = number(text)?;
    }
    if texts.next().is_some() { Err(TimeError) } else { Ok(numbers) }
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_in(year: u64, month: u64) -> u64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 => 28 + u64::from(is_leap(year)),
        _ => 31,
    }
}

/// Days from 1970 to the first of a month.
fn days_before(year: u64, month: u64) -> u64 {
    let years: u64 = (1970..year).map(|year| 365 + u64::from(is_leap(year))).sum();
    years + (1..month).map(|month| days_in(year, month)).sum::<u64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_milliseconds_or_rfc_3339() {
        // From `date -d TIME +%s`.
        for (text, ms) in [
            ("0", 0),
            ("1764108000123", 1_764_108_000_123),
            ("1970-01-01T00:00:00Z", 0),
            ("2026-11-25T22:00:00Z", 1_795_644_000_000),
            ("2026-11-25T22:00:00.5Z", 1_795_644_000_500),
            ("2026-11-25 23:30:00.1239+01:30", 1_795_644_000_123),
            ("2024-02-29T00:00:00-02:00", 1_709_172_000_000),
            ("2000-03-01T00:00:00z", 951_868_800_000),
        ] {
            assert_eq!(parse_time(text), Ok(Timestamp(ms)), "{text}");
        }
        for bad in [
            "",
            "-1",
            "+1",
            "2026-11-25",
            "2026-11-25T22:00:00",
            "2026-11-25T22:00Z",
            "2026-13-25T22:00:00Z",
            "2026-02-29T22:00:00Z",
            "2026-11-25T24:00:00Z",
            "2026-11-25T22:00:00.Z",
            "2026-11-25T22:00:00+0100",
            "2026-11-25T22:00:00Zx",
            "1969-12-31T23:59:59Z",
            "1970-01-01T00:00:00+01:00",
            "2026-11-2éT22:00:00Z",
        ] {
            assert_eq!(parse_time(bad), Err(TimeError), "{bad}");
        }
    }
}
