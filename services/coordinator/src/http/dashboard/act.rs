//! What a form brings: who sends it, that a page of ours sent it, and a key, so that sent twice it is done once.
//!
//! Three things stand between a foreign page and a deed: the cookie is `SameSite=Strict`, the form's `Origin` must be
//! the host that it is sent to, and the form holds a text that only a page of this session does.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Form;
use axum::extract::{FromRequest, FromRequestParts as _, Request};
use axum::http::{HeaderMap, Uri, header};
use federation::Digest;
use maud::{Markup, html};

use super::super::caller::Caller;
use super::super::posted::{Asked, in_use};
use super::super::problem::{Code, Problem};
use super::Oops;
use super::sign_in::foreign;
use crate::core::Core;
use crate::store::{By, Key};

/// A form that was sent.
#[derive(Debug)]
pub(super) struct Act {
    /// Its fields, without those that every form brings.
    pub(super) fields: BTreeMap<String, String>,
    /// Who sent it.
    pub(super) caller: Caller,
    /// Who asks for what, as the deeds of REST want it.
    pub(super) request: Asked,
}

impl Act {
    /// A field that must be there.
    pub(super) fn field(&self, name: &str) -> Result<&str, Problem> {
        let found = self.fields.get(name).map(|text| text.trim()).filter(|text| !text.is_empty());
        found.ok_or_else(|| Problem::new(Code::InvalidValue, format!("{name} is missing")))
    }

    /// A field that may be absent.
    pub(super) fn option(&self, name: &str) -> Option<&str> {
        self.field(name).ok()
    }

    /// A number that may be absent.
    pub(super) fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, Problem> {
        let wrong =
            |got: &str| Problem::of_field(Code::InvalidValue, name, "a number", format!("`{got}`"));
        self.option(name).map(|text| text.parse().map_err(|_| wrong(text))).transpose()
    }
}

impl FromRequest<Arc<Core>> for Act {
    type Rejection = Oops;

    async fn from_request(request: Request, core: &Arc<Core>) -> Result<Self, Oops> {
        let (mut parts, body) = request.into_parts();
        let caller = Caller::from_request_parts(&mut parts, core).await?;
        same_origin(&parts.headers)?;
        let (method, path) = (parts.method.to_string(), parts.uri.path().to_owned());
        let request = Request::from_parts(parts, body);
        let form = Form::<BTreeMap<String, String>>::from_request(request, core).await;
        let Form(mut fields) = form.map_err(|error| {
            let code = if error.status() == axum::http::StatusCode::PAYLOAD_TOO_LARGE {
                Code::BodyTooLarge
            } else {
                Code::InvalidValue
            };
            Problem::new(code, error.body_text())
        })?;
        let shown = fields.remove("form").unwrap_or_default();
        if !core.access.is_form_token(caller.session.as_ref(), &shown) {
            let detail = "the page is older than the session; go back, load it again, and send the form again";
            return Err(Problem::new(Code::OriginNotAllowed, detail).into());
        }
        let claim = match fields.remove("key") {
            None => None,
            Some(key) => {
                let digest = Digest::of(format!("{fields:?}").as_bytes());
                let key = Key { caller: caller.actor.clone(), method, path, key };
                Some(core.store.claim(key, digest).ok_or_else(in_use)?)
            }
        };
        let by = By { actor: caller.actor.clone(), at: core.clock.wall() };
        Ok(Self { fields, caller, request: Asked::new(by, claim) })
    }
}

/// What every form brings.
pub(super) fn hidden(core: &Core, caller: &Caller) -> Markup {
    html! {
        input type="hidden" name="form" value=(core.access.form_token(caller.session.as_ref()));
        input type="hidden" name="key" value=(core.access.nonce());
    }
}

/// The origin of a form, which must be the host that it is sent to.
pub(super) fn same_origin(headers: &HeaderMap) -> Result<Uri, Problem> {
    let origin = one(headers, header::ORIGIN).and_then(|origin| origin.parse::<Uri>().ok());
    let origin = origin.ok_or_else(foreign)?;
    let host = one(headers, header::HOST);
    let same = host.zip(origin.authority()).is_some_and(|(host, origin)| *origin == *host);
    if same { Ok(origin) } else { Err(foreign()) }
}

fn one(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    let mut all = headers.get_all(name).iter();
    let first = all.next().filter(|_| all.next().is_none())?;
    first.to_str().ok()
}
