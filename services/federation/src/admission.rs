//! The rules by which an update counts.
//!
//! [`judge`] looks at an update's announcement before any payload is read; [`check_payload`] at the payload. A repeated
//! update is recognised before anything else about it is judged, so that its receipt can be had again whatever state
//! the round is in by then.

use crate::id::{Digest, RoundRef, VersionNumber};
use crate::limits::{DELTA_MAX, METRIC_MAX};
use crate::order::{Candidate, Receipt, Refusal, RefusalCode};
use crate::round::RoundState;

/// The one byte that no lane of an update may be: -128, one below the range.
const BELOW_RANGE: u8 = (-DELTA_MAX - 1).cast_unsigned();

/// What an update is judged against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoundView {
    /// The round.
    pub round: RoundRef,
    /// Its state.
    pub state: RoundState,
    /// Number of the version the round started from.
    pub base_version: VersionNumber,
    /// Digest of that version.
    pub base: Digest,
    /// Number of weights of the model.
    pub weights: u64,
    /// The plan's cap on samples.
    pub samples_max: u32,
    /// Whether the node is in the cohort.
    pub selected: bool,
    /// The receipt this node already holds for this round.
    pub receipt: Option<Receipt>,
    /// How late an update of this round may be counted; `None` where it counts in this round or not at all.
    pub late: Option<Late>,
}

/// In an asynchronous run an update may count in a later round than the one it was ordered in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Late {
    /// Versions published since the one that the update is relative to.
    pub staleness: u32,
    /// The most there may be.
    pub staleness_max: u32,
}

/// The judgement of an announced update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Its payload may come.
    Proceed,
    /// It is counted already: this is its first receipt.
    Again(Receipt),
    /// It does not count.
    Refuse(Refusal),
}

/// Judges an announced update. `round` is `None` for a round nobody knows; the node is known to be enrolled.
#[must_use]
pub fn judge(round: Option<&RoundView>, candidate: &Candidate) -> Verdict {
    use RefusalCode::{
        MetricsOutOfRange, NotSelected, RoundClosed, SamplesOutOfRange, UnknownRound,
        UpdateConflict, UpdateStale, WrongBase, WrongShape,
    };
    let refuse = |code, field, expected: String, got: String| {
        Verdict::Refuse(Refusal { code, field, expected, got })
    };
    let Some(view) = round else {
        return refuse(
            UnknownRound,
            "round",
            "a round of this coordinator".to_owned(),
            candidate.round.to_string(),
        );
    };
    if let Some(receipt) = view.receipt {
        return if receipt.payload == candidate.payload {
            Verdict::Again(receipt)
        } else {
            refuse(
                UpdateConflict,
                "payload_digest",
                receipt.payload.to_string(),
                candidate.payload.to_string(),
            )
        };
    }
    if !view.selected {
        let expected = format!("a node of the cohort of round {}", view.round);
        return refuse(NotSelected, "node_id", expected, candidate.node.to_string());
    }
    match view.late {
        Some(Late { staleness, staleness_max }) if staleness > staleness_max => {
            let expected = format!("a version at most {staleness_max} before the newest");
            return refuse(UpdateStale, "base_digest", expected, format!("{staleness} before it"));
        }
        Some(_) => {}
        None if view.state != RoundState::Open => {
            let got = format!("{} ({})", view.round, view.state);
            return refuse(RoundClosed, "round", "an open round".to_owned(), got);
        }
        None => {}
    }
    if candidate.base != view.base {
        let expected = format!("{} (version {})", view.base, view.base_version);
        return refuse(WrongBase, "base_digest", expected, candidate.base.to_string());
    }
    if candidate.payload_bytes != view.weights {
        return refuse(
            WrongShape,
            "payload_bytes",
            view.weights.to_string(),
            candidate.payload_bytes.to_string(),
        );
    }
    if candidate.samples == 0 || candidate.samples > view.samples_max {
        let expected = format!("1 to {}", view.samples_max);
        return refuse(SamplesOutOfRange, "samples", expected, candidate.samples.to_string());
    }
    if candidate.metrics.correct > u64::from(candidate.samples) {
        let expected = format!("at most samples, {}", candidate.samples);
        return refuse(
            MetricsOutOfRange,
            "correct",
            expected,
            candidate.metrics.correct.to_string(),
        );
    }
    let counts = [
        ("synaptic_ops", candidate.metrics.synaptic_ops),
        ("bytes_down", candidate.metrics.bytes_down),
    ];
    for (field, got) in counts {
        if got > METRIC_MAX {
            return refuse(
                MetricsOutOfRange,
                field,
                format!("at most {METRIC_MAX}"),
                got.to_string(),
            );
        }
    }
    Verdict::Proceed
}

