//! Making a network in the caller's memory, its registers and its weights.
#![expect(unsafe_code, reason = "the functions take pointers and have names that C can link to")]

use core::ffi::c_void;
use core::mem::MaybeUninit;
use core::slice;

use reckon::{Memory, Network, Pair, Params, Shape};

use crate::status::{
    RECKON_BUSY, RECKON_INTERNAL, RECKON_MEMORY_TOO_SMALL, RECKON_MISALIGNED, RECKON_NULL_POINTER,
    RECKON_UNKNOWN_REGISTER, RECKON_WRONG_LENGTH, code, of_param,
};
use crate::types::ReckonConfig;
use crate::{raw, registers};

/// A network of the chip, in the caller's memory. What is inside is the library's.
#[derive(Debug)]
pub struct ReckonNetwork {
    pub(crate) network: Network<'static>,
}

/// Bytes of a network's memory that its state takes, on top of weights and neurons.
pub const RECKON_NETWORK_SIZE: usize = 20480;

/// Alignment of a network's memory, in bytes.
pub const RECKON_MEMORY_ALIGN: usize = 64;

const _: () = assert!(size_of::<ReckonNetwork>() <= RECKON_NETWORK_SIZE);
const _: () = assert!(align_of::<ReckonNetwork>() <= RECKON_MEMORY_ALIGN);
// The neuron words come behind the state.
const _: () = assert!(RECKON_NETWORK_SIZE.is_multiple_of(RECKON_MEMORY_ALIGN));

/// How many bytes of memory a network of this shape needs: 1 to 256 inputs, 1 to 256 recurrent
/// neurons, 1 to 16 outputs. 0 for any other shape. `RECKON_MEMORY_SIZE` is the same as a constant.
// SAFETY: the prefix keeps the name apart from others.
#[unsafe(no_mangle)]
pub extern "C" fn reckon_memory_size(inputs: u32, recurrent: u32, outputs: u32) -> usize {
    let count =
        |count: u32, max: u16| u16::try_from(count).ok().filter(|count| (1..=max).contains(count));
    match (count(inputs, 256), count(recurrent, 256), count(outputs, 16)) {
        (Some(inputs), Some(recurrent), Some(outputs)) => {
            size(Shape { inputs, recurrent, outputs })
        }
        _ => 0,
    }
}

fn size(shape: Shape) -> usize {
    RECKON_NETWORK_SIZE + Network::memory_len(shape).bytes()
}

/// Makes a network in `memory`, programmed with `config`: generators seeded, weights 0, no sample
/// running. The memory belongs to the network from then on; it is given back by no longer using
/// the network.
///
/// `memory`: aligned to `RECKON_MEMORY_ALIGN`, `memory_size` bytes, at least
/// `RECKON_MEMORY_SIZE(inputs, recurrent, outputs)`. What it holds before does not matter.
/// `network`: where the handle is stored; null is stored on an error.
/// `fault`: null, or where on an error the address of the register at fault is stored, or the
/// number of the neuron pair; nothing is stored on other errors.
///
/// Returns RECKON_OK, RECKON_NULL_POINTER, RECKON_MISALIGNED, RECKON_WRONG_LENGTH (of `config`'s
/// arrays), RECKON_MEMORY_TOO_SMALL, RECKON_UNKNOWN_REGISTER, RECKON_OUT_OF_RANGE,
/// RECKON_DUPLICATE or RECKON_MISSING_REGISTER.
///
/// # Safety
///
/// Each pointer that is not null points to what its type says. Neither the memory nor anything in
/// it is touched or moved by the caller while the network is in use, and `network`, `fault`,
/// `config` and its arrays lie outside of it. A network is used by one thread at a time.
// SAFETY: the prefix keeps the name apart from others.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reckon_new(
    memory: *mut c_void,
    memory_size: usize,
    config: *const ReckonConfig,
    network: *mut *mut ReckonNetwork,
    fault: *mut u32,
) -> i32 {
    code((|| {
        raw::check(network)?;
        // SAFETY: the caller's promise.
        unsafe { raw::put(network, core::ptr::null_mut()) };
        raw::check_optional(fault)?;
        // SAFETY: the caller's promise.
        let config = unsafe { raw::value(config) }?;
        // SAFETY: the caller's promise, of the arrays in `config`.
        let params = match unsafe { params(config) }? {
            Ok(params) => params,
            Err((code, at)) => {
                // SAFETY: the caller's promise.
                at.inspect(|&at| unsafe { raw::put(fault, at) });
                return Err(code);
            }
        };
        // SAFETY: the caller's promise.
        let made = unsafe { place(memory, memory_size, &params) }?;
        // SAFETY: the caller's promise.
        unsafe { raw::put(network, made) };
        Ok(())
    })())
}

type Fault = (i32, Option<u32>);

/// The parameters in `config`, or what is wrong with them.
///
/// # Safety
///
/// That of [`reckon_new`] about the arrays.
unsafe fn params(config: &ReckonConfig) -> Result<Result<Params, Fault>, i32> {
    // SAFETY: the caller's promise.
    let registers = unsafe { raw::array(config.registers, config.registers_len) }?;
    // SAFETY: the caller's promise.
    let pairs = unsafe { raw::array(config.pairs, config.pairs_len) }?;
    if let Some(address) = registers::unknown(registers) {
        return Ok(Err((RECKON_UNKNOWN_REGISTER, Some(address))));
    }
    let named = registers
        .iter()
        .filter_map(|register| Some((registers::name(register.address)?, register.value)));
    let pairs = pairs.iter().map(|pair| Pair {
        pair: pair.pair,
        alpha12: pair.alpha12,
        threshold: pair.threshold,
    });
    Ok(Params::parse(named, pairs).map_err(|error| {
        let pair = error.pair().map(u32::from);
        (of_param(&error), pair.or_else(|| error.register().and_then(registers::address)))
    }))
}

