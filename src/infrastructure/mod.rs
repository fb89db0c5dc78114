//! The infrastructure rooms, and [`Infrastructure`], which assembles them.

pub mod adapters;
pub mod events;
pub mod exceptions;
pub mod repositories;

use self::adapters::{AdapterSettings, Gateways, WebhookClient};
use self::events::EventBus;
use self::repositories::Database;

/// The assembled rooms of a store. Clones share everything.
#[derive(Debug, Clone)]
pub struct Infrastructure {
    /// The open database.
    pub database: Database,
    /// The bus of signals.
    pub bus: EventBus,
    /// The payment providers.
    pub gateways: Gateways,
    /// Sends messages to webhook endpoints.
    pub webhooks: WebhookClient,
}

impl Infrastructure {
    /// Assembles the rooms on an open database, with the vendors of these settings.
    pub fn new(database: Database, settings: AdapterSettings) -> Self {
        let webhooks = WebhookClient::new(settings.private_webhooks);
        let bus = EventBus::default();
        let gateways = adapters::assemble(&database, &bus, settings);
        Self { database, bus, gateways, webhooks }
    }
}
