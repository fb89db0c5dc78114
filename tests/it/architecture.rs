//! The rules of docs/ARCHITECTURE.md, checked on the source: directions of use, members of rooms, names and lengths of
//! files, words, and paths in documents. Each rule is also tested with a source that breaks it.

mod asvs;
mod circles;
mod documents;
mod paths;
mod sizes;
mod words;

use std::{fs, path::Path};

/// The rooms in their order: a room may use itself and those before it.
const ROOMS: [&str; 8] =
    ["exceptions", "repositories", "events", "cache", "localization", "adapters", "guards", "middleware"];
/// The endings of the files of members, by room. The files of a room's mechanism have other names.
const MEMBERS: [(&str, &str); 7] = [
    ("exceptions", "_exception"),
    ("events", "_event"),
    ("repositories", "_repository"),
    ("cache", "_cache"),
    ("adapters", "_adapter"),
    ("guards", "_guard"),
    ("middleware", "_middleware"),
];
/// The file that converts the errors of every room; it may use all rooms.
const CONVERSIONS: &str = "src/infrastructure/exceptions/conversions.rs";
/// Names of modules that do not describe their content.
const EMPTY_NAMES: [&str; 6] = ["common", "core", "helper", "helpers", "util", "utils"];
/// Crates and modules that do I/O or belong to an async runtime.
const OUTSIDE_OF_THE_DOMAIN: [&str; 13] = [
    "axum",
    "deadpool_postgres",
    "futures_util",
    "http",
    "hyper",
    "hyper_util",
    "rusqlite",
    "std::fs",
    "std::net",
    "std::process",
    "tokio",
    "tokio_postgres",
    "tokio_util",
];
/// The folders with files of ours.
const FOLDERS: [&str; 7] = ["src", "tests", "benches", "examples", "docs", "locales", "migrations"];
/// The files of the application that belong to no capability.
const APPLICATION: [&str; 7] = [
    "audit.rs",
    "consistency.rs",
    "demo.rs",
    "idempotency.rs",
    "mod.rs",
    "partial_update.rs",
    "readiness.rs",
];

#[derive(Clone)]
struct Source {
    path: String,
    text: String,
}

impl Source {
    /// The module of the file: `src/domain/money.rs` is `domain::money`.
    fn module(&self) -> Vec<String> {
        let path = self.path.trim_start_matches("src/").trim_end_matches(".rs");
        let path = path.trim_end_matches("/mod").trim_start_matches("lib");
        path.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect()
    }

    /// Every path of ours that it names, from the root, with the text of a fault.
    fn uses(&self) -> Vec<(String, Vec<String>)> {
        let module = self.module();
        let ours = paths::named(&self.text).into_iter().filter_map(|named| {
            let path = named.absolute(&module)?;
            Some((format!("{}:{}: names {}", self.path, named.line, path.join("::")), path))
        });
        ours.collect()
    }
}

/// The directions of use between layers and rooms.
fn directions(sources: &[Source]) -> Vec<String> {
    let mut faults = Vec::new();
    for source in sources.iter().filter(|source| source.path.starts_with("src/")) {
        let module = source.module();
        let from: Vec<_> = module.iter().map(String::as_str).collect();
        for (fault, path) in source.uses() {
            let to: Vec<_> = path.iter().map(String::as_str).collect();
            if source.path != CONVERSIONS && !may_use(&from, &to)
                || source.path == CONVERSIONS && !may_use(&["infrastructure"], &to)
            {
                faults.push(fault);
            }
        }
    }
    faults
}

fn may_use(from: &[&str], to: &[&str]) -> bool {
    let room = |name: &str| ROOMS.iter().position(|room| *room == name);
    match (from, to.first().copied().unwrap_or_default()) {
        ([] | ["presentation", ..], _)
        | (["infrastructure", ..], "domain")
        | (["infrastructure"], "infrastructure") => true,
        // types that know URLs of databases, brokers and the like, files of certificates, names of caches, proxies,
        // origins, cookies, quotas, and forms of messages
        (["settings", ..], "infrastructure") => matches!(
            to[1..],
            ["repositories", "DatabaseUrl"]
                | ["events", "EventsUrl" | "Mode"]
                | ["adapters", "CertificateAuthorities" | "FilesUrl" | "MailSender" | "MailUrl" | "OtlpUrl"]
                | ["cache", "CACHES" | "CacheLimits" | "CacheUrl"]
                | ["middleware", "Origin" | "Quota" | "SameSiteCookie" | "SessionsUrl" | "TrustedProxies"]
                | ["middleware", "jwt", "Algorithm"]
        ),
        (["settings", ..], layer) => ["domain", "settings"].contains(&layer),
        (["main"], layer) => ["infrastructure", "presentation", "settings"].contains(&layer),
        (["application", ..], layer) => ["application", "domain", "infrastructure"].contains(&layer),
        (["infrastructure", mine, ..], "infrastructure") => {
            let theirs = to.get(1).and_then(|name| room(name));
            theirs.is_some_and(|theirs| room(mine).is_some_and(|mine| theirs <= mine))
        }
        ([layer, ..], other) => *layer == other,
    }
}

