//! `tail`, beside that of coreutils: what is appended, files that become shorter, files that are
//! replaced.

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::common::program::{Guarded, Lines, example};

/// A directory, removed at the end.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("annulus-tail-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn the_last_lines_are_those_of_coreutils() {
    let directory = Directory::new("last");
    let long: String = (0..40_000).map(|number| format!("line {number}\n")).collect();
    let texts = ["", "\n", "one", "one\n", "one\ntwo", "\n\n\n\n", "a\n\nb\n", &long, &long[7..]];
    for (index, text) in texts.iter().enumerate() {
        let path = directory.0.join(index.to_string());
        fs::write(&path, text).unwrap();
        for count in ["0", "1", "2", "10", "20000"] {
            let of = |mut command: Command| {
                let output = command.args(["-n", count]).arg(&path).output().unwrap();
                assert!(output.status.success(), "{output:?}");
                output.stdout
            };
            assert!(of(example("tail")) == of(Command::new("tail")), "text {index}, -n {count}");
        }
    }
}

#[test]
fn a_file_is_followed_when_it_grows_when_it_shrinks_and_when_it_is_replaced() {
    let directory = Directory::new("follow");
    let path = directory.0.join("log");
    let mut file = File::create(&path).unwrap();
    file.write_all(b"first\n").unwrap();
    let mut command = example("tail");
    command.arg("-f").arg(&path).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = Guarded::start(&mut command);
    let mut lines = Lines::of(child.stdout.take().unwrap());
    assert_eq!(lines.next().unwrap(), "first");
    file.write_all(b"appended\n").unwrap();
    assert_eq!(lines.next().unwrap(), "appended");
    // Other files of the directory are none of its business.
    fs::write(directory.0.join("other"), "other\n").unwrap();
    // As `logrotate` does with `copytruncate`.
    file.set_len(0).unwrap();
    let mut file = File::options().append(true).open(&path).unwrap();
    file.write_all(b"anew\n").unwrap();
    assert_eq!(lines.next().unwrap(), "anew");
    // As it does without: the last words of the old file come first.
    fs::rename(&path, directory.0.join("log.1")).unwrap();
    file.write_all(b"last words\n").unwrap();
    assert_eq!(lines.next().unwrap(), "last words");
    fs::write(&path, "replaced\n").unwrap();
    assert_eq!(lines.next().unwrap(), "replaced");
    fs::remove_file(&path).unwrap();
    fs::write(&path, "once more\n").unwrap();
    assert_eq!(lines.next().unwrap(), "once more");
}

#[test]
fn what_tail_cannot_do_is_explained_in_one_line() {
    for (arguments, status) in [
        (&["/nonexistent"][..], 1),
        (&["-f", "/nonexistent/x"], 1),
        (&[], 2),
        (&["-n", "x", "y"], 2),
    ] {
        let output = example("tail").args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(status), "{output:?}");
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.starts_with("tail: ") && text.lines().count() == 1, "{text}");
    }
    let help = example("tail").arg("--help").output().unwrap();
    assert!(help.status.success() && help.stdout.windows(11).any(|it| it == b"Usage: tail"));
}
