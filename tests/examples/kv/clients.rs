//! Clients that this project did not write: `redis-cli`, `redis-benchmark` and the crate `redis`.
//!
//! The programs are Debian's: `apt-get install redis-tools`. A test whose client is not installed
//! is reported as skipped.

use std::collections::{HashMap, HashSet};
use std::process::{Command, Stdio};

use redis::{Commands, ExistenceCheck, SetExpiry, SetOptions};

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
            "(integer) 100",
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
        assert_eq!(
            printed.into_iter().filter(|line| !line.is_empty()).collect::<Vec<_>>(),
            expected
        );
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

fn client(kv: &Kv, resp3: bool) -> redis::Connection {
    let version = if resp3 { "?protocol=resp3" } else { "" };
    let client = redis::Client::open(format!("redis://{}/{version}", kv.address)).unwrap();
    client.get_connection().expect("the server takes connections")
}

#[test]
fn the_redis_crate_sets_reads_counts_and_scans() {
    for (shards, resp3) in [(1, false), (1, true), (2, false), (2, true)] {
        let kv = Kv::on(shards);
        let mut client = client(&kv, resp3);
        let () = redis::cmd("FLUSHALL").query(&mut client).unwrap();
        let () = client.set("a", "1").unwrap();
        assert_eq!(client.get::<_, i64>("a").unwrap(), 1);
        assert_eq!(client.get::<_, Option<String>>("b").unwrap(), None);
        assert_eq!(client.incr::<_, _, i64>("a", 41).unwrap(), 42);
        assert_eq!(client.append::<_, _, i64>("a", "x").unwrap(), 3);
        let options = SetOptions::default()
            .conditional_set(ExistenceCheck::NX)
            .with_expiration(SetExpiry::EX(100));
        assert!(client.set_options::<_, _, bool>("c", "2", options.clone()).unwrap());
        assert!(!client.set_options::<_, _, bool>("c", "3", options).unwrap());
        assert_eq!(client.ttl::<_, i64>("c").unwrap(), 100);
        let () = client.mset(&[("k:1", "1"), ("k:2", "2")]).unwrap();
        let values: Vec<Option<String>> = client.mget(&["k:2", "none", "k:1"]).unwrap();
        assert_eq!(values, [Some("2".to_owned()), None, Some("1".to_owned())]);
        let keys: HashSet<String> =
            client.scan_match::<_, String>("k:*").unwrap().map(Result::unwrap).collect();
        assert_eq!(keys, HashSet::from(["k:1".to_owned(), "k:2".to_owned()]));
        let settings: HashMap<String, String> =
            redis::cmd("CONFIG").arg("GET").arg("appendonly").query(&mut client).unwrap();
        assert_eq!(settings["appendonly"], "no");
        let error = client.incr::<_, _, i64>("a", 1).unwrap_err();
        assert!(error.to_string().contains("not an integer"), "{error}");
        assert_eq!(client.del::<_, i64>(&["a", "c", "none"]).unwrap(), 2);
    }
}

#[test]
fn a_pipeline_of_the_redis_crate_is_answered_in_order() {
    let kv = Kv::on(2);
    let mut client = client(&kv, false);
    let mut pipeline = redis::pipe();
    for n in 0..1000 {
        pipeline.set(format!("key:{n}"), n).ignore().get(format!("key:{n}"));
    }
    let values: Vec<i64> = pipeline.query(&mut client).unwrap();
    assert_eq!(values, (0..1000).collect::<Vec<_>>());
}
