//! The engine: steps many virtual nodes through virtual time.
//!
//! A node that waits is an entry in a queue of timers. When its time has come one of a few tasks ([`Crew`]) takes its steps, until it
//! has to wait again. While anything runs, time stands still. When nothing does, the coordinator looks at its rounds, and time
//! jumps to the next entry.
//!
//! So what happens at which instant does not depend on the machine. Within one instant the order may, which changes
//! nothing where a round takes the updates of all that are drawn: sums are exact. Where a round closes before all have
//! answered, the order decides, and pushes are made one after the other in the order of the world's time.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use agent::{AgentError, Next, Node, Tally};
use coordinator::Driver;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::clock::VirtualClock;
use super::crew::{Counts, Crew, Ended, Job, Resident, Turn};
use super::life::Life;

/// Longest time between two looks at the rounds; the coordinator counts at most twice as much as served.
const LOOK_US: u64 = 1_000_000;

/// The nodes and their timers.
#[derive(Debug)]
pub(crate) struct Engine {
    residents: Vec<Option<Box<Resident>>>,
    timers: BinaryHeap<Reverse<(u64, u32)>>,
    /// Nodes whose time has come, in the order of their turns.
    due: VecDeque<u32>,
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
        let resident = |node| Some(Box::new(Resident::new(node)));
        let looked_us = clock.now_us();
        Self {
            residents: nodes.into_iter().map(resident).collect(),
            timers: BinaryHeap::new(),
            due: VecDeque::new(),
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
        self.call();
        loop {
            let now_us = self.clock.now_us();
            while !stop.is_cancelled()
                && let Some(&index) = self.due.front()
            {
                let alone = self.ordered && self.pushes_next(index);
                if !crew.has_room(index) || alone && !crew.is_idle() {
                    break;
                }
                self.due.pop_front();
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
            self.call();
        }
    }

    /// Takes the nodes whose time has come out of the queue.
    ///
    /// Where their order is free they come in that in which they were made: what is kept of neighbours lies together, here, with
    /// the coordinator and in its database.
    fn call(&mut self) {
        let now_us = self.clock.now_us();
        while let Some(Reverse((due_us, index))) = self.timers.peek().copied()
            && due_us <= now_us
        {
            self.timers.pop();
            self.due.push_back(index);
        }
        if !self.ordered {
            self.due.make_contiguous().sort_unstable();
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
