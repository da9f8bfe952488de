//! Attacks on the doors, by those who have not said who they are. Each fails because of one limit, and would go on
//! without it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use coordinator::{Coordinator, DoorLimits, Running, SystemClock};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{interval, timeout};

use crate::support::{Site, config, read_response};
use crate::tls::Secure;

/// How HTTP/2 begins.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Settings that leave all as it is.
const SETTINGS: [u8; 9] = frame_head(0, 4, 0, 0);
/// `:method: POST`, `:scheme: http`, `:path: /`.
const POST: [u8; 3] = [0x83, 0x86, 0x84];
/// What HTTP/2 says to those who flood it.
const ENHANCE_YOUR_CALM: u8 = 0xb;

/// What it says of headers that are none.
const PROTOCOL_ERROR: u32 = 1;

/// A limit that a test runs into.
const SHORT: Duration = Duration::from_millis(100);
/// One that it does not.
const LONG: Duration = Duration::from_secs(3_600);

fn patient() -> DoorLimits {
    DoorLimits {
        handshake: LONG,
        handshake_yields: LONG,
        head: LONG,
        opening: LONG,
        stall: LONG,
        ..DoorLimits::default()
    }
}

async fn start(limits: DoorLimits) -> (TempDir, Running) {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(SystemClock::new());
    let running = Coordinator::start_with(config(dir.path()), clock, limits).await.unwrap();
    (dir, running)
}

/// Sends what is left of `bytes` one by one, for as long as the server takes it; then nothing more. Ends with the
/// connection, and with what was said on it.
async fn drip(address: SocketAddr, at_once: &[u8], bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(at_once).await.unwrap();
    let (mut from, mut to) = stream.split();
    let slowly = async {
        let mut beat = interval(Duration::from_millis(5));
        for byte in bytes {
            beat.tick().await;
            if to.write_all(&[*byte]).await.is_err() {
                break;
            }
        }
        std::future::pending::<()>().await
    };
    let mut said = Vec::new();
    let ends = async {
        // A reset is an end too.
        let _ = from.read_to_end(&mut said).await;
    };
    tokio::select! {
        () = slowly => {}
        ended = timeout(Duration::from_secs(60), ends) => ended.expect("the server ends it"),
    }
    said
}

#[tokio::test]
async fn a_head_that_comes_slowly_ends_the_connection() {
    let (_dir, running) = start(DoorLimits { head: SHORT, ..patient() }).await;
    let head = format!("GET /healthz HTTP/1.1\r\nhost: localhost\r\nx: {}", "x".repeat(8_000));
    for at_once in [&b""[..], b"G"] {
        let said = drip(running.http_addr(), at_once, head.as_bytes()).await;
        assert_eq!(String::from_utf8(said).unwrap(), "");
    }
    running.shutdown().await;
}

#[tokio::test]
async fn an_idle_connection_frees_its_seat_for_the_next() {
    let limits = DoorLimits { head: SHORT, people_max: Some(1), ..patient() };
    let (_dir, running) = start(limits).await;
    let mut idle = TcpStream::connect(running.http_addr()).await.unwrap();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut next = TcpStream::connect(running.http_addr()).await.unwrap();
    let close = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    next.write_all(close).await.unwrap();
    let served = timeout(Duration::from_secs(60), read_response(&mut next)).await;
    assert_eq!(served.expect("its turn comes").status, 200);
    assert_eq!(read_response(&mut idle).await.status, 200);
    running.shutdown().await;
}

#[tokio::test]
async fn an_opening_of_http2_that_comes_slowly_ends_the_connection() {
    let (_dir, running) = start(DoorLimits { opening: SHORT, ..patient() }).await;
    // Settings of many entries; what they set is not known to anybody.
    let mut settings = frame_head(16_380, 4, 0, 0).to_vec();
    settings.resize(9 + 16_380, 0xee);
    let slow = [PREFACE, &settings].concat();
    for at_once in [0, 1, PREFACE.len(), PREFACE.len() + 5] {
        drip(running.grpc_addr(), &slow[..at_once], &slow[at_once..]).await;
    }
    drip(running.grpc_addr(), PREFACE, b"").await;
    // One that opens in time may take its time after that.
    let mut stream = TcpStream::connect(running.grpc_addr()).await.unwrap();
    stream.write_all(&[PREFACE, &SETTINGS].concat()).await.unwrap();
    drip(running.grpc_addr(), b"", b"").await;
    stream.write_all(&frame_head(8, 6, 0, 0)).await.unwrap();
    stream.write_all(b"12345678").await.unwrap();
    let ping = read_until(&mut stream, |kind, _| kind == 6).await;
    assert_eq!(ping.as_deref(), Some(&b"12345678"[..]));
    running.shutdown().await;
}

