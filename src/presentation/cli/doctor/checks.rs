//! The checks of `doctor`, each by itself.

use std::io;
use std::path::{Path, PathBuf};

use jiff::SignedDuration;
use rustix::fs::{Access, access, statvfs};
use secrecy::ExposeSecret;
use tokio::net::TcpListener;

use super::super::opening;
use super::Finding;
use crate::application::{Store, consistency as checker};
use crate::domain::context::Context;
use crate::domain::ids::PaymentId;
use crate::infrastructure::repositories::{Database, SchemaState, Setup};
use crate::settings::Settings;

/// Free space below which a disk is nearly full.
const ROOM: u64 = 1 << 30;
/// How far two clocks may be apart.
const SKEW: SignedDuration = SignedDuration::from_secs(5);

/// What all checks found; those that need the database are left out where there is none.
pub(super) async fn all(settings: &Settings, books: bool) -> Vec<Finding> {
    let mut findings = vec![address(settings).await];
    findings.extend(disk(settings));
    let (finding, is_there) = database(settings).await;
    findings.push(finding);
    if !is_there {
        return findings;
    }
    match opening::open(settings, Setup::Never).await {
        Ok(store) => {
            findings.push(clock(&store).await);
            findings.extend(gateways(&store).await);
            if books {
                findings.push(self::books(&store).await);
            }
        }
        Err(error) => findings.push(Finding::problem("settings", error.to_string(), "correct the setting")),
    }
    findings
}

/// Whether the address can be listened on.
async fn address(settings: &Settings) -> Finding {
    match TcpListener::bind(settings.listen).await {
        Ok(_) => Finding::ok("address", format!("{} is free", settings.listen)),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Finding::warning(
            "address",
            format!("{} is taken", settings.listen),
            "if that is not this store running, set `listen` to another address",
        ),
        Err(error) => Finding::problem(
            "address",
            format!("{}: {error}", settings.listen),
            "set `listen` to an address of this machine",
        ),
    }
}

/// The file of the database, if it is one on this machine.
fn file(settings: &Settings) -> Option<PathBuf> {
    settings.database.expose_secret().strip_prefix("sqlite:").map(PathBuf::from)
}

/// Whether the database's file can be written and has room to grow.
fn disk(settings: &Settings) -> Option<Finding> {
    let file = file(settings)?;
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let writable = access(folder, Access::WRITE_OK).and_then(|()| {
        if file.exists() { access(&file, Access::READ_OK | Access::WRITE_OK) } else { Ok(()) }
    });
    if let Err(error) = writable {
        let found = format!("{}: {}", file.display(), io::Error::from(error));
        return Some(Finding::problem(
            "disk",
            found,
            "let the user who runs the store write the file and its folder",
        ));
    }
    let space = match statvfs(folder) {
        Ok(space) => space.f_bavail.saturating_mul(space.f_frsize),
        Err(error) => {
            return Some(Finding::warning("disk", io::Error::from(error).to_string(), "look at the disk"));
        }
    };
    let found = format!("{} is writable, {} MiB are free", folder.display(), space >> 20);
    Some(if space < ROOM {
        Finding::warning("disk", found, "make room: a store that cannot write cannot sell")
    } else {
        Finding::ok("disk", found)
    })
}

/// Whether the database answers, and at which version; and whether it can be used.
async fn database(settings: &Settings) -> (Finding, bool) {
    if file(settings).is_some_and(|file| !file.exists()) {
        return (Finding::ok("database", "not there yet: `serve` and `import` make it"), false);
    }
    let state = match Database::look(settings.database.expose_secret(), Context::system()).await {
        Ok(state) => state,
        Err(error) => {
            let advice = "start the database, or correct `database` in the settings";
            return (Finding::problem("database", error.to_string(), advice), false);
        }
    };
    match state {
        SchemaState::Current { version } => {
            (Finding::ok("database", format!("answers, at version {version}")), true)
        }
        SchemaState::Empty => {
            (Finding::ok("database", "answers, and is empty: `serve` and `import` set it up"), false)
        }
        SchemaState::Behind { version, missing } => {
            let found = format!("at version {version}, {missing} behind this program");
            (Finding::problem("database", found, "run `undercroft migrate`"), false)
        }
        SchemaState::Ahead { version } => {
            let found = format!("at version {version}, which this program does not know");
            (Finding::problem("database", found, "run the newer program that made it"), false)
        }
        SchemaState::Changed { version } => {
            let found = format!("migration {version} is not the one that this program has");
            (Finding::problem("database", found, "run the program that set it up, and export from it"), false)
        }
    }
}

/// Whether this machine and the database agree about the time.
async fn clock(store: &Store) -> Finding {
    let here = store.database().context().clock.now();
    match store.database().time().await {
        Ok(there) if (here.duration_since(there)).abs() > SKEW => Finding::problem(
            "clock",
            format!("it is {here} here and {there} in the database"),
            "set both clocks by a time server",
        ),
        Ok(_) => Finding::ok("clock", format!("it is {here}, in the database too")),
        Err(error) => Finding::problem("clock", error.to_string(), "look at the database"),
    }
}

/// Whether each payment vendor answers.
async fn gateways(store: &Store) -> Vec<Finding> {
    let mut findings = Vec::new();
    for name in store.infrastructure.gateways.names() {
        let Some(gateway) = store.infrastructure.gateways.get(name) else { continue };
        // a payment that nobody made
        let nobodys = PaymentId(store.database().context().ids.uuid());
        findings.push(match gateway.look_up(nobodys).await {
            Ok(_) => Finding::ok("payments", format!("{name} answers")),
            Err(error) => Finding::problem(
                "payments",
                format!("{name}: {error}"),
                "look at the vendor's status and keys",
            ),
        });
    }
    findings
}

/// Whether money, stock and numbers agree with each other.
async fn books(store: &Store) -> Finding {
    match checker::check(store.database(), false).await {
        Ok(broken) if broken.is_empty() => Finding::ok("books", "money, stock and numbers agree"),
        Ok(broken) => {
            let rules: Vec<_> =
                broken.iter().map(|broken| format!("{} ({} rows)", broken.rule, broken.rows)).collect();
            Finding::problem("books", rules.join("; "), "keep a copy of the database, and report this")
        }
        Err(failure) => Finding::problem("books", failure.report().to_string(), "look at the database"),
    }
}
