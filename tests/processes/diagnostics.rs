//! What is printed of incidents: the loop never waits for it, it is bounded, and it arrives.
//!
//! Each test runs a program of its own, as a child that runs the same test in a role: standard
//! error is the process's.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream as Peer};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::Instant;

use annulus::net::{ServerOptions, StreamReader, StreamWriter, start_server, start_server_with};
use annulus::{metrics, spawn, yield_now};

use crate::common::child;
use crate::common::incidents::Incidents;
use crate::common::net::reset;
use crate::common::patience::limit;
use crate::common::poll::until;
use crate::common::program::{Guarded, connect};
use crate::common::watchdog::{block_on, run};
use crate::this_test;

/// A stream that is full, whose writing end is to be a child's standard error. The reading end is
/// to be kept, and not read.
fn full_stream() -> (UnixStream, OwnedFd) {
    let (reader, mut writer) = UnixStream::pair().unwrap();
    writer.set_nonblocking(true).unwrap();
    for length in [4096, 1] {
        while writer.write(&vec![b'.'; length]).is_ok() {}
    }
    // The child's writes block.
    writer.set_nonblocking(false).unwrap();
    (reader, writer.into())
}

fn role(name: &str, role: &str) -> Command {
    let mut command = child::command(name, role);
    command.env("RUST_BACKTRACE", "0");
    command
}

#[test]
fn a_server_goes_on_when_its_output_is_not_read() {
    if child::role().is_some() {
        return run(async {
            let handler = async |mut reader: StreamReader, mut writer: StreamWriter| {
                let word = reader.read_exact(4).await?;
                writer.write(word).await?;
                Err(std::io::Error::other("as always"))
            };
            let server = start_server(handler, "127.0.0.1:0").await.unwrap();
            std::fs::write(std::env::var("ADDRESS").unwrap(), server.local_addrs()[0].to_string())
                .unwrap();
            server.serve_forever().await;
        });
    }
    let (_reader, writer) = full_stream();
    let file = std::env::temp_dir().join(format!("annulus-diagnostics-{}", std::process::id()));
    let _server = Guarded::start(role(this_test!(), "serves").env("ADDRESS", &file).stderr(writer));
    let mut address: Option<SocketAddr> = None;
    crate::common::program::until("it listens", || {
        address = std::fs::read_to_string(&file).ok().and_then(|text| text.parse().ok());
        address.is_some()
    });
    std::fs::remove_file(&file).unwrap();
    for _ in 0..300 {
        crate::common::program::exchange(&mut connect(address.unwrap()));
    }
}

#[test]
fn the_end_of_a_runtime_does_not_wait_for_long_for_a_full_stream() {
    if child::role().is_some() {
        std::panic::set_hook(Box::new(|_| {}));
        run(async {
            drop(spawn(async { panic!("a task that is not joined") }));
            yield_now().await;
        });
        // The harness would print, and wait.
        std::process::exit(0);
    }
    let (_reader, writer) = full_stream();
    let began = Instant::now();
    let mut child = Guarded::start(role(this_test!(), "ends").stderr(writer));
    crate::common::program::until("it ends", || child.try_wait().unwrap().is_some());
    assert!(child.wait().unwrap().success());
    assert!(began.elapsed() < limit());
}

#[test]
fn what_was_reported_last_is_printed_before_the_runtime_has_ended() {
    if child::role().is_some() {
        std::panic::set_hook(Box::new(|_| {}));
        run(async {
            drop(spawn(async { panic!("the last words") }));
            yield_now().await;
        });
        std::process::exit(0);
    }
    for _ in 0..20 {
        let output = role(this_test!(), "ends").output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.starts_with("annulus: ") && text.ends_with("the last words\n"), "{text:?}");
    }
}

#[test]
fn of_many_incidents_of_one_kind_some_are_printed_and_all_are_counted() {
    const COUNT: usize = 1000;
    if child::role().is_some() {
        std::panic::set_hook(Box::new(|_| {}));
        run(async {
            for _ in 0..COUNT {
                drop(spawn(async { panic!("again") }));
                yield_now().await;
            }
        });
        std::process::exit(0);
    }
    let output = role(this_test!(), "fails").output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    let told = text.lines().filter(|line| line.ends_with("again")).count();
    let counted = text.lines().filter_map(|line| {
        line.strip_prefix("annulus: and ")?.strip_suffix(" more task panics")?.parse::<usize>().ok()
    });
    assert_eq!(told + counted.sum::<usize>(), COUNT, "{text}");
    assert!((10..COUNT / 2).contains(&told), "{text}");
}

#[test]
fn peers_that_reset_are_counted_and_are_no_incidents() {
    const COUNT: usize = 20;
    let heard = Incidents::default();
    block_on(&heard.runtime(), async {
        let handler = async |mut reader: StreamReader, mut writer: StreamWriter| {
            loop {
                let line = reader.read_line().await?;
                writer.write(line).await?;
            }
            #[expect(unreachable_code, reason = "it names the type")]
            std::io::Result::Ok(())
        };
        let server = start_server(handler, "127.0.0.1:0").await.unwrap();
        for _ in 0..COUNT {
            let mut peer = Peer::connect(server.local_addrs()[0]).unwrap();
            peer.write_all(b"hello\n").unwrap();
            let mut echoed = [0; 6];
            peer.set_nonblocking(true).unwrap();
            until(|| peer.read(&mut echoed).is_ok()).await;
            reset(peer);
        }
        until(|| metrics().peer_disconnects == COUNT as u64).await;
    });
    assert_eq!(heard.take_messages(), Vec::<String>::new());
}

#[test]
fn an_error_that_is_not_the_peers_is_an_incident() {
    let heard = Incidents::default();
    block_on(&heard.runtime(), async {
        let handler = async |_: StreamReader, _: StreamWriter| {
            Err(Box::<dyn std::error::Error>::from("the server's own"))
        };
        let options = ServerOptions::new();
        let server = start_server_with(handler, "127.0.0.1:0", &options).await.unwrap();
        let _peer = Peer::connect(server.local_addrs()[0]).unwrap();
        until(|| heard.count() == 1).await;
        assert_eq!(metrics().peer_disconnects, 0);
    });
    assert!(heard.take_messages()[0].ends_with("failed: the server's own"));
}

/// Also where the child's standard error is closed.
#[test]
fn a_program_without_a_standard_error_runs_all_the_same() {
    if child::role().is_some() {
        std::panic::set_hook(Box::new(|_| {}));
        // SAFETY: the call takes no pointers, and no value in this process owns the descriptor.
        unsafe { libc::close(2) };
        run(async {
            drop(spawn(async { panic!("not printed") }));
            yield_now().await;
        });
        std::process::exit(0);
    }
    let status = role(this_test!(), "ends").stderr(Stdio::null()).status().unwrap();
    assert!(status.success());
}
