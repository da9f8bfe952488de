//! How updates become a version: the strategies, and what each asks of those who carry it out.

use crate::aggregate::{Weight, staleness};
use crate::limits::{
    MOMENTUM_MAX, SECOND_DECAY_MAX, SERVER_LEARNING_RATE_MAX, STALENESS_MAX, TAU_RANGE,
    TRIM_PERMILLE_MAX,
};

/// How updates become a version.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Strategy {
    /// Federated averaging (McMahan et al., AISTATS 2017) with a server learning rate (Reddi et al., ICLR 2021).
    FedAvg {
        /// Factor on the mean delta; 1.0 is plain averaging.
        server_learning_rate: f64,
        /// What an update weighs.
        weighting: Weighting,
    },
    /// Federated averaging with server momentum (Hsu et al., 2019).
    FedAvgM {
        /// Factor on the momentum.
        server_learning_rate: f64,
        /// What an update weighs.
        weighting: Weighting,
        /// What is left of the momentum after a round.
        momentum: f64,
    },
    /// Adam on the server (Reddi et al., ICLR 2021).
    FedAdam {
        /// About the most that a weight moves in a round.
        server_learning_rate: f64,
        /// What an update weighs.
        weighting: Weighting,
        /// What is left of the first moment after a round.
        beta1: f64,
        /// What is left of the second moment after a round.
        beta2: f64,
        /// Added to the root of the second moment: how adaptive it is not.
        tau: f64,
    },
    /// The median of each weight (Yin et al., ICML 2018). Every node counts once.
    Median {
        /// Factor on the median delta.
        server_learning_rate: f64,
    },
    /// The mean of each weight without its extremes (Yin et al., ICML 2018). Every node counts once.
    TrimmedMean {
        /// Factor on the trimmed mean delta.
        server_learning_rate: f64,
        /// Thousandths of the updates that are left out at either end, rounded down.
        trim_permille: u32,
    },
    /// Asynchronous: a filled buffer makes the next version, and late updates weigh less (Nguyen et al., AISTATS 2022).
    FedBuff {
        /// Factor on the mean delta of the buffer.
        server_learning_rate: f64,
        /// What an update of the newest version weighs.
        weighting: Weighting,
        /// Versions by which an update may be late before it is refused.
        staleness_max: u32,
    },
}

/// What an update weighs in the mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weighting {
    /// Its sample count.
    Samples,
    /// The same as every other.
    Equal,
}

impl Weighting {
    /// The weight of an update of `samples` samples.
    #[must_use]
    pub fn weight(self, samples: u32) -> u32 {
        match self {
            Self::Samples => samples,
            Self::Equal => 1,
        }
    }
}

impl Strategy {
    /// The factor on a round's aggregate.
    #[must_use]
    pub fn server_learning_rate(self) -> f64 {
        match self {
            Self::FedAvg { server_learning_rate, .. }
            | Self::FedAvgM { server_learning_rate, .. }
            | Self::FedAdam { server_learning_rate, .. }
            | Self::Median { server_learning_rate }
            | Self::TrimmedMean { server_learning_rate, .. }
            | Self::FedBuff { server_learning_rate, .. } => server_learning_rate,
        }
    }

    /// Whether each update's vector must be kept until the round is published; otherwise it is folded and gone.
    #[must_use]
    pub fn keeps_vectors(self) -> bool {
        match self {
            Self::Median { .. } | Self::TrimmedMean { .. } => true,
            Self::FedAvg { .. }
            | Self::FedAvgM { .. }
            | Self::FedAdam { .. }
            | Self::FedBuff { .. } => false,
        }
    }

    /// Whether updates of older versions count, and a full buffer makes the next version.
    #[must_use]
    pub fn asynchronous(self) -> bool {
        match self {
            Self::FedBuff { .. } => true,
            Self::FedAvg { .. }
            | Self::FedAvgM { .. }
            | Self::FedAdam { .. }
            | Self::Median { .. }
            | Self::TrimmedMean { .. } => false,
        }
    }

    /// Versions by which an update may be late: none in a synchronous round.
    #[must_use]
    pub fn staleness_max(self) -> u32 {
        match self {
            Self::FedBuff { staleness_max, .. } => staleness_max,
            Self::FedAvg { .. }
            | Self::FedAvgM { .. }
            | Self::FedAdam { .. }
            | Self::Median { .. }
            | Self::TrimmedMean { .. } => 0,
        }
    }

    /// What an update of `samples` samples brings into the sum, `staleness` versions late; `None` when it is too late
    /// to count.
    ///
    /// A late update weighs less and is divided by as much as a fresh one. So a buffer of late updates moves the model
    /// less, as in the paper, which divides by the size of the buffer.
    #[must_use]
    pub fn weight(self, samples: u32, staleness: u32) -> Option<Weight> {
        if staleness > self.staleness_max() {
            return None;
        }
        match self {
            Self::FedAvg { weighting, .. }
            | Self::FedAvgM { weighting, .. }
            | Self::FedAdam { weighting, .. } => Some(Weight::full(weighting.weight(samples))),
            Self::Median { .. } | Self::TrimmedMean { .. } => Some(Weight::full(1)),
            Self::FedBuff { weighting, .. } => {
                let scaled = |scale: u16| weighting.weight(samples).checked_mul(scale.into());
                let factor = scaled(staleness::scale(staleness)?)?;
                Some(Weight { factor, total: scaled(staleness::UNIT)? })
            }
        }
    }

