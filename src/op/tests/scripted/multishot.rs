//! Multishot receives: one SQE, many messages.

use super::*;
use crate::buf::Lease;
use crate::op::RecvLease;
use crate::sys::errno::{ECANCELED, ECONNRESET, ENOBUFS};

/// `IORING_RECV_MULTISHOT`.
const MULTISHOT: u16 = 1 << 1;

fn next(socket: &Rc<StreamSocket>) -> Op<RecvLease> {
    Op::new(socket.driver(), RecvLease::new(socket))
}

/// A socket on which a multishot receive is in flight, after some small messages; and which SQE it
/// is.
fn receiving(bench: &Bench) -> (Rc<StreamSocket>, usize) {
    let socket = bench.socket();
    for _ in 0..16 {
        let mut recv = next(&socket);
        bench.start(&mut recv);
        let nth = bench.opcodes().len() - 1;
        if is_multishot(bench, nth) {
            return (socket, nth);
        }
        bench.ring.receive(nth, b"small");
        drop(bench.end(&mut recv).unwrap());
    }
    panic!("small messages have not led to a multishot receive");
}

fn is_multishot(bench: &Bench, nth: usize) -> bool {
    bench.taken(nth).opcode() == RECV && bench.taken(nth).ioprio() == MULTISHOT
}

fn message(bench: &Bench, socket: &Rc<StreamSocket>) -> io::Result<Lease> {
    bench.end(&mut next(socket))
}

#[test]
fn messages_of_a_multishot_receive_come_in_order() {
    let bench = Bench::new();
    let (socket, nth) = receiving(&bench);
    let sqes = bench.opcodes().len();
    for text in [b"one", b"two"] {
        bench.ring.receive_more(nth, text);
    }
    for text in [b"one", b"two"] {
        assert_eq!(&*message(&bench, &socket).unwrap(), text);
    }
    assert!(bench.poll(&mut next(&socket)).is_pending());
    assert_eq!(bench.opcodes().len(), sqes, "one SQE serves them all");
}

#[test]
fn a_multishot_receive_that_ends_with_a_message_delivers_it_and_is_armed_again() {
    let bench = Bench::new();
    let (socket, nth) = receiving(&bench);
    bench.ring.receive(nth, b"last");
    assert_eq!(&*message(&bench, &socket).unwrap(), b"last");
    let sqes = bench.opcodes().len();
    let mut recv = next(&socket);
    bench.start(&mut recv);
    assert_eq!(bench.opcodes().len(), sqes + 1, "another receive is in flight");
    bench.ring.receive(sqes, b"first");
    assert_eq!(&*bench.end(&mut recv).unwrap(), b"first");
}

#[test]
fn a_multishot_receive_that_found_no_buffer_loses_no_message_before_and_goes_on() {
    let bench = Bench::new();
    let (socket, nth) = receiving(&bench);
    bench.ring.receive_more(nth, b"before");
    bench.ring.complete(nth, -ENOBUFS, false);
    assert_eq!(&*message(&bench, &socket).unwrap(), b"before");
    let mut recv = next(&socket);
    bench.start(&mut recv);
    let again = bench.opcodes().len() - 1;
    assert!(again > nth);
    bench.ring.receive(again, b"after");
    assert_eq!(&*bench.end(&mut recv).unwrap(), b"after");
}

#[test]
fn an_error_of_a_multishot_receive_comes_behind_its_messages() {
    let bench = Bench::new();
    let (socket, nth) = receiving(&bench);
    bench.ring.receive_more(nth, b"before");
    bench.ring.complete(nth, -ECONNRESET, false);
    assert_eq!(&*message(&bench, &socket).unwrap(), b"before");
    assert_eq!(errno(message(&bench, &socket)), Some(ECONNRESET));
}

#[test]
fn a_multishot_receive_that_no_task_reads_is_stopped_and_loses_nothing() {
    let bench = Bench::new();
    let (socket, nth) = receiving(&bench);
    for n in 0..4 {
        bench.ring.receive_more(nth, &[n]);
    }
    bench.turn();
    bench.turn();
    let sqes = bench.opcodes();
    assert_eq!(sqes.iter().filter(|&&opcode| opcode == CANCEL).count(), 1);
    bench.ring.receive_more(nth, &[4]);
    bench.ring.complete(nth, -ECANCELED, false);
    for n in 0..5 {
        assert_eq!(*message(&bench, &socket).unwrap(), [n]);
    }
}

#[test]
fn a_socket_dropped_with_a_multishot_receive_is_closed_after_its_last_completion() {
    let bench = Bench::new();
    let (socket, nth) = receiving(&bench);
    let closes = bench.driver.close_watch().closes();
    drop(socket);
    bench.turn();
    assert_eq!(*bench.opcodes().last().unwrap(), CANCEL);
    bench.ring.receive_more(nth, b"late");
    bench.turn();
    assert_eq!(bench.driver.close_watch().closes(), closes, "the kernel may still use it");
    bench.complete(nth, -ECANCELED);
    assert_eq!(bench.driver.close_watch().closes(), closes + 1);
}

#[test]
fn an_owned_read_ends_a_multishot_receive_and_finds_its_messages_unread() {
    let bench = Bench::new();
    let (socket, nth) = receiving(&bench);
    bench.ring.receive_more(nth, b"one");
    bench.turn();
    let waker = bench.waker();
    assert!(socket.poll_multishot_ended(&Context::from_waker(&waker)).is_pending());
    bench.turn();
    assert_eq!(*bench.opcodes().last().unwrap(), CANCEL);
    bench.ring.receive_more(nth, b"two");
    bench.complete(nth, -ECANCELED);
    assert!(socket.poll_multishot_ended(&Context::from_waker(&waker)).is_ready());
    assert_eq!(socket.take_all_unread(), b"onetwo");
}
