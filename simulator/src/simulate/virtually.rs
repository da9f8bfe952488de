//! Memory and task mode: virtual nodes in virtual time.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZero;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use agent::config::EnrolToken;
use agent::learner::capacity;
use agent::{InMemory, Learner, Node, Shelf};
use coordinator::{Auth, Config, Coordinator, Driver, Running};
use federation::{Entropy, NodeId};
use serde_json::{Value, json};
use tasks::random::derive;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::clock::VirtualClock;
use super::crew::Counts;
use super::engine::{Engine, Parts};
use super::learn::{Hand, NoLearning, Pool};
use super::lines::Lines;
use super::outcome::{Ending, Outcome};
use super::plan::LABEL;
use super::quarters::Quarters;
use super::stage::Stage;
use super::usage::Usage;
use super::watch::Watcher;
use super::{Mode, SimulateError};
use crate::demo::progress::Progress;
use crate::rest::Rest;

/// What keys are drawn for.
const KEYS: u64 = 31;
/// What credentials are drawn for.
const CREDENTIALS: u64 = 32;
/// How often enrolment is told of.
const TELL: Duration = Duration::from_secs(5);

/// A simulation with everything in place.
struct Scene {
    running: Running,
    quarters: Quarters,
    engine: Engine,
    driver: Driver,
    clock: Arc<VirtualClock>,
    counts: Arc<Counts>,
    rest: Rest,
    run: u64,
    begin: Instant,
}

/// Runs it.
///
/// # Errors
/// [`SimulateError`] when there is not even a part of a report.
pub(crate) async fn run(
    stage: &Stage,
    progress: &mut Progress,
    begin: Instant,
    stop: impl Future<Output = ()>,
) -> Result<Outcome, SimulateError> {
    let ends = CancellationToken::new();
    tokio::pin!(stop);
    let scene = set(stage, progress, &ends, begin, stop.as_mut()).await?;
    let Scene { running, quarters, mut engine, driver, clock, counts, rest, run, begin } = scene;
    stage.save(run, clock.now_us())?;
    let mut watcher = Watcher::new(
        rest.clone(),
        &stage.task,
        run,
        stage.planned.rounds,
        stage.planned.goal,
        begin,
    );
    // A round is for the whole fleet: none begins while a part of it is enrolled.
    if !ends.is_cancelled() {
        driver.tick().await;
    }
    let ask_per_s = u64::from(stage.args.ask_per_s_max.max(1));
    engine.begin(u64::from(stage.args.nodes) * 1_000_000 / ask_per_s);
    let enrol_s = begin.elapsed().as_secs_f64();
    let (began, before) = (Instant::now(), Usage::now());
    // Nodes that were not enrolled yet are so when it goes on.
    let (mut stopped, mut failed) = (ends.is_cancelled(), None);
    let until = ends.clone();
    let mut lived = quarters.live(async move {
        let ended = engine.run(&until).await;
        (engine, ended)
    });
    let engine = {
        let watched = watcher.until_ended(progress, || Ok(0));
        tokio::pin!(watched);
        let mut over = None;
        while !stopped {
            tokio::select! {
                biased;
                () = &mut stop => stopped = true,
                lived = &mut lived, if over.is_none() => {
                    let (_, ended) = over.insert(lived);
                    if ended.is_err() {
                        break;
                    }
                }
                ended = &mut watched => {
                    failed = ended.err();
                    break;
                }
            }
        }
        ends.cancel();
        let (engine, ended) = match over {
            Some(over) => over,
            None => lived.await,
        };
        failed = failed.or(ended.err().map(SimulateError::Node));
        engine
    };
    let (run_s, usage) = (began.elapsed().as_secs_f64(), [before, Usage::now()]);
    if failed.is_none() {
        watcher.until_evaluated(progress).await?;
    }
    let seen = watcher.finish();
    let virtual_s = Duration::from_micros(clock.now_us()).as_secs_f64();
    let virtual_s = Some(virtual_s);
    let ending = Ending { seen, stopped, failed, virtual_s, run, enrol_s, run_s, usage };
    let tallies: Vec<_> = engine.tallies().collect();
    let outcome = Outcome::gather(stage, &rest, ending, &tallies, &counts).await;
    if stopped {
        stage.save(run, clock.now_us())?;
        stage.home.keep(engine.memories()).map_err(stage.unwritable())?;
    }
    drop(engine);
    running.shutdown().await;
    drop(quarters);
    outcome
}

