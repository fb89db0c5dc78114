//! A connection of few instructions for loads that could otherwise not be greater than the server's capacity: it sends
//! requests as they are, and looks in responses only for what a test needs.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A connection to a server, opened with the first request and after an error.
pub(super) struct PlainConnection {
    address: SocketAddr,
    stream: Option<TcpStream>,
    received: Vec<u8>,
}

/// A response, or none: status 0.
pub(super) struct PlainResponse<'a> {
    /// The HTTP status.
    pub status: u16,
    body: &'a [u8],
}

impl PlainConnection {
    /// Returns a connection that is not open.
    pub(super) fn new(address: SocketAddr) -> Self {
        Self { address, stream: None, received: Vec::new() }
    }

    /// Sends a request and waits for the response, which must name its length.
    pub(super) async fn send(&mut self, request: &[u8]) -> PlainResponse<'_> {
        let Some((status, head)) = self.exchange(request).await else {
            self.stream = None;
            return PlainResponse { status: 0, body: &[] };
        };
        PlainResponse { status, body: &self.received[head..] }
    }

    /// Returns the status and the length of the head.
    async fn exchange(&mut self, request: &[u8]) -> Option<(u16, usize)> {
        let stream = if let Some(stream) = &mut self.stream {
            stream
        } else {
            let stream = TcpStream::connect(self.address).await.ok()?;
            stream.set_nodelay(true).ok()?;
            self.stream.insert(stream)
        };
        stream.write_all(request).await.ok()?;
        self.received.clear();
        loop {
            if stream.read_buf(&mut self.received).await.ok()? == 0 {
                return None;
            }
            if let Some((status, head, length)) = parse(&self.received)
                && self.received.len() >= head + length
            {
                return Some((status, head));
            }
        }
    }
}

impl PlainResponse<'_> {
    /// Returns the first id in the body; empty if there is none.
    pub(super) fn id(&self) -> String {
        let text = String::from_utf8_lossy(self.body);
        let id = text.split_once(r#""id":""#).and_then(|(_, rest)| rest.split_once('"'));
        id.map(|(id, _)| id.to_owned()).unwrap_or_default()
    }
}

/// Returns the status, the length of the head and that of the body, if the head is whole.
fn parse(received: &[u8]) -> Option<(u16, usize, usize)> {
    let head = received.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&received[..head]).ok()?;
    let status = text.get(9..12)?.parse().ok()?;
    let is_length = |line: &&str| line.len() > 15 && line[..15].eq_ignore_ascii_case("content-length:");
    let length = text.lines().find(is_length).map_or(Some(0), |line| line[15..].trim().parse().ok())?;
    Some((status, head, length))
}
