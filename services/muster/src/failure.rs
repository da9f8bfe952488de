//! Why a command did not do what was asked for: a stable code, what happened where and why, and what to do next.

use std::fmt::Display;

use serde_json::Value;
use simulator::RestError;

/// What the process exits with, as `sysexits.h` numbers them. `muster --help` and docs/reference/cli.md list them.
pub(crate) mod status {
    /// What was asked about is not so: a run that failed, a log that is broken.
    pub(crate) const NOT_SO: u8 = 1;
    /// The command line asks for something that cannot be.
    pub(crate) const USAGE: u8 = 64;
    /// What was given is wrong, or the coordinator refused it.
    pub(crate) const DATA: u8 = 65;
    /// A file cannot be read.
    pub(crate) const NO_INPUT: u8 = 66;
    /// The coordinator does not answer, or cannot do it.
    pub(crate) const UNAVAILABLE: u8 = 69;
    /// A part of this program broke off.
    pub(crate) const SOFTWARE: u8 = 70;
    /// The operating system refuses what every program needs.
    pub(crate) const OS_ERROR: u8 = 71;
    /// A file cannot be written.
    pub(crate) const CANNOT_CREATE: u8 = 73;
    /// Standard output cannot be written.
    pub(crate) const IO: u8 = 74;
    /// The coordinator is busy; the same command may do later.
    pub(crate) const TRY_LATER: u8 = 75;
    /// The coordinator's answer is not understood.
    pub(crate) const PROTOCOL: u8 = 76;
    /// The token is missing, wrong, or its scope too small.
    pub(crate) const NO_PERMISSION: u8 = 77;
    /// The profiles or settings of this machine are wrong.
    pub(crate) const CONFIG: u8 = 78;
    /// Ctrl-C, as shells count it.
    pub(crate) const INTERRUPTED: u8 = 130;
}

/// The exit statuses, for people.
pub(crate) const EXIT_STATUSES: &str = "\
Exit status:
  0    done, or so
  1    not so: a run that failed or was cancelled, an audit log that is broken
  2    the command line is not understood (`doctor`: something fails)
  3    `audit verify`: details were pruned
  64   the command line asks for something that cannot be
  65   what was given is wrong, or the coordinator refused it: error[CODE] says why
  66   a file cannot be read
  69   the coordinator does not answer, or cannot do it
  70   a part of the program broke off
  71   the operating system refused what every program needs
  73   a file cannot be written
  74   standard output cannot be written
  75   busy: the same command may do later
  76   the answer is not understood
  77   the token is missing or wrong, or its scope is too small
  78   a profile or setting of this machine is wrong
  130  interrupted (Ctrl-C)

Errors go to standard error as `error[CODE]: what, where, why`; codes are stable, texts are not.";

/// The exit statuses of `muster healthcheck`, for people.
pub(crate) const HEALTHCHECK_STATUSES: &str = "\
Asks /readyz at http.listen, without a token, over TLS if tls.cert is set: then the coordinator must show that certificate.

Exit status:
  0    it is ready
  1    it is up and not ready: its storage is full or failing, or it is about to end
  64   the settings are wrong, or leave the port open
  66   the certificate cannot be read
  69   nothing answers within 4 s, or it shows another certificate";

/// A failure as it is told.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    code: String,
    what: String,
    fields: Vec<String>,
    hint: Option<String>,
    status: u8,
    http_status: Option<u16>,
}

impl Failure {
    /// A failure with its code, what happened, and the exit status.
    pub(crate) fn new(code: &str, what: impl Display, status: u8) -> Self {
        let (code, what) = (code.to_owned(), what.to_string());
        Self { code, what, fields: Vec::new(), hint: None, status, http_status: None }
    }

    /// The same, with what to do next.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same, with what to do next unless that is said already.
    pub(crate) fn or_hint(mut self, hint: impl FnOnce() -> Option<String>) -> Self {
        self.hint = self.hint.or_else(hint);
        self
    }

    /// The stable code.
    pub(crate) fn code(&self) -> &str {
        &self.code
    }

    /// What happened.
    pub(crate) fn what(&self) -> &str {
        &self.what
    }

    /// The exit status.
    pub(crate) fn status(&self) -> u8 {
        self.status
    }

    /// The HTTP status, if the coordinator answered.
    pub(crate) fn http_status(&self) -> Option<u16> {
        self.http_status
    }

    /// Whether it may pass by itself: the coordinator is away or busy.
    pub(crate) fn may_pass(&self) -> bool {
        matches!(self.status, status::TRY_LATER) || self.code == "coordinator_unreachable"
    }

