//! Receives into an owned buffer.

use std::io::ErrorKind;

use super::*;
use crate::op::Peek;
use crate::sys::NONEMPTY;
use crate::sys::errno::{EALREADY, ECANCELED, ECONNRESET, EINTR, ENOENT};

fn recv_exact(
    socket: &Rc<StreamSocket>,
    length: usize,
) -> Op<impl Operation<Output = BufResult<(), Vec<u8>>> + use<>> {
    Op::new(socket.driver(), Recv::exact(socket, Vec::with_capacity(length)))
}

#[test]
fn a_short_receive_gives_what_has_arrived() {
    let bench = Bench::new();
    let mut recv = recv(&bench.socket(), 8);
    bench.start(&mut recv);
    assert_eq!((bench.opcodes(), bench.taken(0).length()), (vec![RECV], 8));
    bench.ring.receive(0, b"abc");
    let (result, buffer) = split(bench.end(&mut recv));
    assert_eq!((result.unwrap(), buffer), (3, b"abc".to_vec()));
    assert_eq!(bench.woken(), 1);
}

#[test]
fn an_exact_receive_goes_on_behind_what_a_short_one_has_received() {
    let bench = Bench::new();
    let mut recv = recv_exact(&bench.socket(), 8);
    bench.start(&mut recv);
    bench.ring.receive(0, b"abc");
    bench.turn();
    bench.start(&mut recv);
    let (first, second) = (bench.taken(0), bench.taken(1));
    assert_eq!((second.address(), second.length()), (first.address() + 3, 5));
    bench.ring.receive(1, b"defgh");
    let (result, buffer) = split(bench.end(&mut recv));
    assert_eq!((result.unwrap(), buffer), ((), b"abcdefgh".to_vec()));
}

#[test]
fn an_exact_receive_that_meets_eof_early_gives_back_what_came_before() {
    let bench = Bench::new();
    let mut recv = recv_exact(&bench.socket(), 8);
    bench.start(&mut recv);
    bench.ring.receive(0, b"abc");
    bench.turn();
    bench.start(&mut recv);
    bench.ring.complete(1, 0, false);
    let (result, buffer) = split(bench.end(&mut recv));
    assert_eq!((result.unwrap_err().kind(), buffer), (ErrorKind::UnexpectedEof, b"abc".to_vec()));
}

#[test]
fn an_exact_receive_dropped_between_two_steps_loses_no_byte() {
    let bench = Bench::new();
    let socket = bench.socket();
    let mut recv = recv_exact(&socket, 8);
    bench.start(&mut recv);
    bench.ring.receive(0, b"abc");
    bench.turn();
    bench.start_and_drop(recv);
    bench.ring.receive(1, b"de");
    bench.turn();
    assert_eq!(socket.take_all_unread(), b"abcde");
}

#[test]
fn two_receives_that_complete_in_the_other_order_get_their_own_bytes() {
    let bench = Bench::new();
    let (mut first, mut second) = (recv(&bench.socket(), 8), recv(&bench.socket(), 8));
    bench.start(&mut first);
    bench.start(&mut second);
    bench.ring.receive(1, b"second");
    let (_, buffer) = split(bench.end(&mut second));
    assert_eq!(buffer, b"second");
    assert!(bench.poll(&mut first).is_pending());
    bench.ring.receive(0, b"first");
    let (_, buffer) = split(bench.end(&mut first));
    assert_eq!(buffer, b"first");
}

#[test]
fn an_interrupted_receive_is_submitted_again() {
    let bench = Bench::new();
    let mut recv = recv(&bench.socket(), 8);
    bench.start(&mut recv);
    bench.advance(&mut recv, 0, -EINTR);
    assert_eq!(bench.taken(1).address(), bench.taken(0).address());
    bench.ring.receive(1, b"abc");
    assert_eq!(split(bench.end(&mut recv)).1, b"abc");
}

#[test]
fn bytes_that_arrive_after_a_receive_was_dropped_are_unread() {
    let bench = Bench::new();
    let socket = bench.socket();
    let recv = recv(&socket, 8);
    bench.start_and_drop(recv);
    assert_eq!(bench.opcodes(), [RECV, CANCEL]);
    assert_eq!(bench.taken(1).address(), bench.taken(0).user_data());
    bench.ring.receive(0, b"late");
    bench.complete(1, -ENOENT);
    assert_eq!(socket.take_all_unread(), b"late");
    bench.turn();
    assert_eq!(bench.opcodes(), [RECV, CANCEL], "what has ended is not cancelled again");
}

