//! The example `log_store`: what it acknowledges survives, and what a crash has torn is cut off.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;

use libc::{SIGKILL, SIGTERM};

use crate::common::directory::Directory;
use crate::common::program::{Ended, Program, connect, example};

/// The log as a server on a free port, and what it says of the file.
fn serve(path: &Path) -> (Program, String, SocketAddr) {
    let mut command = example("log_store");
    let mut program = Program::start(command.arg(path).args(["--listen", "127.0.0.1:0"]));
    let found = program.stdout.next().expect("what it has found");
    let line = program.stdout.next().expect("where it listens");
    let address = line.split([' ', ';']).nth(2).expect("an address").parse().expect("an address");
    (program, found, address)
}

/// Appends lines, and returns their offsets.
fn append(address: SocketAddr, lines: &[&str]) -> Vec<u64> {
    let stream = connect(address);
    let mut answers = BufReader::new(stream.try_clone().unwrap()).lines();
    let mut ask = |line: &&str| {
        (&stream).write_all(format!("{line}\n").as_bytes()).unwrap();
        answers.next().unwrap().unwrap().parse().unwrap()
    };
    lines.iter().map(&mut ask).collect()
}

#[test]
fn acknowledged_records_survive_a_kill_and_a_torn_tail_is_cut_off() {
    let directory = Directory::new();
    let path = directory.join("log");
    let (mut program, found, address) = serve(&path);
    assert_eq!(found, "found 0 records in 0 bytes");
    assert_eq!(append(address, &["one", "", "three"]), [0, 19, 35]);
    program.child.signal(SIGKILL);
    drop(program.ended());
    // As a crash in the middle of a write leaves it.
    let whole = fs::read(&path).unwrap();
    for (torn, cut) in [(&whole[..10], 10), (&b"\x03\0\0\0wrong checksum"[..], 18)] {
        fs::write(&path, [&whole[..], torn].concat()).unwrap();
        let (mut program, found, address) = serve(&path);
        assert_eq!(found, format!("found 3 records in 56 bytes; {cut} torn bytes are cut off"));
        assert_eq!(append(address, &["four"]), [56]);
        program.child.signal(SIGTERM);
        assert!(program.ended().status.success());
    }
    // A record at another place than its own is none.
    fs::write(&path, [&whole[..19], &whole[..]].concat()).unwrap();
    assert_eq!(serve(&path).1, "found 1 records in 19 bytes; 56 torn bytes are cut off");
}

fn run<A: AsRef<OsStr>>(arguments: &[A]) -> Ended {
    Program::start(example("log_store").args(arguments)).ended()
}

#[test]
fn clients_of_the_log_share_commits() {
    let directory = Directory::new();
    let path = directory.join("log");
    let path = path.to_str().unwrap();
    let ended = run(&[path, "--load", "32", "--size", "100", "--seconds", "0"]);
    assert!(ended.status.success(), "{ended:?}");
    let ended = run(&[path, "--load", "32", "--seconds", "1"]);
    let rates: Vec<f64> = ended.stdout[1].split(' ').filter_map(|word| word.parse().ok()).collect();
    let [records, _, _, _, each] = rates[..] else { panic!("{ended:?}") };
    // At least one of each client, however long the disk takes.
    assert!(records >= 32.0 && each > 2.0, "{ended:?}");
}

#[test]
fn wrong_arguments_of_the_log_are_refused_in_one_line() {
    let directory = Directory::new();
    let path = directory.path().to_str().unwrap();
    for (arguments, text) in [
        (&[][..], "a FILE for the log is missing"),
        (&["log", "more"], "more"),
        (&["log", "--load"], "--load"),
        (&["log", "--load", "0"], "between 1 and 100000"),
        (&["log", "--size", "9"], "belong to --load"),
        (&["log", "--load", "2", "--listen", "127.0.0.1:0"], "exclude each other"),
    ] {
        let ended = run(arguments);
        assert_eq!(ended.status.code(), Some(2), "{ended:?}");
        let [line] = &ended.stderr[..] else { panic!("{ended:?}") };
        assert!(line.starts_with("log_store: ") && line.contains(text), "{line}");
    }
    let ended = run(&[path]);
    let [line] = &ended.stderr[..] else { panic!("{ended:?}") };
    assert!(line.starts_with("log_store: cannot open the log") && line.contains(path), "{line}");
    assert_eq!(ended.status.code(), Some(1));
    let ended = run(&["--help"]);
    assert!(ended.status.success() && ended.stdout.iter().any(|line| line.contains("Usage")));
}
