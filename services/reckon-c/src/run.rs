//! Driving a network: events, targets, ticks, whole samples, results.
#![expect(unsafe_code, reason = "the functions take pointers and have names that C can link to")]

use core::mem::offset_of;
use core::slice;

use reckon::{Event, Pins, Sample, Sent, StepReport};

use crate::network::ReckonNetwork;
use crate::raw;
use crate::status::{RECKON_BUSY, RECKON_OUT_OF_RANGE, code};
use crate::types::{
    RECKON_SENT_LABEL, RECKON_SENT_NOTHING, RECKON_SENT_POTENTIALS, ReckonEvent, ReckonReport,
    ReckonResult, ReckonSample, ReckonStep,
};

/// Pin TARGET_VALID: the chip learns at this tick, if SPI_DO_EPROP says so.
pub const RECKON_PIN_TARGET_VALID: u32 = 1;
/// Pin INFER_ACC: this step votes.
pub const RECKON_PIN_INFER_ACC: u32 = 2;
/// Pin SAMPLE has gone low: this tick is the last of the sample.
pub const RECKON_PIN_LAST: u32 = 4;

/// An input event: channel `address`, 0 to 255, is active at the next tick. Several events of a
/// channel before a tick count once. The chip does not look at a channel beyond its inputs and
/// neurons.
///
/// Returns RECKON_OK, RECKON_NULL_POINTER, RECKON_MISALIGNED or RECKON_OUT_OF_RANGE.
///
/// # Safety
///
/// `network` is null or came from `reckon_new`.
// SAFETY: the prefix keeps the name apart from others.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reckon_event(network: *mut ReckonNetwork, address: u32) -> i32 {
    code((|| {
        // SAFETY: the caller's promise.
        let network = unsafe { raw::network(network) }?;
        network.network.event(u8::try_from(address).map_err(|_| RECKON_OUT_OF_RANGE)?);
        Ok(())
    })())
}

/// Gives the class that the sample belongs to, 0 to 15. It holds until the next one.
///
/// Returns RECKON_OK, RECKON_NULL_POINTER, RECKON_MISALIGNED or RECKON_OUT_OF_RANGE.
///
/// # Safety
///
/// `network` is null or came from `reckon_new`.
// SAFETY: the prefix keeps the name apart from others.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reckon_label(network: *mut ReckonNetwork, label: u32) -> i32 {
    code((|| {
        // SAFETY: the caller's promise.
        let network = unsafe { raw::network(network) }?;
        network.network.label(class(label)?);
        Ok(())
    })())
}

fn class(label: u32) -> Result<u8, i32> {
    u8::try_from(label).ok().filter(|&class| class < 16).ok_or(RECKON_OUT_OF_RANGE)
}

/// Gives the regression target of an output, 0 to 15: -32768 to 32767, in units of the output
/// potential. It holds until the next one.
///
/// Returns RECKON_OK, RECKON_NULL_POINTER, RECKON_MISALIGNED or RECKON_OUT_OF_RANGE.
///
/// # Safety
///
/// `network` is null or came from `reckon_new`.
// SAFETY: the prefix keeps the name apart from others.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reckon_target(
    network: *mut ReckonNetwork,
    output: u32,
    target: i32,
) -> i32 {
    code((|| {
        // SAFETY: the caller's promise.
        let network = unsafe { raw::network(network) }?;
        let output = class(output)?;
        let target = i16::try_from(target).map_err(|_| RECKON_OUT_OF_RANGE)?;
        network.network.target(output.into(), target);
        Ok(())
    })())
}

/// One tick: a step of all neurons, a vote, learning, and the events since the last tick. The first
/// tick starts a sample and has events only; one with RECKON_PIN_LAST ends it after the vote.
///
/// `pins`: a sum of `RECKON_PIN_...`. `step`: null, or where to store what the tick did.
///
/// Returns RECKON_OK, RECKON_NULL_POINTER, RECKON_MISALIGNED or RECKON_OUT_OF_RANGE (of `pins`).
///
/// # Safety
///
/// `network` is null or came from `reckon_new`; `step` is null or points to a ReckonStep outside of
/// its memory.
// SAFETY: the prefix keeps the name apart from others.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reckon_tick(
    network: *mut ReckonNetwork,
    pins: u32,
    step: *mut ReckonStep,
) -> i32 {
    code((|| {
        // SAFETY: the caller's promise.
        let network = unsafe { raw::network(network) }?;
        raw::check_optional(step)?;
        if pins & !(RECKON_PIN_TARGET_VALID | RECKON_PIN_INFER_ACC | RECKON_PIN_LAST) != 0 {
            return Err(RECKON_OUT_OF_RANGE);
        }
        let report = network.network.tick(Pins {
            target_valid: pins & RECKON_PIN_TARGET_VALID != 0,
            infer_acc: pins & RECKON_PIN_INFER_ACC != 0,
            last: pins & RECKON_PIN_LAST != 0,
        });
        // SAFETY: the caller's promise.
        unsafe { raw::put(step, step_of(&report)) };
        Ok(())
    })())
}