#[test]
fn a_receive_that_was_cancelled_leaves_nothing_unread() {
    let bench = Bench::new();
    let socket = bench.socket();
    let recv = recv(&socket, 8);
    bench.start_and_drop(recv);
    bench.complete(0, -ECANCELED);
    assert!(!socket.has_unread());
}

#[test]
fn an_error_and_an_eof_that_dropped_receives_met_are_kept_for_the_next() {
    let bench = Bench::new();
    for result in [-ECONNRESET, 0] {
        let socket = bench.socket();
        let mut recv = recv(&socket, 8);
        bench.start(&mut recv);
        let nth = bench.opcodes().len() - 1;
        drop(recv);
        bench.turn();
        bench.complete(nth, result);
        let kept = socket.take_unread_error().and_then(|error| errno::<()>(Err(error)));
        assert_eq!(kept, (result != 0).then_some(ECONNRESET));
        assert_eq!(socket.take_unread_eof(), result == 0);
    }
}

/// The kernel was between two tries of the receive, and found nothing to cancel.
#[test]
fn a_cancel_that_missed_a_receive_in_flight_is_repeated() {
    let bench = Bench::new();
    let recv = recv(&bench.socket(), 8);
    bench.start_and_drop(recv);
    bench.complete(1, -ENOENT);
    bench.turn();
    assert_eq!(bench.opcodes(), [RECV, CANCEL, CANCEL]);
}

/// A worker of the kernel is at it: it has been told to stop, and will complete.
#[test]
fn a_cancel_that_found_its_receive_being_carried_out_is_not_repeated() {
    let bench = Bench::new();
    let socket = bench.socket();
    let recv = recv(&socket, 8);
    bench.start_and_drop(recv);
    bench.complete(1, -EALREADY);
    bench.turn();
    assert_eq!(bench.opcodes(), [RECV, CANCEL]);
    bench.ring.receive(0, b"anyway");
    bench.turn();
    assert_eq!(socket.take_all_unread(), b"anyway");
}

#[test]
fn a_read_waits_until_a_dropped_one_has_completed() {
    let bench = Bench::new();
    let socket = bench.socket();
    let recv = recv(&socket, 8);
    bench.start_and_drop(recv);
    let waker = bench.waker();
    assert!(socket.poll_readable(&Context::from_waker(&waker)).is_pending());
    bench.ring.receive(0, b"late");
    bench.turn();
    assert_eq!(bench.woken(), 1);
    assert!(socket.poll_readable(&Context::from_waker(&waker)).is_ready());
    assert_eq!(socket.take_all_unread(), b"late");
}

#[test]
fn a_peek_that_was_dropped_leaves_its_bytes_in_the_socket() {
    let bench = Bench::new();
    let socket = bench.socket();
    let peek = Op::new(&bench.driver, Peek::new(&socket, Vec::with_capacity(8)));
    bench.start_and_drop(peek);
    bench.ring.receive(0, b"abc");
    bench.turn();
    assert!(!socket.has_unread());
}

#[test]
fn bytes_left_in_the_socket_are_received_by_an_sqe_where_calls_may_not_bypass_the_ring() {
    let bench = Bench::new();
    let socket = bench.socket();
    let mut first = recv(&socket, 2);
    bench.start(&mut first);
    bench.ring.receive_flagged(0, b"ab", NONEMPTY);
    assert_eq!(split(bench.end(&mut first)).1, b"ab");
    let mut second = recv(&socket, 8);
    bench.start(&mut second);
    assert_eq!(bench.opcodes(), [RECV, RECV]);
    bench.ring.receive(1, b"cd");
    assert_eq!(split(bench.end(&mut second)).1, b"cd");
    assert_eq!(bench.driver.metrics().inline_calls, 0);
}

#[test]
fn a_completion_that_had_overflown_still_ends_its_receive() {
    let bench = Bench::new();
    let mut recv = recv(&bench.socket(), 8);
    bench.start(&mut recv);
    let enters = bench.ring.script().enters.len();
    bench.ring.script().overflown = true;
    bench.ring.receive(0, b"abc");
    let (result, _) = split(bench.end(&mut recv));
    assert_eq!(result.unwrap(), 3);
    assert_eq!(bench.ring.script().enters.len(), enters + 1, "an enter flushes the overflow");
    assert_eq!(bench.driver.metrics().cq_overflows, 1);
}
