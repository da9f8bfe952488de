//! What nodes should hold: for each channel, the version on its way and the one before it, and who gets which.

use std::collections::BTreeMap;

use federation::channel::{DEFAULT, LABEL, State, place};
use federation::{ChannelName, Digest, Hold, ModelName, NodeId, Selector, VersionNumber};

use crate::store::{Promotion, Standing};

/// The channels, by model and name.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Offers(Vec<Offer>);

/// A channel as nodes see it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Offer {
    model: ModelName,
    channel: ChannelName,
    learner: String,
    selector: Selector,
    samples: u32,
    /// The number of the newest promotion.
    newest: u32,
    /// The version on its way, and the percentage that it has reached.
    rolling: Option<(u8, Version)>,
    good: Version,
    watched: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Version {
    number: VersionNumber,
    digest: Digest,
    told: u32,
}

impl Offers {
    /// The offers of these channels.
    pub(super) fn of(standing: &[Standing]) -> Self {
        let version = |promotion: &Promotion| {
            let Promotion { version: number, digest, told, .. } = *promotion;
            Version { number, digest, told }
        };
        let offer = |Standing { channel, learner, due: _ }: &Standing| Offer {
            model: channel.model.clone(),
            channel: channel.name.clone(),
            learner: learner.clone(),
            selector: channel.setup.selector.clone(),
            samples: channel.setup.evaluate_samples,
            newest: channel.newest.number,
            rolling: (channel.newest.state == State::Rolling).then(|| {
                let newest = &channel.newest;
                (newest.percent, version(newest))
            }),
            good: version(&channel.good),
            watched: channel.newest.watched && channel.setup.guard.is_some(),
        };
        Self(standing.iter().map(offer).collect())
    }

    /// Whether a report can decide anything.
    pub(super) fn watch(&self) -> bool {
        self.0.iter().any(|offer| offer.watched)
    }

    /// Whether there is anything to follow.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Where among the offers a channel stands.
    pub(super) fn place_of(&self, model: &ModelName, channel: &ChannelName) -> Option<usize> {
        self.0.iter().position(|offer| (&offer.model, &offer.channel) == (model, channel))
    }

    /// How many channels there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// A node's place in the newest promotion of the channel at `at`.
    pub(super) fn node_place(&self, at: usize, node: &NodeId) -> u8 {
        let Offer { model, channel, newest, .. } = &self.0[at];
        place(model, channel, *newest, node)
    }

    /// The channel that a node with these labels follows, which can run these learners: of the models that have the
    /// channel it names, the first by name that it can run and whose selector it matches.
    pub(super) fn followed(
        &self,
        labels: &BTreeMap<String, String>,
        learners: &[String],
    ) -> Option<usize> {
        let name = labels.get(LABEL).map_or(DEFAULT, String::as_str);
        self.0.iter().position(|offer| {
            offer.channel.as_str() == name
                && learners.contains(&offer.learner)
                && offer.selector.matches(labels)
        })
    }

    /// What a node should hold.
    pub(crate) fn hold(
        &self,
        node: &NodeId,
        labels: &BTreeMap<String, String>,
        learners: &[String],
    ) -> Option<Hold> {
        let offer = &self.0[self.followed(labels, learners)?];
        let Offer { model, channel, samples, newest, rolling, good, .. } = offer;
        let version = match rolling {
            Some((percent, version)) if place(model, channel, *newest, node) < *percent => version,
            _ => good,
        };
        Some(Hold {
            model: model.clone(),
            channel: channel.clone(),
            version: version.number,
            digest: version.digest,
            promotion: version.told,
            samples: *samples,
        })
    }
}
