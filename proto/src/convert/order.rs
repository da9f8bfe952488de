//! Asking for work, and the work.

use std::collections::BTreeMap;

use federation::limits::{
    DEADLINE_MS_MAX, EPOCHS_MAX, SAMPLES_MAX, SCHEDULE_MAX, WAIT_MS_MAX, WEIGHTS_MAX,
};
use federation::{
    Answer, Hold, Holding, Idle, LocalWork, NodeId, NodeStatus, RoundRef, Settled, TrainOrder,
    VersionNumber,
};

use super::parse::{Malformed, digest, digest_bytes, excerpt, name, within, word};
use super::refusal::{Reply, either};
use super::round::{RoundField, outcome, settled};
use crate::v1;
use crate::v1::wait_order_response::Order as Part;

/// A node asks for work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitOrder {
    /// The node.
    pub node: NodeId,
    /// How long to wait for work, in milliseconds: 0 to [`WAIT_MS_MAX`].
    pub wait_ms: u32,
    /// The last round for which the node holds a receipt and does not know yet what became of it.
    pub awaiting: Option<RoundRef>,
    /// How the node is doing.
    pub status: Option<NodeStatus>,
    /// Whether it follows a channel.
    pub follows: bool,
    /// The version it holds.
    pub holding: Option<Holding>,
}

/// What a node gets when it asks for work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Train.
    Train(TrainOrder),
    /// Nothing to do now.
    Idle(Idle),
}

impl TryFrom<v1::WaitOrderRequest> for WaitOrder {
    type Error = Malformed;
    fn try_from(message: v1::WaitOrderRequest) -> Result<Self, Malformed> {
        let v1::WaitOrderRequest { node_id, wait_ms, awaiting, status, follows, holding } = message;
        Ok(Self {
            node: name("node_id", &node_id)?,
            wait_ms: within("wait_ms", wait_ms, 0..=WAIT_MS_MAX)?,
            awaiting: RoundField::AWAITING.optional(awaiting)?,
            status: status.map(NodeStatus::try_from).transpose()?,
            follows,
            holding: holding.map(Holding::try_from).transpose()?,
        })
    }
}

impl From<WaitOrder> for v1::WaitOrderRequest {
    fn from(request: WaitOrder) -> Self {
        let WaitOrder { node, wait_ms, awaiting, status, follows, holding } = request;
        Self {
            node_id: node.as_str().to_owned(),
            wait_ms,
            awaiting: awaiting.map(Into::into),
            status: status.map(Into::into),
            follows,
            holding: holding.map(Into::into),
        }
    }
}

impl TryFrom<v1::WaitOrderResponse> for (Reply<Order>, Option<Settled>, Option<Hold>) {
    type Error = Malformed;
    fn try_from(message: v1::WaitOrderResponse) -> Result<Self, Malformed> {
        let v1::WaitOrderResponse { order, awaited, hold } = message;
        let reply = match order {
            Some(Part::Train(order)) => Ok(Order::Train(order.try_into()?)),
            Some(Part::Idle(idle)) => Ok(Order::Idle(idle.into())),
            Some(Part::Refused(refusal)) => Err(refusal.into()),
            None => return Err(Malformed::absent("order", "`train`, `idle` or `refused`")),
        };
        Ok((reply, settled(awaited)?, hold.map(Hold::try_from).transpose()?))
    }
}

impl From<(Answer<Order>, Option<Settled>, Option<Hold>)> for v1::WaitOrderResponse {
    fn from((answer, awaited, hold): (Answer<Order>, Option<Settled>, Option<Hold>)) -> Self {
        let part = |order| match order {
            Order::Train(order) => Part::Train(order.into()),
            Order::Idle(idle) => Part::Idle(idle.into()),
        };
        Self {
            order: either(answer, part, Part::Refused),
            awaited: outcome(awaited).into(),
            hold: hold.map(Into::into),
        }
    }
}

impl From<v1::Idle> for Idle {
    fn from(message: v1::Idle) -> Self {
        let v1::Idle { retry_after_ms } = message;
        Self { retry_after_ms }
    }
}

impl From<Idle> for v1::Idle {
    fn from(idle: Idle) -> Self {
        let Idle { retry_after_ms } = idle;
        Self { retry_after_ms }
    }
}

impl TryFrom<v1::TrainOrder> for TrainOrder {
    type Error = Malformed;
    fn try_from(message: v1::TrainOrder) -> Result<Self, Malformed> {
        let v1::TrainOrder {
            round,
            model,
            base_version,
            base_digest,
            weights,
            samples,
            epochs,
            evaluate_samples,
            registers,
            seed,
            samples_max,
            deadline_in_ms,
        } = message;
        Ok(Self {
            round: RoundField::ROUND.required(round)?,
            model: name("model", &model)?,
            base_version: VersionNumber(within("base_version", base_version, 1..=u32::MAX)?),
            base: digest("base_digest", &base_digest)?,
            weights: within("weights", weights, 1..=WEIGHTS_MAX as u64)?,
            work: LocalWork {
                samples: within("samples", samples, 1..=SAMPLES_MAX)?,
                epochs: within("epochs", epochs, 1..=EPOCHS_MAX)?,
                evaluate_samples: within("evaluate_samples", evaluate_samples, 0..=SAMPLES_MAX)?,
                registers: parse_registers(registers)?,
            },
            seed,
            samples_max: within("samples_max", samples_max, 1..=SAMPLES_MAX)?,
            deadline_in_ms: within("deadline_in_ms", deadline_in_ms, 0..=DEADLINE_MS_MAX)?,
        })
    }
}

impl From<TrainOrder> for v1::TrainOrder {
    fn from(order: TrainOrder) -> Self {
        let TrainOrder {
            round,
            model,
            base_version: VersionNumber(base_version),
            base,
            weights,
            work: LocalWork { samples, epochs, evaluate_samples, registers },
            seed,
            samples_max,
            deadline_in_ms,
        } = order;
        Self {
            round: Some(round.into()),
            model: model.as_str().to_owned(),
            base_version,
            base_digest: digest_bytes(base),
            weights,
            samples,
            epochs,
            evaluate_samples,
            registers: registers
                .into_iter()
                .map(|(name, value)| v1::Register { name, value })
                .collect(),
            seed,
            samples_max,
            deadline_in_ms,
        }
    }
}

fn parse_registers(messages: Vec<v1::Register>) -> Result<BTreeMap<String, u32>, Malformed> {
    within("registers", messages.len(), 0..=SCHEDULE_MAX)?;
    let mut registers: BTreeMap<String, u32> = BTreeMap::new();
    for v1::Register { name, value } in messages {
        let name = word("registers.name", name, "A-Z, 0-9, `_`", is_register)?;
        if let Some((last, _)) = registers.last_key_value()
            && *last >= name
        {
            let expected = format!("after {}", excerpt(last));
            return Err(Malformed::new("registers.name", expected, excerpt(&name)));
        }
        registers.insert(name, value);
    }
    Ok(registers)
}

fn is_register(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}
