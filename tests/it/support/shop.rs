//! The shop of a test: a store on a new database, whose consistency is checked at the end of the test.

use std::ops::Deref;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::OnceCell;
use undercroft::application::consistency::check;
use undercroft::application::{Store, Terms};
use undercroft::domain::context::{Clock, Context, IdSource, ManualClock, SystemIds};
use undercroft::domain::discount::Discount;
use undercroft::domain::ids::UserId;
use undercroft::domain::user::Role;
use undercroft::infrastructure::middleware::SessionStore;
use undercroft::infrastructure::repositories::Database;

use super::builders::{ProductBuilder, discount, user};
use super::orders::{recover_payments, violations};
use super::redis::patient;
use super::store::{files, stale_hits, store, terms};
use super::{TestDatabase, TestServer};

/// Makes two tests of `async fn name(shop: &Shop)`: `name::sqlite` and `name::postgres`.
///
/// A second argument gives the [`ShopOptions`]; with `on_one_thread` the whole test runs on one thread.
macro_rules! on_both_engines {
    ($test:ident) => {
        mod $test {
            on_both_engines!(@tests $test, crate::support::ShopOptions::default(), "multi_thread");
        }
    };
    ($test:ident, on_one_thread) => {
        mod $test {
            on_both_engines!(@tests $test, crate::support::ShopOptions::default(), "current_thread");
        }
    };
    ($test:ident, $options:expr) => {
        mod $test {
            use super::*;
            on_both_engines!(@tests $test, $options, "multi_thread");
        }
    };
    (@tests $test:ident, $options:expr, $flavor:literal) => {
        #[tokio::test(flavor = $flavor)]
        async fn sqlite() {
            crate::support::Shop::on_sqlite($options).await.run(super::$test).await;
        }

        #[tokio::test(flavor = $flavor)]
        async fn postgres() {
            if let Some(shop) = crate::support::Shop::on_postgres($options).await {
                shop.run(super::$test).await;
            }
        }
    };
}

