//! What the parameter bank accepts, and how it says no.

extern crate std;

use std::string::{String, ToString};
use std::vec::Vec;

use super::*;
use crate::param_error::NAME_KEPT_MAX;

/// Every register, at its reset value or 0.
fn complete() -> Vec<(&'static str, u32)> {
    TABLE.iter().map(|row| (row.name, row.reset.unwrap_or(0))).collect()
}

/// [`complete`] with one register changed.
fn with(name: &str, value: u32) -> Result<Params, ParamError> {
    let changed =
        complete().into_iter().map(|(known, old)| (known, if known == name { value } else { old }));
    Params::parse(changed, [])
}

/// Expects `result` to be an error with this code, register and message.
fn check(result: Result<Params, ParamError>, code: &str, register: Option<&str>, message: &str) {
    let error = result.unwrap_err();
    assert_eq!(
        (error.code(), error.register(), error.to_string().as_str()),
        (code, register, message)
    );
}

#[test]
fn each_register_holds_its_greatest_value_and_no_more() {
    for row in &TABLE {
        let params = with(row.name, row.max()).unwrap();
        assert_eq!(params.get(row.name), Some(row.max()));
        let Some(above) = row.max().checked_add(1) else { continue };
        let message = std::format!("{}: value {above} is outside 0..={}", row.name, row.max());
        check(with(row.name, above), "out_of_range", Some(row.name), &message);
        check(
            with(row.name, u32::MAX),
            "out_of_range",
            Some(row.name),
            &message.replace(&above.to_string(), "4294967295"),
        );

        let mut params = with(row.name, 0).unwrap();
        let before = params.clone();
        assert_eq!(params.set(row.name, above).unwrap_err().code(), "out_of_range");
        assert_eq!(params, before);
    }
}

#[test]
fn a_register_left_out_has_its_reset_value() {
    let given = complete()
        .into_iter()
        .filter(|&(name, _)| Register::named(name).unwrap().row().reset.is_none());
    let params = Params::parse(given, []).unwrap();
    assert_eq!(params.get("SPI_KAPPA"), Some(0x7A));
    assert_eq!(params.get("SPI_DO_EPROP"), Some(7));
    assert_eq!(params.get("SPI_SEED_STRND_NEUR"), Some(0x70F0 << 15 | 0x1234));
    assert_eq!(params.shape(), Shape { inputs: 256, recurrent: 256, outputs: 16 });
    assert_eq!(params.registers().count(), COUNT);
}

#[test]
fn a_register_without_reset_value_is_missed_where_it_matters() {
    let without = |missing: &'static str, changes: &[(&'static str, u32)]| {
        let mut given = complete();
        given.retain(|(name, _)| *name != missing);
        for (name, value) in given.iter_mut() {
            *value = changes
                .iter()
                .find(|(changed, _)| changed == name)
                .map_or(*value, |(_, value)| *value);
        }
        Params::parse(given, [])
    };
    let missed = |name, changes: &[_]| {
        let message = std::format!(
            "{name}: not given, has no reset value, and the other registers make use of it"
        );
        check(without(name, changes), "missing", Some(name), &message);
    };
    missed("SPI_THR_H_2", &[("SPI_DO_EPROP", 2)]);
    missed("SPI_H_4", &[("SPI_DO_EPROP", 1)]);
    missed("SPI_LR_R_WINP", &[("SPI_DO_EPROP", 1)]);
    missed("SPI_LR_P_WREC", &[("SPI_DO_EPROP", 2)]);
    missed("SPI_LR_P_WOUT", &[("SPI_DO_EPROP", 4)]);
    missed("SPI_REGUL_F0", &[("SPI_REGUL_MODE", 4)]);
    missed("SPI_REGUL_K_INP_R", &[("SPI_REGUL_MODE", 2), ("SPI_REGUL_W", 1)]);
    missed("SPI_REGUL_K_REC_P", &[("SPI_REGUL_MODE", 2), ("SPI_REGUL_W", 2)]);
    missed("SPI_REGUL_K_MUL", &[("SPI_REGUL_MODE", 1), ("SPI_REGUL_W", 1)]);
    missed("SPI_NOISE_STR", &[("SPI_NOISE_EN", 1)]);

    without("SPI_H_4", &[("SPI_DO_EPROP", 4)]).unwrap();
    without("SPI_LR_R_WINP", &[("SPI_DO_EPROP", 6)]).unwrap();
    without("SPI_REGUL_K_INP_R", &[("SPI_REGUL_MODE", 2), ("SPI_REGUL_W", 2)]).unwrap();
    without("SPI_REGUL_K_MUL", &[("SPI_REGUL_MODE", 1)]).unwrap();
    let params = without("SPI_CYCLES_PER_TICK", &[]).unwrap();
    assert_eq!(params.get("SPI_CYCLES_PER_TICK"), None);
}

