//! The commands that talk to a coordinator, against a real one: what they say to people, to programs, and of failures.

use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

use crate::support::fixture::{
    open_plan, plain_artifact, post_model, post_run, wait_for, wait_run,
};
use crate::support::plain::Fleet;
use crate::support::process::{Serve, muster, signal};

/// Where a command runs: which coordinator, whose profiles.
struct Desk<'a> {
    url: &'a str,
    config: &'a Path,
}

impl Desk<'_> {
    async fn ask(&self, args: &[&str]) -> Output {
        let mut command = muster();
        command.args(args).env("MUSTER_URL", self.url).env("XDG_CONFIG_HOME", self.config);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).output().await.unwrap()
    }

    /// What a command prints that ends with `status`.
    async fn ends(&self, status: i32, args: &[&str]) -> String {
        let output = self.ask(args).await;
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{args:?}: {errors}");
        String::from_utf8(output.stdout).unwrap()
    }

    async fn says(&self, args: &[&str]) -> String {
        self.ends(0, args).await
    }

    /// The same with `--json`.
    async fn finds(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.says(&[args, &["--json"]].concat()).await).unwrap()
    }

    /// What a command says on standard error that fails with `status`.
    async fn fails(&self, status: i32, args: &[&str]) -> String {
        let output = self.ask(args).await;
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(status), "{args:?}: {errors}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{args:?}");
        errors
    }
}

/// The lines of a table, without how long ago something was.
fn rows(table: &str) -> Vec<Vec<&str>> {
    let row = |line| str::split_whitespace(line).take_while(|word| *word != "now").collect();
    table.lines().map(row).collect()
}

#[tokio::test]
async fn a_run_from_its_making_to_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let serve = Serve::start(&dir.path().join("data")).await;
    let desk = Desk { url: serve.http(), config: dir.path() };
    assert_eq!(desk.says(&["model", "list"]).await.split_whitespace().next(), Some("MODEL"));
    let file = dir.path().join("m.muster");
    let artifact = plain_artifact(4);
    std::fs::write(&file, artifact.encode()).unwrap();
    desk.says(&["model", "import", "m", file.to_str().unwrap(), "--format", "muster"]).await;
    let digest = federation::Digest::of(&artifact.encode()).to_string();
    let table = desk.says(&["model", "list"]).await;
    assert_eq!(rows(&table)[1][..5], ["m", "1", &digest[..12], "reckon/1", "4"], "{table}");

    let _fleet = Fleet::start(serve.grpc(), 3);
    let create =
        ["run", "create", "--model", "m", "--rounds", "3", "--goal", "2", "--samples", "1"];
    let said =
        desk.says(&[&create[..], &["--set", "cohort.over_selection=1.5", "--wait"]].concat()).await;
    assert_eq!(said, "Run 1 of m is completed: round 3/3 published, version 4.\n");

    let run = desk.finds(&["run", "show", "1"]).await;
    assert_eq!((&run["state"], &run["plan"]["cohort"]["quorum"]), (&json!("completed"), &json!(1)));
    assert_eq!(run["plan"]["cohort"]["deadline_ms"], 600_000);
    let words = desk.says(&["run", "show", "1"]).await;
    for part in [
        "state         completed\n",
        "3/3 published",
        "goal 2, quorum 1, deadline 10 m",
        "of all nodes",
    ] {
        assert!(words.contains(part), "`{part}` in {words}");
    }
    assert_eq!(words.lines().filter(|line| line.contains("published  2/2")).count(), 3, "{words}");
    let with_rounds = desk.finds(&["run", "show", "1", "--rounds"]).await;
    assert_eq!(with_rounds["rounds"].as_array().unwrap().len(), 3);
    let table = desk.says(&["run", "list"]).await;
    assert_eq!(rows(&table)[1][..5], ["1", "m", "completed", "3/3", "-"], "{table}");
    let list = desk.finds(&["run", "list"]).await;
    assert_eq!((&list["items"][0]["id"], &list["next_cursor"]), (&json!(1), &Value::Null));

    let table = desk.says(&["model", "versions", "m"]).await;
    assert_eq!(rows(&table).len(), 5, "{table}");
    let versions = desk.finds(&["model", "versions", "m"]).await;
    assert_eq!(versions["items"][3]["number"], 4);
    let shown = desk.says(&["model", "show", "m"]).await;
    assert!(shown.contains("latest   version 4\n") && shown.contains("HELD OUT"), "{shown}");
    assert_eq!(desk.finds(&["model", "show", "m"]).await["latest_version"], 4);
    let copy = dir.path().join("copy.muster");
    let got = desk.finds(&["model", "get", "m@1", "--out", copy.to_str().unwrap()]).await;
    assert_eq!((&got["digest"], &got["version"]), (&json!(digest), &json!(1)));
    assert_eq!(std::fs::read(&copy).unwrap(), artifact.encode());
    let piped = desk.ask(&["model", "get", "m@1", "--out", "-"]).await;
    assert_eq!(piped.stdout, artifact.encode());

    assert_eq!(desk.finds(&["run", "list", "--model", "m"]).await, list);
    let none = desk.finds(&["run", "list", "--state", "failed"]).await;
    assert_eq!(none["items"], json!([]));
    let table = desk.says(&["fleet", "list"]).await;
    assert_eq!(rows(&table).len(), 4, "{table}");
    let shown = desk.says(&["fleet", "show", "plain-001"]).await;
    assert!(shown.starts_with("node      plain-001\n"), "{shown}");
    let errors = desk.fails(65, &["fleet", "show", "plain-01"]).await;
    assert!(
        errors.contains("[node_not_found]") && errors.contains("did you mean `plain-0"),
        "{errors}"
    );
    let log = desk.finds(&["audit", "list", "--action", "version"]).await;
    assert_eq!(log["items"].as_array().unwrap().len(), 3);
    let table = desk.says(&["audit", "list", "--subject", "m/4"]).await;
    assert!(table.contains("version.published"), "{table}");
    assert_eq!(desk.finds(&["fleet", "list"]).await["items"][2]["id"], "plain-002");
    serve.stop().await;
}

