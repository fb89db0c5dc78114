//! `copy` copies a store to another database.

use std::collections::BTreeSet;
use std::fs;

use tempfile::TempDir;

use super::{Server, run, undercroft};
use crate::support::EmptyPostgres;
use crate::support::import::DEMO;

#[tokio::test]
async fn a_store_is_copied_to_postgres_and_to_a_new_file() {
    let Some(postgres) = EmptyPostgres::new().await else { return };
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("demo.jsonl"), DEMO).unwrap();
    assert_eq!(run(folder.path(), &["import", "demo.jsonl"]).0, Some(0));
    let first = run(folder.path(), &["copy", "--to", &postgres.url]);
    assert_eq!(first.0, Some(0), "{}", first.2);
    let second = run(folder.path(), &["copy", "--from", &postgres.url, "--to", "sqlite:back.db"]);
    assert_eq!(second.0, Some(0), "{}", second.2);

    assert_eq!(first.1, second.1, "the hashes differ");
    assert!(first.1.contains("\nproducts "), "{}", first.1);
    assert!(
        first.1.contains(": the hashes of source and target are equal\nNext: set `database`"),
        "{}",
        first.1
    );
    assert_eq!(first.2, "", "no process has the source open");
    let export = |database: &str| run(folder.path(), &["export", "--database", database]);
    assert_eq!(export("sqlite:undercroft.db").1, export("sqlite:back.db").1);
    assert_eq!(export("sqlite:undercroft.db").1, export(&postgres.url).1);
}

#[test]
fn a_source_that_a_server_has_open_is_a_warning() {
    let folder = TempDir::new().unwrap();
    let (server, _) =
        Server::start(&mut undercroft(folder.path(), &["serve", "--no-demo", "--listen", "127.0.0.1:0"]));
    let (code, _, errors) = run(folder.path(), &["copy", "--to", "sqlite:other.db"]);
    assert_eq!(code, Some(0), "{errors}");
    assert!(errors.starts_with("warning: a process has undercroft.db open"), "{errors}");
    server.stop();

    let (code, _, errors) = run(folder.path(), &["copy", "--to", "sqlite:other.db"]);
    assert_eq!(code, Some(2), "the end of the server is an event");
    assert!(errors.starts_with("undercroft: the source has changed since this copy"), "{errors}");
}

#[test]
fn a_target_with_a_store_and_a_malformed_url_exit_with_2() {
    let folder = TempDir::new().unwrap();
    assert_eq!(run(folder.path(), &["migrate"]).0, Some(0));
    assert_eq!(run(folder.path(), &["migrate", "--database", "sqlite:other.db"]).0, Some(0));
    let bytes = || fs::read(folder.path().join("other.db")).unwrap();
    let before = bytes();
    let (code, _, errors) = run(folder.path(), &["copy", "--to", "sqlite:other.db"]);
    assert_eq!(code, Some(2));
    assert!(errors.starts_with("undercroft: the target contains a store; "), "{errors}");
    assert!(bytes() == before, "the target was written to");

    let (code, _, errors) = run(folder.path(), &["copy", "--to", "sqlite:./undercroft.db"]);
    assert_eq!(code, Some(2));
    assert_eq!(errors, "undercroft: the source and the target are the same database\n");
    let names = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(names.collect::<BTreeSet<_>>(), ["other.db", "undercroft.db"].map(Into::into).into());

    let (code, _, errors) = run(folder.path(), &["copy", "--to", "mysql://u:hush@h/d"]);
    assert_eq!(code, Some(2));
    assert!(errors.contains("'--to <URL>': not a database URL"), "{errors}");
    assert!(!errors.contains("hush"), "{errors}");

    fs::write(folder.path().join("url"), "mysql://u:hush@h/d\n").unwrap();
    let mut command = undercroft(folder.path(), &["copy", "--to", "-"]);
    let output = command.stdin(fs::File::open(folder.path().join("url")).unwrap()).output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert!(errors.starts_with("undercroft: standard input is not a database URL: "), "{errors}");
    assert!(!errors.contains("hush"), "{errors}");

    let (code, _, errors) =
        run(folder.path(), &["copy", "--from", "sqlite:none.db", "--to", "sqlite:new.db"]);
    assert_eq!(code, Some(4));
    assert!(errors.starts_with("undercroft: the source: "), "{errors}");
    assert!(!folder.path().join("new.db").exists());
}
