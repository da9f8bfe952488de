//! How long the dashboard's pages take, of a fleet of 10,000 nodes that did a run of 1,000 rounds.

use bytes::Bytes;
use federation::Digest;
use futures_util::TryStreamExt as _;
use futures_util::stream::FuturesUnordered;
use proto::v1;
use proto::v1::fleet_service_client::FleetServiceClient;
use proto::v1::push_update_request::Part;
use proto::v1::push_update_response::Result as Pushed;
use proto::v1::wait_order_response::Order;
use tokio::time::Instant;

use crate::ingest::fleet::{self, node_id};
use crate::ingest::server::Server;
use crate::ingest::show;

const NODES: u32 = 10_000;
const ROUNDS: u32 = 1_000;
const WEIGHTS: u32 = 1_000;
/// Calls under way at once while nodes enrol.
const CALLING: u32 = 64;
/// Times that each page is asked for; the slowest counts.
const TIMES: usize = 5;
/// Longest that a page may take, and its most bytes.
const TARGET_MS: f64 = 1_000.0;
const TARGET_KB: f64 = 1_000.0;

const PAGES: [&str; 8] = [
    "/",
    "/fleet",
    "/fleet?limit=1000",
    "/fleet?label=few%3Dyes",
    "/runs/1",
    "/models/few",
    "/audit",
    "/metrics",
];

/// Measures and prints.
pub(crate) fn run(json: bool, print: fn(&str)) -> Result<(), String> {
    let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let dir = tempfile::tempdir().map_err(|error| error.to_string())?;
        let server = Server::start(dir.path(), false)?;
        enrol(&server).await?;
        let rest = server.rest()?;
        fleet::start_run(&rest, "few", WEIGHTS, "few=yes", 1, ROUNDS).await?;
        learn(&server).await?;
        for page in PAGES {
            let (mut slowest_ms, mut kb) = (0.0_f64, 0.0);
            for _ in 0..TIMES {
                let begun = Instant::now();
                let body = rest.bytes(page).await.map_err(|error| error.to_string())?;
                slowest_ms = slowest_ms.max(begun.elapsed().as_secs_f64() * 1e3);
                kb = f64::from(u32::try_from(body.len()).unwrap_or(u32::MAX)) / 1e3;
            }
            print(&show(
                "pages",
                json,
                &format!("{page} slowest"),
                slowest_ms,
                "ms",
                Some(TARGET_MS),
            ));
            print(&show("pages", json, &format!("{page} size"), kb, "kB", Some(TARGET_KB)));
        }
        server.stop()
    })
}

/// All nodes enrol; the first has a label of its own.
async fn enrol(server: &Server) -> Result<(), String> {
    let channel = server.grpc.endpoint()?.connect().await.map_err(|error| error.to_string())?;
    let some = |first: u32| {
        let mut client = FleetServiceClient::new(channel.clone());
        async move {
            for index in (first..NODES).step_by(CALLING as usize) {
                let mut labels =
                    vec![v1::Label { key: "site".to_owned(), value: format!("s{}", index % 7) }];
                if index == 0 {
                    labels.push(v1::Label { key: "few".to_owned(), value: "yes".to_owned() });
                }
                client.enrol(fleet::enrolment(node_id(0, index), labels)).await?;
            }
            Ok(())
        }
    };
    let all: FuturesUnordered<_> = (0..CALLING).map(some).collect();
    all.try_collect::<()>().await.map_err(|status: tonic::Status| status.to_string())
}

/// The first node does the run, round by round.
async fn learn(server: &Server) -> Result<(), String> {
    let channel = server.grpc.endpoint()?.connect().await.map_err(|error| error.to_string())?;
    let mut client = FleetServiceClient::new(channel);
    let payload = Bytes::from(vec![1; WEIGHTS as usize]);
    let digest = Bytes::copy_from_slice(&Digest::of(&payload).0);
    for _ in 0..ROUNDS {
        let request =
            v1::WaitOrderRequest { node_id: node_id(0, 0), wait_ms: 60_000, ..Default::default() };
        let answer = client.wait_order(request).await.map_err(|status| status.to_string())?;
        let Some(Order::Train(order)) = answer.into_inner().order else {
            return Err("no round opened".to_owned());
        };
        let report = v1::ReportEvaluationRequest {
            node_id: node_id(0, 0),
            model: "few".to_owned(),
            digest: order.base_digest.clone(),
            samples: 10,
            correct: order.base_version % 11,
        };
        client.report_evaluation(report).await.map_err(|status| status.to_string())?;
        let header = v1::UpdateHeader {
            node_id: node_id(0, 0),
            round: order.round,
            base_digest: order.base_digest,
            payload_bytes: payload.len() as u64,
            payload_digest: digest.clone(),
            samples: 1,
            ..v1::UpdateHeader::default()
        };
        let parts = [Part::Header(header), Part::Chunk(payload.clone())];
        let parts = parts.map(|part| v1::PushUpdateRequest { part: Some(part) });
        let answer = client.push_update(tokio_stream::iter(parts)).await;
        match answer.map_err(|status| status.to_string())?.into_inner().result {
            Some(Pushed::Receipt(_)) => {}
            other => return Err(format!("no receipt: {other:?}")),
        }
    }
    Ok(())
}
