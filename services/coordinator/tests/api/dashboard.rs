//! The dashboard through its door: who gets in, what forms must bring, what is kept.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::access::Guarded;
use crate::support::{Response, Site, artifact, new_model, plan};

const HOST: &str = "muster.example";

/// A browser: a cookie, and what browsers send with it.
struct Browser<'a> {
    at: &'a Guarded,
    cookie: String,
}

impl Browser<'_> {
    async fn get(&self, path: &str) -> Response {
        let head = format!(
            "GET {path} HTTP/1.1\r\nhost: {HOST}\r\naccept: text/html,*/*\r\ncookie: other=1; {}\r\n",
            self.cookie
        );
        self.at.site.raw(&head, b"").await
    }

    async fn send(&self, path: &str, origin: &str, body: &str) -> Response {
        let origin =
            if origin.is_empty() { String::new() } else { format!("origin: {origin}\r\n") };
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {HOST}\r\naccept: text/html\r\ncookie: {}\r\n{origin}content-type: application/x-www-form-urlencoded\r\n",
            self.cookie
        );
        self.at.site.raw(&head, body.as_bytes()).await
    }

    /// What the forms of a page bring.
    async fn form(&self, path: &str) -> String {
        let page = self.get(path).await;
        let value = |name: &str| {
            let mark = format!("name=\"{name}\" value=\"");
            page.text().split(&mark).nth(1).unwrap().split('"').next().unwrap().to_owned()
        };
        format!("form={}&key={}", value("form"), value("key"))
    }
}

fn nobody(at: &Guarded) -> Browser<'_> {
    Browser { at, cookie: String::new() }
}

async fn sign_in<'a>(at: &'a Guarded, token: &str) -> Browser<'a> {
    let answer = nobody(at)
        .send("/sign-in", &format!("http://{HOST}"), &format!("token={token}&next=%2Ffleet"))
        .await;
    assert_eq!((answer.status, answer.header("location")), (303, "/fleet"), "{}", answer.text());
    let cookie = answer.header("set-cookie");
    for part in ["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=43200"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains("Secure") && !cookie.contains("mst_"), "{cookie}");
    Browser { at, cookie: cookie.split(';').next().unwrap().to_owned() }
}

#[tokio::test]
async fn whoever_is_not_signed_in_is_led_to_the_form_and_back() {
    let guarded = Guarded::start().await;
    let answer = nobody(&guarded).get("/runs/1?before=7").await;
    assert_eq!(
        (answer.status, answer.header("location")),
        (303, "/sign-in?next=/runs/1%3Fbefore%3D7")
    );
    let form = nobody(&guarded).get("/sign-in?next=/runs/1%3Fbefore%3D7").await;
    assert!(
        form.status == 200 && form.text().contains("value=\"/runs/1?before=7\""),
        "{}",
        form.text()
    );
    // Not to somebody else's page.
    for next in ["//evil.example", "https://evil.example", "%5C%5Cevil.example", "/%5Cevil.example"]
    {
        let form = nobody(&guarded).get(&format!("/sign-in?next={next}")).await;
        assert!(form.text().contains("name=\"next\" value=\"/\""), "{next}");
    }
    // A link on somebody else's page: browsers keep the cookie back, and are sent on from here.
    let head = format!(
        "GET /sign-in?next=/runs/1 HTTP/1.1\r\nhost: {HOST}\r\nsec-fetch-site: cross-site\r\n"
    );
    let on = guarded.site.raw(&head, b"").await.text();
    assert!(on.contains("content=\"0; url=/runs/1\"") && !on.contains("<form"), "{on}");
    // Programs get the problem.
    guarded.get("/runs/1", "").await.is_problem(401, "unauthenticated");
    guarded.get("/metrics", "").await.is_problem(401, "unauthenticated");
    nobody(&guarded).get("/v1/runs").await.is_problem(401, "unauthenticated");
    let wrong = nobody(&guarded).send("/sign-in", &format!("http://{HOST}"), "token=mst_1_x").await;
    assert!(wrong.status == 401 && wrong.text().contains("Not signed in"), "{}", wrong.text());
    assert_eq!(wrong.header("set-cookie"), "");
    // A form elsewhere signs nobody in.
    let body = format!("token={}", guarded.admin);
    for origin in ["https://evil.example", "null", "", "http://muster.example:81"] {
        let foreign = nobody(&guarded).send("/sign-in", origin, &body).await;
        assert_eq!((foreign.status, foreign.header("set-cookie")), (403, ""), "{origin}");
    }
    // Where the browser speaks https the cookie keeps to it.
    let secure = nobody(&guarded).send("/sign-in", &format!("https://{HOST}"), &body).await;
    assert!(secure.header("set-cookie").ends_with("; Secure"), "{}", secure.header("set-cookie"));
}

