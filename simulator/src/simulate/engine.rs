//! The engine: steps many virtual nodes through virtual time.
//!
//! A node that waits is an entry in a queue of timers. When its time has come one of a few tasks takes its steps, until it has to
//! wait again. While anything runs, time stands still. When nothing does, the coordinator
//! looks at its rounds, and time jumps to the next entry.
//!
//! So what happens at which instant does not depend on the machine. Within one instant the order may, which changes
//! nothing where a round takes the updates of all that are drawn: sums are exact. Where a round closes before all have
//! answered, the order decides, and pushes are made one after the other in the order of the world's time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use agent::{AgentError, Next, Node, Progress, Tally};
use coordinator::Driver;
use federation::RoundRef;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::clock::VirtualClock;
use super::life::Life;
use super::quarters::quarter_of;

/// Most nodes whose steps run at once, all quarters together.
const ACTIVE_MAX: usize = 768;
/// Longest time between two looks at the rounds; the coordinator counts at most twice as much as served.
const LOOK_US: u64 = 1_000_000;
/// Calls of one turn after which a node lets others go first.
const STEPS_MAX: u32 = 64;

/// The nodes and their timers.
#[derive(Debug)]
pub(crate) struct Engine {
    residents: Vec<Option<Box<Resident>>>,
    timers: BinaryHeap<Reverse<(u64, u32)>>,
    clock: Arc<VirtualClock>,
    driver: Driver,
    life: Arc<Life>,
    counts: Arc<Counts>,
    /// How finely time passes, in microseconds.
    grain_us: u64,
    /// Whether pushes are made one after the other.
    ordered: bool,
    /// Where nodes take their turns.
    quarters: Vec<Handle>,
    looked_us: u64,
}

/// A virtual node in its world.
#[derive(Debug)]
pub(crate) struct Resident {
    node: Node,
    /// Counts its calls.
    calls: u32,
    /// The round over which it lost its power last: number and attempt.
    dropped: (u32, u32),
    /// Bytes of versions that it got.
    bytes_down: u64,
}

/// What happened, for progress and benchmarks.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Questions for work.
    pub(crate) asks: AtomicU64,
    /// Updates that were sent and answered.
    pub(crate) pushes: AtomicU64,
    /// Nodes that are enrolled.
    pub(crate) enrolled: AtomicU64,
    /// Devices that lost their power.
    pub(crate) dropouts: AtomicU64,
}

/// How a turn ended.
enum Ended {
    /// The node waits for so many microseconds.
    Waits(u64),
    /// There is nothing more for it to do.
    Over,
    /// It cannot go on.
    Failed(Box<AgentError>),
}

/// A turn that a node is to have.
struct Job {
    index: u32,
    resident: Box<Resident>,
    now_us: u64,
    /// Whether it is to be enrolled, and no more.
    enrol: bool,
}

/// A turn that a node had.
struct Turn {
    /// Which of the crew it had it with.
    desk: usize,
    index: u32,
    resident: Box<Resident>,
    ended: Ended,
    pushed: bool,
}

/// The tasks that step nodes, one node each at a time. They stay from turn to turn: a task with all that a turn may need is
/// larger than most nodes, and would be made for each.
///
/// Each quarter has as many, for its nodes.
struct Crew {
    desks: Vec<mpsc::UnboundedSender<Job>>,
    /// By quarter.
    idle: Vec<Vec<usize>>,
    turns: mpsc::UnboundedReceiver<Turn>,
    /// The tasks themselves; they end with this.
    tasks: JoinSet<()>,
}

/// What an engine is made of.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) clock: Arc<VirtualClock>,
    pub(crate) driver: Driver,
    pub(crate) life: Arc<Life>,
    pub(crate) counts: Arc<Counts>,
    pub(crate) grain_ms: u64,
    pub(crate) ordered: bool,
    pub(crate) quarters: Vec<Handle>,
}

impl Engine {
    /// An engine for these nodes, which do nothing yet.
    pub(crate) fn new(parts: Parts, nodes: Vec<Node>) -> Self {
        let Parts { clock, driver, life, counts, grain_ms, ordered, quarters } = parts;
        let resident = |node| Resident { node, calls: 0, dropped: (0, 0), bytes_down: 0 };
        let looked_us = clock.now_us();
        Self {
            residents: nodes.into_iter().map(|node| Some(Box::new(resident(node)))).collect(),
            timers: BinaryHeap::new(),
            clock,
            driver,
            life,
            counts,
            grain_us: grain_ms.max(1) * 1_000,
            ordered,
            quarters,
            looked_us,
        }
    }