/// A member never imports a sibling member, neither by its module nor by its type.
fn siblings(sources: &[Source]) -> Vec<String> {
    let members: Vec<_> = sources.iter().filter_map(|source| Some((source, member(source)?))).collect();
    let mut faults = Vec::new();
    for (source, (room, name)) in &members {
        for (fault, path) in source.uses() {
            let [infrastructure, other_room, target, ..] = path.as_slice() else { continue };
            let is_sibling = |(_, (there, other)): &(&Source, (String, String))| {
                there == room && other != name && (target == other || *target == type_name(other))
            };
            if infrastructure == "infrastructure" && other_room == room && members.iter().any(is_sibling) {
                faults.push(fault);
            }
        }
    }
    faults
}

/// The room and name of a member's file.
fn member(source: &Source) -> Option<(String, String)> {
    let [infrastructure, room, name] = <[String; 3]>::try_from(source.module()).ok()?;
    let ending = MEMBERS.iter().find(|(its, _)| *its == room)?.1;
    (infrastructure == "infrastructure" && name.ends_with(ending)).then_some((room, name))
}

/// `user_repository` holds `UserRepository`.
fn type_name(file: &str) -> String {
    let word = |word: &str| word[..1].to_uppercase() + &word[1..];
    file.split('_').map(word).collect()
}

/// The domain does no I/O and uses no runtime.
fn domain_without_io(sources: &[Source]) -> Vec<String> {
    let mut faults = Vec::new();
    for source in sources.iter().filter(|source| source.path.starts_with("src/domain/")) {
        for named in paths::named(&source.text) {
            let path = named.segments.join("::") + "::";
            if OUTSIDE_OF_THE_DOMAIN.iter().any(|outside| path.starts_with(&format!("{outside}::"))) {
                faults.push(format!("{}:{}: names {path}", source.path, named.line));
            }
        }
    }
    faults
}

/// A module's name describes its content.
fn names(sources: &[Source]) -> Vec<String> {
    let is_empty = |name: &str| EMPTY_NAMES.contains(&name);
    let mut faults = Vec::new();
    for source in sources {
        if source.path.trim_end_matches(".rs").split('/').any(is_empty) {
            faults.push(format!("{}: the name does not describe the content", source.path));
        }
        for (at, line) in source.text.lines().enumerate() {
            let declared = line.trim_start().trim_start_matches("pub ").strip_prefix("mod ");
            if declared.is_some_and(|name| is_empty(name.trim_end_matches([';', '{', ' ', '}']))) {
                faults.push(format!("{}:{}: {}", source.path, at + 1, line.trim()));
            }
        }
    }
    faults
}

/// No two files use each other, nor do two folders of the application.
fn circles(sources: &[Source]) -> Vec<String> {
    let found = circles::circles(sources).into_iter().chain(circles::folder_circles(sources));
    found.map(|circle| format!("a circle: {}", circle.join(", "))).collect()
}

/// A folder of members contains members, and folders for all else.
fn folders(sources: &[Source]) -> Vec<String> {
    let is_allowed = |path: &str| {
        let of = |folder: &str| path.strip_prefix(folder).filter(|name| !name.contains('/'));
        let member = |name: &str| name == "mod.rs" || name.ends_with("_repository.rs");
        of("src/infrastructure/repositories/").is_none_or(member)
            && of("src/application/").is_none_or(|name| APPLICATION.contains(&name))
    };
    let lost = sources.iter().filter(|source| !is_allowed(&source.path));
    lost.map(|source| format!("{}: belongs in a folder", source.path)).collect()
}

