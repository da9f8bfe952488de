//! `reckon/1` artifacts read back, and everything that can be wrong with them or with an order's registers.

use super::*;
use crate::testing::{artifact, artifact_with, order};
use federation::Digest;
use tasks::navigation::{chip, initial_weights};

fn code<T: std::fmt::Debug>(result: Result<T, LearnError>) -> &'static str {
    result.unwrap_err().code()
}

fn ordered(registers: &[(&str, u32)]) -> TrainOrder {
    let mut order = order(&artifact(), 1);
    order.work.registers =
        registers.iter().map(|&(name, value)| (name.to_owned(), value)).collect();
    order
}

#[test]
fn an_artifact_reads_back_as_what_it_was_made_of() {
    let artifact = artifact();
    let model = Model::read(&artifact).unwrap();
    let weights = initial_weights(1);
    assert_eq!(
        model.params,
        Params::parse_text(&chip::config_text(), &chip::neurons_text()).unwrap()
    );
    assert_eq!(model.weights.input, weights.input);
    assert_eq!(model.weights.recurrent, weights.recurrent);
    assert_eq!(model.weights.output, weights.output);
    assert_eq!(text(artifact.layout()), "w_inp 40x100, w_rec 100x100, w_out 100x2");
}

#[test]
fn equal_networks_have_equal_digests() {
    let weights = initial_weights(1);
    let weights =
        Weights { input: &weights.input, recurrent: &weights.recurrent, output: &weights.output };
    let registers = chip::config_text().replace('\n', "  \r\n\n");
    let loose =
        reckon_artifact(&registers, &format!("\n{}\n\n", chip::neurons_text()), weights).unwrap();
    assert_eq!(Digest::of(&loose.encode()), Digest::of(&artifact().encode()));
}

#[test]
fn parts_that_do_not_fit_are_told() {
    let none = Weights { input: &[], recurrent: &[], output: &[] };
    let build =
        |registers: &str| reckon_artifact(registers, &chip::neurons_text(), none).unwrap_err();
    assert!(matches!(build(&chip::config_text()), BuildError::Artifact(_)));
    let error = build("SPI_KAPPA 300\n");
    assert_eq!(
        error.to_string(),
        "configuration: config line 1: SPI_KAPPA: value 300 is outside 0..=255"
    );
}

#[test]
fn other_learners_configurations_and_shapes_are_told() {
    let good = artifact();
    let with = |learner: &str, layout: &Layout, config: &[u8]| {
        Artifact::new(learner, layout.clone(), config.to_vec(), good.weights().to_vec()).unwrap()
    };
    let layout = good.layout();
    let read = |artifact: &Artifact| code(Model::read(artifact));
    assert_eq!(read(&with("reckon/2", layout, good.config())), "learner_unsupported");
    assert_eq!(read(&with(LEARNER, layout, b"\xff\n\n")), "model_config_malformed");
    assert_eq!(read(&with(LEARNER, layout, b"SPI_KAPPA 1\n")), "model_config_malformed");
    assert_eq!(
        read(&with(LEARNER, layout, b"SPI_NONE 1\n\npair,alpha12,thr\n")),
        "unknown_register"
    );
    let mut tensors = layout.tensors().to_vec();
    tensors.swap(0, 1);
    let swapped = with(LEARNER, &Layout::new(tensors).unwrap(), good.config());
    assert_eq!(
        Model::read(&swapped).unwrap_err().to_string(),
        "the model's tensors should be w_inp 40x100, w_rec 100x100, w_out 100x2 as its registers say, \
         got w_rec 100x100, w_inp 40x100, w_out 100x2"
    );
    let mut tensors = layout.tensors().to_vec();
    tensors.iter_mut().for_each(|tensor| tensor.min = -127);
    let narrow = with(LEARNER, &Layout::new(tensors).unwrap(), good.config());
    Model::read(&narrow).unwrap();
}

