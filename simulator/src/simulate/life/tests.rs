//! Days, batteries, lines, faults and attackers of a world, against hand-made worlds.

use super::*;
use crate::task::navigation;
use federation::{Metrics, RunId};

fn life(toml: &str, nodes: u32) -> Life {
    let world = World::parse("test", "test", toml).unwrap();
    let shares = Shares::deal(&navigation(1), &world.data, nodes, 1);
    Life::new(world, 1, shares, 2_250_000, 10)
}

fn round(number: u32) -> Option<RoundRef> {
    Some(RoundRef { run: RunId(1), number, attempt: 1 })
}

#[test]
fn a_device_is_there_in_its_hours() {
    let life = life("[[device]]\non = \"22-2 8-9\"", 1);
    let at = |hour: u64, rest_us: u64| life.there_us(0, hour * HOUR_US + rest_us);
    assert_eq!(at(22, 5), 22 * HOUR_US + 5, "it is on");
    assert_eq!(at(1, 5), HOUR_US + 5);
    assert_eq!(at(2, 5), 8 * HOUR_US);
    assert_eq!(at(9, 0), 22 * HOUR_US);
    assert_eq!(at(24 + 3, 7), (24 + 8) * HOUR_US, "the next day, too");
}

#[test]
fn a_battery_falls_from_its_charger_on() {
    let life = life("[[device]]\ncharging = \"0-6\"\nbattery_hours = 20", 1);
    let percent = |hour: u64| life.power(0, hour * HOUR_US).battery_percent.unwrap();
    assert_eq!((percent(0), percent(5), percent(6), percent(15)), (100, 100, 95, 50));
    assert_eq!(life.power(0, 3 * HOUR_US).charging, Some(true));
    assert_eq!(life.power(0, 7 * HOUR_US).charging, Some(false));
    let mains = life_of_mains();
    assert_eq!(mains.power(0, 0), Power::default());
}

#[test]
fn what_a_device_does_takes_its_time() {
    let slow = life("[[device]]\nspeed = 0.5\nlatency_ms = 20\nbits_per_s = 8000", 1);
    let lasts = |did, moved| slow.lasts_us(0, did, round(1), moved, 1);
    assert_eq!(lasts(Next::Train(4), 0), 4 * 4_500_000);
    assert_eq!(lasts(Next::Ask, 0), 40_000 + 400_000);
    assert_eq!(lasts(Next::Push(1_000), 1_000), 40_000 + 1_400_000);
    assert_eq!(lasts(Next::Fetch, 0), 0, "it had the version");
    let calm = life("", 1);
    assert_eq!(calm.lasts_us(0, Next::Ask, None, 0, 1), 0);
    assert_eq!(calm.lasts_us(0, Next::Train(2), round(1), 0, 1), 4_500_000);
}

#[test]
fn faults_come_as_often_as_they_should_and_repeat() {
    let toml = "[faults]\ndropout = 0.1\ndropout_s = 60\nstraggler = 0.2\nslowdown = 8\n\
                [[attackers]]\nshare = 0.25\nattack = \"sign_flip\"";
    let [life, same] = [1, 2].map(|_| life(toml, 2_000));
    let of = |hit: &dyn Fn(usize) -> bool| (0..2_000).filter(|&index| hit(index)).count();
    let dropped = of(&|index| life.drops_out_us(index, round(1)) == Some(60_000_000));
    assert!((150..250).contains(&dropped), "{dropped}");
    let slow = of(&|index| life.lasts_us(index, Next::Train(1), round(1), 0, 1) == 8 * 2_250_000);
    assert!((330..470).contains(&slow), "{slow}");
    let attackers = of(&|index| life.attack(index) == Some(Attack::SignFlip(1)));
    assert!((430..570).contains(&attackers), "{attackers}");
    assert!(
        (0..2_000).all(|index| {
            life.drops_out_us(index, round(2)) == same.drops_out_us(index, round(2))
        })
    );
    let moved =
        of(&|index| life.drops_out_us(index, round(1)) != life.drops_out_us(index, round(2)));
    assert!(moved > 200, "another round, other nodes");
}

#[test]
fn attackers_send_what_they_did_not_learn() {
    let trained = || Trained {
        payload: [10_u8, 0, 0xF6, 100].as_slice().into(),
        residual: Residual::new(vec![1, 0, 0, 0]),
        samples: 1,
        metrics: Metrics::default(),
    };
    let order = an_order();
    let node = crate::simulate::shares::name_of(0);
    let flip = life("[[attackers]]\nshare = 1\nattack = \"sign_flip\"\nstrength = 2", 1);
    let sent = flip.touch(&node, &order, trained());
    let lanes: Vec<i8> = sent.payload.iter().map(|lane| lane.cast_signed()).collect();
    assert_eq!(lanes, [-20, 0, 20, -127]);
    assert!(sent.residual.is_zero());
    let noise = life("[[attackers]]\nshare = 1\nattack = \"random\"\nstrength = 3", 1);
    let sent = noise.touch(&node, &order, trained());
    assert!(sent.payload.iter().all(|lane| lane.cast_signed().abs() <= 3));
    assert_eq!(sent, noise.touch(&node, &order, trained()), "the same each time");
    assert_eq!(life("", 1).touch(&node, &order, trained()), trained());
}

fn an_order() -> TrainOrder {
    TrainOrder {
        round: RoundRef { run: RunId(1), number: 1, attempt: 1 },
        model: "m".parse().unwrap(),
        base_version: federation::VersionNumber(1),
        base: federation::Digest::of(b""),
        weights: 4,
        work: federation::LocalWork {
            samples: 1,
            epochs: 1,
            evaluate_samples: 0,
            registers: Default::default(),
        },
        seed: 9,
        samples_max: 10,
        deadline_in_ms: 1_000,
    }
}

fn life_of_mains() -> Life {
    life("", 1)
}
