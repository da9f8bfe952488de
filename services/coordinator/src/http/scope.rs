//! What a request needs: the one table of routes and scopes.

use axum::http::Method;

use crate::access::Scope;

/// Paths that need no token, whatever the method: what a load balancer asks, and the way in. They do nothing but answer.
const OPEN: [&str; 3] = ["/healthz", "/readyz", "/sign-in"];
/// What is in the binary, the same for everybody.
const ASSETS: &str = "/assets/";

/// Paths, and all below them, that need the scope `admin` whatever the method: who may come in. `*` is any one part.
const ADMIN: [&str; 6] = [
    "/v1/tokens",
    "/v1/enrolment-tokens",
    "/v1/nodes/*/revoke",
    "/fleet/*/revoke",
    "/settings/tokens",
    "/settings/enrolment-tokens",
];

/// What everybody may do who is signed in: leave.
const SIGN_OUT: &str = "/sign-out";

/// The scope that a request needs: `None` for none. Paths are compared as they are sent, as the router does; one that
/// leads nowhere is as closed as any other, so that nobody learns by asking what there is.
pub(super) fn needed(method: &Method, path: &str) -> Option<Scope> {
    let looks = matches!(*method, Method::GET | Method::HEAD);
    if OPEN.contains(&path) || path.starts_with(ASSETS) {
        return None;
    }
    Some(if path == SIGN_OUT {
        Scope::Read
    } else if ADMIN.into_iter().any(|root| is_below(root, path)) {
        Scope::Admin
    } else if looks {
        Scope::Read
    } else {
        Scope::Operate
    })
}

fn is_below(root: &str, path: &str) -> bool {
    let mut parts = path.split('/');
    root.split('/').all(|wanted| parts.next().is_some_and(|part| wanted == "*" || wanted == part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_looks_reads_and_whoever_says_who_may_come_in_is_admin() {
        use Scope::{Admin, Operate, Read};
        for (method, route, scope) in [
            (Method::GET, "/healthz", None),
            (Method::HEAD, "/readyz", None),
            (Method::POST, "/healthz", None),
            (Method::TRACE, "/readyz", None),
            (Method::GET, "/v1/models", Some(Read)),
            (Method::HEAD, "/v1/models/m", Some(Read)),
            (Method::POST, "/v1/models", Some(Operate)),
            (Method::DELETE, "/v1/models/m", Some(Operate)),
            (Method::OPTIONS, "/v1/models", Some(Operate)),
            (Method::GET, "/v1/nodes", Some(Read)),
            (Method::POST, "/v1/nodes/n/revoke", Some(Admin)),
            (Method::GET, "/v1/tokens", Some(Admin)),
            (Method::GET, "/v1/tokens/1", Some(Admin)),
            (Method::POST, "/v1/tokens/1/revoke", Some(Admin)),
            (Method::POST, "/v1/enrolment-tokens", Some(Admin)),
            (Method::GET, "/v1/tokens-of-thanks", Some(Read)),
            (Method::GET, "/healthz/", Some(Read)),
            (Method::GET, "/nowhere", Some(Read)),
            (Method::GET, "/metrics", Some(Read)),
            (Method::GET, "/", Some(Read)),
            (Method::GET, "/runs/1", Some(Read)),
            (Method::POST, "/runs/1/cancel", Some(Operate)),
            (Method::POST, "/fleet/n/revoke", Some(Admin)),
            (Method::GET, "/settings", Some(Read)),
            (Method::GET, "/settings/tokens", Some(Admin)),
            (Method::POST, "/settings/enrolment-tokens/1/revoke", Some(Admin)),
            (Method::POST, "/sign-in", None),
            (Method::POST, "/sign-out", Some(Read)),
            (Method::GET, "/assets/muster.css", None),
            (Method::GET, "/assets", Some(Read)),
        ] {
            assert_eq!(needed(&method, route), scope, "{method} {route}");
        }
    }
}
