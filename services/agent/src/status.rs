//! How the device is doing, as the node reports it with each question for work.
//!
//! The node itself knows its learner's sizes and how many samples it has. The rest (power, battery, whether the device
//! is in use) only the device's own software can tell, and does in a status file: lines of `KEY=VALUE`, which are read
//! anew at each question.
//!
//! ```text
//! # written by the device, best as a new file that is renamed over the old one
//! charging=true
//! idle=false
//! battery_percent=87
//! samples=1200
//! capacity.recurrent=128
//! ```
//!
//! `samples` and `capacity.NAME` replace what the node knows itself. A line that cannot be read is told in the log, once,
//! and counts as absent; what is absent is not reported.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use federation::limits::{CAPACITIES_MAX, STATUS_COUNT_MAX};
use federation::{ModelName, NodeStatus};
use tracing::{info, warn};

use crate::limits::STATUS_BYTES_MAX;

/// What only the device can tell of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Power {
    /// Whether it is being charged.
    pub charging: Option<bool>,
    /// Whether nobody uses it.
    pub idle: Option<bool>,
    /// Its battery, 0 to 100.
    pub battery_percent: Option<u8>,
}

/// Where a node's status comes from.
#[derive(Debug)]
pub struct Reporter {
    own: NodeStatus,
    file: Option<PathBuf>,
    /// What was last told to be wrong with the file.
    told: Option<String>,
}

impl Reporter {
    /// Reports `samples` and `capacity`, and what `file` says.
    #[must_use]
    pub fn new(
        samples: u64,
        capacity: impl Into<Arc<BTreeMap<String, u64>>>,
        file: Option<PathBuf>,
    ) -> Self {
        let own = NodeStatus {
            samples: Some(samples.min(STATUS_COUNT_MAX)),
            capacity: capacity.into(),
            ..NodeStatus::default()
        };
        Self { own, file, told: None }
    }

    /// From now on the device itself is like this: what no status file says of a virtual node.
    pub fn set(&mut self, power: Power) {
        let Power { charging, idle, battery_percent } = power;
        self.own.charging = charging;
        self.own.idle = idle;
        self.own.battery_percent = battery_percent;
    }

    /// The status now. What is wrong with the file is told once.
    pub fn read(&mut self) -> NodeStatus {
        let mut status = self.own.clone();
        let Some(file) = &self.file else { return status };
        let wrong = match read(file) {
            Ok(text) => apply(&text, &mut status),
            Err(error) => Some(error.to_string()),
        };
        if wrong != self.told {
            let path = file.display();
            match &wrong {
                Some(wrong) => {
                    warn!(path = %path, code = "status_file_unusable", "the status file: {wrong}");
                }
                None => info!(path = %path, "the status file is right again"),
            }
            self.told = wrong;
        }
        status
    }
}

fn read(file: &Path) -> io::Result<String> {
    // Opening a pipe would wait for its writer.
    if !std::fs::metadata(file)?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut text = String::new();
    File::open(file)?.take(STATUS_BYTES_MAX + 1).read_to_string(&mut text)?;
    if u64::try_from(text.len()).is_ok_and(|bytes| bytes <= STATUS_BYTES_MAX) {
        Ok(text)
    } else {
        Err(io::Error::other(format!("it has more than {STATUS_BYTES_MAX} bytes")))
    }
}

/// Puts what `text` says into `status`; gives the first thing that is wrong with it.
fn apply(text: &str, status: &mut NodeStatus) -> Option<String> {
    let mut wrong = None;
    let mut seen = BTreeMap::new();
    for (line, number) in text.lines().map(str::trim).zip(1_u32..) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let set = match line.split_once('=') {
            None => Err("KEY=VALUE".to_owned()),
            Some((key, value)) => match seen.insert(key.trim(), number) {
                Some(first) => Err(format!("no key twice, see line {first}")),
                None => set(status, key.trim(), value.trim()),
            },
        };
        if let Err(expected) = set {
            let got: String = line.chars().take(80).flat_map(char::escape_default).collect();
            wrong.get_or_insert(format!("line {number}: expected {expected}, got `{got}`"));
        }
    }
    wrong
}

