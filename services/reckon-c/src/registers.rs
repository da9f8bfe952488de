//! The registers by their SPI addresses (SPEC 10).

use crate::types::ReckonRegister;

/// 0 or 1. Kept, without effect.
pub const RECKON_SPI_EN_CONF: u32 = 0;
/// 9 bits, no reset value. Kept, without effect.
pub const RECKON_SPI_RO_STAGE_SEL: u32 = 1;
/// 0 or 1. Kept, without effect.
pub const RECKON_SPI_GET_CLKINT_OUT: u32 = 2;
/// 0 or 1. Kept, without effect.
pub const RECKON_SPI_GET_TAR_REQ_OUT: u32 = 3;
/// 1: a neuron that fires is reset to 0. 0: its threshold is subtracted.
pub const RECKON_SPI_RST_MODE: u32 = 8;
/// 3 bits, reset 7: which weights learn. Bit 0 input, bit 1 recurrent, bit 2 output.
pub const RECKON_SPI_DO_EPROP: u32 = 9;
/// 0 or 1. Kept, without effect.
pub const RECKON_SPI_LOCAL_TICK: u32 = 10;
/// 0 or 1. Kept, without effect.
pub const RECKON_SPI_ERROR_HALT: u32 = 11;
/// 3 bits: left shift of input weights.
pub const RECKON_SPI_FP_LOC_WINP: u32 = 12;
/// 3 bits: left shift of recurrent weights.
pub const RECKON_SPI_FP_LOC_WREC: u32 = 13;
/// 3 bits: left shift of output weights.
pub const RECKON_SPI_FP_LOC_WOUT: u32 = 14;
/// 3 bits: fraction bits of input traces.
pub const RECKON_SPI_FP_LOC_TINP: u32 = 15;
/// 3 bits: fraction bits of recurrent traces.
pub const RECKON_SPI_FP_LOC_TREC: u32 = 16;
/// 3 bits: fraction bits of output traces.
pub const RECKON_SPI_FP_LOC_TOUT: u32 = 17;
/// 4 bits: left shift of the learning signal.
pub const RECKON_SPI_LEARN_SIG_SCALE: u32 = 18;
/// 3 bits: regularisation. Bit 0 multiplicative, bit 1 additive, bit 2 (with bit 1) also without a
/// target.
pub const RECKON_SPI_REGUL_MODE: u32 = 19;
/// 2 bits: which weights are regularised. Bit 0 input, bit 1 recurrent.
pub const RECKON_SPI_REGUL_W: u32 = 20;
/// 1: potentials and traces are rounded at random. 0: towards minus infinity.
pub const RECKON_SPI_EN_STOCH_ROUND: u32 = 21;
/// 8 bits. Kept, without effect.
pub const RECKON_SPI_SRAM_SPEEDMODE: u32 = 22;
/// 0 or 1. Kept, without effect.
pub const RECKON_SPI_TIMING_MODE: u32 = 23;
/// 1: targets are numbers. 0: the target is a class.
pub const RECKON_SPI_REGRESSION: u32 = 25;
/// 0 or 1. Kept, without effect.
pub const RECKON_SPI_SINGLE_LABEL: u32 = 26;
/// 1: the error takes the output potential as it is. 0: through a hard sigmoid.
pub const RECKON_SPI_NO_OUT_ACT: u32 = 27;
/// 1: something is sent at every step. 0: at the last tick only.
pub const RECKON_SPI_SEND_PER_TIMESTEP: u32 = 30;
/// 1, the reset value: the class is sent. 0: the output potentials are.
pub const RECKON_SPI_SEND_LABEL_ONLY: u32 = 31;
/// 1: noise is added to potentials.
pub const RECKON_SPI_NOISE_EN: u32 = 32;
/// 1: traces are kept where nothing learns, too.
pub const RECKON_SPI_FORCE_TRACES: u32 = 33;
/// 32 bits, no reset value. Kept, without effect.
pub const RECKON_SPI_CYCLES_PER_TICK: u32 = 64;
/// 32 bits: bit p is that of pair p, whose leak factor is 1 or above if it is set.
pub const RECKON_SPI_ALPHA_CONF_W0: u32 = 65;
/// The same for pairs 32 to 63.
pub const RECKON_SPI_ALPHA_CONF_W1: u32 = 66;
/// The same for pairs 64 to 95.
pub const RECKON_SPI_ALPHA_CONF_W2: u32 = 67;
/// The same for pairs 96 to 127.
pub const RECKON_SPI_ALPHA_CONF_W3: u32 = 68;
/// 8 bits, reset 0x7A: leak factor of outputs and output traces, in units of 1/128.
pub const RECKON_SPI_KAPPA: u32 = 69;
/// Signed 16 bits, no reset value: the potential below which the slope is SPI_H_0.
pub const RECKON_SPI_THR_H_0: u32 = 70;
/// Signed 16 bits, no reset value: the potential below which the slope is SPI_H_1.
pub const RECKON_SPI_THR_H_1: u32 = 71;
/// Signed 16 bits, no reset value: the potential below which the slope is SPI_H_2.
pub const RECKON_SPI_THR_H_2: u32 = 72;
/// Signed 16 bits, no reset value: the potential below which the slope is SPI_H_3.
pub const RECKON_SPI_THR_H_3: u32 = 73;
/// Signed 5 bits, no reset value: the slope below SPI_THR_H_0.
pub const RECKON_SPI_H_0: u32 = 74;
/// Signed 5 bits, no reset value: the slope below SPI_THR_H_1.
pub const RECKON_SPI_H_1: u32 = 75;
/// Signed 5 bits, no reset value: the slope below SPI_THR_H_2.
pub const RECKON_SPI_H_2: u32 = 76;
/// Signed 5 bits, no reset value: the slope below SPI_THR_H_3.
pub const RECKON_SPI_H_3: u32 = 77;
/// Signed 5 bits, no reset value: the slope from SPI_THR_H_3 on.
pub const RECKON_SPI_H_4: u32 = 78;
/// 5 bits, no reset value: learning rate of input weights, right shift.
pub const RECKON_SPI_LR_R_WINP: u32 = 79;
/// 5 bits, no reset value: learning rate of input weights, left shift.
pub const RECKON_SPI_LR_P_WINP: u32 = 80;
/// 5 bits, no reset value: learning rate of recurrent weights, right shift.
pub const RECKON_SPI_LR_R_WREC: u32 = 81;
/// 5 bits, no reset value: learning rate of recurrent weights, left shift.
pub const RECKON_SPI_LR_P_WREC: u32 = 82;
/// 5 bits, no reset value: learning rate of output weights, right shift.
pub const RECKON_SPI_LR_R_WOUT: u32 = 83;
/// 5 bits, no reset value: learning rate of output weights, left shift.
pub const RECKON_SPI_LR_P_WOUT: u32 = 84;
/// 25 bits: seed of the generator for input weights.
pub const RECKON_SPI_SEED_INP: u32 = 85;
/// 25 bits: seed of the generator for recurrent weights.
pub const RECKON_SPI_SEED_REC: u32 = 86;
/// 22 bits: seed of the generator for output weights.
pub const RECKON_SPI_SEED_OUT: u32 = 87;
/// Two of 15 bits: seeds of the generators that round potentials.
pub const RECKON_SPI_SEED_STRND_NEUR: u32 = 88;
/// 15 bits: seed of the generator that rounds output potentials.
pub const RECKON_SPI_SEED_STRND_ONEUR: u32 = 89;
/// Two of 15 bits: seeds of the generators that round input traces.
pub const RECKON_SPI_SEED_STRND_TINP: u32 = 90;
/// Two of 15 bits: seeds of the generators that round recurrent traces.
pub const RECKON_SPI_SEED_STRND_TREC: u32 = 91;
/// Two of 15 bits: seeds of the generators that round output traces.
pub const RECKON_SPI_SEED_STRND_TOUT: u32 = 92;
/// 17 bits: seed of the noise.
pub const RECKON_SPI_SEED_NOISE_NEUR: u32 = 93;
/// 8 bits, reset 255: number of inputs, less one.
pub const RECKON_SPI_NUM_INP_NEUR: u32 = 94;
/// 8 bits, reset 255: number of recurrent neurons, less one.
pub const RECKON_SPI_NUM_REC_NEUR: u32 = 95;
/// 4 bits, reset 15: number of outputs, less one.
pub const RECKON_SPI_NUM_OUT_NEUR: u32 = 96;
/// 12 bits, no reset value: the trace above which a neuron is too active.
pub const RECKON_SPI_REGUL_F0: u32 = 98;
/// 5 bits, no reset value: additive strength on input weights, right shift.
pub const RECKON_SPI_REGUL_K_INP_R: u32 = 99;
/// 5 bits, no reset value: additive strength on input weights, left shift.
pub const RECKON_SPI_REGUL_K_INP_P: u32 = 100;
/// 5 bits, no reset value: additive strength on recurrent weights, right shift.
pub const RECKON_SPI_REGUL_K_REC_R: u32 = 101;
/// 5 bits, no reset value: additive strength on recurrent weights, left shift.
pub const RECKON_SPI_REGUL_K_REC_P: u32 = 102;
/// 5 bits, no reset value: multiplicative strength, right shift.
pub const RECKON_SPI_REGUL_K_MUL: u32 = 103;
/// 4 bits, no reset value: right shift of the noise.
pub const RECKON_SPI_NOISE_STR: u32 = 104;