/// Sets everything in place: coordinator, nodes, their enrolment, the run. If `stop` completes meanwhile, `ends` is
/// cancelled, and what is not done yet of enrolment is left.
async fn set(
    stage: &Stage,
    progress: &Progress,
    ends: &CancellationToken,
    begin: Instant,
    mut stop: Pin<&mut impl Future<Output = ()>>,
) -> Result<Scene, SimulateError> {
    let now_us = stage.resumed.as_ref().map_or(0, |saved| saved.now_us);
    let clock = Arc::new(VirtualClock::at(now_us));
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let sockets = stage.args.mode == Mode::Task;
    let quarters = Quarters::open(cores, sockets).map_err(SimulateError::System)?;
    let (lines, incoming) = match stage.args.mode {
        Mode::Task => Lines::over_sockets().await,
        Mode::Memory | Mode::Process => Lines::in_memory(&quarters).await,
    }
    .map_err(SimulateError::System)?;
    let config = Config {
        data_dir: stage.home.path().join("coordinator"),
        http_listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        auth: Auth::Tokens,
        ask_per_s_max: stage.args.ask_per_s_max,
        group_updates_max: 1_024,
        group_wait_ms: 0,
        shutdown_grace_ms: 2_000,
        ..Config::default()
    };
    let (running, driver) = Coordinator::host(config, clock.clone(), incoming).await?;
    let http = format!("http://{}", running.http_addr());
    let Stage { args, task, world, .. } = stage;
    progress.say(&format!(
        "coordinator at {http}, {} virtual nodes learn {} in world {}: {}",
        args.nodes, task.name, world.name, world.teaches
    ));
    let rest = Rest::new(&http);
    let hand: Arc<dyn Hand> = stage.life.clone();
    let learner: Arc<dyn Learner> = if args.no_learning {
        Arc::new(NoLearning::new(hand))
    } else {
        Arc::new(Pool::start(cores, hand).map_err(SimulateError::System)?)
    };
    let token = invitation(&rest, args.nodes).await?;
    let nodes = nodes(stage, &lines, &learner, &token)?;
    let counts = Arc::new(Counts::default());
    let parts = Parts {
        clock: clock.clone(),
        driver: driver.clone(),
        life: stage.life.clone(),
        counts: counts.clone(),
        grain_ms: args.grain_ms.into(),
        ordered: stage.planned.races,
        quarters: quarters.all().iter().map(|quarter| quarter.tasks().clone()).collect(),
    };
    let mut engine = Engine::new(parts, nodes);
    let until = ends.clone();
    let mut enrolling = quarters.live(async move {
        let enrolled = engine.enrol(&until).await;
        (engine, enrolled)
    });
    let engine = loop {
        tokio::select! {
            biased;
            () = &mut stop, if !ends.is_cancelled() => ends.cancel(),
            (engine, enrolled) = &mut enrolling => {
                enrolled?;
                break engine;
            }
            () = tokio::time::sleep(TELL) => {
                let enrolled = counts.enrolled.load(Ordering::Relaxed);
                progress.say(&format!("{enrolled} of {} nodes are enrolled", args.nodes));
            }
        }
    };
    let run = stage.run(&rest).await?;
    Ok(Scene { running, quarters, engine, driver, clock, counts, rest, run, begin })
}

/// A token by which so many nodes get in.
async fn invitation(rest: &Rest, nodes: u32) -> Result<Arc<EnrolToken>, SimulateError> {
    let wanted = json!({"name": "fleet", "uses_max": nodes});
    let made: Value = rest.post("/v1/enrolment-tokens", &wanted).await?;
    let token = EnrolToken::parse(made["token"].as_str().unwrap_or_default());
    token.map(Arc::new).map_err(|why| SimulateError::System(std::io::Error::other(why)))
}

/// The nodes, each with what it kept. They get in by `token`.
fn nodes(
    stage: &Stage,
    lines: &Lines,
    learner: &Arc<dyn Learner>,
    token: &Arc<EnrolToken>,
) -> Result<Vec<Node>, SimulateError> {
    let labels = Arc::new([(LABEL.0.to_owned(), LABEL.1.to_owned())].into());
    let capacity = Arc::new(capacity());
    let shelf = Arc::new(Shelf::new(!stage.args.fetch_each));
    let node = |(index, name): (usize, &NodeId)| {
        let drawn = |what| Drawn { seed: stage.args.seed, what, index };
        let (key, credential) = (drawn(KEYS), drawn(CREDENTIALS));
        let mut chip = Arc::clone(&capacity);
        if let Some(neurons) = stage.life.device(index).neurons {
            Arc::make_mut(&mut chip).insert("recurrent".to_owned(), neurons.into());
        }
        let parts = InMemory {
            name: name.clone(),
            key: key.secret(),
            labels: Arc::clone(&labels),
            source: Arc::new(stage.life.shares().source(index)),
            capacity: chip,
            learner: Arc::clone(learner),
            shelf: Arc::clone(&shelf),
        };
        Node::in_memory(parts, lines.uplink(index)).let_in_by(Arc::clone(token), &credential)
    };
    let mut nodes: Vec<Node> = stage.names.iter().enumerate().map(node).collect();
    if stage.resumed.is_some() {
        let damaged =
            |why: String| SimulateError::NotResumable { path: stage.home.path().to_owned(), why };
        let memories = stage.home.memories().map_err(|error| damaged(error.to_string()))?;
        for (index, memory) in memories {
            let Some(place) = nodes.get_mut(index) else { continue };
            let fresh = std::mem::replace(place, node((index, &stage.names[index])));
            *place = fresh.recall(&memory).map_err(|error| damaged(error.to_string()))?;
        }
    }
    Ok(nodes)
}

/// What a virtual node draws of its seed: no secret, for nothing of a simulation is.
#[derive(Clone, Copy, Debug)]
struct Drawn {
    seed: u64,
    what: u64,
    index: usize,
}

impl Drawn {
    fn secret(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        self.fill(&mut bytes);
        bytes
    }
}

impl Entropy for Drawn {
    fn fill(&self, bytes: &mut [u8]) {
        let Self { seed, what, index } = *self;
        let node = u64::try_from(index).unwrap_or(0);
        for (part, bytes) in (0..).zip(bytes.chunks_mut(8)) {
            let drawn = derive(seed, &[what, node, part]).to_le_bytes();
            bytes.copy_from_slice(&drawn[..bytes.len()]);
        }
    }
}
