//! The echo server: its addresses, its ends, and peers that break.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::Stdio;
use std::time::{Duration, Instant};

use libc::{SIGINT, SIGTERM};
use socket2::Socket;

use super::{complaint, run};
use crate::common::patience::{limit, patient};
use crate::common::program::{Echo, Ended, Guarded, connect, example, exchange, listening_address};

/// What echo prints when it is asked to stop with connections open.
fn stopping(open: usize) -> String {
    let hint = "connections have 5 s to finish, ctrl-c again cancels them now";
    format!("stopping: {hint} ({open} open)")
}

#[track_caller]
fn assert_stopped(ended: &Ended, finished: usize, cancelled: usize) {
    assert!(ended.status.success(), "{ended:?}");
    assert_eq!(
        ended.stdout.last().map(String::as_str),
        Some(format!("stopped: {finished} finished, {cancelled} cancelled").as_str())
    );
    assert_eq!(ended.stderr, [""; 0]);
}

#[test]
fn a_port_in_use_is_explained() {
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = holder.local_addr().unwrap().to_string();
    let line = complaint("echo", &run("echo", &[&address]), 1);
    assert!(line.contains(&format!("listen on {address}: Address already in use")), "{line}");
    assert!(line.ends_with("give another port"), "{line}");
}

#[test]
fn an_address_of_another_machine_is_explained() {
    // Reserved for documentation, so that no host has it.
    let line = complaint("echo", &run("echo", &["192.0.2.1:7000"]), 1);
    assert!(line.contains("give an address of this machine"), "{line}");
}

#[test]
fn a_name_may_stand_for_the_address() {
    let echo = Echo::on("localhost:0");
    assert!(echo.address.ip().is_loopback());
    exchange(&mut echo.connect());
}

#[test]
fn the_end_of_the_client_ends_the_connection_after_the_last_byte() {
    let echo = Echo::start();
    let mut client = echo.connect();
    client.write_all(b"all of it").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "all of it");
}

#[test]
fn ctrl_c_and_sigterm_end_a_server_without_connections_at_once() {
    for signal in [SIGINT, SIGTERM] {
        let mut echo = Echo::start();
        echo.program.child.signal(signal);
        let ended = echo.program.ended();
        assert_stopped(&ended, 0, 0);
        assert_eq!(ended.stdout.len(), 1);
    }
}

#[test]
fn ctrl_c_refuses_new_connections_and_lets_the_open_ones_finish() {
    let mut echo = Echo::start();
    let mut open = [echo.connect(), echo.connect()];
    open.iter_mut().for_each(exchange);
    echo.program.child.signal(SIGINT);
    assert_eq!(echo.program.stdout.next(), Some(stopping(2)));

    let refused = TcpStream::connect_timeout(&echo.address, limit()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    open.iter_mut().for_each(exchange);
    drop(open);
    assert_stopped(&echo.program.ended(), 2, 0);
}

#[test]
fn a_second_ctrl_c_cancels_what_is_open() {
    let mut echo = Echo::start();
    let mut open = echo.connect();
    exchange(&mut open);
    echo.program.child.signal(SIGINT);
    assert_eq!(echo.program.stdout.next(), Some(stopping(1)));
    let second = Instant::now();
    echo.program.child.signal(SIGINT);
    assert_stopped(&echo.program.ended(), 0, 1);
    assert!(second.elapsed() < patient(Duration::from_secs(5)), "it waited for its time to be up");
    assert_eq!(open.read(&mut [0]).unwrap(), 0, "the connection was closed");
}

#[test]
fn a_connection_that_does_not_finish_is_cancelled_when_the_time_is_up() {
    let mut echo = Echo::start();
    let mut open = echo.connect();
    exchange(&mut open);
    let asked = Instant::now();
    echo.program.child.signal(SIGINT);
    assert_eq!(echo.program.stdout.next(), Some(stopping(1)));
    assert_stopped(&echo.program.ended(), 0, 1);
    assert!(asked.elapsed() >= Duration::from_secs(5), "it did not wait");
}

#[test]
fn an_error_is_told_with_the_peer_and_ends_only_its_connection() {
    let mut echo = Echo::start();
    let mut good = echo.connect();
    exchange(&mut good);
    let mut bad = echo.connect();
    exchange(&mut bad);
    let peer = bad.local_addr().unwrap();
    reset(bad);
    let line = echo.program.stderr.next().unwrap();
    assert!(line.starts_with(&format!("{peer}: ")), "{line}");
    assert!(line.contains("Connection reset by peer"), "{line}");
    exchange(&mut good);
}

#[test]
fn echo_serves_on_when_its_messages_are_not_read() {
    let mut command = example("echo");
    command.arg("127.0.0.1:0").stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut server = Guarded::start(&mut command);
    let mut line = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
    drop(server.stderr.take());
    let address = listening_address(line.trim_end());

    let mut bad = connect(address);
    exchange(&mut bad);
    reset(bad);
    exchange(&mut connect(address));
    server.signal(SIGINT);
    assert!(server.wait().unwrap().success());
}

fn reset(stream: TcpStream) {
    let stream = Socket::from(stream);
    stream.set_linger(Some(Duration::ZERO)).unwrap();
}
