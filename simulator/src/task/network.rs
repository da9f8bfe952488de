//! Configurations of the 256-neuron networks that the recorded tasks use: what they share, and what differs.

use std::fmt::Write as _;

use federation::ScheduleStep;
use tasks::navigation::chip;

/// Recurrent neurons.
pub(super) const NEURONS: u16 = 256;

/// What differs between the networks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Network {
    pub(super) inputs: u16,
    pub(super) classes: u8,
    /// Every neuron's threshold.
    pub(super) threshold: i16,
    /// Low 12 bits of every neuron's leak.
    pub(super) alpha12: u16,
    /// Leak of the outputs.
    pub(super) kappa: u32,
    /// Learning rates of input, recurrent and output weights, as powers of two.
    pub(super) rates: [u32; 3],
}

impl Network {
    /// The registers: the chip's test bench, no regularisation, and a pseudo-derivative of 1 from half a threshold below zero on.
    pub(super) fn registers(&self) -> String {
        let below = |potential: i32| {
            u32::from(i16::try_from(potential).unwrap_or(i16::MIN).cast_unsigned())
        };
        let threshold = i32::from(self.threshold);
        let high = (9 * threshold).min(i16::MAX.into());
        let [input, recurrent, output] = self.rates;
        let own = [
            ("SPI_NUM_INP_NEUR", u32::from(self.inputs - 1)),
            ("SPI_NUM_REC_NEUR", u32::from(NEURONS - 1)),
            ("SPI_NUM_OUT_NEUR", u32::from(self.classes - 1)),
            ("SPI_FP_LOC_WOUT", 1),
            ("SPI_FP_LOC_TOUT", 4),
            ("SPI_FP_LOC_TREC", 3),
            ("SPI_REGUL_MODE", 0),
            ("SPI_KAPPA", self.kappa),
            ("SPI_THR_H_0", below(-threshold)),
            ("SPI_THR_H_1", below(-threshold / 2)),
            ("SPI_THR_H_2", below(high)),
            ("SPI_THR_H_3", below(i16::MAX.into())),
            ("SPI_H_2", 1),
            ("SPI_H_3", 1),
            ("SPI_H_4", 0),
            ("SPI_LR_P_WINP", input),
            ("SPI_LR_P_WREC", recurrent),
            ("SPI_LR_P_WOUT", output),
        ];
        let mut text = String::new();
        for (name, value) in chip::REGISTERS {
            let changed =
                own.iter().find(|(own, _)| *own == name).map_or(value, |&(_, value)| value);
            writeln!(text, "{name} {changed}").expect("a String takes whatever is written");
        }
        text
    }

    /// The neurons, all alike.
    pub(super) fn neurons(&self) -> String {
        let mut text = String::from("pair,alpha12,thr\n");
        for pair in 0..NEURONS / 2 {
            writeln!(text, "{pair},{},{}", self.alpha12, self.threshold)
                .expect("a String takes whatever is written");
        }
        text
    }
}

/// Halves the learning rates at each of `rounds`, from `rates` on: a power of two less each time, and once at 0, a bit more of
/// shift to the right.
#[must_use]
pub fn halvings(rates: [u32; 3], rounds: &[u32]) -> Vec<ScheduleStep> {
    let names = ["WINP", "WREC", "WOUT"];
    let step = |(&from_round, times): (&u32, u32)| {
        let registers = names.iter().zip(rates).flat_map(|(name, rate)| {
            [
                (format!("SPI_LR_P_{name}"), rate.saturating_sub(times)),
                (format!("SPI_LR_R_{name}"), times.saturating_sub(rate)),
            ]
        });
        ScheduleStep { from_round, registers: registers.collect() }
    };
    rounds.iter().zip(1..).map(step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chip_takes_the_configuration() {
        let network = Network {
            inputs: 144,
            classes: 10,
            threshold: 2_000,
            alpha12: 0xCD7,
            kappa: 126,
            rates: [9, 9, 8],
        };
        let params = reckon::Params::parse_text(&network.registers(), &network.neurons()).unwrap();
        let shape = params.shape();
        assert_eq!((shape.inputs, shape.recurrent, shape.outputs), (144, 256, 10));
        assert_eq!(params.get("SPI_THR_H_1"), Some(65_536 - 1_000));
        assert_eq!(params.get("SPI_THR_H_2"), Some(18_000));
    }

    #[test]
    fn rates_are_halved_below_one() {
        let steps = halvings([2, 1, 0], &[5, 7]);
        let at = |step: usize, name: &str| steps[step].registers[name];
        assert_eq!((steps[0].from_round, steps[1].from_round), (5, 7));
        assert_eq!(
            [at(0, "SPI_LR_P_WINP"), at(0, "SPI_LR_P_WOUT"), at(0, "SPI_LR_R_WOUT")],
            [1, 0, 1]
        );
        assert_eq!(
            [at(1, "SPI_LR_P_WINP"), at(1, "SPI_LR_R_WREC"), at(1, "SPI_LR_R_WOUT")],
            [0, 1, 2]
        );
    }
}
