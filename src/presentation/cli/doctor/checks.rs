//! The checks of `doctor`.

use std::io;
use std::net::SocketAddr;
use std::path::Path;

use jiff::SignedDuration;
use rustix::fs::{Access, access, statvfs};
use tokio::net::TcpListener;

use super::super::{Exit, counted, exit::database_exit, open_store};
use super::{Finding, Status, caches, deliveries, mail, outside, replication, taxes};
use crate::application::files::{FileCheck, check as check_files};
use crate::application::people::users;
use crate::application::{Store, audit, consistency as checker};
use crate::domain::audit::{ChainCheck, hex};
use crate::domain::context::Context;
use crate::domain::ids::PaymentId;
use crate::infrastructure::middleware::Eviction;
use crate::infrastructure::repositories::{Database, DatabaseError, SchemaState, Setup};
use crate::presentation::http::server::{connections_within, greatest_file_limit};
use crate::settings::{Sandbox, Settings};

/// The free bytes below which a disk is reported.
const LOW_SPACE: u64 = 1 << 30;
/// The finding in place of those that need the tables of a store.
const NOT_CHECKED: &str = "not checked until the database is set up: clock, sessions, payments, mail, storage, events, \
                           webhooks, admin, audit, taxes";
/// The accepted difference between two clocks.
const MAX_SKEW: SignedDuration = SignedDuration::from_secs(5);

/// Runs all checks; those that need the database are skipped if there is none.
pub(super) async fn all(settings: &Settings, books: bool) -> Vec<Finding> {
    let mut findings = vec![address(settings).await];
    findings.extend(metrics(settings).await);
    findings.extend([files(settings), sandbox(settings)]);
    findings.extend(deliveries::allowed_webhooks(settings));
    findings.extend(disk(settings));
    findings.extend(mail::pages(settings));
    findings.extend(caches::redis(settings).await);
    findings.extend(caches::check_mode(settings));
    findings.extend(outside::issuer(settings).await);
    findings.extend(outside::collector(settings).await);
    let (finding, is_usable) = database(settings).await;
    let is_set_up = is_usable || finding.status != Status::Ok;
    findings.push(finding);
    if !is_set_up {
        findings.push(Finding::ok("others", NOT_CHECKED));
    }
    if !is_usable {
        return findings;
    }
    match open_store::open_store(settings, Setup::ReadOnly).await {
        Ok(store) => {
            findings.push(clock(&store).await);
            findings.extend(replication::replication(&store).await);
            findings.extend(sessions(&store).await);
            findings.extend(gateways(&store).await);
            findings.extend(mail::server(settings, &store).await);
            findings.push(stored_files(&store).await);
            findings.extend(deliveries::events(&store).await);
            findings.extend(deliveries::broker(&store).await);
            findings.extend(deliveries::webhooks(&store).await);
            findings.extend(deliveries::private_webhooks(&store).await);
            findings.push(administrator(&store).await);
            findings.push(audit_log(&store).await);
            findings.extend(taxes::taxes(&store).await);
            if books {
                findings.push(self::books(&store).await);
            }
        }
        Err(error) => findings.push(unusable(&error)),
    }
    findings
}

/// Checks whether the server can listen on its address.
async fn address(settings: &Settings) -> Finding {
    let in_use = "a server of this store, perhaps; if none is running, set `listen` to another address";
    listening("address", settings.listen, [in_use, "set `listen` to an address of this machine"]).await
}

/// Checks whether a server or worker can listen on the address of the metrics, or does so. Without one there is no
/// finding.
async fn metrics(settings: &Settings) -> Option<Finding> {
    let address = settings.metrics.listen?;
    let in_use = "not by a server or worker that serves metrics: set `metrics.listen` to another address";
    let elsewhere = "set `metrics.listen` to an address of this machine";
    if settings.shared_address().is_some() {
        let found = format!("`serve` does not start: {address} is the address of the store, too");
        return Some(Finding::problem("metrics", found, "set `metrics.listen` to another address"));
    }
    let finding = listening("metrics", address, [in_use, elsewhere]).await;
    let is_served = finding.status == Status::Warning && outside::serves_metrics(address).await;
    Some(if is_served {
        Finding::ok("metrics", format!("{address} responds with the metrics of a server or worker"))
    } else {
        finding
    })
}

