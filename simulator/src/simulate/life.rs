//! What befalls the nodes of a world: when a device is there, how long what it does takes, what goes wrong. Every chance
//! is a pure function of (seed, purpose, node, round or call).

#[cfg(test)]
mod tests;

use std::sync::Arc;

use agent::data::Source;
use agent::residual::Residual;
use agent::train::Trained;
use agent::{Next, Power};
use federation::{NodeId, RoundRef, TrainOrder};
use tasks::random::{Rng, derive};

use super::learn::Hand;
use super::shares::{Shares, index_of, round_of};
use super::world::{Attack, Device, World};

const HOUR_US: u64 = 3_600_000_000;
/// What a call that was lost costs until it is made again, in microseconds.
const LOST_US: u64 = 1_000_000;
/// Bytes of a call that are neither an update nor a version: headers and a small message, there and back.
const CALL_BYTES: u64 = 400;

/// What chances here are drawn for.
const KIND: u64 = 21;
const OFFSET: u64 = 22;
const LINE: u64 = 23;
const DROPOUT: u64 = 24;
const STRAGGLER: u64 = 25;
const ATTACKER: u64 = 26;
const NOISE: u64 = 27;
const BEGIN: u64 = 28;

/// A world that is lived in.
#[derive(Debug)]
pub(crate) struct Life {
    world: World,
    seed: u64,
    /// Which kind of device each node is, and its hours from the coordinator's.
    homes: Vec<(u16, u8)>,
    /// How long a sample lasts, in microseconds of the sensor's own time.
    sample_us: u64,
    rounds: u32,
    shares: Shares,
}

impl Life {
    /// Nodes with `shares` in `world`, for `rounds` rounds, with samples of `sample_us` microseconds.
    pub(crate) fn new(
        world: World,
        seed: u64,
        shares: Shares,
        sample_us: u64,
        rounds: u32,
    ) -> Self {
        let all: u32 = world.devices.iter().map(|device| device.share).sum();
        let home = |index: usize| {
            let node = u64::try_from(index).unwrap_or(0);
            let mut at = Rng::new(derive(seed, &[KIND, node])).below(all);
            let kind = world.devices.iter().position(|device| {
                let here = at < device.share;
                at = at.saturating_sub(device.share);
                here
            });
            let kind = kind.unwrap_or(0);
            let hours = world.devices[kind].offset_hours;
            let offset = Rng::new(derive(seed, &[OFFSET, node])).below(hours + 1);
            (u16::try_from(kind).unwrap_or(0), u8::try_from(offset).unwrap_or(0))
        };
        let homes = (0..shares.len()).map(home).collect();
        Self { homes, world, seed, sample_us, rounds, shares }
    }

    /// What the nodes have.
    pub(crate) fn shares(&self) -> &Shares {
        &self.shares
    }

    /// The kind of device that node `index` is.
    pub(crate) fn device(&self, index: usize) -> &Device {
        &self.world.devices[usize::from(self.homes[index].0)]
    }

    fn rng(&self, purpose: u64, index: usize, more: &[u64]) -> Rng {
        let mut key = derive(self.seed, &[purpose, u64::try_from(index).unwrap_or(0)]);
        for &part in more {
            key = derive(key, &[part]);
        }
        Rng::new(key)
    }

    fn chance(&self, purpose: u64, index: usize, round: Option<RoundRef>, ppm: u32) -> bool {
        let RoundRef { number, attempt, .. } = match round {
            Some(round) if ppm > 0 => round,
            _ => return false,
        };
        self.rng(purpose, index, &[number.into(), attempt.into()]).below(1_000_000) < ppm
    }

    /// When node `index` first asks for work, within `over_us` of the beginning.
    pub(crate) fn begins_us(&self, index: usize, over_us: u64) -> u64 {
        let drawn = self.rng(BEGIN, index, &[]).next_u64();
        u64::try_from((u128::from(drawn) * u128::from(over_us)) >> 64).unwrap_or(0)
    }

    /// The hour of its own day at which node `index` is.
    fn hour(&self, index: usize, now_us: u64) -> u64 {
        (now_us / HOUR_US + u64::from(self.homes[index].1)) % 24
    }

    /// When node `index` is switched on again; now, if it is on.
    pub(crate) fn there_us(&self, index: usize, now_us: u64) -> u64 {
        let on = self.device(index).on;
        let hour = self.hour(index, now_us);
        let later = (0..24).find(|later| on & (1 << ((hour + later) % 24)) != 0).unwrap_or(0);
        if later == 0 { now_us } else { (now_us / HOUR_US + later) * HOUR_US }
    }

