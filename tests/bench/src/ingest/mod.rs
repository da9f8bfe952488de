//! Durable updates a second: a coordinator in another process, plain updates over loopback gRPC, each from an enrolled
//! node of its own, into rounds that really close and publish; the published sums are compared with our own.

pub(crate) mod fleet;
pub(crate) mod load;
pub(crate) mod server;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use federation::Digest;
use federation::aggregate::Sum;
use serde_json::{Value, json};
use simulator::Rest;
use tokio::time::{Instant, sleep};

use self::fleet::{GROUP_NODES, model, payloads, prepare};
use self::load::Load;
use self::server::Server;

/// What to measure.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) weights: Vec<u32>,
    pub(crate) connections: Vec<usize>,
    pub(crate) seconds: u64,
    pub(crate) warmup_s: u64,
    pub(crate) json: bool,
    /// Whether the doors speak TLS.
    pub(crate) tls: bool,
    /// Whether each connection is a relay.
    pub(crate) relay: bool,
    /// Where the enrolled fleet is kept, to be used again.
    pub(crate) fleet: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            weights: vec![14_200, 135_168],
            connections: vec![10, 100, 1_000],
            seconds: 30,
            warmup_s: 5,
            json: false,
            tls: false,
            relay: false,
            fleet: None,
        }
    }
}

/// A figure with its unit and, at 100 connections, its target.
type Figure = (&'static str, f64, &'static str, Option<f64>);

/// Measures every case and prints it as it is known.
pub(crate) fn run(options: &Options, print: fn(&str)) -> Result<(), String> {
    let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
    runtime.block_on(async {
        for &weights in &options.weights {
            // On the disk that the build is on: a temporary directory may be in memory.
            let own = std::env::current_exe().map_err(|error| error.to_string())?;
            let beside = own.parent().ok_or("no directory of our own")?;
            let dir = tempfile::Builder::new().prefix("ingest-").tempdir_in(beside);
            let dir = dir.map_err(|error| error.to_string())?;
            let data_dir = match &options.fleet {
                Some(fleet) => fleet.join(weights.to_string()),
                None => dir.path().to_owned(),
            };
            let begun = Instant::now();
            if !data_dir.join("coordinator.db").exists() {
                prepare(&data_dir, weights).await?;
            }
            print(&format!(
                "# {weights} weights: 100,000 nodes enrolled in {:.0} s",
                begun.elapsed().as_secs_f64()
            ));
            for &connections in &options.connections {
                for (name, value, unit, target) in
                    case(&data_dir, weights, connections, options).await?
                {
                    let lines = if options.relay { "relays" } else { "connections" };
                    let tls = if options.tls { " tls" } else { "" };
                    let case = format!("{weights} weights {connections} {lines}{tls} {name}");
                    print(&show("ingest", options.json, &case, value, unit, target));
                }
            }
        }
        Ok(())
    })
}

pub(crate) fn show(
    bench: &str,
    as_json: bool,
    case: &str,
    value: f64,
    unit: &str,
    target: Option<f64>,
) -> String {
    if as_json {
        let mut line = json!({"bench": bench, "case": case, "value": value, "unit": unit});
        if let Some(target) = target {
            line["target"] = json!(target);
        }
        return line.to_string();
    }
    let beside = target.map_or_else(String::new, |target| format!("  (target {target} {unit})"));
    format!("{case:<52} {value:>12.3} {unit}{beside}")
}

async fn case(
    data_dir: &Path,
    weights: u32,
    connections: usize,
    options: &Options,
) -> Result<Vec<Figure>, String> {
    let server = Server::start(data_dir, options.tls)?;
    fleet::ask_all(&server.grpc).await?;
    let pool = payloads(weights as usize);
    let load = Load::new(&server.grpc, options.relay, pool.clone());
    let driver = tokio::spawn({
        let load = Arc::clone(&load);
        async move { load.run(connections).await }
    });
    sleep(Duration::from_secs(options.warmup_s)).await;
    let (before, begun, since) = (server.figures()?, Instant::now(), load.measure());
    sleep(Duration::from_secs(options.seconds)).await;
    let measured = load.measured(since);
    let (after, seconds) = (server.figures()?, begun.elapsed().as_secs_f64());
    load.stop();
    let rounds = driver.await.map_err(|error| error.to_string())??;
    let compared = compare(&server.rest()?, &load::full(&rounds), &pool).await?;
    server.stop()?;
    let acked = measured.acked;
    let targets = (connections == 100).then_some(match weights {
        14_200 => [5_000.0, 0.12, 64.0, 50.0],
        _ => [1_000.0, 0.5, 128.0, 50.0],
    });
    let target = |at: usize| targets.map(|targets| targets[at]);
    Ok(vec![
        ("updates_per_s", acked / seconds, "1/s", target(0)),
        ("cpu_per_1000", (after.cpu_s - before.cpu_s) / acked * 1e3, "s", target(1)),
        ("rss_mb", after.rss_mb, "MB", target(2)),
        ("wire_bytes", measured.wire_bytes / acked, "B/update", None),
        ("disk_bytes", (after.disk_bytes - before.disk_bytes) / acked, "B/update", None),
        ("ack_p50_ms", measured.p50_ms, "ms", None),
        ("ack_p99_ms", measured.p99_ms, "ms", target(3)),
        ("syncs_per_s", (after.flushes - before.flushes) / seconds, "1/s", None),
        ("put_off", load.put_off.load(Ordering::Relaxed) as f64, "updates", None),
        ("rounds_compared", compared as f64, "rounds", None),
    ])
}

/// Compares the published sum of every round that we filled with our own; answers with how many there were.
async fn compare(
    rest: &Rest,
    rounds: &std::collections::BTreeMap<(u32, u32), Vec<u32>>,
    pool: &[(bytes::Bytes, Digest)],
) -> Result<usize, String> {
    for (&(group, base), counts) in rounds {
        let mut sum = Sum::new(pool[0].0.len());
        for ((payload, _), &count) in pool.iter().zip(counts) {
            let lanes: Vec<i8> = payload.iter().map(|byte| byte.cast_signed()).collect();
            if count > 0 {
                sum.fold(&lanes, count);
            }
        }
        let path = format!("/v1/models/{}/versions/{}", model(group), base + 1);
        let until = Instant::now() + Duration::from_secs(30);
        let version: Value = loop {
            match rest.get(&path).await {
                Ok(version) => break version,
                Err(error) if Instant::now() > until => return Err(error.to_string()),
                Err(_) => sleep(Duration::from_millis(100)).await,
            }
        };
        let ours = Digest::of(&sum.encode()).to_string();
        if version["sum_digest"] != json!(ours) || version["updates"] != json!(GROUP_NODES) {
            return Err(format!("{path}: {version} is not our sum, {ours}"));
        }
    }
    Ok(rounds.len())
}
