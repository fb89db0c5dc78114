//! A TCP proxy whose connections are cut, slowed down, left half-open or lost; before Redis, also one that responds in
//! its place.

use std::collections::BTreeSet;
use std::future::pending;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// The size of the buffer of one direction of a connection.
const BUFFER: usize = 1 << 16;

/// What the proxy does with connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Line {
    /// It passes everything on.
    Open,
    /// It passes everything on after this time.
    Slow(Duration),
    /// It accepts and keeps connections, and passes nothing on.
    Silent,
    /// It keeps the connections that are open, and passes nothing on from now on, whatever it does later; it passes
    /// everything on for new ones. So does a network that forgot connections.
    Lost,
    /// It cuts connections and refuses new ones.
    Cut,
    /// Only before Redis: it responds to each SET that there is no memory left, and passes on the rest.
    Full,
    /// Only before Redis: it responds with bytes that mean nothing, and with some that break the protocol.
    Garbage,
}

/// A proxy in front of an address.
pub(crate) struct Proxy {
    line: watch::Sender<Line>,
    /// How often connections were lost.
    losses: Arc<AtomicU64>,
    accepting: JoinHandle<()>,
    connections: Arc<Mutex<JoinSet<()>>>,
    server: String,
    /// The keys that were set through it, if it is before Redis.
    keys: Keys,
}

/// Keys of Redis.
type Keys = Arc<Mutex<BTreeSet<Vec<u8>>>>;

/// What the proxy does with one connection.
#[derive(Clone)]
struct OwnLine {
    line: watch::Receiver<Line>,
    losses: Arc<AtomicU64>,
    /// How often connections had been lost when this one was opened.
    before: u64,
}

/// What the proxy knows of what it passes on.
#[derive(Clone)]
enum Protocol {
    /// Bytes of any protocol.
    Any,
    /// The commands and replies of Redis, and the keys that were set.
    Redis(Keys),
}

impl Proxy {
    /// Starts a proxy in front of the server of a URL; returns it with the URL that leads through it.
    pub(crate) async fn before(url: &str) -> io::Result<(Self, String)> {
        Self::with(url, |_| Protocol::Any).await
    }

    /// Starts a proxy in front of the Redis of a URL, as [`Proxy::before`] does.
    pub(crate) async fn before_redis(url: &str) -> io::Result<(Self, String)> {
        Self::with(url, Protocol::Redis).await
    }

    async fn with(url: &str, protocol: impl FnOnce(Keys) -> Protocol) -> io::Result<(Self, String)> {
        // a user and a password may be before the address
        let server = url.split(['/', '@', '?']).rfind(|part| part.contains(':') && !part.ends_with(':'));
        let server = server.ok_or_else(|| io::Error::other("the URL has no port"))?.to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let through = url.replacen(&server, &address.to_string(), 1);

        let (line, state) = watch::channel(Line::Open);
        let connections = Arc::new(Mutex::new(JoinSet::new()));
        let keys = Keys::default();
        let protocol = protocol(Arc::clone(&keys));
        let losses = Arc::<AtomicU64>::default();
        let state = (state, Arc::clone(&losses));
        let accepting =
            tokio::spawn(accept(listener, server.clone(), state, (Arc::clone(&connections), protocol)));
        Ok((Self { line, losses, accepting, connections, server, keys }, through))
    }

    /// Removes what was set through it from a Redis without TLS and password, as one that lost it; nothing else.
    pub(crate) async fn forget(&self) -> io::Result<()> {
        let keys = std::mem::take(&mut *self.keys.lock().unwrap_or_else(PoisonError::into_inner));
        let mut redis = Messages::new(TcpStream::connect(&self.server).await?);
        for key in keys {
            redis.send(&command(&[b"DEL", &key])).await?;
            redis.next().await?;
        }
        Ok(())
    }

    /// Changes what the proxy does with connections, those that are open included.
    pub(crate) fn set(&self, line: Line) {
        if line == Line::Lost {
            self.losses.fetch_add(1, Relaxed);
        }
        self.line.send_replace(line);
        if line == Line::Cut {
            self.cut();
        }
    }

