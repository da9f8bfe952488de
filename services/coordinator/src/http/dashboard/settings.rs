//! `/settings`: what the coordinator runs by, and where each value comes from.

use maud::{Markup, html};
use serde_json::Value;

use super::page::{Place, Visit};
use crate::access::Scope;

pub(super) async fn show(visit: Visit) -> Markup {
    let settings = visit.core.settings();
    let content = html! {
        (tabs("/settings", visit.may(Scope::Admin)))
        h1 { "Settings" }
        @match settings {
            Some(settings) => (table(&settings)),
            None => div.empty {
                h2 { "No settings to show" }
                p { "This coordinator was started by another program, such as " code { "muster demo" } ", which chose its settings itself. "
                    code { "muster serve" } " shows each with where it comes from." }
            }
        }
    };
    visit.page(Place::Settings, "Settings", &content)
}

/// The pages about the coordinator itself.
pub(super) fn tabs(here: &str, admin: bool) -> Markup {
    html! {
        nav.tabs aria-label="Settings" {
            a href="/settings" aria-current=[(here == "/settings").then_some("page")] { "Configuration" }
            @if admin { a href="/settings/tokens" aria-current=[(here == "/settings/tokens").then_some("page")] { "Tokens" } }
        }
    }
}

fn table(settings: &Value) -> Markup {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    html! {
        @match settings["file"].as_str() {
            Some(file) => p.muted { "From " code { (file) } ", variables and flags; read again on SIGHUP." },
            None => p.muted { "No file was read. " code { "muster config init" } " writes one to begin with." }
        }
        div.scroll tabindex="0" role="region" aria-label="Settings" {
            table {
                thead { tr {
                    th scope="col" { "Setting" } th scope="col" { "Value" } th scope="col" { "Comes from" }
                    th scope="col" { "Variable" } th scope="col" { "A change counts" }
                } }
                tbody {
                    @for setting in settings["settings"].as_array().into_iter().flatten() {
                        @let default = setting["origin"] == "default";
                        tr {
                            th scope="row" { code { (text(&setting["key"])) } }
                            td { @let value = text(&setting["value"]); @if value.is_empty() { span.muted { "not set" } } @else { code class=[(!default).then_some("set")] { (value) } } }
                            td { @if default { span.muted { "default" } } @else { code { (text(&setting["origin_name"])) } } }
                            td { code.muted { (text(&setting["variable"])) } }
                            td { @if setting["reloads"] == true { "at a reload" } @else { "after a restart" } }
                        }
                    }
                }
            }
        }
    }
}
