//! A program of the chip, its weights and one sample, all constants: what is trained here, and on
//! the host by the test that compares.

use reckon::{Event, Pair, ParamError, Params, Sample, Shape};

/// 40-100-2, as for cue accumulation.
pub(crate) const SMALL: Shape = Shape { inputs: 40, recurrent: 100, outputs: 2 };
/// 256-256-16, the whole chip.
pub(crate) const LARGE: Shape = Shape { inputs: 256, recurrent: 256, outputs: 16 };

/// Ticks of the sample; the second half has a target and votes.
pub(crate) const TICKS: u32 = 60;

/// The registers for a network of this shape: every weight learns, rates are regularised.
pub(crate) fn params(shape: Shape) -> Result<Params, ParamError> {
    let registers = [
        ("SPI_RST_MODE", 1),
        ("SPI_DO_EPROP", 7),
        ("SPI_FP_LOC_WINP", 3),
        ("SPI_FP_LOC_WREC", 3),
        ("SPI_FP_LOC_WOUT", 3),
        ("SPI_FP_LOC_TINP", 3),
        ("SPI_FP_LOC_TREC", 4),
        ("SPI_FP_LOC_TOUT", 6),
        ("SPI_LEARN_SIG_SCALE", 5),
        ("SPI_REGUL_MODE", 2),
        ("SPI_REGUL_W", 3),
        ("SPI_EN_STOCH_ROUND", 1),
        ("SPI_KAPPA", 0x7A),
        ("SPI_THR_H_0", 0),
        ("SPI_THR_H_1", 100),
        ("SPI_THR_H_2", 300),
        ("SPI_THR_H_3", 500),
        ("SPI_H_0", 0),
        ("SPI_H_1", 1),
        ("SPI_H_2", 2),
        ("SPI_H_3", 3),
        ("SPI_H_4", 4),
        ("SPI_LR_R_WINP", 0),
        ("SPI_LR_P_WINP", 8),
        ("SPI_LR_R_WREC", 0),
        ("SPI_LR_P_WREC", 8),
        ("SPI_LR_R_WOUT", 0),
        ("SPI_LR_P_WOUT", 12),
        ("SPI_REGUL_F0", 4),
        ("SPI_REGUL_K_INP_R", 0),
        ("SPI_REGUL_K_INP_P", 10),
        ("SPI_REGUL_K_REC_R", 0),
        ("SPI_REGUL_K_REC_P", 10),
        ("SPI_NUM_INP_NEUR", u32::from(shape.inputs) - 1),
        ("SPI_NUM_REC_NEUR", u32::from(shape.recurrent) - 1),
        ("SPI_NUM_OUT_NEUR", u32::from(shape.outputs) - 1),
    ];
    Params::parse(registers, (0..128).map(|pair| Pair { pair, alpha12: 4079, threshold: 600 }))
}

/// The sample, with the events of [`events`].
pub(crate) fn sample(events: &[Event]) -> Sample<'_> {
    Sample {
        ticks: TICKS,
        events,
        target_valid: TICKS / 2..TICKS,
        infer_acc: TICKS / 2..TICKS,
        label: 1,
    }
}

/// `N` events, three a tick and more, on pseudo-random channels of `inputs`.
pub(crate) const fn events<const N: usize>(inputs: u16) -> [Event; N] {
    let mut events = [Event { tick: 0, address: 0 }; N];
    let mut state = 88_172_645;
    let mut at = 0;
    while at < N {
        state = xorshift(state);
        let tick = at as u32 * TICKS / N as u32;
        events[at] = Event { tick, address: (state % inputs as u32) as u8 };
        at += 1;
    }
    events
}

/// `N` pseudo-random weights, -`bound`..=`bound`.
pub(crate) const fn weights<const N: usize>(seed: u32, bound: u8) -> [i8; N] {
    let mut weights = [0; N];
    let mut state = seed;
    let mut at = 0;
    while at < N {
        state = xorshift(state);
        weights[at] = ((state % (2 * bound as u32 + 1)) as i32 - bound as i32) as i8;
        at += 1;
    }
    weights
}

const fn xorshift(mut state: u32) -> u32 {
    state ^= state << 13;
    state ^= state >> 17;
    state ^ state << 5
}

/// What one sample taught, in a form that C can read too.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// FNV-1a of all weights, rows padded, input matrix first.
    pub(crate) digest: u64,
    /// Number of weights that differ from the ones loaded, padding included.
    pub(crate) moved: u32,
    /// Votes for each class.
    pub(crate) votes: [u16; 16],
    /// The inferred class.
    pub(crate) label: u8,
}

/// Continues an FNV-1a digest with `weights`.
pub(crate) fn digest(mut digest: u64, weights: &[i8]) -> u64 {
    for weight in weights {
        digest = (digest ^ u64::from(weight.cast_unsigned())).wrapping_mul(0x0100_0000_01B3);
    }
    digest
}

/// The digest of nothing.
pub(crate) const EMPTY: u64 = 0xCBF2_9CE4_8422_2325;

/// The number of places in which two matrices differ, `padded` with rows of `width` places and
/// `plain` with rows of `columns`.
pub(crate) fn moved(padded: &[i8], width: usize, plain: &[i8], columns: usize) -> u32 {
    let rows = padded.chunks_exact(width).zip(plain.chunks_exact(columns));
    rows.flat_map(|(row, before)| row.iter().zip(before))
        .map(|(now, before)| u32::from(now != before))
        .sum()
}
