//! What a request needs: the one table of routes and scopes.

use axum::http::Method;

use crate::access::Scope;

/// Paths that need no token, whatever the method: what a load balancer asks. They do nothing but answer.
const OPEN: [&str; 2] = ["/healthz", "/readyz"];

/// Paths, and all below them, that need the scope `admin` whatever the method: who may come in. `*` is any one part.
const ADMIN: [&str; 3] = ["/v1/tokens", "/v1/enrolment-tokens", "/v1/nodes/*/revoke"];

/// The scope that a request needs: `None` for none. Paths are compared as they are sent, as the router does; one that
/// leads nowhere is as closed as any other, so that nobody learns by asking what there is.
pub(super) fn needed(method: &Method, path: &str) -> Option<Scope> {
    let looks = matches!(*method, Method::GET | Method::HEAD);
    if OPEN.contains(&path) {
        return None;
    }
    Some(if ADMIN.into_iter().any(|root| is_below(root, path)) {
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
        ] {
            assert_eq!(needed(&method, route), scope, "{method} {route}");
        }
    }
}
