//! The files of a SQLite database: which ones are left by a process, and which ones a process refuses.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use super::{SERVE, create_cart, get, run, serve};

/// Creates a cart.
fn write(address: &str) {
    let response = create_cart(address);
    assert!(response.starts_with("HTTP/1.1 201 "), "{response}");
}

fn files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn after_an_orderly_end_the_file_alone_is_the_store_and_only_its_user_may_read_it() {
    let folder = TempDir::new().unwrap();
    let (server, address) = serve(folder.path());
    write(&address);
    for name in files(folder.path()) {
        let mode = fs::metadata(folder.path().join(&name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    server.stop();
    assert_eq!(files(folder.path()), ["undercroft.db"]);

    let copy = TempDir::new().unwrap();
    fs::copy(folder.path().join("undercroft.db"), copy.path().join("undercroft.db")).unwrap();
    for arguments in [&["export"][..], &["migrate"], &["doctor", "--listen", "127.0.0.1:0"]] {
        let (code, _, errors) = run(copy.path(), arguments);
        assert_eq!(code, Some(0), "{errors}");
        assert_eq!(files(copy.path()), ["undercroft.db"], "{arguments:?}");
    }
}

#[test]
fn a_program_that_reads_the_file_beside_the_server_removes_no_changes_of_it() {
    let folder = TempDir::new().unwrap();
    let (server, address) = serve(folder.path());
    let carts = || {
        let database = rusqlite::Connection::open(folder.path().join("undercroft.db")).unwrap();
        database.query_row("SELECT COUNT(*) FROM carts", [], |row| row.get::<_, i64>(0)).unwrap()
    };
    write(&address);
    assert_eq!(carts(), 1);
    write(&address);
    server.signal("KILL");
    server.exit();
    assert_eq!(carts(), 2);
}

#[test]
fn a_file_that_was_replaced_after_a_crash_is_refused_until_the_old_changes_are_deleted() {
    let folder = TempDir::new().unwrap();
    let [file, log, memory] =
        ["undercroft.db", "undercroft.db-wal", "undercroft.db-shm"].map(|name| folder.path().join(name));
    let (server, address) = serve(folder.path());
    write(&address);
    server.stop();
    let backup = fs::read(&file).unwrap();

    let (server, address) = serve(folder.path());
    write(&address);
    server.signal("KILL");
    server.exit();
    serve(folder.path()).0.signal("KILL");
    let crashed = fs::read(&file).unwrap();

    fs::write(&file, &backup).unwrap();
    for arguments in [
        &SERVE[..],
        &["export"],
        &["backup", "copy.db"],
        &["restore", "undercroft.db", "--database", "sqlite:new.db"],
        &["restore", "undercroft.db", "--force"],
    ] {
        let (code, _, errors) = run(folder.path(), arguments);
        assert_eq!(code, Some(4), "{arguments:?}: {errors}");
        assert!(errors.contains("was replaced after a crash"), "{arguments:?}: {errors}");
    }
    assert!(!folder.path().join("copy.db").exists() && !folder.path().join("new.db").exists());

    fs::write(&file, &crashed).unwrap();
    serve(folder.path()).0.signal("KILL");

    fs::write(&file, &backup).unwrap();
    fs::remove_file(log).unwrap();
    fs::remove_file(memory).unwrap();
    serve(folder.path()).0.stop();
    assert_eq!(files(folder.path()), ["undercroft.db"]);
}

#[test]
fn a_command_that_manages_a_store_creates_none() {
    const ID: &str = "019e5f6a-0000-7000-8000-000000000000";
    let folder = TempDir::new().unwrap();
    let commands = [
        &["jobs", "run", "purge_carts"][..],
        &["jobs", "cancel", ID],
        &["cache", "clear"],
        &["cache", "warm"],
        &["webhooks", "test", ID],
        &["webhooks", "retry", ID],
        &["events", "replay", "emails", "--all"],
        &["events", "dead", "retry", ID],
        &["events", "dead", "discard", ID],
    ];
    for arguments in commands {
        let (code, _, errors) = run(folder.path(), arguments);
        assert_eq!(code, Some(4), "{arguments:?}: {errors}");
        assert!(errors.contains("does not exist: undercroft.db"), "{arguments:?}: {errors}");
        assert_eq!(files(folder.path()), [""; 0], "{arguments:?}");
    }

    fs::write(folder.path().join("undercroft.db"), "").unwrap();
    for arguments in commands {
        let (code, _, errors) = run(folder.path(), arguments);
        assert_eq!(code, Some(4), "{arguments:?}: {errors}");
        assert!(errors.contains("undercroft.db is empty"), "{arguments:?}: {errors}");
        assert_eq!(files(folder.path()), ["undercroft.db"], "{arguments:?}");
        assert_eq!(fs::metadata(folder.path().join("undercroft.db")).unwrap().len(), 0, "{arguments:?}");
    }

    assert_eq!(run(folder.path(), &["migrate"]).0, Some(0));
    let (code, _, errors) = run(folder.path(), commands[0]);
    assert_eq!(code, Some(0), "{errors}");
}

#[test]
fn a_database_of_another_program_is_refused_and_stays_as_it_is() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("undercroft.db");
    // other programs have a table of migrations with the same name
    for table in ["notes (text TEXT)", "schema_migrations (version TEXT PRIMARY KEY)"] {
        let foreign = rusqlite::Connection::open(&file).unwrap();
        foreign.execute_batch(&format!("CREATE TABLE {table}; PRAGMA user_version = 7")).unwrap();
        foreign.close().unwrap();
        let before = fs::read(&file).unwrap();
        for arguments in [&SERVE[..], &["migrate"], &["jobs", "run", "purge_carts"], &["backup", "copy.db"]] {
            let (code, _, errors) = run(folder.path(), arguments);
            assert_eq!(code, Some(4), "{arguments:?}: {errors}");
            assert!(errors.contains("has tables of another program"), "{arguments:?}: {errors}");
            assert_eq!(files(folder.path()), ["undercroft.db"], "{arguments:?}");
            assert_eq!(fs::read(&file).unwrap(), before, "{arguments:?}");
        }
        let (code, output, _) = run(folder.path(), &["doctor", "--listen", "127.0.0.1:0"]);
        assert!(code == Some(4) && output.contains("has tables of another program"), "{output}");
        fs::remove_file(&file).unwrap();
    }
}

/// Runs a command to which the modes of files apply, also as the superuser; returns its exit code, its output and its
/// errors. `None` if that is not possible here.
fn run_by_modes(folder: &Path, arguments: &[&str]) -> Option<(Option<i32>, String, String)> {
    let without = ["--bounding-set", "-dac_override,-dac_read_search"];
    let usable = Command::new("setpriv").args(without).arg("true").stderr(Stdio::null()).status();
    if !usable.is_ok_and(|status| status.success()) {
        eprintln!("SKIPPED: setpriv cannot drop capabilities here");
        return None;
    }
    let mut command = Command::new("setpriv");
    command.args(without).arg(env!("CARGO_BIN_EXE_undercroft")).args(arguments).current_dir(folder);
    let Output { status, stdout, stderr } = command.output().unwrap();
    Some((status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap()))
}

/// Gives a file or folder a mode until the closure ends; returns what that returns.
fn with_mode<T>(path: &Path, mode: u32, run: impl FnOnce() -> T) -> T {
    let before = fs::metadata(path).unwrap().permissions();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let returned = run();
    fs::set_permissions(path, before).unwrap();
    returned
}

#[test]
fn a_file_that_cannot_be_written_is_refused_with_the_reason() {
    let folder = TempDir::new().unwrap();
    assert_eq!(run(folder.path(), &["migrate"]).0, Some(0));
    let file = folder.path().join("undercroft.db");
    for (path, mode) in [(file.as_path(), 0o400), (folder.path(), 0o500)] {
        let ran = with_mode(path, mode, || run_by_modes(folder.path(), &SERVE));
        let Some((code, _, errors)) = ran else { return };
        assert_eq!(code, Some(4), "{errors}");
        assert!(errors.contains("the database is read-only: "), "{errors}");
        assert!(errors.contains("Permission denied"), "{errors}");
    }
}

#[test]
fn a_file_that_cannot_be_created_is_refused_with_its_folder() {
    let folder = TempDir::new().unwrap();
    let ran = with_mode(folder.path(), 0o500, || run_by_modes(folder.path(), &SERVE));
    if let Some((code, _, errors)) = ran {
        assert_eq!(code, Some(4), "{errors}");
        assert!(errors.contains(": undercroft.db cannot be created in /"), "{errors}");
        assert!(errors.contains("Permission denied"), "{errors}");
    }
    let doctor = ["doctor", "--listen", "127.0.0.1:0"];
    if let Some((code, output, _)) = with_mode(folder.path(), 0o500, || run_by_modes(folder.path(), &doctor))
    {
        assert_eq!(code, Some(4), "{output}");
    }
    let (code, _, errors) = run(folder.path(), &["migrate", "--database", "sqlite:none/shop.db"]);
    assert_eq!(code, Some(4), "{errors}");
    assert!(errors.contains("none/shop.db cannot be created in /") && errors.contains("/none: "), "{errors}");
}

#[test]
fn the_doctor_advises_to_change_the_mode_of_a_file_that_cannot_be_read() {
    let folder = TempDir::new().unwrap();
    assert_eq!(run(folder.path(), &["migrate"]).0, Some(0));
    let file = folder.path().join("undercroft.db");
    let doctor = ["doctor", "--listen", "127.0.0.1:0"];
    let Some((code, output, _)) = with_mode(&file, 0o000, || run_by_modes(folder.path(), &doctor)) else {
        return;
    };
    assert_eq!(code, Some(4), "{output}");
    assert!(output.contains("→ let the user of the process read and write the database"), "{output}");
    assert!(!output.contains("restore a backup"), "{output}");
}

#[test]
fn a_folder_and_a_file_of_another_program_are_refused_by_their_names() {
    let folder = TempDir::new().unwrap();
    fs::create_dir(folder.path().join("shop")).unwrap();
    fs::write(folder.path().join("notes.txt"), "no database, ".repeat(100)).unwrap();
    for (name, fault) in [
        ("shop", "shop is a folder, not the file of a database"),
        ("notes.txt", "notes.txt is not a database of SQLite"),
    ] {
        let database = format!("sqlite:{name}");
        for command in [&SERVE[..], &["migrate"], &["export"], &["jobs", "list"], &["doctor"]] {
            let (code, output, errors) = run(folder.path(), &[command, &["--database", &database]].concat());
            assert_eq!(code, Some(4), "{command:?}: {errors}");
            assert!((output + &errors).contains(fault), "{command:?}: {errors}");
        }
    }
    let (code, _, errors) = run(folder.path(), &["restore", "notes.txt"]);
    assert_eq!(code, Some(4), "{errors}");
    assert!(errors.contains("notes.txt: the file is not a database of SQLite"), "{errors}");
    assert_eq!(files(folder.path()), ["notes.txt", "shop"]);
}

#[test]
fn a_server_whose_file_was_replaced_takes_no_orders_until_it_is_back() {
    let folder = TempDir::new().unwrap();
    let (server, address) = serve(folder.path());
    let (file, away) = (folder.path().join("undercroft.db"), folder.path().join("away.db"));
    write(&address);
    fs::rename(&file, &away).unwrap();
    assert!(create_cart(&address).starts_with("HTTP/1.1 503 "), "it would be lost at the next start");
    fs::write(&file, "").unwrap();
    assert!(create_cart(&address).starts_with("HTTP/1.1 503 "));
    assert!(get(&address, "/health/ready").starts_with("HTTP/1.1 503 "));
    fs::rename(&away, &file).unwrap();
    write(&address);
    server.stop();
}

#[test]
fn a_file_with_a_second_name_is_refused() {
    let folder = TempDir::new().unwrap();
    serve(folder.path()).0.stop();
    let second = folder.path().join("second.db");
    assert_eq!(run(folder.path(), &["backup", "copy.db"]).0, Some(0));
    fs::hard_link(folder.path().join("undercroft.db"), &second).unwrap();
    for name in ["undercroft.db", "second.db"] {
        let database = format!("sqlite:{name}");
        for command in [&SERVE[..], &["restore", "--force", "copy.db"]] {
            let (code, _, errors) = run(folder.path(), &[command, &["--database", &database]].concat());
            assert_eq!(code, Some(4), "{errors}");
            assert!(errors.contains("has a second name (a hard link)"), "{errors}");
        }
    }
    fs::remove_file(second).unwrap();
    serve(folder.path()).0.stop();
}
