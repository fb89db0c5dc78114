//! Copies of a whole store between the engines.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use serde_json::json;
use tempfile::TempDir;
use undercroft::application::consistency::check;
use undercroft::application::selling::checkout::Checkout;
use undercroft::domain::context::Context;
use undercroft::domain::ids::VariantId;
use undercroft::domain::payment::OperationKind;
use undercroft::infrastructure::repositories::copy::{
    CopyError, CopyObserver, CopyReport, CopyStep, TableReport, copy,
};
use undercroft::infrastructure::repositories::{Database, DatabaseError, Engine, SchemaState, Setup};

use crate::support::import::{ONLINE_RETAIL, import_all};
use crate::support::orders::{Sale, checkout_request, key, submit};
use crate::support::store::{cart, execute, store, terms, value};
use crate::support::{EmptyPostgres, Shop, ShopOptions, admin};

/// The migrations, all in one text.
const MIGRATIONS: &str = concat!(
    include_str!("../../../../migrations/0001_store.sql"),
    include_str!("../../../../migrations/0003_files.sql"),
    include_str!("../../../../migrations/0004_product_images.sql"),
    include_str!("../../../../migrations/0005_user_tokens.sql"),
    include_str!("../../../../migrations/0008_feature_flags.sql"),
    include_str!("../../../../migrations/0009_audit_log.sql"),
    include_str!("../../../../migrations/0010_roles.sql"),
    include_str!("../../../../migrations/0011_api_keys.sql"),
    include_str!("../../../../migrations/0012_access_token_keys.sql"),
    include_str!("../../../../migrations/0013_product_contents.sql"),
    include_str!("../../../../migrations/0014_holds.sql"),
    include_str!("../../../../migrations/0015_one_time_passwords.sql"),
    include_str!("../../../../migrations/0017_user_data_versions.sql"),
    include_str!("../../../../migrations/0018_sessions_elsewhere.sql"),
);

/// The most rows of a page.
const PAGE: i64 = 500;

/// An empty database, removed when it is dropped.
pub(super) struct Target {
    pub(super) url: String,
    _folder: Option<TempDir>,
    _schema: Option<EmptyPostgres>,
}

impl Target {
    pub(super) fn sqlite() -> Self {
        let folder = TempDir::new().unwrap();
        let url = format!("sqlite:{}", folder.path().join("copy.db").display());
        Self { url, _folder: Some(folder), _schema: None }
    }

    async fn postgres() -> Option<Self> {
        let schema = EmptyPostgres::new().await?;
        Some(Self { url: schema.url.clone(), _folder: None, _schema: Some(schema) })
    }

    /// An empty database of this engine.
    pub(super) async fn on(engine: Engine) -> Option<Self> {
        match engine {
            Engine::Sqlite => Some(Self::sqlite()),
            Engine::Postgres => Self::postgres().await,
        }
    }

    /// Runs statements without setting up a store.
    pub(super) async fn script(&self, sql: &str) {
        match self.url.strip_prefix("sqlite:") {
            Some(file) => rusqlite::Connection::open(file).unwrap().execute_batch(sql).unwrap(),
            None => admin(&self.url, sql).await,
        }
    }

    pub(super) async fn open(&self) -> Result<Database, DatabaseError> {
        Database::open(&self.url.parse().unwrap(), Context::system(), Setup::IfEmpty).await
    }
}

/// Panics after some pages of the step that copies, as if the process was killed.
struct Killed {
    after: i64,
}

impl CopyObserver for Killed {
    fn progressed(&mut self, step: CopyStep, _: i64, _: Option<i64>) -> ControlFlow<()> {
        self.after -= i64::from(step == CopyStep::Copying);
        assert!(self.after != 0, "the test stops the copy here");
        ControlFlow::Continue(())
    }
}

/// Ends a copy after the first page with rows, and records the number of rows.
struct Stopping {
    rows: i64,
}

