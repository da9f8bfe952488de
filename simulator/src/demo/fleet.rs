//! The demo's fleet: node processes that this process starts, watches, starts again and ends.
//!
//! Each node is this same program, executed again as `muster node`. Its standard input is a pipe that only we hold, and
//! it ends when that closes: however this process ends, no node survives it.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use thiserror::Error;
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// How long a node may take to end by itself before it is killed.
const GRACE: Duration = Duration::from_secs(5);
/// How often one node is started again before the demo gives up: more is not bad luck but a fault.
const RESTARTS_MAX: u32 = 20;

/// One node to start.
#[derive(Clone, Debug)]
pub(crate) struct NodeSpec {
    /// Its name.
    pub(crate) name: String,
    /// Its `--data`.
    pub(crate) data: String,
}

/// Why the fleet cannot run.
#[derive(Debug, Error)]
pub enum FleetError {
    /// A process could not be started.
    #[error("cannot start node {node} as {program}: {source}")]
    Start {
        /// Which node.
        node: String,
        /// The program.
        program: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A node keeps ending.
    #[error("node {node} ended {RESTARTS_MAX} times, last with {status}; its state is in {state}")]
    Failing {
        /// Which node.
        node: String,
        /// How it ended.
        status: String,
        /// Where it keeps its state.
        state: PathBuf,
    },
}

/// The node processes.
#[derive(Debug)]
pub(crate) struct Fleet {
    program: PathBuf,
    coordinator: String,
    dir: PathBuf,
    nodes: Vec<Node>,
}

#[derive(Debug)]
struct Node {
    spec: NodeSpec,
    child: Child,
    restarts: u32,
}

impl Fleet {
    /// Starts a process for each of `specs`, against the coordinator's gRPC address, with their state below `dir`.
    ///
    /// # Errors
    /// [`FleetError::Start`]; the processes started before it are killed.
    pub(crate) fn start(
        program: &Path,
        coordinator: &str,
        dir: &Path,
        specs: Vec<NodeSpec>,
    ) -> Result<Self, FleetError> {
        let mut fleet = Self {
            program: program.to_owned(),
            coordinator: coordinator.to_owned(),
            dir: dir.to_owned(),
            nodes: Vec::with_capacity(specs.len()),
        };
        for spec in specs {
            let child = fleet.spawn(&spec)?;
            fleet.nodes.push(Node { spec, child, restarts: 0 });
        }
        Ok(fleet)
    }

    fn state(&self, node: &str) -> PathBuf {
        self.dir.join(node)
    }

    fn spawn(&self, spec: &NodeSpec) -> Result<Child, FleetError> {
        Command::new(&self.program)
            .arg("node")
            .args(["--coordinator", &self.coordinator, "--name", &spec.name, "--data", &spec.data])
            .args(["--label", "fleet=demo", "--exit-with-parent", "--state"])
            .arg(self.state(&spec.name))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| FleetError::Start {
                node: spec.name.clone(),
                program: self.program.clone(),
                source,
            })
    }

    /// Starts again every node that has ended. Returns how many there were.
    ///
    /// # Errors
    /// [`FleetError`] when a node cannot be started or keeps ending.
    pub(crate) fn revive(&mut self) -> Result<u32, FleetError> {
        let mut revived = 0;
        for index in 0..self.nodes.len() {
            let node = &mut self.nodes[index];
            let status = match node.child.try_wait() {
                Ok(None) => continue,
                Ok(Some(status)) => status.to_string(),
                Err(error) => error.to_string(),
            };
            if node.restarts == RESTARTS_MAX {
                let state = self.dir.join(&node.spec.name);
                return Err(FleetError::Failing { node: node.spec.name.clone(), status, state });
            }
            tracing::warn!(
                node.id = node.spec.name,
                status,
                "node process ended, starting it again"
            );
            let child = self.spawn(&self.nodes[index].spec)?;
            let node = &mut self.nodes[index];
            node.child = child;
            node.restarts += 1;
            revived += 1;
        }
        Ok(revived)
    }

    /// Ends all nodes: asks by closing their standard input, kills what is left after five seconds.
    pub(crate) async fn end(mut self) {
        for node in &mut self.nodes {
            drop(node.child.stdin.take());
        }
        let patience = tokio::time::Instant::now() + GRACE;
        for mut node in self.nodes {
            let left = patience.saturating_duration_since(tokio::time::Instant::now());
            if timeout(left, node.child.wait()).await.is_err() {
                tracing::warn!(node.id = node.spec.name, "node did not end by itself, killing it");
                if let Err(error) = node.child.kill().await {
                    tracing::warn!(node.id = node.spec.name, %error, "cannot kill node");
                }
            }
        }
    }
}