#[test]
fn an_orders_registers_win_over_the_artifacts() {
    let artifact = artifact();
    let model = Model::read(&artifact).unwrap();
    let params = model.to_train(&ordered(&[("SPI_LR_P_WINP", 5), ("SPI_SEED_INP", 9)])).unwrap();
    assert_eq!((params.get("SPI_LR_P_WINP"), params.get("SPI_SEED_INP")), (Some(5), Some(9)));
    assert_eq!(params.get("SPI_KAPPA"), Some(121));
}

#[test]
fn plasticity_is_on_to_train_and_off_to_evaluate() {
    for (artifact_says, order_says, trained) in
        [(0, None, 7), (4, None, 4), (7, None, 7), (7, Some(3), 3), (7, Some(0), 0)]
    {
        let artifact = artifact_with(&[(DO_EPROP, artifact_says)]);
        let model = Model::read(&artifact).unwrap();
        let registers: Vec<_> = order_says.map(|value| (DO_EPROP, value)).into_iter().collect();
        let order = ordered(&registers);
        assert_eq!(model.to_train(&order).unwrap().get(DO_EPROP), Some(trained));
        assert_eq!(model.to_evaluate(&Trial::of_order(&order)).unwrap().get(DO_EPROP), Some(0));
    }
}

#[test]
fn wrong_registers_are_told() {
    let artifact = artifact();
    let model = Model::read(&artifact).unwrap();
    let check = |name, value| code(model.to_train(&ordered(&[(name, value)])));
    assert_eq!(check("SPI_LR_P_WIMP", 1), "unknown_register");
    assert_eq!(check("SPI_KAPPA", 256), "out_of_range");
    assert_eq!(check("SPI_NUM_REC_NEUR", 50), "model_shape_mismatch");
    let error = model.to_train(&ordered(&[("SPI_KAPPA", 256)])).unwrap_err();
    assert_eq!(error.to_string(), "the order's registers: SPI_KAPPA: value 256 is outside 0..=255");
}

#[test]
fn registers_that_need_each_other_are_set_in_any_order() {
    let config = chip::config_text().replace("SPI_NOISE_STR 0\n", "");
    let weights = initial_weights(1);
    let weights =
        Weights { input: &weights.input, recurrent: &weights.recurrent, output: &weights.output };
    let artifact = reckon_artifact(&config, &chip::neurons_text(), weights).unwrap();
    let model = Model::read(&artifact).unwrap();
    let params = model.to_train(&ordered(&[("SPI_NOISE_EN", 1), ("SPI_NOISE_STR", 3)])).unwrap();
    assert_eq!((params.get("SPI_NOISE_EN"), params.get("SPI_NOISE_STR")), (Some(1), Some(3)));
    assert_eq!(code(model.to_train(&ordered(&[("SPI_NOISE_EN", 1)]))), "missing");
}

#[test]
fn no_generator_is_seeded_with_zero_and_seeds_belong_to_their_order() {
    for seed in 0..200 {
        for ((_, value), (name, bits, lanes)) in seeds(seed, TRAINING).into_iter().zip(SEEDS) {
            let mask = (1_u32 << bits) - 1;
            assert!(value & mask != 0, "{name}");
            assert!(lanes == 1 || value >> bits & mask != 0, "{name}");
            assert_eq!(u64::from(value) >> (bits * lanes), 0, "{name}");
        }
    }
    assert_eq!(seeds(5, TRAINING), seeds(5, TRAINING));
    assert_ne!(seeds(5, TRAINING), seeds(6, TRAINING));
    assert_ne!(seeds(5, TRAINING), seeds(5, EVALUATION));
}

#[test]
fn seeds_are_fixed_forever() {
    // Computed apart from this code, by the derivation that the documentation of `seeds` gives.
    let values = seeds(7, TRAINING).map(|(_, value)| value);
    assert_eq!(
        values,
        [
            6_949_123,
            26_165_520,
            152_593,
            585_422_846,
            6846,
            793_782_503,
            683_424_922,
            559_617_372,
            76_717
        ]
    );
}
