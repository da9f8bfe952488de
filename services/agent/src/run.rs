//! A node as a process: settings, log, signals, and the loop that drives the steps.

use std::future::Future;
use std::io::{self, Read as _, Write as _};
use std::process::ExitCode;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tracing::{Instrument as _, info, info_span};

use crate::compute::Placement;
use crate::config::Args;
use crate::entropy::SystemEntropy;
use crate::error::AgentError;
use crate::node::{Node, Progress};
use crate::telemetry;
use crate::uplink::Uplink;

/// The whole process of `muster-agent` and of `muster node`: starts the log and a runtime, runs until SIGINT or SIGTERM,
/// and tells on standard error why it could not.
pub fn run(args: &Args) -> ExitCode {
    telemetry::start(&args.log, args.log_format);
    let result = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(AgentError::Start)
        .and_then(|runtime| {
            runtime.block_on(async { run_until(args, end_of_process(args)?).await })
        });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is left to be done when even this cannot be written.
            let _ = writeln!(io::stderr(), "error[{}]: {error}", error.code());
            ExitCode::from(error.exit_code())
        }
    }
}

/// Runs a node until `shutdown` is ready. Whatever it was doing then is done again at the next start.
///
/// # Errors
/// [`AgentError`] when it cannot start, or when the coordinator will not have it.
pub async fn run_until(args: &Args, shutdown: impl Future<Output = ()>) -> Result<(), AgentError> {
    let settings = args.settings()?;
    let uplink = Uplink::connect(&settings.coordinator);
    let mut node = Node::open(&settings, uplink, &SystemEntropy, Placement::Thread)?;
    let span = info_span!("node", node.id = %node.id());
    let drive = async {
        info!(coordinator = %settings.coordinator, state = %settings.state.display(), "the node starts");
        tokio::select! {
            biased;
            () = shutdown => Ok(()),
            result = drive(&mut node) => result,
        }
    };
    let result = drive.instrument(span).await;
    info!("the node ends");
    result
}

/// Steps `node` for ever, pausing as it asks.
///
/// # Errors
/// Those of [`Node::step`].
pub async fn drive(node: &mut Node) -> Result<(), AgentError> {
    loop {
        match node.step().await? {
            // A step need not await anything; the signal must be looked at all the same.
            Progress::Working => tokio::task::yield_now().await,
            Progress::Waiting(pause) => tokio::time::sleep(pause).await,
        }
    }
}

/// Ready at SIGINT, at SIGTERM, and with `--exit-with-parent` when standard input is closed.
fn end_of_process(args: &Args) -> Result<impl Future<Output = ()> + use<>, AgentError> {
    let handler = |kind| -> Result<Signal, AgentError> { signal(kind).map_err(AgentError::Start) };
    let (mut interrupt, mut terminate) =
        (handler(SignalKind::interrupt())?, handler(SignalKind::terminate())?);
    let parent = if args.exit_with_parent { Some(end_of_input()?) } else { None };
    Ok(async move {
        let orphaned = async {
            match parent {
                Some(closed) => drop(closed.await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            () = orphaned => {}
        }
    })
}

/// Ready when standard input is closed. Its thread sits in a read that nothing can interrupt and so ends with the process.
fn end_of_input() -> Result<oneshot::Receiver<()>, AgentError> {
    let (closed, closes) = oneshot::channel();
    let read = move || {
        let mut buffer = [0; 64];
        let mut input = io::stdin().lock();
        loop {
            match input.read(&mut buffer) {
                Ok(1..) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => break,
            }
        }
        drop(closed);
    };
    std::thread::Builder::new()
        .name("muster-parent".to_owned())
        .spawn(read)
        .map_err(AgentError::Start)?;
    Ok(closes)
}
