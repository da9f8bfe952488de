//! A coordinator that wants tokens, and those who come to it; what they are for, and how long they last.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use coordinator::{Auth, Config};
use ed25519_dalek::{Signer as _, SigningKey};
use federation::secret::{Kind, Secret, enrolment_statement};
use federation::{Digest, Enrolment, EnrolmentProof, Entropy, NodeId};
use proto::convert::{RefusalText, Reply};
use proto::v1;
use serde_json::{Value, json};
use tempfile::TempDir;
use tonic::{Request, Status};
use tonic_types::StatusExt as _;

use crate::support::{Hands, Response, Site, config, enrolment};

#[derive(Debug)]
struct Fixed(u8);
impl Entropy for Fixed {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(self.0);
    }
}

/// A coordinator that wants tokens, with the admin's.
pub(crate) struct Guarded {
    pub(crate) site: Site,
    pub(crate) clock: Arc<Hands>,
    pub(crate) admin: String,
}

impl Guarded {
    pub(crate) async fn start() -> Self {
        Self::over(tempfile::tempdir().unwrap(), Arc::default()).await
    }

    pub(crate) async fn over(dir: TempDir, clock: Arc<Hands>) -> Self {
        let config = Config { auth: Auth::Tokens, ..config(dir.path()) };
        let site = Site::of(dir, config, clock.clone()).await;
        let admin = std::fs::read_to_string(site.dir.path().join("admin.token")).unwrap();
        Self { site, clock, admin: admin.trim_end().to_owned() }
    }

    /// Sends a request with a token, an empty one for none.
    pub(crate) async fn ask(
        &self,
        method: &str,
        path: &str,
        token: &str,
        body: Option<&Value>,
    ) -> Response {
        let body = body.map(Value::to_string).unwrap_or_default();
        let shown = match token {
            "" => String::new(),
            token => format!("authorization: Bearer {token}\r\n"),
        };
        let json = if body.is_empty() { "" } else { "content-type: application/json\r\n" };
        let head = format!("{method} {path} HTTP/1.1\r\nhost: muster.example\r\n{shown}{json}");
        self.site.raw(&head, body.as_bytes()).await
    }

