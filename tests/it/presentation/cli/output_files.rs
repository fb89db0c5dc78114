//! The files that `export`, `audit export`, `backup` and `import` write: which ones a command refuses to replace.

use std::fs;
use std::os::unix::fs::{FileTypeExt, symlink};
use std::path::Path;
use std::process::Command;

use rusqlite::Connection;
use tempfile::TempDir;

use super::{run, serve, undercroft};
use crate::support::import::DEMO;

/// Returns a folder with a store and a file to import.
fn folder_with_store() -> TempDir {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("demo.jsonl"), DEMO).unwrap();
    assert_eq!(run(folder.path(), &["import", "demo.jsonl"]).0, Some(0));
    folder
}

/// Runs each command that writes a file with this output, which must be refused as a usage error with `reason`.
fn is_refused(folder: &Path, database: &str, output: &str, reason: &str) {
    for command in [
        &["export", "--force", "--output"][..],
        &["audit", "export", "--force", "--output"],
        &["backup"],
        &["import", "demo.jsonl", "--rejects"],
    ] {
        let arguments = [command, &[output, "--database", database]].concat();
        let (code, _, errors) = run(folder, &arguments);
        assert_eq!(code, Some(2), "{arguments:?}: {errors}");
        assert!(errors.starts_with(&format!("undercroft: {output} {reason}")), "{arguments:?}: {errors}");
    }
}

#[test]
fn an_output_never_replaces_the_database_or_a_file_beside_it() {
    let folder = folder_with_store();
    let path = |name: &str| folder.path().join(name);
    symlink("undercroft.db", path("link.db")).unwrap();
    let before = fs::read(path("undercroft.db")).unwrap();
    for name in ["undercroft.db", "../undercroft.db", "link.db"] {
        let output = name.replace("..", &folder.path().display().to_string());
        is_refused(folder.path(), "sqlite:undercroft.db", &output, "is the database");
    }
    for ending in ["-wal", "-shm", "-journal", "-instance"] {
        let output = format!("undercroft.db{ending}");
        is_refused(folder.path(), "sqlite:undercroft.db", &output, "is the database");
        is_refused(folder.path(), "sqlite:link.db", &output, "is the database");
        assert!(!path(&output).exists());
    }
    is_refused(folder.path(), "sqlite:link.db", "undercroft.db", "is the database");
    assert!(fs::read(path("undercroft.db")).unwrap() == before);

    let (server, _) = serve(folder.path());
    is_refused(folder.path(), "sqlite:undercroft.db", "undercroft.db", "is the database");
    is_refused(folder.path(), "sqlite:undercroft.db", "undercroft.db-wal", "is the database");
    server.stop();
}

#[test]
fn an_output_never_replaces_a_pipe_or_a_link() {
    let folder = folder_with_store();
    let path = |name: &str| folder.path().join(name);
    assert!(Command::new("mkfifo").arg(path("pipe")).status().unwrap().success());
    fs::write(path("old.jsonl"), "old").unwrap();
    symlink("old.jsonl", path("link")).unwrap();
    symlink("missing", path("dangling")).unwrap();
    fs::create_dir(path("sub")).unwrap();
    for output in ["pipe", "link", "dangling", "sub"] {
        is_refused(folder.path(), "sqlite:undercroft.db", output, "exists and is no regular file");
    }
    assert!(fs::symlink_metadata(path("pipe")).unwrap().file_type().is_fifo());
    for link in ["link", "dangling"] {
        assert!(fs::symlink_metadata(path(link)).unwrap().is_symlink());
    }
    assert_eq!(fs::read_to_string(path("old.jsonl")).unwrap(), "old");
    assert!(!path("missing").exists());

    let (code, _, errors) = run(folder.path(), &["export", "--force", "--output", "old.jsonl"]);
    assert_eq!(code, Some(0), "{errors}");
    assert!(fs::read_to_string(path("old.jsonl")).unwrap().starts_with('{'));
}

