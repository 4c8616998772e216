//! Connecting: a socket is made, in a file slot or not, and then connected, perhaps within a limit.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use super::*;
use crate::op::socket::{OpenSocket, SetOption};
use crate::op::{Connect, Descriptor};
use crate::sys::address::domain;
use crate::sys::errno::{ECANCELED, ECONNREFUSED, EINVAL, EMFILE, ENOENT, EPERM};
use crate::sys::option::OptionValue;
use crate::sys::socket::{IPPROTO_TCP, SOCK_STREAM};
use crate::sys::{SqeFile, SubmissionFlags};

const SOCKET: u8 = opcode::Socket::CODE;
const CONNECT: u8 = opcode::Connect::CODE;
const LINK_TIMEOUT: u8 = opcode::LinkTimeout::CODE;

fn address() -> SocketAddr {
    "192.0.2.1:80".parse().unwrap()
}

fn open_socket(bench: &Bench) -> Op<OpenSocket> {
    let open = OpenSocket::new(bench.file_slot(), domain(&address()), SOCK_STREAM, IPPROTO_TCP);
    Op::new(&bench.driver, open)
}

/// A socket in a file slot, and which slot that is.
fn open(bench: &Bench) -> (Descriptor, u32) {
    let mut open = open_socket(bench);
    bench.start(&mut open);
    let nth = bench.opcodes().len() - 1;
    let slot = bench.taken(nth).file_index().expect("the socket goes into a file slot");
    bench.ring.complete(nth, 0, false);
    (bench.end(&mut open).unwrap(), slot)
}

/// The file slot that the last SQE closes.
fn closed_slot(bench: &Bench) -> Option<u32> {
    bench.turn();
    let last = bench.taken(bench.opcodes().len() - 1);

    (last.opcode() == CLOSE).then(|| last.file_index()).flatten()
}

#[test]
fn a_socket_in_a_file_slot_is_connected_by_that_slot_and_closed_when_dropped() {
    let bench = Bench::new();
    let (socket, slot) = open(&bench);
    let mut connect = Op::new(&bench.driver, Connect::new(&bench.driver, socket, address(), None));
    bench.start(&mut connect);
    assert_eq!(bench.opcodes(), [SOCKET, CONNECT]);
    assert_eq!(bench.taken(1).file(), SqeFile::FileSlot(slot));
    bench.ring.complete(1, 0, false);
    let socket = bench.end(&mut connect).unwrap();
    assert_eq!(closed_slot(&bench), None);
    drop(socket);
    assert_eq!(closed_slot(&bench), Some(slot));
}

#[test]
fn a_socket_that_could_not_be_made_gives_its_file_slot_back() {
    let bench = Bench::new();
    // More than there are slots: they are used again.
    for _ in 0..5 {
        let mut open = open_socket(&bench);
        bench.start(&mut open);
        let nth = bench.opcodes().len() - 1;
        bench.ring.complete(nth, -EMFILE, false);
        assert_eq!(errno(bench.end(&mut open)), Some(EMFILE));
        assert!(closed_slot(&bench).is_some(), "whatever is in the slot is closed");
        bench.complete(nth + 1, -ENOENT);
    }
}

#[test]
fn a_socket_whose_making_was_dropped_is_closed_when_it_has_been_made() {
    let bench = Bench::new();
    let mut open = open_socket(&bench);
    bench.start(&mut open);
    let slot = bench.taken(0).file_index();
    drop(open);
    bench.turn();
    assert_eq!(bench.opcodes(), [SOCKET, CANCEL]);
    bench.complete(0, 0);
    assert_eq!(closed_slot(&bench), slot);
}

#[test]
#[cfg_attr(miri, ignore = "the io-uring crate's builder takes a reference to no bytes")]
fn an_option_that_cannot_be_set_fails_and_closes_the_socket() {
    let bench = Bench::new();
    let (socket, slot) = open(&bench);
    let mut set = Op::new(&bench.driver, SetOption::new(socket, 6, 1, OptionValue::number(1)));
    bench.start(&mut set);
    bench.ring.complete(1, -EINVAL, false);
    assert_eq!(errno(bench.end(&mut set)), Some(EINVAL));
    assert_eq!(closed_slot(&bench), Some(slot));
}

#[test]
fn a_refused_connect_fails_with_the_reason_and_closes_the_socket() {
    for limit in [None, Some(Duration::from_secs(9))] {
        let bench = Bench::new();
        let (socket, slot) = open(&bench);
        let connect = Connect::new(&bench.driver, socket, address(), limit);
        let mut connect = Op::new(&bench.driver, connect);
        bench.start(&mut connect);
        bench.ring.complete(1, -ECONNREFUSED, false);
        assert_eq!(errno(bench.end(&mut connect)), Some(ECONNREFUSED), "{limit:?}");
        assert_eq!(closed_slot(&bench), Some(slot));
    }
}

#[test]
fn a_connect_with_a_limit_is_linked_to_a_timeout_that_makes_it_time_out() {
    let bench = Bench::new();
    let limit = Some(Duration::from_secs(9));
    let connect = Connect::new(&bench.driver, some_fd().into(), address(), limit);
    let mut connect = Op::new(&bench.driver, connect);
    bench.start(&mut connect);
    assert_eq!(bench.opcodes(), [CONNECT, LINK_TIMEOUT]);
    assert!(bench.taken(0).has(SubmissionFlags::IO_LINK));
    assert!(!bench.taken(1).has(SubmissionFlags::IO_LINK));
    // The timeout reports, too, before or after; nothing is to be learnt from that.
    bench.complete(1, -crate::sys::errno::ETIME);
    assert!(bench.poll(&mut connect).is_pending());
    bench.ring.complete(0, -ECANCELED, false);
    let error = bench.end(&mut connect).map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
}

#[test]
fn a_cancelled_connect_without_a_limit_has_not_timed_out() {
    let bench = Bench::new();
    let connect = Connect::new(&bench.driver, some_fd().into(), address(), None);
    let mut connect = Op::new(&bench.driver, connect);
    bench.start(&mut connect);
    bench.ring.complete(0, -ECANCELED, false);
    assert_eq!(errno(bench.end(&mut connect)), Some(ECANCELED));
}

#[test]
fn a_dropped_connect_closes_its_socket_only_after_the_kernel_has_completed_it() {
    let bench = Bench::new();
    let (socket, slot) = open(&bench);
    let mut connect = Op::new(&bench.driver, Connect::new(&bench.driver, socket, address(), None));
    bench.start(&mut connect);
    drop(connect);
    assert_eq!(closed_slot(&bench), None);
    assert_eq!(bench.opcodes(), [SOCKET, CONNECT, CANCEL]);
    bench.ring.complete(2, -EPERM, false);
    assert_eq!(closed_slot(&bench), None, "what the cancel reports is only a hint");
    bench.complete(1, 0);
    assert_eq!(closed_slot(&bench), Some(slot));
}