/// Checks whether a process can listen on an address, with an advice if it is in use and one if it is another fault.
async fn listening(check: &'static str, address: SocketAddr, [in_use, other]: [&'static str; 2]) -> Finding {
    match TcpListener::bind(address).await {
        Ok(_) => Finding::ok(check, format!("{address} is free")),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            Finding::warning(check, format!("{address} is in use"), in_use)
        }
        Err(error) => Finding::problem(check, format!("{address}: {error}"), other),
    }
}

/// Checks whether `max_connections` fits into the limit on open files.
fn files(settings: &Settings) -> Finding {
    let (limit, wanted) = (greatest_file_limit(), settings.http.max_connections.get());
    let fitting = connections_within(limit, wanted);
    let limit = limit.map_or_else(|| "any number of".to_owned(), |limit| limit.to_string());
    let found = format!("{limit} files may be open: enough for {fitting} connections");
    if fitting < wanted {
        let advice = "raise the hard limit on open files (`ulimit -Hn`, `LimitNOFILE`), or lower \
                      `http.max_connections`; until then the server accepts fewer connections";
        return Finding::warning("files", found, advice);
    }
    Finding::ok("files", found)
}

/// Checks whether the file of the database is writable and the disk has free space.
fn disk(settings: &Settings) -> Option<Finding> {
    let file = settings.database.file()?;
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let writable = access(folder, Access::WRITE_OK)
        .and_then(|()| if file.exists() { access(file, Access::READ_OK | Access::WRITE_OK) } else { Ok(()) });
    if let Err(error) = writable {
        let found = format!("{}: {}", file.display(), io::Error::from(error));
        let advice = "let the user of the process read and write the file and its folder";
        return Some(Finding { exit: Exit::Database, ..Finding::problem("disk", found, advice) });
    }
    let space = match statvfs(folder) {
        Ok(space) => space.f_bavail.saturating_mul(space.f_frsize),
        Err(error) => {
            return Some(Finding::warning("disk", io::Error::from(error).to_string(), "check the disk"));
        }
    };
    let found = format!("{} is writable, {} MiB are free", folder.display(), space >> 20);
    Some(if space < LOW_SPACE {
        Finding::warning("disk", found, "free some space: without it, the store cannot write orders")
    } else {
        Finding::ok("disk", found)
    })
}

/// Checks whether the database responds, and its version. Returns whether it can be used.
async fn database(settings: &Settings) -> (Finding, bool) {
    if let Some(file) = settings.database.file().filter(|file| !file.exists()) {
        let found = format!("{} does not exist yet; `serve` and `import` create it", file.display());
        return (Finding::ok("database", found), false);
    }
    let state = match Database::look(&settings.database, Context::system()).await {
        Ok(state) => state,
        Err(error) => return (unusable(&error), false),
    };
    match state {
        SchemaState::Current { version } => {
            (Finding::ok("database", format!("responds, at version {version}")), true)
        }
        SchemaState::Empty => {
            (Finding::ok("database", "responds, and is empty; `serve` and `import` set it up"), false)
        }
        SchemaState::Behind { version, missing } => {
            let behind = counted(missing as u64, "migration", "migrations");
            let found = format!("at version {version}, {behind} behind this program");
            (Finding::unusable(found, "run `undercroft migrate`", Exit::Database), false)
        }
        SchemaState::Foreign => {
            let advice = "set `database` to that of a store, or to an empty one";
            (Finding::unusable("has tables of another program", advice, Exit::Database), false)
        }
        SchemaState::CopyIncomplete => {
            let advice = "run the same `undercroft copy` or `undercroft replicate` again to complete it";
            (Finding::unusable("has an incomplete copy of another database", advice, Exit::Database), false)
        }
        SchemaState::Ahead { version } => {
            let found = format!("at version {version}, which is newer than this program");
            (Finding::unusable(found, "run the newer program", Exit::Database), false)
        }
        SchemaState::Changed { version } => {
            let found = format!("migration {version} differs from that of this program");
            let advice = "run the program that set it up, and export the store";
            (Finding::unusable(found, advice, Exit::Database), false)
        }
    }
}