impl CopyObserver for Stopping {
    fn progressed(&mut self, step: CopyStep, rows: i64, _: Option<i64>) -> ControlFlow<()> {
        if step != CopyStep::Copying || rows == 0 {
            return ControlFlow::Continue(());
        }
        self.rows = rows;
        ControlFlow::Break(())
    }
}

/// Runs a whole copy from and to the same databases after a full page of a step.
struct Overtaken {
    at: CopyStep,
    by: (String, String),
    rows: i64,
}

impl CopyObserver for Overtaken {
    fn progressed(&mut self, step: CopyStep, rows: i64, _: Option<i64>) -> ControlFlow<()> {
        let added = rows - std::mem::replace(&mut self.rows, rows);
        if step != self.at || added != PAGE || self.by.0.is_empty() {
            return ControlFlow::Continue(());
        }
        let (from, to) = std::mem::take(&mut self.by);
        let other = std::thread::spawn(move || {
            tokio::runtime::Runtime::new().unwrap().block_on(async { copied(&from, &to).await })
        });
        other.join().unwrap();
        ControlFlow::Continue(())
    }
}

pub(super) async fn copied(from: &str, to: &str) -> CopyReport {
    copy(&from.parse().unwrap(), &to.parse().unwrap(), Context::system(), &mut Killed { after: i64::MAX })
        .await
        .unwrap()
}

async fn refused(from: &str, to: &str) -> CopyError {
    copy(&from.parse().unwrap(), &to.parse().unwrap(), Context::system(), &mut Killed { after: i64::MAX })
        .await
        .unwrap_err()
}

/// Kills a copy after some pages.
async fn kill(from: &str, to: &str, after: i64) {
    let (from, to) = (from.to_owned(), to.to_owned());
    let run = tokio::spawn(async move {
        copy(&from.parse().unwrap(), &to.parse().unwrap(), Context::system(), &mut Killed { after }).await
    });
    assert!(run.await.is_err(), "the copy was not killed");
}

pub(super) fn tables_of_the_migrations() -> BTreeSet<String> {
    let names = MIGRATIONS.lines().filter_map(|line| line.strip_prefix("CREATE TABLE ")?.strip_suffix(" ("));
    names.map(str::to_owned).collect()
}

/// The tables whose content does not depend on the engine.
fn independent(tables: &[TableReport]) -> Vec<&TableReport> {
    let of_events = ["outbox", "event_cursors", "inbox", "postponed_events", "dead_letters"];
    tables.iter().filter(|table| !of_events.contains(&table.name.as_str())).collect()
}

