//! How a node is doing.

use std::collections::BTreeMap;
use std::sync::Arc;

use federation::NodeStatus;
use federation::limits::{CAPACITIES_MAX, STATUS_COUNT_MAX};

use super::parse::{Malformed, excerpt, name, within};
use crate::v1;

impl TryFrom<v1::NodeStatus> for NodeStatus {
    type Error = Malformed;
    fn try_from(message: v1::NodeStatus) -> Result<Self, Malformed> {
        let v1::NodeStatus { charging, idle, battery_percent, samples, capacity } = message;
        let percent = |percent: u32| {
            let percent = within("status.battery_percent", percent, 0..=100)?;
            Ok(u8::try_from(percent).expect("a percentage fits a byte"))
        };
        let count = |count| within("status.samples", count, 0..=STATUS_COUNT_MAX);
        Ok(Self {
            charging,
            idle,
            battery_percent: battery_percent.map(percent).transpose()?,
            samples: samples.map(count).transpose()?,
            capacity: Arc::new(parse_capacity(capacity)?),
        })
    }
}

impl From<NodeStatus> for v1::NodeStatus {
    fn from(status: NodeStatus) -> Self {
        let NodeStatus { charging, idle, battery_percent, samples, capacity } = status;
        let size = |(name, &value): (&String, &u64)| v1::Capacity { name: name.clone(), value };
        Self {
            charging,
            idle,
            battery_percent: battery_percent.map(u32::from),
            samples,
            capacity: capacity.iter().map(size).collect(),
        }
    }
}

fn parse_capacity(messages: Vec<v1::Capacity>) -> Result<BTreeMap<String, u64>, Malformed> {
    within("status.capacity", messages.len(), 0..=CAPACITIES_MAX)?;
    let mut sizes: BTreeMap<String, u64> = BTreeMap::new();
    for v1::Capacity { name: text, value } in messages {
        // Keeps to the rule of all names; the domain holds it as plain text.
        name::<federation::NodeId>("status.capacity.name", &text)?;
        let value = within("status.capacity.value", value, 0..=STATUS_COUNT_MAX)?;
        if let Some((last, _)) = sizes.last_key_value()
            && *last >= text
        {
            let expected = format!("after {}", excerpt(last));
            return Err(Malformed::new("status.capacity.name", expected, excerpt(&text)));
        }
        sizes.insert(text, value);
    }
    Ok(sizes)
}