/// Returns the finding for a database that cannot be opened.
fn unusable(error: &DatabaseError) -> Finding {
    let exit = database_exit(error);
    match error {
        DatabaseError::Unavailable(reason) => Finding::unusable(
            format!("cannot be reached: {reason}"),
            "start the database, or correct `database` in the settings",
            exit,
        ),
        DatabaseError::Missing(reason) => Finding::unusable(
            reason.clone(),
            "create the database, or correct `database` in the settings",
            exit,
        ),
        DatabaseError::ReadOnly(_) => Finding::unusable(
            error.to_string(),
            "let the user of the process read and write the database (of SQLite: the file and its folder)",
            exit,
        ),
        DatabaseError::Schema(reason) => {
            Finding::unusable(reason.clone(), "correct that, or `database` in the settings", exit)
        }
        _ => Finding::unusable(
            format!("responds, but cannot be used: {error}"),
            "restore a backup, or correct `database` in the settings",
            exit,
        ),
    }
}

/// Compares the clocks of this machine and the database.
async fn clock(store: &Store) -> Finding {
    let here = store.database().context().clock.now();
    match store.database().time().await {
        Ok(there) if (here.duration_since(there)).abs() > MAX_SKEW => Finding::problem(
            "clock",
            format!("it is {here} here, and {there} in the database"),
            "synchronize both clocks with a time server",
        ),
        Ok(_) => Finding::ok("clock", format!("it is {here}, also in the database")),
        Err(error) => Finding::problem("clock", error.to_string(), "check the database"),
    }
}

/// Checks whether the Redis of the sessions responds, and keeps them. Sessions in the database have no finding.
async fn sessions(store: &Store) -> Option<Finding> {
    Some(match store.infrastructure.sessions.eviction().await? {
        Ok(Eviction::Never) => {
            Finding::ok("sessions", "their Redis responds, and removes no session to make room")
        }
        Ok(Eviction::By(policy)) => Finding::warning(
            "sessions",
            format!("their Redis removes keys when its memory is full (maxmemory-policy {policy})"),
            "set its `maxmemory-policy` to `noeviction`, or users may have to log in again",
        ),
        Ok(Eviction::Unknown) => Finding::ok(
            "sessions",
            "their Redis responds; it does not say whether it removes sessions to make room",
        ),
        Err(error) => Finding::problem(
            "sessions",
            error.to_string(),
            "start Redis, or correct `sessions` in the settings; until then users who are logged in get 503",
        ),
    })
}

/// Checks that the file storage can be written, and has the content of each file.
async fn stored_files(store: &Store) -> Finding {
    let files = &store.infrastructure.files;
    if let Err(error) = files.storage().check().await {
        let advice = "make the folder writable for the user of the process, also in `ReadWritePaths` of a unit of \
                      systemd, or correct `files.url` in the settings; until then uploads get 503";
        return Finding::problem("storage", error.to_string(), advice);
    }
    let shown = files.shown();
    let advice = "copy the missing contents into the file storage, or correct `files.url` in the settings";
    match check_files(store).await {
        Ok(FileCheck { files, missing: 0, damaged: 0 }) => {
            let found = format!("{shown} has {}, and can be written", counted(files, "file", "files"));
            Finding::ok("storage", found)
        }
        Ok(FileCheck { files, missing, damaged }) => {
            let found = format!(
                "of {files} files, {missing} are not in {shown}, and {damaged} have another size there"
            );
            Finding::problem("storage", found, advice)
        }
        Err(failure) => Finding::problem("storage", format!("{shown}: {}", failure.report()), advice),
    }
}