/// Name and address of every register, by ascending address.
const NAMES: [(u32, &str); 67] = [
    (RECKON_SPI_EN_CONF, "SPI_EN_CONF"),
    (RECKON_SPI_RO_STAGE_SEL, "SPI_RO_STAGE_SEL"),
    (RECKON_SPI_GET_CLKINT_OUT, "SPI_GET_CLKINT_OUT"),
    (RECKON_SPI_GET_TAR_REQ_OUT, "SPI_GET_TAR_REQ_OUT"),
    (RECKON_SPI_RST_MODE, "SPI_RST_MODE"),
    (RECKON_SPI_DO_EPROP, "SPI_DO_EPROP"),
    (RECKON_SPI_LOCAL_TICK, "SPI_LOCAL_TICK"),
    (RECKON_SPI_ERROR_HALT, "SPI_ERROR_HALT"),
    (RECKON_SPI_FP_LOC_WINP, "SPI_FP_LOC_WINP"),
    (RECKON_SPI_FP_LOC_WREC, "SPI_FP_LOC_WREC"),
    (RECKON_SPI_FP_LOC_WOUT, "SPI_FP_LOC_WOUT"),
    (RECKON_SPI_FP_LOC_TINP, "SPI_FP_LOC_TINP"),
    (RECKON_SPI_FP_LOC_TREC, "SPI_FP_LOC_TREC"),
    (RECKON_SPI_FP_LOC_TOUT, "SPI_FP_LOC_TOUT"),
    (RECKON_SPI_LEARN_SIG_SCALE, "SPI_LEARN_SIG_SCALE"),
    (RECKON_SPI_REGUL_MODE, "SPI_REGUL_MODE"),
    (RECKON_SPI_REGUL_W, "SPI_REGUL_W"),
    (RECKON_SPI_EN_STOCH_ROUND, "SPI_EN_STOCH_ROUND"),
    (RECKON_SPI_SRAM_SPEEDMODE, "SPI_SRAM_SPEEDMODE"),
    (RECKON_SPI_TIMING_MODE, "SPI_TIMING_MODE"),
    (RECKON_SPI_REGRESSION, "SPI_REGRESSION"),
    (RECKON_SPI_SINGLE_LABEL, "SPI_SINGLE_LABEL"),
    (RECKON_SPI_NO_OUT_ACT, "SPI_NO_OUT_ACT"),
    (RECKON_SPI_SEND_PER_TIMESTEP, "SPI_SEND_PER_TIMESTEP"),
    (RECKON_SPI_SEND_LABEL_ONLY, "SPI_SEND_LABEL_ONLY"),
    (RECKON_SPI_NOISE_EN, "SPI_NOISE_EN"),
    (RECKON_SPI_FORCE_TRACES, "SPI_FORCE_TRACES"),
    (RECKON_SPI_CYCLES_PER_TICK, "SPI_CYCLES_PER_TICK"),
    (RECKON_SPI_ALPHA_CONF_W0, "SPI_ALPHA_CONF_W0"),
    (RECKON_SPI_ALPHA_CONF_W1, "SPI_ALPHA_CONF_W1"),
    (RECKON_SPI_ALPHA_CONF_W2, "SPI_ALPHA_CONF_W2"),
    (RECKON_SPI_ALPHA_CONF_W3, "SPI_ALPHA_CONF_W3"),
    (RECKON_SPI_KAPPA, "SPI_KAPPA"),
    (RECKON_SPI_THR_H_0, "SPI_THR_H_0"),
    (RECKON_SPI_THR_H_1, "SPI_THR_H_1"),
    (RECKON_SPI_THR_H_2, "SPI_THR_H_2"),
    (RECKON_SPI_THR_H_3, "SPI_THR_H_3"),
    (RECKON_SPI_H_0, "SPI_H_0"),
    (RECKON_SPI_H_1, "SPI_H_1"),
    (RECKON_SPI_H_2, "SPI_H_2"),
    (RECKON_SPI_H_3, "SPI_H_3"),
    (RECKON_SPI_H_4, "SPI_H_4"),
    (RECKON_SPI_LR_R_WINP, "SPI_LR_R_WINP"),
    (RECKON_SPI_LR_P_WINP, "SPI_LR_P_WINP"),
    (RECKON_SPI_LR_R_WREC, "SPI_LR_R_WREC"),
    (RECKON_SPI_LR_P_WREC, "SPI_LR_P_WREC"),
    (RECKON_SPI_LR_R_WOUT, "SPI_LR_R_WOUT"),
    (RECKON_SPI_LR_P_WOUT, "SPI_LR_P_WOUT"),
    (RECKON_SPI_SEED_INP, "SPI_SEED_INP"),
    (RECKON_SPI_SEED_REC, "SPI_SEED_REC"),
    (RECKON_SPI_SEED_OUT, "SPI_SEED_OUT"),
    (RECKON_SPI_SEED_STRND_NEUR, "SPI_SEED_STRND_NEUR"),
    (RECKON_SPI_SEED_STRND_ONEUR, "SPI_SEED_STRND_ONEUR"),
    (RECKON_SPI_SEED_STRND_TINP, "SPI_SEED_STRND_TINP"),
    (RECKON_SPI_SEED_STRND_TREC, "SPI_SEED_STRND_TREC"),
    (RECKON_SPI_SEED_STRND_TOUT, "SPI_SEED_STRND_TOUT"),
    (RECKON_SPI_SEED_NOISE_NEUR, "SPI_SEED_NOISE_NEUR"),
    (RECKON_SPI_NUM_INP_NEUR, "SPI_NUM_INP_NEUR"),
    (RECKON_SPI_NUM_REC_NEUR, "SPI_NUM_REC_NEUR"),
    (RECKON_SPI_NUM_OUT_NEUR, "SPI_NUM_OUT_NEUR"),
    (RECKON_SPI_REGUL_F0, "SPI_REGUL_F0"),
    (RECKON_SPI_REGUL_K_INP_R, "SPI_REGUL_K_INP_R"),
    (RECKON_SPI_REGUL_K_INP_P, "SPI_REGUL_K_INP_P"),
    (RECKON_SPI_REGUL_K_REC_R, "SPI_REGUL_K_REC_R"),
    (RECKON_SPI_REGUL_K_REC_P, "SPI_REGUL_K_REC_P"),
    (RECKON_SPI_REGUL_K_MUL, "SPI_REGUL_K_MUL"),
    (RECKON_SPI_NOISE_STR, "SPI_NOISE_STR"),
];

