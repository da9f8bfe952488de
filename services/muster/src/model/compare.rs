//! How versions differ, and how nodes do with one.

use interchange::ModelName;
use serde_json::Value;

use super::ModelVersion;
use crate::client::query;
use crate::failure::Failure;
use crate::remote::Remote;
use crate::table::{Column, facts, percent, text};
use crate::when::now_ms;

/// Characters of a bar, at most.
const BAR: u64 = 40;

/// `muster model compare`.
#[derive(Debug, clap::Args)]
pub(crate) struct CompareArgs {
    /// The model's name
    #[arg(value_name = "MODEL")]
    model: ModelName,
    /// A version's number, latest, or a channel
    #[arg(value_name = "FROM")]
    from: String,
    /// A version's number, latest, or a channel
    #[arg(value_name = "TO", default_value = "latest")]
    to: String,
    #[command(flatten)]
    at: Remote,
}

/// `muster model evaluations`.
#[derive(Debug, clap::Args)]
pub(crate) struct EvaluationsArgs {
    /// The model and its version: `navigation`, `navigation@3`, `navigation@stable`
    #[arg(value_name = "MODEL[@VERSION]")]
    model: ModelVersion,
    /// Group the nodes by this label
    #[arg(long, value_name = "LABEL")]
    by: Option<String>,
    #[command(flatten)]
    at: Remote,
}

const TENSORS: &[Column] = &[
    Column::text("TENSOR", |tensor, _| text(&tensor["name"])),
    Column::number("WEIGHTS", |tensor, _| text(&tensor["weights"])),
    Column::number("CHANGED", |tensor, _| text(&tensor["changed"])),
    Column::number("", |tensor, _| percent(&tensor["changed"], &tensor["weights"])),
    Column::number("MOST", |tensor, _| text(&tensor["max_difference"])),
];

const GROUPS: &[Column] = &[
    Column::text("LABEL", |group, _| text(&group["label"])),
    Column::number("NODES", |group, _| text(&group["reports"]["nodes"])),
    Column::number("SAMPLES", |group, _| text(&group["reports"]["samples"])),
    Column::number("ACCURACY", |group, _| {
        percent(&group["reports"]["correct"], &group["reports"]["samples"])
    }),
    Column::number("WORST TENTH", |group, _| worst(&group["reports"])),
];

fn worst(reports: &Value) -> String {
    let worst = &reports["worst_decile"];
    percent(&worst["correct"], &worst["samples"])
}

/// Compares two versions.
pub(super) async fn compare(args: CompareArgs) -> Result<u8, Failure> {
    let (client, out) = args.at.open()?;
    let which = query([("from", Some(args.from.as_str())), ("to", Some(args.to.as_str()))]);
    let found = client.get(&format!("/v1/models/{}/compare{which}", args.model)).await?;
    if out.is_json() {
        out.say(&found.to_string())?;
        return Ok(0);
    }
    let side = |side: &Value| {
        let told = &side["evaluation"];
        let accuracy = percent(&told["correct"], &told["samples"]);
        let nodes = told["nodes"].as_u64().unwrap_or(0);
        format!(
            "version {} ({}), accuracy {accuracy} of {nodes} nodes",
            text(&side["version"]),
            crate::table::digest(&side["digest"])
        )
    };
    let changed = percent(&found["changed"], &found["weights"]);
    out.say(&facts(&[
        ("from", side(&found["from"])),
        ("to", side(&found["to"])),
        (
            "changed",
            format!(
                "{} of {} weights ({changed})",
                text(&found["changed"]),
                text(&found["weights"])
            ),
        ),
        ("most", format!("by {}", text(&found["max_difference"]))),
    ]))?;
    let tensors = found["tensors"].as_array().map(Vec::as_slice).unwrap_or_default();
    out.say("")?;
    out.say(&out.table(TENSORS, tensors, now_ms()))?;
    out.say("\ndifferences")?;
    out.say(&histogram(&found["difference"]))?;
    Ok(0)
}

/// Shows how nodes do with a version.
pub(super) async fn evaluations(args: EvaluationsArgs) -> Result<u8, Failure> {
    let (client, out) = args.at.open()?;
    let by = query([("by", args.by.as_deref())]);
    let path = format!("{}/evaluations/summary{by}", args.model.path());
    let found = client.get(&path).await?;
    if out.is_json() {
        out.say(&found.to_string())?;
        return Ok(0);
    }
    let all = &found["all"];
    out.say(&facts(&[
        ("nodes", text(&all["nodes"])),
        ("samples", text(&all["samples"])),
        ("accuracy", percent(&all["correct"], &all["samples"])),
        ("worst tenth", worst(all)),
    ]))?;
    out.say("\nnodes by accuracy")?;
    let deciles = all["deciles"].as_array().map(Vec::as_slice).unwrap_or_default();
    let named = |(index, count): (usize, &Value)| {
        (format!("{:>2} %", index * 10), count.as_u64().unwrap_or(0))
    };
    out.say(&bars(&deciles.iter().enumerate().map(named).collect::<Vec<_>>()))?;
    if let Some(groups) = found["groups"].as_array() {
        out.say("")?;
        out.say(&out.table(GROUPS, groups, now_ms()))?;
    }
    Ok(0)
}

/// A histogram, without the empty ranges at its ends.
fn histogram(told: &Value) -> String {
    let (from, step) = (told["from"].as_i64().unwrap_or(0), told["step"].as_i64().unwrap_or(1));
    let counts = told["counts"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut begin = from;
    let mut ranges = Vec::new();
    for count in counts {
        let end = begin + step - 1;
        let name = if step == 1 { begin.to_string() } else { format!("{begin} to {end}") };
        ranges.push((name, count.as_u64().unwrap_or(0)));
        begin += step;
    }
    let full = |(_, count): &(String, u64)| *count > 0;
    let first = ranges.iter().position(full).unwrap_or(0);
    let last = ranges.iter().rposition(full).map_or(0, |last| last + 1);
    bars(ranges.get(first..last).unwrap_or_default())
}

/// Counts as bars. The longest stands for the most, and what is not nothing is seen.
fn bars(counts: &[(String, u64)]) -> String {
    let most = counts.iter().map(|(_, count)| *count).max().unwrap_or(0).max(1);
    let widest = counts.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let line = |(name, count): &(String, u64)| {
        let long = (u128::from(*count) * u128::from(BAR)).div_ceil(u128::from(most));
        let bar = "█".repeat(usize::try_from(long).unwrap_or(0));
        format!("{name:>widest$}  {bar} {count}")
    };
    counts.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn bars_are_as_long_as_their_counts() {
        let told = json!({"from": -8, "step": 4, "counts": [0, 1, 400, 200, 0]});
        let long = |n: usize| "█".repeat(n);
        let expected = format!(
            "-4 to -1  {} 1\n  0 to 3  {} 400\n  4 to 7  {} 200",
            long(1),
            long(40),
            long(20)
        );
        assert_eq!(histogram(&told), expected);
        assert_eq!(histogram(&json!({"from": 0, "step": 1, "counts": [0, 0]})), "");
    }
}
