//! The repositories room: one aggregate, one file, both databases.
//!
//! The mechanism: a [`Connection`] runs one SQL text on SQLite or PostgreSQL; writes happen in a [`UnitOfWork`], which
//! also publishes events. `table!` describes the columns of a type, so that a connection can find, insert, update and
//! remove its rows. A repository wraps a [`Connection`] and adds its own queries; functions that write take a
//! [`UnitOfWork`] instead. Rules that must never be broken are in the database: a conditional update, a unique key, a
//! CHECK.
//!
//! # In another service
//!
//! [`Database`], [`Connection`] and [`UnitOfWork`] are for any service; the repositories are those of a store, and
//! `table!` is a macro that other crates do not see. A service creates its tables beside those of the library, reads
//! and writes them by SQL, and publishes its events with what it writes; `examples/outbox.rs` is one.
//!
//! ```
//! use undercroft::domain::context::Context;
//! use undercroft::infrastructure::repositories::{Database, DatabaseError, Setup};
//!
//! async fn open(url: &str) -> Result<Database, Box<dyn std::error::Error + Send + Sync>> {
//!     let database = Database::open(&url.parse()?, Context::system(), Setup::Migrate).await?;
//!     let table = "CREATE TABLE IF NOT EXISTS depot_parcels (customer TEXT NOT NULL, grams BIGINT NOT NULL)";
//!     let created: Result<(), DatabaseError> =
//!         database.write(table, async |work, table| work.script(table).await).await;
//!     created?;
//!     Ok(database)
//! }
//!
//! async fn send(database: &Database, customer: String, grams: i64) -> Result<u64, DatabaseError> {
//!     let write = database.write((customer, grams), async |work, (customer, grams)| {
//!         let values = [customer.as_str().into(), (*grams).into()];
//!         work.execute("INSERT INTO depot_parcels (customer, grams) VALUES ($1, $2)", &values).await
//!     });
//!     write.await
//! }
//!
//! async fn weights(database: &Database, customer: &str) -> Result<Vec<i64>, DatabaseError> {
//!     let sql = "SELECT grams FROM depot_parcels WHERE customer = $1 ORDER BY grams";
//!     database.read().await?.all(sql, &[customer.into()]).await
//! }
//! ```
//!
//! # Adding one
//!
//! 1. Write a migration, and `<name>_repository.rs` with a `table!` and a type that wraps a [`Connection`]; the module
//!    `adding_one`, at the end of `src/infrastructure/repositories/mod.rs`, is a complete example.
//! 2. Add its `mod` and `pub use` lines here.
//! 3. Add a new type of id to `domain/ids.rs`.

mod access_token_key_repository;
mod api_key_repository;
mod audit_repository;
mod cart_repository;
mod catalogue_index;
mod category_repository;
mod database;
mod dead_letter_repository;
mod digest_repository;
mod discount_repository;
mod email_repository;
mod feature_flag_repository;
mod file_repository;
mod idempotency_repository;
mod identity_repository;
mod inventory_repository;
mod invoice_repository;
mod job_repository;
mod notification_repository;
mod one_time_password_repository;
mod order_repository;
mod payment_repository;
mod personal_data_repository;
mod placed_orders;
mod preferences_repository;
mod product_repository;
mod review_repository;
mod session_repository;
mod settings_repository;
mod shipping_repository;
mod staff_role_repository;
mod subscription_repository;
mod tax_repository;
mod user_repository;
mod user_token_repository;
mod webhook_repository;