#[tokio::test]
async fn a_run_is_watched_and_directed() {
    let dir = tempfile::tempdir().unwrap();
    let serve = Serve::start(&dir.path().join("data")).await;
    let (rest, desk) = (serve.rest(), Desk { url: serve.http(), config: dir.path() });
    post_model(&rest, "m", &plain_artifact(4)).await;
    let mut plan = open_plan(2);
    plan["rounds"] = json!(2);
    let run = post_run(&rest, "m", &plan).await.to_string();
    for (directive, state) in [("pause", "paused"), ("resume", "waiting")] {
        let said = desk.says(&["run", directive, &run]).await;
        assert_eq!(said, format!("Run 1 of m is {state}: round 0/2 published, version 1.\n"));
    }

    // Watched by three at once: in lines, as JSON, and by one who loses interest.
    let watch = |args: &[&str]| {
        let mut command = muster();
        command.args(["run", "watch", "1", "--interval", "20ms"]).args(args);
        command.env("MUSTER_URL", serve.http()).stdout(Stdio::piped()).spawn().unwrap()
    };
    let mut bored = watch(&[]);
    let mut lines = BufReader::new(bored.stdout.take().unwrap()).lines();
    let first = lines.next_line().await.unwrap().unwrap();
    assert_eq!(first, "run 1: waiting, round 0/2 published, version 1");
    signal(&bored, rustix::process::Signal::INT);
    assert_eq!(bored.wait().await.unwrap().code(), Some(130));
    let (plain, json) = (watch(&[]), watch(&["--json"]));
    let fleet = Fleet::start(serve.grpc(), 2);
    let plain = plain.wait_with_output().await.unwrap();
    assert!(plain.status.success());
    let told = String::from_utf8(plain.stdout).unwrap();
    let last =
        "run 1: completed, round 2/2 published, version 3, training accuracy 0.0 % at version 3";
    assert_eq!(told.lines().last(), Some(last), "{told}");
    let json = json.wait_with_output().await.unwrap();
    let told: Vec<Value> = String::from_utf8(json.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(told.last().unwrap()["state"], "completed");
    assert!(told.windows(2).all(|pair| pair[0] != pair[1]), "no line is said twice");
    drop(fleet);

    let run = post_run(&rest, "m", &plan).await.to_string();
    assert_eq!(wait_run(&rest, 1).await["state"], "completed");
    let said = desk.says(&["run", "cancel", &run]).await;
    assert!(said.starts_with("Run 2 of m is cancelled"), "{said}");
    let said = desk.ends(1, &["run", "watch", &run]).await;
    assert!(said.starts_with("run 2: cancelled"), "{said}");
    let errors = desk.fails(65, &["run", "resume", &run]).await;
    assert!(errors.starts_with("error[run_over]: POST http://127.0.0.1:"), "{errors}");
    serve.stop().await;
}

#[tokio::test]
async fn failures_say_what_to_do_next() {
    let dir = tempfile::tempdir().unwrap();
    let serve = Serve::start(&dir.path().join("data")).await;
    let (rest, desk) = (serve.rest(), Desk { url: serve.http(), config: dir.path() });
    post_model(&rest, "navigation", &plain_artifact(4)).await;

    let errors = desk.fails(65, &["model", "show", "navigaton"]).await;
    let expected = format!(
        "error[model_not_found]: GET {}/v1/models/navigaton: 404: no model has this name\n  hint: did you mean `navigation`?\n",
        serve.http()
    );
    assert_eq!(errors, expected);
    let errors = desk.fails(65, &["model", "versions", "vision"]).await;
    assert!(errors.ends_with("hint: `muster model list` shows the models there are\n"), "{errors}");
    let errors = desk.fails(65, &["model", "get", "navigation@7", "--out", "-"]).await;
    assert!(errors.contains("error[version_not_found]"), "{errors}");
    let create = ["run", "create", "--rounds", "1", "--goal", "1", "--samples", "1", "--model"];
    let errors = desk.fails(65, &[&create[..], &["navigatoin"]].concat()).await;
    assert!(errors.contains("[model_not_found]") && errors.contains("`navigation`?"), "{errors}");

    // All that is wrong with a plan, by its fields; and a field that no plan has.
    let wrong = [
        "run",
        "create",
        "--model",
        "navigation",
        "--rounds",
        "0",
        "--goal",
        "0",
        "--samples",
        "1",
    ];
    let errors = desk.fails(65, &wrong).await;
    for part in
        ["error[invalid_plan]: ", "\n  plan.rounds: expected ", "\n  plan.cohort.goal: expected "]
    {
        assert!(errors.contains(part), "`{part}` in {errors}");
    }
    let errors =
        desk.fails(65, &[&create[..], &["navigation", "--set", "cohort.gaol=1"]].concat()).await;
    assert!(errors.contains("[unknown_field]") && errors.contains("plan.cohort.gaol"), "{errors}");
    let file = dir.path().join("plan.toml");
    std::fs::write(&file, "rounds = 1\nrounds = 2\n").unwrap();
    let errors =
        desk.fails(65, &["run", "create", "--model", "m", "--plan", file.to_str().unwrap()]).await;
    assert!(errors.contains("[invalid_plan]") && errors.contains("plan.toml: line 2"), "{errors}");

    // A plan file alone, and what would be sent.
    std::fs::write(
        &file,
        "rounds = 1\nseed = 3\n[cohort]\ngoal = 1\nquorum = 1\ndeadline_ms = 1000\n[local]\nsamples = 1\n",
    )
    .unwrap();
    let from_file =
        ["run", "create", "--model", "navigation", "--plan", file.to_str().unwrap(), "--goal", "2"];
    let sent: Value =
        serde_json::from_str(&desk.says(&[&from_file[..], &["--dry-run"]].concat()).await).unwrap();
    assert_eq!((&sent["plan"]["seed"], &sent["plan"]["cohort"]["goal"]), (&json!(3), &json!(2)));
    let said = desk.says(&from_file).await;
    assert_eq!(said, "Run 1 of navigation is waiting: round 0/1 published, version 1.\n");
    let errors = desk.fails(65, &from_file).await;
    assert!(
        errors.contains("error[model_busy]") && errors.contains("`muster run cancel`"),
        "{errors}"
    );
    let errors = desk.fails(65, &["run", "watch", "9"]).await;
    assert!(errors.contains("[run_not_found]") && errors.contains("`muster run list`"), "{errors}");
    serve.stop().await;

    let away = Desk { url: "http://127.0.0.1:1", config: dir.path() };
    let errors = away.fails(69, &["run", "list"]).await;
    for part in [
        "error[coordinator_unreachable]: GET http://127.0.0.1:1/v1/runs",
        "hint: is a coordinator running",
    ] {
        assert!(errors.contains(part), "`{part}` in {errors}");
    }
}

#[tokio::test]
async fn what_happens_is_followed() {
    let dir = tempfile::tempdir().unwrap();
    let serve = Serve::start(&dir.path().join("data")).await;
    let (rest, desk) = (serve.rest(), Desk { url: serve.http(), config: dir.path() });
    post_model(&rest, "a", &plain_artifact(1)).await;
    let one = desk.says(&["events", "--after", "0", "--max", "1", "--json"]).await;
    let one: Value = serde_json::from_str(&one).unwrap();
    assert_eq!((&one["kind"], &one["subject"]), (&json!("model.created"), &json!("a/1")));
    let table = desk.says(&["events", "--kept"]).await;
    assert!(table.contains("model.created") && table.starts_with("EVENT"), "{table}");
    assert_eq!(desk.finds(&["events", "--kept", "--kind", "run"]).await["items"], json!([]));

    // Across a restart of the coordinator nothing is missed, and nothing told twice.
    let mut command = muster();
    command.args(["events", "--after", "0", "--max", "3", "--kind", "model"]);
    command.env("MUSTER_URL", serve.http()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut follower = command.spawn().unwrap();
    let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines();
    let first = lines.next_line().await.unwrap().unwrap();
    assert!(first.contains("model.created") && first.contains("  a/1 "), "{first}");
    post_model(&rest, "b", &plain_artifact(1)).await;
    assert!(lines.next_line().await.unwrap().unwrap().contains("  b/1 "));
    let http = serve.http().trim_start_matches("http://").to_owned();
    serve.stop().await;
    let serve = Serve::start_at(&dir.path().join("data"), &http, "127.0.0.1:0").await;
    post_model(&serve.rest(), "c", &plain_artifact(1)).await;
    let last = lines.next_line().await.unwrap().unwrap();
    assert!(last.contains("  c/1 "), "{last}");
    assert_eq!(lines.next_line().await.unwrap(), None);
    assert!(follower.wait().await.unwrap().success());

    // What does not come in time is not so.
    let desk = Desk { url: serve.http(), config: dir.path() };
    assert_eq!(desk.ends(1, &["events", "--max", "1", "--for", "1ms"]).await, "");
    serve.stop().await;
}

#[tokio::test]
async fn profiles_name_coordinators() {
    let dir = tempfile::tempdir().unwrap();
    let serve = Serve::start(&dir.path().join("data")).await;
    let config = dir.path().join("config");
    let run = async |args: &[&str], stdin: &str, variables: &[(&str, &str)]| {
        let mut command = muster();
        command.args(args).env("XDG_CONFIG_HOME", &config).envs(variables.iter().copied());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(stdin.as_bytes()).await.unwrap_or_default();
        let output = child.wait_with_output().await.unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap(), errors)
    };
    let (status, _, errors) = run(&["profile", "set", "lab"], "", &[]).await;
    assert_eq!(status, 64, "{errors}");
    let url = serve.http();
    let (_, said, errors) = run(&["profile", "set", "lab", "--coordinator", url], "", &[]).await;
    assert_eq!(said, "Profile lab is kept and is used from now on.\n", "{errors}");
    let away = ["profile", "set", "away", "--coordinator", "http://127.0.0.1:1", "--token-stdin"];
    let (_, said, errors) = run(&away, "mst_secret\n", &[]).await;
    assert_eq!(said, "Profile away is kept; `muster profile use` uses it.\n", "{errors}");
    let file = config.join("muster/profiles.toml");
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let (_, said, _) = run(&["profile", "list"], "", &[]).await;
    assert_eq!(
        rows(&said)[1..],
        [vec!["away", "http://127.0.0.1:1", "kept", "-"], vec!["*", "lab", url, "-", "-"]]
    );
    let (_, said, _) = run(&["profile", "list", "--json"], "", &[]).await;
    assert!(!said.contains("mst_secret"), "{said}");
    let list: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&list["current"], &list["items"][0]["token"]), (&json!("lab"), &json!("kept")));

    // The one in use, another by variable, another by flag; a flag's address goes before all.
    assert_eq!(run(&["run", "list"], "", &[]).await.0, 0);
    let (status, _, errors) = run(&["run", "list"], "", &[("MUSTER_PROFILE", "away")]).await;
    assert!(status == 69 && errors.contains("profile `away`"), "{errors}");
    let lab = ["run", "list", "--profile", "lab"];
    assert_eq!(run(&lab, "", &[("MUSTER_PROFILE", "away")]).await.0, 0);
    let flag = ["run", "list", "--profile", "away", "--coordinator", url];
    assert_eq!(run(&flag, "", &[]).await.0, 0);
    assert_eq!(run(&["profile", "use", "away"], "", &[]).await.0, 0);
    assert_eq!(run(&["run", "list"], "", &[]).await.0, 69);
    let (status, _, errors) = run(&["profile", "use", "lba"], "", &[]).await;
    assert!(status == 78 && errors.contains("did you mean `lab`?"), "{errors}");
    assert_eq!(run(&["profile", "remove", "away"], "", &[]).await.0, 0);
    let (_, said, _) = run(&["profile", "list", "--json"], "", &[]).await;
    let list: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&list["current"], list["items"].as_array().unwrap().len()), (&Value::Null, 1));

    // A file that others may read, and one that is no profiles.
    std::fs::write(
        &file,
        "[profiles.lab]\ncoordinator = \"http://127.0.0.1:1\"\ntoken = \"mst_x\"\n",
    )
    .unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let (_, _, errors) = run(&["profile", "list"], "", &[]).await;
    assert!(errors.starts_with("warning: ") && errors.contains("chmod 600"), "{errors}");
    std::fs::write(&file, "[profiles.lab]\ncoordinator = \"x\"\ntokn = \"y\"\n").unwrap();
    let (status, _, errors) = run(&["profile", "list"], "", &[]).await;
    assert!(status == 78 && errors.contains("profiles.toml:3: unknown field `tokn`"), "{errors}");
    assert!(!errors.contains("panicked"), "{errors}");
    serve.stop().await;
}

