//! The state that handlers share.

use std::convert::Infallible;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use axum::extract::FromRequestParts;
use http::request::Parts;
use tokio_util::sync::CancellationToken;

use super::actor::actor_of;
use super::open_streams::OpenStreams;
use crate::application::Store;
use crate::application::readiness::Readiness;
use crate::domain::permission::Permission;
use crate::infrastructure::cache::Form;
use crate::infrastructure::events::EventFeed;
use crate::infrastructure::exceptions::Failure;
use crate::settings::{CookieAttributes, HttpSettings, LoggedAddress, Sandbox, Settings};

/// The state of every handler: `State(app): State<AppState>`, then `&app.store`. Clones share everything.
#[derive(Clone)]
pub struct AppState(Arc<App>);

/// The extractor of the state. The transactions of the store in [`AppState`] record the actor of the request in the
/// audit log; a handler cannot take axum's extractor, which knows no actor.
#[derive(Clone)]
pub struct State<S>(pub S);

/// The state of a service whose handlers take it by [`State`].
pub trait ServiceState: Clone + Send + Sync {
    /// Returns the state for the handler of a request.
    #[must_use]
    fn for_request(&self, _: &Parts) -> Self {
        self.clone()
    }
}

/// The store as an actor uses it, with what all requests share.
pub struct App {
    /// The store.
    pub store: Store,
    shared: Arc<Shared>,
}

/// The HTTP settings behind the routes, and what the process has once.
pub struct Shared {
    /// The settings of the HTTP server.
    pub http: HttpSettings,
    /// The attributes of cookies.
    pub cookies: CookieAttributes,
    /// What the log shows of the addresses of clients.
    pub client_address: LoggedAddress,
    /// Whether the store has the sandbox only if no other machine reaches it.
    pub has_local_sandbox: bool,
    /// Checks whether the store can write.
    pub readiness: Readiness,
    /// Cancelled when the server stops: responses that do not end by themselves end then.
    pub stop: CancellationToken,
    /// The open streams of events.
    pub(super) streams: OpenStreams,
    /// The events that the streams send.
    pub(super) feed: EventFeed,
    permissions: Vec<(Permission, String)>,
    generate_document: fn() -> Result<Form, Failure>,
    document: OnceLock<Result<Form, Failure>>,
}

impl Shared {
    /// Returns the operations that require a permission, each with the permission and its id.
    pub(super) fn permissions(&self) -> &[(Permission, String)] {
        &self.permissions
    }

    /// Returns the OpenAPI document as it is served, which the first request for it generates.
    pub(super) fn openapi_document(&self) -> Result<Form, Failure> {
        self.document.get_or_init(self.generate_document).clone()
    }
}

impl AppState {
    /// Returns the state for a store, with these settings, the operations that require a permission, and the function
    /// that generates the OpenAPI document.
    pub(super) fn new(
        store: Store,
        settings: &Settings,
        stop: CancellationToken,
        permissions: Vec<(Permission, String)>,
        generate_document: fn() -> Result<Form, Failure>,
    ) -> Self {
        let shared = Shared {
            feed: EventFeed::new(store.database().clone()),
            http: settings.http.clone(),
            cookies: settings.cookies(),
            client_address: settings.log.client_address,
            has_local_sandbox: settings.payments.sandbox == Sandbox::Local,
            stop,
            streams: OpenStreams::default(),
            readiness: Readiness::default(),
            permissions,
            generate_document,
            document: OnceLock::new(),
        };
        Self(Arc::new(App { store, shared: Arc::new(shared) }))
    }
}

/// The transactions of its store record the actor of the request.
impl ServiceState for AppState {
    fn for_request(&self, parts: &Parts) -> Self {
        let Some(actor) = actor_of(parts, self.client_address) else { return self.clone() };
        let (store, shared) = (self.store.acting(Arc::new(actor)), Arc::clone(&self.shared));
        Self(Arc::new(App { store, shared }))
    }
}

impl<S: ServiceState> FromRequestParts<S> for State<S> {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        Ok(Self(state.for_request(parts)))
    }
}

impl Deref for App {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.shared
    }
}

impl Deref for AppState {
    type Target = App;

    fn deref(&self) -> &App {
        &self.0
    }
}
