//! A server that gets no processor, for a while or most of the time, and one that gets little
//! memory beside many hostile clients. Its clients wait, and miss nothing.

use std::io::Write;
use std::net::{SocketAddr, TcpStream as Peer};
use std::time::Duration;
use std::{io, thread};

use crate::common::child::{command, isolated, role};
use crate::common::program::Program;
use crate::common::skip::skip;
use crate::group::Group;
use crate::service::{Clients, Load, Tally, rounds, serve_others, told};
use crate::this_test;

/// A server in a child process of its own.
fn start(test: &str) -> (Program, [SocketAddr; 3]) {
    let mut program = Program::start(&mut command(test, "serve"));
    let addresses = told(&mut program).expect("it serves");
    (program, addresses)
}

#[track_caller]
fn assert_all_echoed(tally: Tally, load: Load) {
    assert_eq!(tally.echoed, load.clients * load.exchanges, "{tally:?}");
    assert_eq!((tally.corrupt, tally.ended, tally.refused), (0, 0, 0), "{tally:?}");
}

#[test]
fn a_server_that_is_stopped_and_continued_under_load_loses_nothing() {
    if role().is_some() {
        return serve_others();
    }
    let load = Load { clients: 6, exchanges: 150 * rounds(), most: 30_000 };
    let (program, addresses) = start(this_test!());
    let clients = Clients::new(load);
    let progress = clients.progress();
    let tally = clients.go(addresses);
    let reached = || progress.load(std::sync::atomic::Ordering::Relaxed);
    for stop in 1..=3 {
        while reached() < load.clients * load.exchanges * stop / 5 {
            thread::sleep(Duration::from_millis(1));
        }
        program.child.signal(libc::SIGSTOP);
        thread::sleep(Duration::from_millis(100) * rounds() as u32);
        program.child.signal(libc::SIGCONT);
    }
    assert_all_echoed(tally.join().unwrap(), load);
}

#[test]
fn a_server_with_a_twentieth_of_a_processor_serves_everyone() {
    if role().is_some() {
        return serve_others();
    }
    let limited = || -> io::Result<Group> {
        let group = Group::new("cpu", "quota")?;
        group.set(["cpu.cfs_quota_us", "cpu.max"], ["5000", "5000 100000"])?;
        Ok(group)
    };
    let group = match limited() {
        Ok(group) => group,
        Err(error) => return skip(&format!("no control group can be made: {error}")),
    };
    let (program, addresses) = start(this_test!());
    group.add(program.child.id()).unwrap();
    let load = Load { clients: 12, exchanges: 8 * rounds(), most: 5_000 };
    assert_all_echoed(Clients::new(load).go(addresses).join().unwrap(), load);
    drop(program);
}

/// How many connections are hostile, and how many of those send much and read nothing.
const HOSTILE: usize = 1_000;
const NEVER_READ: usize = 60;

/// What the server may have for them.
const MEMORY: u64 = 16 << 20;

#[test]
#[cfg_attr(annulus_unpooled, ignore = "a sanitizer's allocator keeps what was freed")]
fn a_server_with_little_memory_serves_honest_clients_beside_a_thousand_hostile_ones() {
    if role().as_deref() == Some("serve") {
        raise_descriptors();
        return serve_others();
    }
    let group = match Group::new("memory", "crowd") {
        Ok(group) => group,
        Err(error) => return skip(&format!("no control group can be made: {error}")),
    };
    drop(group);
    isolated(this_test!(), || {
        raise_descriptors();
        let group = Group::new("memory", "crowd").unwrap();
        let (mut program, addresses) = start(this_test!());
        group.add(program.child.id()).unwrap();
        let usage = ["memory.usage_in_bytes", "memory.current"];
        let memory = MEMORY * rounds() as u64;
        // What it had before it joined does not count.
        let most = (group.read(usage).unwrap() + memory).to_string();
        group.set(["memory.limit_in_bytes", "memory.max"], [&most, &most]).unwrap();

        let mut hostile: Vec<_> = (0..HOSTILE * rounds())
            .map(|number| Peer::connect(addresses[number % 3]).unwrap())
            .collect();
        for (number, peer) in hostile.iter_mut().enumerate() {
            match number {
                0..NEVER_READ => send_without_reading(peer),
                // Half of a message.
                _ if number % 2 == 0 => peer.write_all(&[0, 0, 1]).unwrap(),
                _ => {}
            }
        }
        let load = Load { clients: 12, exchanges: 20 * rounds(), most: 5_000 };
        let tally = Clients::new(load).go(addresses).join().unwrap();
        let status = program.child.try_wait().unwrap();
        assert!(status.is_none(), "the server has ended: {status:?}, {tally:?}");
        assert_all_echoed(tally, load);
        let usage = group.read(usage).unwrap();
        assert!(usage > memory / 4, "so little is no test of the limit: {usage} bytes");
        drop((hostile, program));
    });
}

/// Sends messages until neither the server nor the kernel takes more.
fn send_without_reading(peer: &mut Peer) {
    let mut message = 10_000_u32.to_be_bytes().to_vec();
    message.resize(10_004, b'x');
    peer.set_nonblocking(true).unwrap();
    for _ in 0..1_000 {
        match peer.write(&message) {
            Ok(count) if count == message.len() => {}
            // Cut in the middle: the rest never comes.
            _ => return,
        }
    }
}

/// Lets this process have as many descriptors as it may.
fn raise_descriptors() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the calls write and read one limit.
    unsafe {
        assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit), 0);
        limit.rlim_cur = limit.rlim_max;
        assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &limit), 0);
    }
}
