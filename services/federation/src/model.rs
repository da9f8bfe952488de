//! A model as the coordinator knows it: a layout of bounded integers and opaque configuration bytes.
//!
//! An [`Artifact`] is one version's whole content. Its bytes are its identity: the version's digest is the SHA-256 of
//! [`Artifact::encode`], so `sha256sum` of a fetched file checks it. The format, little-endian:
//!
//! ```text
//! 8 bytes  "MUSTERv1"
//! u8 n, n bytes      learner id, for example "reckon/1"
//! u8                 number of tensors, then for each:
//!   u8 n, n bytes      name
//!   u32, u32           rows, columns
//!   i8, i8             least and greatest value a weight may take
//! u32 n, n bytes     configuration, opaque to the coordinator
//! i8 ...             the weights, tensor by tensor, row by row
//! ```

use thiserror::Error;

use crate::id::excerpt;
use crate::limits::{CONFIG_BYTES_MAX, LEARNER_BYTES_MAX, TENSORS_MAX, WEIGHTS_MAX};

const MAGIC: &[u8; 8] = b"MUSTERv1";

/// One matrix of weights: its name, shape and the range of its values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// A short name, unique in the layout.
    pub name: String,
    /// Rows (for a ReckOn matrix: presynaptic neurons).
    pub rows: u32,
    /// Columns (postsynaptic neurons).
    pub cols: u32,
    /// Least value of a weight.
    pub min: i8,
    /// Greatest value of a weight.
    pub max: i8,
}

impl Tensor {
    /// Number of weights.
    #[must_use]
    pub fn weights(&self) -> u64 {
        u64::from(self.rows) * u64::from(self.cols)
    }
}

/// Why a layout is not one.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LayoutError {
    /// No tensors, or too many.
    #[error("a layout has 1 to {TENSORS_MAX} tensors, got {got}")]
    Tensors {
        /// How many there were.
        got: usize,
    },
    /// A tensor's name is empty, too long, not plain or not unique.
    #[error(
        "tensor {index}: name `{got}` is not 1 to {LEARNER_BYTES_MAX} of a-z, 0-9, `_`, or not unique"
    )]
    Name {
        /// Which tensor, from 0.
        index: usize,
        /// Its name.
        got: String,
    },
    /// A tensor has no weights or an empty range.
    #[error("tensor {index}: {rows} x {cols} weights in {min}..={max} is empty")]
    Empty {
        /// Which tensor, from 0.
        index: usize,
        /// Its rows.
        rows: u32,
        /// Its columns.
        cols: u32,
        /// Its least value.
        min: i8,
        /// Its greatest value.
        max: i8,
    },
    /// More weights than any model may have.
    #[error("a model has at most {WEIGHTS_MAX} weights, got {got}")]
    Weights {
        /// How many there were.
        got: u64,
    },
}

/// The tensors of a model, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    tensors: Vec<Tensor>,
    weights: usize,
}

impl Layout {
    /// A layout of `tensors`, checked.
    ///
    /// # Errors
    /// [`LayoutError`] names the tensor and what is wrong with it.
    pub fn new(tensors: Vec<Tensor>) -> Result<Self, LayoutError> {
        if tensors.is_empty() || tensors.len() > TENSORS_MAX {
            return Err(LayoutError::Tensors { got: tensors.len() });
        }
        let mut weights: u64 = 0;
        for (index, tensor) in tensors.iter().enumerate() {
            let name = &tensor.name;
            let plain =
                name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
            let unique = tensors.iter().take(index).all(|earlier| earlier.name != *name);
            if name.is_empty() || name.len() > LEARNER_BYTES_MAX || !plain || !unique {
                return Err(LayoutError::Name { index, got: excerpt(name) });
            }
            let Tensor { rows, cols, min, max, .. } = *tensor;
            if tensor.weights() == 0 || min > max {
                return Err(LayoutError::Empty { index, rows, cols, min, max });
            }
            weights = weights.saturating_add(tensor.weights());
        }
        match usize::try_from(weights) {
            Ok(count) if count <= WEIGHTS_MAX => Ok(Self { tensors, weights: count }),
            _ => Err(LayoutError::Weights { got: weights }),
        }
    }

