//! Configuration by file, over the real process: what it shows, what it refuses, and what changes on SIGHUP.

use std::path::Path;
use std::time::Duration;

use proto::v1;
use proto::v1::wait_order_response::Order;
use serde_json::Value;
use tokio::io::{BufReader, Lines};
use tokio::process::ChildStderr;
use tokio::time::timeout;

use crate::support::plain::{client, enrol};
use crate::support::process::{Serve, muster};

/// The next log line with this message.
async fn logged(log: &mut Lines<BufReader<ChildStderr>>, message: &str) -> Value {
    let find = async {
        loop {
            let line = log.next_line().await.unwrap().expect("the log goes on");
            let line: Value = serde_json::from_str(&line).unwrap();
            if line["message"] == message {
                return line;
            }
        }
    };
    let found = timeout(Duration::from_secs(60), find).await;
    found.unwrap_or_else(|_| panic!("`{message}` is not logged"))
}

/// How long an idle node is told to wait.
async fn retry_ms(serve: &Serve) -> u64 {
    let mut node = client(serve.grpc());
    enrol(&mut node, "asker").await;
    let request = v1::WaitOrderRequest { node_id: "asker".to_owned(), ..Default::default() };
    match node.wait_order(request).await.unwrap().into_inner().order {
        Some(Order::Idle(idle)) => idle.retry_after_ms.into(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hangup_reloads_what_can_change_and_names_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("muster.toml");
    let write = |text: &str| std::fs::write(&file, text).unwrap();
    write("[log]\nlevel = \"warn\"\nformat = \"json\"\n[limits]\nidle_retry_ms_max = 600000\n");
    let mut command = muster();
    command.env("MUSTER_CONFIG", &file).env("MUSTER_TICK_SM", "a secret, for all we know");
    let (serve, mut log) = Serve::start_read(command, dir.path()).await;
    let line = logged(&mut log, "an unknown variable is set").await;
    assert_eq!(
        (&line["variable"], &line["nearest"], line.to_string().contains("secret")),
        (&"MUSTER_TICK_SM".into(), &"MUSTER_TICK_MS".into(), false)
    );
    assert!(retry_ms(&serve).await > 1_000);

    // That an information is logged is the level's effect.
    write("[log]\nlevel = \"info\"\nformat = \"text\"\n[limits]\nidle_retry_ms_max = 50\n");
    serve.hang_up();
    let line = logged(&mut log, "a setting has changed").await;
    assert_eq!(
        (&line["key"], &line["old"], &line["new"]),
        (&"log.level".into(), &"\"warn\"".into(), &"\"info\"".into())
    );
    let line = logged(&mut log, "a setting needs a restart").await;
    assert_eq!((&line["key"], &line["level"]), (&"log.format".into(), &"WARN".into()));
    let line = logged(&mut log, "a setting has changed").await;
    assert_eq!((&line["key"], &line["new"]), (&"limits.idle_retry_ms_max".into(), &"50".into()));
    logged(&mut log, "the configuration was read again").await;
    assert!(retry_ms(&serve).await <= 1_000);

    // A file with mistakes is told whole and changes nothing.
    write("[log]\nlevel = \"error\"\n[limits]\nidle_retry_ms_max = 7\nask_per_s_mux = 1\n");
    serve.hang_up();
    let mistake = "a mistake in the configuration";
    let line = logged(&mut log, mistake).await;
    assert_eq!(line["code"], "config_unknown_key");
    let place = line["place"].as_str().unwrap();
    assert!(place.ends_with("muster.toml:5: limits.ask_per_s_mux"), "{place}");
    assert!(line["why"].as_str().unwrap().contains("limits.ask_per_s_max"), "{line}");
    let line = logged(&mut log, mistake).await;
    assert_eq!(line["code"], "config_invalid");
    assert!(line["place"].as_str().unwrap().ends_with(":4: limits.idle_retry_ms_max"), "{line}");
    let line = logged(&mut log, "the configuration stays as it was").await;
    assert_eq!(line["mistakes"], 2);

    // Were the level another now, this would not be logged.
    write("[log]\nlevel = \"info\"\nformat = \"json\"\n[limits]\nidle_retry_ms_max = 50\n");
    serve.hang_up();
    let line = logged(&mut log, "the configuration was read again").await;
    assert_eq!(line["changes"], 0);

    // A file that is gone is a mistake, not an empty one.
    std::fs::remove_file(&file).unwrap();
    serve.hang_up();
    assert_eq!(logged(&mut log, mistake).await["code"], "config_unreadable");
    serve.stop().await;
}

async fn print_config(dir: &Path, args: &[&str]) -> (Option<i32>, String, String) {
    let mut command = muster();
    command.current_dir(dir).args(["serve", "--print-config"]).args(args);
    let output = command.env("MUSTER_TICK_MS", "30").output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[tokio::test]
async fn what_would_be_used_is_shown_with_where_it_comes_from() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("muster.toml");
    let (status, shown, _) = print_config(dir.path(), &[]).await;
    assert_eq!(status, Some(0));
    assert!(shown.contains("tick_ms = 30  # MUSTER_TICK_MS\n"), "{shown}");

    std::fs::write(&file, "[rounds]\ntick_ms = 40\n[limits]\ngroup_wait_ms = 5\n").unwrap();
    let (_, shown, _) = print_config(dir.path(), &["--group-kib-max", "6"]).await;
    for line in [
        "[rounds]\ntick_ms = 30  # MUSTER_TICK_MS\n",
        "group_wait_ms = 5  # muster.toml:4\n",
        "group_kib_max = 6  # --group-kib-max\n",
        "[http]\nlisten = \"127.0.0.1:7400\"  # default\n",
    ] {
        assert!(shown.contains(line), "`{line}` in {shown}");
    }
    let (_, json, _) = print_config(dir.path(), &["--json"]).await;
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["file"], "muster.toml");

    std::fs::write(&file, "[rounds]\ntick_ms = 4\n[limits]\ngroup_wait = 5\n").unwrap();
    let (status, shown, told) = print_config(dir.path(), &["--log", "=;"]).await;
    assert_eq!((status, shown.as_str()), (Some(64), ""));
    assert!(told.starts_with("error[config_invalid]: 2 mistakes\n"), "{told}");
    assert!(told.contains("muster.toml:4: limits.group_wait: is no setting"), "{told}");
    assert!(told.contains("--log: should be"), "{told}");
}

#[tokio::test]
async fn a_backup_is_of_the_directory_that_the_file_names() {
    let (here, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let serve = Serve::start(data.path()).await;
    let settings = format!("[data]\ndir = '{}'\n", data.path().display());
    std::fs::write(here.path().join("muster.toml"), settings).unwrap();
    let backup = async |name: &str| {
        let mut command = muster();
        command.current_dir(here.path()).args(["backup", name]).output().await.unwrap()
    };
    assert!(backup("copy.db").await.status.success());
    assert!(here.path().join("copy.db").metadata().unwrap().len() > 0);
    std::fs::write(here.path().join("muster.toml"), "[data]\ndri = 'x'\n").unwrap();
    let told = String::from_utf8(backup("other.db").await.stderr).unwrap();
    assert!(
        told.contains("muster.toml:2: data.dri: is no setting; did you mean data.dir?"),
        "{told}"
    );
    serve.stop().await;
}

#[tokio::test]
async fn a_file_to_begin_with_is_written_and_checked() {
    let dir = tempfile::tempdir().unwrap();
    let config = async |args: &[&str]| {
        let command = muster().current_dir(dir.path()).arg("config").args(args).output().await;
        let output = command.unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).unwrap())
    };
    assert_eq!(config(&["init"]).await, (Some(0), "muster.toml\n".to_owned()));
    assert_eq!(config(&["check"]).await, (Some(0), "muster.toml: no mistakes\n".to_owned()));
    let (status, said) = config(&["init"]).await;
    assert!(status == Some(73) && said.starts_with("error[file_exists]"), "{said}");

    std::fs::write(dir.path().join("bad.toml"), "[http]\nlisten = 1\n").unwrap();
    let (status, said) = config(&["check", "bad.toml"]).await;
    assert!(status == Some(64) && said.contains("bad.toml:2: http.listen: should be"), "{said}");
    let (status, said) = config(&["check", "bad.toml", "--json"]).await;
    let json: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((status, &json["problems"][0]["code"]), (Some(64), &"config_invalid".into()));
}
