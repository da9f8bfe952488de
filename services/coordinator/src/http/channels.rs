//! `/v1/models/{name}/channels`: channels, what moves them, and their history.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use federation::channel::{Evidence, Steps, is_free};
use federation::limits::{HOLD_SAMPLES_DEFAULT, SAMPLES_MAX};
use federation::{ChannelName, ModelName, Selector};
use serde::{Deserialize, Serialize};

use super::body::Params;
use super::models::{no_model, parse_name};
use super::page::{Page, PageQuery};
use super::posted::{Asked, Posted};
use super::problem::{Code, FieldError, Problem};
use crate::core::Core;
use crate::store::{Channel, Move, NewChannel, NotMoved, Promotion, Reply, Setup, Which};

/// A channel to make.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewChannelBody {
    name: String,
    /// The version it begins with; the newest where it is absent.
    version: Option<u32>,
    guard: Option<String>,
    steps: Option<Vec<u8>>,
    selector: Option<String>,
    #[serde(default)]
    auto: bool,
    #[serde(default)]
    approval: bool,
    evaluate_samples: Option<u32>,
}

/// How a channel is set up.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SetupBody {
    guard: Option<String>,
    steps: Option<Vec<u8>>,
    selector: Option<String>,
    #[serde(default)]
    auto: bool,
    #[serde(default)]
    approval: bool,
    evaluate_samples: Option<u32>,
}

/// A version to bring to a channel.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PromoteBody {
    version: u32,
    #[serde(default)]
    force: bool,
}

/// A version to stay at.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PinBody {
    /// The one the channel has where it is absent.
    version: Option<u32>,
    #[serde(default)]
    force: bool,
}

/// Which promotion is approved.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ApproveBody {
    /// The one that waits where it is absent.
    promotion: Option<u32>,
}

/// An empty object.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NothingBody {}

/// A channel.
#[derive(Debug, Serialize)]
pub(super) struct ChannelBody {
    model: String,
    name: String,
    /// The version that its nodes hold, but for those that `promotion` has reached.
    version: u32,
    digest: String,
    pinned: bool,
    guard: Option<String>,
    steps: Vec<u8>,
    selector: String,
    auto: bool,
    approval: bool,
    evaluate_samples: u32,
    /// What moved it last.
    promotion: PromotionBody,
    created_at_ms: u64,
}

/// A channel, with what it does not take back.
#[derive(Debug, Serialize)]
pub(super) struct WholeChannelBody {
    #[serde(flatten)]
    channel: ChannelBody,
    /// Digests of versions that its guard turned back: they come again by force alone.
    bad_versions: Vec<String>,
}

/// What moved a channel, once.
#[derive(Debug, Serialize)]
pub(super) struct PromotionBody {
    number: u32,
    cause: String,
    from_version: Option<u32>,
    version: u32,
    digest: String,
    state: &'static str,
    /// The part of the nodes that it has reached.
    percent: u8,
    /// What its guard decided on last.
    evidence: Option<EvidenceBody>,
    actor: String,
    approved_by: Option<String>,
    started_at_ms: u64,
    ended_at_ms: Option<u64>,
}

/// Reports that a guard decided on.
#[derive(Debug, Serialize)]
struct EvidenceBody {
    nodes: u64,
    samples: u64,
    correct: u64,
}

/// `GET /v1/models/{name}/channels`.
pub(super) async fn list(
    State(core): State<Arc<Core>>,
    Params(name): Params<String>,
    query: PageQuery,
) -> Result<Json<Page<ChannelBody>>, Problem> {
    let model = parse_name(&name)?;
    let channels = core.store.channels(model, query.after_name(), query.read()).await?;
    let channels = channels.ok_or_else(no_model)?;
    Ok(Json(query.page(channels, |channel| channel.name.to_string(), show_channel)))
}

