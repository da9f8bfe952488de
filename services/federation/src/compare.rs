//! Two versions of a model, weight by weight.

use crate::model::Artifact;

/// Ranges into which a histogram counts.
pub const BINS: usize = 16;

/// How many weights lie in each of [`BINS`] ranges of equal width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Histogram {
    /// Where the first range begins.
    pub from: i16,
    /// The width of a range.
    pub step: u16,
    /// The weights in each.
    pub counts: [u64; BINS],
}

/// What differs in one tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorDifference {
    /// The tensor.
    pub name: String,
    /// Its weights.
    pub weights: u64,
    /// How many of them differ.
    pub changed: u64,
    /// The largest difference.
    pub most: u16,
}

/// What differs between two versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// The weights of the first.
    pub from: Histogram,
    /// The weights of the second.
    pub to: Histogram,
    /// The second less the first.
    pub difference: Histogram,
    /// Tensor by tensor, as they stand in the layout.
    pub tensors: Vec<TensorDifference>,
}

/// Compares two versions; `None` when their layouts differ.
#[must_use]
pub fn compare(from: &Artifact, to: &Artifact) -> Option<Comparison> {
    if from.layout() != to.layout() {
        return None;
    }
    let differences: Vec<i16> = from
        .weights()
        .iter()
        .zip(to.weights())
        .map(|(&old, &new)| i16::from(new) - i16::from(old))
        .collect();
    let mut rest = differences.as_slice();
    let mut tensors = Vec::new();
    for tensor in from.layout().tensors() {
        let count = usize::try_from(tensor.weights()).unwrap_or(usize::MAX).min(rest.len());
        let (own, others) = rest.split_at(count);
        rest = others;
        tensors.push(TensorDifference {
            name: tensor.name.clone(),
            weights: tensor.weights(),
            changed: own.iter().map(|&difference| u64::from(difference != 0)).sum(),
            most: own.iter().map(|difference| difference.unsigned_abs()).max().unwrap_or(0),
        });
    }
    let weights = |artifact: &Artifact| {
        Histogram::of(-128, 16, artifact.weights().iter().map(|&weight| i16::from(weight)))
    };
    let (from, to) = (weights(from), weights(to));
    Some(Comparison {
        from,
        to,
        difference: Histogram::of(-256, 32, differences.iter().copied()),
        tensors,
    })
}

impl Histogram {
    fn of(from: i16, step: u16, values: impl Iterator<Item = i16>) -> Self {
        let mut counts = [0; BINS];
        for value in values {
            let bin = usize::from(value.abs_diff(from) / step).min(BINS - 1);
            counts[bin] += 1;
        }
        Self { from, step, counts }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Layout, Tensor};

    fn artifact(weights: Vec<i8>) -> Artifact {
        let tensor = |name: &str, cols| Tensor {
            name: name.to_owned(),
            rows: 1,
            cols,
            min: i8::MIN,
            max: i8::MAX,
        };
        let layout = Layout::new(vec![tensor("a", 3), tensor("b", 2)]).unwrap();
        Artifact::new("reckon/1", layout, Vec::new(), weights).unwrap()
    }

    #[test]
    fn differences_are_counted_by_tensor() {
        let compared =
            compare(&artifact(vec![1, 2, 3, -128, 127]), &artifact(vec![1, 0, 9, 127, 126]));
        let Comparison { from, to, difference, tensors } = compared.unwrap();
        let changes: Vec<_> = tensors
            .iter()
            .map(|tensor| (tensor.name.as_str(), tensor.weights, tensor.changed, tensor.most))
            .collect();
        assert_eq!(changes, [("a", 3, 2, 6), ("b", 2, 2, 255)]);
        let bins = |histogram: &Histogram| -> Vec<(usize, u64)> {
            histogram.counts.iter().copied().enumerate().filter(|&(_, count)| count > 0).collect()
        };
        assert_eq!((from.from, from.step, bins(&from)), (-128, 16, vec![(0, 1), (8, 3), (15, 1)]));
        assert_eq!(bins(&to), [(8, 3), (15, 2)]);
        // 0, -2, 6, 255, -1.
        assert_eq!((difference.from, difference.step), (-256, 32));
        assert_eq!(bins(&difference), [(7, 2), (8, 2), (15, 1)]);
    }

    #[test]
    fn other_layouts_are_not_compared() {
        let layout =
            Layout::new(vec![Tensor { name: "a".to_owned(), rows: 1, cols: 5, min: -1, max: 1 }]);
        let other = Artifact::new("reckon/1", layout.unwrap(), Vec::new(), vec![0; 5]).unwrap();
        assert_eq!(compare(&artifact(vec![0; 5]), &other), None);
    }
}