/// Fills every table of a shop; returns a variant in stock.
pub(super) async fn fill(shop: &Shop) -> VariantId {
    import_all(&shop.store, ONLINE_RETAIL).await;
    let sale = Sale::begin(shop, 5, "tok_ok").await;
    assert_eq!(sale.run(OperationKind::Refund, Some(300)).await.0, 201);
    Sale::begin(shop, 5, "tok_requires_action").await;

    let user_id = shop.customer().await;
    shop.discount("Ten", 10, Some(5)).await;
    let variant = shop.product().subscription().create().await;
    let cart_id = cart(&shop.store, Some(user_id), &[(variant, 1)]).await;
    let request = Checkout { user_id: Some(user_id), ..checkout_request(cart_id, "tok_ok") };
    assert_eq!(submit(&shop.store, request, Some(key("first"))).await.0, 201);
    cart(&shop.store, None, &[(variant, 1)]).await;

    let server = shop.server().await;
    server.customer().await;
    let admin = server.admin().await;
    let category = json!({"name": "Äpfel \u{1F34E}", "translations": {"de": {"name": "\"Obst\""}}});
    admin.post("/admin/v1/categories", category).await.expect(201);
    server.end().await;
    execute(&shop.database, &[
        "INSERT INTO user_identities SELECT 'oidc', 'a', id, created_at FROM users LIMIT 1",
        "INSERT INTO user_preferences SELECT id, 'de', NULL, FALSE, NULL, 1, created_at FROM users WHERE id NOT IN (SELECT user_id FROM user_preferences) LIMIT 1",
        "INSERT INTO reviews SELECT id, product_id, p.user_id, 5, 'a', 'b', 'pending', 1, placed_at, placed_at \
         FROM purchases p JOIN orders ON id = order_id LIMIT 1",
        "INSERT INTO notifications SELECT id, id, 'test', '{}', 'in_app', 'delivered', NULL, created_at FROM users LIMIT 1",
        "INSERT INTO event_cursors (subscriber, seq) VALUES ('none', 1)",
        "INSERT INTO inbox SELECT 'none', id, seq, occurred_at FROM outbox LIMIT 1",
        "INSERT INTO webhook_endpoints SELECT id, 'https://example.com/', '', '[]', 'whsec_', NULL, NULL, TRUE, \
           NULL, 1, occurred_at, occurred_at, NULL FROM outbox ORDER BY seq LIMIT 1",
        "INSERT INTO webhook_deliveries SELECT id, id, id, type, '{}', 'pending', 0, occurred_at, NULL, NULL, NULL, \
           occurred_at, NULL FROM outbox ORDER BY seq LIMIT 1",
        "INSERT INTO jobs SELECT id, 'none', '{}', 'none', 0, 'waiting', occurred_at, 0, 0, 0, NULL, 0, FALSE, NULL, \
           occurred_at, NULL, NULL FROM outbox ORDER BY seq LIMIT 1",
        "INSERT INTO emails SELECT id, NULL, 'digest', 'a@example.com', 's', 'b', 'pending', 0, occurred_at, NULL, \
           occurred_at, NULL, id, NULL, NULL, 'order a@example.com' FROM outbox ORDER BY seq LIMIT 1",
        "INSERT INTO user_tokens SELECT user_id, user_id, 'password_reset', token_hash, 'a@example.com', created_at, \
           created_at FROM sessions LIMIT 1",
        "INSERT INTO files SELECT user_id, user_id, 'a', 'image/png', 1, token_hash, created_at, NULL FROM sessions LIMIT 1",
        "INSERT INTO api_keys SELECT user_id, user_id, 'a', 'uck_01234567', token_hash, '[]', created_at, NULL, NULL, TRUE \
           FROM sessions LIMIT 1",
        "INSERT INTO access_token_keys SELECT user_id, created_at FROM sessions LIMIT 1",
        "INSERT INTO one_time_passwords SELECT user_id, token_hash, 0, 0, NULL, created_at FROM sessions LIMIT 1",
        "INSERT INTO recovery_codes SELECT user_id, token_hash FROM sessions LIMIT 1",
        "INSERT INTO ended_sessions SELECT user_id, created_at FROM sessions LIMIT 1",
        "INSERT INTO product_files SELECT products.id, files.id FROM products, files LIMIT 1",
        "INSERT INTO unused_files SELECT id, created_at FROM users LIMIT 1",
        "INSERT INTO postponed_events SELECT 'none', seq, subject, 0, occurred_at, NULL FROM outbox LIMIT 1",
        "INSERT INTO feature_flags SELECT 'a', '', TRUE, FALSE, '[]', 10, 1, created_at, created_at FROM users LIMIT 1",
        "INSERT INTO roles SELECT 'a', '', '[]', 1, created_at, created_at FROM users LIMIT 1",
        "UPDATE users SET staff_role = 'a' WHERE role = 'admin'",
        "INSERT INTO tax_rules VALUES ('CH', 'none', 0, FALSE)",
        "INSERT INTO shipping_methods SELECT id, 'post', 'Post', '{}', 'none', 1, FALSE, '[]' FROM users LIMIT 1",
        "INSERT INTO discount_uses SELECT o.id, d.id FROM orders o, discounts d WHERE o.status = 'paid' LIMIT 1",
        "UPDATE discounts SET used = 1",
        "INSERT INTO dead_letters SELECT id, 'none', seq, id, type, subject, 8, 'e', occurred_at FROM outbox LIMIT 1",
    ])
    .await;
    sale.variant
}