    /// Presents all nodes to the coordinator, before time begins.
    ///
    /// # Errors
    /// When the coordinator will not have one of them.
    pub(crate) async fn enrol(&mut self, stop: &CancellationToken) -> Result<(), AgentError> {
        let now_us = self.clock.now_us();
        for index in 0..u32::try_from(self.residents.len()).unwrap_or(u32::MAX) {
            self.timers.push(Reverse((now_us, index)));
        }
        let mut crew = Crew::new(&self.quarters, &self.life, &self.counts);
        loop {
            while !stop.is_cancelled()
                && let Some(Reverse((_, index))) = self.timers.peek().copied()
                && crew.has_room(index)
            {
                self.timers.pop();
                self.start(index, now_us, true, &mut crew);
            }
            if crew.is_idle() {
                self.timers.clear();
                return Ok(());
            }
            let Some(turn) = crew.next().await else { return Ok(()) };
            let enrolled = turn.resident.node.next() != Next::Enrol;
            let index = turn.index;
            self.seat(turn, now_us, false)?;
            if enrolled {
                self.counts.enrolled.fetch_add(1, Ordering::Relaxed);
            } else {
                self.timers.push(Reverse((now_us, index)));
            }
        }
    }

    /// Lets all nodes ask for work for the first time, spread over so much time.
    pub(crate) fn begin(&mut self, over_us: u64) {
        let now_us = self.clock.now_us();
        for index in 0..self.residents.len() {
            let due_us = now_us + self.life.begins_us(index, over_us);
            let index = u32::try_from(index).unwrap_or(u32::MAX);
            self.timers.push(Reverse((due_us, index)));
        }
    }

    /// Lets time pass until `stop`, or until no node has anything more to do. What runs then is ended first.
    ///
    /// # Errors
    /// When a node cannot go on.
    pub(crate) async fn run(&mut self, stop: &CancellationToken) -> Result<(), AgentError> {
        let mut crew = Crew::new(&self.quarters, &self.life, &self.counts);
        let mut pushed = true;
        loop {
            let now_us = self.clock.now_us();
            while !stop.is_cancelled() {
                let Some(Reverse((due_us, index))) = self.timers.peek().copied() else { break };
                let alone = self.ordered && self.pushes_next(index);
                if due_us > now_us || !crew.has_room(index) || alone && !crew.is_idle() {
                    break;
                }
                self.timers.pop();
                self.start(index, now_us, false, &mut crew);
                if alone {
                    break;
                }
            }
            if !crew.is_idle() {
                let Some(turn) = crew.next().await else { return Ok(()) };
                pushed |= turn.pushed;
                self.seat(turn, now_us, true)?;
                continue;
            }
            if stop.is_cancelled() {
                return Ok(());
            }
            if pushed || now_us >= self.looked_us + LOOK_US {
                self.driver.tick().await;
                self.looked_us = now_us;
                pushed = false;
            }
            let Some(Reverse((due_us, _))) = self.timers.peek().copied() else { return Ok(()) };
            let next_us = due_us.div_ceil(self.grain_us) * self.grain_us;
            self.clock.jump(next_us.min(self.looked_us + LOOK_US));
        }
    }

    fn pushes_next(&self, index: u32) -> bool {
        let resident = self.residents.get(usize::try_from(index).unwrap_or(usize::MAX));
        let resident = resident.and_then(Option::as_ref);
        resident.is_some_and(|resident| matches!(resident.node.next(), Next::Push(_)))
    }

    fn start(&mut self, index: u32, now_us: u64, enrol: bool, crew: &mut Crew) {
        let at = usize::try_from(index).unwrap_or(usize::MAX);
        let Some(resident) = self.residents.get_mut(at).and_then(Option::take) else { return };
        crew.begin(Job { index, resident, now_us, enrol });
    }

    /// A node is back from its turn.
    fn seat(&mut self, turn: Turn, now_us: u64, wakes: bool) -> Result<(), AgentError> {
        let Turn { index, resident, ended, .. } = turn;
        if let Some(seat) = self.residents.get_mut(usize::try_from(index).unwrap_or(usize::MAX)) {
            *seat = Some(resident);
        }
        match ended {
            Ended::Waits(pause_us) if wakes => {
                self.timers.push(Reverse((now_us + pause_us.max(1), index)));
                Ok(())
            }
            Ended::Waits(_) | Ended::Over => Ok(()),
            Ended::Failed(error) => Err(*error),
        }
    }

    /// What each node has done, and the bytes of versions that it got.
    pub(crate) fn tallies(&self) -> impl Iterator<Item = (usize, Tally, u64)> + '_ {
        self.residents.iter().enumerate().filter_map(|(index, resident)| {
            let resident = resident.as_ref()?;
            Some((index, resident.node.tally(), resident.bytes_down))
        })
    }

    /// What must outlive the process, by node.
    pub(crate) fn memories(&self) -> impl Iterator<Item = (usize, Vec<u8>)> + '_ {
        self.residents
            .iter()
            .enumerate()
            .filter_map(|(index, resident)| Some((index, resident.as_ref()?.node.to_bytes()?)))
    }
}

