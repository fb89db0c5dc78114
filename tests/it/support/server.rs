//! A server on a free port, and clients for it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use jiff::SignedDuration;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use undercroft::application::Store;
use undercroft::application::jobs::worker::work;
use undercroft::domain::user::{Role, Session, token_hash};
use undercroft::infrastructure::middleware::BegunSession;
use undercroft::infrastructure::repositories::DatabaseError;
use undercroft::presentation::http::router::Api;
use undercroft::presentation::http::server;
use undercroft::settings::{HttpSettings, OverloadSettings, RateLimitSettings, Settings};

use super::builders::{ProductBuilder, user};
use super::documented::assert_documented;
use super::store::stale_hits;
use super::unique;

/// A running server with its worker; clones share it.
#[derive(Clone)]
pub struct TestServer {
    /// The store that it serves.
    pub store: Store,
    /// The address it listens on.
    pub address: SocketAddr,
    client: Client<HttpConnector, Full<Bytes>>,
    running: Arc<Running>,
}

/// The tasks of a server; they are stopped when this is dropped.
struct Running {
    stop: CancellationToken,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl TestServer {
    /// Serves this store and runs its worker.
    pub async fn start(store: Store) -> Self {
        Self::start_with(store, HttpSettings::default()).await
    }

    /// Serves this store with these settings of the HTTP server, without rate limits and without a limit of the
    /// requests in progress, and runs its worker.
    pub async fn start_with(store: Store, http: HttpSettings) -> Self {
        let rate_limits = RateLimitSettings { enabled: false, ..RateLimitSettings::default() };
        let overload = OverloadSettings { enabled: false, ..OverloadSettings::default() };
        Self::start_with_all(store, Settings { http, rate_limits, overload, ..Settings::default() }).await
    }

    /// Serves this store with these settings, and runs its worker.
    pub async fn start_with_all(store: Store, settings: Settings) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let Api { router, chain } = Api::new(&store, &settings, stop.clone());
        let (context, end) = (store.database().context().clone(), stop.clone());
        let serving = tokio::spawn(async move {
            server::serve(listener, router, chain, &settings.http, context, end).await;
        });
        let working = tokio::spawn(work(store.clone(), stop.clone()));
        let running = Arc::new(Running { stop, tasks: Mutex::new(vec![serving, working]) });
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { store, address, client, running }
    }

    /// Stops the server and its worker, and waits for both.
    pub async fn end(&self) {
        self.running.stop.cancel();
        let tasks = std::mem::take(&mut *self.running.tasks.lock().unwrap());
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(stale_hits(&self.store), 0, "old entries of caches were served");
    }

    /// A client that is not logged in.
    pub fn guest(&self) -> TestClient {
        TestClient { address: self.address, client: self.client.clone(), headers: HeaderMap::new() }
    }

    /// A new customer, logged in.
    pub async fn customer(&self) -> TestClient {
        self.user(Role::Customer, None).await
    }

    /// A new administrator, logged in.
    pub async fn admin(&self) -> TestClient {
        self.user(Role::Admin, None).await
    }

    /// A new administrator with this role of the staff, logged in.
    pub async fn staff(&self, staff_role: &str) -> TestClient {
        self.user(Role::Admin, Some(staff_role)).await
    }

    /// A new user of these roles, logged in.
    async fn user(&self, role: Role, staff_role: Option<&str>) -> TestClient {
        let (token, database) = (unique("token"), self.store.database());
        let user_id = user(&self.store, role).await;
        let created_at = database.context().clock.now();
        let expires_at = created_at + SignedDuration::from_hours(1);
        let token_hash = token_hash(&token);
        let session = Session::new(token_hash, user_id, created_at, expires_at);
        let sessions = self.store.infrastructure.sessions.clone();
        let given = (sessions.clone(), session, staff_role.map(str::to_owned));
        let begun: Result<BegunSession, DatabaseError> = database
            .write(given, async |work, (sessions, session, staff_role)| {
                if let Some(name) = staff_role {
                    let sql = "UPDATE users SET staff_role = $2 WHERE id = $1";
                    work.execute(sql, &[session.user_id.into(), name.into()]).await?;
                }
                sessions.begin(work, session.clone()).await
            })
            .await;
        sessions.keep(&begun.unwrap()).await.unwrap();
        self.guest().with("authorization", &format!("Bearer {token}"))
    }

    /// A product with one variant.
    pub fn product(&self) -> ProductBuilder<'_> {
        ProductBuilder::new(&self.store)
    }
}

