//! `undercroft events`: the log of events, and their delivery.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use tempfile::TempDir;

use super::import::{folder_with, import};
use super::{run, signal, undercroft};

/// A product in JSON Lines with a price in cents.
fn product(id: &str, price: u32) -> String {
    format!(
        r#"{{"type":"product","id":"{id}","name":"{id}","kind":"physical","variants":[{{"id":"{id}","sku":"{id}","prices":[{{"amount":{price},"currency":"EUR"}}],"stock":1}}]}}"#
    ) + "\n"
}

/// A store with the events of two products whose prices were changed.
pub(super) fn store() -> TempDir {
    let (folder, file) = folder_with("products.jsonl", product("A", 1) + &product("B", 1));
    import(folder.path(), &file);
    change(folder.path(), 2);
    folder
}

/// Imports the products with another price, which publishes events.
pub(super) fn change(folder: &Path, price: u32) {
    let (_changed, file) = folder_with("changed.jsonl", product("A", price) + &product("B", price));
    let (code, _, errors) = run(folder, &["import", "--update", file.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{errors}");
}

#[test]
fn the_last_events_are_shown_as_text_and_as_cloud_events() {
    let folder = store();
    let (code, text, errors) =
        run(folder.path(), &["events", "tail", "--no-follow", "-n", "1", "--type", "product.changed"]);
    assert_eq!((code, text.lines().count()), (Some(0), 1), "{errors}");
    assert!(text.contains("  product.changed  "), "{text}");
    let (_, text, _) = run(folder.path(), &["events", "tail", "--no-follow", "--json"]);
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(events.len() >= 2, "{text}");
    for event in events {
        assert_eq!((&event["specversion"], &event["source"]), (&"1.0".into(), &"/".into()), "{event}");
        assert!(["id", "type", "subject", "time"].iter().all(|name| event[name].is_string()), "{event}");
        assert!(event["data"].is_object(), "{event}");
    }
}

#[test]
fn later_events_are_shown_as_they_are_published() {
    let folder = store();
    let arguments = ["events", "tail", "-n", "1", "--type", "product.changed", "--json"];
    let mut child = undercroft(folder.path(), &arguments).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // the command has begun when it shows the last event
    let last: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    change(folder.path(), 3);
    let next: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!((&last["type"], &next["type"]), (&"product.changed".into(), &"product.changed".into()));
    assert_ne!(last["id"], next["id"]);
    signal(&child, "INT");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn subscribers_are_listed_and_events_replayed() {
    let folder = store();
    let (code, text, errors) = run(folder.path(), &["events", "subscribers"]);
    assert_eq!(code, Some(0), "{errors}");
    assert!(text.starts_with("notifications "), "{text}");
    let (code, text, _) = run(folder.path(), &["events", "replay", "notifications", "--type", "order.paid"]);
    assert_eq!((code, text.as_str()), (Some(0), "0 events will be delivered to notifications\n"));
    let (code, _, errors) = run(folder.path(), &["events", "replay", "unknown", "--all"]);
    assert_eq!(code, Some(2));
    assert!(errors.contains("[possible values: notifications, emails, webhooks]"), "{errors}");
}

#[test]
fn the_help_and_the_errors_of_a_replay_name_what_it_takes() {
    let folder = store();
    let (_, help, _) = run(folder.path(), &["events", "replay", "--help"]);
    assert!(help.contains("notifications, emails, webhooks"), "{help}");
    let (code, _, errors) = run(folder.path(), &["events", "replay", "emails"]);
    assert_eq!(code, Some(2));
    assert!(errors.contains("<--all|--event <ID>|--type <TYPE>|--since <TIME>>"), "{errors}");
    let (code, _, errors) = run(folder.path(), &["events", "replay", "emails", "--type", "user.erased"]);
    assert_eq!(code, Some(1));
    assert!(
        errors.starts_with("undercroft: validation: /type: The value must be one of order.paid, "),
        "{errors}"
    );
}

#[test]
fn dead_letters_are_listed_retried_and_discarded() {
    let folder = store();
    let database = rusqlite::Connection::open(folder.path().join("undercroft.db")).unwrap();
    let fail = "INSERT INTO dead_letters (id, subscriber, seq, event_id, event_type, subject, attempts, error, failed_at) \
                SELECT id, 'notifications', seq, id, type, subject, 8, 'refused', occurred_at FROM outbox";
    let dead = database.execute(fail, []).unwrap();
    drop(database);
    let (code, text, _) = run(folder.path(), &["events", "dead", "list", "--json"]);
    assert_eq!((code, text.lines().count()), (Some(0), dead));
    let letter: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!(letter["error"], "refused");
    let (_, text, _) = run(folder.path(), &["doctor"]);
    assert!(text.contains("could not be delivered"), "{text}");

    let id = letter["id"].as_str().unwrap();
    let (code, text, _) = run(folder.path(), &["events", "dead", "retry", id]);
    assert_eq!((code, text.as_str()), (Some(0), "the event was handled\n"));
    let (code, _, errors) = run(folder.path(), &["events", "dead", "discard", id]);
    assert_eq!(code, Some(1));
    assert_eq!(errors, "undercroft: dead_letter_not_found: There is no such dead letter.\n");
    let (_, text, _) = run(folder.path(), &["events", "dead", "list", "--subscriber", "notifications"]);
    assert_eq!(text.lines().count(), dead - 1);
    let (_, text, _) = run(folder.path(), &["events", "dead", "list", "--subscriber", "unknown"]);
    assert_eq!(text, "");
}
