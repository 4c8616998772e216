//! The client that sends its standard input and prints what comes back.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use super::{complaint, run};
use crate::common::net::refusing;
use crate::common::patience::limit;
use crate::common::program::{Echo, Ended, Program, connect, example};

fn start(address: SocketAddr) -> Program {
    Program::start(example("client").arg(address.to_string()).stdin(Stdio::piped()))
}

#[track_caller]
fn assert_printed(ended: &Ended, lines: &[&str]) {
    assert!(ended.status.success(), "{ended:?}");
    assert_eq!(ended.stdout, lines);
    assert_eq!(ended.stderr, [""; 0]);
}

#[test]
fn an_answer_is_printed_when_it_comes_and_not_only_at_the_end() {
    let echo = Echo::start();
    let mut client = start(echo.address);
    for line in ["first", "second"] {
        client.type_in(&format!("{line}\n"));
        assert_eq!(client.stdout.next().as_deref(), Some(line));
    }
    client.end_input();
    assert_printed(&client.ended(), &[]);
}

#[test]
fn what_comes_after_the_end_of_the_input_is_printed() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = start(server.local_addr().unwrap());
    let (mut peer, _) = server.accept().unwrap();
    peer.set_read_timeout(Some(limit())).unwrap();
    client.type_in("no line end");
    client.end_input();
    let mut input = String::new();
    peer.read_to_string(&mut input).unwrap();
    assert_eq!(input, "no line end");
    peer.write_all(b"late answer").unwrap();
    drop(peer);
    assert_printed(&client.ended(), &["late answer"]);
}

/// More than the sockets' buffers hold, so that who sends all before receiving is stuck.
#[test]
fn much_input_in_huge_lines_comes_back_whole() {
    let echo = Echo::start();
    let mut client = start(echo.address);
    let lines: Vec<String> = ('a'..='p').map(|c| String::from(c).repeat(1 << 20)).collect();
    let mut input = client.child.stdin.take().unwrap();
    let mut text = String::new();
    for line in &lines {
        writeln!(text, "{line}").unwrap();
    }
    let feeder = thread::spawn(move || input.write_all(text.as_bytes()));
    let ended = client.ended();
    feeder.join().unwrap().unwrap();
    assert!(ended.status.success(), "{:?}", ended.stderr);
    assert!(ended.stdout == lines, "the echo differs");
}

#[test]
fn a_server_that_leaves_early_is_reported_while_the_input_is_open() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = start(server.local_addr().unwrap());
    drop(server.accept().unwrap());
    let line = complaint("client", &client.ended(), 1);
    assert!(line.contains("the server closed the connection"), "{line}");
}

#[test]
fn a_refusal_is_reported_with_the_address() {
    let (_held, address) = refusing();
    let line = complaint("client", &run("client", &[address.to_string()]), 1);
    assert!(line.contains(&format!("connect to {address}: Connection refused")), "{line}");
}

/// When the queue of a listener is full, Linux drops the packets that would open a connection.
#[test]
fn an_address_that_does_not_answer_is_given_up() {
    let (listener, address) = refusing();
    listener.listen(0).unwrap();
    let _queued = connect(address);
    let started = Instant::now();
    let line = complaint("client", &run("client", &[address.to_string()]), 1);
    assert!(line.contains(&format!("connect to {address}: timed out")), "{line}");
    assert!(started.elapsed() >= Duration::from_secs(5), "it gave up early");
}

#[test]
fn an_input_that_cannot_be_read_is_reported() {
    let echo = Echo::start();
    let directory = std::fs::File::open("/").unwrap();
    let mut command = example("client");
    command.arg(echo.address.to_string()).stdin(directory);
    let line = complaint("client", &Program::start(&mut command).ended(), 1);
    assert!(line.contains("standard input: Is a directory"), "{line}");
}
