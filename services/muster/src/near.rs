//! Names near a misspelt one.

/// Most letters that are wrong in a name that was meant.
const MISTAKES_MAX: usize = 3;

/// The names of `known` nearest to `name`, if any is near: all that are equally near, in order.
pub(crate) fn near<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let longest = MISTAKES_MAX.min(name.chars().count().div_ceil(2));
    let begins = |other: &str| name.len() >= 3 && other.starts_with(name);
    let away = |other: &'a str| (if begins(other) { 1 } else { distance(name, other) }, other);
    let mut found: Vec<_> = known.into_iter().map(away).filter(|(d, _)| *d <= longest).collect();
    found.sort_unstable();
    found.dedup();
    let least = found.first().map_or(0, |(distance, _)| *distance);
    found.into_iter().filter(|(d, _)| *d == least).map(|(_, other)| other).take(3).collect()
}

/// What to say of them; nothing if there is none.
pub(crate) fn did_you_mean<'a>(
    name: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    let names: Vec<_> = near(name, known).iter().map(|name| format!("`{name}`")).collect();
    (!names.is_empty()).then(|| format!("did you mean {}?", names.join(" or ")))
}

/// How many letters have to be put in, taken out, changed or swapped with their neighbour to make `b` of `a`.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<_>, Vec<_>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut next = vec![i];
        for j in 1..=b.len() {
            let changed = row[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = changed.min(row[j] + 1).min(next[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(before[j - 2] + 1);
            }
            next.push(least);
        }
        before = std::mem::replace(&mut row, next);
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_counted_in_letters() {
        for (a, b, expected) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("navigation", "navigation", 0),
            ("navigaton", "navigation", 1),
            ("nvaigation", "navigation", 1),
            ("kitten", "sitting", 3),
            ("é", "e", 1),
        ] {
            assert_eq!(distance(a, b), expected, "{a} {b}");
        }
    }

    #[test]
    fn near_names_are_told_and_far_ones_are_not() {
        let known = ["navigation", "navigation-2", "audition", "vision"];
        assert_eq!(near("navigaton", known), ["navigation"]);
        assert_eq!(near("navi", known), ["navigation", "navigation-2"]);
        assert_eq!(near("x", known), [""; 0]);
        assert_eq!(did_you_mean("vison", known).unwrap(), "did you mean `vision`?");
        assert_eq!(did_you_mean("tactile", known), None);
    }
}