#[test]
fn a_file_that_ends_with_part_is_no_file_of_the_store() {
    let folder = folder_with_store();
    let names = ["copy.db.part", "all.jsonl.part", "new.db.part"];
    for name in names {
        fs::write(folder.path().join(name), "mine").unwrap();
    }
    for arguments in [
        &["backup", "copy.db"][..],
        &["export", "--output", "all.jsonl"],
        &["restore", "copy.db", "--database", "sqlite:new.db"],
    ] {
        let (code, _, errors) = run(folder.path(), arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {errors}");
    }
    for name in names {
        assert_eq!(fs::read_to_string(folder.path().join(name)).unwrap(), "mine", "{name}");
    }
    let entries = fs::read_dir(folder.path()).unwrap();
    assert_eq!(entries.count(), 2 + 2 * names.len(), "no temporary file remains");
}

#[test]
fn of_two_backups_with_one_name_one_succeeds_and_the_other_names_the_file() {
    let folder = folder_with_store();
    for round in 0..4 {
        let name = format!("copy-{round}.db");
        let start = || {
            let mut command = undercroft(folder.path(), &["backup", &name]);
            command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::piped()).spawn().unwrap()
        };
        let outputs = [start(), start()].map(|child| child.wait_with_output().unwrap());
        let failed: Vec<_> = outputs.iter().filter(|output| !output.status.success()).collect();
        assert_eq!(failed.len(), 1, "{outputs:?}");
        let errors = std::str::from_utf8(&failed[0].stderr).unwrap();
        let expected = format!("undercroft: {name} exists; a backup does not overwrite a file\n");
        assert_eq!((failed[0].status.code(), errors), (Some(2), expected.as_str()));
        let (code, _, errors) = run(folder.path(), &["export", "--database", &format!("sqlite:{name}")]);
        assert_eq!(code, Some(0), "{errors}");
    }
    // SQLite leaves an empty FILE-wal if two processes close the same database at the same time
    let names = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
    let parts: Vec<_> = names.filter(|name| name.to_string_lossy().ends_with(".part")).collect();
    assert!(parts.is_empty(), "{parts:?}");
}

#[test]
fn a_backup_is_not_written_beside_the_log_of_another_database() {
    let folder = folder_with_store();
    fs::write(folder.path().join("copy.db-wal"), "changes").unwrap();
    let (code, _, errors) = run(folder.path(), &["backup", "copy.db"]);
    assert_eq!(code, Some(2), "{errors}");
    assert!(errors.starts_with("undercroft: copy.db-wal exists"), "{errors}");
    assert!(!folder.path().join("copy.db").exists());
}

#[test]
fn a_restore_replaces_a_database_of_another_program_only_by_force() {
    let folder = folder_with_store();
    let path = |name: &str| folder.path().join(name);
    assert_eq!(run(folder.path(), &["backup", "copy.db"]).0, Some(0));
    let foreign = Connection::open(path("notes.db")).unwrap();
    foreign.execute_batch("CREATE TABLE notes (text TEXT); INSERT INTO notes VALUES ('mine')").unwrap();
    foreign.close().unwrap();
    fs::write(path("empty.db"), "").unwrap();

    let restore = |name: &str, more: &[&str]| {
        let database = format!("sqlite:{name}");
        run(folder.path(), &[&["restore", "copy.db", "--database", &database], more].concat())
    };
    let (code, _, errors) = restore("notes.db", &[]);
    assert_eq!(
        (code, errors.as_str()),
        (Some(2), "undercroft: notes.db is not empty; `--force` replaces its content\n")
    );
    let notes = Connection::open(path("notes.db")).unwrap();
    let note: String = notes.query_row("SELECT text FROM notes", [], |row| row.get(0)).unwrap();
    assert_eq!(note, "mine");
    notes.close().unwrap();

    for (name, more) in [("empty.db", &[][..]), ("notes.db", &["--force"])] {
        let (code, _, errors) = restore(name, more);
        assert_eq!(code, Some(0), "{name}: {errors}");
        let (code, _, errors) = run(folder.path(), &["export", "--database", &format!("sqlite:{name}")]);
        assert_eq!(code, Some(0), "{errors}");
    }
}