#[tokio::test]
async fn a_reader_that_had_enough_is_no_failure() {
    let dir = tempfile::tempdir().unwrap();
    let serve = Serve::start(&dir.path().join("data")).await;
    let mut command = muster();
    command.args(["run", "list"]).env("MUSTER_URL", serve.http());
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = command.stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
    let output = output.wait_with_output().await.unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert!(output.status.success());
    serve.stop().await;
}

#[tokio::test]
async fn who_may_come_in_is_said_by_tokens() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    // The first token of all, before there is a coordinator.
    let desk = Desk { url: "http://127.0.0.1:1", config: dir.path() };
    let data_dir = data.to_str().unwrap();
    let first = ["token", "create", "--name", "first", "--scope", "admin", "--data-dir", data_dir];
    let admin = desk.says(&first).await.trim().to_owned();
    assert!(admin.starts_with("mst_"), "{admin}");
    let mut command = muster();
    command.env("MUSTER_LOG", "warn").env("MUSTER_AUTH", "tokens");
    let serve = Serve::start_by(command, &data, "127.0.0.1:0", "127.0.0.1:0").await;
    let desk = Desk { url: serve.http(), config: dir.path() };

    let errors = desk.fails(77, &["run", "list"]).await;
    assert!(
        errors.contains("[unauthenticated]") && errors.contains("hint: give a token"),
        "{errors}"
    );
    let as_admin = ["--token", admin.as_str()];
    let with = |args: &[&'static str], token: &[&str]| -> Vec<String> {
        args.iter().chain(token).map(|arg| (*arg).to_owned()).collect()
    };
    let ask = async |args: &[&'static str], token: &[&str], status: i32| {
        let args = with(args, token);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let output = desk.ask(&args).await;
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(status), "{args:?}: {errors}");
        (String::from_utf8(output.stdout).unwrap(), errors)
    };
    let create = ["token", "create", "--name", "eyes", "--scope", "read", "--expires", "2h"];
    let (read, told) = ask(&create, &as_admin, 0).await;
    assert_eq!(told, "Token eyes is for read. It is shown this once:\n");
    let file = dir.path().join("read.token");
    std::fs::write(&file, &read).unwrap();
    let as_reader = ["--token-file", file.to_str().unwrap()];
    ask(&["run", "list"], &as_reader, 0).await;
    let (_, errors) = ask(&["run", "cancel", "1"], &as_reader, 77).await;
    assert!(
        errors.contains("[scope_missing]") && errors.contains("hint: take a token"),
        "{errors}"
    );
    let (table, _) = ask(&["token", "list"], &as_admin, 0).await;
    let listed = rows(&table);
    assert_eq!(listed[1][..4], ["1", "first", "admin", "yes"], "{table}");
    assert_eq!(listed[2][..4], ["2", "eyes", "read", "for"], "{table}");
    let (said, _) = ask(&["token", "revoke", "2"], &as_admin, 0).await;
    assert_eq!(said, "Token 2 (eyes) is revoked.\n");
    ask(&["run", "list"], &as_reader, 77).await;

    // A node is let in, looked at, and shut out.
    let create = ["fleet", "token", "create", "--name", "n", "--label", "site=ams", "--uses", "2"];
    let (enrol, _) = ask(&create, &as_admin, 0).await;
    let mut node = muster();
    node.args([
        "node",
        "--coordinator",
        serve.grpc(),
        "--name",
        "n1",
        "--data",
        "navigation:seed=1",
    ]);
    node.args(["--enrol-token", enrol.trim(), "--state"]).arg(dir.path().join("n1"));
    let mut node = node.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let enrolled = ["events", "--after", "0", "--kind", "node", "--max", "1", "--for", "60s"];
    let (line, _) = ask(&enrolled, &as_admin, 0).await;
    assert!(line.contains("node.enrolled") && line.contains("n1"), "{line}");
    let (table, _) = ask(&["fleet", "list", "--select", "site=ams"], &as_admin, 0).await;
    assert_eq!(rows(&table)[1][..2], ["n1", "site=ams"], "{table}");
    let (table, _) = ask(&["fleet", "list", "--select", "site=ber"], &as_admin, 0).await;
    assert_eq!(rows(&table).len(), 1, "{table}");
    let (table, _) = ask(&["fleet", "token", "list"], &as_admin, 0).await;
    assert_eq!(rows(&table)[1][..4], ["1", "n", "1/2", "site=ams"], "{table}");
    ask(&["fleet", "token", "revoke", "1"], &as_admin, 0).await;
    let (said, _) = ask(&["fleet", "revoke", "n1"], &as_admin, 0).await;
    assert_eq!(said, "Node n1 is revoked: it is shut out for good.\n");
    assert!(!node.wait().await.unwrap().success(), "it learns that and ends");
    let (table, _) = ask(&["fleet", "list"], &as_admin, 0).await;
    assert_eq!(rows(&table)[1][2], "revoked", "{table}");
    serve.stop().await;
}