on_both_engines!(a_copy_to_the_other_engine_and_back_has_every_row_of_every_table);
async fn a_copy_to_the_other_engine_and_back_has_every_row_of_every_table(shop: &Shop) {
    let variant = Box::pin(fill(shop)).await;
    let there = if shop.database.engine() == Engine::Sqlite { Engine::Postgres } else { Engine::Sqlite };
    let Some(other) = Target::on(there).await else { return };
    let Some(back) = Target::on(shop.database.engine()).await else { return };
    let first = copied(&shop.url, &other.url).await;
    let second = copied(&other.url, &back.url).await;
    let Some(same) = Target::on(shop.database.engine()).await else { return };
    assert_eq!(copied(&shop.url, &same.url).await.tables, first.tables, "the hashes depend on the target");

    let names: BTreeSet<_> = first.tables.iter().map(|table| table.name.clone()).collect();
    assert_eq!(names, tables_of_the_migrations());
    let empty: Vec<_> =
        first.tables.iter().filter(|table| table.rows == 0).map(|table| &table.name).collect();
    assert_eq!(empty, [""; 0], "the test copies rows of every table");
    assert_eq!(independent(&first.tables), independent(&second.tables));
    assert_eq!((first.not_copied, first.resumed), (Vec::new(), 0));

    for target in [&other, &back] {
        let database = target.open().await.unwrap();
        assert_eq!(check(&database, false).await.unwrap(), []);
        let store = store(&database, terms());
        let next = "SELECT MAX(number) FROM orders";
        let before: i64 = value(&database, next, &[]).await;
        Sale::of(&store, variant, "tok_ok").await;
        assert_eq!(value::<i64>(&database, next, &[]).await, before + 1);
        assert_eq!(check(&database, false).await.unwrap(), []);
    }
}

on_both_engines!(a_copy_that_was_killed_is_not_opened_and_continues);
async fn a_copy_that_was_killed_is_not_opened_and_continues(shop: &Shop) {
    import_all(&shop.store, ONLINE_RETAIL).await;
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let Some(target) = Target::on(engine).await else { return };
        for after in [20, 45] {
            kill(&shop.url, &target.url, after).await;
            let refused = target.open().await.unwrap_err();
            assert!(
                matches!(&refused, DatabaseError::Schema(text) if text.contains("undercroft copy")),
                "{refused}"
            );
            let state = Database::look(&target.url.parse().unwrap(), Context::system()).await.unwrap();
            assert_eq!(state, SchemaState::CopyIncomplete);
        }
        let report = copied(&shop.url, &target.url).await;
        assert!(report.resumed > 0);
        assert_eq!(check(&target.open().await.unwrap(), false).await.unwrap(), []);
    }
}

on_both_engines!(a_copy_that_its_observer_ends_continues_after_the_rows_that_it_reported);
async fn a_copy_that_its_observer_ends_continues_after_the_rows_that_it_reported(shop: &Shop) {
    import_all(&shop.store, ONLINE_RETAIL).await;
    let target = Target::sqlite();
    let mut observer = Stopping { rows: 0 };
    let (from, to) = (shop.url.parse().unwrap(), target.url.parse().unwrap());
    let stopped = copy(&from, &to, Context::system(), &mut observer).await.unwrap_err();
    assert!(matches!(stopped, CopyError::Stopped), "{stopped}");
    assert_eq!(copied(&shop.url, &target.url).await.resumed, observer.rows);
}

on_both_engines!(a_copy_does_not_continue_after_the_source_has_changed);
async fn a_copy_does_not_continue_after_the_source_has_changed(shop: &Shop) {
    import_all(&shop.store, ONLINE_RETAIL).await;
    let target = Target::sqlite();
    kill(&shop.url, &target.url, 20).await;
    shop.customer().await;
    let error = refused(&shop.url, &target.url).await;
    assert!(
        matches!(&error, CopyError::SourceChanged(tables) if tables == "user_data_versions, users"),
        "{error}"
    );
}

