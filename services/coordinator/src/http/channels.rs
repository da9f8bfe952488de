//! `/v1/models/{name}/channels`: channels, what moves them, and their history.

use std::sync::Arc;

use axum::Json;
use axum::extract::State as Shared;
use federation::channel::{Evidence, GuardError, State, Steps, is_free};
use federation::limits::{HOLD_SAMPLES_DEFAULT, SAMPLES_MAX};
use federation::{ChannelName, IdError, ModelName, Selector, SelectorError};
use serde::{Deserialize, Serialize};
use utoipa::openapi::Schema;
use utoipa::{IntoParams, ToSchema};

use super::answers::{problems, words};
use super::body::Params;
use super::models::{EvaluationBody, ModelPath, no_model, parse_name};
use super::moves::direct;
use super::page::{Page, PageParams, PageQuery};
use super::posted::{KeyParam, Posted};
use super::problem::{Code, Problem};
use crate::core::Core;
use crate::store::{Channel, Move, NewChannel, NotMoved, Promotion, Reply, Setup, Which};

/// A channel to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewChannel)]
pub(super) struct NewChannelBody {
    /// Its name: it begins with a letter, and is not `latest`.
    #[schema(pattern = "^[a-z][a-z0-9._-]{0,62}$", examples("canary"))]
    name: String,
    /// The version it begins with; the newest where it is absent.
    #[schema(minimum = 1)]
    version: Option<u32>,
    /// What nodes must report of a version for it to stay; nothing where it is absent.
    #[schema(examples("accuracy >= 0.93 over 50 nodes"))]
    guard: Option<String>,
    /// Parts of the nodes, in percent, to which a version goes one after the other: ascending, the last one 100. Where
    /// they are absent, 1, 10, 50 and 100.
    #[schema(examples(json!([5, 50, 100])))]
    steps: Option<Vec<u8>>,
    /// Which of the nodes that name the channel follow it, as in a plan; all where it is absent.
    #[schema(examples("task=navigation"))]
    select: Option<String>,
    /// Whether every newly published version is promoted.
    #[serde(default)]
    #[schema(default = false)]
    auto: bool,
    /// Whether somebody has to approve of a promotion before it begins.
    #[serde(default)]
    #[schema(default = false)]
    approval: bool,
    /// Held-out samples on which a node tries a version.
    #[schema(minimum = 1, maximum = 100_000, default = 100)]
    evaluate_samples: Option<u32>,
}

/// How a channel is to be set up. What is absent is as in a new channel.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ChannelSetup)]
pub(super) struct SetupBody {
    /// What nodes must report of a version for it to stay; nothing where it is absent.
    #[schema(examples("accuracy >= 0.93 over 50 nodes"))]
    guard: Option<String>,
    /// Parts of the nodes, in percent, to which a version goes one after the other: ascending, the last one 100. Where
    /// they are absent, 1, 10, 50 and 100.
    #[schema(examples(json!([5, 50, 100])))]
    steps: Option<Vec<u8>>,
    /// Which of the nodes that name the channel follow it, as in a plan; all where it is absent.
    #[schema(examples("task=navigation"))]
    select: Option<String>,
    /// Whether every newly published version is promoted.
    #[serde(default)]
    #[schema(default = false)]
    auto: bool,
    /// Whether somebody has to approve of a promotion before it begins.
    #[serde(default)]
    #[schema(default = false)]
    approval: bool,
    /// Held-out samples on which a node tries a version.
    #[schema(minimum = 1, maximum = 100_000, default = 100)]
    evaluate_samples: Option<u32>,
}

/// A channel.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Channel)]
pub(super) struct ChannelBody {
    /// The model.
    model: String,
    /// Its name.
    name: String,
    /// The version that its nodes hold, but for those that `promotion` has reached.
    version: u32,
    /// That version's digest.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    digest: String,
    /// Whether it stays at its version.
    pinned: bool,
    /// What nodes must report of a version for it to stay.
    #[schema(required)]
    guard: Option<String>,
    /// Parts of the nodes to which a version goes one after the other, in percent.
    steps: Vec<u8>,
    /// Which of the nodes that name the channel follow it.
    select: String,
    /// Whether every newly published version is promoted.
    auto: bool,
    /// Whether somebody has to approve of a promotion before it begins.
    approval: bool,
    /// Held-out samples on which a node tries a version.
    evaluate_samples: u32,
    /// What moved it last.
    promotion: PromotionBody,
    /// Digests of the versions that its guard turned back: they come again by force alone.
    bad_versions: Vec<String>,
    /// When it was made.
    created_at_ms: u64,
}

