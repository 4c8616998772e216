//! The examples of shards: those that show something and end, and those that serve. A visitor types
//! to the latter, and ends them by SIGTERM.

use std::io::Write;
use std::time::Duration;

use libc::SIGTERM;

use crate::common::line_client::LineClient;
use crate::common::program::{Echo, Program, connect, example, listening_address};
use crate::programs::demonstrations::lines;
use crate::programs::{complaint, run};

#[test]
fn the_server_on_shards_answers_lines_and_reports_for_each_shard_at_sigterm() {
    let mut program = Program::start(example("shards_server").arg("127.0.0.1:0"));
    let first = program.stdout.next().expect("the line of a shard");
    let (_, address) = first.split_once(" listens on ").expect("where it listens");
    let mut client = LineClient::connect(address.parse().unwrap());
    let answer = client.ask("hello");
    assert!(answer.starts_with("shard ") && answer.ends_with(": hello"), "{answer:?}");

    program.child.signal(SIGTERM);
    assert_eq!(client.receive(), "");
    let ended = program.ended();
    assert!(ended.status.success(), "{ended:?}");
    let completed = ended.stdout.iter().filter_map(|line| {
        let count = line.strip_suffix(" completed, 0 soft-cancelled, 0 aborted")?;
        count.rsplit_once(' ')?.1.parse::<usize>().ok()
    });
    assert_eq!(completed.sum::<usize>(), 1, "{ended:?}");
}

#[test]
fn the_server_on_shards_ends_with_code_1_when_it_has_aborted_a_connection() {
    let mut program = Program::start(example("shards_server").arg("127.0.0.1:0"));
    let first = program.stdout.next().expect("the line of a shard");
    let (_, address) = first.split_once(" listens on ").expect("where it listens");
    // It sends until the server, whose answers it does not read, takes no more.
    let mut client = connect(address.parse().unwrap());
    client.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    while client.write_all(&b"line\n".repeat(10_000)).is_ok() {}

    // The second is for an end without grace.
    program.child.signal(SIGTERM);
    let is_report = |line: &String| line.ends_with(" 0 aborted");
    let others = usize::from(annulus::shards::CpuList::allowed().unwrap().as_slice().len() > 1);
    assert!(program.stdout.by_ref().filter(is_report).take(others).count() == others);
    program.child.signal(SIGTERM);
    let ended = program.ended();
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    let aborted = ended.stdout.iter().filter(|line| line.ends_with(" 1 aborted"));
    assert_eq!(aborted.count(), 1, "{ended:?}");
}

#[test]
fn what_a_client_publishes_reaches_the_subscribers_of_all_shards() {
    let mut program = Program::start(example("shards_broker").arg("127.0.0.1:0"));
    let first = program.stdout.next().expect("the line that says where it listens");
    let address = listening_address(&first);
    // Enough that no shard is without one, but for a chance of one in thousands, which is harmless.
    let mut subscribers: Vec<_> = (0..16).map(|_| LineClient::connect(address)).collect();
    for subscriber in &mut subscribers {
        assert_eq!(subscriber.ask("SUBSCRIBE news"), "OK");
    }
    let mut publisher = LineClient::connect(address);
    assert_eq!(publisher.ask("PUBLISH weather rain"), "OK 0");
    for number in 0..3 {
        assert_eq!(publisher.ask(&format!("PUBLISH news number {number}")), "OK 16");
    }
    for subscriber in &mut subscribers {
        for number in 0..3 {
            assert_eq!(subscriber.receive(), format!("news number {number}"));
        }
    }

    program.child.signal(SIGTERM);
    assert_eq!(subscribers[0].receive(), "");
    let ended = program.ended();
    assert!(ended.status.success(), "{ended:?}");
    assert_eq!(ended.stdout, ["17 completed, 0 soft-cancelled, 0 aborted"]);
}

#[test]
fn a_broker_on_a_port_in_use_explains_that_in_one_line() {
    let echo = Echo::start();
    let address = echo.address.to_string();
    let line = complaint("shards_broker", &run("shards_broker", &[&address]), 1);
    assert!(line.contains(&format!("listen on {address} ")) && line.contains("in use"), "{line}");
}

#[test]
fn shards_start_tasks_on_each_other() {
    let lines = lines("shards_hello");
    for line in ["shard 0 started a task on shard 1", "shard 1 started a task on shard 0"] {
        assert!(lines.iter().any(|its| its == line), "{lines:?}");
    }
    assert_eq!(lines.last().unwrap(), "the shards returned [0, 1]");
}

#[test]
fn shards_share_state_in_four_ways() {
    let mut lines = lines("shards_state");
    assert!(lines.remove(0).starts_with("shard 0 has served 100, and all together "));
    let expected = [
        "shard 0 says \"good morning\"",
        "the length of \"lease\" is Some(5)",
        "the shards own [2, 4] of 6 words",
        "2 shards wrote to the log",
    ];
    assert_eq!(lines, expected);
}

/// How long each takes depends on the machine.
#[test]
fn shards_show_imbalance_and_what_helps() {
    for (name, text) in [("shards_imbalance", "delayed"), ("shards_jobs", "were done after")] {
        let lines = lines(name);
        assert!(lines.len() == 2 && lines.iter().all(|line| line.contains(text)), "{lines:?}");
    }
}
