//! Traces: from a node's push to the version that it went into, as a collector sees them.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value as Attribute;
use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status};

use simulator::demo::navigation_artifact;

use crate::support::fixture::{navigation_plan, post_model, post_run, wait_version};
use crate::support::process::{Serve, muster, node};

/// A collector that keeps all spans.
struct Collector(UnboundedSender<(String, Span)>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        for resource in request.into_inner().resource_spans {
            let about = resource.resource.unwrap_or_default().attributes;
            let service = about.into_iter().find(|about| about.key == "service.name").unwrap();
            let service = format!("{:?}", service.value.unwrap().value.unwrap());
            for span in resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                self.0.send((service.clone(), span)).unwrap();
            }
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

async fn collector() -> (SocketAddr, UnboundedReceiver<(String, Span)>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (spans, received) = unbounded_channel();
    let service = TraceServiceServer::new(Collector(spans));
    let serving = Server::builder().add_service(service);
    tokio::spawn(serving.serve_with_incoming(TcpListenerStream::new(listener)));
    (address, received)
}

fn attribute(span: &Span, key: &str) -> String {
    let found = span.attributes.iter().find(|attribute| attribute.key == key);
    let value = found.and_then(|found| found.value.clone()).and_then(|value| value.value);
    match value {
        Some(Attribute::StringValue(text)) => text,
        Some(Attribute::IntValue(number)) => number.to_string(),
        other => panic!("{key} of {}: {other:?}", span.name),
    }
}

/// Two nodes learn for one round; the spans that the collector got, and the version.
async fn spans(per_1000: &str) -> (Vec<Span>, Value) {
    let dir = tempfile::tempdir().unwrap();
    let (address, mut received) = collector().await;
    let mut command = muster();
    // What is logged has nothing to do with what is traced.
    command.env("MUSTER_LOG", "error");
    command.env("MUSTER_TRACES_ENDPOINT", format!("http://{address}"));
    command.env("MUSTER_TRACES_PER_1000", per_1000);
    let serve = Serve::start_with(command, &dir.path().join("data")).await;
    let rest = serve.rest();
    post_model(&rest, "navigation", &navigation_artifact(1)).await;
    let names = ["a".to_owned(), "b".to_owned()];
    let nodes = [(1, "a"), (2, "b")].map(|(seed, name)| node(dir.path(), serve.grpc(), name, seed));
    post_run(&rest, "navigation", &navigation_plan(&names, 1, 2)).await;
    let version = wait_version(&rest, "navigation", 2).await;
    for mut node in nodes {
        node.kill().await.unwrap();
    }
    // What is left is sent at its end.
    serve.stop().await;
    let mut spans = Vec::new();
    while let Ok((service, span)) = received.try_recv() {
        assert_eq!(service, "StringValue(\"muster\")");
        spans.push(span);
    }
    (spans, version)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_trace_goes_from_a_push_to_the_version_it_went_into() {
    let (spans, version) = spans("1000").await;
    let of = |name: &str| -> BTreeMap<Vec<u8>, &Span> {
        let named = spans.iter().filter(|span| span.name == name);
        named.map(|span| (span.trace_id.clone(), span)).collect()
    };
    let (pushes, settled) = (of("push update"), of("settle round"));
    assert_eq!(pushes.len(), 2, "a trace for each node's update: {pushes:?}");
    assert!(pushes.keys().eq(settled.keys()), "{pushes:?} {settled:?}");
    for (trace, push) in pushes {
        let settled = settled[&trace];
        assert_eq!(settled.parent_span_id, push.span_id);
        assert!(!push.parent_span_id.is_empty(), "it goes on in the node's");
        assert_eq!(attribute(settled, "round.state"), "published");
        assert_eq!(attribute(settled, "version"), "2");
        assert_eq!(attribute(settled, "version.digest"), version["digest"]);
        assert!(settled.end_time_unix_nano >= push.start_time_unix_nano);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_coordinator_says_how_many_are_recorded_not_who_calls() {
    let (spans, _) = spans("0").await;
    assert_eq!(spans, [], "though the nodes ask for it");
}
