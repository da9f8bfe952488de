//! `/models/{name}/compare`: two versions, weight by weight.

use axum::Json;
use axum::extract::{Path, Query, State};
use maud::{Markup, html};
use serde::Deserialize;

use super::super::body::Params;
use super::super::models::{ModelPath, no_model, parse_name};
use super::super::page::Asks;
use super::super::problem::Problem;
use super::super::versions::{self, CompareQuery, ComparedBody, ComparisonBody};
use super::Oops;
use super::chart::histogram;
use super::page::{Place, Visit, tile};
use super::words::{count, digest, percent};
use crate::store::Model;

/// Which ones.
#[derive(Debug, Deserialize)]
pub(super) struct Which {
    from: Option<String>,
    to: Option<String>,
}

pub(super) async fn show(
    visit: Visit,
    Path(name): Path<String>,
    Query(Which { from, to }): Query<Which>,
) -> Result<Markup, Oops> {
    let core = &visit.core;
    let model = core.store.model(parse_name(&name)?).await.map_err(Problem::from)?;
    let model = model.ok_or_else(no_model)?;
    let before = || model.latest.0.saturating_sub(1).max(1).to_string();
    let from = from.filter(|text| !text.is_empty()).unwrap_or_else(before);
    let to = to.filter(|text| !text.is_empty()).unwrap_or_else(|| "latest".to_owned());
    let place = Params(ModelPath { name });
    let asked = Asks(CompareQuery { from, to });
    let Json(compared) = versions::comparison(State(core.clone()), place, asked).await?;
    let title = format!("Versions {} and {}", compared.from.version, compared.to.version);
    let content = html! {
        p.crumbs { a href="/models" { "Models" } " / " a href=(format!("/models/{}", model.name)) { (model.name) } }
        h1 { (title) }
        (form(&model, compared.from.version, compared.to.version))
        (figures(&compared))
        section aria-labelledby="h-weights" {
            h2 #h-weights { "Weights" }
            div.pair {
                (side(&compared.from))
                (side(&compared.to))
            }
            (histogram("Difference, weight by weight", compared.difference.from, compared.difference.step, &compared.difference.counts))
            p.muted { "Heights are square roots, so that a few weights are seen beside many." }
        }
        section aria-labelledby="h-tensors" {
            h2 #h-tensors { "Tensors" }
            div.scroll tabindex="0" role="region" aria-label="Tensors" {
                table {
                    thead { tr { th scope="col" { "Tensor" } th.num scope="col" { "Weights" } th.num scope="col" { "Differ" } th.num scope="col" { "Share" } th.num scope="col" { "Largest difference" } } }
                    tbody { @for tensor in &compared.tensors { tr {
                        th scope="row" { code { (tensor.name) } } td.num { (count(tensor.weights)) } td.num { (count(tensor.changed)) }
                        td.num { (percent(tensor.changed, tensor.weights)) } td.num { (tensor.max_difference) }
                    } } }
                }
            }
        }
    };
    Ok(visit.page(Place::Models, &title, &content))
}

/// Which two to compare.
pub(super) fn form(model: &Model, from: u32, to: u32) -> Markup {
    html! {
        form.filter method="get" action=(format!("/models/{}/compare", model.name)) {
            div { label for="from" { "From version" } input #from type="number" name="from" min="1" max=(model.latest.0) value=(from) required; }
            div { label for="to" { "To version" } input #to type="number" name="to" min="1" max=(model.latest.0) value=(to) required; }
            button type="submit" { "Compare" }
        }
    }
}

fn figures(compared: &ComparisonBody) -> Markup {
    let accuracy = |side: &ComparedBody| match &side.evaluation {
        Some(told) => html! { (percent(told.correct, told.samples)) },
        None => html! { "–" },
    };
    html! {
        dl.tiles {
            (tile("Weights that differ", &html! { (percent(compared.changed, compared.weights)) }, &html! { (count(compared.changed)) " of " (count(compared.weights)) }))
            (tile("Largest difference", &html! { (compared.max_difference) }, &html! { "of at most 255" }))
            (tile("Held out, from", &accuracy(&compared.from), &html! { "version " (compared.from.version) }))
            (tile("Held out, to", &accuracy(&compared.to), &html! { "version " (compared.to.version) }))
        }
    }
}

fn side(side: &ComparedBody) -> Markup {
    html! {
        div {
            (histogram(&format!("Version {}", side.version), side.weights.from, side.weights.step, &side.weights.counts))
            p.muted { (digest(&side.digest)) }
        }
    }
}