fn step_of(report: &StepReport) -> ReckonStep {
    let (sent, label, potentials) = match report.sent {
        None => (RECKON_SENT_NOTHING, 0, [0; 16]),
        Some(Sent::Label(label)) => (RECKON_SENT_LABEL, label, [0; 16]),
        Some(Sent::Potentials(potentials)) => (RECKON_SENT_POTENTIALS, 0, potentials),
    };
    ReckonStep {
        cycles: report.cycles.total(),
        synaptic_ops: report.synaptic_ops,
        weights_drawn: report.weights_drawn,
        spikes: report.spikes,
        potentials,
        learned: report.learned.into(),
        sent,
        label,
    }
}

// What lets an array of `ReckonEvent` be read as one of `Event`.
const _: () = assert!(
    size_of::<Event>() == size_of::<ReckonEvent>()
        && align_of::<Event>() == align_of::<ReckonEvent>()
        && offset_of!(Event, tick) == offset_of!(ReckonEvent, tick)
        && offset_of!(Event, address) == offset_of!(ReckonEvent, address)
);

/// Runs a whole sample: its label, its ticks with their events, its votes. In regression the
/// targets stay those given last; use `reckon_tick` to change them from tick to tick.
///
/// `report`: null, or where to store what the sample did.
///
/// Returns RECKON_OK, RECKON_NULL_POINTER, RECKON_MISALIGNED, RECKON_WRONG_LENGTH, RECKON_OUT_OF_RANGE
/// (of `ticks` or `label`) or RECKON_BUSY; on an error nothing has run.
///
/// # Safety
///
/// `network` is null or came from `reckon_new`; each other pointer is null or points to what its
/// type says, outside of the network's memory.
// SAFETY: the prefix keeps the name apart from others.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reckon_run(
    network: *mut ReckonNetwork,
    sample: *const ReckonSample,
    report: *mut ReckonReport,
) -> i32 {
    code((|| {
        // SAFETY: the caller's promise.
        let network = &mut unsafe { raw::network(network) }?.network;
        // SAFETY: the caller's promise.
        let sample = unsafe { raw::value(sample) }?;
        raw::check_optional(report)?;
        // SAFETY: the caller's promise.
        let events = unsafe { raw::array(sample.events, sample.events_len) }?;
        // SAFETY: both types have the same layout, as asserted above, and hold plain numbers.
        let events =
            unsafe { slice::from_raw_parts(events.as_ptr().cast::<Event>(), events.len()) };
        let label = class(sample.label.into())?;
        if sample.ticks < 2 {
            return Err(RECKON_OUT_OF_RANGE);
        }
        if network.running() {
            return Err(RECKON_BUSY);
        }
        let done = network.run(&Sample {
            ticks: sample.ticks,
            events,
            target_valid: sample.target_valid_begin..sample.target_valid_end,
            infer_acc: sample.infer_acc_begin..sample.infer_acc_end,
            label,
        });
        let done = ReckonReport {
            cycles: done.cycles.total(),
            synaptic_ops: done.synaptic_ops,
            weights_drawn: done.weights_drawn,
            spikes: done.spikes,
            votes: done.votes,
            label: done.label,
        };
        // SAFETY: the caller's promise.
        unsafe { raw::put(report, done) };
        Ok(())
    })())
}

/// Where the running or the last sample stands.
///
/// Returns RECKON_OK, RECKON_NULL_POINTER or RECKON_MISALIGNED.
///
/// # Safety
///
/// `network` is null or came from `reckon_new`; `result` is null or points to a ReckonResult
/// outside of its memory.
// SAFETY: the prefix keeps the name apart from others.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reckon_result(
    network: *const ReckonNetwork,
    result: *mut ReckonResult,
) -> i32 {
    code((|| {
        // SAFETY: the caller's promise.
        let network = &unsafe { raw::network_ref(network) }?.network;
        raw::check(result)?;
        let standing = ReckonResult {
            votes: *network.votes(),
            potentials: *network.potentials(),
            label: network.inferred(),
            running: network.running().into(),
        };
        // SAFETY: the caller's promise.
        unsafe { raw::put(result, standing) };
        Ok(())
    })())
}
