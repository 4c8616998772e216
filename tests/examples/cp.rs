//! The example `cp`, compared with what it copies.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use crate::common::directory::Directory;
use crate::common::program::{Ended, Program, example};

fn cp(arguments: &[&str]) -> Ended {
    Program::start(example("cp").args(arguments)).ended()
}

#[track_caller]
fn copied(arguments: &[&str]) {
    let ended = cp(arguments);
    assert!(ended.status.success() && ended.stderr.is_empty(), "{arguments:?}: {ended:?}");
}

#[track_caller]
fn refused(arguments: &[&str], status: i32, words: &str) {
    let ended = cp(arguments);
    assert_eq!(ended.status.code(), Some(status), "{arguments:?}: {ended:?}");
    let [line] = ended.stderr.as_slice() else { panic!("not one line: {ended:?}") };
    assert!(line.starts_with("cp: ") && line.contains(words), "{line}");
}

fn text(path: &Path) -> &str {
    path.to_str().expect("the paths of tests are Unicode")
}

#[test]
fn cp_copies_files_of_every_length_and_what_has_none() {
    let directory = Directory::new();
    let (source, copy) = (directory.path().join("source"), directory.path().join("copy"));
    let block = 8192;
    for length in [0, 1, 4096, block - 1, block, block + 1, 5 * block + 77] {
        let bytes: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
        fs::write(&source, &bytes).unwrap();
        // Longer than what replaces it.
        fs::write(&copy, vec![1; 6 * block]).unwrap();
        copied(&["--block", "8192", "--in-flight", "3", text(&source), text(&copy)]);
        assert!(fs::read(&copy).unwrap() == bytes, "{length} bytes");
    }
    // The kernel says that it is empty.
    copied(&["/proc/self/cmdline", text(&copy)]);
    assert!(fs::read(&copy).unwrap().ends_with(b"copy\0"));
}

#[test]
fn cp_past_the_cache_cuts_off_what_the_last_block_has_too_much() {
    let directory = Directory::new();
    let (source, copy) = (directory.path().join("source"), directory.path().join("copy"));
    let bytes: Vec<u8> = (0..100_001).map(|at| (at % 241) as u8).collect();
    fs::write(&source, &bytes).unwrap();
    let ended = cp(&["--direct", "--sync", "--block", "8192", text(&source), text(&copy)]);
    if ended.stderr.iter().any(|line| line.contains("os error 22")) {
        println!("skipped: the file system of {} has no O_DIRECT", directory.path().display());
        return;
    }
    assert!(ended.status.success(), "{ended:?}");
    assert!(fs::read(&copy).unwrap() == bytes);
}

#[test]
fn cp_copies_into_a_directory_and_keeps_who_may_do_what() {
    let directory = Directory::new();
    let source = directory.path().join("source");
    let into = directory.path().join("into");
    fs::write(&source, "text").unwrap();
    fs::set_permissions(&source, fs::Permissions::from_mode(0o700)).unwrap();
    fs::create_dir(&into).unwrap();
    copied(&[text(&source), text(&into)]);
    let copy = into.join("source");
    assert_eq!(fs::read(&copy).unwrap(), b"text");
    assert_eq!(fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn what_cp_cannot_copy_is_explained_in_one_line_and_stays_as_it_was() {
    let directory = Directory::new();
    let (source, link) = (directory.path().join("source"), directory.path().join("link"));
    fs::write(&source, "text").unwrap();
    symlink(&source, &link).unwrap();
    let (source, target) = (text(&source), text(directory.path()));
    refused(&[source, text(&link)], 1, "same file");
    refused(&[source, target], 1, "same file");
    assert_eq!(fs::read(source).unwrap(), b"text");
    refused(&["/no/such/file", target], 1, "/no/such/file");
    refused(&[target, source], 1, "is a directory");
    refused(&[source, "/no/such/directory/copy"], 1, "/no/such/directory/copy");
    for (arguments, words) in [
        (&[source][..], "TARGET"),
        (&[source, target, source], "source"),
        (&["--block", "5", source, target], "4096"),
        (&["--in-flight", "0", source, target], "1024"),
        (&["--depth"], "--depth"),
    ] {
        refused(arguments, 2, words);
    }
    assert!(cp(&["--help"]).stdout.iter().any(|line| line.starts_with("Usage: cp")));
}