#[tokio::test]
async fn a_session_looks_by_the_cookie_and_acts_by_forms_alone() {
    let guarded = Guarded::start().await;
    guarded.post("/v1/models", new_model("m", 3)).await;
    let run = guarded.post("/v1/runs", json!({"model": "m", "plan": plan(1, 3)})).await;
    assert_eq!(run.status, 201, "{}", run.text());
    let operate = guarded.token("operate").await;
    let browser = sign_in(&guarded, &operate).await;
    for path in ["/", "/v1/runs", "/docs/", "/metrics", "/v1/models/m/versions/1/artifact"] {
        assert_eq!(browser.get(path).await.status, 200, "{path}");
    }
    // The cookie changes nothing by the API, whatever a page elsewhere has a browser send.
    let head = format!(
        "POST /v1/runs/1/pause HTTP/1.1\r\nhost: {HOST}\r\ncontent-type: application/json\r\ncookie: {}\r\n",
        browser.cookie
    );
    guarded.site.raw(&head, b"{}").await.is_problem(401, "unauthenticated");
    let form = browser.form("/runs/1").await;
    let own = format!("http://{HOST}");
    for (origin, body) in [
        ("https://evil.example", form.as_str()),
        ("null", &form),
        ("", &form),
        (&own, "form=&key=k"),
        (&own, &form.replace("form=", "form=0")),
    ] {
        let refused = browser.send("/runs/1/pause", origin, body).await;
        assert_eq!(refused.status, 403, "{origin} {body}");
    }
    assert_eq!(guarded.get("/v1/runs/1", &operate).await.json()["state"], "waiting");
    let paused = browser.send("/runs/1/pause", &own, &form).await;
    assert_eq!(
        (paused.status, paused.header("location")),
        (303, "/runs/1?done=paused"),
        "{}",
        paused.text()
    );
    assert!(browser.get("/runs/1?done=paused").await.text().contains("Paused. The open round"));
    // The same form again is the same deed; the same key for another is none.
    assert_eq!(browser.send("/runs/1/pause", &own, &form).await.status, 303);
    assert_eq!(browser.send("/runs/1/pause", &own, &format!("{form}&more=1")).await.status, 422);
    let log = guarded.get("/v1/audit?action=run.paused", &operate).await.json();
    assert_eq!(log["items"].as_array().unwrap().len(), 1, "{log}");
    assert!(log["items"][0]["actor"].as_str().unwrap().starts_with("token:"));
    // Somebody else's form does nothing here.
    let other = sign_in(&guarded, &guarded.admin).await;
    assert_eq!(
        other.send("/runs/1/resume", &own, &browser.form("/runs/1").await).await.status,
        403
    );
}

