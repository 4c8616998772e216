//! A server that is asked to end by SIGTERM while 1,000 connections load it: no response is cut,
//! and no connection that it has accepted is reset. The client is a program on Python's asyncio
//! (`clients/load.py`), which checks what clients rely on.
//!
//! One case is not the server's: a handshake that ends while the kernel closes the listener may
//! leave the client with a connection that no process has. So a connection without any response may
//! fail, if the server has never accepted it.

use std::cell::RefCell;
use std::collections::HashSet;
use std::io;
use std::process::Command;
use std::rc::Rc;

use annulus::net::{
    ListenOptions, ServerOptions, ShutdownOptions, ShutdownReport, StreamReader, StreamWriter,
    start_server_with,
};
use annulus::shards::Shard;
use annulus::{Shards, Shutdown};
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

/// Serves on the port of all shards until the shutdown; returns the report, and the ports of the
/// peers that were accepted.
async fn serve(shard: Shard) -> io::Result<(ShutdownReport, Vec<u16>)> {
    let accepted = Rc::new(RefCell::new(Vec::new()));
    let (its, noted) = (shard.clone(), Rc::clone(&accepted));
    let handler = async move |reader: StreamReader, writer: StreamWriter| {
        noted.borrow_mut().push(writer.peer_addr()?.port());
        respond(reader, writer, its.shutdown()).await
    };
    let options = ServerOptions::new().listen(ListenOptions::new().backlog(4096));
    let server = start_server_with(handler, "127.0.0.1:0", &options).await?;
    eprintln!("serving on {}", server.local_addrs()[0].port());
    let options = ShutdownOptions::new().grace(limit());
    let report = server.serve_until(shard.shutdown(), &options).await;
    Ok((report, accepted.take()))
}

async fn respond(
    mut reader: StreamReader,
    mut writer: StreamWriter,
    shutdown: &Shutdown,
) -> io::Result<()> {
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

/// What the child does, with this number of shards.
fn play(shards: &str) {
    connections_that_fit();
    let shards = Shards::builder()
        .count(shards.parse().unwrap())
        .pin(false)
        .shutdown(Shutdown::on_signals().unwrap());
    let ended = shards.run(serve).unwrap().into_iter().collect::<io::Result<Vec<_>>>().unwrap();
    let report: ShutdownReport = ended.iter().map(|(report, _)| *report).sum();
    for port in ended.iter().flat_map(|(_, ports)| ports) {
        eprintln!("accepted {port}");
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
    let mut server = Program::start(&mut child::command(test, &shards.to_string()));
    let serving = server.stderr.by_ref().filter_map(|line| {
        let port = line.strip_prefix("serving on ")?;
        Some(port.to_owned())
    });
    let ports: Vec<_> = serving.take(shards).collect();
    assert_eq!(ports, vec![ports[0].clone(); shards]);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/processes/clients/load.py");
    let mut client = Program::start(Command::new("python3").args([script, &ports[0]]));
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
        Some(shards) => play(&shards),
        None if lacks_anything() => {}
        None => assert_all_served(1, this_test!()),
    }
}

#[test]
fn two_shards_serve_a_load_of_a_thousand_connections_to_the_last_response() {
    match child::role() {
        Some(shards) => play(&shards),
        None if lacks_anything() => {}
        None => assert_all_served(2, this_test!()),
    }
}
