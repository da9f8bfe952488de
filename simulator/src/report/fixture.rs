//! Small reports for tests.

use serde_json::json;

use super::data::*;
use crate::cost::{Cost, Counts, Cycles, Footprint, NeuroBench, Total, Work};

/// Everything in it, a little of each.
pub(super) fn small() -> Data {
    let version = |number: u64, accuracy: f64, digit: char| Version {
        number,
        digest: digit.to_string().repeat(64),
        parent: (number > 1).then(|| number - 1),
        accuracy: Some(accuracy),
        updates: if number > 1 { 3 } else { 0 },
        samples: if number > 1 { 30 } else { 0 },
        bytes_up: if number > 1 { 42_600 } else { 0 },
        bytes_down: if number > 1 { 42_900 } else { 0 },
        energy_nj: if number > 1 { 1766.7 } else { 0.0 },
        synaptic_ops: if number > 1 { 1_000_000 } else { 0 },
        cycles: None,
        published_at_ms: Some((number - 1) * 1500),
    };
    let round = |number: u64, state: &str| Round {
        number,
        attempt: 1,
        state: state.to_owned(),
        reason: (state == "abandoned").then(|| "no_quorum".to_owned()),
        version: (state == "published").then_some(number + 1),
        opened_ms: number * 1500 - 1400,
        closed_ms: (state != "open").then_some(number * 1500),
        cohort: 3,
        goal: 3,
        updates: if state == "published" { 3 } else { 1 },
        refused: if number == 2 { [("late".to_owned(), 2)].into() } else { Default::default() },
        at_deadline: state == "abandoned",
    };
    let node = |index: u64| Participation {
        node: format!("node-{index:03}"),
        label: Some("fast".to_owned()),
        orders: Some(2),
        counted: 3 - index,
        refused: u64::from(index == 2),
        samples: 20,
        synaptic_ops: 600_000,
        cycles: None,
    };
    let mut histograms = Vec::new();
    for version in [1, 3] {
        for layer in ["w_inp", "w_rec", "w_out"] {
            let counts =
                (0..256_u64).map(|value| 40_u64.saturating_sub(value.abs_diff(128))).collect();
            histograms.push(Histogram { version, layer: layer.to_owned(), counts });
        }
    }
    let counts = Counts {
        samples: 2,
        ticks: 4500,
        input_events: 1400,
        spikes: 9000,
        synaptic_ops: 1_060_000,
        weights_drawn: 52_000,
        cycles: Cycles { step: 450_000, sdone: 4498, prop: 900_000, eprop: 300_000 },
    };
    Data {
        made_by: "muster 0.0.0".to_owned(),
        command: "muster demo --nodes 3 --seed 7".to_owned(),
        seed: 7,
        task: "navigation".to_owned(),
        mode: "demo".to_owned(),
        nodes: 3,
        world: Some(World { name: "calm".to_owned(), toml: "name = \"calm\"\n".to_owned() }),
        plan: json!({"rounds": 2, "seed": 7}),
        reproducible: true,
        test_samples: 300,
        wall_s: 3.2,
        virtual_s: Some(60.0),
        step_us: 1000,
        final_accuracy: 0.97,
        baselines: Some(Baselines { centralised: Some(0.981), local_only: Some(0.72) }),
        versions: vec![version(1, 0.5, '0'), version(2, 0.8, '1'), version(3, 0.97, '2')],
        rounds: vec![
            round(1, "published"),
            round(2, "abandoned"),
            round(3, "published"),
            round(4, "open"),
        ],
        node_accuracies: (0..3)
            .map(|index| NodeAccuracy {
                node: format!("node-{index:03}"),
                correct: 20 + index * 2,
                total: 25,
                label: Some("fast".to_owned()),
            })
            .collect(),
        participation: (0..3).map(node).collect(),
        histograms,
        trace: Some(Trace {
            version: 3,
            label: 1,
            inferred: 1,
            ticks: 6,
            inputs: 4,
            recurrent: 5,
            outputs: 2,
            target_valid: [4, 6],
            infer_acc: [4, 6],
            events: vec![[0, 0], [1, 3], [3, 2]],
            spikes: vec![[2, 1], [3, 4], [5, 0]],
            potentials: vec![vec![0, -4, -9, -3, 2, 5], vec![0, 10, 30, 20, 60, 80]],
        }),
        cost: Some(Cost {
            footprint: Footprint { weights: 14_200, neurons: 804, model: 39_837 },
            learning: Some(Work::of(counts, 13.0, 1000)),
            inference: Some(Work::of(counts, 13.0, 1000)),
            neurobench: Some(NeuroBench {
                footprint_bytes: 15_004,
                connection_sparsity: 0.012,
                activation_sparsity: 0.98,
                effective_macs: 0,
                effective_acs: 1_000_000,
                dense: 63_871_600,
                samples: 2,
                steps: 4498,
            }),
            run: Some(Total {
                updates: 6,
                samples: 60,
                synaptic_ops: 2_000_000,
                cycles: 49_634_940,
                cycles_exact: false,
                energy_nj: 10_600.0,
                chip_s: 3.8,
            }),
            ..Cost::default()
        }),
        speed: Some(Speed {
            samples: 1000,
            steps: 2_250_000,
            wall_s: 0.52,
            cpu_s: 0.5,
            times_real_time: 4500.0,
            isa: "avx2".to_owned(),
        }),
        device: Device { cpu: "A processor".to_owned(), cores: 2, isa: "avx2".to_owned() },
        ..Data::default()
    }
}