pub use access_token_key_repository::AccessTokenKeyRepository;
pub use api_key_repository::{ApiKeyFilter, ApiKeyRepository};
pub use audit_repository::{AuditFilter, AuditRepository};
pub use cart_repository::CartRepository;
pub use catalogue_index::{
    AdminProductFilter, Facets, ListPosition, NEWEST_POSTINGS, PriceBand, ProductFilter, ProductSort,
    normalized_query,
};
pub use category_repository::{CategoryRepository, TreeError};
#[cfg(test)]
pub(crate) use database::new_database;
pub use database::{
    CacheTag, CommitMark, Conditions, Connection, DEFAULT_LIMIT, Database, DatabaseError, DatabaseLoad,
    DatabaseUrl, Due, EndedWork, Engine, EventRange, Field, ForeignCursor, FromRow, InvalidDatabaseUrl, Json,
    ListError, ListedByTime, NewEvent, Outbox, Owner, Page, PageRequest, Param, Publishing, QueueWaits,
    ReadFn, Row, SchemaState, Setup, SigningKey, Table, TagEvent, UnitOfWork, Versioned, WorkFn,
    current_trace, in_trace, is_cache_tag, newest_first, next_number,
};
pub use database::{NotLive, ReplicationState, Role, copy, replication, sqlite_backup, sqlite_side_files};
pub(crate) use database::{from_row, next_number_ahead, params, read_column, spawn_in_trace};
pub use dead_letter_repository::{DeadLetter, DeadLetterFilter, DeadLetterRepository};
pub use digest_repository::{Digest, DigestRepository};
pub use discount_repository::DiscountRepository;
pub use email_repository::{EmailAttempt, EmailFilter, EmailRepository, REMOVE_OF_ERASED};
pub use feature_flag_repository::FeatureFlagRepository;
pub use file_repository::FileRepository;
pub use idempotency_repository::{Claimed, IdempotencyKey, IdempotencyRepository, StoredResponse};
pub use identity_repository::IdentityRepository;
pub use inventory_repository::{InventoryRepository, ReserveError, StockSet};
pub use invoice_repository::InvoiceRepository;
pub use job_repository::{JobFilter, JobRelease, JobRepository};
pub use notification_repository::{NotificationFilter, NotificationRepository};
pub use one_time_password_repository::OneTimePasswordRepository;
pub use order_repository::{OrderFilter, OrderRepository};
pub use payment_repository::{PaymentRepository, Settlement};
pub use personal_data_repository::{PersonalDataRepository, SecurityEntry, UserIdentity};
pub use placed_orders::list_placed_orders;
pub use preferences_repository::PreferencesRepository;
pub use product_repository::{Offer, ProductRepository, SaveError, SearchResults};
pub use review_repository::{ReviewFilter, ReviewRepository};
pub use session_repository::{EndedSession, EndedSessions, KeptSession, SessionRepository, UserOfSession};
pub use settings_repository::SettingsRepository;
pub use shipping_repository::ShippingRepository;
pub use staff_role_repository::StaffRoleRepository;
pub use subscription_repository::{SubscriptionFilter, SubscriptionRepository};
pub use tax_repository::TaxRepository;
pub use user_repository::{EraseError, UserFilter, UserRepository};
pub use user_token_repository::{UserTokenRepository, token_text};
pub use webhook_repository::{WebhookAttempt, WebhookCounts, WebhookDeliveryFilter, WebhookRepository};

#[cfg(test)]
mod adding_one {
    use jiff::Timestamp;

    use super::database::{Connection, DatabaseError, UnitOfWork, new_database, params, select, table};
    use crate::domain::ids::{ProductId, UserId};

    /// A product that a user wants to buy later.
    struct Wish {
        user_id: UserId,
        product_id: ProductId,
        created_at: Timestamp,
    }

    table! {
        Wish in "wishes", key (UserId, ProductId);
        user_id,
        product_id,
        created_at,
    }

    /// Queries on wishes.
    struct WishRepository<'a>(&'a mut Connection);

    impl WishRepository<'_> {
        /// Returns the wishes of a user, oldest first.
        async fn by_user(&mut self, user_id: UserId) -> Result<Vec<Wish>, DatabaseError> {
            let sql = select::<Wish>("WHERE user_id = $1 ORDER BY created_at, product_id");
            self.0.all(&sql, &params![user_id]).await
        }

        /// Removes all wishes of a user; returns their number.
        async fn remove_all_of(work: &mut UnitOfWork, user_id: UserId) -> Result<u64, DatabaseError> {
            work.execute("DELETE FROM wishes WHERE user_id = $1", &params![user_id]).await
        }
    }

    #[tokio::test]
    async fn a_wish_is_inserted_read_and_removed() {
        let (_folder, database) = new_database().await;

        let written = database.write((), async |work, ()| {
            work.script("CREATE TABLE wishes (user_id BLOB, product_id BLOB, created_at INTEGER)").await?;
            let (user_id, product_id) = (UserId(work.id()), ProductId(work.id()));
            let created_at = work.now();
            work.insert(&Wish { user_id, product_id, created_at }).await?;
            let found = WishRepository(work).by_user(user_id).await?;
            let removed = WishRepository::remove_all_of(work, user_id).await?;
            Ok::<_, DatabaseError>((found.len(), removed))
        });
        assert_eq!(written.await.unwrap(), (1, 1));
    }
}