#[tokio::test]
async fn a_silent_handshake_ends() {
    let site = Secure::start(DoorLimits { handshake: SHORT, ..patient() }).await;
    for address in [site.running.http_addr(), site.running.grpc_addr()] {
        drip(address, b"", b"").await;
        // The head of a handshake, and no more of it.
        drip(address, &[22, 3, 1, 1, 0, 1], b"").await;
    }
    site.running.shutdown().await;
}

#[tokio::test]
async fn silent_handshakes_hold_nobody_up() {
    let limits = DoorLimits { handshakes_max: 2, handshake_yields: SHORT, ..patient() };
    let site = Secure::start(limits).await;
    let mut silent = Vec::new();
    for _ in 0..6 {
        silent.push(TcpStream::connect(site.running.http_addr()).await.unwrap());
    }
    let served = timeout(Duration::from_secs(60), async {
        site.rest(site.root.der()).await.unwrap().ask().await
    });
    assert!(served.await.expect("its turn comes").starts_with("HTTP/1.1 200"));
    site.running.shutdown().await;
}

#[tokio::test]
async fn a_slow_handshake_is_beside_the_others() {
    let site = Secure::start(patient()).await;
    let _silent = TcpStream::connect(site.running.http_addr()).await.unwrap();
    assert!(site.rest(site.root.der()).await.unwrap().ask().await.starts_with("HTTP/1.1 200"));
    site.running.shutdown().await;
}

#[tokio::test]
async fn who_speaks_no_tls_is_sent_away_at_once() {
    let site = Secure::start(patient()).await;
    let request = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let said = drip(site.running.http_addr(), request, b"").await;
    assert!(!said.starts_with(b"HTTP"), "no answer in the clear");
    drip(site.running.grpc_addr(), &[PREFACE, &SETTINGS].concat(), b"").await;
    site.running.shutdown().await;
}

#[tokio::test]
async fn a_reader_who_takes_nothing_is_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let site = Site::over(dir).await;
    site.make_model("m").await;
    let Site { dir, running, .. } = site;
    running.shutdown().await;
    let clock = Arc::new(SystemClock::new());
    let limits = DoorLimits { stall: SHORT, people_max: Some(1), ..patient() };
    let running = Coordinator::start_with(config(dir.path()), clock, limits).await.unwrap();
    // Far more than the system keeps for a connection.
    let artifact = "GET /v1/models/m/versions/1/artifact HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let mut greedy = TcpStream::connect(running.http_addr()).await.unwrap();
    greedy.write_all(artifact.repeat(500).as_bytes()).await.unwrap();
    // Its seat is the only one.
    let mut next = TcpStream::connect(running.http_addr()).await.unwrap();
    let close = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    next.write_all(close).await.unwrap();
    let served = timeout(Duration::from_secs(60), read_response(&mut next)).await;
    assert_eq!(served.expect("its turn comes").status, 200);
    running.shutdown().await;
}

#[tokio::test]
async fn heads_with_too_much_are_refused() {
    let site = Site::start().await;
    let get = "GET /healthz HTTP/1.1\r\nhost: localhost\r\n";
    let fields = |count: usize| "x: y\r\n".repeat(count);
    // Two more fields are added: `content-length` and `connection`, and `host` is there.
    assert_eq!(site.raw(&format!("{get}{}", fields(61)), b"").await.status, 200);
    assert_eq!(site.raw(&format!("{get}{}", fields(62)), b"").await.status, 431);
    let long = |bytes: usize| format!("{get}x: {}\r\n", "y".repeat(bytes));
    assert_eq!(site.raw(&long(15 << 10), b"").await.status, 200);
    assert_eq!(site.raw(&long(17 << 10), b"").await.status, 431);
    let path = format!("GET /{} HTTP/1.1\r\nhost: localhost\r\n", "y".repeat(17 << 10));
    assert_eq!(site.raw(&path, b"").await.status, 431);
    site.running.shutdown().await;
}

#[tokio::test]
async fn nothing_is_smuggled_into_a_head() {
    let site = Site::start().await;
    let get = "GET /healthz HTTP/1.1\r\nhost: localhost\r\n";
    for field in [
        "x: a\rset-cookie: b\r\n",
        "x: a\0b\r\n",
        "x: a\r\n folded: b\r\n",
        "x\r\n",
        "x y: z\r\n",
        "x : z\r\n",
        "content-length: 1\r\ncontent-length: 2\r\n",
        "content-length: +1\r\n",
        "transfer-encoding: identity\r\n",
    ] {
        assert_eq!(site.raw(&format!("{get}{field}"), b"").await.status, 400, "{field:?}");
    }
    // Neither a path nor a header comes back as a header of the answer.
    let injected = "/v1/models/a%0d%0aset-cookie:%20b";
    let answer = site.get(injected).await;
    answer.is_problem(404, "model_not_found");
    assert_eq!(answer.header("set-cookie"), "");
    let key = "idempotency-key: a%0d%0aset-cookie:%20b\r\ncontent-type: application/json\r\n";
    let post = format!("POST /v1/models HTTP/1.1\r\nhost: localhost\r\n{key}");
    assert_eq!(site.raw(&post, b"{}").await.header("set-cookie"), "");
    site.running.shutdown().await;
}

