//! The hot loops in AVX-512 (F, BW, DQ, VL, VBMI) and GFNI: 16 lanes of 32 bits or 32 of 16 bits at a time.
//!
//! The functions in the table below do what is said at [`Kernels`]; each only enters code that is
//! compiled for the instruction set.
#![expect(
    unsafe_code,
    reason = "code for an instruction set may only be entered where the processor has it, and \
              vectors are loaded and stored through pointers"
)]

mod learn;
mod prop;
mod step;

use core::arch::x86_64::{
    __m128i, __m256i, __m512i, _mm_loadu_si128, _mm_storeu_si128, _mm256_loadu_si256,
    _mm256_storeu_si256, _mm512_loadu_si512, _mm512_storeu_si512,
};

use super::Kernels;
use crate::isa::Isa;

// SAFETY, of all functions in the table: `kernels::of` is the only way to it, and gives it out only
// where the processor and the operating system have every feature named here.
pub(super) static KERNELS: Kernels = Kernels {
    isa: Isa::Avx512,
    planes: true,
    // Not called: the generators are no streams.
    extend: crate::step::extend,
    // SAFETY: see above.
    step: |step| unsafe { step::blocks(step) },
    // SAFETY: see above.
    propagate: |prop, spikes, inputs| unsafe { prop::propagate(prop, spikes, inputs) },
    // SAFETY: see above.
    signals: |job| unsafe { learn::signals(job) },
    // SAFETY: see above.
    change_outputs: |job| unsafe { learn::outputs::change(job) },
    // SAFETY: see above.
    change_hidden: |job| unsafe { learn::hidden::change(job) },
};

#[inline]
#[target_feature(enable = "avx512f")]
fn load_u32(from: &[u32; 16]) -> __m512i {
    // SAFETY: the array has 64 bytes; alignment is not needed.
    unsafe { _mm512_loadu_si512(from.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store_u32(to: &mut [u32; 16], value: __m512i) {
    // SAFETY: the array has 64 bytes; alignment is not needed.
    unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), value) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_u8(from: &[u8; 64]) -> __m512i {
    // SAFETY: the array has 64 bytes; alignment is not needed.
    unsafe { _mm512_loadu_si512(from.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store_u8(to: &mut [u8; 64], value: __m512i) {
    // SAFETY: the array has 64 bytes; alignment is not needed.
    unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), value) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_u64(from: &[u64; 8]) -> __m512i {
    // SAFETY: the array has 64 bytes; alignment is not needed.
    unsafe { _mm512_loadu_si512(from.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_32(from: &[i16; 32]) -> __m512i {
    // SAFETY: the array has 64 bytes; alignment is not needed.
    unsafe { _mm512_loadu_si512(from.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store_32(to: &mut [i16; 32], value: __m512i) {
    // SAFETY: the array has 64 bytes; alignment is not needed.
    unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), value) }
}

#[inline]
#[target_feature(enable = "avx")]
fn load_16(from: &[i16; 16]) -> __m256i {
    // SAFETY: the array has 32 bytes; alignment is not needed.
    unsafe { _mm256_loadu_si256(from.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx")]
fn store_16(to: &mut [i16; 16], value: __m256i) {
    // SAFETY: the array has 32 bytes; alignment is not needed.
    unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), value) }
}

#[inline]
#[target_feature(enable = "sse2")]
fn load_weights(from: &[i8; 16]) -> __m128i {
    // SAFETY: the array has 16 bytes; alignment is not needed.
    unsafe { _mm_loadu_si128(from.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "sse2")]
fn store_weights(to: &mut [i8; 16], value: __m128i) {
    // SAFETY: the array has 16 bytes; alignment is not needed.
    unsafe { _mm_storeu_si128(to.as_mut_ptr().cast(), value) }
}
