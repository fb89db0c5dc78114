//! `undercroft audit` exports and verifies the audit log.

use std::fs;

use serde_json::Value;
use tempfile::TempDir;
use undercroft::domain::context::Context;
use undercroft::infrastructure::repositories::{Database, Setup};

use super::administrators::admin;
use super::run;
use crate::support::store::execute;

/// Changes an entry, as only who owns the database can.
const CHANGE: &[&str] = &[
    "DROP TRIGGER audit_log_immutable",
    "UPDATE audit_log SET action = 'undercroft jobs run' WHERE number = 1",
];

#[tokio::test]
async fn a_command_is_recorded_and_a_changed_log_is_found() {
    let folder = TempDir::new().unwrap();
    let database = ["--database", "sqlite:shop.db"];
    let create = ["admin", "create", "--email", "root@example.org", "--password-stdin"];
    let (code, _, errors) = admin(folder.path(), &[&create[..], &database].concat(), "battery staple");
    assert_eq!(code, Some(0), "{errors}");

    let (code, lines, errors) = run(folder.path(), &[&["audit", "export"][..], &database].concat());
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    let entries: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let actions: Vec<_> = entries.iter().map(|entry| entry["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["undercroft admin create", "administrator.made"]);
    assert_eq!(
        (&entries[0]["actor"], &entries[0]["changes"][0]["table"]),
        (&"command".into(), &"users".into())
    );
    assert!(!lines.contains("root"), "{lines}");

    let verify =
        |arguments: &[&str]| run(folder.path(), &[&["audit", "verify"], arguments, &database].concat());
    let (code, last, counted) = verify(&[]);
    assert_eq!(counted, "2 entries, none was changed\n");
    assert_eq!((code, last.trim_end()), (Some(0), &*format!("2:{}", entries[1]["hash"].as_str().unwrap())));
    assert_eq!(verify(&["--entry", last.trim_end()]).0, Some(0));
    let another = format!("2:{}", "0".repeat(64));
    let (code, _, errors) = verify(&["--entry", &another]);
    assert_eq!(code, Some(1), "{errors}");
    assert!(errors.contains("entry 2 has another hash than the one that was noted"), "{errors}");
    assert_eq!(verify(&["--entry", "2"]).0, Some(2));
    let (code, _, errors) = verify(&["--entry", &format!("999:{}", "0".repeat(64))]);
    assert_eq!(code, Some(1), "{errors}");
    assert!(errors.contains("entry 2 is the last, but entry 999 was noted: entries are missing"), "{errors}");

    let url = format!("sqlite:{}", folder.path().join("shop.db").display()).parse().unwrap();
    let opened = Database::open(&url, Context::system(), Setup::IfEmpty).await.unwrap();
    execute(&opened, CHANGE).await;
    let (code, _, errors) = verify(&[]);
    assert_eq!(code, Some(1));
    assert!(errors.contains("entry 1 was changed"), "{errors}");
    let (_, text, _) = run(folder.path(), &[&["doctor", "--listen", "127.0.0.1:0"][..], &database].concat());
    assert!(text.contains("PROBLEM  audit        entry 1 was changed"), "{text}");
}

#[tokio::test]
async fn an_export_is_written_whole_and_verified_without_the_store() {
    let folder = TempDir::new().unwrap();
    for email in ["root@example.org", "ruth@example.org"] {
        let create = ["admin", "create", "--email", email, "--password-stdin"];
        assert_eq!(admin(folder.path(), &create, "battery staple").0, Some(0));
    }
    let (_, last, _) = run(folder.path(), &["audit", "verify"]);
    let path = |name: &str| folder.path().join(name);
    let export = |options: &[&str]| run(folder.path(), &[&["audit", "export", "--output"], options].concat());
    assert_eq!(export(&["log.jsonl"]), (Some(0), String::new(), String::new()));
    let lines = fs::read_to_string(path("log.jsonl")).unwrap();
    assert_eq!(lines, run(folder.path(), &["audit", "export"]).1);
    let (code, _, errors) = export(&["log.jsonl"]);
    assert_eq!((code, errors.as_str()), (Some(2), "undercroft: log.jsonl exists; `--force` replaces it\n"));
    assert_eq!(export(&["log.jsonl", "--force"]).0, Some(0));
    let (code, _, errors) = export(&["undercroft.db", "--force"]);
    assert_eq!(code, Some(2), "{errors}");

    // there is no store
    let elsewhere = TempDir::new().unwrap();
    let verify = |text: &str, options: &[&str]| {
        fs::write(elsewhere.path().join("log.jsonl"), text).unwrap();
        let arguments = [&["audit", "verify", "--file", "log.jsonl"], options].concat();
        run(elsewhere.path(), &arguments)
    };
    let (code, output, counted) = verify(&lines, &["--entry", last.trim_end()]);
    assert_eq!((code, output, counted.as_str()), (Some(0), last.clone(), "4 entries, none was changed\n"));
    let changed = lines.replacen("administrator.made", "session.created", 1);
    let (code, _, errors) = verify(&changed, &[]);
    assert!(code == Some(1) && errors.contains("entry 2 was changed"), "{errors}");
    let (_, rest) = lines.split_once('\n').unwrap();
    let (code, _, errors) = verify(rest, &[]);
    assert!(code == Some(1) && errors.contains("entry 1 is missing"), "{errors}");
    let (code, _, errors) = verify(&lines[..lines.len() - 20], &[]);
    let expected = "undercroft: log.jsonl: line 4 is no entry of an audit log: ";
    assert!(code == Some(1) && errors.starts_with(expected), "{errors}");
    assert!(errors.contains(" (column ") && !errors.contains("at line"), "{errors}");
    let cut = &lines[..=lines.trim_end().rfind('\n').unwrap()];
    assert_eq!(verify(cut, &[]).0, Some(0), "nothing says where the log ends");
    let (code, _, errors) = verify(cut, &["--entry", last.trim_end()]);
    assert!(code == Some(1) && errors.contains("entry 3 is the last, but entry 4 was noted"), "{errors}");
    let (code, _, errors) = run(elsewhere.path(), &["audit", "verify", "--file", "none.jsonl"]);
    assert!(
        code == Some(1) && errors.starts_with("undercroft: none.jsonl: the file cannot be read"),
        "{errors}"
    );
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 1, "no store was created");
}

#[test]
fn an_empty_log_has_the_hash_before_the_first_entry_and_an_empty_file_is_refused() {
    let folder = TempDir::new().unwrap();
    assert_eq!(run(folder.path(), &["migrate"]).0, Some(0));
    let zeros = format!("0:{}", "0".repeat(64));
    let expected = (Some(0), format!("{zeros}\n"), "0 entries, none was changed\n".to_owned());
    assert_eq!(run(folder.path(), &["audit", "verify"]), expected);
    assert_eq!(run(folder.path(), &["audit", "verify", "--entry", &zeros]), expected);
    for entry in [format!("0:{}", "1".repeat(64)), format!("-1:{}", "0".repeat(64))] {
        assert_eq!(run(folder.path(), &["audit", "verify", &format!("--entry={entry}")]).0, Some(2));
    }
    fs::write(folder.path().join("log.jsonl"), "").unwrap();
    let none: &[&str] = &[];
    for options in [none, &["--entry", &zeros]] {
        let arguments = [&["audit", "verify", "--file", "log.jsonl"][..], options].concat();
        let (code, output, errors) = run(folder.path(), &arguments);
        let expected = "undercroft: log.jsonl: the file has no entries\n";
        assert_eq!((code, output.as_str(), errors.as_str()), (Some(1), "", expected));
    }
}

#[test]
fn what_the_hashes_of_an_export_do_not_cover_is_refused() {
    let folder = TempDir::new().unwrap();
    let create = ["admin", "create", "--email", "root@example.org", "--password-stdin"];
    assert_eq!(admin(folder.path(), &create, "battery staple").0, Some(0));
    let (_, lines, _) = run(folder.path(), &["audit", "export"]);
    let verify = |text: &str| {
        fs::write(folder.path().join("log.jsonl"), text).unwrap();
        run(folder.path(), &["audit", "verify", "--file", "log.jsonl"])
    };
    assert_eq!(verify(lines.trim_end()).0, Some(0), "the last line feed may be missing");
    let first = lines.lines().next().unwrap();
    let entry: Value = serde_json::from_str(first).unwrap();
    let time = entry["occurred_at"].as_str().unwrap();
    let (seconds, _) = time.split_once(['.', 'Z']).unwrap();
    let micros = time[seconds.len()..].trim_matches(['.', 'Z']);
    for changed in [
        first.replacen('{', r#"{"approved_by":"ann","#, 1),
        first.replacen(r#""table""#, r#""note":"ann","table""#, 1),
        first.replacen(r#""api_key_id":null,"#, "", 1),
        first.replacen(time, &time.replace('Z', "+00:00"), 1),
        first.replacen(time, &format!("{seconds}.{micros:0<6}789Z"), 1),
        first.replacen(':', ": ", 1),
        format!("{first}\r"),
    ] {
        assert_ne!(changed, first);
        let (code, output, errors) = verify(&lines.replacen(first, &changed, 1));
        let expected =
            "undercroft: log.jsonl: line 1 is no entry of an audit log: an export writes it in another way\n";
        assert_eq!((code, output.as_str(), errors.as_str()), (Some(1), "", expected), "{changed}");
    }
}
