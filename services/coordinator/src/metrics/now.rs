//! How things stand, read when somebody asks.

use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use super::{PREFIX, process, seconds};
use crate::core::{Core, Readiness};
use crate::store::{Figures, Live, StoreError};

/// Gauges by labels whose values are read.
type Gauges = Family<Labels, Gauge>;
/// Labels whose values are read.
type Labels = Vec<(&'static str, String)>;

/// Everything that is a state and not a count.
pub(super) async fn read(core: &Core) -> Result<Registry, StoreError> {
    let figures = core.store.figures().await?;
    let live = core.store.live().await?;
    let mut whole = Registry::default();
    process::register(&mut whole);
    let registry = whole.sub_registry_with_prefix(PREFIX);
    house(registry, core);
    fleet(registry, core, &figures);
    runs(registry, core, &figures, &live);
    models(registry, &figures);
    Ok(whole)
}

fn house(registry: &mut Registry, core: &Core) {
    registry.register(
        "build",
        "The version of this program",
        Info::new([("version", env!("CARGO_PKG_VERSION"))]),
    );
    gauge(
        registry,
        "ready",
        "Whether requests are welcome: 1 for yes",
        core.readiness() == Readiness::Ready,
    );
    let states = Gauges::default();
    for (state, name) in [
        (Readiness::Ready, "ready"),
        (Readiness::StorageFull, "storage_full"),
        (Readiness::StoreFailing, "store_failing"),
        (Readiness::Draining, "draining"),
    ] {
        let is = i64::from(core.readiness() == state);
        states.get_or_create(&vec![("state", name.to_owned())]).set(is);
    }
    registry.register("readiness", "How /readyz answers: 1 for the state that holds", states);
    registry.register_with_unit(
        "uptime",
        "Time since the start of this process",
        Unit::Seconds,
        ConstGauge::new(seconds(core.clock.monotonic_ms())),
    );
    gauge(registry, "queue_len", "Updates that wait to be counted", core.groups.waiting());
    gauge(
        registry,
        "queue_capacity",
        "Most updates that can wait to be counted",
        core.groups.capacity(),
    );
    let free = core.payload_room.available_permits().saturating_mul(1024);
    registry.register_with_unit(
        "payload_room",
        "Memory that is free for updates on their way in",
        Unit::Bytes,
        ConstGauge::new(int(free)),
    );
    gauge(registry, "event_streams", "Streams of events that are open", core.open_streams());
    gauge(registry, "sessions", "People signed in to the dashboard", core.access.sessions());
    count(
        registry,
        "groups",
        "Groups of updates that were committed, each in one transaction",
        core.groups.groups.load(Ordering::Relaxed),
    );
    count(
        registry,
        "wrong_secrets",
        "Tokens and credentials that were shown and do not hold",
        core.access.wrong(),
    );
}

fn fleet(registry: &mut Registry, core: &Core, figures: &Figures) {
    gauge(
        registry,
        "nodes_enrolled",
        "Nodes that are enrolled and not revoked",
        figures.nodes - figures.revoked,
    );
    gauge(registry, "nodes_revoked", "Nodes that were revoked", figures.revoked);
    let fleet = core.presence.fleet();
    let present = Gauges::default();
    for (wanted, nodes) in [("yes", fleet.wanted), ("no", fleet.others)] {
        present.get_or_create(&vec![("wanted", wanted.to_owned())]).set(nodes.into());
    }
    registry.register(
        "nodes_present",
        "Nodes heard of when they were due, by whether a run may want them",
        present,
    );
}

fn runs(registry: &mut Registry, core: &Core, figures: &Figures, live: &[Live]) {
    let states = Gauges::default();
    for (state, runs) in &figures.runs {
        states.get_or_create(&vec![("state", state.to_string())]).set(int(*runs));
    }
    registry.register("runs", "Runs by state", states);
    let (round, updates, goal) = (Gauges::default(), Gauges::default(), Gauges::default());
    let served: Family<Labels, Gauge<f64, AtomicU64>> = Family::default();
    let board = core.board.get();
    for run in live {
        let labels = vec![("model", run.model.to_string()), ("run", run.round.run.0.to_string())];
        round.get_or_create(&labels).set(run.round.number.into());
        goal.get_or_create(&labels).set(run.plan.cohort.goal.into());
        let Some(open) = &run.live else { continue };
        updates.get_or_create(&labels).set(open.updates.into());
        // Memory is newer than the database, which is written once a second.
        let memory = board.round(run.round).map(|open| open.served_ms.load(Ordering::Relaxed));
        served.get_or_create(&labels).set(seconds(memory.unwrap_or_default().max(open.served_ms)));
    }
    registry.register("run_round", "The round that a run is at", round);
    registry.register("run_round_goal", "Updates that the round wants", goal);
    registry.register("run_round_updates", "Updates counted in the open round", updates);
    registry.register_with_unit(
        "run_round_open",
        "How long the round has been open, in time of serving",
        Unit::Seconds,
        served,
    );
}

fn models(registry: &mut Registry, figures: &Figures) {
    let version = Gauges::default();
    for (model, number) in &figures.models {
        version.get_or_create(&vec![("model", model.to_string())]).set(number.0.into());
    }
    registry.register("model_version", "The number of a model's newest version", version);
    let (held, percent, pinned, bad) =
        (Gauges::default(), Gauges::default(), Gauges::default(), Gauges::default());
    for channel in &figures.channels {
        let labels =
            vec![("model", channel.model.to_string()), ("channel", channel.name.to_string())];
        held.get_or_create(&labels).set(channel.version.0.into());
        percent.get_or_create(&labels).set(channel.percent.into());
        pinned.get_or_create(&labels).set(channel.pinned.into());
        bad.get_or_create(&labels).set(int(channel.bad));
    }
    registry.register(
        "channel_version",
        "The version that a channel's last promotion brings",
        held,
    );
    registry.register(
        "channel_percent",
        "The part of its nodes that a channel's last promotion has reached, in percent",
        percent,
    );
    registry.register("channel_pinned", "Whether a channel is pinned: 1 for yes", pinned);
    registry.register("channel_bad_versions", "Versions that a channel's guard turned back", bad);
    registry.register_with_unit(
        "database_size",
        "Size of the database, without its write-ahead log",
        Unit::Bytes,
        ConstGauge::new(int(figures.bytes)),
    );
}

fn gauge(registry: &mut Registry, name: &str, help: &str, value: impl TryInto<i64>) {
    registry.register(name, help, ConstGauge::new(int(value)));
}

fn count(registry: &mut Registry, name: &str, help: &str, value: u64) {
    registry.register(name, help, ConstCounter::new(value));
}

fn int(value: impl TryInto<i64>) -> i64 {
    value.try_into().unwrap_or(i64::MAX)
}