/// `POST /v1/models/{name}/channels`.
pub(super) async fn create(
    State(core): State<Arc<Core>>,
    Params(model): Params<String>,
    Posted { body, request }: Posted<NewChannelBody>,
) -> Result<Reply, Problem> {
    let model = parse_name(&model)?;
    let NewChannelBody { name, version, guard, steps, selector, auto, approval, evaluate_samples } =
        body;
    let expected = "a name that begins with a letter and is not `latest`";
    let parsed: ChannelName = name.parse().map_err(|error: federation::IdError| {
        wrong(Code::InvalidName, "name", expected, error.to_string())
    })?;
    if !is_free(&parsed) {
        return Err(wrong(Code::InvalidName, "name", expected, name));
    }
    let setup = SetupBody { guard, steps, selector, auto, approval, evaluate_samples };
    let new = NewChannel {
        model,
        name: parsed,
        version: version.map_or(Which::Latest, Which::Number),
        setup: setup.parse()?,
    };
    let deed = request.deed(|channel: &Channel| {
        let place = format!("/v1/models/{}/channels/{}", channel.model, channel.name);
        Reply::created(place, &show_channel(channel.clone()))
    });
    let reply = core.store.create_channel(new, deed).await??;
    core.channels.moved();
    core.wake.notify_one();
    tracing::info!(channel = reply.location, "made a channel");
    Ok(reply)
}

/// `GET /v1/models/{name}/channels/{channel}`.
pub(super) async fn show(
    State(core): State<Arc<Core>>,
    Params((model, name)): Params<(String, String)>,
) -> Result<Json<WholeChannelBody>, Problem> {
    let (model, name) = parse_names(&model, &name)?;
    let found = core.store.channel(model.clone(), name.clone()).await?;
    let Some(channel) = found else { return Err(nothing_here(&core, model).await?) };
    let bad = core.store.bad_versions(model, name).await?;
    Ok(Json(WholeChannelBody {
        channel: show_channel(channel),
        bad_versions: bad.iter().map(ToString::to_string).collect(),
    }))
}

/// `GET /v1/models/{name}/channels/{channel}/history`.
pub(super) async fn history(
    State(core): State<Arc<Core>>,
    Params((model, name)): Params<(String, String)>,
    query: PageQuery,
) -> Result<Json<Page<PromotionBody>>, Problem> {
    let (model, name) = parse_names(&model, &name)?;
    let after = query.after_number()?;
    let found = core.store.promotions(model.clone(), name, after, query.read()).await?;
    let Some(promotions) = found else { return Err(nothing_here(&core, model).await?) };
    Ok(Json(query.page(promotions, |promotion| promotion.number.to_string(), show_promotion)))
}

/// `PUT /v1/models/{name}/channels/{channel}`: sets it up otherwise. It goes on from where it is.
pub(super) async fn set_up(
    State(core): State<Arc<Core>>,
    Params(names): Params<(String, String)>,
    Posted { body, request }: Posted<SetupBody>,
) -> Result<Reply, Problem> {
    let setup = body.parse()?;
    direct(&core, names, Move::SetUp(setup), request).await
}

/// `POST /v1/models/{name}/channels/{channel}/promote`.
pub(super) async fn promote(
    State(core): State<Arc<Core>>,
    Params(names): Params<(String, String)>,
    Posted { body: PromoteBody { version, force }, request }: Posted<PromoteBody>,
) -> Result<Reply, Problem> {
    let wanted = Move::Promote { version: Which::Number(version), force };
    direct(&core, names, wanted, request).await
}

/// `POST /v1/models/{name}/channels/{channel}/rollback`.
pub(super) async fn roll_back(
    State(core): State<Arc<Core>>,
    Params(names): Params<(String, String)>,
    Posted { body: NothingBody {}, request }: Posted<NothingBody>,
) -> Result<Reply, Problem> {
    direct(&core, names, Move::RollBack, request).await
}

/// `POST /v1/models/{name}/channels/{channel}/pin`.
pub(super) async fn pin(
    State(core): State<Arc<Core>>,
    Params(names): Params<(String, String)>,
    Posted { body: PinBody { version, force }, request }: Posted<PinBody>,
) -> Result<Reply, Problem> {
    direct(&core, names, Move::Pin { version: version.map(Which::Number), force }, request).await
}

/// `POST /v1/models/{name}/channels/{channel}/unpin`.
pub(super) async fn unpin(
    State(core): State<Arc<Core>>,
    Params(names): Params<(String, String)>,
    Posted { body: NothingBody {}, request }: Posted<NothingBody>,
) -> Result<Reply, Problem> {
    direct(&core, names, Move::Unpin, request).await
}

/// `POST /v1/models/{name}/channels/{channel}/approve`.
pub(super) async fn approve(
    State(core): State<Arc<Core>>,
    Params(names): Params<(String, String)>,
    Posted { body: ApproveBody { promotion }, request }: Posted<ApproveBody>,
) -> Result<Reply, Problem> {
    direct(&core, names, Move::Approve { promotion }, request).await
}