    /// All of it, line by line.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("error[{}]: {}", self.code, self.what);
        for field in &self.fields {
            text += &format!("\n  {field}");
        }
        for line in self.hint.iter().flat_map(|hint| hint.lines()) {
            text += &format!("\n  hint: {line}");
        }
        text
    }
}

impl From<RestError> for Failure {
    fn from(error: RestError) -> Self {
        let what = error.to_string();
        match error {
            RestError::Access { code, .. } => Self::new(code, what, status::CONFIG),
            RestError::Unreachable { .. } => {
                Self::new("coordinator_unreachable", what, status::UNAVAILABLE)
            }
            RestError::Answer { .. } => {
                Self::new("answer_not_understood", what, status::PROTOCOL).hint(
                    "is this a Muster coordinator of the same release? `--coordinator` is its REST address",
                )
            }
            RestError::Refused { method, uri, status, code, detail, problem, retry_after_s } => {
                let known = problem["code"].is_string();
                let what = if known {
                    format!("{method} {uri}: {}: {detail}", status.as_u16())
                } else {
                    format!("{method} {uri}: {status}, without a reason")
                };
                let failure = Self {
                    fields: fields(&problem),
                    http_status: Some(status.as_u16()),
                    ..Self::new(if known { &code } else { "refused" }, what, exit(status.as_u16()))
                };
                match status.as_u16() {
                    401 => failure.hint(
                        "give a token: MUSTER_TOKEN, --token-file, or `muster profile set`",
                    ),
                    403 if code == "scope_missing" => failure.hint(
                        "take a token of the scope it asks for; `muster token list` shows those there are",
                    ),
                    _ => match (retry_after_s, problem["request_id"].as_str()) {
                        (Some(s), _) => failure.hint(format!("try again in {s} s")),
                        (None, Some(id)) if status.is_server_error() => {
                            failure.hint(format!("the coordinator's log says more: look for {id}"))
                        }
                        (None, _) => failure,
                    },
                }
            }
        }
    }
}

/// What a process exits with when the coordinator answered with an HTTP status.
fn exit(http: u16) -> u8 {
    match http {
        401 | 403 => status::NO_PERMISSION,
        408 | 425 | 429 | 503 => status::TRY_LATER,
        400..500 => status::DATA,
        _ => status::UNAVAILABLE,
    }
}

/// A problem's fields, one a line.
fn fields(problem: &Value) -> Vec<String> {
    let errors = problem["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
    let text = |error: &Value, key: &str| error[key].as_str().unwrap_or("?").to_owned();
    let line = |error| {
        let (field, expected) = (text(error, "field"), text(error, "expected"));
        format!("{field}: expected {expected}, got {}", text(error, "got"))
    };
    errors.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use simulator::Method;

    use super::*;

    fn refused(status: u16, problem: &Value, retry_after_s: Option<u32>) -> Failure {
        let text = |key: &str| problem[key].as_str().unwrap_or("unknown").to_owned();
        Failure::from(RestError::Refused {
            method: Method::POST,
            uri: "http://lab/v1/runs".to_owned(),
            status: status.try_into().unwrap(),
            code: text("code"),
            detail: text("detail"),
            problem: Box::new(problem.clone()),
            retry_after_s,
        })
    }

    #[test]
    fn a_problem_is_told_with_its_fields_and_what_to_do() {
        let errors = json!([{"field": "plan.rounds", "expected": "1 to 9", "got": "0"}]);
        let problem =
            json!({"code": "invalid_plan", "detail": "the plan is wrong", "errors": errors});
        let failure = refused(422, &problem, None);
        let expected = "error[invalid_plan]: POST http://lab/v1/runs: 422: the plan is wrong\n  \
                        plan.rounds: expected 1 to 9, got 0";
        assert_eq!((failure.text().as_str(), failure.status()), (expected, 65));

        let problem = |code: &str| json!({"code": code, "detail": "d", "request_id": "r-7"});
        for (http, code, retry, status, hint) in [
            (401, "unauthenticated", None, 77, "\n  hint: give a token: MUSTER_TOKEN"),
            (403, "scope_missing", None, 77, "\n  hint: take a token of the scope"),
            (429, "rate_limited", Some(9), 75, "\n  hint: try again in 9 s"),
            (500, "internal", None, 69, "\n  hint: the coordinator's log says more: look for r-7"),
            (503, "shutting_down", None, 75, "\n  hint: the coordinator's log says more"),
        ] {
            let failure = refused(http, &problem(code), retry);
            assert_eq!((failure.code(), failure.status()), (code, status));
            assert!(failure.text().contains(hint), "{}", failure.text());
        }
        let strange = refused(502, &Value::Null, None);
        let expected = "error[refused]: POST http://lab/v1/runs: 502 Bad Gateway, without a reason";
        assert_eq!((strange.text().as_str(), strange.status()), (expected, 69));
    }
}