    /// The tensors, in order.
    #[must_use]
    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// Number of weights of all tensors together: the length of an update in lanes and in bytes.
    #[must_use]
    pub fn weights(&self) -> usize {
        self.weights
    }

    /// The range of each lane, in order.
    pub fn ranges(&self) -> impl Iterator<Item = (i8, i8)> + '_ {
        self.tensors.iter().flat_map(|tensor| {
            let count = usize::try_from(tensor.weights())
                .expect("a checked layout's tensors fit in memory");
            std::iter::repeat_n((tensor.min, tensor.max), count)
        })
    }

    /// The first lane whose value lies outside its range, with that value.
    #[must_use]
    pub fn first_out_of_range(&self, weights: &[i8]) -> Option<(usize, i8)> {
        let outside = |&(_, (&w, (min, max))): &(usize, (&i8, (i8, i8)))| w < min || w > max;
        weights.iter().zip(self.ranges()).enumerate().find(outside).map(|(lane, (&w, _))| (lane, w))
    }
}

/// Why bytes are not an artifact, or parts do not make one.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ArtifactError {
    /// The bytes do not begin with the format's mark.
    #[error("not an artifact: the first 8 bytes are not \"MUSTERv1\"")]
    Magic,
    /// The bytes end before a field does.
    #[error("artifact ends within `{field}`, at byte {at}")]
    Truncated {
        /// The field that is cut.
        field: &'static str,
        /// Where the bytes end.
        at: usize,
    },
    /// Bytes follow the last weight.
    #[error("artifact has {extra} bytes after its last weight")]
    TooLong {
        /// How many.
        extra: usize,
    },
    /// The learner id is empty, too long or not plain.
    #[error("learner `{got}` is not 1 to {LEARNER_BYTES_MAX} of a-z, 0-9, `-`, `/`")]
    Learner {
        /// What was given.
        got: String,
    },
    /// The configuration is too long.
    #[error("configuration has {got} bytes, at most {CONFIG_BYTES_MAX} fit")]
    Config {
        /// How long it was.
        got: usize,
    },
    /// The layout is not one.
    #[error("layout: {0}")]
    Layout(#[from] LayoutError),
    /// The number of weights is not the layout's.
    #[error("layout has {expected} weights, got {got}")]
    Weights {
        /// What the layout says.
        expected: usize,
        /// What was given.
        got: usize,
    },
    /// A weight lies outside its tensor's range.
    #[error("weight {lane} is {got}, outside its tensor's range")]
    Range {
        /// Which weight, counted through all tensors from 0.
        lane: usize,
        /// Its value.
        got: i8,
    },
}

/// One version's whole content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    learner: String,
    layout: Layout,
    config: Vec<u8>,
    weights: Vec<i8>,
}