/// What moved a channel, once.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Promotion)]
pub(super) struct PromotionBody {
    /// Its number, from 1.
    #[schema(minimum = 1)]
    number: u32,
    /// Why.
    #[schema(schema_with = causes)]
    cause: String,
    /// The channel's version before; null for the first.
    #[schema(required)]
    from_version: Option<u32>,
    /// The version it brings.
    version: u32,
    /// That version's digest.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    digest: String,
    /// What became of it.
    #[schema(schema_with = states)]
    state: &'static str,
    /// The part of the nodes that it has reached, in percent.
    percent: u8,
    /// What its guard decided on last; null before it did.
    #[schema(required)]
    evidence: Option<EvaluationBody>,
    /// Who moved the channel.
    actor: String,
    /// Who approved; null where nobody was asked.
    #[schema(required)]
    approved_by: Option<String>,
    /// When it began.
    started_at_ms: u64,
    /// When it was decided; null until then.
    #[schema(required)]
    ended_at_ms: Option<u64>,
}

/// A channel's place.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct ChannelPath {
    /// The model's name.
    #[param(pattern = "^[a-z0-9][a-z0-9._-]{0,62}$", example = "cues")]
    pub(super) name: String,
    /// The channel's name.
    #[param(pattern = "^[a-z][a-z0-9._-]{0,62}$", example = "canary")]
    pub(super) channel: String,
}

fn causes() -> Schema {
    let causes = ["created", "promoted", "published", "rolled_back", "tripped", "pinned"];
    words(
        &causes,
        "Why. `published`: the channel takes new versions by itself. `tripped`: its guard turned one back.",
    )
}

fn states() -> Schema {
    let states = State::ALL.map(State::as_str);
    words(
        &states,
        "What became of it. `tripped`: its guard turned it back; `rolled_back`: somebody did.",
    )
}

problems!(ListProblems = LIST + [NotFound, ModelNotFound]);
problems!(
    CreateProblems = POST
        + [
            NotFound,
            ModelNotFound,
            VersionNotFound,
            VersionPruned,
            InvalidName,
            InvalidGuard,
            InvalidSteps,
            InvalidSelector,
            ChannelExists,
            TooManyChannels,
        ]
);
problems!(ShowProblems = READ + [NotFound, ModelNotFound, ChannelNotFound]);
problems!(HistoryProblems = LIST + [NotFound, ModelNotFound, ChannelNotFound]);
problems!(
    SetUpProblems = POST
        + [NotFound, ModelNotFound, ChannelNotFound, InvalidGuard, InvalidSteps, InvalidSelector,]
);

/// Lists a model's channels
///
/// By name.
#[utoipa::path(
    get, path = "/v1/models/{name}/channels", tag = "channels", operation_id = "list_channels",
    params(ModelPath, PageParams),
    responses((status = 200, description = "A page of channels.", body = Page<ChannelBody>), ListProblems)
)]
pub(super) async fn list(
    Shared(core): Shared<Arc<Core>>,
    Params(ModelPath { name }): Params<ModelPath>,
    query: PageQuery,
) -> Result<Json<Page<ChannelBody>>, Problem> {
    let model = parse_name(&name)?;
    let channels =
        core.store.channels(model, query.after()?.unwrap_or_default(), query.read()).await?;
    let channels = channels.ok_or_else(no_model)?;
    Ok(Json(query.page(channels, |channel| channel.name.to_string(), show_channel)))
}

/// Makes a channel
///
/// Nodes whose label `channel` is its name follow it; those without the label follow `stable`.
#[utoipa::path(
    post, path = "/v1/models/{name}/channels", tag = "channels", operation_id = "create_channel",
    params(ModelPath, KeyParam), request_body = NewChannelBody,
    responses(
        (status = 201, description = "It was made.", body = ChannelBody,
            headers(("Location" = String, description = "Where it is."))),
        CreateProblems,
    )
)]
pub(super) async fn create(
    Shared(core): Shared<Arc<Core>>,
    Params(ModelPath { name: model }): Params<ModelPath>,
    Posted { body, request }: Posted<NewChannelBody>,
) -> Result<Reply, Problem> {
    let model = parse_name(&model)?;
    let NewChannelBody { name, version, guard, steps, select, auto, approval, evaluate_samples } =
        body;
    let expected = "a name that begins with a letter and is not `latest`";
    let parsed: ChannelName = name.parse().map_err(|error: IdError| {
        Problem::of_field(Code::InvalidName, "name", expected, error.to_string())
    })?;
    if !is_free(&parsed) {
        return Err(Problem::of_field(Code::InvalidName, "name", expected, name));
    }
    let setup = SetupBody { guard, steps, select, auto, approval, evaluate_samples };
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

/// Shows a channel
#[utoipa::path(
    get, path = "/v1/models/{name}/channels/{channel}", tag = "channels", operation_id = "show_channel", params(ChannelPath),
    responses((status = 200, description = "The channel.", body = ChannelBody), ShowProblems)
)]
pub(super) async fn show(
    Shared(core): Shared<Arc<Core>>,
    Params(ChannelPath { name: model, channel: name }): Params<ChannelPath>,
) -> Result<Json<ChannelBody>, Problem> {
    let (model, name) = parse_names(&model, &name)?;
    let found = core.store.channel(model.clone(), name.clone()).await?;
    let Some(channel) = found else { return Err(nothing_here(&core, model).await?) };
    Ok(Json(show_channel(channel)))
}

