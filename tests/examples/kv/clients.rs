//! Clients that this project did not write: `redis-cli` and `redis-benchmark`.
//!
//! The programs are Debian's: `apt-get install redis-tools`. A test whose client is not installed
//! is reported as skipped.

use std::collections::HashSet;
use std::process::{Command, Stdio};

use super::program::Kv;
use crate::common::program::Program;
use crate::common::skip::skip;

/// A program of Redis, with the server's address; `None`, and a report, if it is not installed.
fn tool(name: &str, kv: &Kv) -> Option<Command> {
    if Command::new(name).arg("--version").output().is_err() {
        skip(&format!("{name} is not installed: apt-get install redis-tools"));
        return None;
    }
    let mut command = Command::new(name);
    let (host, port) = (kv.address.ip().to_string(), kv.address.port().to_string());
    command.args(["-h", &host, "-p", &port]).stdin(Stdio::null());
    Some(command)
}

/// What `redis-cli` prints for requests that are typed to it.
fn redis_cli(kv: &Kv, options: &[&str], lines: &str) -> Option<Vec<String>> {
    let mut command = tool("redis-cli", kv)?;
    let mut program = Program::start(command.args(options).stdin(Stdio::piped()));
    program.type_in(lines);
    program.end_input();
    let ended = program.ended();
    assert!(ended.status.success() && ended.stderr.is_empty(), "{ended:?}");
    Some(ended.stdout)
}

#[test]
fn redis_cli_shows_replies_in_both_versions() {
    let kv = Kv::on(2);
    let lines = "SET k \"a b\" EX 100\nGET k\nTTL k\nGET none\nINCR n\nMSET a 1 b 2\nMGET a b c\n\
        EXISTS a b c\nnothing\nDEL a b c\nDBSIZE\n";
    for version in ["-2", "-3"] {
        let Some(printed) = redis_cli(&kv, &["--no-raw", version], lines) else { return };
        let expected = [
            "OK",
            "\"a b\"",
            "(nil)",
            if version == "-2" { "(integer) 1" } else { "(integer) 2" },
            "OK",
            "1) \"1\"",
            "2) \"2\"",
            "3) (nil)",
            "(integer) 2",
            "(error) ERR unknown command 'nothing', with args beginning with: ",
            "(integer) 2",
            "(integer) 2",
        ];
        let mut printed: Vec<_> = printed.into_iter().filter(|line| !line.is_empty()).collect();
        // The rest of 100 s, however long the commands before it have taken.
        let left = printed.remove(2);
        let seconds: u64 = left.strip_prefix("(integer) ").unwrap().parse().unwrap();
        assert!((1..=100).contains(&seconds), "{left}");
        assert_eq!(printed, expected);
    }
}

#[test]
fn redis_cli_scans_all_keys() {
    let kv = Kv::on(2);
    let lines: String = (0..500).map(|n| format!("SET key:{n} {n}\n")).collect();
    let Some(printed) = redis_cli(&kv, &[], &lines) else { return };
    assert_eq!(printed.iter().filter(|line| *line == "OK").count(), 500);
    let mut command = tool("redis-cli", &kv).expect("it has just run");
    let ended = Program::start(command.args(["--scan", "--pattern", "key:*"])).ended();
    assert_eq!(ended.stdout.len(), 500);
    assert_eq!(ended.stdout.into_iter().collect::<HashSet<_>>().len(), 500);
}

#[test]
fn redis_benchmark_runs_without_an_error() {
    for (shards, options) in
        [(1, ["-P", "1"]), (1, ["-P", "16"]), (2, ["-P", "1"]), (2, ["-P", "16"])]
    {
        let kv = Kv::on(shards);
        let Some(mut command) = tool("redis-benchmark", &kv) else { return };
        let tests = "ping_inline,ping_mbulk,set,get,incr,mset";
        command.args(["-t", tests, "-n", "2000", "-c", "20", "-r", "100", "-q", "--csv"]);
        let ended = Program::start(command.args(options)).ended();
        let text = ended.stdout.join("\n");
        assert!(ended.status.success(), "{ended:?}");
        // A head, and a line for each test.
        assert_eq!(ended.stdout.len(), 7, "{text}");
        let complaints = ended.stderr.join("\n");
        assert!(
            !format!("{complaints}{text}").to_lowercase().contains("error"),
            "{complaints}{text}"
        );
    }
}
