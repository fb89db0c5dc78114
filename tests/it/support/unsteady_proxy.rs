//! A TCP proxy whose connections are cut, refused, slowed down or left half-open when a test demands it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What the proxy does with connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
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
pub struct UnsteadyProxy {
    line: watch::Sender<Line>,
    accepting: JoinHandle<()>,
    connections: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

impl UnsteadyProxy {
    /// Starts a proxy in front of the server of a URL; returns it with the URL that leads through it.
    pub async fn before(url: &str) -> (Self, String) {
        // a user and a password may be before the address
        let server = url.rsplit(['/', '@']).find(|part| part.contains(':')).unwrap();
        let server = server.to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (from, to) = (server.rsplit(':').next().unwrap().parse().unwrap(), address.port());
        let proxied = url.replacen(&server, &address.to_string(), 1);
        let (line, state) = watch::channel(Line::Open);
        let connections = Arc::new(Mutex::new(Vec::new()));
        let opened = Arc::clone(&connections);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if *state.borrow() == Line::Cut {
                    continue;
                }
                let Ok(server) = TcpStream::connect(&server).await else { continue };
                let (client_reads, client_writes) = client.into_split();
                let (server_reads, server_writes) = server.into_split();
                let (there, back) = (state.clone(), state.clone());
                opened.lock().unwrap().push(tokio::spawn(async move {
                    tokio::select! {
                        () = forward(client_reads, server_writes, there, |_| {}) => {}
                        () = forward(server_reads, client_writes, back, |sent| move_kafka(sent, from, to)) => {}
                    }
                }));
            }
        });
        (Self { line, accepting, connections }, proxied)
    }

    /// Changes what the proxy does with connections, those that are open included.
    pub fn set(&self, line: Line) {
        self.line.send_replace(line);
        if line == Line::Cut {
            self.cut();
        }
    }

    /// Cuts the open connections; new ones are accepted as before.
    pub fn cut(&self) {
        for connection in self.connections.lock().unwrap().drain(..) {
            connection.abort();
        }
    }
}

impl Drop for UnsteadyProxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

/// Replaces the address of a broker of Kafka in what it sends. Clients connect to the addresses that the broker names:
/// the host as a text, and the port as a number of four bytes.
pub(super) fn move_kafka(sent: &mut [u8], from: u16, to: u16) {
    let address = |port: u16| [b"127.0.0.1".as_slice(), &u32::from(port).to_be_bytes()].concat();
    let (from, to) = (address(from), address(to));
    let found: Vec<_> = (0..sent.len()).filter(|&start| sent[start..].starts_with(&from)).collect();
    for start in found {
        sent[start..start + to.len()].copy_from_slice(&to);
    }
}

/// Passes on what one side sends, with changes, until it closes.
async fn forward(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut line: watch::Receiver<Line>,
    change: impl Fn(&mut [u8]),
) {
    let mut buffer = vec![0; 1 << 16];
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
