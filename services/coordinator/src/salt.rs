//! Where names are put in a table, differently in each process: nobody chooses names that all meet in one place.

use std::hash::{BuildHasher, DefaultHasher, Hasher as _};

use federation::Entropy;

/// What is hashed before each name.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Salt(u64);

impl Salt {
    /// A new one, for one process.
    pub(crate) fn new(entropy: &dyn Entropy) -> Self {
        let mut bytes = [0; 8];
        entropy.fill(&mut bytes);
        Self(u64::from_le_bytes(bytes))
    }
}

impl BuildHasher for Salt {
    type Hasher = DefaultHasher;

    fn build_hasher(&self) -> DefaultHasher {
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(self.0);
        hasher
    }
}
