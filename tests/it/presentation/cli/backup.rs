//! `backup` and `restore`, while a server runs and after it has stopped.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use tempfile::TempDir;
use undercroft::domain::context::Context;
use undercroft::infrastructure::repositories::{Database, Setup};

use super::{DEMO, create_cart, get, run, serve};
use crate::support::store::execute;

/// Creates a cart; returns its id.
fn new_cart(address: &str) -> String {
    let response = create_cart(address);
    let (_, id) = response.split_once("\"id\":\"").expect(&response);
    id.split('"').next().unwrap().to_owned()
}

fn succeed(folder: &Path, arguments: &[&str]) -> String {
    let (code, output, errors) = run(folder, arguments);
    assert_eq!(code, Some(0), "{errors}");
    output
}

#[test]
fn a_backup_under_load_has_all_that_was_acknowledged_before_it() {
    let folder = TempDir::new().unwrap();
    let (server, address) = serve(folder.path());
    let before: Vec<_> = (0..20).map(|_| new_cart(&address)).collect();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    new_cart(&address);
                }
            });
        }
        succeed(folder.path(), &["backup", "copy.db"]);
        stop.store(true, Ordering::Relaxed);
    });
    let after = new_cart(&address);
    server.stop();
    let mode = fs::metadata(folder.path().join("copy.db")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let other = TempDir::new().unwrap();
    let backup = folder.path().join("copy.db").display().to_string();
    succeed(other.path(), &["restore", &backup]);
    assert_eq!(fs::read_dir(other.path()).unwrap().count(), 1);
    succeed(other.path(), &["doctor", "--books", "--listen", "127.0.0.1:0"]);
    let (server, address) = serve(other.path());
    for cart in before {
        assert!(get(&address, &format!("/v1/carts/{cart}")).starts_with("HTTP/1.1 200 "), "{cart}");
    }
    assert!(get(&address, &format!("/v1/carts/{after}")).starts_with("HTTP/1.1 404 "));
    server.stop();
}

#[test]
fn a_restore_replaces_a_store_only_by_force_and_never_one_in_use() {
    let folder = TempDir::new().unwrap();
    let (server, address) = serve(folder.path());
    let kept = new_cart(&address);
    succeed(folder.path(), &["backup", "copy.db"]);
    let (code, _, errors) = run(folder.path(), &["backup", "copy.db"]);
    assert_eq!(
        (code, errors.as_str()),
        (Some(2), "undercroft: copy.db exists; a backup does not overwrite a file\n")
    );
    let lost = new_cart(&address);

    let (code, _, errors) = run(folder.path(), &["restore", "copy.db"]);
    assert_eq!(code, Some(2), "{errors}");
    assert_eq!(errors, "undercroft: undercroft.db is not empty; `--force` replaces its content\n");
    let (code, _, errors) = run(folder.path(), &["restore", "--force", "copy.db"]);
    assert_eq!(code, Some(4), "{errors}");
    assert_eq!(errors, "undercroft: undercroft.db is in use; stop the server first\n");
    assert!(get(&address, &format!("/v1/carts/{lost}")).starts_with("HTTP/1.1 200 "));
    server.signal("KILL");
    server.exit();

    succeed(folder.path(), &["restore", "--force", "copy.db"]);
    let (server, address) = serve(folder.path());
    assert!(get(&address, &format!("/v1/carts/{kept}")).starts_with("HTTP/1.1 200 "));
    assert!(get(&address, &format!("/v1/carts/{lost}")).starts_with("HTTP/1.1 404 "));
    server.stop();
}

#[test]
fn a_damaged_backup_is_refused_and_the_store_is_unchanged() {
    let folder = TempDir::new().unwrap();
    let (server, address) = serve(folder.path());
    let kept = new_cart(&address);
    succeed(folder.path(), &["backup", "copy.db"]);
    server.stop();
    let file = folder.path().join("copy.db");
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..].fill(0xA5);
    fs::write(&file, &bytes).unwrap();
    fs::write(folder.path().join("text.db"), "no database").unwrap();

    for damaged in ["copy.db", "text.db", "none.db"] {
        let (code, output, errors) = run(folder.path(), &["restore", "--force", damaged]);
        assert!(code.is_some_and(|code| code != 0) && output.is_empty(), "{damaged}: {errors}");
        assert!(errors.matches("the database").count() <= 1, "a cause is printed twice: {errors}");
        assert!(errors.contains(damaged) && !errors.contains(".part"), "{errors}");
    }
    let (server, address) = serve(folder.path());
    assert!(get(&address, &format!("/v1/carts/{kept}")).starts_with("HTTP/1.1 200 "));
    server.stop();
}

#[test]
fn a_backup_of_an_older_program_is_refused_with_how_to_migrate_it() {
    let folder = TempDir::new().unwrap();
    succeed(folder.path(), &["migrate"]);
    succeed(folder.path(), &["backup", "copy.db"]);
    let backup = rusqlite::Connection::open(folder.path().join("copy.db")).unwrap();
    let last = "DELETE FROM schema_migrations WHERE version = (SELECT MAX(version) FROM schema_migrations)";
    backup.execute(last, []).unwrap();
    backup.close().unwrap();
    let (code, _, errors) = run(folder.path(), &["restore", "--force", "copy.db"]);
    assert_eq!(code, Some(4), "{errors}");
    let expected = "undercroft: copy.db is 1 migration behind this program: migrate it first, with `undercroft migrate \
                    --database sqlite:copy.db`, or restore it with the program that made it\n";
    assert_eq!(errors, expected);
}

#[tokio::test]
async fn a_store_that_violates_a_rule_is_backed_up_and_restored_with_a_warning() {
    let folder = TempDir::new().unwrap();
    let (server, address) = serve(folder.path());
    let kept = new_cart(&address);
    server.stop();
    fs::write(folder.path().join("demo.jsonl"), DEMO).unwrap();
    succeed(folder.path(), &["import", "demo.jsonl"]);
    let url = format!("sqlite:{}", folder.path().join("undercroft.db").display()).parse().unwrap();
    let database = Database::open(&url, Context::system(), Setup::IfEmpty).await.unwrap();
    execute(&database, &["UPDATE inventory SET reserved = 1 WHERE stock > 0"]).await;
    drop(database);

    for arguments in [&["backup", "copy.db"][..], &["restore", "--force", "copy.db"]] {
        let (code, output, errors) = run(folder.path(), arguments);
        assert!(code == Some(0) && output.contains("copy.db"), "{errors}");
        assert!(errors.starts_with("warning: the store violates a rule: "), "{errors}");
    }
    let (server, address) = serve(folder.path());
    assert!(get(&address, &format!("/v1/carts/{kept}")).starts_with("HTTP/1.1 200 "));
    server.stop();
}

#[test]
fn on_postgres_the_commands_of_postgres_are_named() {
    let operations = fs::read_to_string("docs/OPERATIONS.md").unwrap();
    for command in ["backup", "restore"] {
        let (code, _, errors) =
            run(Path::new("."), &[command, "copy.dump", "--database", "postgres://u@h/d"]);
        assert_eq!(code, Some(2), "{errors}");
        let (_, instead) = errors.trim_end().split_once("On PostgreSQL: ").expect(&errors);
        assert!(operations.contains(instead), "docs/OPERATIONS.md does not contain: {instead}");
    }
}
