//! The little of FlatBuffers that AEDAT 4 needs: fields of a table, by their number. Every step is within bounds or `None`.

use super::array;

/// A table: the buffer, and where in it.
#[derive(Clone, Copy)]
pub(super) struct Table<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Table<'a> {
    /// The root table of a buffer without a length before it.
    pub(super) fn root(bytes: &'a [u8]) -> Option<Self> {
        Some(Self { bytes, at: offset(bytes, 0)? })
    }

    /// Where field `number` is; `None` where it has its default value, or the table is broken.
    pub(super) fn field(&self, number: usize) -> Option<usize> {
        let back = i32::from_le_bytes(array(self.bytes, self.at)?);
        let fields = i64::try_from(self.at).ok()? - i64::from(back);
        let fields = usize::try_from(fields).ok()?;
        let length = usize::from(u16::from_le_bytes(array(self.bytes, fields)?));
        let entry = 4 + 2 * number;
        if entry + 2 > length {
            return None;
        }
        let place = u16::from_le_bytes(array(self.bytes, fields.checked_add(entry)?)?);
        (place != 0).then(|| self.at + usize::from(place))
    }

    /// The structs of `size` bytes in the vector that is field `number`, and where they begin.
    pub(super) fn structs(&self, number: usize, size: usize) -> Option<(usize, &'a [u8])> {
        let at = self.field(number)?;
        let vector = at.checked_add(offset(self.bytes, at)?)?;
        let count = offset(self.bytes, vector)?;
        let first = vector.checked_add(4)?;
        let end = first.checked_add(count.checked_mul(size)?)?;
        Some((first, self.bytes.get(first..end)?))
    }

    pub(super) fn i32(&self, number: usize) -> Option<i32> {
        Some(i32::from_le_bytes(array(self.bytes, self.field(number)?)?))
    }

    pub(super) fn i64(&self, number: usize) -> Option<i64> {
        Some(i64::from_le_bytes(array(self.bytes, self.field(number)?)?))
    }
}

fn offset(bytes: &[u8], at: usize) -> Option<usize> {
    usize::try_from(u32::from_le_bytes(array(bytes, at)?)).ok()
}
