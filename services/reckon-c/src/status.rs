//! The codes that functions return, and what they mean in words.

use core::ffi::{CStr, c_char};

use reckon::{ParamError, ParamProblem};

/// Done.
pub const RECKON_OK: i32 = 0;
/// A pointer is null that must not be.
pub const RECKON_NULL_POINTER: i32 = 1;
/// A pointer is not aligned for what it points to.
pub const RECKON_MISALIGNED: i32 = 2;
/// An array is longer or shorter than it must be, or longer than memory can be.
pub const RECKON_WRONG_LENGTH: i32 = 3;
/// Two arrays that are written to share memory.
pub const RECKON_OVERLAP: i32 = 4;
/// The block of memory is smaller than `reckon_memory_size` says.
pub const RECKON_MEMORY_TOO_SMALL: i32 = 5;
/// A value is outside its range.
pub const RECKON_OUT_OF_RANGE: i32 = 6;
/// The chip has no register at this address.
pub const RECKON_UNKNOWN_REGISTER: i32 = 7;
/// A register or a neuron pair is given twice.
pub const RECKON_DUPLICATE: i32 = 8;
/// A register is not given, has no reset value, and the others make use of it.
pub const RECKON_MISSING_REGISTER: i32 = 9;
/// The register gives the shape, which is fixed once the network exists.
pub const RECKON_FIXED_REGISTER: i32 = 10;
/// A sample is running; this is done between samples only.
pub const RECKON_BUSY: i32 = 11;
/// A mistake in the library itself.
pub const RECKON_INTERNAL: i32 = 12;

/// A code in words: English, one line, in memory that stays. Never null; of a code that does not
/// exist it says so.
#[expect(unsafe_code, reason = "an exported name could clash with another")]
// SAFETY: the prefix keeps the name apart from others.
#[unsafe(no_mangle)]
pub const extern "C" fn reckon_error_text(code: i32) -> *const c_char {
    text(code).as_ptr()
}

const fn text(code: i32) -> &'static CStr {
    match code {
        RECKON_OK => c"done",
        RECKON_NULL_POINTER => c"a pointer is null that must not be",
        RECKON_MISALIGNED => c"a pointer is not aligned for what it points to",
        RECKON_WRONG_LENGTH => c"an array does not have the length it must have",
        RECKON_OVERLAP => c"two arrays that are written to share memory",
        RECKON_MEMORY_TOO_SMALL => c"the block of memory is too small for the network",
        RECKON_OUT_OF_RANGE => c"a value is outside its range",
        RECKON_UNKNOWN_REGISTER => c"the chip has no register at this address",
        RECKON_DUPLICATE => c"a register or a neuron pair is given twice",
        RECKON_MISSING_REGISTER => {
            c"a register is not given, has no reset value, and the others make use of it"
        }
        RECKON_FIXED_REGISTER => c"the register gives the shape, which an existing network keeps",
        RECKON_BUSY => c"a sample is running",
        RECKON_INTERNAL => c"a mistake in the library itself",
        _ => c"no such code",
    }
}

/// The code of a refused register or neuron pair.
pub(crate) fn of_param(error: &ParamError) -> i32 {
    match error.problem() {
        ParamProblem::Unknown => RECKON_UNKNOWN_REGISTER,
        ParamProblem::OutOfRange { .. } => RECKON_OUT_OF_RANGE,
        ParamProblem::Duplicate => RECKON_DUPLICATE,
        ParamProblem::Missing => RECKON_MISSING_REGISTER,
        ParamProblem::Fixed => RECKON_FIXED_REGISTER,
        ParamProblem::Busy => RECKON_BUSY,
        // Only texts are malformed, and there are none here.
        _ => RECKON_INTERNAL,
    }
}

/// What C gets to see of a result.
pub(crate) fn code(result: Result<(), i32>) -> i32 {
    result.err().unwrap_or(RECKON_OK)
}
