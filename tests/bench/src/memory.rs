//! What many nodes cost the coordinator in memory: nodes that wait, and rounds of many updates.

use std::sync::Arc;
use std::time::Duration;

use proto::v1;
use proto::v1::fleet_service_client::FleetServiceClient;
use proto::v1::wait_order_response::Order;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::ingest::fleet::{self, FEW, GROUP_NODES, GROUPS, node_id};
use crate::ingest::load::Load;
use crate::ingest::server::Server;
use crate::ingest::show;

/// Weights of the model whose rounds are measured.
const WEIGHTS: u32 = 14_200;
/// Connections that push.
const PUSHING: usize = 100;
/// Connections that are being made at once.
const CONNECTING: usize = 200;

/// Nodes that wait for work, each on a connection of its own: `(nodes, target MB)`.
const WAITING: [(usize, Option<f64>); 2] = [(1_000, None), (10_000, Some(400.0))];
/// The same with TLS.
const WAITING_TLS: [(usize, Option<f64>); 2] = [(1_000, None), (10_000, Some(800.0))];

/// Measures and prints; with TLS only the nodes that wait.
pub(crate) fn run(json: bool, tls: bool, print: fn(&str)) -> Result<(), String> {
    raise_file_limit();
    let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
    runtime.block_on(async {
        for (nodes, target) in if tls { WAITING_TLS } else { WAITING } {
            let [rss_mb, cpu, ended_s] = waiting(nodes, tls).await?;
            let how = if tls { " tls" } else { "" };
            let line = |name: &str, value, unit, target| {
                print(&show(
                    "memory",
                    json,
                    &format!("{nodes} waiting{how} {name}"),
                    value,
                    unit,
                    target,
                ));
            };
            line("rss_mb", rss_mb, "MB", target);
            line("cpu_per_minute", cpu, "s", None);
            line("sigterm_s", ended_s, "s", (nodes == 1_000).then_some(1.0));
        }
        if tls {
            return Ok(());
        }
        let [few, many] = rounds().await?;
        print(&show("memory", json, "round of 1000 rss_mb", few, "MB", None));
        print(&show("memory", json, "round of 100000 rss_mb", many, "MB", None));
        print(&show("memory", json, "round of 100000 grows_mb", many - few, "MB", Some(20.0)));
        Ok(())
    })
}

/// Each node takes a file here.
fn raise_file_limit() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // What is not granted shows as a connection that is not made.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

/// Memory with `nodes` waiting, CPU seconds a minute while they do, and seconds until the process has ended.
async fn waiting(nodes: usize, tls: bool) -> Result<[f64; 3], String> {
    let dir = tempfile::tempdir().map_err(|error| error.to_string())?;
    let server = Server::start(dir.path(), tls)?;
    let endpoint = server.grpc.endpoint()?;
    let (asked, mut asking) = mpsc::channel(nodes);
    let making = Arc::new(tokio::sync::Semaphore::new(CONNECTING));
    let mut tasks = JoinSet::new();
    for number in 0..nodes {
        let (endpoint, asked, making) = (endpoint.clone(), asked.clone(), Arc::clone(&making));
        tasks.spawn(async move {
            let mut client = {
                let _turn = making.acquire().await.map_err(|error| error.to_string())?;
                let channel = endpoint.connect().await.map_err(|error| error.to_string())?;
                let mut client = FleetServiceClient::new(channel);
                let id = node_id(0, u32::try_from(number).unwrap_or(u32::MAX));
                let request = fleet::enrolment(id.clone(), vec![]);
                client.enrol(request).await.map_err(|status| status.to_string())?;
                asked.send(()).await.map_err(|error| error.to_string())?;
                (client, id)
            };
            let request =
                v1::WaitOrderRequest { node_id: client.1, wait_ms: 60_000, ..Default::default() };
            let answer = client.0.wait_order(request).await.map_err(|status| status.to_string())?;
            match answer.into_inner().order {
                Some(Order::Idle(_)) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        });
    }
    for _ in 0..nodes {
        asking.recv().await.ok_or("a node gave up")?;
    }
    // The last questions arrive.
    sleep(Duration::from_secs(2)).await;
    let before = server.figures()?;
    sleep(Duration::from_secs(10)).await;
    let after = server.figures()?;
    let begun = Instant::now();
    server.stop()?;
    let ended_s = begun.elapsed().as_secs_f64();
    while let Some(done) = tasks.join_next().await {
        done.map_err(|error| error.to_string())??;
    }
    Ok([after.rss_now_mb, (after.cpu_s - before.cpu_s) * 6.0, ended_s])
}

/// The most memory ever after a round of 1,000 updates, and after one of 100,000, of one fleet.
async fn rounds() -> Result<[f64; 2], String> {
    let dir = tempfile::tempdir().map_err(|error| error.to_string())?;
    let server = Server::start(dir.path(), false)?;
    fleet::enrol(&server.grpc).await?;
    fleet::ask_all(&server.grpc).await?;
    let rest = server.rest()?;
    let pool = fleet::payloads(WEIGHTS as usize);
    let load = Load::new(&server.grpc, false, pool.clone());
    fleet::start_run(&rest, "few", WEIGHTS, "few=yes", FEW, 1).await?;
    load.offer(0, order(&server).await?, FEW);
    load.fill(PUSHING, FEW.into()).await?;
    let few = server.figures()?.rss_mb;

    let all = GROUPS * GROUP_NODES;
    fleet::start_run(&rest, "all", WEIGHTS, "", all, 1).await?;
    let order = order(&server).await?;
    let load = Load::new(&server.grpc, false, pool);
    for group in 0..GROUPS {
        load.offer(group, order.clone(), GROUP_NODES);
    }
    load.fill(PUSHING, all.into()).await?;
    let many = server.figures()?.rss_mb;
    server.stop()?;
    Ok([few, many])
}

/// The order that the first node waits for.
async fn order(server: &Server) -> Result<v1::TrainOrder, String> {
    let channel = server.grpc.endpoint()?.connect().await.map_err(|error| error.to_string())?;
    let mut client = FleetServiceClient::new(channel);
    let request =
        v1::WaitOrderRequest { node_id: node_id(0, 0), wait_ms: 60_000, ..Default::default() };
    let answer = client.wait_order(request).await.map_err(|status| status.to_string())?;
    match answer.into_inner().order {
        Some(Order::Train(order)) => Ok(order),
        other => Err(format!("no round opened: {other:?}")),
    }
}
