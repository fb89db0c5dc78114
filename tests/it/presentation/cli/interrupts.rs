//! Commands that a signal ends say what was done, and continue when they are run again.

use std::fs;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::import::{export, folder_with, import, orders_in, orders_of, sales};
use super::{run, signal, undercroft};

#[test]
fn an_import_that_was_interrupted_says_what_is_imported_and_continues() {
    for name in ["INT", "TERM"] {
        let rest = "900,S1,,5,2011-01-01 10:00:00,0,,France\n";
        let (whole, file) = folder_with("sales.csv", sales(600).replacen('\n', &format!("\n{rest}"), 1));
        let folder = TempDir::new().unwrap();
        let arguments = ["import", "--rejects", "rejected.csv", file.to_str().unwrap()];
        let mut command = undercroft(folder.path(), &arguments);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let deadline = Instant::now() + Duration::from_mins(1);
        while orders_in(folder.path()) == 0 {
            assert!(Instant::now() < deadline, "no order is written");
            std::thread::sleep(Duration::from_millis(1));
        }
        signal(&child, name);
        let output = child.wait_with_output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), output.status.signal()), (Some(130), None), "{errors}");
        let done = errors.strip_prefix("undercroft: interrupted after ").expect(&errors);
        let end = " of 1801 lines, which are imported; the same command continues from there\n";
        let lines: i64 = done.strip_suffix(end).expect(&errors).parse().unwrap();
        // each order has three lines, and one line was rejected
        assert_eq!(lines, 3 * orders_in(folder.path()) + 1);
        assert!(!folder.path().join("rejected.csv").exists());

        let (code, _, errors) = run(folder.path(), &arguments);
        assert_eq!(code, Some(0), "{errors}");
        assert_eq!(fs::read_to_string(folder.path().join("rejected.csv")).unwrap().lines().count(), 2);
        import(whole.path(), &file);
        assert!(export(folder.path(), None) == export(whole.path(), None), "the exports differ");
    }
}

#[test]
fn an_export_that_was_interrupted_says_that_the_output_is_incomplete() {
    let (folder, file) = folder_with("sales.csv", sales(600));
    import(folder.path(), &file);
    let mut command = undercroft(folder.path(), &["export"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // the output is larger than the buffer of the pipe: the command waits until it is read
    let mut output = child.stdout.take().unwrap();
    output.read_exact(&mut [0]).unwrap();
    signal(&child, "INT");
    // a second process is started and ended after the signal was delivered
    assert_eq!(run(folder.path(), &["--version"]).0, Some(0));
    std::io::copy(&mut output, &mut std::io::sink()).unwrap();
    let output = child.wait_with_output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{errors}");
    let expected = "undercroft: interrupted before the end of the output; the same command begins again\n";
    assert_eq!(errors, expected);
}

#[test]
fn a_torture_test_that_was_interrupted_leaves_no_process_and_no_file() {
    for name in ["INT", "TERM"] {
        let folder = TempDir::new().unwrap();
        let mut command = undercroft(folder.path(), &["torture", "races", "--rounds", "1000000"]);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let orders = || {
            let files = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
            let stores = files.filter(|file| file.extension().is_some_and(|end| end == "db"));
            stores.map(|file| orders_of(&file)).sum::<i64>()
        };
        let deadline = Instant::now() + Duration::from_mins(1);
        while orders() == 0 {
            assert!(Instant::now() < deadline, "no order is placed");
            std::thread::sleep(Duration::from_millis(10));
        }
        signal(&child, name);
        // its server has the same standard error, which the last process closes
        let (sender, receiver) = sync_channel(1);
        std::thread::spawn(move || sender.send(child.wait_with_output()));
        let output = receiver.recv_timeout(Duration::from_mins(1)).expect("a process is left").unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), output.status.signal()), (Some(130), None), "{errors}");
        assert!(errors.ends_with("undercroft: interrupted before the end of the test\n"), "{errors}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