#[tokio::test]
async fn a_flood_of_resets_ends_the_connection() {
    let site = Site::start().await;
    let mut flood = [PREFACE, &SETTINGS].concat();
    for stream in (1..2_000).step_by(2) {
        flood.extend_from_slice(&frame(1, 0x4, stream, &POST));
        flood.extend_from_slice(&frame(3, 0, stream, &8_u32.to_be_bytes()));
    }
    assert_eq!(calmed(site.running.grpc_addr(), &flood).await, Some(ENHANCE_YOUR_CALM));
    site.running.shutdown().await;
}

#[tokio::test]
async fn a_flood_of_mistakes_ends_the_connection() {
    let site = Site::start().await;
    let mut flood = [PREFACE, &SETTINGS].concat();
    for stream in (1..1_000).step_by(2) {
        flood.extend_from_slice(&frame(1, 0x4, stream, &POST));
        // A window beyond all bounds: the server must reset the stream for it.
        flood.extend_from_slice(&frame(8, 0, stream, &i32::MAX.to_be_bytes()));
    }
    assert_eq!(calmed(site.running.grpc_addr(), &flood).await, Some(ENHANCE_YOUR_CALM));
    site.running.shutdown().await;
}

#[tokio::test]
async fn a_flood_of_headers_ends_the_connection() {
    let site = Site::start().await;
    // Headers that never end.
    let mut flood = [PREFACE, &SETTINGS, &frame(1, 0, 1, &POST)[..]].concat();
    // `x: ` and 8,000 bytes, not to be remembered.
    let mut field = vec![0, 1, b'x', 0x7f, 0xc1, 0x3d];
    field.resize(field.len() + 8_000, b'y');
    for _ in 0..1_000 {
        flood.extend_from_slice(&frame(9, 0, 1, &field));
    }
    assert_eq!(calmed(site.running.grpc_addr(), &flood).await, Some(ENHANCE_YOUR_CALM));
    site.running.shutdown().await;
}

#[tokio::test]
async fn a_header_of_a_call_that_has_a_line_break_is_refused() {
    let site = Site::start().await;
    let mut headers = POST.to_vec();
    headers.extend_from_slice(&[0, 1, b'x', 6, b'a', b'\r', b'\n', b'b', b':', b'c']);
    let call = [PREFACE, &SETTINGS, &frame(1, 0x4, 1, &headers)[..]].concat();
    let mut stream = TcpStream::connect(site.running.grpc_addr()).await.unwrap();
    stream.write_all(&call).await.unwrap();
    // No answer to the call: the connection is ended for it.
    let end = read_until(&mut stream, |kind, _| kind == 1 || kind == 7).await;
    let end = end.expect("the server says why");
    assert_eq!(end.get(4..8), Some(&PROTOCOL_ERROR.to_be_bytes()[..]), "{end:?}");
    site.running.shutdown().await;
}

const fn frame_head(length: u16, kind: u8, flags: u8, stream: u8) -> [u8; 9] {
    let [high, low] = length.to_be_bytes();
    [0, high, low, kind, flags, 0, 0, 0, stream]
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = frame_head(u16::try_from(payload.len()).unwrap(), kind, flags, 0).to_vec();
    frame[5..].copy_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// Sends a flood; the reason why the server ended the connection, if it gave one.
async fn calmed(address: SocketAddr, flood: &[u8]) -> Option<u8> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let (mut from, mut to) = stream.split();
    let send = async {
        // It may be cut off before its end.
        let _ = to.write_all(flood).await;
        std::future::pending::<()>().await
    };
    let goaway = async { read_until(&mut from, |kind, _| kind == 7).await };
    tokio::select! {
        () = send => None,
        said = timeout(Duration::from_secs(60), goaway) => {
            said.expect("the server ends it").and_then(|payload| payload.get(7).copied())
        }
    }
}

/// The payload of the first frame that is `wanted`; `None` when the connection ends before.
async fn read_until(
    stream: &mut (impl AsyncReadExt + Unpin),
    wanted: impl Fn(u8, u32) -> bool,
) -> Option<Vec<u8>> {
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.ok()?;
        let [_, high, low, kind, _, a, b, c, d] = head;
        let mut payload = vec![0; u16::from_be_bytes([high, low]).into()];
        stream.read_exact(&mut payload).await.ok()?;
        if wanted(kind, u32::from_be_bytes([a, b, c, d])) {
            return Some(payload);
        }
    }
}
