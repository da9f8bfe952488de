//! The version a node should hold, and the one it holds.

use federation::limits::{PROMOTION_NUMBER_MAX, SAMPLES_MAX};
use federation::{Hold, Holding, VersionNumber};

use super::parse::{Malformed, digest, digest_bytes, name, within};
use crate::v1;

impl TryFrom<v1::Holding> for Holding {
    type Error = Malformed;
    fn try_from(message: v1::Holding) -> Result<Self, Malformed> {
        let v1::Holding { digest: of, promotion } = message;
        Ok(Self {
            digest: digest("holding.digest", &of)?,
            promotion: within("holding.promotion", promotion, 1..=PROMOTION_NUMBER_MAX)?,
        })
    }
}

impl From<Holding> for v1::Holding {
    fn from(holding: Holding) -> Self {
        let Holding { digest, promotion } = holding;
        Self { digest: digest_bytes(digest), promotion }
    }
}

impl TryFrom<v1::Hold> for Hold {
    type Error = Malformed;
    fn try_from(message: v1::Hold) -> Result<Self, Malformed> {
        let v1::Hold { model, channel, version, digest: of, promotion, samples } = message;
        Ok(Self {
            model: name("hold.model", &model)?,
            channel: name("hold.channel", &channel)?,
            version: VersionNumber(within("hold.version", version, 1..=u32::MAX)?),
            digest: digest("hold.digest", &of)?,
            promotion: within("hold.promotion", promotion, 1..=PROMOTION_NUMBER_MAX)?,
            samples: within("hold.samples", samples, 1..=SAMPLES_MAX)?,
        })
    }
}

impl From<Hold> for v1::Hold {
    fn from(hold: Hold) -> Self {
        let Hold { model, channel, version: VersionNumber(version), digest, promotion, samples } =
            hold;
        Self {
            model: model.as_str().to_owned(),
            channel: channel.as_str().to_owned(),
            version,
            digest: digest_bytes(digest),
            promotion,
            samples,
        }
    }
}
