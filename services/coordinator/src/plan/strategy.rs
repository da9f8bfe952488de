//! A plan's strategy as JSON: its name, and the fields of that strategy and no other.

use federation::{Strategy, Weighting};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A strategy. A field of another one is refused like a misspelt one.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(tag = "name", rename_all = "lowercase", deny_unknown_fields)]
#[schema(as = Strategy)]
pub(super) enum StrategyBody {
    /// The mean.
    FedAvg {
        /// Step of the server along the mean of the updates; above 0.
        #[schema(exclusive_minimum = 0, maximum = 100, examples(1.0))]
        server_learning_rate: f64,
        /// How much an update counts.
        weighting: WeightingBody,
    },
    /// The mean, with momentum.
    FedAvgM {
        /// Step of the server along the mean of the updates; above 0.
        #[schema(exclusive_minimum = 0, maximum = 100, examples(1.0))]
        server_learning_rate: f64,
        /// How much an update counts.
        weighting: WeightingBody,
        /// What is kept of the last step.
        #[schema(minimum = 0, maximum = 0.999)]
        momentum: f64,
    },
    /// Steps by lane, as Adam takes them.
    FedAdam {
        /// Step of the server along the mean of the updates; above 0.
        #[schema(exclusive_minimum = 0, maximum = 100, examples(1.0))]
        server_learning_rate: f64,
        /// How much an update counts.
        weighting: WeightingBody,
        /// Decay of the mean.
        #[schema(minimum = 0, maximum = 0.999)]
        beta1: f64,
        /// Decay of the square.
        #[schema(minimum = 0, maximum = 0.99999)]
        beta2: f64,
        /// What keeps a lane at rest from jumping, in steps of a weight.
        #[schema(minimum = 0.000001, maximum = 1_000)]
        tau: f64,
    },
    /// The median, lane by lane.
    Median {
        /// Step of the server along the mean of the updates; above 0.
        #[schema(exclusive_minimum = 0, maximum = 100, examples(1.0))]
        server_learning_rate: f64,
    },
    /// The mean without the outermost updates, lane by lane.
    #[serde(rename = "trimmed_mean")]
    TrimmedMean {
        /// Step of the server along the mean of the updates; above 0.
        #[schema(exclusive_minimum = 0, maximum = 100, examples(1.0))]
        server_learning_rate: f64,
        /// Thousandths of the updates to leave out at either end.
        #[schema(minimum = 0, maximum = 499)]
        trim_permille: u32,
    },
    /// Asynchronous: every buffer full of updates makes a version.
    FedBuff {
        /// Step of the server along the mean of the updates; above 0.
        #[schema(exclusive_minimum = 0, maximum = 100, examples(1.0))]
        server_learning_rate: f64,
        /// How much an update counts.
        weighting: WeightingBody,
        /// Most versions that an update may be late by.
        #[schema(minimum = 0, maximum = 255)]
        staleness_max: u32,
    },
}

/// How much an update counts.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = Weighting)]
pub(super) enum WeightingBody {
    /// As much as it has samples.
    Samples,
    /// As much as any other.
    Equal,
}

impl From<StrategyBody> for Strategy {
    fn from(body: StrategyBody) -> Self {
        match body {
            StrategyBody::FedAvg { server_learning_rate, weighting } => {
                Self::FedAvg { server_learning_rate, weighting: weighting.into() }
            }
            StrategyBody::FedAvgM { server_learning_rate, weighting, momentum } => {
                Self::FedAvgM { server_learning_rate, weighting: weighting.into(), momentum }
            }
            StrategyBody::FedAdam { server_learning_rate, weighting, beta1, beta2, tau } => {
                Self::FedAdam {
                    server_learning_rate,
                    weighting: weighting.into(),
                    beta1,
                    beta2,
                    tau,
                }
            }
            StrategyBody::Median { server_learning_rate } => Self::Median { server_learning_rate },
            StrategyBody::TrimmedMean { server_learning_rate, trim_permille } => {
                Self::TrimmedMean { server_learning_rate, trim_permille }
            }
            StrategyBody::FedBuff { server_learning_rate, weighting, staleness_max } => {
                Self::FedBuff { server_learning_rate, weighting: weighting.into(), staleness_max }
            }
        }
    }
}

