//! Instruction sets, and which of them this processor has.

use core::error::Error;
use core::fmt;

/// An instruction set that the hot loops are written for. All give the same results; they differ in
/// speed alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Isa {
    /// Plain code, for every processor.
    Portable,
    /// 256-bit vectors: AVX2, with BMI and POPCNT, which no processor has it without.
    Avx2,
    /// 512-bit vectors: AVX-512 F, BW, DQ, VL and VBMI, with GFNI.
    Avx512,
}

impl Isa {
    /// All of them, the plain one first.
    pub const ALL: [Isa; 3] = [Isa::Portable, Isa::Avx2, Isa::Avx512];

    /// The fastest that this processor and operating system have.
    #[must_use]
    pub fn detect() -> Isa {
        Isa::ALL.into_iter().rev().find(|isa| isa.is_available()).unwrap_or(Isa::Portable)
    }

    /// Whether this processor and operating system have it.
    #[must_use]
    pub fn is_available(self) -> bool {
        match self {
            Isa::Portable => true,
            Isa::Avx2 => x86::supports().avx2,
            Isa::Avx512 => x86::supports().avx512,
        }
    }

    /// The name: `portable`, `avx2` or `avx512`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Isa::Portable => "portable",
            Isa::Avx2 => "avx2",
            Isa::Avx512 => "avx512",
        }
    }

    /// The instruction set of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Isa> {
        Isa::ALL.into_iter().find(|isa| isa.name() == name)
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// This processor, or its operating system, lacks an instruction set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IsaError {
    /// The one asked for.
    pub isa: Isa,
}

impl fmt::Display for IsaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "this processor lacks {}", self.isa)
    }
}

impl Error for IsaError {}

/// What of the instruction sets is there.
#[derive(Debug, Clone, Copy, Default)]
struct Supports {
    avx2: bool,
    avx512: bool,
}

#[cfg(not(target_arch = "x86_64"))]
mod x86 {
    use super::Supports;

    pub(super) fn supports() -> Supports {
        Supports::default()
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use core::arch::x86_64::{__cpuid, __cpuid_count, _xgetbv};

    use super::Supports;

    /// Asks the processor (CPUID leaves 1 and 7) and the operating system, which must save the
    /// registers (XCR0).
    pub(super) fn supports() -> Supports {
        const POPCNT_OSXSAVE_AVX: u32 = 1 << 23 | 1 << 27 | 1 << 28;
        const BMI1_AVX2_BMI2: u32 = 1 << 3 | 1 << 5 | 1 << 8;
        const F_DQ_BW_VL: u32 = 1 << 16 | 1 << 17 | 1 << 30 | 1 << 31;
        const VBMI_GFNI: u32 = 1 << 1 | 1 << 8;
        const YMM: u64 = 0b110;
        const ZMM: u64 = 0b1110_0110;

        if __cpuid(0).eax < 7 || __cpuid(1).ecx & POPCNT_OSXSAVE_AVX != POPCNT_OSXSAVE_AVX {
            return Supports::default();
        }
        let leaf = __cpuid_count(7, 0);
        let saved = saved();
        let avx2 = leaf.ebx & BMI1_AVX2_BMI2 == BMI1_AVX2_BMI2 && saved & YMM == YMM;
        let avx512 = leaf.ebx & F_DQ_BW_VL == F_DQ_BW_VL
            && leaf.ecx & VBMI_GFNI == VBMI_GFNI
            && saved & ZMM == ZMM;
        Supports { avx2, avx512: avx2 && avx512 }
    }

    /// XCR0.
    #[expect(unsafe_code, reason = "XGETBV is behind a target feature")]
    fn saved() -> u64 {
        // SAFETY: the caller has seen the bit OSXSAVE, which says that XGETBV is there.
        unsafe { _xgetbv(0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for isa in Isa::ALL {
            assert_eq!(Isa::named(isa.name()), Some(isa));
        }
        assert_eq!(Isa::named("neon"), None);
        assert!(Isa::Portable.is_available());
        assert!(Isa::detect().is_available());
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn the_processor_says_what_the_standard_library_says() {
        extern crate std;
        use std::is_x86_feature_detected as has;
        let avx2 = has!("avx2") && has!("bmi1") && has!("bmi2") && has!("popcnt");
        assert_eq!(Isa::Avx2.is_available(), avx2);
        let avx512 = avx2
            && has!("avx512f")
            && has!("avx512bw")
            && has!("avx512dq")
            && has!("avx512vl")
            && has!("avx512vbmi")
            && has!("gfni");
        assert_eq!(Isa::Avx512.is_available(), avx512);
    }
}
