//! `import --dry-run`, and imports from standard input.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::import::{export, folder_with, sales};
use super::{run, undercroft};
use crate::support::EmptyPostgres;
use crate::support::import::DEMO;

/// A sale of a product that `sales` does not have, a price that is missing, and the return of a sold piece.
const REST: &str =
    "9000,S99,,5,2011-01-01 10:00:00,0,,France\nC9002,S1,THING 1,-1,2011-01-02 10:00:00,1.01,1,France\n";

/// Runs an import with an empty folder for temporary files, which must be empty again at its end. Returns the report
/// without `dry_run`.
fn import(folder: &Path, arguments: &[&str]) -> Value {
    let temporary = TempDir::new().unwrap();
    let all = [&["import", "--json"], arguments].concat();
    let output = undercroft(folder, &all).env("TMPDIR", temporary.path()).output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{errors}");
    assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 0, "temporary files are removed");
    let mut report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let is_dry = report.as_object_mut().unwrap().remove("dry_run");
    assert_eq!(is_dry, Some(arguments.contains(&"--dry-run").into()));
    report
}

#[test]
fn a_dry_run_of_the_first_import_reports_what_the_import_does_and_creates_no_store() {
    let (folder, _) = folder_with("sales.csv", sales(40) + REST);
    let expected = import(folder.path(), &["sales.csv", "--dry-run"]);
    let files: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(files.len(), 2, "{files:?}");
    let rejected = fs::read(folder.path().join("sales.rejected.csv")).unwrap();
    fs::remove_file(folder.path().join("sales.rejected.csv")).unwrap();

    assert_eq!(import(folder.path(), &["sales.csv"]), expected);
    assert_eq!(expected["added"]["orders"], 40, "{expected}");
    assert_eq!(fs::read(folder.path().join("sales.rejected.csv")).unwrap(), rejected);
    let again = import(folder.path(), &["sales.csv", "--dry-run"]);
    assert_eq!((&again["added"]["orders"], &again["unchanged"]["orders"]), (&0.into(), &40.into()));
}

/// Asserts that a dry run reports what the import into the store of a database does, and changes nothing.
fn assert_dry_run(database: &[&str]) {
    let (folder, _) = folder_with("demo.jsonl", DEMO);
    let (first, second) = (sales(10), sales(40) + REST);
    fs::write(folder.path().join("first.csv"), first).unwrap();
    fs::write(folder.path().join("second.csv"), second).unwrap();
    let with = |arguments: &[&'static str]| [arguments, database].concat();
    import(folder.path(), &with(&["demo.jsonl"]));
    import(folder.path(), &with(&["first.csv"]));

    let before = export(folder.path(), database.get(1).copied());
    let expected = import(folder.path(), &with(&["second.csv", "--dry-run"]));
    assert!(export(folder.path(), database.get(1).copied()) == before, "the store stays as it was");
    assert_eq!(import(folder.path(), &with(&["second.csv"])), expected);
    assert_eq!((&expected["added"]["orders"], &expected["added"]["refunds"]), (&30.into(), &1.into()));
}

#[test]
fn a_dry_run_changes_no_store_on_sqlite() {
    assert_dry_run(&[]);
}

#[tokio::test]
async fn a_dry_run_changes_no_store_on_postgres() {
    let Some(postgres) = EmptyPostgres::new().await else { return };
    let url = postgres.url.clone();
    tokio::task::spawn_blocking(move || assert_dry_run(&["--database", &url])).await.unwrap();
}

#[test]
fn the_text_of_a_dry_run_says_that_the_store_stays() {
    let (folder, _) = folder_with("shop.csv", "Handle,Title,Variant Price\na,A,1.00\n");
    let (code, output, errors) =
        run(folder.path(), &["import", "shop.csv", "--currency", "EUR", "--dry-run"]);
    assert_eq!(code, Some(0), "{errors}");
    assert!(output.contains("\nadded: products 1\n"), "{output}");
    assert!(output.contains("\ndry run: the store stays as it was\n"), "{output}");
}

#[test]
fn a_dry_run_that_is_stopped_removes_its_copy() {
    let (folder, _) = folder_with("sales.csv", sales(20_000));
    let temporary = TempDir::new().unwrap();
    let mut command = undercroft(folder.path(), &["import", "sales.csv", "--dry-run"]);
    command.env("TMPDIR", temporary.path()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let has_copy = || {
        let folders = fs::read_dir(temporary.path()).unwrap().map(|folder| folder.unwrap().path());
        folders.filter(|folder| folder.join("dry-run.db").exists()).count() == 1
    };
    while !has_copy() {
        assert_eq!(child.try_wait().unwrap(), None, "the import ended before it was stopped");
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    let sent = Command::new("sh").args(["-c", &format!("kill -INT {}", child.id())]).status();
    assert!(sent.unwrap().success());
    let output = child.wait_with_output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        (output.status.code(), errors.as_str()),
        (Some(130), "undercroft: interrupted a dry run; the store stays as it was\n")
    );
    assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 0, "the copy is removed");
}

#[test]
fn standard_input_is_imported_like_a_file() {
    let content = sales(5) + REST;
    let (of_file, _) = folder_with("sales.csv", &content);
    let expected = import(of_file.path(), &["sales.csv"]);

    let (folder, file) = folder_with("sales.csv", content);
    // `cat` writes to a pipe, which cannot be read a second time
    let mut cat = Command::new("cat").arg(file).stdout(Stdio::piped()).spawn().unwrap();
    let mut command = undercroft(folder.path(), &["import", "-", "--json"]);
    let output = command.stdin(cat.stdout.take().unwrap()).output().unwrap();
    cat.wait().unwrap();
    let mut report: Value = serde_json::from_slice(&output.stdout).unwrap();
    report.as_object_mut().unwrap().remove("dry_run");
    assert_eq!(report, expected);
    assert!(folder.path().join("stdin.rejected.csv").exists());
    assert!(export(folder.path(), None) == export(of_file.path(), None), "the exports differ");
}

#[test]
fn a_fault_of_standard_input_has_its_position() {
    let (folder, file) = folder_with("broken.csv", sales(1) + "1,A,\"OPEN,1\n");
    let input = File::open(file).unwrap();
    let output = undercroft(folder.path(), &["import", "-"]).stdin(input).output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(errors.starts_with("undercroft: standard input: line 5, column 5: this quotation"), "{errors}");
}
