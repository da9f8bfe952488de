//! Training plans for navigation, with what was measured with them.
//!
//! The chip's updates are immediate, stochastic and one LSB each, so at a constant learning rate accuracy swings by many
//! points from version to version; halving the rate (one less in `SPI_LR_P_*`) late in training settles it. The chip's
//! test bench also regularises firing rates; averaged over a fleet that costs accuracy, so it is off, but for the first rounds
//! of [`ONE_CLASS`].
//!
//! [`FLEET`], 20 nodes, tested on 300 samples that no node trained on, seeds 1 to 20 of a search program with its own
//! derivation of seeds: mean 98.7 %, 19 of 20 at 98.3 % or above, the worst 93.3 %. Neighbours, same measure:
//!
//! | plan | seeds | mean | worst |
//! |---|---|---|---|
//! | no schedule, regularised, server rate 1.5, 30 rounds | 6 | 93.2 | 91.3 |
//! | two halvings, regularised, server rate 2, 30 rounds | 6 | 95.6 | 93.7 |
//! | this one | 20 | 98.7 | 93.3 |
//! | 20 rounds, halvings at 12, 14, 17, output weights of 9.43 | 20 | 98.7 | 95.0 |
//! | 32 rounds, halvings at 14, 20, 26 | 8 | 97.9 | 94.7 |
//! | server rate 3, halvings at 7, 12, 16, 20 | 8 | 95.8 | 82.5 |

/// How a federation trains: everything about it that is not the network, the data or the fleet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plan {
    /// Rounds, counted from 1; each makes a version.
    pub rounds: u32,
    /// Samples that a node trains on in a round: fresh ones of its stream, or all it has.
    pub samples: u32,
    /// How often it goes through them.
    pub epochs: u32,
    /// What the server multiplies the mean of the deltas by.
    pub server_learning_rate: f64,
    /// Registers that the nodes set from a round on, rounds ascending; a register keeps its value until it is set again.
    pub schedule: &'static [Step],
}

/// Registers to set from a round on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// The first round it holds for.
    pub from_round: u32,
    /// Names and values.
    pub registers: &'static [(&'static str, u32)],
}

/// Halves the learning rates `halvings` times, from those of the chip's test bench (8, 8, 14), or from another one of the
/// output weights.
macro_rules! rates {
    ($from_round:expr, $halvings:expr) => {
        rates!($from_round, $halvings, 14)
    };
    ($from_round:expr, $halvings:expr, $output:expr $(, $more:expr)*) => {
        Step {
            from_round: $from_round,
            registers: &[
                ("SPI_LR_P_WINP", 8 - $halvings),
                ("SPI_LR_P_WREC", 8 - $halvings),
                ("SPI_LR_P_WOUT", $output - $halvings),
                $($more,)*
            ],
        }
    };
}

/// No regularisation of firing rates.
const OFF: (&str, u32) = ("SPI_REGUL_MODE", 0);
const UNREGULARISED: Step = Step { from_round: 1, registers: &[OFF] };

/// A fleet of about 20 nodes, each with an endless stream of its own.
pub const FLEET: Plan = Plan {
    rounds: 24,
    samples: 10,
    epochs: 1,
    server_learning_rate: 2.0,
    schedule: &[UNREGULARISED, rates!(12, 1), rates!(16, 2), rates!(20, 3)],
};

/// Five nodes, each with ten of the 50 recordings that come with the chip.
pub const RECORDINGS: Plan = Plan {
    rounds: 20,
    samples: 10,
    epochs: 1,
    server_learning_rate: 2.0,
    schedule: &[UNREGULARISED, rates!(12, 1), rates!(14, 2), rates!(17, 3)],
};

/// A hundred nodes, each with five samples of one class, 20 of them in a round.
///
/// Without regularisation such a fleet never leaves 50 %: five samples of one class move a node to that class altogether,
/// and the versions swing from one class to the other. Once the network tells the classes apart, regularisation only pulls
/// it away again, so it ends then; and rates fall fast from there, since what a node learns of its one class leads away, too.
/// Slower output weights than the test bench's let the versions stop swinging earlier. Figures: BENCHMARKS.md.
pub const ONE_CLASS: Plan = Plan {
    rounds: 40,
    samples: 5,
    epochs: 3,
    server_learning_rate: 2.0,
    schedule: &[
        rates!(1, 1, 13),
        rates!(17, 2, 13),
        rates!(23, 3, 13, OFF),
        rates!(26, 4, 13),
        rates!(28, 5, 13),
        rates!(30, 6, 13),
        rates!(32, 7, 13),
    ],
};
