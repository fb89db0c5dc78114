//! A server whose log is a file, and a collector of what it exports.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::super::service::read_metrics;
use super::super::{SERVE, Server, send, undercroft};
use super::forms::Forms;
use super::{ADMIN_EMAIL, ADMIN_PASSWORD, CANARIES, URL_PASSWORD};
use crate::support::emails::token_in;
use crate::support::import::DEMO;

/// Longer than a server waits before it asks a Redis again that was too slow.
const RECOVERY: Duration = Duration::from_secs(1);

/// A server whose log is a file, with a collector of what it exports.
pub(super) struct Watched {
    folder: TempDir,
    server: Server,
    address: String,
    metrics: String,
    log: PathBuf,
    exported: Arc<Mutex<String>>,
    /// The values that must be nowhere, by their names.
    pub(super) canaries: BTreeMap<&'static str, String>,
}

/// The response to a request.
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) text: String,
}

impl Reply {
    pub(super) fn body(&self) -> Value {
        let body = self.text.split_once("\r\n\r\n").unwrap().1;
        serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    #[track_caller]
    pub(super) fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        if self.text.ends_with("\r\n\r\n") { Value::Null } else { self.body() }
    }
}

/// Collects the bodies of exports.
fn collector() -> (String, Arc<Mutex<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let exported = Arc::new(Mutex::new(String::new()));
    let all = Arc::clone(&exported);
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = BufReader::new(connection.unwrap());
            let (mut line, mut length) = (String::new(), 0);
            while connection.read_line(&mut line).is_ok_and(|read| read > 2) {
                if let Some(value) = line.to_lowercase().strip_prefix("content-length: ") {
                    length = value.trim().parse().unwrap();
                }
                line.clear();
            }
            let mut body = vec![0; length];
            // the server may end during an export
            if connection.read_exact(&mut body).is_ok() {
                all.lock().unwrap().push_str(&String::from_utf8(body).unwrap());
                let response = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
                let _ = connection.get_mut().write_all(response);
            }
        }
    });
    (url, exported)
}

impl Watched {
    /// Starts a server on the database at `database` with these variables of the settings, too.
    pub(super) fn start(database: &str, settings: &[(&str, String)]) -> Self {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("demo.jsonl"), DEMO).unwrap();
        let set = |arguments: &[&str]| {
            let mut command = undercroft(folder.path(), arguments);
            command.env("UNDERCROFT_DATABASE", database);
            command
        };
        let imported = set(&["import", "demo.jsonl"]).output().unwrap();
        assert!(imported.status.success(), "{imported:?}");
        let create = ["admin", "create", "--email", ADMIN_EMAIL, "--password-stdin"];
        let mut creating = set(&create);
        let mut creating = creating.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        creating.stdin.take().unwrap().write_all(ADMIN_PASSWORD.as_bytes()).unwrap();
        assert!(creating.wait().unwrap().success());