#[tokio::test]
async fn channels_move_and_versions_are_compared() {
    let dir = tempfile::tempdir().unwrap();
    let serve = Serve::start(&dir.path().join("data")).await;
    let (rest, desk) = (serve.rest(), Desk { url: serve.http(), config: dir.path() });
    post_model(&rest, "m", &plain_artifact(4)).await;
    let said = desk.says(&["model", "channel", "create", "m", "stable"]).await;
    assert!(said.starts_with("Channel stable of m is at version 1; promotion 1: to 1, "), "{said}");
    let fleet = Fleet::start(serve.grpc(), 2);
    let mut plan = open_plan(2);
    // Of two updates that each move a weight by 1, the mean must not round to nothing.
    plan["strategy"]["server_learning_rate"] = json!(2.0);
    let run = post_run(&rest, "m", &plan).await;
    assert_eq!(wait_run(&rest, run).await["state"], "completed");
    drop(fleet);

    let path = "/v1/models/m/channels/stable";
    let at = async |version: u64| {
        wait_for(&rest, path, |channel| (channel["version"] == version).then_some(())).await;
    };
    let said = desk.says(&["model", "promote", "m", "stable"]).await;
    assert!(said.contains("promotion 2: to 2, "), "{said}");
    at(2).await;
    let shown = desk.says(&["model", "channel", "show", "m", "stable"]).await;
    assert!(shown.contains("\nversion   2\n") && shown.contains("PROMOTION"), "{shown}");
    let copy = dir.path().join("copy.muster");
    let get = ["model", "get", "m@stable", "--out", copy.to_str().unwrap()];
    assert_eq!(desk.finds(&get).await["version"], 2);
    desk.says(&["model", "rollback", "m", "stable"]).await;
    at(1).await;
    assert_eq!(desk.finds(&["model", "pin", "m@1", "stable"]).await["pinned"], true);
    let errors = desk.fails(65, &["model", "promote", "m@2", "stable"]).await;
    assert!(
        errors.contains("[channel_pinned]") && errors.contains("`muster model unpin`"),
        "{errors}"
    );
    assert_eq!(desk.finds(&["model", "unpin", "m", "stable"]).await["pinned"], false);
    let table = desk.says(&["model", "channels", "m"]).await;
    assert_eq!(rows(&table)[1][..2], ["stable", "1"], "{table}");
    let errors = desk.fails(65, &["model", "approve", "m", "stabel"]).await;
    assert!(errors.contains("[channel_not_found]") && errors.contains("`stable`?"), "{errors}");

    // What is not said stays as it is.
    let set = ["model", "channel", "set", "m", "stable", "--guard", "accuracy >= 0.5 over 2 nodes"];
    desk.says(&set).await;
    let set = desk
        .finds(&["model", "channel", "set", "m", "stable", "--auto", "--steps", "50,100"])
        .await;
    assert_eq!((&set["auto"], &set["steps"]), (&json!(true), &json!([50, 100])));
    assert!(set["guard"].as_str().unwrap().contains("0.5"), "{set}");
    let set = desk
        .finds(&["model", "channel", "set", "m", "stable", "--guard", "", "--auto=false"])
        .await;
    assert_eq!((&set["auto"], &set["guard"]), (&json!(false), &Value::Null));
    let wrong = ["model", "channel", "set", "m", "stable", "--guard", "accuracy > lots"];
    let errors = desk.fails(65, &wrong).await;
    assert!(
        errors.contains("[invalid_guard]") && errors.contains("\n  guard: expected "),
        "{errors}"
    );

    let compared = desk.says(&["model", "compare", "m", "1", "2"]).await;
    for part in ["2 of 4 weights (50.0 %)", "by 1", "TENSOR", "differences"] {
        assert!(compared.contains(part), "`{part}` in {compared}");
    }
    assert_eq!(desk.finds(&["model", "compare", "m", "1"]).await["changed"], 2);
    let told = desk.says(&["model", "evaluations", "m@2", "--by", "site"]).await;
    assert!(told.starts_with("nodes        0\n") && told.contains("90 %"), "{told}");
    serve.stop().await;
}
