//! `/models`: all models.

use maud::{Markup, html};

use super::super::page::{Everything, PageQuery};
use super::super::problem::Problem;
use super::Oops;
use super::page::{Place, Visit, empty, more};
use super::words::{ago, count, digest};
use crate::store::{Channel, Model};

pub(super) async fn list(visit: Visit, query: PageQuery<Everything>) -> Result<Markup, Oops> {
    let core = &visit.core;
    let after: Option<String> = query.after()?;
    let models = core.store.models(after.clone().unwrap_or_default(), query.read()).await;
    let page =
        query.page(models.map_err(Problem::from)?, |model| model.name.to_string(), |one| one);
    let standing = core.store.standing().await.map_err(Problem::from)?;
    let channels: Vec<Channel> = standing.into_iter().map(|standing| standing.channel).collect();
    let content = html! {
        h1 { "Models" }
        section #models data-live aria-label="Models" {
            @if page.items.is_empty() {
                (empty("There is no model yet", &html! {
                    p { "A model begins with its first version, from a file of any format that " code { "muster model import" } " reads:" }
                    pre { code { "muster model import --format muster NAME FILE" } }
                }))
            } @else {
                (table(&page.items, &channels, visit.now_ms()))
                (more(&page, "/models", &[], after.is_some()))
            }
        }
    };
    Ok(visit.page(Place::Models, "Models", &content))
}

fn table(models: &[Model], channels: &[Channel], now_ms: u64) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="Models" {
            table {
                thead { tr {
                    th scope="col" { "Model" } th scope="col" { "Learner" } th.num scope="col" { "Weights" }
                    th.num scope="col" { "Versions" } th scope="col" { "Newest" } th scope="col" { "Channels" } th scope="col" { "Made" }
                } }
                tbody {
                    @for model in models {
                        tr {
                            th scope="row" { a href=(format!("/models/{}", model.name)) { (model.name) } }
                            td { code { (model.learner) } }
                            td.num { (count(model.weights)) }
                            td.num { (model.latest.0) }
                            td { (digest(&model.latest_digest.to_string())) }
                            td { @for channel in channels.iter().filter(|channel| channel.model == model.name) {
                                span.tag { (channel.name) " → " (channel.good.version.0) } " "
                            } }
                            td { (ago(model.created_ms, now_ms)) }
                        }
                    }
                }
            }
        }
    }
}