    /// Cuts the open connections; new ones are accepted as before.
    pub(crate) fn cut(&self) {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

/// Accepts connections, and connects each to the server.
async fn accept(
    listener: TcpListener,
    server: String,
    (line, losses): (watch::Receiver<Line>, Arc<AtomicU64>),
    (connections, protocol): (Arc<Mutex<JoinSet<()>>>, Protocol),
) {
    let port = server.rsplit(':').next().and_then(|port| port.parse().ok());
    let own_port = listener.local_addr().map(|address| address.port());
    let (Some(port), Ok(own_port)) = (port, own_port) else { return };
    while let Ok((client, _)) = listener.accept().await {
        if *line.borrow() == Line::Cut {
            continue;
        }
        let Ok(server) = TcpStream::connect(&server).await else { continue };
        // without it, small messages wait for acknowledgements
        if client.set_nodelay(true).and(server.set_nodelay(true)).is_err() {
            continue;
        }
        let before = losses.load(Relaxed);
        let line = OwnLine { line: line.clone(), losses: Arc::clone(&losses), before };
        let mut connections = connections.lock().unwrap_or_else(PoisonError::into_inner);
        while connections.try_join_next().is_some() {}
        if let Protocol::Redis(keys) = &protocol {
            connections.spawn(pass_commands(client, server, line, Arc::clone(keys)));
            continue;
        }
        let (client_reads, client_writes) = client.into_split();
        let (server_reads, server_writes) = server.into_split();
        let (there, back) = (line.clone(), line);
        connections.spawn(async move {
            tokio::select! {
                () = forward(client_reads, server_writes, there, |_| {}) => {}
                () = forward(server_reads, client_writes, back, |sent| move_kafka(sent, port, own_port)) => {}
            }
        });
    }
}

/// Replaces the address of a broker of Kafka in what it sends. Clients connect to the addresses that the broker names:
/// the host as a text, and the port as a number of four bytes.
pub(crate) fn move_kafka(sent: &mut [u8], from: u16, to: u16) {
    let address = |port: u16| [b"127.0.0.1".as_slice(), &u32::from(port).to_be_bytes()].concat();
    let (from, to) = (address(from), address(to));
    let found: Vec<_> = (0..sent.len()).filter(|&start| sent[start..].starts_with(&from)).collect();
    for start in found {
        sent[start..start + to.len()].copy_from_slice(&to);
    }
}

impl OwnLine {
    /// Waits as long as the line delays what arrives now, without end if the connection was lost; returns its state
    /// then, or `None` if the proxy has ended.
    async fn waited(&mut self) -> Option<Line> {
        let state = *self.line.borrow();
        match state {
            Line::Slow(delay) => tokio::time::sleep(delay).await,
            Line::Silent => {
                self.line.wait_for(|line| *line != Line::Silent).await.ok()?;
            }
            Line::Open | Line::Lost | Line::Cut | Line::Full | Line::Garbage => {}
        }
        if self.losses.load(Relaxed) > self.before {
            pending::<()>().await;
        }
        Some(state)
    }
}

/// Passes on what one side sends, with changes, until it closes.
async fn forward(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut line: OwnLine,
    change: impl Fn(&mut [u8]),
) {
    let mut buffer = vec![0; BUFFER];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        change(&mut buffer[..length]);
        if line.waited().await.is_none() {
            return;
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}

/// Passes commands on to Redis, one after the other with its reply, or responds in its place, until a side closes.
async fn pass_commands(client: TcpStream, server: TcpStream, mut line: OwnLine, keys: Keys) {
    const FULL: &[u8] = b"-OOM command not allowed when used memory > 'maxmemory'.\r\n";
    const GARBAGE: [&[u8]; 2] = [b"$12\r\nnot an entry\r\n", b"?!\xff\x00 nothing of Redis\r\n"];
    let (mut commands, mut redis) = (Messages::new(client), Messages::new(server));
    for number in 0_usize.. {
        let Ok(command) = commands.next().await else { return };
        let Some(state) = line.waited().await else { return };
        let set = set_key(&command);
        let reply = match state {
            Line::Full if set.is_some() => FULL.to_vec(),
            Line::Garbage => GARBAGE[number / 4 % GARBAGE.len()].to_vec(),
            _ => {
                keys.lock().unwrap_or_else(PoisonError::into_inner).extend(set);
                let Ok(()) = redis.send(&command).await else { return };
                let Ok(reply) = redis.next().await else { return };
                reply
            }
        };
        if commands.send(&reply).await.is_err() {
            return;
        }
    }
}

/// One side of a connection to Redis, by whole messages (RESP2).
///
/// <https://redis.io/docs/latest/develop/reference/protocol-spec/>
struct Messages {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Messages {
    fn new(stream: TcpStream) -> Self {
        Self { stream, received: Vec::new() }
    }

    /// Returns the next message of the side.
    async fn next(&mut self) -> io::Result<Vec<u8>> {
        loop {
            if let Some(length) = value_length(&self.received) {
                return Ok(self.received.drain(..length).collect());
            }
            if self.stream.read_buf(&mut self.received).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    async fn send(&mut self, message: &[u8]) -> io::Result<()> {
        self.stream.write_all(message).await
    }
}

/// Returns the length of the first value of a text of the protocol; `None` if it is not whole.
fn value_length(bytes: &[u8]) -> Option<usize> {
    let (line, _) = first_line(bytes)?;
    let count =
        std::str::from_utf8(&line[1..line.len() - 2]).ok().and_then(|count| count.parse::<usize>().ok());
    match (line[0], count) {
        (b'$', Some(length)) => Some(line.len() + length + 2).filter(|end| bytes.len() >= *end),
        (b'*', Some(count)) => {
            (0..count).try_fold(line.len(), |end, _| Some(end + value_length(&bytes[end..])?))
        }
        // a line, or a number below zero: there is none
        _ => Some(line.len()),
    }
}

/// Returns the key of a command that sets one.
fn set_key(command: &[u8]) -> Option<Vec<u8>> {
    let (_, arguments) = first_line(command)?;
    let (name, arguments) = argument(arguments)?;
    let (key, _) = argument(arguments)?;
    name.eq_ignore_ascii_case(b"SET").then(|| key.to_vec())
}

/// Returns the first argument, and the bytes after it.
fn argument(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (value, rest) = bytes.split_at(value_length(bytes)?);
    let (_, text) = first_line(value)?;
    Some((text.strip_suffix(b"\r\n")?, rest))
}

/// Returns the first line with its end, which is at least one byte long without it, and the bytes after it.
fn first_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.windows(2).position(|end| end == b"\r\n").filter(|length| *length > 0)? + 2;
    Some(bytes.split_at(end))
}

/// Returns a command with arguments.
fn command(arguments: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", arguments.len()).into_bytes();
    for argument in arguments {
        bytes.extend(format!("${}\r\n", argument.len()).into_bytes());
        bytes.extend_from_slice(argument);
        bytes.extend(b"\r\n");
    }
    bytes
}
