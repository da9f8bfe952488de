//! What nodes report about the version on its way, added up by their places in the promotion; and how many nodes there
//! are at each place.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use federation::channel::{Evidence, place};
use federation::reports::{Report, Total};
use federation::{ChannelName, Clock, ModelName, NodeId};

use super::{COUNT_MS, Desk, NODES_READ, Offers, REPORTS_READ};
use crate::store::{Channel, Standing, Store, StoreError};

/// Places of a promotion: a step of so many percent is all below it.
const PLACES: usize = 100;

/// The reports about one promotion.
#[derive(Debug)]
pub(super) struct Tally {
    promotion: u32,
    /// The promotion began after this report; it is another one when it was approved later.
    since: u64,
    /// The last report that was read.
    read: u64,
    /// The last word of each node that follows the channel.
    nodes: BTreeMap<NodeId, (usize, Report)>,
    places: [Total; PLACES],
    waits_for_count: bool,
}

impl Tally {
    /// Nothing was read yet.
    pub(super) fn new(channel: &Channel) -> Self {
        let newest = &channel.newest;
        Self {
            promotion: newest.number,
            since: newest.since_report,
            read: newest.since_report,
            nodes: BTreeMap::new(),
            places: [Total::default(); PLACES],
            waits_for_count: false,
        }
    }

    /// Whether it is about what moved the channel last.
    pub(super) fn is_of(&self, channel: &Channel) -> bool {
        let newest = &channel.newest;
        (self.promotion, self.since) == (newest.number, newest.since_report)
    }

    /// Whether a decision waits until it is known how many nodes the step has.
    pub(super) fn waits_for_count(&self) -> bool {
        self.waits_for_count
    }

    /// Notes whether it does.
    pub(super) fn set_waits_for_count(&mut self, waits: bool) {
        self.waits_for_count = waits;
    }

    /// Reads what came since it last did.
    pub(super) async fn read(
        &mut self,
        standing: &Standing,
        offers: &Offers,
        store: &Store,
    ) -> Result<(), StoreError> {
        let channel = &standing.channel;
        let own = offers.place_of(&channel.model, &channel.name);
        loop {
            let (model, digest) = (channel.model.clone(), channel.newest.digest);
            let reports = store.reports_after(model, digest, self.read, REPORTS_READ).await?;
            let Some(last) = reports.last() else { return Ok(()) };
            self.read = last.place;
            for reported in reports {
                if offers.followed(&reported.labels, &reported.learners) == own {
                    self.take(&channel.model, &channel.name, reported.node, reported.report);
                }
            }
        }
    }

    fn take(&mut self, model: &ModelName, name: &ChannelName, node: NodeId, report: Report) {
        let at = usize::from(place(model, name, self.promotion, &node));
        if let Some((at, before)) = self.nodes.insert(node, (at, report)) {
            self.places[at].take_back(before);
        }
        self.places[at].add(report);
    }

    /// How many nodes from `before` to below `percent` reported.
    pub(super) fn nodes(&self, before: u8, percent: u8) -> u64 {
        self.evidence(percent).nodes - self.evidence(before).nodes
    }

    /// What the nodes below `percent` report.
    pub(super) fn evidence(&self, percent: u8) -> Evidence {
        let mut evidence = Evidence::default();
        for total in &self.places[..usize::from(percent).min(PLACES)] {
            evidence.nodes += total.nodes;
            evidence.samples += total.samples;
            evidence.correct += total.correct;
        }
        evidence
    }
}

/// How many enrolled nodes follow each channel, by their places in its newest promotion.
#[derive(Debug)]
pub(super) struct Members {
    places: Vec<[u64; PLACES]>,
    enrolled: u64,
    counted_ms: u64,
}

impl Members {
    /// Reads all nodes. Seldom: only while fewer nodes reported than a guard asks for.
    pub(super) async fn count(
        offers: &Offers,
        desk: &Desk,
        store: &Store,
        clock: &dyn Clock,
    ) -> Result<Self, StoreError> {
        let enrolled = desk.enrolled.load(Ordering::Relaxed);
        let mut places = vec![[0; PLACES]; offers.len()];
        let mut after = String::new();
        loop {
            let nodes = store.nodes(after, NODES_READ).await?;
            let Some(last) = nodes.last() else { break };
            after = last.id.to_string();
            for node in nodes.into_iter().filter(|node| node.revoked_ms.is_none()) {
                if let Some(at) = offers.followed(&node.labels, &node.learners) {
                    let place = offers.node_place(at, &node.id);
                    places[at][usize::from(place)] += 1;
                }
            }
        }
        Ok(Self { places, enrolled, counted_ms: clock.monotonic_ms() })
    }

    /// Whether nodes were enrolled since, and it is time to count again.
    pub(super) fn is_old(&self, desk: &Desk, clock: &dyn Clock) -> bool {
        self.enrolled != desk.enrolled.load(Ordering::Relaxed)
            && clock.monotonic_ms().saturating_sub(self.counted_ms) >= COUNT_MS
    }

    /// How many nodes follow the channel that stands at `at`, in the step of `percent`.
    pub(super) fn of(&self, at: usize, percent: u8) -> u64 {
        let places = self.places.get(at).map_or(&[][..], |places| &places[..]);
        places.iter().take(usize::from(percent)).sum()
    }
}
