//! The temporary store of a test, and its server.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::Method;
use jiff::SignedDuration;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::super::CliError;
use super::cache_watch::{ByCache, CacheWatch, Counted, LastCounted};
use super::client::{Client, NoResponse, Response};
use super::error::TortureError;
use crate::domain::context::Context;
use crate::domain::ids::{ProductId, UserId, VariantId};
use crate::domain::money::Currency;
use crate::domain::product::{Product, Variant};
use crate::domain::user::{Role, Session, User, token_hash};
use crate::infrastructure::events::cache_invalidation;
use crate::infrastructure::exceptions::{Failure, Technical};
use crate::infrastructure::repositories::{
    Database, DatabaseUrl, ProductRepository, Setup, UnitOfWork, sqlite_side_files,
};
use crate::settings::{PREFIX, environment};

/// A temporary store.
pub(super) struct TestStore {
    database: Database,
    url: DatabaseUrl,
    /// Whether the database is a SQLite file of this test.
    is_temporary: bool,
    /// The session token of the administrator.
    token: String,
    /// How the caches of the servers are watched.
    watching: Watching,
    /// What the caches of each server counted.
    counted: Mutex<Vec<LastCounted>>,
}

/// How the caches of servers are watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Watching {
    /// They are not.
    No,
    /// They are in check mode, and their pages are read.
    Pages,
    /// They are in check mode, which the requests of the test are enough for.
    Checks,
    /// What they count is read.
    Counts,
}

impl TestStore {
    /// Sets up a store. Fails if the database contains one; nothing is changed then.
    pub(super) async fn open(url: Option<DatabaseUrl>, folder: &Path) -> Result<Self, CliError> {
        let context = Context::system();
        let is_temporary = url.is_none();
        let url = url.unwrap_or_else(|| {
            DatabaseUrl::Sqlite(folder.join(format!("torture-{}.db", context.ids.uuid().simple())))
        });
        let token = new_token(&context);
        // what it writes while servers run must be known to their caches
        let database = Database::open(&url, context, Setup::IfEmpty).await?;
        let database = database.publishing_tags(cache_invalidation);
        if !database.is_new() {
            return Err(TortureError::NotEmpty.into());
        }
        database
            .write(token_hash(&token), async |work, hash| user(work, hash, Role::Admin, None).await)
            .await
            .map_err(CliError::Store)?;
        let (watching, counted) = (Watching::No, Mutex::default());
        Ok(Self { database, url, is_temporary, token, watching, counted })
    }

    /// Watches the caches of the servers.
    pub(super) fn watching(self, watching: Watching) -> Self {
        Self { watching, ..self }
    }

    /// Returns whether the servers compare what they serve from caches with the database.
    pub(super) fn verifies_caches(&self) -> bool {
        matches!(self.watching, Watching::Pages | Watching::Checks)
    }

