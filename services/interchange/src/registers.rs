//! Where the chip's registers stand on its SPI bus (SPEC 10; spi_slave.v of the public RTL).

/// A configuration register.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Register {
    /// Its address.
    pub(crate) address: u16,
    /// Its name.
    pub(crate) name: &'static str,
    /// Its width in bits, 1..=32. Of a longer value the chip keeps the low bits.
    pub(crate) bits: u32,
    /// Reset gives it a value. A generator's seed counts: reset seeds the generator.
    pub(crate) reset: bool,
}

impl Register {
    /// The register at `address`.
    pub(crate) fn at(address: u16) -> Option<&'static Self> {
        REGISTERS.iter().find(|register| register.address == address)
    }

    /// The register called `name`.
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        REGISTERS.iter().find(|register| register.name == name)
    }

    /// The greatest value it holds.
    pub(crate) fn max(&self) -> u32 {
        u32::MAX >> (32 - self.bits)
    }

    /// Writing it reloads a generator, which takes SPI_EN_CONF = 1.
    pub(crate) fn is_seed(&self) -> bool {
        self.name.starts_with("SPI_SEED_")
    }
}

/// Address of SPI_EN_CONF, which opens the memories and the seeds to the bus.
pub(crate) const EN_CONF: u16 = 0;

const fn row(address: u16, name: &'static str, bits: u32, reset: bool) -> Register {
    Register { address, name, bits, reset }
}

/// Every register, in address order.
pub(crate) static REGISTERS: [Register; 67] = [
    row(0, "SPI_EN_CONF", 1, true),
    row(1, "SPI_RO_STAGE_SEL", 9, false),
    row(2, "SPI_GET_CLKINT_OUT", 1, true),
    row(3, "SPI_GET_TAR_REQ_OUT", 1, true),
    row(8, "SPI_RST_MODE", 1, true),
    row(9, "SPI_DO_EPROP", 3, true),
    row(10, "SPI_LOCAL_TICK", 1, true),
    row(11, "SPI_ERROR_HALT", 1, true),
    row(12, "SPI_FP_LOC_WINP", 3, true),
    row(13, "SPI_FP_LOC_WREC", 3, true),
    row(14, "SPI_FP_LOC_WOUT", 3, true),
    row(15, "SPI_FP_LOC_TINP", 3, true),
    row(16, "SPI_FP_LOC_TREC", 3, true),
    row(17, "SPI_FP_LOC_TOUT", 3, true),
    row(18, "SPI_LEARN_SIG_SCALE", 4, true),
    row(19, "SPI_REGUL_MODE", 3, true),
    row(20, "SPI_REGUL_W", 2, true),
    row(21, "SPI_EN_STOCH_ROUND", 1, true),
    row(22, "SPI_SRAM_SPEEDMODE", 8, true),
    row(23, "SPI_TIMING_MODE", 1, true),
    row(25, "SPI_REGRESSION", 1, true),
    row(26, "SPI_SINGLE_LABEL", 1, true),
    row(27, "SPI_NO_OUT_ACT", 1, true),
    row(30, "SPI_SEND_PER_TIMESTEP", 1, true),
    row(31, "SPI_SEND_LABEL_ONLY", 1, true),
    row(32, "SPI_NOISE_EN", 1, true),
    row(33, "SPI_FORCE_TRACES", 1, true),
    row(64, "SPI_CYCLES_PER_TICK", 32, false),
    row(65, "SPI_ALPHA_CONF_W0", 32, true),
    row(66, "SPI_ALPHA_CONF_W1", 32, true),
    row(67, "SPI_ALPHA_CONF_W2", 32, true),
    row(68, "SPI_ALPHA_CONF_W3", 32, true),
    row(69, "SPI_KAPPA", 8, true),
    row(70, "SPI_THR_H_0", 16, false),
    row(71, "SPI_THR_H_1", 16, false),
    row(72, "SPI_THR_H_2", 16, false),
    row(73, "SPI_THR_H_3", 16, false),
    row(74, "SPI_H_0", 5, false),
    row(75, "SPI_H_1", 5, false),
    row(76, "SPI_H_2", 5, false),
    row(77, "SPI_H_3", 5, false),
    row(78, "SPI_H_4", 5, false),
    row(79, "SPI_LR_R_WINP", 5, false),
    row(80, "SPI_LR_P_WINP", 5, false),
    row(81, "SPI_LR_R_WREC", 5, false),
    row(82, "SPI_LR_P_WREC", 5, false),
    row(83, "SPI_LR_R_WOUT", 5, false),
    row(84, "SPI_LR_P_WOUT", 5, false),
    row(85, "SPI_SEED_INP", 25, true),
    row(86, "SPI_SEED_REC", 25, true),
    row(87, "SPI_SEED_OUT", 22, true),
    row(88, "SPI_SEED_STRND_NEUR", 30, true),
    row(89, "SPI_SEED_STRND_ONEUR", 15, true),
    row(90, "SPI_SEED_STRND_TINP", 30, true),
    row(91, "SPI_SEED_STRND_TREC", 30, true),
    row(92, "SPI_SEED_STRND_TOUT", 30, true),
    row(93, "SPI_SEED_NOISE_NEUR", 17, true),
    row(94, "SPI_NUM_INP_NEUR", 8, true),
    row(95, "SPI_NUM_REC_NEUR", 8, true),
    row(96, "SPI_NUM_OUT_NEUR", 4, true),
    row(98, "SPI_REGUL_F0", 12, false),
    row(99, "SPI_REGUL_K_INP_R", 5, false),
    row(100, "SPI_REGUL_K_INP_P", 5, false),
    row(101, "SPI_REGUL_K_REC_R", 5, false),
    row(102, "SPI_REGUL_K_REC_P", 5, false),
    row(103, "SPI_REGUL_K_MUL", 5, false),
    row(104, "SPI_NOISE_STR", 4, false),
];

#[cfg(test)]
mod tests {
    use super::*;
    use reckon::{ParamProblem, Params};

    #[test]
    fn names_widths_and_reset_values_are_those_of_the_chip_model() {
        let mut params = Params::parse([("SPI_DO_EPROP", 0)], []).unwrap();
        let known: Vec<_> = params.registers().map(|(name, _)| name).collect();
        let here: Vec<_> = REGISTERS.iter().filter(|r| r.reset).map(|r| r.name).collect();
        assert_eq!(here, known);
        for register in &REGISTERS {
            let Some(above) = register.max().checked_add(1) else { continue };
            let error = params.set(register.name, above).unwrap_err();
            let expected = ParamProblem::OutOfRange { value: above, max: register.max() };
            assert_eq!(error.problem(), expected, "{}", register.name);
        }
    }

    #[test]
    fn addresses_ascend() {
        assert!(REGISTERS.is_sorted_by_key(|register| register.address));
        assert_eq!(Register::at(69).unwrap().name, "SPI_KAPPA");
        assert_eq!(Register::at(104).unwrap().name, "SPI_NOISE_STR");
        assert!([4, 24, 28, 29, 34, 63, 97, 105].into_iter().all(|a| Register::at(a).is_none()));
    }
}