/// A client of the server.
#[derive(Clone)]
pub struct TestClient {
    address: SocketAddr,
    client: Client<HttpConnector, Full<Bytes>>,
    headers: HeaderMap,
}

impl TestClient {
    /// A header of its requests.
    pub fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }

    /// The same client with one more header.
    #[must_use]
    pub fn with(&self, name: &'static str, value: &str) -> Self {
        let mut client = self.clone();
        client.headers.insert(name, value.parse().unwrap());
        client
    }

    /// Sends a GET request.
    pub async fn get(&self, path: &str) -> TestResponse {
        self.send(Method::GET, path, None).await
    }

    /// Sends a GET request whose response does not end; returns its body.
    pub async fn open(&self, path: &str) -> Incoming {
        let mut request = Request::new(Full::new(Bytes::new()));
        *request.uri_mut() = format!("http://{}{path}", self.address).parse().unwrap();
        *request.headers_mut() = self.headers.clone();
        let response = self.client.request(request).await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        response.into_body()
    }

    /// Sends a POST request.
    pub async fn post(&self, path: &str, body: Value) -> TestResponse {
        self.send(Method::POST, path, Some(body)).await
    }

    /// Sends a PUT request.
    pub async fn put(&self, path: &str, body: Value) -> TestResponse {
        self.send(Method::PUT, path, Some(body)).await
    }

    /// Sends a PATCH request.
    pub async fn patch(&self, path: &str, body: Value) -> TestResponse {
        self.send(Method::PATCH, path, Some(body)).await
    }

    /// Sends a DELETE request.
    pub async fn delete(&self, path: &str) -> TestResponse {
        self.send(Method::DELETE, path, None).await
    }

    /// Sends a request with a body in JSON, or without any.
    pub async fn send(&self, method: Method, path: &str, body: Option<Value>) -> TestResponse {
        match body {
            Some(body) => {
                let typed = self.with("content-type", "application/json");
                typed.raw(method, path, body.to_string()).await
            }
            None => self.raw(method, path, "").await,
        }
    }

    /// Sends a request with these bytes as its body.
    pub async fn raw(&self, method: Method, path: &str, body: impl Into<Bytes>) -> TestResponse {
        let what = format!("{method} {path}");
        let called = method.clone();
        let mut request = Request::new(Full::new(body.into()));
        *request.method_mut() = method;
        *request.uri_mut() = format!("http://{}{path}", self.address).parse().unwrap();
        *request.headers_mut() = self.headers.clone();
        let response = self.client.request(request).await.unwrap_or_else(|error| panic!("{what}: {error:?}"));
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        assert_documented(&called, path, head.status.as_u16(), &body);
        TestResponse { what, status: head.status.as_u16(), headers: head.headers, body }
    }
}

/// The response of the server.
#[derive(Debug, Clone)]
pub struct TestResponse {
    /// The method and path of the request.
    pub what: String,
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The bytes of the body.
    pub body: Bytes,
}

impl TestResponse {
    /// Asserts the status and returns the body, `null` if it is empty.
    #[track_caller]
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self}");
        if self.body.is_empty() { Value::Null } else { self.json() }
    }

    /// Asserts the status and a problem document, and returns its code.
    #[track_caller]
    pub fn problem(&self, status: u16) -> String {
        let body = self.expect(status);
        assert_eq!(self.header("content-type"), "application/problem+json", "{self}");
        assert_eq!(body["status"], status, "{self}");
        assert_eq!(body["type"], format!("/problems/{}", body["code"].as_str().unwrap()), "{self}");
        body["code"].as_str().unwrap().to_owned()
    }

    /// Asserts that the request was refused as invalid; returns the location and code of each fault, sorted.
    #[track_caller]
    pub fn faults(&self) -> Vec<(String, String)> {
        assert_eq!(self.problem(422), "validation", "{self}");
        let body = self.json();
        let fault = |fault: &Value| {
            let location = fault.get("pointer").or(fault.get("parameter")).or(fault.get("header")).unwrap();
            [location, &fault["code"]].map(|text| text.as_str().unwrap().to_owned()).into()
        };
        let mut faults: Vec<_> = body["errors"].as_array().unwrap().iter().map(fault).collect();
        faults.sort();
        faults
    }

    /// The body in JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self}"))
    }

    /// A header, or an empty text if it is missing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl std::fmt::Display for TestResponse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} → {}: {}", self.what, self.status, String::from_utf8_lossy(&self.body))
    }
}