    /// Tells `must` about every number of the strategy.
    pub(crate) fn check(self, must: &mut impl FnMut(bool, &str, String, String)) {
        let rate = self.server_learning_rate();
        must(
            rate.is_finite() && rate > 0.0 && rate <= SERVER_LEARNING_RATE_MAX,
            "strategy.server_learning_rate",
            format!("above 0, at most {SERVER_LEARNING_RATE_MAX}"),
            rate.to_string(),
        );
        let mut within = |field: &str, got: f64, [min, max]: [f64; 2]| {
            let ok = (min..=max).contains(&got);
            must(ok, field, format!("{min} to {max}"), got.to_string());
        };
        match self {
            Self::FedAvg { .. } | Self::Median { .. } => (),
            Self::FedAvgM { momentum, .. } => {
                within("strategy.momentum", momentum, [0.0, MOMENTUM_MAX]);
            }
            Self::FedAdam { beta1, beta2, tau, .. } => {
                within("strategy.beta1", beta1, [0.0, MOMENTUM_MAX]);
                within("strategy.beta2", beta2, [0.0, SECOND_DECAY_MAX]);
                within("strategy.tau", tau, TAU_RANGE);
            }
            Self::TrimmedMean { trim_permille, .. } => must(
                (1..=TRIM_PERMILLE_MAX).contains(&trim_permille),
                "strategy.trim_permille",
                format!("1 to {TRIM_PERMILLE_MAX}"),
                trim_permille.to_string(),
            ),
            Self::FedBuff { staleness_max, .. } => must(
                staleness_max <= STALENESS_MAX,
                "strategy.staleness_max",
                format!("at most {STALENESS_MAX}"),
                staleness_max.to_string(),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: f64 = 1.0;
    const SAMPLES: Weighting = Weighting::Samples;

    fn all() -> [Strategy; 6] {
        let (server_learning_rate, weighting) = (RATE, SAMPLES);
        [
            Strategy::FedAvg { server_learning_rate, weighting },
            Strategy::FedAvgM { server_learning_rate, weighting, momentum: 0.9 },
            Strategy::FedAdam {
                server_learning_rate,
                weighting,
                beta1: 0.9,
                beta2: 0.99,
                tau: 1.0,
            },
            Strategy::Median { server_learning_rate },
            Strategy::TrimmedMean { server_learning_rate, trim_permille: 100 },
            Strategy::FedBuff { server_learning_rate, weighting, staleness_max: 3 },
        ]
    }

    fn problems(strategy: Strategy) -> Vec<String> {
        let mut fields = Vec::new();
        strategy.check(&mut |ok, field, _, _| {
            if !ok {
                fields.push(field.to_owned());
            }
        });
        fields
    }

    #[test]
    fn each_says_what_it_needs() {
        assert_eq!(all().map(Strategy::keeps_vectors), [false, false, false, true, true, false]);
        assert_eq!(all().map(Strategy::asynchronous), [false, false, false, false, false, true]);
        assert_eq!(all().map(Strategy::staleness_max), [0, 0, 0, 0, 0, 3]);
    }

    #[test]
    fn an_update_weighs_less_the_later_it_is() {
        let full = |weight| Some(Weight::full(weight));
        let fresh = [full(7), full(7), full(7), full(1), full(1), full(7 * 256)];
        assert_eq!(all().map(|strategy| strategy.weight(7, 0)), fresh);
        let late = Some(Weight { factor: 7 * 181, total: 7 * 256 });
        assert_eq!(
            all().map(|strategy| strategy.weight(7, 1)),
            [None, None, None, None, None, late]
        );
        assert_eq!(all()[5].weight(7, 4), None);
        let most = Strategy::FedBuff {
            server_learning_rate: RATE,
            weighting: SAMPLES,
            staleness_max: STALENESS_MAX,
        };
        let samples = crate::limits::SAMPLES_MAX;
        let late = Weight { factor: samples * 16, total: samples * 256 };
        assert_eq!(most.weight(samples, STALENESS_MAX), Some(late));
    }

    #[test]
    fn numbers_out_of_range_are_named() {
        assert_eq!(all().map(problems), [const { Vec::<String>::new() }; 6]);
        let (server_learning_rate, weighting) = (f64::NAN, SAMPLES);
        let bad = [
            (Strategy::FedAvg { server_learning_rate, weighting }, &["server_learning_rate"][..]),
            (
                Strategy::FedAvgM { server_learning_rate, weighting, momentum: 1.0 },
                &["server_learning_rate", "momentum"],
            ),
            (
                Strategy::FedAdam {
                    server_learning_rate,
                    weighting,
                    beta1: -0.1,
                    beta2: f64::NAN,
                    tau: 0.0,
                },
                &["server_learning_rate", "beta1", "beta2", "tau"],
            ),
            (Strategy::Median { server_learning_rate }, &["server_learning_rate"]),
            (
                Strategy::TrimmedMean { server_learning_rate: RATE, trim_permille: 500 },
                &["trim_permille"],
            ),
            (
                Strategy::TrimmedMean { server_learning_rate: RATE, trim_permille: 0 },
                &["trim_permille"],
            ),
            (
                Strategy::FedBuff { server_learning_rate: 0.0, weighting, staleness_max: 256 },
                &["server_learning_rate", "staleness_max"],
            ),
        ];
        for (strategy, fields) in bad {
            let fields: Vec<String> = fields.iter().map(|f| format!("strategy.{f}")).collect();
            assert_eq!(problems(strategy), fields);
        }
    }
}