impl Artifact {
    /// An artifact from its parts, checked.
    ///
    /// # Errors
    /// [`ArtifactError`] says which part is wrong and why.
    pub fn new(
        learner: &str,
        layout: Layout,
        config: Vec<u8>,
        weights: Vec<i8>,
    ) -> Result<Self, ArtifactError> {
        let plain = learner
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'/'));
        if learner.is_empty() || learner.len() > LEARNER_BYTES_MAX || !plain {
            return Err(ArtifactError::Learner { got: excerpt(learner) });
        }
        if config.len() > CONFIG_BYTES_MAX {
            return Err(ArtifactError::Config { got: config.len() });
        }
        if weights.len() != layout.weights() {
            return Err(ArtifactError::Weights { expected: layout.weights(), got: weights.len() });
        }
        if let Some((lane, got)) = layout.first_out_of_range(&weights) {
            return Err(ArtifactError::Range { lane, got });
        }
        Ok(Self { learner: learner.to_owned(), layout, config, weights })
    }

    /// The same model with other weights: the next version.
    ///
    /// # Errors
    /// [`ArtifactError`] when their number or range is not the layout's.
    pub fn with_weights(&self, weights: Vec<i8>) -> Result<Self, ArtifactError> {
        Self::new(&self.learner, self.layout.clone(), self.config.clone(), weights)
    }

    /// Who can learn with it, for example `reckon/1`.
    #[must_use]
    pub fn learner(&self) -> &str {
        &self.learner
    }

    /// The tensors' names, shapes and ranges.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The learner's configuration, opaque here.
    #[must_use]
    pub fn config(&self) -> &[u8] {
        &self.config
    }

    /// All weights, tensor by tensor, row by row.
    #[must_use]
    pub fn weights(&self) -> &[i8] {
        &self.weights
    }

    /// The artifact's bytes, in the format above. [`Digest::of`](crate::Digest::of) them names the version.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.weights.len() + self.config.len() + 1024);
        let short = |out: &mut Vec<u8>, text: &str| {
            out.push(u8::try_from(text.len()).expect("checked names are shorter than 256 bytes"));
            out.extend_from_slice(text.as_bytes());
        };
        out.extend_from_slice(MAGIC);
        short(&mut out, &self.learner);
        out.push(
            u8::try_from(self.layout.tensors.len())
                .expect("a checked layout has fewer than 256 tensors"),
        );
        for tensor in &self.layout.tensors {
            short(&mut out, &tensor.name);
            out.extend_from_slice(&tensor.rows.to_le_bytes());
            out.extend_from_slice(&tensor.cols.to_le_bytes());
            out.extend_from_slice(&tensor.min.to_le_bytes());
            out.extend_from_slice(&tensor.max.to_le_bytes());
        }
        let config = u32::try_from(self.config.len())
            .expect("a checked configuration is shorter than 4 GiB");
        out.extend_from_slice(&config.to_le_bytes());
        out.extend_from_slice(&self.config);
        out.extend(self.weights.iter().map(|w| w.cast_unsigned()));
        out
    }

    /// Reads an artifact's bytes, every field checked.
    ///
    /// # Errors
    /// [`ArtifactError`] says which field is wrong and why.
    pub fn parse(bytes: &[u8]) -> Result<Self, ArtifactError> {
        let mut reader = Reader { bytes, at: 0 };
        if bytes.get(..MAGIC.len()) != Some(MAGIC) {
            return Err(ArtifactError::Magic);
        }
        reader.at = MAGIC.len();
        let learner = reader.short("learner")?;
        let tensors = (0..reader.u8("tensors")?)
            .map(|_| {
                Ok(Tensor {
                    name: reader.short("tensor name")?,
                    rows: reader.u32("tensor rows")?,
                    cols: reader.u32("tensor columns")?,
                    min: reader.u8("tensor range")?.cast_signed(),
                    max: reader.u8("tensor range")?.cast_signed(),
                })
            })
            .collect::<Result<_, ArtifactError>>()?;
        let layout = Layout::new(tensors)?;
        let config_len = usize::try_from(reader.u32("configuration length")?).unwrap_or(usize::MAX);
        if config_len > CONFIG_BYTES_MAX {
            return Err(ArtifactError::Config { got: config_len });
        }
        let config = reader.take("configuration", config_len)?.to_vec();
        let weights =
            reader.take("weights", layout.weights())?.iter().map(|b| b.cast_signed()).collect();
        match bytes.len() - reader.at {
            0 => Self::new(&learner, layout, config, weights),
            extra => Err(ArtifactError::TooLong { extra }),
        }
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, field: &'static str, len: usize) -> Result<&'a [u8], ArtifactError> {
        let end = self.at.checked_add(len).filter(|&end| end <= self.bytes.len());
        let end = end.ok_or(ArtifactError::Truncated { field, at: self.bytes.len() })?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn u8(&mut self, field: &'static str) -> Result<u8, ArtifactError> {
        Ok(self.take(field, 1)?[0])
    }

    fn u32(&mut self, field: &'static str) -> Result<u32, ArtifactError> {
        let bytes = self.take(field, 4)?;
        Ok(u32::from_le_bytes(bytes.try_into().expect("four bytes were taken")))
    }

    fn short(&mut self, field: &'static str) -> Result<String, ArtifactError> {
        let len = usize::from(self.u8(field)?);
        Ok(String::from_utf8_lossy(self.take(field, len)?).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Digest;

    fn tensor(name: &str, rows: u32, cols: u32) -> Tensor {
        Tensor { name: name.to_owned(), rows, cols, min: -128, max: 127 }
    }

    fn small() -> Artifact {
        let layout = Layout::new(vec![tensor("w_inp", 2, 3), tensor("w_out", 3, 1)]).unwrap();
        Artifact::new(
            "reckon/1",
            layout,
            b"A 1\n".to_vec(),
            vec![1, -1, 2, -2, 3, -3, 127, -128, 0],
        )
        .unwrap()
    }

    #[test]
    fn an_artifact_round_trips_and_its_bytes_are_fixed() {
        let artifact = small();
        let bytes = artifact.encode();
        assert_eq!(Artifact::parse(&bytes).unwrap(), artifact);
        assert_eq!(
            Digest::of(&bytes).to_string(),
            "c049aa07ba5d1dfea4e14a2a81dc81cc80f5a6a5b3c034810d944abda285624e"
        );
    }

    #[test]
    fn every_cut_and_every_addition_is_told() {
        let bytes = small().encode();
        for len in 0..bytes.len() {
            let error = Artifact::parse(&bytes[..len]).unwrap_err();
            assert!(
                matches!(error, ArtifactError::Magic | ArtifactError::Truncated { .. }),
                "{len}: {error}"
            );
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        assert_eq!(Artifact::parse(&longer).unwrap_err(), ArtifactError::TooLong { extra: 1 });
    }

    #[test]
    fn parts_are_checked() {
        let layout = || small().layout().clone();
        let check = |result: Result<Artifact, ArtifactError>| result.unwrap_err();
        assert_eq!(
            check(Artifact::new("X", layout(), vec![], vec![0; 9])),
            ArtifactError::Learner { got: "X".into() }
        );
        let got = CONFIG_BYTES_MAX + 1;
        assert_eq!(
            check(Artifact::new("x", layout(), vec![0; got], vec![0; 9])),
            ArtifactError::Config { got }
        );
        let weights = ArtifactError::Weights { expected: 9, got: 8 };
        assert_eq!(check(Artifact::new("x", layout(), vec![], vec![0; 8])), weights);
        let narrow = Layout::new(vec![Tensor { min: -1, max: 1, ..tensor("w", 1, 3) }]).unwrap();
        let range = ArtifactError::Range { lane: 2, got: 2 };
        assert_eq!(check(Artifact::new("x", narrow, vec![], vec![1, -1, 2])), range);
    }

    #[test]
    fn layouts_are_checked() {
        assert_eq!(Layout::new(vec![]).unwrap_err(), LayoutError::Tensors { got: 0 });
        let twice = Layout::new(vec![tensor("w", 1, 1), tensor("w", 1, 1)]).unwrap_err();
        assert_eq!(twice, LayoutError::Name { index: 1, got: "w".into() });
        assert!(matches!(
            Layout::new(vec![tensor("W", 1, 1)]),
            Err(LayoutError::Name { index: 0, .. })
        ));
        assert!(matches!(Layout::new(vec![tensor("w", 0, 1)]), Err(LayoutError::Empty { .. })));
        let huge = Layout::new(vec![tensor("w", u32::MAX, u32::MAX)]);
        assert!(matches!(huge, Err(LayoutError::Weights { .. })));
    }
}
