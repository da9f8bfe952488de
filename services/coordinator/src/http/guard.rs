//! What every request passes: the rules of loopback, a time limit, and a net under panics.
//!
//! Without tokens, only this machine may ask. A browser on this machine is the hole in that: a foreign page can make it
//! send requests here. So the Host must be loopback (a foreign name that resolves to 127.0.0.1 is not), an Origin must
//! be loopback, and a POST must be JSON, which a page cannot send elsewhere without being asked first. With tokens none
//! of the first two is needed: no page can show what it does not know.

use std::any::Any;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Uri, header, uri::Authority};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::problem::{Code, Problem};
use crate::core::Core;

/// Longest that a request may take to come and be answered: a body of the greatest size on a slow line.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(60);

/// Refuses requests that are not from this machine's own user, where no tokens say who asks.
pub(super) async fn loopback_only(
    State(core): State<Arc<Core>>,
    request: Request,
    next: Next,
) -> Response {
    if core.access.asks_people() {
        return next.run(request).await;
    }
    if !host(request.uri(), request.headers()).is_some_and(|host| is_loopback(&host)) {
        let detail = "the Host must be localhost or a loopback address";
        return Problem::new(Code::HostNotAllowed, detail).into_response();
    }
    if request.headers().get_all(header::ORIGIN).iter().any(|origin| !is_loopback_origin(origin)) {
        let detail = "requests from web pages of other hosts are refused";
        return Problem::new(Code::OriginNotAllowed, detail).into_response();
    }
    next.run(request).await
}

/// Gives up on a request that takes too long.
pub(super) async fn time_limit(request: Request, next: Next) -> Response {
    match tokio::time::timeout(REQUEST_TIME_MAX, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let detail = format!("not done after {} seconds", REQUEST_TIME_MAX.as_secs());
            Problem::new(Code::RequestTimeout, detail).into_response()
        }
    }
}

/// Answers for a handler that panicked. The panic's message is on standard error already.
pub(super) fn panicked(_: Box<dyn Any + Send>) -> Response {
    tracing::error!("a request handler panicked");
    Problem::new(Code::Internal, "the coordinator failed; its log says why").into_response()
}

/// The host that a request is for; `None` without exactly one.
fn host(uri: &Uri, headers: &HeaderMap) -> Option<Authority> {
    if let Some(authority) = uri.authority() {
        return Some(authority.clone());
    }
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = hosts.next()?;
    if hosts.next().is_some() {
        return None;
    }
    Authority::try_from(host.as_bytes()).ok()
}

fn is_loopback(authority: &Authority) -> bool {
    let host = authority.host();
    let v6 = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<Ipv4Addr>().is_ok_and(|ip| ip.is_loopback())
        || v6.is_some_and(|v6| v6.parse::<Ipv6Addr>().is_ok_and(|ip| ip.is_loopback()))
}

fn is_loopback_origin(origin: &HeaderValue) -> bool {
    let uri = Uri::try_from(origin.as_bytes()).ok();
    uri.is_some_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.authority().is_some_and(is_loopback)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_and_addresses_of_this_machine_are_loopback() {
        let check = |host: &str| Authority::try_from(host).is_ok_and(|host| is_loopback(&host));
        for good in
            ["localhost", "LOCALHOST:7400", "127.0.0.1", "127.1.2.3:80", "[::1]", "[::1]:7400"]
        {
            assert!(check(good), "{good}");
        }
        for bad in [
            "",
            "example.com",
            "localhost.example.com",
            "127.0.0.1.example.com",
            "128.0.0.1",
            "[::2]",
            "::1",
            "0.0.0.0",
            "127.1",
            "localhost@example.com",
        ] {
            assert!(!check(bad), "{bad}");
        }
    }

    #[test]
    fn an_origin_is_a_scheme_and_a_loopback_host() {
        let check = |origin: &str| is_loopback_origin(&HeaderValue::from_str(origin).unwrap());
        assert!(
            check("http://localhost:7400") && check("https://127.0.0.1") && check("http://[::1]:1")
        );
        for bad in ["null", "", "http://example.com", "localhost", "file://localhost", "http://"] {
            assert!(!check(bad), "{bad}");
        }
    }
}