#[test]
fn a_later_change_may_not_uncover_a_missing_register() {
    let mut params =
        Params::parse(complete().into_iter().filter(|&(name, _)| name != "SPI_NOISE_STR"), [])
            .unwrap();
    let before = params.clone();
    let error = params.set("SPI_NOISE_EN", 1).unwrap_err();
    assert_eq!((error.code(), error.register()), ("missing", Some("SPI_NOISE_STR")));
    assert_eq!(params, before);
    params.set("SPI_NOISE_STR", 3).unwrap();
    params.set("SPI_NOISE_EN", 1).unwrap();
    assert_eq!(params.get("SPI_NOISE_STR"), Some(3));
}

#[test]
fn unknown_and_repeated_registers_are_refused() {
    let unknown = "the chip has no register of this name";
    check(
        Params::parse([("KAPPA", 1)], []),
        "unknown_register",
        Some("KAPPA"),
        &std::format!("KAPPA: {unknown}"),
    );
    // 31 bytes and a character of two: cut before it.
    let long = String::from("A").repeat(NAME_KEPT_MAX - 1) + "\u{e9}\u{e9}";
    let error = Params::parse([(long.as_str(), 1)], []).unwrap_err();
    assert_eq!(error.register(), Some(&long[..NAME_KEPT_MAX - 1]));

    let twice = [("SPI_KAPPA", 1), ("SPI_KAPPA", 1)];
    check(Params::parse(twice, []), "duplicate", Some("SPI_KAPPA"), "SPI_KAPPA: given twice");
}

#[test]
fn pairs_are_checked() {
    let pairs = |pairs: &[(u8, u16, i16)]| {
        let pairs: Vec<Pair> = pairs
            .iter()
            .map(|&(pair, alpha12, threshold)| Pair { pair, alpha12, threshold })
            .collect();
        Params::parse(complete(), pairs)
    };
    let params = pairs(&[(127, 4095, i16::MIN), (3, 0, i16::MAX)]).unwrap();
    assert_eq!(params.pair(127), Some(Pair { pair: 127, alpha12: 4095, threshold: i16::MIN }));
    assert_eq!(params.pair(128), None);
    let outside = "neuron pair 128: pair: value 128 is outside 0..=127";
    check(pairs(&[(128, 0, 0)]), "out_of_range", Some("pair"), outside);
    let outside = "neuron pair 2: alpha12: value 4096 is outside 0..=4095";
    check(pairs(&[(2, 4096, 0)]), "out_of_range", Some("alpha12"), outside);
    check(
        pairs(&[(2, 1, 0), (2, 1, 0)]),
        "duplicate",
        Some("pair"),
        "neuron pair 2: pair: given twice",
    );
}

#[test]
fn leaks_follow_their_pair() {
    let mut registers = complete();
    registers.iter_mut().find(|(name, _)| *name == "SPI_ALPHA_CONF_W1").unwrap().1 = 1 << 2;
    let pairs = [
        Pair { pair: 33, alpha12: 0xFFF, threshold: 1 },
        Pair { pair: 34, alpha12: 0xFFF, threshold: 1 },
    ];
    let params = Params::parse(registers, pairs).unwrap();
    assert_eq!((params.leak(33), params.leak(34), params.leak(35)), (-2, 0x1FFE, -0x2000));
}

#[test]
fn text_errors_tell_the_line() {
    let config: String =
        complete().iter().map(|(name, value)| std::format!("{name} {value}\n")).collect();
    let neurons = "pair,alpha12,thr\n0,4079,614\n\n1,0,-3\n";
    let params = Params::parse_text(&config, neurons).unwrap();
    assert_eq!(params.pair(1), Some(Pair { pair: 1, alpha12: 0, threshold: -3 }));

    let form = "not of the form `NAME VALUE, with VALUE decimal in 0..=4294967295`";
    for line in
        ["SPI_KAPPA", "SPI_KAPPA 1 2", "SPI_KAPPA x", "SPI_KAPPA -1", "SPI_KAPPA 4294967296"]
    {
        let text = std::format!("SPI_EN_CONF 1\n\n{line}\n");
        check(
            Params::parse_text(&text, neurons),
            "malformed",
            None,
            &std::format!("config line 3: {form}"),
        );
    }
    let message = "config line 2: SPI_KAPPA: value 256 is outside 0..=255";
    check(
        Params::parse_text("\nSPI_KAPPA 256", neurons),
        "out_of_range",
        Some("SPI_KAPPA"),
        message,
    );

    let form = "not of the form `pair,alpha12,thr, each decimal, with thr in -32768..=32767`";
    for line in ["1,2", "1,2,3,4", "256,0,0", "1,65536,0", "1,0,32768", "a,b,c"] {
        let text = std::format!("pair,alpha12,thr\n{line}");
        check(
            Params::parse_text(&config, &text),
            "malformed",
            None,
            &std::format!("neurons line 2: {form}"),
        );
    }
    for text in ["", "0,0,0"] {
        let message = "neurons line 1: not of the form `pair,alpha12,thr`";
        check(Params::parse_text(&config, text), "malformed", None, message);
    }
    let message = "neurons line 4: neuron pair 0: pair: given twice";
    check(
        Params::parse_text(&config, "pair,alpha12,thr\n0,1,2\n1,1,2\n0,1,2"),
        "duplicate",
        Some("pair"),
        message,
    );
}
