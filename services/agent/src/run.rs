//! A node as a process: settings, log, signals, and the loop that drives the steps.

use std::future::Future;
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tracing::{Instrument as _, info, info_span};

use crate::clock::SystemClock;
use crate::compute::Placement;
use crate::config::{Args, Settings};
use crate::entropy::SystemEntropy;
use crate::error::AgentError;
use crate::limits::STATES_MAX;
use crate::memory;
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
    let clock = SystemClock::fast_by_ms(args.test_clock_offset_ms);
    let uplink = Uplink::connect(&settings.coordinator).comparing(Arc::new(clock));
    let open = |settings: &Settings| {
        Node::open(settings, uplink.clone(), &SystemEntropy, Placement::Thread)
    };
    let (settings, mut node) = match &args.states {
        None => (settings.clone(), open(&settings)?),
        Some(states) => first_free(settings, states, open)?,
    };
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
    info!(memory.peak_kib = memory::peak_kib(), "the node ends");
    result
}

/// What `open` makes of the first of `states`' directories 1, 2, 3 and so on that no other node holds; and the settings
/// that name it.
fn first_free<T>(
    settings: Settings,
    states: &Path,
    open: impl Fn(&Settings) -> Result<T, AgentError>,
) -> Result<(Settings, T), AgentError> {
    let mut settings = settings;
    for number in 1..=STATES_MAX {
        settings.state = states.join(number.to_string());
        match open(&settings) {
            Err(AgentError::StateDirInUse { .. }) if number < STATES_MAX => {}
            opened => return opened.map(|opened| (settings, opened)),
        }
    }
    unreachable!("the last one is answered whatever comes of it")
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

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::files::StateDir;

    #[derive(Debug, clap::Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn nodes_that_share_a_directory_take_what_is_free_and_come_back_to_it() {
        let settings = Cli::parse_from(["muster-agent"]).args.settings().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let take =
            || first_free(settings.clone(), dir.path(), |settings| StateDir::open(&settings.state));
        let [first, second, third] = [(); 3].map(|()| take().unwrap());
        let of = |number: &str| dir.path().join(number);
        assert_eq!([&first.0.state, &second.0.state], [&of("1"), &of("2")]);
        assert_eq!(third.1.path(), of("3"));
        drop(second);
        let again = take().unwrap();
        assert_eq!((again.0.state, take().unwrap().0.state), (of("2"), of("4")));
        std::fs::write(of("5"), b"").unwrap();
        let kept = take().unwrap();
        assert_eq!(kept.0.state, of("4"), "it was dropped at once");
        assert_eq!(take().unwrap_err().code(), "state_dir_unusable");
    }
}