    pub(crate) async fn get(&self, path: &str, token: &str) -> Response {
        self.ask("GET", path, token, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Response {
        self.ask("POST", path, &self.admin, Some(&body)).await
    }

    /// A new token with this scope.
    pub(crate) async fn token(&self, scope: &str) -> String {
        let made = self.post("/v1/tokens", json!({"name": scope, "scope": scope})).await;
        assert_eq!(made.status, 201, "{}", made.text());
        made.json()["token"].as_str().unwrap().to_owned()
    }

    /// A new enrolment token.
    pub(crate) async fn enrolment_token(&self, body: Value) -> String {
        let made = self.post("/v1/enrolment-tokens", body).await;
        assert_eq!(made.status, 201, "{}", made.text());
        made.json()["token"].as_str().unwrap().to_owned()
    }

    /// A node that is let in.
    pub(crate) async fn node(&mut self, name: &str) -> Device {
        let token = self.enrolment_token(json!({"name": name})).await;
        let device = Device::new(name);
        device.enrol(&mut self.site, Some(&token)).await.unwrap();
        device
    }
}

/// A node with its key and its credential.
#[derive(Clone)]
pub(crate) struct Device {
    pub(crate) id: NodeId,
    pub(crate) key: SigningKey,
    pub(crate) secret: Secret,
}

impl Device {
    pub(crate) fn new(name: &str) -> Self {
        let Digest(seed) = Digest::of(name.as_bytes());
        Self {
            id: name.parse().unwrap(),
            key: SigningKey::from_bytes(&seed),
            secret: Secret::new(&Fixed(seed[0])),
        }
    }

    /// The same node with another credential.
    pub(crate) fn with_secret(&self, byte: u8) -> Self {
        Self { secret: Secret::new(&Fixed(byte)), ..self.clone() }
    }

    pub(crate) fn credential(&self) -> String {
        self.secret.text(Kind::Credential, &self.id)
    }

    /// A message that shows the node's credential.
    pub(crate) fn call<M>(&self, message: M) -> Request<M> {
        shown(message, &self.credential())
    }

    pub(crate) fn enrolment(&self) -> Enrolment {
        let public_key = self.key.verifying_key().to_bytes();
        Enrolment { public_key, ..enrolment(self.id.as_str()) }
    }

    /// What lets the node in by `token`, signed by `key`.
    pub(crate) fn proof(&self, token: &str, key: &Self) -> EnrolmentProof {
        let credential = self.secret.digest();
        let number = Secret::read::<u64>(Kind::EnrolmentToken, token).map_or(0, |(id, _)| id);
        let public_key = self.enrolment().public_key;
        let statement = enrolment_statement(&public_key, &self.id, number, &credential);
        let signature = key.key.sign(&statement).to_bytes();
        EnrolmentProof { token: token.to_owned(), credential, signature }
    }

    /// Enrols, and gives the node's name or the refusal's code.
    pub(crate) async fn enrol(
        &self,
        site: &mut Site,
        token: Option<&str>,
    ) -> Result<NodeId, String> {
        let proof = token.map(|token| self.proof(token, self));
        let request = self.call(v1::EnrolRequest::from(Enrolment { proof, ..self.enrolment() }));
        enrolled(site.fleet.enrol(request).await.unwrap().into_inner())
    }

    /// Asks for work, and gives the error's or the refusal's code if there is one.
    pub(crate) async fn asks(&self, site: &mut Site, wait_ms: u32) -> Result<(), String> {
        let request = v1::WaitOrderRequest {
            node_id: self.id.to_string(),
            wait_ms,
            ..v1::WaitOrderRequest::default()
        };
        let answer = site.fleet.wait_order(self.call(request)).await.map_err(|e| reason(&e))?;
        match answer.into_inner().order.unwrap() {
            v1::wait_order_response::Order::Refused(refusal) => Err(refusal.code),
            _ => Ok(()),
        }
    }
}

pub(crate) fn shown<M>(message: M, credential: &str) -> Request<M> {
    let mut request = Request::new(message);
    let value = format!("Bearer {credential}").parse().unwrap();
    request.metadata_mut().insert("authorization", value);
    request
}

pub(crate) fn enrolled(response: v1::EnrolResponse) -> Result<NodeId, String> {
    let reply: Reply<NodeId> = response.try_into().unwrap();
    reply.map_err(|RefusalText { code, .. }| code)
}

/// The stable code of an error.
pub(crate) fn reason(status: &Status) -> String {
    status.get_error_details().error_info().expect("every error has its code").reason.clone()
}

#[tokio::test]
async fn the_first_admin_token_is_in_a_private_file_and_there_is_always_one() {
    let guarded = Guarded::start().await;
    let file = guarded.site.dir.path().join("admin.token");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let first = guarded.admin.clone();
    let listed = guarded.get("/v1/tokens", &first).await.json();
    let token = &listed["items"][0];
    assert_eq!((&token["name"], &token["scope"]), (&json!("admin"), &json!("admin")));
    assert!(token["used_at_ms"].is_u64() && token.get("token").is_none(), "{token}");

    // It is not made again while there is one that holds.
    let Guarded { site: Site { dir, running, .. }, clock, .. } = guarded;
    running.shutdown().await;
    let guarded = Guarded::over(dir, clock).await;
    assert_eq!(guarded.admin, first);
    let revoked = guarded.post("/v1/tokens/1/revoke", json!({})).await;
    assert_eq!((revoked.status, revoked.json()["revoked_at_ms"].is_u64()), (200, true));
    guarded.get("/v1/tokens", &first).await.is_problem(401, "unauthenticated");

    let Guarded { site: Site { dir, running, .. }, clock, .. } = guarded;
    running.shutdown().await;
    let guarded = Guarded::over(dir, clock).await;
    assert_ne!(guarded.admin, first);
    assert_eq!(guarded.get("/v1/tokens", &guarded.admin).await.status, 200);
    guarded.site.running.shutdown().await;
}

#[tokio::test]
async fn two_coordinators_issue_different_tokens() {
    let (one, other) = (Guarded::start().await, Guarded::start().await);
    assert_ne!(one.admin, other.admin);
    assert_ne!(one.token("read").await, other.token("read").await);
    let labelled = json!({"name": "line", "labels": {"site": "ams"}});
    let tokens =
        [one.enrolment_token(labelled.clone()).await, other.enrolment_token(labelled).await];
    assert_ne!(tokens[0], tokens[1]);
    one.get("/v1/tokens", &other.admin).await.is_problem(401, "unauthenticated");
    for guarded in [one, other] {
        guarded.site.running.shutdown().await;
    }
}

#[tokio::test]
async fn a_secret_is_told_once_and_written_down_nowhere() {
    let guarded = Guarded::start().await;
    for (path, body) in [
        ("/v1/tokens", json!({"name": "ci", "scope": "read"})),
        ("/v1/enrolment-tokens", json!({"name": "line"})),
    ] {
        let body = body.to_string();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: h\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\nidempotency-key: k\r\n",
            guarded.admin
        );
        let first = guarded.site.raw(&head, body.as_bytes()).await;
        assert_eq!(first.status, 201, "{}", first.text());
        let mut told = first.json();
        let secret = told["token"].take();
        let secret = secret.as_str().unwrap().rsplit('_').next().unwrap().to_owned();
        let again = guarded.site.raw(&head, body.as_bytes()).await;
        assert_eq!((again.status, again.header("location")), (201, first.header("location")));
        told.as_object_mut().unwrap().remove("token");
        assert_eq!(again.json(), told);
        assert_eq!(guarded.get(first.header("location"), &guarded.admin).await.json(), told);
        let raw = hex::decode(&secret).unwrap();
        for entry in std::fs::read_dir(guarded.site.dir.path()).unwrap() {
            let path = entry.unwrap().path();
            let bytes = std::fs::read(&path).unwrap();
            for needle in [secret.as_bytes(), &raw] {
                let found = bytes.windows(needle.len()).any(|part| part == needle);
                assert!(!found, "{} holds the secret", path.display());
            }
        }
    }
    guarded.site.running.shutdown().await;
}

#[tokio::test]
async fn deeds_are_told_with_the_token_that_did_them_and_keys_are_each_tokens_own() {
    let guarded = Guarded::start().await;
    let operate = guarded.token("operate").await;
    let body = crate::support::new_model("m", 3).to_string();
    let post = async |token: &str| {
        let head = format!(
            "POST /v1/models HTTP/1.1\r\nhost: h\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\nidempotency-key: k\r\n"
        );
        guarded.site.raw(&head, body.as_bytes()).await
    };
    assert_eq!(post(&operate).await.status, 201);
    assert_eq!(post(&operate).await.status, 201, "the stored answer");
    assert_eq!(post(&guarded.admin).await.status, 200, "another caller, another key: it is there");
    let events = guarded.get("/v1/events", &guarded.admin).await.json();
    let told: Vec<_> = events["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| {
            let text = |name: &str| event[name].as_str().unwrap().to_owned();
            (text("kind"), text("actor"))
        })
        .collect();
    let told: Vec<_> = told.iter().map(|(kind, actor)| (kind.as_str(), actor.as_str())).collect();
    let expected =
        [("token.created", "operator"), ("token.created", "token:1"), ("model.created", "token:2")];
    assert_eq!(told, expected);
    guarded.site.running.shutdown().await;
}

