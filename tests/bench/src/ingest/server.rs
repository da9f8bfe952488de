//! The coordinator under load: the real program in a process of its own, and what the system says of it.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use simulator::{Access, Rest};
use tempfile::TempDir;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint};

/// A `muster serve` of our own. Dropped, it is killed.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    http: String,
    pub(crate) grpc: Grpc,
    pair: Option<Pair>,
}

/// Where a server's gRPC is, and with TLS the certificate it shows.
#[derive(Clone, Debug)]
pub(crate) struct Grpc {
    address: String,
    root: Option<Certificate>,
}

/// A certificate of our own making, and its key.
#[derive(Debug)]
struct Pair {
    dir: TempDir,
    root: Certificate,
}

impl Pair {
    fn make() -> Result<Self, String> {
        let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()])
            .map_err(|error| error.to_string())?;
        let dir = tempfile::tempdir().map_err(|error| error.to_string())?;
        let pem = made.cert.pem();
        fs::write(dir.path().join("cert.pem"), &pem)
            .and_then(|()| fs::write(dir.path().join("key.pem"), made.signing_key.serialize_pem()))
            .map_err(|error| error.to_string())?;
        Ok(Self { dir, root: Certificate::from_pem(pem) })
    }

    fn flags(&self) -> [String; 2] {
        let flag =
            |name: &str, file: &str| format!("{name}={}", self.dir.path().join(file).display());
        [flag("--tls-cert", "cert.pem"), flag("--tls-key", "key.pem")]
    }
}

impl Grpc {
    /// A way there that is not connected yet.
    pub(crate) fn endpoint(&self) -> Result<Endpoint, String> {
        let endpoint =
            Endpoint::from_shared(self.address.clone()).map_err(|error| error.to_string())?;
        let Some(root) = self.root.clone() else { return Ok(endpoint) };
        let tls = ClientTlsConfig::new().ca_certificate(root);
        endpoint.tls_config(tls).map_err(|error| error.to_string())
    }
}

/// What the system counts about the server and the disk, since their start.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Figures {
    /// CPU seconds, user and system.
    pub(crate) cpu_s: f64,
    /// The most memory it ever had, in MB.
    pub(crate) rss_mb: f64,
    /// The memory it has now, in MB.
    pub(crate) rss_now_mb: f64,
    /// Bytes it had written to disk.
    pub(crate) disk_bytes: f64,
    /// Flushes of all disks of this machine: what a sync ends in.
    pub(crate) flushes: f64,
}

impl Server {
    /// Starts the program that stands beside this one, with its default configuration, on free ports; with TLS if that
    /// is asked for.
    pub(crate) fn start(data_dir: &Path, tls: bool) -> Result<Self, String> {
        let program = program()?;
        let pair = if tls { Some(Pair::make()?) } else { None };
        let mut command = Command::new(&program);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("MUSTER_") {
                command.env_remove(name);
            }
        }
        let mut child = command
            .arg("serve")
            .arg("--data-dir")
            .arg(data_dir)
            .args(["--http-listen", "127.0.0.1:0", "--grpc-listen", "127.0.0.1:0"])
            .args(pair.iter().flat_map(Pair::flags))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("{}: {error}", program.display()))?;
        let mut lines = BufReader::new(child.stdout.take().ok_or("no output")?).lines();
        let mut address = |name: &str| {
            let line = lines.next().and_then(Result::ok).unwrap_or_default();
            let address = line.strip_prefix(name).map(|rest| rest.trim().to_owned());
            address.ok_or_else(|| format!("the coordinator did not start: `{line}`"))
        };
        let (http, grpc) = (address("REST")?, address("gRPC")?);
        let grpc = Grpc { address: grpc, root: pair.as_ref().map(|pair| pair.root.clone()) };
        Ok(Self { child, http, grpc, pair })
    }

    /// A client of its REST.
    pub(crate) fn rest(&self) -> Result<Rest, String> {
        let ca_file = self.pair.as_ref().map(|pair| pair.dir.path().join("cert.pem"));
        let access = Access { url: self.http.clone(), ca_file, token: None };
        Rest::connect(&access).map_err(|error| error.to_string())
    }

    /// What the system counts now.
    pub(crate) fn figures(&self) -> Result<Figures, String> {
        let read = |file: &str| {
            let path = format!("/proc/{}/{file}", self.child.id());
            fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))
        };
        let stat = read("stat")?;
        let after_name = stat.rsplit(')').next().unwrap_or_default();
        let ticks: f64 = after_name.split_whitespace().skip(11).take(2).map(number).sum();
        let ticks_per_s = rustix::param::clock_ticks_per_second() as f64;
        Ok(Figures {
            cpu_s: ticks / ticks_per_s,
            rss_mb: field(&read("status")?, "VmHWM:") * 1024.0 / 1e6,
            rss_now_mb: field(&read("status")?, "VmRSS:") * 1024.0 / 1e6,
            disk_bytes: field(&read("io")?, "write_bytes:"),
            flushes: flushes()?,
        })
    }

    /// Ends it in order.
    pub(crate) fn stop(mut self) -> Result<(), String> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)
            .map_err(|error| error.to_string())?;
        let status = self.child.wait().map_err(|error| error.to_string())?;
        if status.success() { Ok(()) } else { Err(format!("the coordinator ended: {status}")) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `muster` beside this program, built anew if need be.
fn program() -> Result<PathBuf, String> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--release", "--locked", "--quiet", "--package", "muster"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .map_err(|error| format!("cargo: {error}"))?;
    let program = own.with_file_name("muster");
    if built.success() && program.exists() {
        Ok(program)
    } else {
        Err(format!("{} could not be built", program.display()))
    }
}

/// Flushes of all disks, the 16th figure of each in `/proc/diskstats`.
fn flushes() -> Result<f64, String> {
    let text = fs::read_to_string("/proc/diskstats").map_err(|error| error.to_string())?;
    Ok(text.lines().filter_map(|line| line.split_whitespace().nth(18)).map(number).sum())
}

fn field(text: &str, name: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()).map_or(f64::NAN, number)
}

fn number(word: &str) -> f64 {
    word.parse().unwrap_or(f64::NAN)
}
