//! What to do when something is not there: names near the one that was asked for, and where to look.

use serde_json::Value;

use crate::client::Client;
use crate::failure::Failure;
use crate::near::did_you_mean;

/// Items that are looked through for a near name.
const LOOKED_AT: u32 = 1_000;

/// A hint for a failure that says that something is not there.
pub(crate) async fn hint(
    client: &Client,
    path: &str,
    body: Option<&Value>,
    failure: &Failure,
) -> Option<String> {
    let parts: Vec<&str> = path.split(['/', '?']).collect();
    let part = |index: usize| parts.get(index).copied().unwrap_or_default();
    match failure.code() {
        // /v1/models/NAME
        "model_not_found" => {
            let told = body.and_then(|body| body["model"].as_str()).unwrap_or_default();
            let name = if part(2) == "models" { part(3) } else { told };
            let look = "`muster model list` shows the models there are";
            Some(names(client, "/v1/models", "name", name, look).await)
        }
        "version_not_found" => {
            Some(format!("`muster model versions {}` shows those there are", part(3)))
        }
        // /v1/models/NAME/channels/CHANNEL
        "channel_not_found" => {
            let list = format!("/v1/models/{}/channels", part(3));
            let look = format!("`muster model channels {}` shows those there are", part(3));
            Some(names(client, &list, "name", part(5), &look).await)
        }
        "run_not_found" => Some("`muster run list` shows the runs there are".to_owned()),
        "node_not_found" => {
            let look = "`muster fleet list` shows the nodes there are";
            Some(names(client, "/v1/nodes", "id", part(3), look).await)
        }
        "token_not_found" => Some("`muster token list` shows those there are".to_owned()),
        "enrolment_token_not_found" => {
            Some("`muster fleet token list` shows those there are".to_owned())
        }
        "version_bad" => {
            Some("its guard turned it back; --force brings it all the same".to_owned())
        }
        "channel_pinned" => Some("`muster model unpin` lets it move again".to_owned()),
        "model_busy" => {
            Some("`muster run list` shows the runs; `muster run cancel` ends one".to_owned())
        }
        "not_found" if failure.http_status() == Some(404) => {
            Some("this coordinator does not know that; is it of an older release?".to_owned())
        }
        _ => None,
    }
}

async fn names(client: &Client, list: &str, key: &str, name: &str, look: &str) -> String {
    let page = client.get_to_explain(&format!("{list}?limit={LOOKED_AT}")).await;
    let items = page.as_ref().and_then(|page| page["items"].as_array());
    let known = items.into_iter().flatten().filter_map(|item| item[key].as_str());
    did_you_mean(name, known).unwrap_or_else(|| look.to_owned())
}