#[tokio::test]
async fn a_node_keeps_its_credential_and_the_labels_of_its_token() {
    let mut guarded = Guarded::start().await;
    let body =
        json!({"name": "line", "labels": {"site": "ams", "task": "audition"}, "uses_max": 2});
    let token = guarded.enrolment_token(body).await;
    let device = Device::new("a");
    let site = &mut guarded.site;
    assert_eq!(device.enrol(site, None).await.unwrap_err(), "enrolment_token_missing");
    for _ in 0..3 {
        device.enrol(site, Some(&token)).await.unwrap();
        device.asks(site, 0).await.unwrap();
        device.enrol(site, None).await.unwrap();
    }
    // Its disk was lost but for the key: the same token lets it in again, and the old credential is gone.
    let renewed = device.with_secret(99);
    renewed.enrol(site, Some(&token)).await.unwrap();
    renewed.asks(site, 0).await.unwrap();
    assert_eq!(device.asks(site, 0).await.unwrap_err(), "unauthenticated");
    let shown = guarded.get("/v1/enrolment-tokens/1", &guarded.admin).await.json();
    assert_eq!((&shown["uses"], &shown["uses_max"]), (&json!(1), &json!(2)), "one node, one use");
    let nodes = guarded.get("/v1/nodes", &guarded.admin).await.json();
    assert_eq!(nodes["items"][0]["labels"], json!({"site": "ams", "task": "audition"}));

    // A restart knows it by the database.
    let Guarded { site: Site { dir, running, .. }, clock, .. } = guarded;
    running.shutdown().await;
    let mut guarded = Guarded::over(dir, clock).await;
    renewed.asks(&mut guarded.site, 0).await.unwrap();
    assert_eq!(device.asks(&mut guarded.site, 0).await.unwrap_err(), "unauthenticated");

    // Also when it presents itself first.
    let Guarded { site: Site { dir, running, .. }, clock, .. } = guarded;
    running.shutdown().await;
    let mut guarded = Guarded::over(dir, clock).await;
    let site = &mut guarded.site;
    assert_eq!(device.enrol(site, None).await.unwrap_err(), "enrolment_token_missing");
    assert_eq!(renewed.enrol(site, None).await.unwrap(), renewed.id);
    renewed.asks(site, 0).await.unwrap();
    guarded.site.running.shutdown().await;
}

#[tokio::test]
async fn a_new_node_costs_one_transaction() {
    let mut guarded = Guarded::start().await;
    guarded.node("a").await;
    let metrics = guarded.get("/metrics", &guarded.admin).await.text();
    assert!(metrics.contains("muster_tx_seconds_count{tx=\"enrol\"} 1\n"), "{metrics}");
    assert!(!metrics.contains("{tx=\"node\"}"), "nothing was read of it apart: {metrics}");
    guarded.site.running.shutdown().await;
}
