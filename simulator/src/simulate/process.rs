//! Process mode: each node a process with files of its own, as on a device, and the machine's time.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use coordinator::{Config, Coordinator, SystemClock};
use tokio::time::Instant;

use super::SimulateError;
use super::crew::Counts;
use super::outcome::{Ending, Outcome};
use super::shares::Share;
use super::stage::Stage;
use super::usage::Usage;
use super::watch::Watcher;
use crate::demo::fleet::{Fleet, NodeSpec};
use crate::demo::progress::Progress;
use crate::rest::Rest;

/// Runs it. Whatever happens, no process is left.
///
/// # Errors
/// [`SimulateError`] when there is not even a part of a report.
pub(crate) async fn run(
    stage: &Stage,
    progress: &mut Progress,
    begin: Instant,
    stop: impl Future<Output = ()>,
) -> Result<Outcome, SimulateError> {
    let program = std::env::current_exe().map_err(SimulateError::System)?;
    let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let config = Config {
        data_dir: stage.home.path().join("coordinator"),
        http_listen: free,
        grpc_listen: free,
        ..Config::default()
    };
    let running = Coordinator::start(config, Arc::new(SystemClock::new())).await?;
    let (http, grpc) =
        (format!("http://{}", running.http_addr()), format!("http://{}", running.grpc_addr()));
    let Stage { args, task, world, .. } = stage;
    progress.say(&format!(
        "coordinator at {http}, {} processes learn {} in world {}: {}",
        args.nodes, task.name, world.name, world.teaches
    ));
    let rest = Rest::new(&http);
    let nodes = stage.home.path().join("nodes");
    let mut fleet = match specs(stage)
        .and_then(|specs| Fleet::start(&program, &grpc, &nodes, specs).map_err(SimulateError::from))
    {
        Ok(fleet) => fleet,
        Err(error) => {
            running.shutdown().await;
            return Err(error);
        }
    };
    let lived = live(stage, &rest, &mut fleet, progress, begin, stop).await;
    // Before its versions are tested: a fleet that was stopped would go on making them.
    fleet.end().await;
    let outcome = match lived {
        Ok(lived) => told(stage, &rest, lived, progress).await,
        Err(error) => Err(error),
    };
    running.shutdown().await;
    outcome
}

/// What was seen of a fleet until it ended, or was stopped.
struct Lived {
    watcher: Watcher,
    run: u64,
    stopped: bool,
    failed: Option<SimulateError>,
    run_s: f64,
    usage: [Usage; 2],
}

async fn live(
    stage: &Stage,
    rest: &Rest,
    fleet: &mut Fleet,
    progress: &mut Progress,
    begin: Instant,
    stop: impl Future<Output = ()>,
) -> Result<Lived, SimulateError> {
    let task = &stage.task;
    let run = stage.run(rest).await?;
    stage.save(run, 0)?;
    let (rounds, goal) = (stage.planned.rounds, stage.planned.goal);
    let mut watcher = Watcher::new(rest.clone(), task, run, rounds, goal, begin);
    let (began, before) = (Instant::now(), Usage::now());
    let (mut stopped, mut failed) = (false, None);
    tokio::select! {
        biased;
        () = stop => stopped = true,
        ended = watcher.until_ended(progress, || Ok(fleet.revive()?)) => failed = ended.err(),
    }
    let (run_s, usage) = (began.elapsed().as_secs_f64(), [before, Usage::now()]);
    Ok(Lived { watcher, run, stopped, failed, run_s, usage })
}

/// Tests the versions that are left, and gathers what is told.
async fn told(
    stage: &Stage,
    rest: &Rest,
    lived: Lived,
    progress: &mut Progress,
) -> Result<Outcome, SimulateError> {
    let Lived { mut watcher, run, stopped, failed, run_s, usage } = lived;
    if failed.is_none() {
        watcher.until_evaluated(progress).await?;
    }
    let seen = watcher.finish();
    let ending = Ending { seen, stopped, failed, virtual_s: None, run, enrol_s: 0.0, run_s, usage };
    Outcome::gather(stage, rest, ending, &[], &Counts::default()).await
}

/// What each process is started with; samples that are no stream go into a file of its own.
fn specs(stage: &Stage) -> Result<Vec<NodeSpec>, SimulateError> {
    let dir = stage.home.path().join("data");
    let file_error = |path: &std::path::Path| {
        let path = path.to_owned();
        move |source| SimulateError::File { what: "samples in", path, source }
    };
    let mut specs = Vec::with_capacity(stage.names.len());
    for (index, name) in stage.names.iter().enumerate() {
        let data = match (stage.life.shares().of(index), stage.life.shares().file(index)) {
            (_, Some(file)) => {
                std::fs::create_dir_all(&dir).map_err(file_error(&dir))?;
                let path = dir.join(format!("{name}.mev"));
                let bytes = file.map_err(std::io::Error::other).map_err(file_error(&path))?;
                std::fs::write(&path, bytes).map_err(file_error(&path))?;
                let held_out = stage.life.shares().held_out(index);
                format!("events:{},holdout={held_out}", path.display())
            }
            (Share::Stream { seed, class: Some(class) }, None) => {
                format!("navigation:seed={seed},class={class}")
            }
            (Share::Stream { seed, class: None }, None) => format!("navigation:seed={seed}"),
            (Share::Samples(_), None) => continue,
        };
        specs.push(NodeSpec { name: name.as_str().to_owned(), data });
    }
    Ok(specs)
}