/// The name under which `reckon` knows the register at `address`.
pub(crate) fn name(address: u32) -> Option<&'static str> {
    let row = NAMES.binary_search_by_key(&address, |&(known, _)| known).ok()?;
    NAMES.get(row).map(|&(_, name)| name)
}

/// The address of the register called `name`.
pub(crate) fn address(name: &str) -> Option<u32> {
    NAMES.iter().find(|(_, known)| *known == name).map(|&(address, _)| address)
}

/// The first register whose address is none.
pub(crate) fn unknown(registers: &[ReckonRegister]) -> Option<u32> {
    registers.iter().map(|register| register.address).find(|&address| name(address).is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_register_is_found_by_address_and_by_name() {
        assert!(NAMES.is_sorted_by(|left, right| left.0 < right.0));
        for (known, called) in NAMES {
            assert_eq!(name(known), Some(called));
            assert_eq!(address(called), Some(known));
            let given = reckon::Params::parse([(called, 0)], []);
            let problem = given.err().map(|error| error.problem());
            assert_ne!(problem, Some(reckon::ParamProblem::Unknown), "{called}");
        }
        for free in [4, 7, 24, 28, 29, 34, 63, 97, 105, u32::MAX] {
            assert_eq!(name(free), None, "{free}");
        }
        assert_eq!(address("SPI_KAPPA_"), None);
    }

    #[test]
    fn no_register_of_the_model_is_left_out() {
        let rest = [("SPI_DO_EPROP", 0)];
        let reset = reckon::Params::parse(rest, []).unwrap();
        for (called, _) in reset.registers() {
            assert!(address(called).is_some(), "{called}");
        }
        let unset = NAMES.iter().filter(|(_, name)| reset.get(name).is_none()).count();
        assert_eq!(reset.registers().count() + unset, NAMES.len());
    }
}
