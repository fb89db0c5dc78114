//! Commands that read a SQLite store leave its files as they are.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use tempfile::TempDir;

use super::{Server, get, run, undercroft};
use crate::support::import::DEMO;

/// The names of the files in a folder that begin with `undercroft.db`, with their times of modification and contents.
fn store_files(folder: &Path) -> Vec<(String, SystemTime, Vec<u8>)> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = paths
        .filter_map(|path| {
            let name = path.file_name()?.to_str()?.to_owned();
            // the index of the log belongs to the processes that have opened the database
            let is_store = name.starts_with("undercroft.db") && !name.ends_with("-shm");
            is_store
                .then(|| (name, fs::metadata(&path).unwrap().modified().unwrap(), fs::read(&path).unwrap()))
        })
        .collect();
    files.sort();
    files
}

/// Runs the commands that only read, each of which must succeed.
fn read(folder: &Path) {
    for (number, command) in
        ["doctor", "doctor --books", "export", "backup", "copy", "migrate"].iter().enumerate()
    {
        let file = format!("{number}.db");
        let rest = match *command {
            "backup" => vec![file],
            "copy" => vec!["--to".to_owned(), format!("sqlite:{file}")],
            "doctor" | "doctor --books" => vec!["--listen".to_owned(), "127.0.0.1:0".to_owned()],
            _ => Vec::new(),
        };
        let arguments: Vec<_> = command.split(' ').chain(rest.iter().map(String::as_str)).collect();
        let before = store_files(folder);
        let (code, _, errors) = run(folder, &arguments);
        assert_eq!(code, Some(0), "{command}: {errors}");
        assert!(store_files(folder) == before, "{command} changed the files of the store");
    }
}

#[test]
fn commands_that_read_do_not_change_a_closed_store() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("demo.jsonl"), DEMO).unwrap();
    assert_eq!(run(folder.path(), &["import", "demo.jsonl"]).0, Some(0));
    assert_eq!(store_files(folder.path()).len(), 1);
    read(folder.path());
}

#[test]
fn commands_that_read_leave_the_changes_after_a_crash_where_they_are() {
    let folder = TempDir::new().unwrap();
    let (server, address) =
        Server::start(&mut undercroft(folder.path(), &["serve", "--listen", "127.0.0.1:0"]));
    assert!(get(&address, "/v1/products").contains("\"items\""));
    server.signal("KILL");
    server.exit();
    let log = fs::metadata(folder.path().join("undercroft.db-wal")).unwrap();
    assert!(log.len() > 0);
    read(folder.path());
}
