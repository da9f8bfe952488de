//! What a request needs: the one table of routes and scopes.

use axum::http::Method;

use crate::access::Scope;

/// Routes that need no token: what a load balancer asks.
const OPEN: [&str; 2] = ["/healthz", "/readyz"];

/// Routes, and all below them, that need the scope `admin` whatever the method: who may come in, and copies of everything.
const ADMIN: [&str; 4] =
    ["/v1/tokens", "/v1/enrolment-tokens", "/v1/nodes/{id}/revoke", "/v1/backup"];

/// The scope that a request needs: `None` for none. `route` is the pattern that its path matches; a path without one is
/// as closed as any other, so that nobody learns by asking what there is.
pub(super) fn needed(method: &Method, route: Option<&str>) -> Option<Scope> {
    let looks = matches!(*method, Method::GET | Method::HEAD);
    let Some(route) = route else { return Some(Scope::Read) };
    if looks && OPEN.contains(&route) {
        return None;
    }
    let below = |root: &str| {
        route.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    Some(if ADMIN.into_iter().any(below) {
        Scope::Admin
    } else if looks {
        Scope::Read
    } else {
        Scope::Operate
    })
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
            (Method::POST, "/healthz", Some(Operate)),
            (Method::GET, "/v1/models", Some(Read)),
            (Method::HEAD, "/v1/models/{name}", Some(Read)),
            (Method::POST, "/v1/models", Some(Operate)),
            (Method::DELETE, "/v1/models/{name}", Some(Operate)),
            (Method::OPTIONS, "/v1/models", Some(Operate)),
            (Method::GET, "/v1/nodes", Some(Read)),
            (Method::POST, "/v1/nodes/{id}/revoke", Some(Admin)),
            (Method::GET, "/v1/tokens", Some(Admin)),
            (Method::GET, "/v1/tokens/{id}", Some(Admin)),
            (Method::POST, "/v1/tokens/{id}/revoke", Some(Admin)),
            (Method::POST, "/v1/enrolment-tokens", Some(Admin)),
            (Method::POST, "/v1/backup", Some(Admin)),
            (Method::GET, "/v1/tokens-of-thanks", Some(Read)),
        ] {
            assert_eq!(needed(&method, Some(route)), scope, "{method} {route}");
        }
        assert_eq!(needed(&Method::GET, None), Some(Read));
    }
}
