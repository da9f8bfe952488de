//! One run: a coordinator, its nodes, and what happens to them until the run is over and everybody knows it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use agent::journal::{Entry, Journal};
use coordinator::Moment;
use federation::{Digest, RoundRef};
use tasks::random::{Rng, derive};
use tracing::Level;
use turmoil::Sim;

use crate::hosts::{self, Power, Shared, node_id, node_index, node_name};
use crate::log::{Event, Log};
use crate::net::COORDINATOR;
use crate::scenario::{Fault, Forgery, Scenario, When, script};

/// How finely simulated time passes.
const STEP: Duration = Duration::from_millis(5);
/// After this, nothing new goes wrong.
const TROUBLE_MS: u64 = 90_000;
/// By then the run is over and every node knows it.
const END_MS: u64 = 600_000;

/// What a run leaves behind, for the oracle.
pub(crate) struct Remains {
    pub(crate) shared: Arc<Shared>,
    /// Every update that a node had in its outbox.
    pub(crate) updates: BTreeMap<(usize, RoundRef), Entry>,
    /// What a host ended with that should not have, or that the run did not come to its end.
    pub(crate) ended: Result<(), String>,
}

struct World<'a> {
    sim: Sim<'a>,
    shared: Arc<Shared>,
    /// How many events were looked at.
    seen: usize,
    trained: u32,
    counted: u32,
    happened: Vec<bool>,
    /// What ends when.
    ends: Vec<(u64, End)>,
    /// Nodes whose link has a fault already: faults of one link do not combine.
    faulty: Vec<bool>,
    updates: BTreeMap<(usize, RoundRef), Entry>,
    /// Draws what the script leaves open.
    rng: Rng,
}

#[derive(Clone, Copy, Debug)]
enum End {
    Repair(usize),
    Release(usize),
    CoordinatorUp,
    NodeUp(usize),
}

/// Runs a scenario to its end.
pub(crate) fn run(scenario: Scenario, seed: u64, dir: &Path, log: &Log) -> Remains {
    let shared = Arc::new(Shared {
        seed,
        script: script(scenario, seed),
        dir: dir.to_owned(),
        log: log.clone(),
        now_ms: AtomicU64::new(0),
        skew_ms: AtomicI64::new(0),
        power: Mutex::default(),
        learned: Mutex::default(),
        to_send: Mutex::default(),
        sent: Mutex::default(),
        state: Mutex::default(),
    });
    let nodes = shared.script.nodes;
    let mut world = World {
        sim: simulation(seed, &shared),
        seen: 0,
        trained: 0,
        counted: 0,
        happened: vec![false; shared.script.faults.len()],
        ends: Vec::new(),
        faulty: vec![false; nodes],
        updates: BTreeMap::new(),
        rng: Rng::new(derive(seed, &[3])),
        shared: Arc::clone(&shared),
    };
    let ended = world.live();
    log.set_now(world.now_ms());
    // Crashed hosts free their files; nothing of them outlives the simulation.
    let mut names: Vec<String> = (0..nodes).map(node_name).collect();
    names.push(COORDINATOR.to_owned());
    names.into_iter().for_each(|name| world.sim.crash(name));
    Remains { shared, updates: world.updates, ended }
}

fn simulation<'a>(seed: u64, shared: &Arc<Shared>) -> Sim<'a> {
    let mut sim = turmoil::Builder::new()
        .rng_seed(seed)
        .enable_random_order()
        .tick_duration(STEP)
        .min_message_latency(Duration::from_millis(1))
        .max_message_latency(Duration::from_millis(40))
        .simulation_duration(Duration::from_millis(2 * END_MS))
        .tcp_capacity(1024)
        .build();
    let here = Arc::clone(shared);
    sim.host(COORDINATOR, move || hosts::coordinator(Arc::clone(&here)));
    for index in 0..shared.script.nodes {
        let here = Arc::clone(shared);
        sim.host(node_name(index), move || hosts::node(Arc::clone(&here), index));
    }
    let (here, there) = (Arc::clone(shared), Arc::clone(shared));
    sim.client("person", hosts::person(here));
    sim.client("somebody", hosts::somebody(there));
    sim
}

