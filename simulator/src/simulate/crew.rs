//! The crew: tasks that step virtual nodes, one node each at a time.
//!
//! They stay from turn to turn: a task with all that a turn may need is larger than most nodes, and would be made for each.
//! Each quarter has as many of them, for its nodes.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use agent::{AgentError, Next, Node, Progress};
use federation::RoundRef;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use super::life::Life;
use super::quarters::quarter_of;

/// Most nodes whose steps run at once, all quarters together.
const ACTIVE_MAX: usize = 768;
/// Most of them in one quarter that have begun their turn and not come to their push: what these have in hand stays in a
/// core's cache. Those that wait for their receipts are more, so that they fill a group.
const IN_HAND_MAX: usize = 32;
/// Calls of one turn after which a node lets others go first.
const STEPS_MAX: u32 = 64;

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

/// A virtual node in its world.
#[derive(Debug)]
pub(crate) struct Resident {
    pub(super) node: Node,
    /// Counts its calls.
    calls: u32,
    /// The round over which it lost its power last: number and attempt.
    dropped: (u32, u32),
    /// Bytes of versions that it got.
    pub(super) bytes_down: u64,
}

impl Resident {
    /// A node that has done nothing yet.
    pub(super) fn new(node: Node) -> Self {
        Self { node, calls: 0, dropped: (0, 0), bytes_down: 0 }
    }
}

/// How a turn ended.
pub(super) enum Ended {
    /// The node waits for so many microseconds.
    Waits(u64),
    /// There is nothing more for it to do.
    Over,
    /// It cannot go on.
    Failed(Box<AgentError>),
}

/// A turn that a node is to have.
pub(super) struct Job {
    pub(super) index: u32,
    pub(super) resident: Box<Resident>,
    pub(super) now_us: u64,
    /// Whether it is to be enrolled, and no more.
    pub(super) enrol: bool,
}

/// A turn that a node had.
pub(super) struct Turn {
    /// Which of the crew it had it with.
    desk: usize,
    pub(super) index: u32,
    pub(super) resident: Box<Resident>,
    pub(super) ended: Ended,
    pub(super) pushed: bool,
}

/// The tasks.
pub(super) struct Crew {
    desks: Vec<mpsc::UnboundedSender<Job>>,
    /// Those that have nothing to do, by quarter.
    idle: Vec<Vec<usize>>,
    turns: mpsc::UnboundedReceiver<Turn>,
    /// The tasks themselves; they end with this.
    tasks: JoinSet<()>,
}

/// One of them.
struct Desk {
    number: usize,
    told: mpsc::UnboundedSender<Turn>,
    life: Arc<Life>,
    counts: Arc<Counts>,
    /// What its quarter may have in hand.
    hands: Arc<Semaphore>,
}

impl Crew {
    /// [`ACTIVE_MAX`] tasks, for nodes of this world.
    pub(super) fn new(quarters: &[Handle], life: &Arc<Life>, counts: &Arc<Counts>) -> Self {
        let (told, turns) = mpsc::unbounded_channel();
        let mut tasks = JoinSet::new();
        let (mut desks, mut idle) = (Vec::new(), Vec::new());
        for quarter in quarters {
            let hands = Arc::new(Semaphore::new(IN_HAND_MAX));
            let begin = |number| {
                let (sender, jobs) = mpsc::unbounded_channel();
                let (life, counts) = (Arc::clone(life), Arc::clone(counts));
                let desk =
                    Desk { number, told: told.clone(), life, counts, hands: Arc::clone(&hands) };
                tasks.spawn_on(desk.work(jobs), quarter);
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
    pub(super) fn has_room(&self, index: u32) -> bool {
        !self.idle[self.of(index)].is_empty()
    }

    /// Whether none of them has anything to do.
    pub(super) fn is_idle(&self) -> bool {
        self.idle.iter().map(Vec::len).sum::<usize>() == self.desks.len()
    }

    /// Has one of them do this; there has to be room.
    pub(super) fn begin(&mut self, job: Job) {
        let of = self.of(job.index);
        if let Some(desk) = self.idle[of].pop() {
            // It ends with the crew, not before.
            let _ = self.desks[desk].send(job);
        }
    }

    /// The next turn that is over. A panic in one is passed on: its node would be waited for in vain.
    pub(super) async fn next(&mut self) -> Option<Turn> {
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

impl Desk {
    /// Takes turns until there are none to come.
    async fn work(self, mut jobs: mpsc::UnboundedReceiver<Job>) {
        while let Some(Job { index, mut resident, now_us, enrol }) = jobs.recv().await {
            let at = usize::try_from(index).unwrap_or(usize::MAX);
            let before = resident.node.tally();
            let ended = if enrol {
                match resident.node.step().await {
                    Ok(_) => Ended::Waits(0),
                    Err(error) => Ended::Failed(Box::new(error)),
                }
            } else {
                self.turn(&mut resident, at, now_us).await
            };
            let after = resident.node.tally();
            let pushed = before.counted + before.refused != after.counted + after.refused;
            // The engine has gone: so has its world.
            let _ = self.told.send(Turn { desk: self.number, index, resident, ended, pushed });
        }
    }

    /// Steps a node until it has to wait.
    async fn turn(&self, resident: &mut Resident, index: usize, now_us: u64) -> Ended {
        let Self { life, counts, hands, .. } = self;
        let mut hand = Some(hands.acquire().await.expect("nobody closes it"));
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
                // What it has in hand goes out now.
                Next::Push(_) => drop(hand.take()),
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
}