impl From<Strategy> for StrategyBody {
    fn from(strategy: Strategy) -> Self {
        match strategy {
            Strategy::FedAvg { server_learning_rate, weighting } => {
                Self::FedAvg { server_learning_rate, weighting: weighting.into() }
            }
            Strategy::FedAvgM { server_learning_rate, weighting, momentum } => {
                Self::FedAvgM { server_learning_rate, weighting: weighting.into(), momentum }
            }
            Strategy::FedAdam { server_learning_rate, weighting, beta1, beta2, tau } => {
                Self::FedAdam {
                    server_learning_rate,
                    weighting: weighting.into(),
                    beta1,
                    beta2,
                    tau,
                }
            }
            Strategy::Median { server_learning_rate } => Self::Median { server_learning_rate },
            Strategy::TrimmedMean { server_learning_rate, trim_permille } => {
                Self::TrimmedMean { server_learning_rate, trim_permille }
            }
            Strategy::FedBuff { server_learning_rate, weighting, staleness_max } => {
                Self::FedBuff { server_learning_rate, weighting: weighting.into(), staleness_max }
            }
        }
    }
}

impl From<WeightingBody> for Weighting {
    fn from(body: WeightingBody) -> Self {
        match body {
            WeightingBody::Samples => Self::Samples,
            WeightingBody::Equal => Self::Equal,
        }
    }
}

impl From<Weighting> for WeightingBody {
    fn from(weighting: Weighting) -> Self {
        match weighting {
            Weighting::Samples => Self::Samples,
            Weighting::Equal => Self::Equal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXTS: [&str; 6] = [
        r#"{"name":"fedavg","server_learning_rate":1.5,"weighting":"samples"}"#,
        r#"{"name":"fedavgm","server_learning_rate":1.0,"weighting":"equal","momentum":0.9}"#,
        r#"{"name":"fedadam","server_learning_rate":0.1,"weighting":"equal","beta1":0.9,"beta2":0.99,"tau":0.001}"#,
        r#"{"name":"median","server_learning_rate":1.0}"#,
        r#"{"name":"trimmed_mean","server_learning_rate":1.0,"trim_permille":100}"#,
        r#"{"name":"fedbuff","server_learning_rate":1.0,"weighting":"samples","staleness_max":20}"#,
    ];

    #[test]
    fn the_text_of_each_is_what_stored_plans_have() {
        for text in TEXTS {
            let body: StrategyBody = serde_json::from_str(text).unwrap();
            let again = StrategyBody::from(Strategy::from(body));
            assert_eq!(serde_json::to_string(&again).unwrap(), text);
        }
        // The numbers come back to the last bit through the tag's detour too.
        let text = TEXTS[0].replace("1.5", "0.30000000000000004");
        let body: StrategyBody = serde_json::from_str(&text).unwrap();
        assert_eq!(
            Strategy::from(body).server_learning_rate().to_bits(),
            (0.1_f64 + 0.2).to_bits()
        );
    }

    #[test]
    fn a_field_too_many_twice_or_missing_is_refused() {
        let refused =
            |text: &str| serde_json::from_str::<StrategyBody>(text).unwrap_err().to_string();
        let extra = ["momentum", "beta1", "trim_permille", "staleness_max", "Weighting"];
        for text in TEXTS {
            for field in extra.iter().filter(|field| !text.contains(**field)) {
                let text = text.replace('}', &format!(",\"{field}\":1}}"));
                assert!(refused(&text).contains(&format!("unknown field `{field}`")), "{text}");
            }
            let rate = "\"server_learning_rate\":";
            assert!(refused(&text.replace(rate, "\"rate\":")).contains("unknown field `rate`"));
            let twice = text.replace('}', &format!(",{rate}1.0}}"));
            assert!(refused(&twice).contains("duplicate field `server_learning_rate`"), "{twice}");
            let end = text.rfind(',').unwrap();
            let missing = format!("{}}}", &text[..end]);
            assert!(refused(&missing).contains("missing field"), "{missing}");
        }
        assert!(refused(r#"{"name":"fedsgd"}"#).contains("unknown variant `fedsgd`"));
        assert!(refused(r#"{"server_learning_rate":1.0}"#).contains("missing field `name`"));
    }
}
