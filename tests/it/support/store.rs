//! A store for tests, and helpers for its use cases.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use argon2::Params;
use jiff::SignedDuration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use undercroft::application::idempotency::{Render, Responder};
use undercroft::application::people::passwords::Passwords;
use undercroft::application::selling::cart::{self as carts, CartChange, CartSelector};
use undercroft::application::selling::holds::{HoldLimit, HoldLimits};
use undercroft::application::selling::orders::OperationOutcome;
use undercroft::application::selling::priced_cart::PricedCart;
use undercroft::application::{AccountPages, AccountTerms, IdentityTerms, Store, Terms, VerifiedEmail};
use undercroft::domain::address::Address;
use undercroft::domain::cart::CartLine;
use undercroft::domain::ids::{CartId, PaymentId, UserId, VariantId};
use undercroft::domain::language::Language;
use undercroft::domain::money::Currency;
use undercroft::domain::placed_order::PlacedOrder;
use undercroft::infrastructure::Infrastructure;
use undercroft::infrastructure::adapters::{
    AdapterSettings, CallLimits, CertificateAuthorities, Files, FilesUrl,
};
use undercroft::infrastructure::cache::CacheOptions;
use undercroft::infrastructure::exceptions::Failure;
use undercroft::infrastructure::repositories::{
    Database, DatabaseError, Engine, Field, Param, StoredResponse,
};

use super::eventually;

/// More than a test holds.
const MANY: HoldLimit = HoldLimit { orders: 10_000, pieces: 1_000_000 };

/// The terms of the shops of tests.
pub fn terms() -> Terms {
    Terms {
        name: "Test".into(),
        identities: IdentityTerms::default(),
        issuer: "https://shop.example".into(),
        access_token_audiences: Vec::new(),
        base_language: Language::EN,
        default_currency: Currency::EUR,
        default_country: "DE".parse().unwrap(),
        session: SignedDuration::from_hours(24),
        session_idle: SignedDuration::from_hours(24),
        cart: SignedDuration::from_hours(24),
        reservation: SignedDuration::from_mins(30),
        guest_reservation: SignedDuration::from_mins(30),
        holds: Some(HoldLimits { address: MANY, user: MANY, pieces_per_order: MANY.pieces }),
        cancellation: SignedDuration::from_hours(14 * 24),
        idempotency: SignedDuration::from_hours(24),
        capture_at_checkout: true,
        cart_bounds: Arc::default(),
        age_rules: Arc::new([]),
        verified_email: VerifiedEmail::default(),
        accounts: AccountTerms::default(),
        pages: AccountPages::default(),
        sandbox_emails: false,
    }
}

/// The terms of a shop that only authorizes payments at checkout.
pub fn manual_capture() -> Terms {
    Terms { capture_at_checkout: false, ..terms() }
}

/// The terms of a shop whose e-mails developers read in the sandbox.
pub fn sandbox_emails() -> Terms {
    Terms { sandbox_emails: true, ..terms() }
}

/// The limits of calls to the payment providers of tests.
pub fn limits() -> CallLimits {
    CallLimits { timeout: Duration::from_secs(20), concurrency: 16 }
}

/// The file storage in a folder. It accepts files of up to 1 MiB.
pub fn files(folder: &Path) -> Files {
    Files::new(&FilesUrl::Folder("files".into()), folder, 1 << 20)
}

/// A store on this database, whose payment provider is the sandbox, whose caches check what they serve, and whose
/// hashes of passwords cost the least that Argon2 allows, which the settings of a real store refuse.
pub fn store(database: &Database, terms: Terms) -> Store {
    let infrastructure = Infrastructure::new(
        database.clone(),
        AdapterSettings {
            calls: limits(),
            sandbox: true,
            public_url: String::new(),
            mail: None,
            files: files(Path::new("/nonexistent")),
            private_webhooks: true,
            authorities: CertificateAuthorities::default(),
        },
    );
    let caches = CacheOptions { verify: true, ..CacheOptions::default() };
    let store = Store::new(infrastructure.with_caches(caches, None), terms);
    with_password_cost(&store, Params::new(Params::MIN_M_COST, Params::MIN_T_COST, 1, None).unwrap())
}

/// The same store, whose hashes of passwords cost as much as those of a real one.
pub fn with_costly_passwords(store: &Store) -> Store {
    with_password_cost(store, Params::default())
}

/// The same store with this cost of the hashes of passwords.
fn with_password_cost(store: &Store, cost: Params) -> Store {
    let mut store = store.clone();
    store.passwords = Passwords::new(Arc::clone(&store.database().context().ids), cost);
    store
}

/// The old entries that the caches of a store served.
pub fn stale_hits(store: &Store) -> u64 {
    store.infrastructure.caches.states().iter().map(|state| state.counts.stale_hits).sum()
}

/// Confirms a payment on the page of the sandbox; returns whether the payment required it.
pub async fn confirm_payment(store: &Store, payment_id: PaymentId) -> bool {
    let sandbox = store.infrastructure.gateways.get("sandbox").unwrap();
    sandbox.confirmation_page().unwrap().decide(payment_id, true).await.unwrap()
}

