//! `doctor` checks the folder of files.

use std::fs;

use tempfile::TempDir;

use super::doctor::doctor;
use super::{run, undercroft};

#[test]
fn a_folder_for_files_that_is_not_absolute_is_beside_the_database() {
    let (folder, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (code, _, errors) = run(folder.path(), &["migrate", "--database", "sqlite:shop.db"]);
    assert_eq!(code, Some(0), "{errors}");
    let (code, text) = doctor(&other, &format!("sqlite:{}", folder.path().join("shop.db").display()));
    assert_eq!(code, Some(0), "{text}");
    let files = folder.path().join("./files");
    assert!(text.contains(&format!("file:{} has 0 files, and can be written", files.display())), "{text}");
    assert!(!files.exists(), "a check creates no folder");

    let mut command = undercroft(folder.path(), &["doctor", "--database", "sqlite:shop.db"]);
    let refused = command.env("UNDERCROFT_FILES__URL", "s3://KEY:hush@bucket").output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    let errors = String::from_utf8(refused.stderr).unwrap();
    assert!(
        errors.contains("UNDERCROFT_FILES__URL: files.url: `s3://…@bucket` is not `file:FOLDER`"),
        "{errors}"
    );
}

#[test]
fn a_folder_for_files_that_cannot_be_written_is_a_problem() {
    let folder = TempDir::new().unwrap();
    let (code, _, errors) = run(folder.path(), &["migrate", "--database", "sqlite:shop.db"]);
    assert_eq!(code, Some(0), "{errors}");
    // in which not even root can create a folder
    fs::write(folder.path().join("mistake"), "").unwrap();
    let arguments = ["doctor", "--listen", "127.0.0.1:0", "--database", "sqlite:shop.db"];
    let mut command = undercroft(folder.path(), &arguments);
    let output = command.env("UNDERCROFT_FILES__URL", "file:mistake").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    let found = "PROBLEM  storage      the file storage cannot be used: the folder mistake of `files.url`: ";
    assert!(text.contains(found) && text.contains("`ReadWritePaths`"), "{text}");
}