/// A network with `params` at the start of `memory`, its neurons and weights behind it.
///
/// # Safety
///
/// That of [`reckon_new`] about the memory.
unsafe fn place(
    memory: *mut c_void,
    memory_size: usize,
    params: &Params,
) -> Result<*mut ReckonNetwork, i32> {
    let len = Network::memory_len(params.shape());
    let size = size(params.shape());
    if memory.is_null() {
        return Err(RECKON_NULL_POINTER);
    }
    if !memory.addr().is_multiple_of(RECKON_MEMORY_ALIGN) {
        return Err(RECKON_MISALIGNED);
    }
    if memory_size < size {
        return Err(RECKON_MEMORY_TOO_SMALL);
    }
    if isize::try_from(memory_size).is_err() || memory.addr().checked_add(memory_size).is_none() {
        return Err(RECKON_WRONG_LENGTH);
    }
    let start = memory.cast::<u8>();
    // SAFETY: `size` is the sum of the three parts, and no more than the caller lends. Zeros are
    // values of every type in there, and the parts lie side by side: the state, the words (behind a
    // multiple of 64 bytes and so aligned), the weights.
    let (words, weights) = unsafe {
        start.write_bytes(0, size);
        let words = start.add(RECKON_NETWORK_SIZE).cast::<i16>();
        let weights = words.add(len.words).cast::<i8>();
        (
            slice::from_raw_parts_mut(words, len.words),
            slice::from_raw_parts_mut(weights, len.weights),
        )
    };
    let handle = start.cast::<ReckonNetwork>();
    // SAFETY: the state's part of the memory is large enough and aligned, as asserted above.
    let place = unsafe { &mut *(&raw mut (*handle).network).cast::<MaybeUninit<_>>() };
    // The slices have the lengths asked for, so that nothing can be wrong.
    Network::place(place, params, Memory { weights, words }).map_err(|_| RECKON_INTERNAL)?;
    Ok(handle)
}

/// Writes one register, between samples. A seed restarts its generator.
///
/// Returns RECKON_OK, RECKON_NULL_POINTER, RECKON_MISALIGNED, RECKON_UNKNOWN_REGISTER,
/// RECKON_OUT_OF_RANGE, RECKON_MISSING_REGISTER (another one, which would now be made use of),
/// RECKON_FIXED_REGISTER (SPI_NUM_...) or RECKON_BUSY.
///
/// # Safety
///
/// `network` is null or came from `reckon_new`.
// SAFETY: the prefix keeps the name apart from others.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reckon_set_register(
    network: *mut ReckonNetwork,
    address: u32,
    value: u32,
) -> i32 {
    code((|| {
        // SAFETY: the caller's promise.
        let network = unsafe { raw::network(network) }?;
        let name = registers::name(address).ok_or(RECKON_UNKNOWN_REGISTER)?;
        network.network.set_register(name, value).map_err(|error| of_param(&error))
    })())
}

/// Replaces all weights, between samples.
///
/// Each matrix is row-major, a row for each presynaptic input or neuron: `inp` is inputs x
/// recurrent, `rec` recurrent x recurrent, `out` recurrent x outputs. Lengths are numbers of
/// weights.
///
/// Returns RECKON_OK, RECKON_NULL_POINTER, RECKON_MISALIGNED, RECKON_WRONG_LENGTH or RECKON_BUSY;
/// on an error no weight has changed.
///
/// # Safety
///
/// `network` is null or came from `reckon_new`; each matrix is null or has the length given, and
/// lies outside of the network's memory.
// SAFETY: the prefix keeps the name apart from others.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reckon_load_weights(
    network: *mut ReckonNetwork,
    inp: *const i8,
    inp_len: usize,
    rec: *const i8,
    rec_len: usize,
    out: *const i8,
    out_len: usize,
) -> i32 {
    code((|| {
        // SAFETY: the caller's promise.
        let network = &mut unsafe { raw::network(network) }?.network;
        if network.running() {
            return Err(RECKON_BUSY);
        }
        // SAFETY: the caller's promise.
        let inp = unsafe { raw::array(inp, inp_len) }?;
        // SAFETY: the caller's promise.
        let rec = unsafe { raw::array(rec, rec_len) }?;
        // SAFETY: the caller's promise.
        let out = unsafe { raw::array(out, out_len) }?;
        network.load_weights(inp, rec, out).map_err(|_| RECKON_WRONG_LENGTH)
    })())
}

/// Copies all weights out, in the layout of `reckon_load_weights`.
///
/// Returns RECKON_OK, RECKON_NULL_POINTER, RECKON_MISALIGNED, RECKON_WRONG_LENGTH or
/// RECKON_OVERLAP; on an error nothing was copied.
///
/// # Safety
///
/// `network` is null or came from `reckon_new`; each matrix is null or has the length given, and
/// lies outside of the network's memory.
// SAFETY: the prefix keeps the name apart from others.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reckon_read_weights(
    network: *const ReckonNetwork,
    inp: *mut i8,
    inp_len: usize,
    rec: *mut i8,
    rec_len: usize,
    out: *mut i8,
    out_len: usize,
) -> i32 {
    code((|| {
        // SAFETY: the caller's promise.
        let network = unsafe { raw::network_ref(network) }?;
        // SAFETY: the caller's promise.
        let [inp, rec, out] =
            unsafe { raw::three_mut([(inp, inp_len), (rec, rec_len), (out, out_len)]) }?;
        network.network.read_weights(inp, rec, out).map_err(|_| RECKON_WRONG_LENGTH)
    })())
}