#[tokio::test]
async fn read_sees_operate_acts_and_admin_says_who_may_come_in() {
    let guarded = Guarded::start().await;
    guarded.post("/v1/models", new_model("m", 3)).await;
    guarded.post("/v1/models/m/channels", json!({"name": "stable"})).await;
    guarded.post("/v1/runs", json!({"model": "m", "plan": plan(1, 3)})).await;
    let (read, operate) = (guarded.token("read").await, guarded.token("operate").await);
    let own = format!("http://{HOST}");
    let reader = sign_in(&guarded, &read).await;
    let runs = reader.get("/runs/1").await.text();
    assert!(!runs.contains("/runs/1/pause") && runs.contains("/sign-out"), "{runs}");
    assert!(!reader.get("/models/m").await.text().contains("/promote"));
    let form = reader.form("/runs/1").await;
    assert_eq!(reader.send("/runs/1/pause", &own, &form).await.status, 403);
    assert_eq!(reader.get("/settings/tokens").await.status, 403);
    assert!(!reader.get("/settings").await.text().contains("/settings/tokens"));
    let operator = sign_in(&guarded, &operate).await;
    assert!(operator.get("/models/m").await.text().contains("/models/m/channels/stable/promote"));
    assert_eq!(operator.send("/fleet/n/revoke", &own, &form).await.status, 403);
    assert_eq!(operator.get("/settings/tokens").await.status, 403);
    let admin = sign_in(&guarded, &guarded.admin).await;
    let form = admin.form("/settings/tokens").await;
    let made =
        admin.send("/settings/tokens", &own, &format!("{form}&name=ci&scope=read&days=2")).await;
    assert_eq!(made.status, 200, "{}", made.text());
    let secret = made
        .text()
        .split("class=\"secret\">")
        .nth(1)
        .unwrap()
        .split('<')
        .next()
        .unwrap()
        .to_owned();
    assert_eq!(guarded.get("/v1/models", &secret).await.status, 200);
    // Told once.
    let again =
        admin.send("/settings/tokens", &own, &format!("{form}&name=ci&scope=read&days=2")).await;
    assert!(again.status == 200 && !again.text().contains(&secret), "{}", again.text());
    let form = admin.form("/settings/tokens").await;
    let made = admin
        .send(
            "/settings/enrolment-tokens",
            &own,
            &format!("{form}&name=line-3&uses=2&days=1&labels=site%3Dams%2C+ring%3Dearly"),
        )
        .await;
    assert!(made.text().contains("mse_") && made.text().contains("ring=early"), "{}", made.text());
}

#[tokio::test]
async fn a_session_ends_with_its_token_its_time_and_by_leaving() {
    let guarded = Guarded::start().await;
    let read = guarded.token("read").await;
    let browser = sign_in(&guarded, &read).await;
    assert_eq!(browser.get("/").await.status, 200);
    let id = read.split('_').nth(1).unwrap();
    guarded.post(&format!("/v1/tokens/{id}/revoke"), json!({})).await;
    let gone = browser.get("/").await;
    assert_eq!((gone.status, gone.header("location")), (303, "/sign-in"));

    let admin = sign_in(&guarded, &guarded.admin).await;
    let form = admin.form("/").await;
    let left = admin.send("/sign-out", &format!("http://{HOST}"), &form).await;
    assert!(left.status == 303 && left.header("set-cookie").contains("Max-Age=0"), "{left:?}");
    assert_eq!(admin.get("/").await.status, 303);

    let admin = sign_in(&guarded, &guarded.admin).await;
    guarded.clock.advance(12 * 3_600_000 - 1);
    assert_eq!(admin.get("/").await.status, 200);
    guarded.clock.advance(1);
    assert_eq!(admin.get("/").await.status, 303);
}