/// Checks whether each payment provider responds.
async fn gateways(store: &Store) -> Vec<Finding> {
    let mut findings = Vec::new();
    if store.infrastructure.gateways.names().next().is_none() {
        let found = "there is no payment provider: no order can be placed";
        findings.push(Finding::warning("payments", found, "enable the sandbox, for tests"));
    }
    for name in store.infrastructure.gateways.names() {
        let Some(gateway) = store.infrastructure.gateways.get(name) else { continue };
        // of no payment: the provider responds that it does not know it
        let unknown = PaymentId(store.database().context().ids.uuid());
        findings.push(match gateway.look_up(unknown).await {
            Ok(_) => Finding::ok("payments", format!("{name} responds")),
            Err(error) => Finding::problem(
                "payments",
                format!("{name}: {error}"),
                "check the status of the provider, and the keys in the settings",
            ),
        });
    }
    findings
}

/// Checks that the sandbox is not public by accident.
fn sandbox(settings: &Settings) -> Finding {
    match (settings.payments.sandbox, settings.public_address()) {
        (Sandbox::Local, Some(address)) => {
            let found = format!("`serve` does not start, because other machines reach {address}");
            let advice = "set `payments.sandbox` to \"disabled\", or to \"enabled\" for a store of tests";
            Finding::problem("sandbox", found, advice)
        }
        (Sandbox::Enabled, Some(address)) => {
            let found =
                format!("enabled, and other machines reach {address}: payments succeed without money");
            Finding::warning(
                "sandbox",
                found,
                "set `payments.sandbox` to \"disabled\", unless this is a store of tests",
            )
        }
        (Sandbox::Local | Sandbox::Enabled, None) => Finding::ok(
            "sandbox",
            "enabled: payments succeed without money; only this machine reaches the store",
        ),
        (Sandbox::Disabled, _) => Finding::ok("sandbox", "disabled"),
    }
}

/// Checks that there is an administrator.
async fn administrator(store: &Store) -> Finding {
    match users::has_admin(store).await {
        Ok(true) => Finding::ok("admin", "there is an administrator"),
        Ok(false) => Finding::warning(
            "admin",
            "there is no administrator",
            "create one: `undercroft admin create --email you@example.com`",
        ),
        Err(failure) => Finding::problem("admin", failure.report().to_string(), "check the database"),
    }
}

/// Verifies the audit log.
async fn audit_log(store: &Store) -> Finding {
    match audit::verify(store, None).await {
        Ok((ChainCheck { number: 0, .. }, None)) => Finding::ok("audit", "there are no entries"),
        Ok((ChainCheck { number, hash }, None)) => {
            Finding::ok("audit", format!("no entry was changed; the last is {number}:{}", hex(&hash)))
        }
        Ok((_, Some(broken))) => Finding::problem(
            "audit",
            broken.to_string(),
            "the database was written to by other programs: compare the audit log with a backup",
        ),
        Err(error) => Finding::problem("audit", error.to_string(), "check the database"),
    }
}

/// Checks the invariants of money, stock and numbers.
async fn books(store: &Store) -> Finding {
    match checker::check(store.database(), false).await {
        Ok(broken) if broken.is_empty() => Finding::ok("books", "money, stock and numbers are consistent"),
        Ok(broken) => {
            let rules: Vec<_> = broken
                .iter()
                .map(|broken| {
                    format!("{} ({})", broken.rule, counted(broken.rows.cast_unsigned(), "row", "rows"))
                })
                .collect();
            let advice = "if payments of cancelled orders are listed, refund them; if others are, make a backup and report a bug";
            Finding::problem("books", rules.join("; "), advice)
        }
        Err(failure) => Finding::problem("books", failure.report().to_string(), "check the database"),
    }
}
