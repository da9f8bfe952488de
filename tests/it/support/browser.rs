//! A browser: Chromium without a window, driven over WebDriver, which is JSON over HTTP. Our own client of REST speaks
//! it well enough; what it lacks (media, sizes, whole pages) comes by Chromium's own protocol.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use simulator::{Rest, RestError};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::timeout;

use super::process::free_of_settings;

/// How long a page may take to become what is waited for.
const PATIENCE: Duration = Duration::from_secs(90);

/// Browsers take turns: on a small machine several at once starve each other until one loses its pages.
static TURN: Mutex<()> = Mutex::const_new(());

/// Waits until no other test has a browser open.
pub(crate) async fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().await
}

/// A browser with one window.
pub(crate) struct Browser {
    driver: Rest,
    session: String,
    process: Child,
    _profile: TempDir,
    _turn: MutexGuard<'static, ()>,
}

/// A test that fails does not close its browser, which would outlive its driver: the group that both are in is ended.
impl Drop for Browser {
    fn drop(&mut self) {
        let pid = self.process.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        if let Some(pid) = pid {
            // It may have ended by itself.
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}

/// Where a program is.
fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file())
}

impl Browser {
    /// Starts one; `None` where Chromium or its driver is missing.
    pub(crate) async fn start() -> Option<Self> {
        let (chromium, driver) = (program("chromium")?, program("chromedriver")?);
        let turn = turn().await;
        let mut command = free_of_settings(Command::new(driver));
        // A group of its own: browsers that it starts end with it.
        command.arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0);
        let mut process = command.spawn().expect("chromedriver starts");
        let mut lines = BufReader::new(process.stdout.take().expect("it is piped")).lines();
        let port = async {
            while let Ok(Some(line)) = lines.next_line().await {
                if let Some((_, port)) = line.split_once("successfully on port ") {
                    return port.trim_end_matches('.').to_owned();
                }
            }
            panic!("chromedriver did not say its port");
        };
        let port = timeout(PATIENCE, port).await.expect("chromedriver starts within its time");
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let driver = Rest::new(&format!("http://127.0.0.1:{port}"));
        let profile = tempfile::tempdir().unwrap();
        let options = json!({
            "binary": chromium,
            "args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
                     "--disable-background-networking", "--disable-component-update", "--no-first-run",
                     "--force-color-profile=srgb", format!("--user-data-dir={}", profile.path().display())],
        });
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"},
        }}});
        let made: Value =
            driver.post("/session", &wanted).await.unwrap_or_else(|error| panic!("{error:?}"));
        let session = made["value"]["sessionId"].as_str().expect("a session").to_owned();
        Some(Self { driver, session, process, _profile: profile, _turn: turn })
    }

    async fn tell(&self, what: &str, body: Value) -> Value {
        let path = format!("/session/{}/{what}", self.session);
        match self.driver.post::<Value>(&path, &body).await {
            Ok(mut answer) => answer["value"].take(),
            Err(RestError::Refused { problem, .. }) => {
                panic!("{what}: {}", problem["value"]["message"])
            }
            Err(error) => panic!("{what}: {error}"),
        }
    }

    /// Chromium's own protocol.
    pub(crate) async fn chromium(&self, method: &str, params: Value) -> Value {
        self.tell("goog/cdp/execute", json!({"cmd": method, "params": params})).await
    }

    /// Goes to a page.
    pub(crate) async fn go(&self, url: &str) {
        self.tell("url", json!({"url": url})).await;
    }

    /// What a script says: the body of a function.
    pub(crate) async fn script(&self, body: &str) -> Value {
        self.tell("execute/sync", json!({"script": body, "args": []})).await
    }

    /// What a script says that calls its last argument when it is done.
    pub(crate) async fn script_later(&self, body: &str) -> Value {
        self.tell("execute/async", json!({"script": body, "args": []})).await
    }

    /// Waits until an expression is true, and gives what it is.
    pub(crate) async fn until(&self, what: &str, expression: &str) -> Value {
        let look = async {
            loop {
                let found = self.script(&format!("return ({expression})")).await;
                if !matches!(found, Value::Null | Value::Bool(false)) {
                    return found;
                }
                // The pause between two looks; what is waited for is the page.
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        match timeout(PATIENCE, look).await {
            Ok(found) => found,
            Err(_) => {
                let page =
                    self.script("return location.href + '\\n' + document.body.innerText").await;
                panic!("{what}: never; the page says:\n{}", page.as_str().unwrap_or_default());
            }
        }
    }

    /// Waits for an element, and clicks it as a person does.
    pub(crate) async fn click(&self, selector: &str) {
        let found = format!("document.querySelector({})", json!(selector));
        self.until(&format!("{selector} is there"), &format!("!!{found}")).await;
        let element = self.element(selector).await;
        self.tell(&format!("element/{element}/click"), json!({})).await;
    }

    /// Types into a field.
    pub(crate) async fn write(&self, selector: &str, text: &str) {
        let element = self.element(selector).await;
        self.tell(&format!("element/{element}/value"), json!({"text": text})).await;
    }

    async fn element(&self, selector: &str) -> String {
        let found = self.tell("element", json!({"using": "css selector", "value": selector})).await;
        let id = found.as_object().and_then(|found| found.values().next());
        id.and_then(Value::as_str).expect("an element").to_owned()
    }

    /// How wide the window is, and whether people like it dark.
    pub(crate) async fn look(&self, width: u32, dark: bool) {
        let size =
            json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600});
        self.chromium("Emulation.setDeviceMetricsOverride", size).await;
        let scheme = if dark { "dark" } else { "light" };
        let features = json!([
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]);
        self.chromium("Emulation.setEmulatedMedia", json!({"features": features})).await;
    }

    /// Writes a picture of the whole page.
    pub(crate) async fn picture(&self, file: &Path) {
        let shot = json!({"format": "png", "captureBeyondViewport": true});
        let shot = self.chromium("Page.captureScreenshot", shot).await;
        let bytes = STANDARD.decode(shot["data"].as_str().expect("a picture")).unwrap();
        std::fs::write(file, bytes).unwrap();
    }

    /// What the console said that is an error, since the last question.
    pub(crate) async fn complaints(&self) -> Vec<String> {
        let log = self.tell("se/log", json!({"type": "browser"})).await;
        let entries = log.as_array().into_iter().flatten();
        let bad =
            entries.filter(|entry| matches!(entry["level"].as_str(), Some("SEVERE" | "WARNING")));
        bad.map(|entry| entry["message"].as_str().unwrap_or_default().to_owned()).collect()
    }
}
