//! Receipts and the disk, as the system calls show them: SIGKILL keeps the page cache, so that `kill.rs` cannot tell a
//! coordinator that syncs from one that does not.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;

use federation::Digest;
use proto::v1;
use proto::v1::push_update_response::Result as Pushed;
use proto::v1::wait_order_response::Order;

use crate::support::fixture::{open_plan, plain_artifact, post_model, post_run};
use crate::support::plain::{client, enrol, update};
use crate::support::process::{MUSTER, Serve, free_of_settings};
use crate::support::require::skip;

const UPDATES: u32 = 20;
const TRACED: &str =
    "trace=fsync,fdatasync,pwrite64,write,writev,sendto,sendmsg,recvfrom,recvmsg,read,readv";
/// Bytes of a frame's header in the write-ahead log. Its second word is nonzero in the last frame of a transaction.
const FRAME_HEADER: usize = 24;

/// A system call.
#[derive(Debug)]
struct Call {
    thread: u32,
    name: String,
    /// What the first descriptor is.
    file: String,
    bytes: Vec<u8>,
    /// The lines of the trace at which it began and ended.
    began: usize,
    ended: usize,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_is_synced_between_an_updates_arrival_and_its_receipt() {
    let name = "the_log_is_synced_between_an_updates_arrival_and_its_receipt";
    let tried = std::process::Command::new("strace")
        .args(["-f", "-e", "trace=fsync", "-o", "/dev/null", "true"])
        .stderr(Stdio::null())
        .status();
    if !tried.is_ok_and(|status| status.success()) {
        return skip(name, "strace", "strace is missing or may not trace");
    }
    let dir = tempfile::tempdir().unwrap();
    let trace = dir.path().join("trace");
    // -D: the coordinator, not strace, is our child.
    let mut strace = tokio::process::Command::new("strace");
    strace.args(["-D", "-f", "-y", "-xx", "-s", "65536", "-e", TRACED, "-o"]).arg(&trace);
    strace.arg(MUSTER).stderr(Stdio::piped()).stdin(Stdio::null()).kill_on_drop(true);
    let data_dir = dir.path().join("data");
    let serve =
        Serve::start_by(free_of_settings(strace), &data_dir, "127.0.0.1:0", "127.0.0.1:0").await;
    let receipted = push_all(&serve).await;
    // strace holds the pipe of the log open until it has written everything.
    serve.stop_with_log().await;

    let calls = read(&trace);
    for digest in &receipted {
        check(&calls, digest);
    }
    println!("{} receipts, {} system calls", receipted.len(), calls.len());
}

/// Pushes updates one after the other; answers with the digests that receipts were had for.
async fn push_all(serve: &Serve) -> Vec<Digest> {
    post_model(&serve.rest(), "m", &plain_artifact(UPDATES)).await;
    let mut node = client(serve.grpc());
    let name = |lane: u32| format!("sync-{lane:02}");
    for lane in 0..UPDATES {
        enrol(&mut node, &name(lane)).await;
    }
    post_run(&serve.rest(), "m", &open_plan(UPDATES)).await;
    let mut receipted = Vec::new();
    for lane in 0..UPDATES {
        let request = v1::WaitOrderRequest {
            node_id: name(lane),
            wait_ms: 60_000,
            ..v1::WaitOrderRequest::default()
        };
        let order = match node.wait_order(request).await.unwrap().into_inner().order {
            Some(Order::Train(order)) => order,
            other => panic!("{other:?}"),
        };
        let parts = update(&name(lane), usize::try_from(lane).unwrap(), &order);
        let answer = node.push_update(tokio_stream::iter(parts)).await.unwrap().into_inner();
        let Some(Pushed::Receipt(receipt)) = answer.result else { panic!("{answer:?}") };
        receipted.push(Digest(receipt.payload_digest.as_ref().try_into().unwrap()));
    }
    receipted
}

/// Arrival, all frames of the transaction that holds the update, a sync of the log, receipt: in this order.
fn check(calls: &[Call], digest: &Digest) {
    let holds = |call: &&Call| call.bytes.windows(digest.0.len()).any(|part| part == digest.0);
    let socket = |call: &&Call| call.file.starts_with("socket:") || call.file.starts_with("TCP:");
    let log = |call: &&Call| call.file.ends_with("/coordinator.db-wal");
    let arrives = |call: &&Call| call.name.starts_with("re") && socket(call) && holds(call);
    let leaves = |call: &&Call| !call.name.starts_with("re") && socket(call) && holds(call);
    let arrived = calls.iter().find(arrives).expect("it arrived");
    let receipt = calls.iter().find(leaves).expect("its receipt left");

    let writes: Vec<&Call> = calls.iter().filter(|c| log(c) && c.name == "pwrite64").collect();
    let first = writes.iter().position(holds).expect("the log holds it");
    let commits = |call: &&&Call| call.bytes.len() == FRAME_HEADER && call.bytes[4..8] != [0; 4];
    // A frame is its header and then its page.
    let last = first - 1 + writes[first - 1..].iter().position(|c| commits(&c)).expect("it ends");
    let (written, committed) = (writes[first], writes[last + 1]);
    let synced = calls
        .iter()
        .filter(log)
        .find(|call| call.name.ends_with("sync") && call.began > committed.ended)
        .unwrap_or_else(|| panic!("{digest}: the log is never synced after it"));
    assert_eq!((written.thread, committed.thread), (synced.thread, synced.thread), "{digest}");
    assert!(arrived.ended < written.began, "{digest}: written before it arrived");
    assert!(written.ended <= committed.ended && committed.ended < synced.began, "{digest}");
    assert!(synced.ended < receipt.began, "{digest}: its receipt left before the sync was over");
}

/// The calls of a trace.
fn read(trace: &Path) -> Vec<Call> {
    let text = std::fs::read_to_string(trace).unwrap();
    let mut unfinished: BTreeMap<&str, (usize, &str)> = BTreeMap::new();
    let mut calls = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let (thread, rest) = line.split_once(char::is_whitespace).unwrap();
        let rest = rest.trim_start();
        if let Some(begun) = rest.strip_suffix(" <unfinished ...>") {
            unfinished.insert(thread, (at, begun));
        } else if rest.starts_with("<... ") {
            if let Some((began, begun)) = unfinished.remove(thread) {
                let (_, end) = rest.split_once(" resumed>").unwrap();
                calls.extend(call(thread, &format!("{begun}{end}"), began, at));
            }
        } else {
            calls.extend(call(thread, rest, at, at));
        }
    }
    calls.sort_by_key(|call| call.began);
    calls
}

/// The call `name(descriptor<file>, "\x..", ...) = result`; none if it failed or is no call.
fn call(thread: &str, text: &str, began: usize, ended: usize) -> Option<Call> {
    let (name, arguments) = text.split_once('(')?;
    let (arguments, result) = arguments.rsplit_once(" = ")?;
    if result.starts_with('-') {
        return None;
    }
    let (_, file) = arguments.split_once('<')?;
    let (file, more) = file.split_once('>')?;
    // Every second piece stands between quotation marks.
    let quoted: String = more.split('"').skip(1).step_by(2).collect();
    let hex = quoted.split("\\x").skip(1);
    let bytes = hex.map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
    let thread = thread.parse().ok()?;
    Some(Call { thread, name: name.to_owned(), file: unescaped(file), bytes, began, ended })
}

/// A path, which `-xx` shows in hexadecimal too.
fn unescaped(path: &str) -> String {
    if !path.starts_with("\\x") {
        return path.to_owned();
    }
    let bytes = path.split("\\x").skip(1).map(|byte| u8::from_str_radix(byte, 16).unwrap());
    String::from_utf8(bytes.collect()).unwrap()
}
