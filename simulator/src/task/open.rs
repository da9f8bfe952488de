//! Tasks as people name them: `navigation`, `audition:DIR,word=7`, `csv:FILE.toml`.

use std::path::Path;

use super::{Task, Words, audition, csv, gesture, navigation, recorded_cues, shd, tactile, vision};
use crate::data::DataError;

/// The task that `data` names; `seed` is the fleet's, which chooses what is generated.
///
/// `navigation`; `reckon:DIR`, the cue recordings that come with the chip; `audition:DIR[,leave-out=SPEAKER][,word=DIGIT]`,
/// `vision:DIR`, `tactile:DIR`, `gesture:DIR`, `shd:DIR`, the published recordings; `csv:FILE`, one's own, by their description.
///
/// # Errors
/// [`DataError`] when there is no such task, or its recordings are missing or wrong.
pub fn open(data: &str, seed: u64) -> Result<Task, DataError> {
    let (name, rest) = data.split_once(':').unwrap_or((data, ""));
    let mut options = rest.split(',');
    let path = options.next().unwrap_or_default();
    let unknown = |what: String| DataError::Unknown(format!("data `{data}`: {what}"));
    let mut words = Words::Official;
    for option in options {
        words = match option.split_once('=') {
            Some(("leave-out", speaker)) if name == "audition" => {
                Words::LeaveOut(speaker.to_owned())
            }
            Some(("word", digit)) if name == "audition" => {
                let digit = digit.parse().ok().filter(|&digit| digit < 10);
                Words::One(digit.ok_or_else(|| unknown("`word` is a digit, 0 to 9".to_owned()))?)
            }
            _ => return Err(unknown(format!("`{option}` is not an option of {name}"))),
        };
    }
    let known = ["navigation", "reckon", "audition", "vision", "tactile", "gesture", "shd", "csv"];
    if known.contains(&name) && name != "navigation" && path.is_empty() {
        return Err(unknown("it needs a path after a colon".to_owned()));
    }
    let path = Path::new(path);
    match name {
        "navigation" if data == "navigation" => Ok(navigation(seed)),
        "reckon" => recorded_cues(path),
        "audition" => audition(path, &words),
        "vision" => vision(path),
        "tactile" => tactile(path),
        "gesture" => gesture(path),
        "shd" => shd(path),
        "csv" => csv(path),
        _ => Err(unknown(
            "`navigation`, `reckon:DIR`, `audition:DIR`, `vision:DIR`, `tactile:DIR`, `gesture:DIR`, `shd:DIR` or `csv:FILE`"
                .to_owned(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_none_say_what_is() {
        let wrong = |data: &str| open(data, 1).unwrap_err();
        for data in
            ["", "navigation:x", "audition", "speech:x", "audition:x,word=10", "vision:x,word=1"]
        {
            assert_eq!(wrong(data).code(), "data_unknown", "{data}: {}", wrong(data));
        }
        assert_eq!(wrong("audition:/no/such/place").code(), "data_unreadable");
        assert_eq!(wrong("csv:/no/such/file").code(), "data_unreadable");
        assert_eq!(open("navigation", 1).unwrap().test.len(), 300);
    }
}
