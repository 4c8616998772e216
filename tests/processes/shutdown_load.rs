//! A server that is asked to end by SIGTERM while 1,000 connections load it: no response is cut,
//! and no connection that it has accepted is reset. The client is a program on Python's asyncio
//! (`clients/load.py`), which checks what clients rely on.
//!
//! One case is not the server's: a handshake that ends while the kernel closes the listener may
//! leave the client with a connection that no process has. So a connection without any response may
//! fail, if the server has never accepted it.

use std::cell::RefCell;
use std::collections::HashSet;
use std::net::{SocketAddr, TcpListener};
use std::process::Command;
use std::rc::Rc;
use std::thread;

use annulus::net::{
    ListenOptions, ServerOptions, ShutdownOptions, ShutdownReport, StreamReader, StreamWriter,
    start_server_with,
};
use annulus::{Runtime, Shutdown};
use libc::SIGTERM;

use crate::common::child;
use crate::common::patience::limit;
use crate::common::program::Program;
use crate::common::skip::skip;
use crate::many_connections::connections_that_fit;
use crate::this_test;

/// How many connections the client has at a time.
const CLIENTS: usize = 1000;

/// As many as make a response that is sent in several pieces.
const BODY: usize = 40_000;

/// The SHA-256 of the body.
const ETAG: &str = "6285332e3072b27e5b095c5c7d6e37eadd201220eb14694f9d2d0177c25a64ae";

/// Serves on a shared port until the shutdown; returns the report, and the ports of the peers that
/// were accepted.
fn serve(address: SocketAddr, shutdown: &Shutdown) -> (ShutdownReport, Vec<u16>) {
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let accepted = Rc::new(RefCell::new(Vec::new()));
        let (its, noted) = (shutdown.clone(), Rc::clone(&accepted));
        let handler = async move |reader: StreamReader, writer: StreamWriter| {
            noted.borrow_mut().push(writer.peer_addr()?.port());
            respond(reader, writer, &its).await
        };
        let listen = ListenOptions::new().reuse_port(true).backlog(4096);
        let options = ServerOptions::new().listen(listen);
        let server = start_server_with(handler, address, &options).await.unwrap();
        eprintln!("serving");
        let options = ShutdownOptions::new().grace(limit());
        let report = server.serve_until(shutdown, &options).await;
        (report, accepted.take())
    })
}

async fn respond(
    mut reader: StreamReader,
    mut writer: StreamWriter,
    shutdown: &Shutdown,
) -> std::io::Result<()> {
    let body = vec![b'x'; BODY];
    loop {
        if reader.read_until(b"\r\n\r\n").await.is_ok_and(|head| head.is_empty()) {
            return Ok(());
        }
        let is_last = shutdown.is_requested();
        let connection = if is_last { "close" } else { "keep-alive" };
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {BODY}\r\nETag: {ETAG}\r\nConnection: {connection}\r\n\r\n"
        );
        writer.write(head).await?;
        writer.write(body.clone()).await?;
        if is_last {
            return Ok(());
        }
    }
}

/// What the child does.
fn play(role: &str) {
    connections_that_fit();
    let (shards, port) = role.split_once(' ').unwrap();
    let address = SocketAddr::from(([127, 0, 0, 1], port.parse().unwrap()));
    let shutdown = Shutdown::on_signals().unwrap();
    let threads: Vec<_> = (0..shards.parse().unwrap())
        .map(|_| {
            let shutdown = shutdown.clone();
            thread::spawn(move || serve(address, &shutdown))
        })
        .collect();
    let ended: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    let report: ShutdownReport = ended.iter().map(|(report, _)| report).sum();
    for (_, ports) in ended {
        for port in ports {
            eprintln!("accepted {port}");
        }
    }
    eprintln!("{report}");
}

fn lacks_anything() -> bool {
    let has_python = Command::new("python3").arg("--version").output().is_ok();
    if !has_python {
        skip("python3 is not installed: apt-get install python3");
    }
    let fits = connections_that_fit() > CLIENTS;
    if !fits {
        skip("the limit of descriptors is too low for a thousand connections");
    }
    !has_python || !fits
}

#[track_caller]
fn assert_all_served(shards: usize, test: &str) {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut server = Program::start(&mut child::command(test, &format!("{shards} {port}")));
    for _ in 0..shards {
        assert!(server.stderr.any(|line| line == "serving"));
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/processes/clients/load.py");
    let mut client = Program::start(Command::new("python3").args([script, &port.to_string()]));
    assert!(client.stdout.any(|line| line == "under load"), "{:?}", client.ended());
    server.child.signal(SIGTERM);
    let ended = client.ended();
    assert!(ended.status.success(), "{ended:?}");
    let served = server.ended();
    assert!(served.status.success(), "{served:?}");
    let report = served.stderr.last().unwrap();
    assert!(report.ends_with(" completed, 0 soft-cancelled, 0 aborted"), "{report}");
    let accepted: HashSet<_> =
        served.stderr.iter().filter_map(|line| line.strip_prefix("accepted ")).collect();
    for failure in ended.stdout.iter().filter_map(|line| line.strip_prefix("failed port=")) {
        let (port, how) = failure.split_once(' ').unwrap();
        let is_unserved = how.starts_with("answered=0 bytes=0 ") && !accepted.contains(port);
        assert!(is_unserved, "{failure}; {:?}", ended.stdout.last());
    }
}

#[test]
fn a_load_of_a_thousand_connections_is_served_to_the_last_response() {
    match child::role() {
        Some(role) => play(&role),
        None if lacks_anything() => {}
        None => assert_all_served(1, this_test!()),
    }
}

#[test]
fn two_shards_serve_a_load_of_a_thousand_connections_to_the_last_response() {
    match child::role() {
        Some(role) => play(&role),
        None if lacks_anything() => {}
        None => assert_all_served(2, this_test!()),
    }
}