/// Sets one thing, or says what was expected.
fn set(status: &mut NodeStatus, key: &str, value: &str) -> Result<(), String> {
    let flag = || value.parse().map(Some).map_err(|_| "true or false".to_owned());
    let count = |max: u64| {
        let count = value.parse().ok().filter(|count| *count <= max);
        count.ok_or(format!("a whole number, 0 to {max}"))
    };
    match key {
        "charging" => status.charging = flag()?,
        "idle" => status.idle = flag()?,
        "battery_percent" => {
            status.battery_percent = Some(u8::try_from(count(100)?).unwrap_or(100));
        }
        "samples" => status.samples = Some(count(STATUS_COUNT_MAX)?),
        _ => {
            let name = key
                .strip_prefix("capacity.")
                .ok_or("charging, idle, battery_percent, samples or capacity.NAME".to_owned())?;
            // Names have one rule, whatever they name.
            let name = name.parse::<ModelName>().map_err(|error| error.to_string())?;
            let size = count(STATUS_COUNT_MAX)?;
            let capacity = Arc::make_mut(&mut status.capacity);
            if capacity.len() == CAPACITIES_MAX && !capacity.contains_key(name.as_str()) {
                return Err(format!("at most {CAPACITIES_MAX} sizes"));
            }
            capacity.insert(name.as_str().to_owned(), size);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(sizes: &[(&str, u64)]) -> BTreeMap<String, u64> {
        sizes.iter().map(|&(name, value)| (name.to_owned(), value)).collect()
    }

    fn reporter(file: Option<PathBuf>) -> Reporter {
        Reporter::new(9, sizes(&[("recurrent", 256)]), file)
    }

    #[test]
    fn without_a_file_a_node_reports_what_it_knows_itself() {
        let status = reporter(None).read();
        assert_eq!((status.charging, status.idle, status.battery_percent), (None, None, None));
        assert_eq!((status.samples, &*status.capacity), (Some(9), &sizes(&[("recurrent", 256)])));
        let endless = Reporter::new(u64::MAX, BTreeMap::new(), None).read();
        assert_eq!(endless.samples, Some(STATUS_COUNT_MAX));
    }

    #[test]
    fn the_file_is_read_anew_each_time_and_a_mistake_told_once() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("status");
        let mut reporter = reporter(Some(file.clone()));
        assert_eq!(reporter.read().samples, Some(9), "no file yet");
        let first = reporter.told.clone().unwrap();
        assert!(first.contains("No such file"), "{first}");

        std::fs::write(
            &file,
            "# mine\n\n charging = true\nidle=false\nbattery_percent=87\nsamples=1200\n\
             capacity.recurrent=128\ncapacity.cores=2",
        )
        .unwrap();
        let expected = NodeStatus {
            charging: Some(true),
            idle: Some(false),
            battery_percent: Some(87),
            samples: Some(1_200),
            capacity: Arc::new(sizes(&[("cores", 2), ("recurrent", 128)])),
        };
        assert_eq!((reporter.read(), &reporter.told), (expected.clone(), &None));
        assert_eq!(reporter.read(), expected);

        std::fs::write(&file, "charging=yes\nidle=true\nbattery_percent=101").unwrap();
        let status = reporter.read();
        assert_eq!(
            (status.charging, status.idle, status.battery_percent),
            (None, Some(true), None)
        );
        assert_eq!(*status.capacity, sizes(&[("recurrent", 256)]), "of before nothing is left");
        let told = reporter.told.as_deref().unwrap();
        assert_eq!(told, "line 1: expected true or false, got `charging=yes`");
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let many: String = (0..16).map(|i| format!("capacity.c{i}=1\n")).collect();
        for (text, expected) in [
            ("charging", "line 1: expected KEY=VALUE, got `charging`"),
            ("\nbattery_percent=101", "line 2: expected a whole number, 0 to 100"),
            ("battery_percent=-1", "line 1: expected a whole number, 0 to 100"),
            ("samples=8796093022209", "0 to 8796093022208"),
            ("speed=7", "expected charging, idle, battery_percent, samples or capacity.NAME"),
            ("capacity.Big=7", "`Big` is not a name"),
            ("idle=true\nidle=false", "line 2: expected no key twice, see line 1"),
            ("idle=\u{1b}[2J", "got `idle=\\u{1b}[2J`"),
            (&many, "line 16: expected at most 16 sizes"),
        ] {
            let wrong = apply(text, &mut reporter(None).own).unwrap();
            assert!(wrong.contains(expected), "{wrong}");
        }
    }

    #[test]
    fn what_is_no_short_text_file_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        assert!(read(dir.path()).unwrap_err().to_string().contains("regular file"));
        let file = dir.path().join("status");
        std::fs::write(&file, "#".repeat(16 << 10)).unwrap();
        assert!(read(&file).is_ok());
        std::fs::write(&file, "#".repeat((16 << 10) + 1)).unwrap();
        assert!(read(&file).unwrap_err().to_string().contains("16384 bytes"));
        std::fs::write(&file, [0xff]).unwrap();
        assert!(read(&file).is_err());
    }
}
