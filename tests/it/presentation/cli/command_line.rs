//! What the command line itself offers: quiet commands, completions and manual pages.

use std::fs;

use tempfile::TempDir;

use super::run;
use crate::support::import::DEMO;

#[test]
fn a_quiet_command_prints_only_what_was_asked_for() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("demo.jsonl"), DEMO).unwrap();
    for arguments in [
        &["import", "demo.jsonl"][..],
        &["migrate"],
        &["export", "--output", "all.jsonl"],
        &["copy", "--to", "sqlite:copy.db"],
        &["backup", "backup.db"],
        &["restore", "backup.db", "--force"],
    ] {
        let quiet = [arguments, &["--quiet"]].concat();
        let silence = (Some(0), String::new(), String::new());
        assert_eq!(run(folder.path(), &quiet), silence, "{arguments:?}");
    }
    let (code, output, errors) = run(folder.path(), &["export", "-q"]);
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    assert_eq!(output, fs::read_to_string(folder.path().join("all.jsonl")).unwrap());
    let (code, output, _) = run(folder.path(), &["import", "demo.jsonl", "--quiet", "--json"]);
    assert_eq!(code, Some(0));
    assert!(output.starts_with("{\"lines\""), "{output}");
    let (code, output, errors) = run(folder.path(), &["backup", "backup.db", "--quiet"]);
    assert_eq!((code, output.as_str()), (Some(2), ""));
    assert!(errors.contains("backup.db exists"), "{errors}");
}

#[test]
fn a_quiet_doctor_prints_warnings_and_problems_alone() {
    let folder = TempDir::new().unwrap();
    assert_eq!(run(folder.path(), &["migrate"]).0, Some(0));
    let (code, output, _) = run(folder.path(), &["doctor", "--quiet", "--listen", "127.0.0.1:0"]);
    assert_eq!(code, Some(0));
    assert!(output.contains("there is no administrator"), "{output}");
    assert!(
        output.lines().all(|line| line.starts_with("warning") || line.trim().starts_with('→')),
        "{output}"
    );
}

#[test]
fn completions_are_printed_for_each_shell() {
    let folder = TempDir::new().unwrap();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let (code, output, _) = run(folder.path(), &["completions", shell]);
        assert_eq!(code, Some(0), "{shell}");
        assert!(output.contains("duplicate-skus") && output.contains("undercroft"), "{shell}: {output}");
    }
    assert_eq!(run(folder.path(), &["completions", "cmd"]).0, Some(2));
}

#[test]
fn only_the_help_of_the_program_lists_the_options_for_settings() {
    let folder = TempDir::new().unwrap();
    let (code, help, _) = run(folder.path(), &["--help"]);
    assert_eq!(code, Some(0));
    assert!(help.contains("--log-format"), "{help}");
    for arguments in [&["serve", "--help"][..], &["events", "replay", "--help"], &["help", "jobs", "run"]] {
        let (code, help, _) = run(folder.path(), arguments);
        assert_eq!(code, Some(0));
        assert!(!help.contains("--log-format") && help.contains("`undercroft --help`"), "{help}");
    }
}

#[test]
fn manual_pages_are_written_for_each_command() {
    let folder = TempDir::new().unwrap();
    let (code, output, errors) = run(folder.path(), &["man", "pages/man1"]);
    assert_eq!((code, output.as_str()), (Some(0), ""), "{errors}");
    for name in ["undercroft", "undercroft-import", "undercroft-admin-create"] {
        let page = fs::read_to_string(folder.path().join(format!("pages/man1/{name}.1"))).unwrap();
        assert!(page.contains(".SH SYNOPSIS") && page.contains("\\-\\-database"), "{page}");
    }
    let (code, output, _) = run(folder.path(), &["man"]);
    assert_eq!(code, Some(0));
    assert_eq!(output, fs::read_to_string(folder.path().join("pages/man1/undercroft.1")).unwrap());
}

#[test]
fn commands_without_the_store_do_not_read_the_settings() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("undercroft.toml"), "unknown = 1").unwrap();
    assert_eq!(run(folder.path(), &["doctor"]).0, Some(2));
    for arguments in
        [&["openapi"][..], &["completions", "bash"], &["man"], &["torture", "races", "--rounds", "0"]]
    {
        let (code, _, errors) = run(folder.path(), arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {errors}");
    }
    let (code, _, errors) = run(folder.path(), &["torture", "races", "--database", "sqlite:shop.db"]);
    assert_eq!(code, Some(2));
    assert!(errors.contains("omit --config, --database and --listen"), "{errors}");
}

#[test]
fn the_printed_settings_are_a_valid_file_of_all_settings() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("undercroft.toml");
    fs::write(&file, "").unwrap();
    let (code, output, errors) = run(folder.path(), &["settings"]);
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    assert_eq!(output, include_str!("../../../../undercroft.example.toml"));
    fs::write(&file, output).unwrap();
    assert_eq!(run(folder.path(), &["migrate"]).0, Some(0));
    fs::write(&file, "[store]\ndefault_curency = 1").unwrap();
    assert_eq!(run(folder.path(), &["settings"]).0, Some(0), "it does not read the settings");
}

#[test]
fn the_counts_of_a_torture_test_are_plain_lines() {
    let folder = TempDir::new().unwrap();
    let (code, output, errors) =
        run(folder.path(), &["torture", "races", "--rounds", "1", "--buyers", "3", "--pieces", "2"]);
    assert_eq!(code, Some(0), "{errors}");
    let counts: Vec<_> =
        output.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(counts, ["rounds 1", "orders 2", "out of stock 1", "others 0", "wrong rounds 0"]);
}

#[test]
fn a_text_that_is_no_id_is_refused_with_the_form_of_one() {
    let folder = TempDir::new().unwrap();
    for arguments in [
        &["webhooks", "retry", "nope"][..],
        &["webhooks", "deliveries", "nope"],
        &["jobs", "cancel", "nope"],
        &["events", "dead", "retry", "nope"],
        &["events", "replay", "emails", "--event", "nope"],
    ] {
        let (code, _, errors) = run(folder.path(), arguments);
        assert_eq!(code, Some(2), "{arguments:?}: {errors}");
        assert!(errors.contains(": an id is a UUID, such as 0"), "{arguments:?}: {errors}");
    }
}
