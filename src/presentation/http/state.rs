//! The state that handlers share.

use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::application::Store;
use crate::application::readiness::Readiness;
use crate::infrastructure::events::EventFeed;
use crate::settings::{ClientAddress, HttpSettings, Settings};

/// The most streams of events at the same time.
const STREAMS: usize = 32;

/// The state of every handler: `State(app): State<AppState>`, then `&app.store`. Clones share everything.
#[derive(Clone)]
pub struct AppState(Arc<App>);

/// The store and the HTTP settings behind the routes.
pub struct App {
    /// The store.
    pub store: Store,
    /// The limits of requests and the attributes of cookies.
    pub http: HttpSettings,
    /// What the log shows of the addresses of clients.
    pub client_address: ClientAddress,
    /// Checks whether the store can write.
    pub readiness: Readiness,
    /// Cancelled when the server stops: responses that do not end by themselves end then.
    pub stop: CancellationToken,
    /// The streams of events that may still begin.
    pub(super) streams: Arc<Semaphore>,
    /// The events that the streams send.
    pub(super) feed: EventFeed,
    generate_document: fn() -> Vec<u8>,
    document: OnceLock<Bytes>,
}

impl App {
    /// Returns the OpenAPI document, which the first request for it generates.
    pub(super) fn openapi_document(&self) -> Bytes {
        self.document.get_or_init(|| (self.generate_document)().into()).clone()
    }
}

impl AppState {
    /// Returns the state for a store, with these settings and the function that generates the OpenAPI document.
    pub(super) fn new(
        store: Store,
        settings: &Settings,
        stop: CancellationToken,
        generate_document: fn() -> Vec<u8>,
    ) -> Self {
        Self(Arc::new(App {
            feed: EventFeed::new(store.database().clone()),
            store,
            http: settings.http.clone(),
            client_address: settings.log.client_address,
            stop,
            streams: Arc::new(Semaphore::new(STREAMS)),
            readiness: Readiness::default(),
            generate_document,
            document: OnceLock::new(),
        }))
    }
}

impl Deref for AppState {
    type Target = App;

    fn deref(&self) -> &App {
        &self.0
    }
}