on_both_engines!(a_store_is_never_the_target_of_a_copy);
async fn a_store_is_never_the_target_of_a_copy(shop: &Shop) {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let Some(target) = Target::on(engine).await else { return };
        Database::open(&target.url.parse().unwrap(), Context::system(), Setup::IfEmpty).await.unwrap();
        assert!(matches!(refused(&shop.url, &target.url).await, CopyError::NotEmpty));
    }
    assert!(matches!(refused(&shop.url, &shop.url).await, CopyError::Same));
}

on_both_engines!(a_database_of_another_program_is_never_the_target_of_a_copy);
async fn a_database_of_another_program_is_never_the_target_of_a_copy(shop: &Shop) {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let Some(target) = Target::on(engine).await else { return };
        target.script("CREATE TABLE notes (a TEXT)").await;
        assert!(matches!(refused(&shop.url, &target.url).await, CopyError::ForeignTables));
    }
}

on_both_engines!(a_copy_that_is_complete_is_reported_again_until_a_store_changes);
async fn a_copy_that_is_complete_is_reported_again_until_a_store_changes(shop: &Shop) {
    import_all(&shop.store, ONLINE_RETAIL).await;
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let Some(target) = Target::on(engine).await else { return };
        let first = copied(&shop.url, &target.url).await;
        let again = copied(&shop.url, &target.url).await;
        let rows = first.tables.iter().map(|table| table.rows).sum();
        assert_eq!(again, CopyReport { resumed: rows, ..first });

        let changed = target.open().await.unwrap();
        execute(&changed, &["UPDATE users SET name = 'changed'"]).await;
        drop(changed);
        assert!(matches!(refused(&shop.url, &target.url).await, CopyError::ChangedSince));

        let changed = target.open().await.unwrap();
        execute(&changed, &["UPDATE store_settings SET value = 'changed'"]).await;
        drop(changed);
        assert!(matches!(refused(&shop.url, &target.url).await, CopyError::NotEmpty));
    }
}

on_both_engines!(a_copy_says_that_another_one_writes_to_its_target);
async fn a_copy_says_that_another_one_writes_to_its_target(shop: &Shop) {
    import_all(&shop.store, ONLINE_RETAIL).await;
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let Some(target) = Target::on(engine).await else { return };
        let mut observer =
            Overtaken { at: CopyStep::Copying, by: (shop.url.clone(), target.url.clone()), rows: 0 };
        let (from, to) = (shop.url.parse().unwrap(), target.url.parse().unwrap());
        let error = copy(&from, &to, Context::system(), &mut observer).await.unwrap_err();
        assert!(matches!(error, CopyError::WrittenMeanwhile(_)), "{error}");
        copied(&shop.url, &target.url).await;

        let Some(target) = Target::on(engine).await else { return };
        let mut observer =
            Overtaken { at: CopyStep::Comparing, by: (shop.url.clone(), target.url.clone()), rows: 0 };
        copy(&from, &target.url.parse().unwrap(), Context::system(), &mut observer).await.unwrap();
        assert_eq!(check(&target.open().await.unwrap(), false).await.unwrap(), []);
    }
}

on_both_engines!(
    the_events_of_a_copy_are_numbered_after_those_that_were_deleted,
    ShopOptions::default().unchecked("the test deletes the events")
);
async fn the_events_of_a_copy_are_numbered_after_those_that_were_deleted(shop: &Shop) {
    Sale::begin(shop, 5, "tok_ok").await;
    let last: i64 = value(&shop.database, "SELECT MAX(seq) FROM outbox", &[]).await;
    execute(&shop.database, &["DELETE FROM outbox"]).await;
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let Some(target) = Target::on(engine).await else { return };
        copied(&shop.url, &target.url).await;
        let database = target.open().await.unwrap();
        let variant = value(&database, "SELECT variant_id FROM inventory", &[]).await;
        Sale::of(&store(&database, terms()), variant, "tok_ok").await;
        assert!(value::<i64>(&database, "SELECT MIN(seq) FROM outbox", &[]).await > last);
    }
}