    /// Returns what the caches of all servers counted, by their names; nothing if they are not watched.
    pub(super) fn by_cache(&self) -> ByCache {
        let mut sums = ByCache::new();
        for server in self.counted.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            for (name, counted) in server.lock().unwrap_or_else(PoisonError::into_inner).iter() {
                let sum = sums.entry(name.clone()).or_default();
                *sum = Counted::sum([&*sum, counted].into_iter());
            }
        }
        sums
    }

    /// Forgets what the caches counted until now.
    pub(super) fn forget_counted(&self) {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Returns the session token of the administrator.
    pub(super) fn token(&self) -> &str {
        &self.token
    }

    /// Watches the caches of a server.
    fn watch(&self, address: SocketAddr) -> Option<CacheWatch> {
        let guest = match self.watching {
            Watching::No => return None,
            Watching::Pages => Some(Client::new(address, None)),
            Watching::Checks | Watching::Counts => None,
        };
        let counted = LastCounted::default();
        self.counted.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&counted));
        let admin = || Client::new(address, Some(self.token.clone()));
        Some(CacheWatch::start(guest, [admin(), admin()], counted))
    }

    /// Creates a user with a session, an administrator with this role of the staff if one is named, and returns the
    /// token of the session.
    pub(super) async fn user(&self, staff_role: Option<&'static str>) -> Result<String, CliError> {
        let token = new_token(self.database.context());
        let given = (token_hash(&token), staff_role);
        let write = self.database.write(given, async |work, (hash, staff_role)| {
            let role = if staff_role.is_some() { Role::Admin } else { Role::Customer };
            user(work, hash, role, *staff_role).await
        });
        write.await.map_err(CliError::Store)?;
        Ok(token)
    }

    /// Runs a command of the program with the store, such as an import.
    pub(super) async fn run(&self, arguments: &[&OsStr]) -> Result<(), CliError> {
        let program = std::env::current_exe().map_err(TortureError::Child)?;
        let mut command = Command::new(program);
        self.without_settings(&mut command).args(arguments).stdout(Stdio::null()).kill_on_drop(true);
        let ended = command.status().await.map_err(TortureError::Child)?;
        if ended.success() { Ok(()) } else { Err(TortureError::Command.into()) }
    }

    /// Lets a command use the store, and none of the settings of this process.
    fn without_settings<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        for (name, _) in environment().filter(|(name, _)| is_setting(name)) {
            command.env_remove(name);
        }
        // an empty file, in place of an undercroft.toml in this folder
        command.args(["--config", "/dev/null"]).env(format!("{PREFIX}DATABASE"), self.url())
    }

    /// Removes the temporary SQLite database. That of `--on` remains.
    pub(super) fn remove(self) -> Result<(), CliError> {
        let Self { database, url, is_temporary, .. } = self;
        drop(database);
        let Some(file) = url.file().filter(|_| is_temporary) else { return Ok(()) };
        sqlite_side_files::remove(file).map_err(|source| CliError::File { file: file.clone(), source })
    }

    /// Returns the database.
    pub(super) fn database(&self) -> &Database {
        &self.database
    }

    /// Returns the URL of the database, with its password.
    pub(super) fn url(&self) -> String {
        self.url.expose_secret()
    }

    /// Creates a product with `stock` pieces of one variant, and returns the variant.
    pub(super) async fn product(&self, stock: i64) -> Result<VariantId, CliError> {
        self.database.write(stock, product).await.map_err(CliError::Store)
    }

    /// Starts the server with the default settings but without limits of requests and holds, and without one of the
    /// requests in progress: neither the variables nor the file of this process change them.
    pub(super) async fn serve(&self) -> Result<Server, CliError> {
        self.serve_with(&[]).await
    }

    /// Starts the server as [`serve`](Self::serve) with other settings, each a name without the prefix and a value.
    pub(super) async fn serve_with(&self, settings: &[(&str, &str)]) -> Result<Server, CliError> {
        self.serve_on(None, settings).await
    }

    /// Starts the server as [`serve_with`](Self::serve_with), on one processor.
    pub(super) async fn serve_on(
        &self,
        processor: Option<u32>,
        settings: &[(&str, &str)],
    ) -> Result<Server, CliError> {
        let program = std::env::current_exe().map_err(TortureError::Child)?;
        let mut command = match processor {
            Some(_) => Command::new("taskset"),
            None => Command::new(&program),
        };
        if let Some(processor) = processor {
            command.args(["-c", &processor.to_string()]).arg(&program);
        }
        let mut child = self
            .without_settings(&mut command)
            .args(["serve", "--no-demo", "--listen", "127.0.0.1:0", "--log-level", "error"])
            .env(format!("{PREFIX}RATE_LIMITS__ENABLED"), "false")
            .env(format!("{PREFIX}HOLDS__ENABLED"), "false")
            .env(format!("{PREFIX}OVERLOAD__ENABLED"), "false")
            .env(format!("{PREFIX}CACHES__VERIFY"), self.verifies_caches().to_string())
            .envs(settings.iter().map(|(name, value)| (format!("{PREFIX}{name}"), value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(TortureError::Child)?;
        let stdout = child.stdout.take().ok_or(TortureError::ChildUnresponsive)?;
        let mut lines = BufReader::new(stdout).lines();
        while let Some(line) = lines.next_line().await.map_err(TortureError::Child)? {
            if let Some(address) = line.strip_prefix("listening on http://") {
                let address = address.parse().map_err(|_| TortureError::ChildUnresponsive)?;
                let watch = self.watch(address);
                return Ok(Server { child, address, token: self.token.clone(), watch });
            }
        }
        Err(TortureError::ChildUnresponsive.into())
    }
}

/// A running server.
pub(super) struct Server {
    child: Child,
    address: SocketAddr,
    token: String,
    /// What reads from its caches, in check mode.
    watch: Option<CacheWatch>,
}

impl Server {
    /// Returns the client of a guest.
    pub(super) fn guest(&self) -> Client {
        Client::new(self.address, None)
    }

    /// Returns the client of a user, with the token of a session.
    pub(super) fn client(&self, token: &str) -> Client {
        Client::new(self.address, Some(token.to_owned()))
    }

    /// Returns the client of the administrator.
    pub(super) fn admin(&self) -> Client {
        self.client(&self.token)
    }

    /// Returns the id of the process, if it runs.
    pub(super) fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Returns the address of the server.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops the server (SIGTERM), and waits until it has ended; returns whether it ended successfully.
    pub(super) async fn stop(mut self) -> Result<bool, CliError> {
        self.end_watch().await;
        signal(&self.child, Signal::TERM)?;
        Ok(self.child.wait().await.map_err(TortureError::Child)?.success())
    }

    /// Kills the server (SIGKILL).
    pub(super) async fn kill(mut self) -> Result<(), CliError> {
        self.end_watch().await;
        Ok(self.child.kill().await.map_err(TortureError::Child)?)
    }

    async fn end_watch(&mut self) {
        if let Some(watch) = self.watch.take() {
            watch.end().await;
        }
    }
}

/// Sends a signal to a process that was started.
pub(super) fn signal(child: &Child, signal: Signal) -> Result<(), TortureError> {
    let id = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    let id = id.ok_or(TortureError::ChildUnresponsive)?;
    kill_process(id, signal).map_err(|error| TortureError::Child(error.into()))
}

/// Returns whether an environment variable is a setting.
fn is_setting(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(PREFIX.as_bytes())
}

/// Creates a cart with one piece of a variant, and returns its id.
pub(super) async fn fill_cart(client: &mut Client, variant: VariantId) -> Result<String, NoResponse> {
    let cart = client.send(Method::POST, "/v1/carts", Some(&json!({})), None).await?.text("id");
    let path = format!("/v1/carts/{cart}/items/{variant}");
    client.send(Method::PUT, &path, Some(&json!({ "quantity": 1 })), None).await?;
    Ok(cart)
}

/// Checks a cart out.
pub(super) async fn check_out(
    client: &mut Client,
    cart: &str,
    token: &str,
    key: &str,
) -> Result<Response, NoResponse> {
    let path = format!("/v1/carts/{cart}/checkout");
    client.send(Method::POST, &path, Some(&checkout(token)), Some(key)).await
}

/// Returns the body of a checkout.
pub(super) fn checkout(token: &str) -> Value {
    json!({
        "email": "buyer@example.com",
        "shipping_address": {
            "name": "Ann Buyer", "line1": "Marktplatz 1", "city": "Bremen", "postal_code": "28195", "country": "DE"
        },
        "payment": { "provider": "sandbox", "token": token }
    })
}

/// Returns a new token of a session.
fn new_token(context: &Context) -> String {
    let mut secret = [0; 15];
    context.ids.secret(&mut secret);
    URL_SAFE_NO_PAD.encode(secret)
}

/// Creates a user with a session.
async fn user(
    work: &mut UnitOfWork,
    token_hash: &[u8],
    role: Role,
    staff_role: Option<&str>,
) -> Result<(), Failure> {
    let (now, id): (_, UserId) = (work.now(), work.id());
    let email = format!("torture-{}@example.invalid", id.0.simple());
    let user = User {
        staff_role: staff_role.map(str::to_owned),
        ..User::new(id, email, "Torture".into(), role, now)
    };
    work.insert(&user).await?;
    let expires_at = now.checked_add(SignedDuration::from_hours(24)).map_err(Technical::internal)?;
    let session = Session::new(token_hash.to_owned(), user.id, now, expires_at);
    Ok(work.insert(&session).await?)
}

async fn product(work: &mut UnitOfWork, stock: &i64) -> Result<VariantId, Failure> {
    let now = work.now();
    let (id, variant_id): (ProductId, VariantId) = (work.id(), work.id());
    let prices = BTreeMap::from([(Currency::EUR, 10_000)]);
    let product = Product {
        variants: vec![Variant::new(variant_id, id, variant_id.to_string(), prices)],
        ..Product::new(id, format!("scarce-{}", id.0.simple()), "Scarce product".into(), now)
    };
    let stock = BTreeMap::from([(variant_id, Some(*stock))]);
    ProductRepository::insert(work, &product, &stock).await.map_err(Technical::internal)?;
    Ok(variant_id)
}
