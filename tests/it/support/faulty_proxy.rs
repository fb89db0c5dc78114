//! Connections to PostgreSQL that are refused, or that close in the middle of a statement.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_postgres::config::Host;

/// A condition that is checked before each message.
type Condition = Arc<dyn Fn() -> BoxFuture<'static, bool> + Send + Sync>;

/// The faults of the connections of a proxy.
#[derive(Clone, Default)]
struct Faults {
    /// The text of the message whose response is lost.
    fatal: Arc<Mutex<Option<&'static str>>>,
    /// When all connections are refused.
    refused_when: Arc<Mutex<Option<Condition>>>,
    /// The SQLSTATE with which connections are refused.
    refusal: Arc<Mutex<Option<&'static str>>>,
    /// How many connections were refused.
    refused: Arc<AtomicUsize>,
}

impl Faults {
    /// Returns whether connections are refused from now on, or were before.
    async fn refuse(&self) -> bool {
        let condition = self.refused_when.lock().unwrap().clone();
        if let Some(condition) = condition
            && condition().await
        {
            self.refused_when.lock().unwrap().take();
            *self.refusal.lock().unwrap() = Some("57P03");
        }
        self.refusal.lock().unwrap().is_some()
    }
}

/// A TCP proxy in front of PostgreSQL whose connections fail when a test demands it.
pub struct FaultyProxy {
    accepting: JoinHandle<()>,
    connections: Arc<Mutex<Vec<JoinHandle<()>>>>,
    faults: Faults,
}

impl FaultyProxy {
    /// Starts a proxy in front of the PostgreSQL server of `url`; returns it with the URL that leads through it.
    pub async fn before(url: &str) -> (Self, String) {
        let (listener, address, proxied) = listen_before(url).await;
        let connections = Arc::new(Mutex::new(Vec::new()));
        let faults = Faults::default();
        let (opened, of_connections) = (Arc::clone(&connections), faults.clone());
        let accepting = tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let code = *of_connections.refusal.lock().unwrap();
                if let Some(code) = code {
                    of_connections.refused.fetch_add(1, Ordering::Relaxed);
                    refuse(&mut client, code).await;
                    continue;
                }
                let server = TcpStream::connect(&address).await.unwrap();
                let connection = tokio::spawn(forward(client, server, of_connections.clone()));
                opened.lock().unwrap().push(connection);
            }
        });
        (Self { accepting, connections, faults }, proxied)
    }

    /// Closes all connections and refuses new ones, like a server that was stopped.
    pub fn stop(&self) {
        self.accepting.abort();
        self.close();
    }

    fn close(&self) {
        for connection in self.connections.lock().unwrap().drain(..) {
            connection.abort();
        }
    }

    /// Closes all connections and responds to new ones with an error of this SQLSTATE, like a server whose
    /// administrator does not let the store in.
    pub fn refuse(&self, code: &'static str) {
        *self.faults.refusal.lock().unwrap() = Some(code);
        self.close();
    }

    /// Returns how many connections were refused with an error.
    pub fn refused(&self) -> usize {
        self.faults.refused.load(Ordering::Relaxed)
    }

    /// Closes all connections and refuses new ones as soon as a condition is true, which is checked before each message
    /// is passed on.
    pub fn refuse_when<F: Future<Output = bool> + Send + 'static>(
        &self,
        condition: impl Fn() -> F + Send + Sync + 'static,
    ) {
        let condition: Condition = Arc::new(move || condition().boxed());
        *self.faults.refused_when.lock().unwrap() = Some(condition);
    }

    /// Lets connections in again.
    pub fn let_in(&self) {
        *self.faults.refusal.lock().unwrap() = None;
    }

    /// Passes the next message that contains `text` on to the server, waits for its response, and closes the connection
    /// instead of passing the response on.
    pub fn lose_response_to(&self, text: &'static str) {
        *self.faults.fatal.lock().unwrap() = Some(text);
    }
}

impl Drop for FaultyProxy {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Passes messages on in both directions until a side closes, a response is lost or connections are refused.
async fn forward(mut client: TcpStream, mut server: TcpStream, faults: Faults) {
    let (mut sent, mut received) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        tokio::select! {
            read = client.read(&mut sent) => {
                let Ok(length @ 1..) = read else { return };
                let message = &sent[..length];
                if faults.refuse().await {
                    return;
                }
                let is_fatal = faults.fatal.lock().unwrap().take_if(|text| contains(message, text)).is_some();
                if server.write_all(message).await.is_err() {
                    return;
                }
                if is_fatal {
                    let _ = server.read(&mut received).await;
                    return;
                }
            }
            read = server.read(&mut received) => {
                let Ok(length @ 1..) = read else { return };
                if faults.refuse().await {
                    return;
                }
                if client.write_all(&received[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// Responds to the first message of a client with an error.
async fn refuse(client: &mut TcpStream, code: &str) {
    let _ = client.read(&mut [0; 1024]).await;
    let fields = format!("SFATAL\0VFATAL\0C{code}\0Mrefused on purpose\0\0");
    let length = u32::try_from(fields.len() + 4).unwrap().to_be_bytes();
    let message = [b"E", &length[..], fields.as_bytes()].concat();
    let _ = client.write_all(&message).await;
}

fn contains(message: &[u8], text: &str) -> bool {
    message.windows(text.len()).any(|window| window == text.as_bytes())
}

/// Listens for a proxy in front of the PostgreSQL server of `url`. Returns the listener, the address of the server, and
/// the URL that leads through the proxy.
pub(super) async fn listen_before(url: &str) -> (TcpListener, String, String) {
    let config: tokio_postgres::Config = url.parse().unwrap();
    let [Host::Tcp(host)] = config.get_hosts() else { panic!("no TCP host in {url}") };
    let address = format!("{host}:{}", config.get_ports().first().unwrap_or(&5432));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let proxied = url.replacen(&address, &listener.local_addr().unwrap().to_string(), 1);
    assert_ne!(proxied, url, "the host and the port of {url}");
    (listener, address, proxied)
}