    /// What the device says of its battery.
    pub(crate) fn power(&self, index: usize, now_us: u64) -> Power {
        let device = self.device(index);
        let Some(charging) = device.charging else { return Power::default() };
        let hour = self.hour(index, now_us);
        let charges = |hour: u64| charging & (1 << (hour % 24)) != 0;
        // Since when it does not charge; a battery is full after each stay at its charger.
        let since = (0..24).find(|back| charges(hour + 24 - back)).unwrap_or(24);
        let left = u64::from(device.battery_hours).saturating_sub(since);
        let percent = left * 100 / u64::from(device.battery_hours.max(1));
        Power {
            charging: Some(charges(hour)),
            idle: None,
            battery_percent: Some(u8::try_from(percent).unwrap_or(100)),
        }
    }

    /// How long what node `index` just did took, in microseconds. `moved` is how many bytes of an update or a version
    /// went over its line, `call` counts the node's calls.
    pub(crate) fn lasts_us(
        &self,
        index: usize,
        did: Next,
        round: Option<RoundRef>,
        moved: u64,
        call: u32,
    ) -> u64 {
        match did {
            Next::Train(samples) => {
                let slow = self.world.faults.slowdown;
                let straggler = self.world.faults.straggler_ppm;
                let slow = if self.chance(STRAGGLER, index, round, straggler) { slow } else { 1 };
                self.learning_us(index, samples) * u64::from(slow)
            }
            Next::Evaluate(samples) => self.learning_us(index, samples),
            Next::End => 0,
            Next::Fetch if moved == 0 => 0,
            Next::Enrol | Next::Ask | Next::Fetch | Next::Report | Next::Push(_) => {
                self.call_us(index, moved, call)
            }
        }
    }

    fn learning_us(&self, index: usize, samples: u32) -> u64 {
        let device = self.device(index);
        u64::from(samples) * self.sample_us * 1_000 / u64::from(device.speed_permille.max(1))
    }

    fn call_us(&self, index: usize, moved: u64, call: u32) -> u64 {
        let device = self.device(index);
        let Device { latency_ms, jitter_ms, loss_ppm, bits_per_s, .. } = *device;
        if latency_ms == 0 && jitter_ms == 0 && loss_ppm == 0 && bits_per_s.is_none() {
            return 0;
        }
        let mut rng = self.rng(LINE, index, &[call.into()]);
        let mut lost = 0;
        while rng.below(1_000_000) < loss_ppm && lost < 30 {
            lost += 1;
        }
        let way = u64::from(latency_ms) * 2_000
            + u64::from(rng.below(jitter_ms.saturating_mul(2).saturating_add(1))) * 1_000;
        let bits = (moved + CALL_BYTES) * 8;
        let line = bits_per_s.map_or(0, |rate| bits * 1_000_000 / u64::from(rate.max(1)));
        way + line + lost * (LOST_US + way)
    }

    /// For how long node `index` is gone, if it loses its power over the order of `round`.
    pub(crate) fn drops_out_us(&self, index: usize, round: Option<RoundRef>) -> Option<u64> {
        let faults = self.world.faults;
        let out = self.chance(DROPOUT, index, round, faults.dropout_ppm);
        out.then(|| u64::from(faults.dropout_s) * 1_000_000)
    }

    /// What node `index` sends instead of what it learned.
    pub(crate) fn attack(&self, index: usize) -> Option<Attack> {
        if self.world.attackers.is_empty() {
            return None;
        }
        let mut at = self.rng(ATTACKER, index, &[]).below(1_000_000);
        for one in &self.world.attackers {
            if at < one.ppm {
                return Some(one.attack);
            }
            at -= one.ppm;
        }
        None
    }
}

impl Hand for Life {
    fn source(&self, node: &NodeId, order: &TrainOrder) -> Option<Arc<Source>> {
        let split = &self.world.data;
        if !split.drift && split.late.is_none() {
            return None;
        }
        let index = index_of(node)?;
        let source = self.shares.in_round(split, index, round_of(order), self.rounds)?;
        Some(Arc::new(source))
    }

    fn touch(&self, node: &NodeId, order: &TrainOrder, trained: Trained) -> Trained {
        let Some((index, attack)) =
            index_of(node).and_then(|index| Some((index, self.attack(index)?)))
        else {
            return trained;
        };
        let mut rng = self.rng(NOISE, index, &[order.seed]);
        let forged = |lane: &u8| {
            let lane = i32::from(lane.cast_signed());
            let sent = match attack {
                Attack::SignFlip(times) => -lane * i32::try_from(times).unwrap_or(1),
                Attack::Random(most) => {
                    let most = i32::from(most);
                    let width = u32::try_from(2 * most + 1).unwrap_or(1);
                    i32::try_from(rng.below(width)).unwrap_or(0) - most
                }
            };
            i8::try_from(sent.clamp(-127, 127)).unwrap_or(0).cast_unsigned()
        };
        let payload = trained.payload.iter().map(forged).collect();
        Trained { payload, residual: Residual::default(), ..trained }
    }
}