/// The paths of all files in the folders of the repository, and of those beside them.
fn files() -> Vec<String> {
    fn collect(root: &Path, folder: &Path, files: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(root, &path, files);
            } else {
                files.push(path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/"));
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in FOLDERS.iter().map(|folder| root.join(folder)).filter(|folder| folder.is_dir()) {
        collect(root, &folder, &mut files);
    }
    let beside = fs::read_dir(root).unwrap().map(|entry| entry.unwrap());
    let beside = beside.filter(|entry| entry.file_type().unwrap().is_file());
    files.extend(beside.map(|entry| entry.file_name().into_string().unwrap()));
    files
}

fn read(paths: impl Iterator<Item = String>) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    paths.map(|path| Source { text: fs::read_to_string(root.join(&path)).unwrap(), path }).collect()
}

fn has_ending(path: &str, endings: &[&str]) -> bool {
    path.rsplit_once('.').is_some_and(|(_, ending)| endings.contains(&ending))
}

/// Every Rust file.
fn sources() -> Vec<Source> {
    read(files().into_iter().filter(|path| has_ending(path, &["rs"])))
}

/// Every other file with texts: documentation, settings, migrations and translations.
fn documents() -> Vec<Source> {
    let is_text =
        |path: &String| has_ending(path, &["md", "json", "sql", "toml"]) && path.as_str() != "openapi.json";
    read(files().into_iter().filter(is_text))
}

#[test]
fn the_source_follows_the_rules_of_the_architecture() {
    let sources = sources();
    let rules =
        [directions, siblings, circles, domain_without_io, names, folders, words::doc_comments, sizes::sizes];
    let mut faults: Vec<_> = rules.iter().flat_map(|rule| rule(&sources)).collect();
    let texts: Vec<_> = sources.iter().cloned().chain(documents()).collect();
    faults.extend(words::glossary(&texts));
    faults.extend(documents::missing_files(&texts, &files()));
    assert!(faults.is_empty(), "against docs/ARCHITECTURE.md:\n{}", faults.join("\n"));
    let uses: usize = sources.iter().map(|source| source.uses().len()).sum();
    assert!(sources.len() > 40 && uses > 100, "only {} files and {uses} uses were seen", sources.len());
}

fn source(path: &str, text: &str) -> Source {
    Source { path: path.to_owned(), text: text.to_owned() }
}

/// The faults of one file by a rule.
fn against(rule: fn(&[Source]) -> Vec<String>, path: &str, text: &str) -> Vec<String> {
    rule(&[source(path, text)])
}

#[test]
fn a_use_in_the_wrong_direction_is_caught() {
    let wrong = [
        ("src/domain/money.rs", "use crate::infrastructure::events::Event;"),
        ("src/domain/money.rs", "fn f() -> crate::settings::Settings {}"),
        ("src/infrastructure/events/outbox.rs", "use crate::{domain::ids::UserId, application::checkout};"),
        ("src/infrastructure/repositories/session.rs", "use super::super::events::Envelope;"),
        ("src/infrastructure/exceptions/problem.rs", "mod m { use crate::infrastructure::cache::Cached; }"),
        ("src/infrastructure/guards/admin_guard.rs", "use crate::infrastructure::middleware::Chain;"),
        ("src/infrastructure/cache/mod.rs", "use crate::infrastructure::Infrastructure;"),
        ("src/infrastructure/attic/mod.rs", "use crate::infrastructure::exceptions::Failure;"),
        ("src/infrastructure/mod.rs", "use crate::application::checkout;"),
        ("src/application/checkout.rs", "use crate::presentation::http;"),
        ("src/application/checkout.rs", "use crate::settings::Settings;"),
        ("src/settings.rs", "use crate::infrastructure::repositories::Database;"),
        ("src/main.rs", "use undercroft::application::checkout;"),
        (CONVERSIONS, "use crate::application::checkout;"),
    ];
    for (path, text) in wrong {
        assert_eq!(against(directions, path, text).len(), 1, "{path}: {text}");
    }
    let right = [
        ("src/domain/pricing.rs", "use super::money::Money; mod tests { use super::*; }"),
        ("src/infrastructure/events/envelope.rs", "use crate::infrastructure::repositories::Row;"),
        ("src/infrastructure/mod.rs", "use crate::infrastructure::middleware::Chain;"),
        ("src/application/checkout.rs", "use crate::{domain::cart::Cart, infrastructure::Infrastructure};"),
        ("src/presentation/cli/serve.rs", "use crate::{application::checkout, settings::Settings};"),
        ("src/settings.rs", "use crate::domain::money::Currency;"),
        ("src/settings.rs", "use crate::infrastructure::repositories::DatabaseUrl;"),
        ("src/main.rs", "use undercroft::{presentation::cli::Cli, settings};"),
        (CONVERSIONS, "use crate::infrastructure::{adapters::VendorError, repositories::Taken};"),
    ];
    for (path, text) in right {
        assert_eq!(against(directions, path, text), [""; 0], "{path}: {text}");
    }
}

#[test]
fn a_member_that_imports_a_sibling_is_caught() {
    let folder = "src/infrastructure/repositories";
    let user =
        || source(&format!("{folder}/user_repository.rs"), "use super::{session::Session, table::Table};");
    let order = |text| source(&format!("{folder}/order_repository.rs"), text);
    for text in [
        "use super::user_repository::find;",
        "use crate::infrastructure::repositories::UserRepository;",
        "fn f() { super::UserRepository::find(); }",
    ] {
        assert_eq!(siblings(&[user(), order(text)]).len(), 1, "{text}");
    }
    let room = source(&format!("{folder}/mod.rs"), "pub use self::user_repository::UserRepository;");
    let other =
        source("src/infrastructure/cache/user_cache.rs", "use super::super::repositories::UserRepository;");
    assert_eq!(siblings(&[user(), order("use super::session::Session;"), room, other]), [""; 0]);
}

#[test]
fn files_that_use_each_other_are_caught() {
    let order = |text| source("src/application/order.rs", text);
    let payment = |text| source("src/application/payment.rs", text);
    let room = || source("src/application/mod.rs", "pub mod order; mod payment; pub use payment::Payment;");
    let circle = ["src/application/order.rs", "src/application/payment.rs"];

    let to_order = "use super::order::Order;";
    for text in ["use super::payment::Payment;", "fn f() { crate::application::payment::pay(); }"] {
        assert_eq!(circles::circles(&[order(text), payment(to_order)]), [circle], "{text}");
    }
    let exported = "use crate::application::{Payment, other};";
    assert_eq!(circles::circles(&[order(exported), payment(to_order), room()]), [circle]);
    let job = source("src/application/job.rs", "use super::payment::*;");
    let three = [order("use super::job::Job;"), payment(to_order), job];
    let [all] = &circles::circles(&three)[..] else { panic!("one circle") };
    assert_eq!(all, &["src/application/job.rs", circle[0], circle[1]]);
    assert_eq!(circles(&three).len(), 1);

    let in_tests = "#[cfg(test)] mod tests { use crate::application::payment::Payment; }";
    assert_eq!(circles::circles(&[order(in_tests), payment(to_order)]), [[""; 0]; 0]);
    let one = source("src/application/import/run.rs", "use crate::application::lines::Line;");
    let other = source("src/application/lines/mod.rs", "use crate::application::import::record::Record;");
    let record = source("src/application/import/record.rs", "");
    assert_eq!(circles(&[one, other, record]), ["a circle: import, lines"]);
    let parent = source("src/application/mod.rs", "use self::order::Order; pub struct Store;");
    assert_eq!(circles::circles(&[order("use super::Store;"), payment(to_order), parent]), [[""; 0]; 0]);
}

#[test]
fn a_domain_that_does_io_is_caught() {
    for text in
        ["use tokio::sync::Mutex;", "use std::{fmt, fs};", "fn f() { std::net::TcpStream::connect(x); }"]
    {
        assert_eq!(against(domain_without_io, "src/domain/money.rs", text).len(), 1, "{text}");
    }
    assert_eq!(against(domain_without_io, "src/domain/money.rs", "use std::{fmt, sync::Arc};"), [""; 0]);
}

#[test]
fn a_name_that_does_not_describe_is_caught() {
    for (path, text) in [
        ("src/domain/utils.rs", ""),
        ("src/application/common/mod.rs", ""),
        ("src/lib.rs", "pub mod core;"),
        ("src/domain/money.rs", "    mod helpers {"),
    ] {
        assert_eq!(against(names, path, text).len(), 1, "{path}: {text}");
    }
    assert_eq!(against(names, "src/domain/core_range.rs", "mod common_law;"), [""; 0]);
}

#[test]
fn a_file_outside_of_the_folders_is_caught() {
    for path in ["src/infrastructure/repositories/page.rs", "src/application/checkout.rs"] {
        assert_eq!(against(folders, path, "").len(), 1, "{path}");
    }
    for path in [
        "src/infrastructure/repositories/user_repository.rs",
        "src/infrastructure/repositories/database/page.rs",
        "src/application/selling/checkout.rs",
        "src/application/mod.rs",
    ] {
        assert_eq!(against(folders, path, ""), [""; 0], "{path}");
    }
}