/// Checks a complete payload against its announcement.
///
/// # Errors
/// A [`Refusal`] with `payload_truncated`, `payload_too_long`, `payload_digest_mismatch` or `delta_out_of_range`.
pub fn check_payload(candidate: &Candidate, payload: &[u8]) -> Result<(), Refusal> {
    let got = u64::try_from(payload.len()).expect("a length fits 64 bits");
    if got != candidate.payload_bytes {
        let short = got < candidate.payload_bytes;
        let code = if short { RefusalCode::PayloadTruncated } else { RefusalCode::PayloadTooLong };
        let got = if short { got.to_string() } else { format!("at least {got}") };
        return Err(Refusal::new(
            code,
            "payload",
            format!("{} bytes", candidate.payload_bytes),
            got,
        ));
    }
    let digest = Digest::of(payload);
    if digest != candidate.payload {
        return Err(Refusal::new(
            RefusalCode::PayloadDigestMismatch,
            "payload_digest",
            digest,
            candidate.payload,
        ));
    }
    // All at once, which is faster than one after the other; where one is wrong it is looked for.
    if payload.iter().fold(false, |found, &byte| found | (byte == BELOW_RANGE)) {
        let at = payload.iter().take_while(|&&byte| byte != BELOW_RANGE).count();
        return Err(Refusal::new(
            RefusalCode::DeltaOutOfRange,
            "payload",
            format!("-{DELTA_MAX} to {DELTA_MAX}"),
            format!("-128 in lane {at}"),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::RunId;
    use crate::order::Metrics;

    const ROUND: RoundRef = RoundRef { run: RunId(1), number: 2, attempt: 1 };

    fn view() -> RoundView {
        RoundView {
            round: ROUND,
            state: RoundState::Open,
            base_version: VersionNumber(2),
            base: Digest::of(b"base"),
            weights: 3,
            samples_max: 10,
            selected: true,
            receipt: None,
            late: None,
        }
    }

    fn candidate(payload: &[u8]) -> Candidate {
        Candidate {
            node: "n".parse().unwrap(),
            round: ROUND,
            base: Digest::of(b"base"),
            payload_bytes: 3,
            payload: Digest::of(payload),
            samples: 10,
            metrics: Metrics { correct: 10, ..Metrics::default() },
        }
    }

    fn code(verdict: Verdict) -> &'static str {
        match verdict {
            Verdict::Refuse(refusal) => refusal.code.as_str(),
            Verdict::Proceed => "proceed",
            Verdict::Again(_) => "again",
        }
    }

    #[test]
    fn each_rule_has_its_code() {
        let good = candidate(&[1, 2, 3]);
        let check = |view: &RoundView, candidate: &Candidate| code(judge(Some(view), candidate));
        assert_eq!(code(judge(None, &good)), "unknown_round");
        assert_eq!(check(&view(), &good), "proceed");
        assert_eq!(check(&RoundView { selected: false, ..view() }, &good), "not_selected");
        for state in [RoundState::Closing, RoundState::Published, RoundState::Abandoned] {
            assert_eq!(check(&RoundView { state, ..view() }, &good), "round_closed");
        }
        assert_eq!(
            check(&view(), &Candidate { base: Digest::of(b"x"), ..good.clone() }),
            "wrong_base"
        );
        assert_eq!(check(&view(), &Candidate { payload_bytes: 4, ..good.clone() }), "wrong_shape");
        assert_eq!(
            check(&view(), &Candidate { samples: 0, ..good.clone() }),
            "samples_out_of_range"
        );
        assert_eq!(
            check(&view(), &Candidate { samples: 11, ..good.clone() }),
            "samples_out_of_range"
        );
        for metrics in [
            Metrics { correct: 11, ..good.metrics },
            Metrics { synaptic_ops: METRIC_MAX + 1, ..good.metrics },
            Metrics { bytes_down: u64::MAX, ..good.metrics },
        ] {
            let candidate = Candidate { metrics, ..good.clone() };
            assert_eq!(check(&view(), &candidate), "metrics_out_of_range");
        }
    }

    #[test]
    fn a_late_update_counts_until_it_is_too_stale() {
        let good = candidate(&[1, 2, 3]);
        for state in [RoundState::Open, RoundState::Published, RoundState::Abandoned] {
            let late = |staleness| RoundView {
                state,
                late: Some(Late { staleness, staleness_max: 3 }),
                ..view()
            };
            assert_eq!(code(judge(Some(&late(0)), &good)), "proceed");
            assert_eq!(code(judge(Some(&late(3)), &good)), "proceed");
            assert_eq!(code(judge(Some(&late(4)), &good)), "update_stale");
        }
    }

    #[test]
    fn a_receipt_is_had_again_whatever_else_is_wrong() {
        let receipt = Receipt { round: ROUND, payload: Digest::of(&[1, 2, 3]), counted_at_ms: 5 };
        let late = RoundView {
            receipt: Some(receipt),
            state: RoundState::Abandoned,
            selected: false,
            ..view()
        };
        let again = Candidate { samples: 0, base: Digest::of(b"x"), ..candidate(&[1, 2, 3]) };
        assert_eq!(judge(Some(&late), &again), Verdict::Again(receipt));
        assert_eq!(code(judge(Some(&late), &candidate(&[3, 2, 1]))), "update_conflict");
    }

    #[test]
    fn payloads_are_checked_to_the_last_lane() {
        let check = |announced: &[u8], sent: &[u8]| {
            check_payload(&candidate(announced), sent).map_err(|refusal| refusal.code.as_str())
        };
        assert_eq!(check(&[1, 0xff, 0x81], &[1, 0xff, 0x81]), Ok(()));
        assert_eq!(check(&[1, 2, 3], &[1, 2]), Err("payload_truncated"));
        assert_eq!(check(&[1, 2, 3], &[1, 2, 3, 4]), Err("payload_too_long"));
        assert_eq!(check(&[1, 2, 3], &[1, 2, 4]), Err("payload_digest_mismatch"));
        assert_eq!(check(&[1, 2, 0x80], &[1, 2, 0x80]), Err("delta_out_of_range"));
    }
}
