//! A TCP proxy whose connections are cut, slowed down or left half-open.

use std::io;
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
    /// It cuts connections and refuses new ones.
    Cut,
}

/// A proxy in front of an address.
pub(crate) struct Proxy {
    line: watch::Sender<Line>,
    accepting: JoinHandle<()>,
    connections: Arc<Mutex<JoinSet<()>>>,
}

impl Proxy {
    /// Starts a proxy in front of the server of a URL; returns it with the URL that leads through it.
    pub(crate) async fn before(url: &str) -> io::Result<(Self, String)> {
        // a user and a password may be before the address
        let server = url.split(['/', '@', '?']).rfind(|part| part.contains(':') && !part.ends_with(':'));
        let server = server.ok_or_else(|| io::Error::other("the URL has no port"))?.to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let through = url.replacen(&server, &address.to_string(), 1);

        let (line, state) = watch::channel(Line::Open);
        let connections = Arc::new(Mutex::new(JoinSet::new()));
        let accepting = tokio::spawn(accept(listener, server, state, Arc::clone(&connections)));
        Ok((Self { line, accepting, connections }, through))
    }

    /// Changes what the proxy does with connections, those that are open included.
    pub(crate) fn set(&self, line: Line) {
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
    line: watch::Receiver<Line>,
    connections: Arc<Mutex<JoinSet<()>>>,
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
        let (client_reads, client_writes) = client.into_split();
        let (server_reads, server_writes) = server.into_split();
        let (there, back) = (line.clone(), line.clone());
        let mut connections = connections.lock().unwrap_or_else(PoisonError::into_inner);
        while connections.try_join_next().is_some() {}
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

/// Passes on what one side sends, with changes, until it closes.
async fn forward(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut line: watch::Receiver<Line>,
    change: impl Fn(&mut [u8]),
) {
    let mut buffer = vec![0; BUFFER];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        change(&mut buffer[..length]);
        let state = *line.borrow();
        match state {
            Line::Slow(delay) => tokio::time::sleep(delay).await,
            Line::Silent => {
                if line.wait_for(|line| *line != Line::Silent).await.is_err() {
                    return;
                }
            }
            Line::Open | Line::Cut => {}
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
