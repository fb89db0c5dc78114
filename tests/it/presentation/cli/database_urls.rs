//! URLs of databases that could be understood as another database are refused before anything is done.

use std::fs;

use tempfile::TempDir;

use super::run;

/// Commands that use the database of the settings.
const COMMANDS: [&[&str]; 8] = [
    &["serve", "--listen", "127.0.0.1:0"],
    &["worker"],
    &["migrate"],
    &["doctor"],
    &["backup", "copy.db"],
    &["copy", "--to", "sqlite:copy.db"],
    &["replicate", "--to", "sqlite:copy.db"],
    &["admin", "create", "--email", "root@shop.example", "--password-stdin"],
];

const NO_DATABASE: &str =
    "a URL of PostgreSQL without the name of a database: `postgres://USER@HOST/DATABASE`";

/// Asserts that every command refuses the URL with this error, and creates nothing.
fn is_refused(url: &str, error: &str) {
    let folder = TempDir::new().unwrap();
    for command in COMMANDS {
        let (code, output, errors) = run(folder.path(), &[command, &["--database", url]].concat());
        assert_eq!(code, Some(2), "{command:?} {url}: {errors}");
        let expected = format!("undercroft: --database: database: {error}");
        assert!(output.is_empty() && errors.starts_with(&expected), "{command:?} {url}: {errors}");
        assert!(!errors.contains("hush"), "{command:?} {url}: {errors}");
    }
    for command in ["copy", "replicate"] {
        for arguments in
            [["--from", url, "--to", "sqlite:copy.db"], ["--from", "sqlite:shop.db", "--to", url]]
        {
            let (code, _, errors) = run(folder.path(), &[&[command][..], &arguments].concat());
            assert_eq!(code, Some(2), "{command} {arguments:?}: {errors}");
            assert!(
                errors.contains(" <URL>': ") && errors.contains(error),
                "{command} {arguments:?}: {errors}"
            );
            assert!(!errors.contains("hush"), "{command} {arguments:?}: {errors}");
        }
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "{url}");
}

#[test]
fn a_url_of_postgresql_without_a_database_is_refused() {
    for url in ["postgres://postgres@127.0.0.1", "postgres://postgres:hush@127.0.0.1:5432/"] {
        is_refused(url, NO_DATABASE);
    }
}

#[test]
fn a_password_that_is_not_percent_encoded_is_refused() {
    is_refused(
        "postgres://u:p@hush/hush@127.0.0.1/shop",
        "a URL of PostgreSQL with more than one `@`: special ",
    );
}

#[test]
fn a_url_of_sqlite_with_two_slashes_is_refused() {
    for url in ["sqlite://t2.db", "sqlite:///t2.db"] {
        is_refused(url, "a URL of SQLite with `//`: `sqlite:FILE` is a file in the current folder, and ");
    }
}
