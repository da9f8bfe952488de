//! Sweeps with a stub in place of the simulation: a shell script that writes a report.

use std::cell::RefCell;
use std::future::pending;

use super::*;

const SWEEP: &str = r#"
arguments = ["--nodes", "3"]
seeds = [1, 2]
parallel = 2
[parameters]
"plan.local.samples" = [5, 10]
"flag.outcome" = ["well", "badly"]
"#;

/// A runner that fails with `--outcome badly`, and else says how accurate it was: 0.5, with samples=10: 0.9.
fn stub(dir: &Path) -> Template {
    let script = r#"
for argument; do
  case $last in --report) report=$argument;; --outcome) outcome=$argument;; --set) set=$argument;; --seed) seed=$argument;; esac
  last=$argument
done
echo "$@" >>"$RUNS"
[ "$outcome" = well ] || { echo "it went badly" >&2; exit 3; }
accuracy=0.5; [ "$set" = local.samples=10 ] && accuracy=0.9
echo "{\"seed\": $seed, \"final_accuracy\": $accuracy, \"wall_s\": 1.0}" >"$report/report.json"
"#;
    let file = dir.join("runner.sh");
    let runs = dir.join("runs.txt");
    std::fs::write(&file, format!("RUNS='{}'{script}", runs.display())).unwrap();
    Template { program: "sh".into(), command: vec![file.display().to_string()] }
}

fn started(dir: &Path) -> usize {
    std::fs::read_to_string(dir.join("runs.txt")).unwrap_or_default().lines().count()
}

#[tokio::test]
async fn every_cell_is_run_once_and_a_failure_stops_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let template = stub(dir.path());
    let spec = Spec::parse(SWEEP).unwrap();
    let out = dir.path().join("out");
    let told = RefCell::new(Vec::new());
    let tell = |line: &str| told.borrow_mut().push(line.to_owned());
    let results = run(&spec, &template, &out, tell, pending()).await.unwrap();
    assert_eq!((results.done(), results.failed(), started(dir.path())), (8, 4, 8));
    assert_eq!(told.borrow().len(), 9);
    assert_eq!(told.borrow()[0], "8 runs, 0 of them run before");
    assert!(
        told.borrow().iter().any(|line| line.ends_with("failed: exit status: 3: it went badly"))
    );

    let csv = std::fs::read_to_string(out.join("sweep.csv")).unwrap();
    assert_eq!(csv.lines().count(), 9);
    assert!(csv.starts_with("flag.outcome,plan.local.samples,seed,run,final_accuracy,"), "{csv}");
    assert!(csv.contains("\nwell,10,2,"), "{csv}");
    let html = std::fs::read_to_string(out.join("sweep.html")).unwrap();
    assert!(html.contains("90.0 %") && html.contains("it went badly"), "{html}");
    let json: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(out.join("sweep.json")).unwrap()).unwrap();
    assert_eq!(json["runs"][0]["outcome"]["state"], "done");

    // Again: only what failed is run again.
    let results = run(&spec, &template, &out, |_| {}, pending()).await.unwrap();
    assert_eq!((results.done(), results.failed(), started(dir.path())), (8, 4, 12));
    let kept = results
        .runs()
        .filter(|(_, outcome)| matches!(outcome, Some(Outcome::Done { kept: true, .. })));
    assert_eq!(kept.count(), 4);
}

#[tokio::test]
async fn a_partial_report_is_run_again() {
    let dir = tempfile::tempdir().unwrap();
    let spec = Spec::parse("[parameters]\n\"flag.outcome\" = [\"well\"]\n").unwrap();
    let out = dir.path().join("out");
    let place = out.join("runs").join(spec.cells()[0].name());
    std::fs::create_dir_all(&place).unwrap();
    std::fs::write(place.join("report.json"), r#"{"partial": true}"#).unwrap();
    let results = run(&spec, &stub(dir.path()), &out, |_| {}, pending()).await.unwrap();
    assert_eq!((results.failed(), started(dir.path())), (0, 1));
}

#[tokio::test]
async fn a_sweep_that_is_stopped_keeps_what_it_has() {
    let dir = tempfile::tempdir().unwrap();
    let template = Template {
        program: "sh".into(),
        command: vec!["-c".to_owned(), "exec sleep 1000".to_owned()],
    };
    let spec = Spec::parse(SWEEP).unwrap();
    let error =
        run(&spec, &template, dir.path(), |_| {}, std::future::ready(())).await.unwrap_err();
    assert_eq!((error.code(), error.exit_code()), ("stopped", 130));
    assert!(dir.path().join("sweep.json").exists());
}

#[tokio::test]
async fn a_runner_that_is_not_there_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let template = Template { program: dir.path().join("none"), command: Vec::new() };
    let spec = Spec::parse("[parameters]\n\"flag.outcome\" = [\"well\"]\n").unwrap();
    let results = run(&spec, &template, dir.path(), |_| {}, pending()).await.unwrap();
    let (_, outcome) = results.runs().next().unwrap();
    assert!(
        matches!(outcome, Some(Outcome::Failed { why }) if why.starts_with("cannot start")),
        "{outcome:?}"
    );
}

#[test]
fn a_file_that_is_no_sweep_is_told_with_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("sweep.toml");
    assert_eq!(read(&file).unwrap_err().code(), "file_not_usable");
    std::fs::write(&file, "[parameters]\n").unwrap();
    let error = read(&file).unwrap_err();
    assert!(error.to_string().ends_with("sweep.toml: parameters: there is none"), "{error}");
}
