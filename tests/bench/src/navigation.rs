//! Real navigation samples: those of the golden case `cue_default`, where it is there.

use std::io::Read;
use std::path::{Path, PathBuf};

use reckon::{Event, Params};

/// The chip's own task as shipped: configuration, initial weights and samples.
#[derive(Debug)]
pub(crate) struct Navigation {
    pub(crate) params: Params,
    /// Input, recurrent and output weights, padded.
    pub(crate) weights: [Vec<i8>; 3],
    pub(crate) samples: Vec<NavigationSample>,
}

/// One sample. Learning and voting take place from tick `cue` on.
#[derive(Debug)]
pub(crate) struct NavigationSample {
    pub(crate) ticks: u32,
    pub(crate) label: u8,
    pub(crate) cue: u32,
    pub(crate) events: Vec<Event>,
}

impl Navigation {
    /// The first `count` samples.
    pub(crate) fn load(count: usize) -> Result<Navigation, String> {
        let dir =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/reckon/golden/cue_default");
        let text =
            |name: &str| String::from_utf8(bytes(&dir.join(name))?).map_err(|e| e.to_string());
        let params = Params::parse_text(&text("config.txt")?, &text("neurons.csv")?)
            .map_err(|error| error.to_string())?;
        let weights = |name: &str| -> Result<Vec<i8>, String> {
            Ok(bytes(&dir.join(name))?.into_iter().map(u8::cast_signed).collect())
        };
        let weights =
            [weights("w_inp_init.bin")?, weights("w_rec_init.bin")?, weights("w_out_init.bin")?];
        let mut samples = Vec::new();
        for line in text("samples.txt.zst")?.lines() {
            if line.starts_with("sample") && samples.len() == count {
                break;
            }
            read(line, &mut samples).ok_or_else(|| format!("samples.txt: `{line}`"))?;
        }
        Ok(Navigation { params, weights, samples })
    }
}

fn bytes(path: &PathBuf) -> Result<Vec<u8>, String> {
    let why = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let file = std::fs::read(path).map_err(|error| why(&error))?;
    if path.extension().is_none_or(|extension| extension != "zst") {
        return Ok(file);
    }
    let mut bytes = Vec::new();
    let mut rest = file.as_slice();
    while !rest.is_empty() {
        let mut frame =
            ruzstd::decoding::StreamingDecoder::new(&mut rest).map_err(|error| why(&error))?;
        frame.read_to_end(&mut bytes).map_err(|error| why(&error))?;
    }
    Ok(bytes)
}

fn read(line: &str, samples: &mut Vec<NavigationSample>) -> Option<()> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    match (words.as_slice(), samples.last_mut()) {
        (["sample", _, ticks, label], _) => samples.push(NavigationSample {
            ticks: ticks.parse().ok()?,
            label: label.parse().ok()?,
            cue: 0,
            events: Vec::new(),
        }),
        (["tv", from, _], Some(sample)) => sample.cue = from.parse().ok()?,
        (["e", tick, addresses @ ..], Some(sample)) => {
            let tick = tick.parse().ok()?;
            for address in addresses {
                sample.events.push(Event { tick, address: address.parse().ok()? });
            }
        }
        _ => {}
    }
    Some(())
}
