//! A server in its own process: start it, read its CPU and memory, stop it.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};

use crate::Outcome;
use crate::load::Caller;

/// The clock ticks of a process are hundredths of a second on every Linux.
const TICK: Duration = Duration::from_millis(10);

/// A running server; it is killed when it is dropped.
pub(crate) struct Server {
    child: Child,
    /// The address that it listens on.
    pub address: SocketAddr,
    /// Kept open, so that the server can write to it.
    _stdout: BufReader<ChildStdout>,
}

/// A quota that is never reached.
pub(crate) const UNREACHED: &str = "1000000/second";
/// The settings by which every request is counted and none is refused: its clients have one address.
pub(crate) const LIMITS: [(&str, &str); 4] = [
    ("RATE_LIMITS__GENERAL", UNREACHED),
    ("RATE_LIMITS__USER", UNREACHED),
    ("RATE_LIMITS__NEW_CART", UNREACHED),
    ("RATE_LIMITS__CHECKOUT", UNREACHED),
];
/// The setting by which requests are counted for metrics.
pub(crate) const COUNTED: (&str, &str) = ("METRICS__LISTEN", "127.0.0.1:0");

impl Server {
    /// Starts the store in `folder`, on the database at `url` or on its default, with limits that are not reached.
    pub(crate) async fn store(folder: &Path, url: Option<&str>) -> Outcome<Self> {
        Self::store_with(folder, url, &LIMITS).await
    }

    /// Starts the store as [`store`](Self::store) with other settings, each a name without the prefix and a value.
    pub(crate) async fn store_with(
        folder: &Path,
        url: Option<&str>,
        settings: &[(&str, &str)],
    ) -> Outcome<Self> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_undercroft"));
        command.args(["serve", "--listen", "127.0.0.1:0"]).current_dir(folder);
        command.envs(settings.iter().map(|(name, value)| (format!("UNDERCROFT_{name}"), value)));
        if let Some(url) = url {
            command.env("UNDERCROFT_DATABASE", url);
        }
        Self::start(command).await
    }

    /// Starts bare axum, which responds with the bytes of `file`.
    pub(crate) async fn bare(file: &Path) -> Outcome<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args([OsStr::new("--bare"), file.as_os_str()]);
        Self::start(command).await
    }

    /// Starts bare axum with the bytes of `file` in the middleware of the store at `url`.
    pub(crate) async fn bare_in_chain(file: &Path, url: &str) -> Outcome<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args([OsStr::new("--bare"), file.as_os_str(), OsStr::new("--chain"), OsStr::new(url)]);
        Self::start(command).await
    }

    /// Starts the server of the store at `url`, which refuses each request for overload.
    pub(crate) async fn refusing(url: &str) -> Outcome<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--refuse", url]);
        Self::start(command).await
    }

    async fn start(mut command: Command) -> Outcome<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut child = command.spawn()?;
        let mut stdout = BufReader::new(child.stdout.take().ok_or("no standard output")?);
        let mut line = String::new();
        while stdout.read_line(&mut line).await? > 0 {
            if let Some(address) = line.trim_end().strip_prefix("listening on http://") {
                return Ok(Self { child, address: address.parse()?, _stdout: stdout });
            }
            line.clear();
        }
        Err("the server that was started does not print its address".into())
    }

    /// The time from its start until it reports that it is ready.
    pub(crate) async fn time_to_first_response(folder: &Path) -> Outcome<(Self, Duration)> {
        let began = Instant::now();
        let server = Self::store(folder, None).await?;
        Caller::new(server.address).get("/health/ready").await?;
        Ok((server, began.elapsed()))
    }

    /// The CPU time used so far, in user and kernel mode.
    pub(crate) fn cpu(&self) -> Outcome<Duration> {
        let id = self.child.id().ok_or("the server has ended")?;
        cpu(&id.to_string())
    }

    /// The memory in MB as the kernel counts it: resident, and private.
    pub(crate) fn memory(&self) -> Outcome<(f64, f64)> {
        let id = self.child.id().ok_or("the server has ended")?;
        memory(&id.to_string())
    }

    /// Stops the server and waits for its end.
    pub(crate) async fn end(mut self) -> Outcome<()> {
        Ok(self.child.kill().await?)
    }
}

/// The CPU time used by this process so far.
pub(crate) fn own_cpu() -> Outcome<Duration> {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Ok(Duration::new(used.tv_sec.try_into()?, used.tv_nsec.try_into()?))
}

/// The memory of this process in MB, private.
pub(crate) fn own_memory() -> Outcome<f64> {
    Ok(memory("self")?.1)
}

/// The memory of a process in MB as the kernel counts it: resident, and private.
fn memory(process: &str) -> Outcome<(f64, f64)> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let field = |name: &str| -> Outcome<f64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).ok_or("no such field")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
    };
    Ok((field("VmRSS:")?, field("RssAnon:")?))
}

fn cpu(process: &str) -> Outcome<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    // fields 14 and 15 are user and kernel time; the name in parentheses before them may contain anything
    let (_, fields) = stat.rsplit_once(')').ok_or("no such field")?;
    let ticks: Vec<u32> =
        fields.split_whitespace().skip(11).take(2).map(str::parse).collect::<Result<_, _>>()?;
    Ok(TICK * ticks.iter().sum())
}