impl Crew {
    /// [`ACTIVE_MAX`] tasks, for nodes of this world.
    fn new(quarters: &[Handle], life: &Arc<Life>, counts: &Arc<Counts>) -> Self {
        let (told, turns) = mpsc::unbounded_channel();
        let mut tasks = JoinSet::new();
        let (mut desks, mut idle) = (Vec::new(), Vec::new());
        for quarter in quarters {
            let begin = |desk| {
                let (sender, jobs) = mpsc::unbounded_channel();
                let work = work(desk, jobs, told.clone(), Arc::clone(life), Arc::clone(counts));
                tasks.spawn_on(work, quarter);
                sender
            };
            let own = desks.len()..desks.len() + ACTIVE_MAX.div_ceil(quarters.len());
            desks.extend(own.clone().map(begin));
            idle.push(own.collect());
        }
        Self { desks, idle, turns, tasks }
    }

    /// The quarter of node `index`.
    fn of(&self, index: u32) -> usize {
        quarter_of(usize::try_from(index).unwrap_or(0), self.idle.len())
    }

    /// Whether one of them has nothing to do and may take node `index`.
    fn has_room(&self, index: u32) -> bool {
        !self.idle[self.of(index)].is_empty()
    }

    /// Whether none of them has anything to do.
    fn is_idle(&self) -> bool {
        self.idle.iter().map(Vec::len).sum::<usize>() == self.desks.len()
    }

    /// Has one of them do this; there has to be room.
    fn begin(&mut self, job: Job) {
        let of = self.of(job.index);
        if let Some(desk) = self.idle[of].pop() {
            // It ends with the crew, not before.
            let _ = self.desks[desk].send(job);
        }
    }

    /// The next turn that is over. A panic in one is passed on: its node would be waited for in vain.
    async fn next(&mut self) -> Option<Turn> {
        let turn = tokio::select! {
            biased;
            turn = self.turns.recv() => turn?,
            Some(Err(ended)) = self.tasks.join_next() => match ended.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                Err(_) => return None,
            },
        };
        let of = self.of(turn.index);
        self.idle[of].push(turn.desk);
        Some(turn)
    }
}

/// Takes turns until there are none to come.
async fn work(
    desk: usize,
    mut jobs: mpsc::UnboundedReceiver<Job>,
    told: mpsc::UnboundedSender<Turn>,
    life: Arc<Life>,
    counts: Arc<Counts>,
) {
    while let Some(Job { index, mut resident, now_us, enrol }) = jobs.recv().await {
        let at = usize::try_from(index).unwrap_or(usize::MAX);
        let before = resident.node.tally();
        let ended = if enrol {
            match resident.node.step().await {
                Ok(_) => Ended::Waits(0),
                Err(error) => Ended::Failed(Box::new(error)),
            }
        } else {
            turn(&mut resident, at, now_us, &life, &counts).await
        };
        let after = resident.node.tally();
        let pushed = before.counted + before.refused != after.counted + after.refused;
        // The engine has gone: so has its world.
        let _ = told.send(Turn { desk, index, resident, ended, pushed });
    }
}

/// Steps a node until it has to wait.
async fn turn(
    resident: &mut Resident,
    index: usize,
    now_us: u64,
    life: &Life,
    counts: &Counts,
) -> Ended {
    for _ in 0..STEPS_MAX {
        let there_us = life.there_us(index, now_us);
        if there_us > now_us {
            return Ended::Waits(there_us - now_us);
        }
        let (next, round) = (resident.node.next(), resident.node.round());
        match next {
            Next::End => return Ended::Over,
            Next::Ask => {
                resident.node.set_power(life.power(index, now_us));
                counts.asks.fetch_add(1, Ordering::Relaxed);
            }
            Next::Train(_) => {
                let this =
                    round.map_or((0, 0), |RoundRef { number, attempt, .. }| (number, attempt));
                if resident.dropped != this
                    && let Some(gone_us) = life.drops_out_us(index, round)
                {
                    resident.dropped = this;
                    resident.node.restart();
                    counts.dropouts.fetch_add(1, Ordering::Relaxed);
                    return Ended::Waits(gone_us);
                }
            }
            _ => {}
        }
        let progress = match resident.node.step().await {
            Ok(progress) => progress,
            Err(error) => return Ended::Failed(Box::new(error)),
        };
        let moved = match next {
            Next::Push(bytes) => {
                counts.pushes.fetch_add(1, Ordering::Relaxed);
                u64::try_from(bytes).unwrap_or(u64::MAX)
            }
            Next::Fetch => {
                let bytes = resident.node.received();
                resident.bytes_down += bytes;
                bytes
            }
            _ => 0,
        };
        resident.calls = resident.calls.wrapping_add(1);
        let lasts_us = life.lasts_us(index, next, round, moved, resident.calls);
        match progress {
            Progress::Waiting(pause) => {
                let pause_us = u64::try_from(pause.as_micros()).unwrap_or(u64::MAX);
                return Ended::Waits(pause_us + lasts_us);
            }
            Progress::Working if lasts_us > 0 => return Ended::Waits(lasts_us),
            Progress::Working => {}
        }
    }
    Ended::Waits(1)
}