impl World<'_> {
    fn live(&mut self) -> Result<(), String> {
        let mut next_look_ms = 0;
        let mut over = false;
        loop {
            let now_ms = self.now_ms();
            self.shared.now_ms.store(now_ms, Ordering::Relaxed);
            self.shared.log.set_now(now_ms);
            self.end_faults(now_ms);
            self.sim.step().map_err(|error| format!("at {now_ms} ms a host ended: {error}"))?;
            self.look_at_power();
            self.look_at_events()?;
            if now_ms <= TROUBLE_MS && !over {
                self.begin_timed(now_ms);
            }
            if now_ms >= next_look_ms {
                next_look_ms = now_ms + 500;
                let state = self.shared.state.lock().expect("no panic under the lock").clone();
                over |= matches!(state.as_str(), "completed" | "failed");
                if over && self.ends.is_empty() && self.settled()? {
                    self.shared.log.note(format!("the run is {state}"));
                    return Ok(());
                }
                if now_ms > END_MS {
                    return Err(format!("at {now_ms} ms the run is {state:?} and not settled"));
                }
            }
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.sim.elapsed().as_millis()).expect("a simulation ends before")
    }

    /// Whether every node knows what became of all it did.
    fn settled(&self) -> Result<bool, String> {
        for index in 0..self.shared.script.nodes {
            let journal = self.journal(index)?;
            if journal.outbox().is_some() || journal.awaiting().len() > 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn journal(&self, index: usize) -> Result<Journal, String> {
        Journal::open(&self.shared.node_dir(index)).map_err(|error| error.to_string())
    }

    fn look_at_events(&mut self) -> Result<(), String> {
        let events = self.shared.log.since(self.seen);
        self.seen += events.len();
        let trouble = self.now_ms() <= TROUBLE_MS;
        for event in events {
            if event.level == Level::ERROR {
                return Err(format!("an error, where there is none but the world's: {event}"));
            }
            let Some(node) = node_index(&event.host) else { continue };
            let when = match event.message.as_str() {
                "trained" => {
                    self.note_update(node, &event)?;
                    self.trained += 1;
                    When::Trained(self.trained)
                }
                "the update is counted" => {
                    self.counted += 1;
                    When::Counted(self.counted)
                }
                _ => continue,
            };
            for at in 0..self.happened.len() {
                let planned = self.shared.script.faults[at];
                if planned.when == when && trouble {
                    self.begin(at, planned.fault, node);
                }
            }
        }
        Ok(())
    }

    /// Reads the update that a node is about to push, from its journal.
    fn note_update(&mut self, node: usize, event: &Event) -> Result<(), String> {
        let journal = self.journal(node)?;
        let Some(entry) = journal.outbox() else {
            return Err(format!("a node pushes what is not in its journal: {event}"));
        };
        let digest = Digest::of(&entry.payload);
        self.shared.log.note(format!("{} pushes {} {digest}", event.host, entry.round));
        let again = self.updates.insert((node, entry.round), entry.clone());
        if again.as_ref().is_some_and(|again| again.payload != entry.payload) {
            return Err(format!("the same order gave another update: {event}"));
        }
        if self.rng.chance(self.shared.script.echoes, 100) {
            self.send(Forgery::Replay, node);
        }
        Ok(())
    }

    fn begin_timed(&mut self, now_ms: u64) {
        for at in 0..self.happened.len() {
            let planned = self.shared.script.faults[at];
            if let When::At(due_ms, node) = planned.when
                && due_ms <= now_ms
                && !self.happened[at]
            {
                self.begin(at, planned.fault, node);
            }
        }
    }

    fn begin(&mut self, at: usize, fault: Fault, node: usize) {
        self.happened[at] = true;
        let name = node_name(node);
        let link = matches!(
            fault,
            Fault::LoseRequests(_) | Fault::LoseReplies(_) | Fault::Partition(_) | Fault::Hold(_)
        );
        if link && std::mem::replace(&mut self.faulty[node], true) {
            return;
        }
        self.shared.log.note(format!("{fault:?} {name}"));
        match fault {
            Fault::LoseRequests(ms) => {
                self.sim.partition_oneway(name, COORDINATOR);
                self.end_in(ms, End::Repair(node));
            }
            Fault::LoseReplies(ms) => {
                self.sim.partition_oneway(COORDINATOR, name);
                self.end_in(ms, End::Repair(node));
            }
            Fault::Partition(ms) => {
                self.sim.partition(name, COORDINATOR);
                self.end_in(ms, End::Repair(node));
            }
            Fault::Hold(ms) => {
                self.sim.hold(name, COORDINATOR);
                self.end_in(ms, End::Release(node));
            }
            Fault::CoordinatorDown(ms) => self.coordinator_down(ms),
            Fault::PowerFails { transactions, after, down_ms } => {
                let moment =
                    if after { Moment::AfterTransaction } else { Moment::BeforeTransaction };
                self.power().fails_in = Some((transactions, moment, down_ms));
            }
            Fault::NodeDown(ms) => {
                if self.sim.is_host_running(name.as_str()) {
                    self.sim.crash(name);
                    self.end_in(ms, End::NodeUp(node));
                }
            }
            Fault::WallClock(ms) => {
                self.shared.skew_ms.fetch_add(ms, Ordering::Relaxed);
            }
            Fault::FileClock(seconds) => turn_file_clock(&self.shared.node_dir(node), seconds),
            Fault::Send(forgery) => self.send(forgery, node),
        }
    }

    /// The power that fails in the middle of a step takes the coordinator with it.
    fn look_at_power(&mut self) {
        let mut power = self.power();
        if !std::mem::take(&mut power.out) {
            return;
        }
        let (_, _, down_ms) = power.fails_in.take().expect("it was to fail");
        drop(power);
        self.shared.log.note("the power fails".to_owned());
        self.coordinator_down(down_ms);
    }

    fn power(&self) -> MutexGuard<'_, Power> {
        self.shared.power.lock().expect("no panic under the lock")
    }

    fn coordinator_down(&mut self, ms: u64) {
        if self.sim.is_host_running(COORDINATOR) {
            self.sim.crash(COORDINATOR);
            self.end_in(ms, End::CoordinatorUp);
        }
    }

    /// Has somebody else send the node's last update.
    fn send(&mut self, forgery: Forgery, node: usize) {
        let Some((_, entry)) =
            self.updates.range((node, FIRST)..).take_while(|((at, _), _)| *at == node).last()
        else {
            return;
        };
        let (mut candidate, mut payload) =
            (entry.candidate(&node_id(node)), entry.payload.to_vec());
        match forgery {
            Forgery::Replay => {}
            Forgery::OtherPayload => payload[(node + 1) % self.shared.script.nodes] = 1,
            Forgery::OtherBase => candidate.base = Digest::of(b"another"),
            Forgery::OutOfRange => payload[0] = 0x80,
        }
        candidate.payload = Digest::of(&payload);
        let mut to_send = self.shared.to_send.lock().expect("no panic under the lock");
        to_send.push_back((candidate, payload.into()));
    }

    fn end_in(&mut self, ms: u64, end: End) {
        self.ends.push((self.now_ms() + ms, end));
    }

    fn end_faults(&mut self, now_ms: u64) {
        let due: Vec<End> =
            self.ends.extract_if(.., |(at_ms, _)| *at_ms <= now_ms).map(|(_, end)| end).collect();
        for end in due {
            self.shared.log.note(format!("{end:?}"));
            match end {
                End::Repair(node) => self.sim.repair(node_name(node), COORDINATOR),
                End::Release(node) => self.sim.release(node_name(node), COORDINATOR),
                End::CoordinatorUp => self.sim.bounce(COORDINATOR),
                End::NodeUp(node) => self.sim.bounce(node_name(node)),
            }
            if let End::Repair(node) | End::Release(node) = end {
                self.faulty[node] = false;
            }
        }
    }
}

/// Before every round.
const FIRST: RoundRef = RoundRef { run: federation::RunId(0), number: 0, attempt: 0 };

/// A node that thinks it is another day writes that into its files, which is all its wall clock is good for.
fn turn_file_clock(dir: &Path, seconds: i64) {
    let Ok(entries) = fs::read_dir(dir.join("cache")) else { return };
    let turned = Duration::from_secs(seconds.unsigned_abs());
    for entry in entries.flatten() {
        let to = if seconds < 0 {
            SystemTime::UNIX_EPOCH
        } else {
            SystemTime::UNIX_EPOCH + 40 * 365 * Duration::from_secs(86_400)
        } + turned;
        let file = File::options().write(true).open(entry.path()).expect("a cached version");
        file.set_modified(to).expect("a file's time can be set");
    }
}
