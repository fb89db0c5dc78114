//! The repositories room: one aggregate, one file, both databases.
//!
//! The mechanism: a [`Connection`] runs one SQL text on SQLite or PostgreSQL; writes happen in a [`UnitOfWork`], which
//! also publishes events; [`Table`] gives a connection find, insert, update and remove, and each repository wraps a
//! [`Connection`] and adds its own queries; those that write take the unit of work instead. The rule that must never
//! break stands in the database: a conditional update, a unique key, a CHECK.

mod cart_repository;
mod catalogue_index;
mod category_repository;
mod database;
mod discount_repository;
mod idempotency_repository;
mod inventory_repository;
mod invoice_repository;
mod notification_repository;
mod order_repository;
mod payment_repository;
mod preferences_repository;
mod product_repository;
mod review_repository;
mod session_repository;
mod settings_repository;
mod shipping_repository;
mod subscription_repository;
mod tax_repository;
mod user_repository;

pub use cart_repository::{CartRepository, Offer};
pub use catalogue_index::{AdminProductFilter, Facets, PriceBand, ProductFilter, ProductSort, SearchResults};
pub use category_repository::{CategoryRepository, MoveError};
pub use database::{
    Connection, Cursors, Database, DatabaseError, Engine, EventPosition, Field, ForeignCursor, FromRow, Json,
    ListError, ListedByTime, Outbox, Page, Param, Row, SchemaState, Setup, SigningKey, Table, UnitOfWork,
    Versioned, WorkFn, next_number,
};
pub(crate) use database::{from_row, next_number_ahead, read_column};
pub use discount_repository::DiscountRepository;
pub use idempotency_repository::{Claimed, IdempotencyKey, IdempotencyRepository, StoredResponse};
pub use inventory_repository::{InventoryRepository, ReserveError, StockSet};
pub use invoice_repository::InvoiceRepository;
pub use notification_repository::{NotificationFilter, NotificationRepository};
pub use order_repository::{OrderFilter, OrderRepository};
pub use payment_repository::PaymentRepository;
pub use preferences_repository::PreferencesRepository;
pub use product_repository::{ProductRepository, SaveError};
pub use review_repository::{ReviewFilter, ReviewRepository};
pub use session_repository::SessionRepository;
pub use settings_repository::SettingsRepository;
pub use shipping_repository::ShippingRepository;
pub use subscription_repository::{SubscriptionFilter, SubscriptionRepository};
pub use tax_repository::TaxRepository;
pub use user_repository::{EraseError, UserFilter, UserRepository};
