//! From C's pointers to Rust's references, with every check that can be made.
#![expect(unsafe_code, reason = "pointers of the caller become references here")]

use core::slice;

use crate::network::ReckonNetwork;
use crate::status::{RECKON_MISALIGNED, RECKON_NULL_POINTER, RECKON_OVERLAP, RECKON_WRONG_LENGTH};

/// Not null and aligned.
pub(crate) fn check<T>(pointer: *const T) -> Result<(), i32> {
    if pointer.is_null() {
        return Err(RECKON_NULL_POINTER);
    }
    if pointer.is_aligned() { Ok(()) } else { Err(RECKON_MISALIGNED) }
}

fn check_array<T>(pointer: *const T, len: usize) -> Result<(), i32> {
    check(pointer)?;
    let bytes = len.checked_mul(size_of::<T>()).ok_or(RECKON_WRONG_LENGTH)?;
    // No object is larger, and none reaches past the end of the addresses.
    let fits = isize::try_from(bytes).is_ok() && pointer.addr().checked_add(bytes).is_some();
    if fits { Ok(()) } else { Err(RECKON_WRONG_LENGTH) }
}

/// A value of the caller.
///
/// # Safety
///
/// A pointer that is not null points to a `T` that stays as it is for `'a`.
pub(crate) unsafe fn value<'a, T>(pointer: *const T) -> Result<&'a T, i32> {
    check(pointer)?;
    // SAFETY: checked not to be null and to be aligned; the rest is the caller's promise.
    Ok(unsafe { &*pointer })
}

/// An array of the caller. Null stands for an empty one.
///
/// # Safety
///
/// A pointer that is not null points to `len` values that stay as they are for `'a`.
pub(crate) unsafe fn array<'a, T>(pointer: *const T, len: usize) -> Result<&'a [T], i32> {
    if len == 0 {
        return Ok(&[]);
    }
    check_array(pointer, len)?;
    // SAFETY: checked not to be null, to be aligned and not to be too large; the rest is the
    // caller's promise.
    Ok(unsafe { slice::from_raw_parts(pointer, len) })
}

/// Three arrays of the caller to be written, none of which overlap.
///
/// # Safety
///
/// Each pointer that is not null points to as many bytes as its length says, which nobody else
/// touches for `'a`.
pub(crate) unsafe fn three_mut<'a>(
    arrays: [(*mut i8, usize); 3],
) -> Result<[&'a mut [i8]; 3], i32> {
    for (at, &(pointer, len)) in arrays.iter().enumerate() {
        check_array(pointer, len)?;
        for &(other, other_len) in arrays.iter().take(at) {
            let apart = pointer.addr().saturating_add(len) <= other.addr()
                || other.addr().saturating_add(other_len) <= pointer.addr();
            if !apart {
                return Err(RECKON_OVERLAP);
            }
        }
    }
    // SAFETY: checked not to be null and not to overlap; the rest is the caller's promise. Bytes
    // need no alignment.
    Ok(arrays.map(|(pointer, len)| unsafe { slice::from_raw_parts_mut(pointer, len) }))
}

/// The network behind a handle.
///
/// # Safety
///
/// A handle that is not null came from `reckon_new`, its memory is where it was then, and nobody
/// else uses it for `'a`.
pub(crate) unsafe fn network<'a>(handle: *mut ReckonNetwork) -> Result<&'a mut ReckonNetwork, i32> {
    check(handle)?;
    // SAFETY: checked not to be null and to be aligned; the rest is the caller's promise.
    Ok(unsafe { &mut *handle })
}

/// The same to look at only.
///
/// # Safety
///
/// As for [`network`], but others may look at it too.
pub(crate) unsafe fn network_ref<'a>(
    handle: *const ReckonNetwork,
) -> Result<&'a ReckonNetwork, i32> {
    // SAFETY: the caller's promise is the one that is asked for.
    unsafe { value(handle) }
}

/// Stores a result where the caller wants it; null says that nobody does.
///
/// # Safety
///
/// A pointer that is not null points to memory for a `T` that nobody else uses now.
pub(crate) unsafe fn put<T>(pointer: *mut T, value: T) {
    if check(pointer).is_ok() {
        // SAFETY: checked not to be null and to be aligned; the rest is the caller's promise.
        unsafe { pointer.write(value) }
    }
}

/// The pointer is null or aligned.
pub(crate) fn check_optional<T>(pointer: *const T) -> Result<(), i32> {
    if pointer.is_null() { Ok(()) } else { check(pointer) }
}
