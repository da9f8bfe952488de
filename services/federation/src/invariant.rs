//! What must always hold, stated once, by id. Production checks it before writing, tests after reading.

use crate::aggregate::Sum;
use crate::model::Layout;

/// One thing that must always hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invariant {
    /// Its id, in logs and metrics.
    pub id: &'static str,
    /// What it says.
    pub says: &'static str,
}

/// An update with a receipt is in exactly one round's sum, once.
pub const COUNTED_ONCE: Invariant = Invariant {
    id: "INV-1",
    says: "the contributions of a round are as many as the updates in its sum",
};
/// Versions increase by one.
pub const VERSIONS_IN_STEP: Invariant =
    Invariant { id: "INV-3", says: "a published version's number is its parent's plus one" };
/// No lane of a published model leaves its layout's range.
pub const WEIGHTS_IN_RANGE: Invariant = Invariant {
    id: "INV-6",
    says: "every weight of a published version lies in its tensor's range",
};

/// Every one.
pub const ALL: [Invariant; 3] = [COUNTED_ONCE, VERSIONS_IN_STEP, WEIGHTS_IN_RANGE];

/// An invariant that does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} does not hold: {}", .0.id, .0.says)]
pub struct Violation(pub Invariant);

fn hold(ok: bool, invariant: Invariant) -> Result<(), Violation> {
    if ok { Ok(()) } else { Err(Violation(invariant)) }
}

/// [`COUNTED_ONCE`], of a round about to close.
///
/// # Errors
/// [`Violation`] when the sum holds more or fewer updates than there are contributions.
pub fn counted_once(contributions: u32, sum: &Sum) -> Result<(), Violation> {
    hold(contributions == sum.updates(), COUNTED_ONCE)
}

/// [`VERSIONS_IN_STEP`] and [`WEIGHTS_IN_RANGE`], of a version about to be written.
///
/// # Errors
/// [`Violation`] names the one that does not hold.
pub fn publishable(
    parent: u32,
    number: u32,
    weights: &[i8],
    layout: &Layout,
) -> Result<(), Violation> {
    hold(parent.checked_add(1) == Some(number), VERSIONS_IN_STEP)?;
    hold(
        weights.len() == layout.weights() && layout.first_out_of_range(weights).is_none(),
        WEIGHTS_IN_RANGE,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Tensor;

    #[test]
    fn violations_are_named() {
        let mut sum = Sum::new(1);
        assert_eq!(counted_once(0, &sum), Ok(()));
        sum.fold(&[1], 1);
        assert_eq!(counted_once(2, &sum), Err(Violation(COUNTED_ONCE)));
        let layout =
            Layout::new(vec![Tensor { name: "w".to_owned(), rows: 1, cols: 1, min: -1, max: 1 }])
                .unwrap();
        assert_eq!(publishable(1, 2, &[1], &layout), Ok(()));
        assert_eq!(publishable(1, 3, &[1], &layout), Err(Violation(VERSIONS_IN_STEP)));
        assert_eq!(publishable(1, 2, &[2], &layout), Err(Violation(WEIGHTS_IN_RANGE)));
        assert_eq!(publishable(1, 2, &[], &layout), Err(Violation(WEIGHTS_IN_RANGE)));
    }
}