/// Lists what moved a channel
///
/// In order, the newest last.
#[utoipa::path(
    get, path = "/v1/models/{name}/channels/{channel}/history", tag = "channels", operation_id = "list_promotions",
    params(ChannelPath, PageParams),
    responses((status = 200, description = "A page of promotions.", body = Page<PromotionBody>), HistoryProblems)
)]
pub(super) async fn history(
    Shared(core): Shared<Arc<Core>>,
    Params(ChannelPath { name: model, channel: name }): Params<ChannelPath>,
    query: PageQuery,
) -> Result<Json<Page<PromotionBody>>, Problem> {
    let (model, name) = parse_names(&model, &name)?;
    let after = query.after()?.unwrap_or_default();
    let found = core.store.promotions(model.clone(), name, after, query.read()).await?;
    let Some(promotions) = found else { return Err(nothing_here(&core, model).await?) };
    Ok(Json(query.page(promotions, |promotion| promotion.number.to_string(), show_promotion)))
}

/// Sets a channel up otherwise
///
/// As a whole; it goes on from where it is.
#[utoipa::path(
    put, path = "/v1/models/{name}/channels/{channel}", tag = "channels", operation_id = "set_up_channel",
    params(ChannelPath, KeyParam), request_body = SetupBody,
    responses((status = 200, description = "The channel as it is now.", body = ChannelBody), SetUpProblems)
)]
pub(super) async fn set_up(
    Shared(core): Shared<Arc<Core>>,
    Params(path): Params<ChannelPath>,
    Posted { body, request }: Posted<SetupBody>,
) -> Result<Reply, Problem> {
    let setup = body.parse()?;
    direct(&core, path, Move::SetUp(setup), request).await
}

impl SetupBody {
    fn parse(self) -> Result<Setup, Problem> {
        let Self { guard, steps, select, auto, approval, evaluate_samples } = self;
        let expected = "a guard like `accuracy >= 0.93 over 50 nodes`";
        let guard = guard.map(|text| text.parse()).transpose().map_err(|error: GuardError| {
            Problem::of_field(Code::InvalidGuard, "guard", expected, error.to_string())
        })?;
        let steps = match steps {
            None => Steps::default(),
            Some(percents) => Steps::new(percents.clone()).map_err(|error| {
                Problem::of_field(
                    Code::InvalidSteps,
                    "steps",
                    &error.to_string(),
                    format!("{percents:?}"),
                )
            })?,
        };
        let selector: Selector =
            select.unwrap_or_default().parse().map_err(|error: SelectorError| {
                Problem::of_field(
                    Code::InvalidSelector,
                    "select",
                    "a selector, as in a plan",
                    error.to_string(),
                )
            })?;
        let evaluate_samples = evaluate_samples.unwrap_or(HOLD_SAMPLES_DEFAULT);
        if !(1..=SAMPLES_MAX).contains(&evaluate_samples) {
            let expected = format!("1 to {SAMPLES_MAX}");
            let got = evaluate_samples.to_string();
            return Err(Problem::of_field(Code::InvalidValue, "evaluate_samples", &expected, got));
        }
        Ok(Setup { guard, steps, selector, auto, approval, evaluate_samples })
    }
}

/// Names of a path: one that is none names nothing.
pub(super) fn parse_names(model: &str, channel: &str) -> Result<(ModelName, ChannelName), Problem> {
    let name = channel.parse().map_err(|_| Problem::from(NotMoved::UnknownChannel))?;
    Ok((parse_name(model)?, name))
}

/// What is not there: the model, or else the channel.
async fn nothing_here(core: &Core, model: ModelName) -> Result<Problem, Problem> {
    let there = core.store.model(model).await?.is_some();
    Ok(if there { NotMoved::UnknownChannel.into() } else { no_model() })
}

/// A channel's shape.
pub(super) fn show_channel(channel: Channel) -> ChannelBody {
    let Channel { model, name, setup, pinned, newest, good, bad, created_ms } = channel;
    let Setup { guard, steps, selector, auto, approval, evaluate_samples } = setup;
    ChannelBody {
        model: model.to_string(),
        name: name.to_string(),
        version: good.version.0,
        digest: good.digest.to_string(),
        pinned,
        guard: guard.map(|guard| guard.to_string()),
        steps: steps.percents().to_vec(),
        select: selector.to_string(),
        auto,
        approval,
        evaluate_samples,
        promotion: show_promotion(newest),
        bad_versions: bad.iter().map(ToString::to_string).collect(),
        created_at_ms: created_ms,
    }
}

fn show_promotion(promotion: Promotion) -> PromotionBody {
    let show = |Evidence { nodes, samples, correct }| EvaluationBody { nodes, samples, correct };
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
