//! The repositories room: one aggregate, one file, both databases.
//!
//! The mechanism: a [`Session`] runs one SQL text on SQLite or PostgreSQL; writes happen in a [`UnitOfWork`], which
//! also publishes events; [`Table`] gives a session find, insert, update and remove, and each repository wraps a
//! [`Session`] and adds its own queries; those that write take the unit of work instead. The rule that must never
//! break stands in the database: a conditional update, a unique key, a CHECK.

mod admin_listing;
mod cart_repository;
mod category_repository;
mod category_tree;
mod counters;
mod database;
mod dialect;
mod discount_repository;
mod error;
mod facets;
mod idempotency_repository;
mod inventory_repository;
mod invoice_repository;
mod listing;
mod migrations;
mod notification_repository;
mod order_repository;
mod outbox;
mod page;
mod payment_repository;
mod postgres;
mod postings;
mod preferences_repository;
mod product_repository;
mod product_rows;
mod product_texts;
mod product_variants;
mod read_models;
mod reservations;
mod review_repository;
mod scan;
mod search;
mod session;
mod session_repository;
mod settings_repository;
mod shipping_repository;
mod sqlite;
mod subscription_repository;
mod table;
mod tax_repository;
mod unit_of_work;
mod user_erasure;
mod user_repository;
mod value;

pub use admin_listing::AdminProductFilter;
pub use cart_repository::{CartRepository, Offer};
pub use category_repository::CategoryRepository;
pub use category_tree::MoveError;
pub use counters::next_number;
pub use database::{Database, Setup};
pub use discount_repository::DiscountRepository;
pub use error::StoreError;
pub use facets::{Facets, PriceBand};
pub use idempotency_repository::{Answer, Claimed, IdempotencyKey, IdempotencyRepository};
pub use inventory_repository::{InventoryRepository, StockSet};
pub use invoice_repository::InvoiceRepository;
pub use listing::{ProductFilter, ProductSort};
pub use migrations::SchemaState;
pub use notification_repository::{NotificationFilter, NotificationRepository};
pub use order_repository::{OrderFilter, OrderRepository};
pub use outbox::{EventPlace, Outbox};
pub use page::{CursorKey, Cursors, Dated, ForeignCursor, ListError, Page};
pub use payment_repository::PaymentRepository;
pub use preferences_repository::PreferencesRepository;
pub use product_repository::{ProductRepository, SaveError};
pub use reservations::ReserveError;
pub use review_repository::{ReviewFilter, ReviewRepository};
pub use search::Found;
pub use session::{Engine, Session};
pub use session_repository::SessionRepository;
pub use settings_repository::SettingsRepository;
pub use shipping_repository::ShippingRepository;
pub use subscription_repository::{SubscriptionFilter, SubscriptionRepository};
pub use table::{Table, Versioned};
pub use tax_repository::TaxRepository;
pub use unit_of_work::{UnitOfWork, Work};
pub use user_erasure::EraseError;
pub use user_repository::{UserFilter, UserRepository};
pub use value::{Field, Json, Param, Row, scalar};