/// Returns the single value that a statement selects.
pub async fn value<T: Field>(database: &Database, sql: &str, params: &[Param<'_>]) -> T {
    database.read().await.unwrap().one(sql, params).await.unwrap()
}

/// Makes every event of a placed order a dead letter of the subscriber of notifications.
pub async fn fail_placed_orders(database: &Database) {
    const FAIL: &str = "INSERT INTO dead_letters (id, subscriber, seq, event_id, event_type, subject, attempts, error, \
                  failed_at) SELECT id, 'notifications', seq, id, type, subject, 8, 'refused', occurred_at FROM outbox \
                  WHERE type = 'order.placed' ON CONFLICT DO NOTHING";
    let inserted: Result<u64, DatabaseError> =
        database.write((), async |work, ()| work.execute(FAIL, &[]).await).await;
    inserted.unwrap();
}

/// Runs statements in one transaction.
pub async fn execute(database: &Database, statements: &'static [&'static str]) {
    let done: Result<(), DatabaseError> = database
        .write(statements, async |work, statements| {
            for sql in *statements {
                work.script(sql).await?;
            }
            Ok(())
        })
        .await;
    done.unwrap();
}

/// Creates an open cart with these lines.
pub async fn cart(store: &Store, user_id: Option<UserId>, items: &[(VariantId, i64)]) -> CartId {
    let id = Text(|priced: &PricedCart| priced.cart.id.to_string());
    let created = carts::create(store, user_id, None, Responder::new(None, id)).await.unwrap();
    let id = CartId(str::from_utf8(&created.body).unwrap().parse().unwrap());
    for &(variant_id, quantity) in items {
        let selector = CartSelector { id, user_id, version: None };
        let change = CartChange::SetLine(CartLine { variant_id, quantity });
        carts::change(store, selector, change).await.unwrap();
    }
    id
}

/// An address in Germany.
pub fn address() -> Address {
    Address {
        name: "Ann Buyer".into(),
        line1: "Marktplatz 1".into(),
        line2: None,
        city: "Bremen".into(),
        region: None,
        postal_code: "28195".into(),
        country: "DE".parse().unwrap(),
    }
}

/// Renders a result as the text that a function makes of it, and a failure as its code.
pub struct Text<F>(pub F);

impl<T, F: Fn(&T) -> String + Send + Sync + 'static> Render<T> for Text<F> {
    fn success(&self, result: &T) -> StoredResponse {
        StoredResponse { status: 201, headers: Vec::new(), body: (self.0)(result).into_bytes() }
    }

    fn failure(&self, failure: &Failure) -> StoredResponse {
        StoredResponse { status: failure.status().as_u16(), headers: Vec::new(), body: failure.code().into() }
    }
}

/// Renders the ids and statuses of a result as a line of text, and a failure as its code.
pub struct Summary;

impl Render<PlacedOrder> for Summary {
    fn success(&self, placed: &PlacedOrder) -> StoredResponse {
        let body = format!("{} {:?} {:?}", placed.order.id, placed.order.status, placed.payment.status);
        StoredResponse { status: 201, headers: Vec::new(), body: body.into_bytes() }
    }

    fn failure(&self, failure: &Failure) -> StoredResponse {
        StoredResponse { status: failure.status().as_u16(), headers: Vec::new(), body: failure.code().into() }
    }
}

impl Render<OperationOutcome> for Summary {
    fn success(&self, outcome: &OperationOutcome) -> StoredResponse {
        let body = format!("{} {:?}", outcome.operation.id, outcome.operation.status);
        StoredResponse { status: 201, headers: Vec::new(), body: body.into_bytes() }
    }

    fn failure(&self, failure: &Failure) -> StoredResponse {
        Render::<PlacedOrder>::failure(self, failure)
    }
}

/// Runs a statement in a transaction, which is committed when the token is cancelled.
pub async fn write_until_committed(
    database: &Database,
    sql: &'static str,
) -> (JoinHandle<Result<(), DatabaseError>>, CancellationToken) {
    lock_and_write(database, Vec::new(), sql).await
}

/// Locks names, on SQLite all writes, in a transaction that is committed when the token is cancelled.
pub async fn lock_until_committed(
    database: &Database,
    names: Vec<String>,
) -> (JoinHandle<Result<(), DatabaseError>>, CancellationToken) {
    lock_and_write(database, names, "SELECT 1").await
}

async fn lock_and_write(
    database: &Database,
    names: Vec<String>,
    sql: &'static str,
) -> (JoinHandle<Result<(), DatabaseError>>, CancellationToken) {
    let (begun, complete) = (CancellationToken::new(), CancellationToken::new());
    let (database, given) = (database.clone(), (names, begun.clone(), complete.clone()));
    let writing = tokio::spawn(async move {
        let written = database.write(given, async move |work, (names, begun, complete)| {
            for name in names {
                work.lock_name(name).await?;
            }
            work.script(sql).await?;
            begun.cancel();
            match work.engine() {
                Engine::Postgres => complete.cancelled().await,
                // on its own thread
                Engine::Sqlite => {
                    while !complete.is_cancelled() {
                        std::thread::sleep(Duration::from_millis(10));
                    }
                }
            }
            Ok::<_, DatabaseError>(())
        });
        written.await
    });
    begun.cancelled().await;
    (writing, complete)
}

/// Waits on PostgreSQL until a transaction of this database waits for a lock. On SQLite, transactions run one after
/// the other.
pub async fn wait_for_lock(database: &Database) {
    wait_for_locks(database, 1).await;
}

/// Waits on PostgreSQL until so many transactions of this database wait for a lock.
pub async fn wait_for_locks(database: &Database, number: i64) {
    let waiting = "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' \
                   AND application_name = current_setting('application_name')";
    let waits =
        async || database.engine() == Engine::Sqlite || value::<i64>(database, waiting, &[]).await >= number;
    eventually("transactions that wait for a lock", waits).await;
}