        let (collector, exported) = collector();
        let log = folder.path().join("log.txt");
        let mut command = set(&SERVE);
        command
            .env("UNDERCROFT_LOG__LEVEL", "trace")
            .envs(settings.iter().map(|(name, value)| (name, value)))
            // a mail server that is away verifies no address
            .env("UNDERCROFT_REQUIREMENTS__HIDE_REGISTERED_ADDRESSES", "false")
            .env("UNDERCROFT_CACHE", format!("redis://:{URL_PASSWORD}@127.0.0.1:1"))
            .env("UNDERCROFT_WEBHOOKS__ALLOW_PRIVATE", "true")
            .env("UNDERCROFT_METRICS__LISTEN", "127.0.0.1:0")
            .env("UNDERCROFT_TELEMETRY__OTLP", collector)
            .env("UNDERCROFT_TELEMETRY__METRICS_SECONDS", "1");
        #[cfg(feature = "nats")]
        command.env("UNDERCROFT_EVENTS__URL", format!("nats://canary:{URL_PASSWORD}@127.0.0.1:1"));
        let (server, address) = Self::spawn(&mut command, &log);
        let metrics = wait_for(&log, "metrics are served");
        let metrics = metrics.split("address=").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
        let canaries = CANARIES.into_iter().map(|(name, value)| (name, value.to_owned())).collect();
        Self { folder, server, address, metrics, log, exported, canaries }
    }

    /// Starts a server that logs to a file.
    fn spawn(command: &mut Command, log: &Path) -> (Server, String) {
        let mut child = command.stdout(Stdio::piped()).stderr(File::create(log).unwrap()).spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let address = line.trim_end().strip_prefix("listening on http://");
        let address = address.unwrap_or_else(|| panic!("{line}{}", fs::read_to_string(log).unwrap()));
        (Server { child, output }, address.to_owned())
    }

    /// Sends a request, once more if the server was unavailable: on a machine that runs other tests, Redis may be too
    /// slow for the sessions.
    pub(super) fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        let reply = self.request_once(method, path, headers, body);
        if reply.status != 503 {
            return reply;
        }
        std::thread::sleep(RECOVERY);
        self.request_once(method, path, headers, body)
    }

    /// Sends a request. The response to a refused one must have no canary.
    fn request_once(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n");
        for (name, value) in headers {
            write!(head, "{name}: {value}\r\n").unwrap();
        }
        if !body.is_empty() {
            write!(head, "content-type: application/json\r\ncontent-length: {}\r\n", body.len()).unwrap();
        }
        let text = send(&self.address, &format!("{head}\r\n{body}"));
        let status = text.split(' ').nth(1).unwrap().parse().unwrap();
        if status >= 400 {
            self.assert_none(&format!("the response to {method} {path}"), &text);
        }
        Reply { status, text }
    }

    #[expect(clippy::needless_pass_by_value, reason = "a body is written where it is sent")]
    pub(super) fn post(&self, path: &str, headers: &[(&str, &str)], body: Value) -> Reply {
        self.request("POST", path, headers, &body.to_string())
    }

    /// Logs in; returns the value of `Authorization`, whose token is a canary.
    pub(super) fn log_in(&mut self, name: &'static str, email: &str, password: &str) -> String {
        let session = self.post("/v1/sessions", &[], json!({"email": email, "password": password}));
        let cookie =
            session.text.lines().find_map(|line| line.strip_prefix("set-cookie: undercroft_device="));
        if let Some(device) = cookie.and_then(|cookie| cookie.split(';').next()) {
            self.canaries.entry("known device").or_insert_with(|| device.to_owned());
        }
        let token = session.expect(201)["token"].as_str().unwrap().to_owned();
        self.canaries.insert(name, token.clone());
        format!("Bearer {token}")
    }

    #[track_caller]
    fn assert_none(&self, place: &str, text: &str) {
        if let Some((name, at)) = Forms::of(&self.canaries).find(text) {
            let from = text.floor_char_boundary(at.saturating_sub(300));
            let to = text.ceil_char_boundary((at + 300).min(text.len()));
            panic!("the {name} is in {place}: …{}…", &text[from..to]);
        }
    }

    /// Waits for an e-mail with a token, which is a canary then.
    pub(super) fn token_of(
        &mut self,
        name: &'static str,
        admin: &str,
        address: &str,
        index: usize,
    ) -> String {
        let deadline = Instant::now() + Duration::from_mins(1);
        loop {
            let path = format!("/sandbox/emails?address={address}");
            let list = self.request("GET", &path, &[("authorization", admin)], "").expect(200);
            let bodies = list["items"].as_array().unwrap().iter().rev();
            let mut tokens = bodies.filter_map(|email| token_in(email["body"].as_str().unwrap()));
            if let Some(token) = tokens.nth(index) {
                self.canaries.insert(name, token.clone());
                return token;
            }
            assert!(Instant::now() < deadline, "{list}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until the log contains a text.
    pub(super) fn wait_for(&self, text: &str) {
        wait_for(&self.log, text);
    }

    /// Stops the server, and checks all places.
    pub(super) fn end(self, database: &str) {
        let metrics = read_metrics(&self.metrics, "localhost");
        assert!(metrics.contains("undercroft_http_request_duration_seconds"), "{metrics}");
        self.assert_none("the metrics", &metrics);
        for (place, command, known) in [
            ("the events", &["events", "tail", "--no-follow", "--json", "-n", "1000"][..], "order.placed"),
            ("the audit log", &["audit", "export"][..], "totp.refused"),
        ] {
            let mut reading = undercroft(self.folder.path(), command);
            let read = reading.env("UNDERCROFT_DATABASE", database).output().unwrap();
            assert!(read.status.success(), "{read:?}");
            let text = String::from_utf8(read.stdout).unwrap();
            assert!(text.contains(known), "{text}");
            self.assert_none(place, &text);
        }
        self.server.signal("TERM");
        let log = self.log.clone();
        wait_for(&log, "stopped");
        let log = fs::read_to_string(log).unwrap();
        for level in ["DEBUG", "INFO", "WARN"] {
            assert!(log.contains(level), "{level}");
        }
        self.assert_none("the log", &log);
        let exported = self.exported.lock().unwrap().clone();
        assert!(exported.contains("resourceSpans") && exported.contains("resourceMetrics"), "{exported}");
        self.assert_none("what is exported", &exported);
    }
}

/// A text as it is in a URL.
pub(super) fn escaped(text: &str) -> String {
    text.replace('@', "%40").replace(' ', "%20")
}

/// Waits until a log contains a text; returns the line.
fn wait_for(log: &Path, text: &str) -> String {
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        let lines = fs::read_to_string(log).unwrap();
        if let Some(line) = lines.lines().find(|line| line.contains(text)) {
            return line.to_owned();
        }
        assert!(Instant::now() < deadline, "no {text}: {lines}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
