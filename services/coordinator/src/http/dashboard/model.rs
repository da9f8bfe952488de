//! `/models/{name}`: a model's lineage, its channels, its versions.

use axum::extract::{Path, Query};
use maud::{Markup, html};
use serde::Deserialize;

use super::super::models::{no_model, parse_name};
use super::super::problem::Problem;
use super::page::{Place, Visit};
use super::words::{ago, at, bytes, count, digest, nodes, percent};
use super::{Oops, channels, lineage};
use crate::store::{Channel, Model, Version};

/// Versions of the table at once.
const VERSIONS: u32 = 30;
/// Versions that the lineage shows: a picture of more is not read.
const LINEAGE: u32 = 60;
/// Channels that are shown; a model has no more.
const CHANNELS: u32 = 1_000;

/// What is shown of it.
#[derive(Debug, Deserialize)]
pub(super) struct Shown {
    /// Versions before this one.
    before: Option<u32>,
}

pub(super) async fn show(
    visit: Visit,
    Path(name): Path<String>,
    Query(Shown { before }): Query<Shown>,
) -> Result<Markup, Oops> {
    let core = &visit.core;
    let name = parse_name(&name)?;
    let model =
        core.store.model(name.clone()).await.map_err(Problem::from)?.ok_or_else(no_model)?;
    let channels = core.store.channels(name.clone(), String::new(), CHANNELS).await;
    let channels = channels.map_err(Problem::from)?.unwrap_or_default();
    let window = async |end: u32, limit: u32| -> Result<Vec<Version>, Problem> {
        let after = end.saturating_sub(limit);
        let found = core.store.versions(name.clone(), None, after, end - after).await?;
        Ok(found.unwrap_or_default())
    };
    let newest = window(model.latest.0, LINEAGE).await?;
    let end = before.map_or(model.latest.0, |before| before.saturating_sub(1).min(model.latest.0));
    let mut versions = window(end, VERSIONS).await?;
    versions.reverse();
    let content = html! {
        p.crumbs { a href="/models" { "Models" } }
        div.title { h1 { (model.name) } span.muted { (count(model.weights)) " weights · " code { (model.learner) } } }
        section #lineage data-live aria-labelledby="h-lineage" {
            h2 #h-lineage { "Lineage" }
            (lineage::draw(&newest, &channels))
        }
        section #channels data-live aria-labelledby="h-channels" {
            h2 #h-channels { "Channels" }
            (channels::cards(&visit, &model, &channels))
        }
        section aria-labelledby="h-compare" {
            h2 #h-compare { "Compare two versions" }
            (super::compare::form(&model, model.latest.0.saturating_sub(1).max(1), model.latest.0))
        }
        section #versions data-live aria-labelledby="h-versions" {
            h2 #h-versions { "Versions" }
            (table(&model, &versions, &channels, visit.now_ms()))
        }
    };
    Ok(visit.page(Place::Models, model.name.as_str(), &content))
}

fn table(model: &Model, versions: &[Version], channels: &[Channel], now_ms: u64) -> Markup {
    let older = versions.last().map(|version| version.number.0).filter(|&last| last > 1);
    html! {
        div.scroll tabindex="0" role="region" aria-label="Versions" {
            table {
                thead { tr {
                    th.num scope="col" { "Version" } th scope="col" { "Digest" } th scope="col" { "Channels" } th scope="col" { "From" }
                    th scope="col" { "Held out" } th.num scope="col" { "Updates" } th.num scope="col" { "Up" } th scope="col" { "Made" } th scope="col" { "Get" }
                } }
                tbody {
                    @for version in versions {
                        tr id=(format!("v{}", version.number.0)) {
                            th.num scope="row" { (version.number.0) }
                            td { (digest(&version.digest.to_string())) }
                            td { @for channel in channels.iter().filter(|channel| channel.good.version == version.number) {
                                span.tag { (channel.name) } " "
                            } }
                            td { (origin(version)) }
                            td { @match version.accuracy {
                                Some(told) => { (percent(told.correct, told.samples)) span.muted { " of " (nodes(told.nodes)) } }
                                None => span.muted { "–" }
                            } }
                            td.num { @match version.made_by { Some((_, _, totals)) => (totals.updates), None => span.muted { "–" } } }
                            td.num { @match version.made_by { Some((_, _, totals)) => (bytes(totals.bytes_up)), None => span.muted { "–" } } }
                            td { span title=(crate::audit::utc(version.created_ms)) { (ago(version.created_ms, now_ms)) } }
                            td { a href=(format!("/v1/models/{}/versions/{}/artifact", model.name, version.number.0)) download=(format!("{}-{}.muster", model.name, version.number.0))
                                aria-label=(format!("Get the artifact of version {}", version.number.0)) { "artifact" } }
                        }
                    }
                }
            }
        }
        nav.pager aria-label="More versions" {
            span.muted { "made " (at(model.created_ms)) }
            @if let Some(last) = older {
                a.button rel="next" href=(format!("/models/{}?before={last}#h-versions", model.name)) { "Older versions" }
            }
        }
    }
}

/// What a version was made from, and by what.
fn origin(version: &Version) -> Markup {
    html! {
        @match (&version.made_by, &version.parent) {
            (Some((run, round, _)), _) => { a href=(format!("/runs/{}", run.0)) { "run " (run.0) } span.muted { ", round " (round) } }
            (None, Some((parent, _))) => { "imported " span.muted { "after " (parent.0) } }
            (None, None) => "the first",
        }
    }
}