#[tokio::test]
async fn without_tokens_this_machine_is_let_in_and_foreign_pages_are_not() {
    let site = Site::start().await;
    site.make_model("m").await;
    let run = site.make_run("m", plan(1, 3)).await;
    assert_eq!(site.get("/sign-in").await.status, 303);
    let page = site.get(&format!("/runs/{run}")).await;
    assert!(
        page.status == 200 && page.text().contains("/pause") && !page.text().contains("/sign-out")
    );
    let form = page
        .text()
        .split("name=\"form\" value=\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap()
        .to_owned();
    let send = async |origin: &str, form: &str| {
        let head = format!(
            "POST /runs/{run}/pause HTTP/1.1\r\nhost: localhost:7400\r\norigin: {origin}\r\ncontent-type: application/x-www-form-urlencoded\r\n"
        );
        site.raw(&head, format!("form={form}").as_bytes()).await.status
    };
    // Another port of this machine is another page.
    assert_eq!(send("http://localhost:3000", &form).await, 403);
    assert_eq!(send("http://localhost:7400", "").await, 403);
    assert_eq!(send("http://localhost:7400", &form).await, 303);
    assert_eq!(site.get(&format!("/v1/runs/{run}")).await.json()["state"], "paused");
    let foreign = site.raw("GET / HTTP/1.1\r\nhost: evil.example\r\n", b"").await;
    foreign.is_problem(421, "host_not_allowed");
}

#[tokio::test]
async fn assets_are_kept_by_browsers_and_open_to_all() {
    let guarded = Guarded::start().await;
    let form = nobody(&guarded).get("/sign-in").await.text();
    for (mark, kind) in [
        ("rel=\"stylesheet\" href=\"", "text/css; charset=utf-8"),
        ("<script src=\"", "text/javascript; charset=utf-8"),
    ] {
        let path = form.split(mark).nth(1).unwrap().split('"').next().unwrap();
        let asset = nobody(&guarded).get(path).await;
        assert_eq!((asset.status, asset.header("content-type")), (200, kind), "{path}");
        assert!(asset.header("cache-control").contains("immutable"));
        let tag = asset.header("etag").to_owned();
        assert!(tag.starts_with('"') && asset.body.len() < 40_000, "{tag}");
        let head = format!("GET {path} HTTP/1.1\r\nhost: {HOST}\r\nif-none-match: {tag}\r\n");
        let again = guarded.site.raw(&head, b"").await;
        assert_eq!((again.status, again.body.len()), (304, 0));
    }
    assert_eq!(nobody(&guarded).get("/assets/muster-0.css").await.status, 404);
}

#[tokio::test]
async fn a_channel_is_moved_from_its_page() {
    let site = Site::start().await;
    site.make_model("m").await;
    let artifact = STANDARD.encode(artifact(4).encode());
    assert_eq!(
        site.post("/v1/models/m/versions", &json!({"artifact": artifact})).await.status,
        201
    );
    assert_eq!(
        site.post(
            "/v1/models/m/channels",
            &json!({"name": "stable", "version": 1, "steps": [100]})
        )
        .await
        .status,
        201
    );
    let act = async |what: &str, fields: &str| {
        let page = site.get("/models/m").await.text();
        let form = page
            .split("name=\"form\" value=\"")
            .nth(1)
            .unwrap()
            .split('"')
            .next()
            .unwrap()
            .to_owned();
        let head = format!(
            "POST /models/m/channels/stable/{what} HTTP/1.1\r\nhost: localhost\r\norigin: http://localhost\r\naccept: text/html\r\ncontent-type: application/x-www-form-urlencoded\r\n"
        );
        site.raw(&head, format!("form={form}{fields}").as_bytes()).await
    };
    assert_eq!(act("promote", "&version=2").await.header("location"), "/models/m?done=promoted");
    let refused = act("promote", "&version=9").await;
    assert!(
        refused.status == 404 && refused.text().contains("no such version"),
        "{}",
        refused.text()
    );
    assert_eq!(act("rollback", "").await.header("location"), "/models/m?done=rolled-back");
    assert_eq!(act("pin", "").await.header("location"), "/models/m?done=pinned");
    assert_eq!(act("promote", "&version=2").await.status, 409);
    assert_eq!(act("unpin", "").await.header("location"), "/models/m?done=unpinned");
    // With approval a promotion waits for the button.
    let careful = json!({"steps": [100], "approval": true});
    let head = "PUT /v1/models/m/channels/stable HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
    assert_eq!(site.raw(head, careful.to_string().as_bytes()).await.status, 200);
    assert_eq!(act("promote", "&version=2").await.status, 303);
    let page = site.get("/models/m").await.text();
    assert!(page.contains("Approve version 2") && page.contains("waiting"), "{page}");
    let number =
        page.split("name=\"promotion\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    assert_eq!(act("approve", "&promotion=99").await.status, 409);
    let approved = act("approve", &format!("&promotion={number}")).await;
    assert_eq!(approved.header("location"), "/models/m?done=approved");
    let log = site.get("/v1/audit?action=channel").await.json();
    let actions: Vec<_> = log["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["action"].as_str().unwrap())
        .collect();
    for wanted in ["channel.promoted", "channel.rolled_back", "channel.pinned", "channel.unpinned"]
    {
        assert!(actions.contains(&wanted), "{actions:?}");
    }
    let compared = site.get("/models/m/compare?from=1&to=2").await;
    assert!(
        compared.status == 200 && compared.text().contains("100.0\u{202f}%"),
        "{}",
        compared.text()
    );
}