async fn direct(
    core: &Core,
    (model, name): (String, String),
    wanted: Move,
    request: Asked,
) -> Result<Reply, Problem> {
    let (model, name) = parse_names(&model, &name)?;
    tracing::info!(%model, channel = %name, ?wanted, "somebody moves a channel");
    let deed = request.deed(|channel: &Channel| Reply::ok(&show_channel(channel.clone())));
    let reply = core.store.move_channel(model, name, wanted, deed).await??;
    core.channels.moved();
    core.wake.notify_one();
    Ok(reply)
}

impl SetupBody {
    fn parse(self) -> Result<Setup, Problem> {
        let Self { guard, steps, selector, auto, approval, evaluate_samples } = self;
        let expected = "a guard like `accuracy >= 0.93 over 50 nodes`";
        let guard = guard.map(|text| text.parse()).transpose().map_err(
            |error: federation::channel::GuardError| {
                wrong(Code::InvalidGuard, "guard", expected, error.to_string())
            },
        )?;
        let steps = match steps {
            None => Steps::default(),
            Some(percents) => Steps::new(percents.clone()).map_err(|error| {
                wrong(Code::InvalidSteps, "steps", &error.to_string(), format!("{percents:?}"))
            })?,
        };
        let selector: Selector =
            selector.unwrap_or_default().parse().map_err(|error: federation::SelectorError| {
                wrong(
                    Code::InvalidSelector,
                    "selector",
                    "a selector, as in a plan",
                    error.to_string(),
                )
            })?;
        let evaluate_samples = evaluate_samples.unwrap_or(HOLD_SAMPLES_DEFAULT);
        if !(1..=SAMPLES_MAX).contains(&evaluate_samples) {
            let expected = format!("1 to {SAMPLES_MAX}");
            let got = evaluate_samples.to_string();
            return Err(wrong(Code::InvalidValue, "evaluate_samples", &expected, got));
        }
        Ok(Setup { guard, steps, selector, auto, approval, evaluate_samples })
    }
}

fn wrong(code: Code, field: &str, expected: &str, got: String) -> Problem {
    let detail = format!("{field}: {got}");
    let error = FieldError { field: field.to_owned(), expected: expected.to_owned(), got };
    Problem::new(code, detail).with(vec![error])
}

/// Names of a path: one that is none names nothing.
fn parse_names(model: &str, channel: &str) -> Result<(ModelName, ChannelName), Problem> {
    let name = channel.parse().map_err(|_| Problem::from(NotMoved::UnknownChannel))?;
    Ok((parse_name(model)?, name))
}

/// What is not there: the model, or else the channel.
async fn nothing_here(core: &Core, model: ModelName) -> Result<Problem, Problem> {
    let there = core.store.model(model).await?.is_some();
    Ok(if there { NotMoved::UnknownChannel.into() } else { no_model() })
}

fn show_channel(channel: Channel) -> ChannelBody {
    let Channel { model, name, setup, pinned, newest, good, created_ms } = channel;
    let Setup { guard, steps, selector, auto, approval, evaluate_samples } = setup;
    ChannelBody {
        model: model.to_string(),
        name: name.to_string(),
        version: good.version.0,
        digest: good.digest.to_string(),
        pinned,
        guard: guard.map(|guard| guard.to_string()),
        steps: steps.percents().to_vec(),
        selector: selector.to_string(),
        auto,
        approval,
        evaluate_samples,
        promotion: show_promotion(newest),
        created_at_ms: created_ms,
    }
}

fn show_promotion(promotion: Promotion) -> PromotionBody {
    let show = |Evidence { nodes, samples, correct }| EvidenceBody { nodes, samples, correct };
    PromotionBody {
        number: promotion.number,
        cause: promotion.cause,
        from_version: promotion.from.map(|from| from.0),
        version: promotion.version.0,
        digest: promotion.digest.to_string(),
        state: promotion.state.as_str(),
        percent: promotion.percent,
        evidence: promotion.evidence.map(show),
        actor: promotion.actor,
        approved_by: promotion.approved_by,
        started_at_ms: promotion.started_ms,
        ended_at_ms: promotion.ended_ms,
    }
}