/// Makes four tests of `async fn name(shop: &Shop)`: on both engines, with the sessions in the database
/// (`name::sqlite`) and in Redis (`name::in_redis::sqlite`). A second argument gives the [`ShopOptions`].
macro_rules! with_both_session_stores {
    ($test:ident) => {
        mod $test {
            with_both_session_stores!(@tests $test, crate::support::ShopOptions::default());
        }
    };
    ($test:ident, $options:expr) => {
        mod $test {
            use super::*;
            with_both_session_stores!(@tests $test, $options);
        }
    };
    (@tests $test:ident, $options:expr) => {
        on_both_engines!(@tests $test, shop_options(), "multi_thread");

        fn shop_options() -> crate::support::ShopOptions {
            $options
        }

        mod in_redis {
            #[tokio::test(flavor = "multi_thread")]
            async fn sqlite() {
                let Some(url) = crate::support::redis::redis_url().await else { return };
                let options = super::shop_options().sessions(&url);
                crate::support::Shop::on_sqlite(options).await.run(super::super::$test).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn postgres() {
                let Some(url) = crate::support::redis::redis_url().await else { return };
                let options = super::shop_options().sessions(&url);
                if let Some(shop) = crate::support::Shop::on_postgres(options).await {
                    shop.run(super::super::$test).await;
                }
            }
        }
    };
}

/// The options of a test's shop.
pub struct ShopOptions {
    now: Option<Timestamp>,
    ids: Option<Arc<dyn IdSource>>,
    terms: Terms,
    /// The URL of the Redis with the sessions, if they are in one.
    sessions: Option<String>,
    checked: bool,
}

impl Default for ShopOptions {
    fn default() -> Self {
        Self { now: None, ids: None, terms: terms(), sessions: None, checked: true }
    }
}

impl ShopOptions {
    /// A shop with a manual clock that begins at this time.
    pub fn at(now: &str) -> Self {
        Self { now: Some(now.parse().unwrap()), ..Self::default() }
    }

    /// A shop with a manual clock that begins at the system's time.
    pub fn manual_clock() -> Self {
        Self { now: Some(Context::system().clock.now()), ..Self::default() }
    }

    /// The same options with this source of ids and secrets.
    #[must_use]
    pub fn ids(self, ids: Arc<dyn IdSource>) -> Self {
        Self { ids: Some(ids), ..self }
    }

    /// The same options with these terms.
    #[must_use]
    pub fn terms(self, terms: Terms) -> Self {
        Self { terms, ..self }
    }

    /// The same options with the sessions in the Redis at this URL, which is waited for however slow the machine is.
    #[must_use]
    pub fn sessions(self, url: &str) -> Self {
        Self { sessions: Some(url.to_owned()), ..self }
    }

    /// The same options without the check at the end, for a reason that the reader needs.
    #[must_use]
    pub fn unchecked(self, _reason: &str) -> Self {
        Self { checked: false, ..self }
    }

    /// The context of the shop, and its clock if that is a manual one.
    fn context(&self) -> (Context, Option<Arc<ManualClock>>) {
        let manual = self.now.map(|now| Arc::new(ManualClock::new(now)));
        let mut context = Context::system();
        if let Some(manual) = &manual {
            let clock: Arc<dyn Clock> = Arc::<ManualClock>::clone(manual);
            context = Context { ids: Arc::new(SystemIds::new(Arc::clone(&clock))), clock };
        }
        if let Some(ids) = &self.ids {
            context.ids = Arc::clone(ids);
        }
        (context, manual)
    }
}

/// A shop; clones share it.
#[derive(Clone)]
pub struct Shop(Arc<Parts>);

/// The parts of a [`Shop`].
pub struct Parts {
    /// The store.
    pub store: Store,
    /// Its database.
    pub database: Database,
    /// The URL of the database.
    pub url: String,
    clock: Option<Arc<ManualClock>>,
    server: OnceCell<TestServer>,
    checked: bool,
    _database: TestDatabase,
    _files: tempfile::TempDir,
}

impl Deref for Shop {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl Shop {
    /// A shop in a new SQLite file.
    pub async fn on_sqlite(options: ShopOptions) -> Self {
        let (context, clock) = options.context();
        Self::on(TestDatabase::sqlite(context).await, clock, options)
    }

    /// A shop in a new schema of PostgreSQL, or `None` if none is available.
    pub async fn on_postgres(options: ShopOptions) -> Option<Self> {
        let (context, clock) = options.context();
        Some(Self::on(TestDatabase::postgres(context).await?, clock, options))
    }

    fn on(test: TestDatabase, clock: Option<Arc<ManualClock>>, options: ShopOptions) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut store = store(&test.database, options.terms);
        store.infrastructure.files = files(folder.path());
        if let Some(url) = &options.sessions {
            store.infrastructure.sessions = SessionStore::in_redis(patient(url), store.database().clone());
        }
        // it publishes what public pages show
        let database = store.database().clone();
        Self(Arc::new(Parts {
            store,
            database,
            url: test.url.clone(),
            clock,
            server: OnceCell::new(),
            checked: options.checked,
            _database: test,
            _files: folder,
        }))
    }

    /// Runs a test on the shop, and checks the data at the end.
    pub async fn run(self, test: impl AsyncFnOnce(&Self)) {
        test(&self).await;
        self.finish().await;
    }

    /// Ends the server, and asserts that the data is consistent before and after all payments are recovered.
    async fn finish(self) {
        if let Some(server) = self.server.get() {
            server.end().await;
        }
        assert_eq!(stale_hits(&self.store), 0, "old entries of caches were served");
        if self.checked {
            assert_eq!(check(&self.database, false).await.unwrap(), [], "at the end of the test");
            let later = self.now() + SignedDuration::from_hours(72);
            for _ in 0..3 {
                recover_payments(&self.store, later).await.unwrap();
            }
            assert_eq!(violations(&self.database).await, [], "after all payments were recovered");
        }
    }

    /// The manual clock; requires an option with one.
    pub fn clock(&self) -> &ManualClock {
        self.clock.as_deref().expect("a shop with a manual clock: ShopOptions::at")
    }

    /// The time of the shop.
    pub fn now(&self) -> Timestamp {
        self.database.context().clock.now()
    }

    /// A product with one variant.
    pub fn product(&self) -> ProductBuilder<'_> {
        ProductBuilder::new(&self.store)
    }

    /// Creates a customer without a password.
    pub async fn customer(&self) -> UserId {
        user(&self.store, Role::Customer).await
    }

    /// Creates a discount of a percentage; `usage_limit` is the number of orders that may use it.
    pub async fn discount(&self, code: &str, percent: u32, usage_limit: Option<i64>) -> Discount {
        discount(&self.store, code, percent, usage_limit).await
    }

    /// A server for the shop with its worker, started by the first call.
    pub async fn server(&self) -> &TestServer {
        self.server_of(self.store.clone()).await
    }

    /// A server for another store on the shop's database, with its worker.
    pub async fn server_of(&self, store: Store) -> &TestServer {
        self.server.get_or_init(|| TestServer::start(store)).await
    }
}
