//! `undercroft jobs`: jobs are listed, run and cancelled beside a server.

use rusqlite::Connection;
use serde_json::Value;
use undercroft::domain::text::is_line;

use super::events::store;
use super::run;

#[test]
fn jobs_are_run_listed_and_cancelled() {
    let folder = store();
    let jobs = |arguments: &[&str]| {
        let (code, text, errors) = run(folder.path(), &[&["jobs"], arguments].concat());
        assert_eq!(code, Some(0), "{arguments:?}: {errors}");
        text
    };
    let arguments = r#"{"subscriber":"mail"}"#;
    let created =
        jobs(&["run", "retry_dead_letters", "--arguments", arguments, "--due-at", "2100-01-01T00:00:00Z"]);
    assert!(created.contains(r#"retry_dead_letters {"subscriber":"mail"}  waiting"#), "{created}");
    let id = created.split_once(' ').unwrap().0;
    let listed: Value = serde_json::from_str(&jobs(&["list", "--status", "waiting", "--json"])).unwrap();
    assert_eq!((listed["id"].as_str(), &listed["arguments"]["subscriber"]), (Some(id), &"mail".into()));
    assert!(jobs(&["cancel", id]).contains("cancelled"));
    assert_eq!(jobs(&["list", "--status", "waiting"]), "");

    let (_, help, _) = run(folder.path(), &["jobs", "run", "--help"]);
    let (_, _, errors) = run(folder.path(), &["jobs", "run", "rm"]);
    let (_, types) = errors.trim_end_matches(['.', '\n']).split_once("must be one of ").unwrap();
    assert!(types.split(", ").count() > 10, "{errors}");
    assert!(types.split(", ").all(|name| help.contains(&format!("`{name}`"))), "{types}: {help}");

    for arguments in
        [&["run", "rm"][..], &["run", "purge_carts", "--arguments", "[]"], &["list", "--status", "done"]]
    {
        let (code, _, errors) = run(folder.path(), &[&["jobs"], arguments].concat());
        assert!(code.is_some_and(|code| code != 0), "{arguments:?}");
        assert!(!errors.is_empty());
    }
}

#[test]
fn what_a_job_failed_by_is_shown_in_its_line_and_does_not_control_the_terminal() {
    let folder = store();
    let error = "\u{1b}[2J\u{9b}31m\u{202e}\u{7}refused\nforged";
    assert_eq!(run(folder.path(), &["jobs", "run", "purge_carts"]).0, Some(0));
    let database = Connection::open(folder.path().join("undercroft.db")).unwrap();
    database.execute("UPDATE jobs SET error = ?1", [error]).unwrap();
    database.close().unwrap();

    let (_, listed, _) = run(folder.path(), &["jobs", "list"]);
    assert!(listed.ends_with(": \\u001b[2J\\u009b31m\\u202e\\u0007refused\\nforged\n"), "{listed:?}");
    assert!(listed.lines().all(is_line), "{listed:?}");
    let (_, listed, _) = run(folder.path(), &["jobs", "list", "--json"]);
    assert!(listed.lines().all(is_line), "{listed:?}");
    let job: Value = serde_json::from_str(listed.lines().last().unwrap()).unwrap();
    assert_eq!(job["error"], error);
    // the name of a file is a text of others, too
    let (_, _, errors) = run(folder.path(), &["import", "\u{1b}[2J.csv"]);
    assert!(errors.contains("\\u001b[2J.csv") && !errors.contains('\u{1b}'), "{errors:?}");
}
