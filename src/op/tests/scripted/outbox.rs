//! Writes that no future waits for: what the kernel does late, in part or never.

use std::io::{ErrorKind, IoSlice};
use std::rc::Weak;
use std::time::Duration;

use super::*;
use crate::op::Outbox;
use crate::sys::errno::{EAGAIN, ECANCELED, ECONNRESET, EINTR, ENOMEM, EPIPE};
use crate::sys::poll::WRITABLE;

/// `POLLRDHUP`: the peer has ended its direction.
const PEER_ENDED: i32 = 0x2000;
const SHUTDOWN: u8 = opcode::Shutdown::CODE;
const LIMIT: usize = 10;

/// An outbox, of which at most ten bytes are held.
fn outbox(bench: &Bench) -> Rc<Outbox> {
    Outbox::new(&bench.socket(), LIMIT)
}

impl Bench {
    fn write(&self, outbox: &Rc<Outbox>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let waker = self.waker();
        outbox.poll_write(&Context::from_waker(&waker), &[IoSlice::new(bytes)])
    }

    /// Writes what there is room for.
    fn put(&self, outbox: &Rc<Outbox>, bytes: &[u8]) {
        match self.write(outbox, bytes) {
            Poll::Ready(Ok(count)) => assert_eq!(count, bytes.len()),
            other => panic!("{other:?}"),
        }
    }

    fn sent(&self, outbox: &Rc<Outbox>) -> Poll<io::Result<()>> {
        let waker = self.waker();
        outbox.poll_sent(&Context::from_waker(&waker))
    }

    /// The end of a turn: submits what is staged, and what that has queued.
    fn end_turn(&self) {
        self.driver.submit_staged();
        self.turn();
    }

    /// Completes an SQE for good, and goes on to the end of the next turn.
    fn answer(&self, nth: usize, result: i32) {
        self.complete(nth, result);
        self.end_turn();
    }
}

#[test]
fn what_is_staged_while_a_send_is_in_flight_is_sent_after_it_in_one() {
    let bench = Bench::new();
    let outbox = outbox(&bench);
    bench.put(&outbox, b"one");
    bench.put(&outbox, b"two");
    bench.turn();
    assert!(bench.opcodes().is_empty(), "nothing is sent before the end of the turn");
    bench.end_turn();
    assert_eq!((bench.opcodes(), bench.ring.outgoing(0)), (vec![SEND], b"onetwo".to_vec()));
    bench.put(&outbox, b"3");
    bench.put(&outbox, b"4");
    bench.end_turn();
    assert_eq!(bench.opcodes(), [SEND], "one send at a time");
    bench.answer(0, 6);
    assert_eq!((bench.opcodes(), bench.ring.outgoing(1)), (vec![SEND; 2], b"34".to_vec()));
    assert!(bench.sent(&outbox).is_pending());
    bench.answer(1, 2);
    assert_eq!((bench.opcodes().len(), outbox.held(), bench.woken()), (2, 0, 1));
    assert!(matches!(bench.sent(&outbox), Poll::Ready(Ok(()))));
}

#[test]
fn a_short_send_goes_on_behind_a_wait_for_room_with_the_rest_before_what_was_staged_since() {
    let bench = Bench::new();
    let outbox = outbox(&bench);
    bench.put(&outbox, b"message");
    bench.end_turn();
    bench.put(&outbox, b"new");
    bench.answer(0, 3);
    assert_eq!((bench.opcodes(), bench.taken(1).op_flags()), (vec![SEND, POLL], WRITABLE));
    assert_eq!(outbox.held(), 7);
    bench.answer(1, WRITABLE as i32);
    assert_eq!(bench.ring.outgoing(2), b"sage");
    bench.answer(2, -EAGAIN);
    bench.answer(3, WRITABLE as i32);
    assert_eq!(bench.ring.outgoing(4), b"sage", "unchanged");
    bench.answer(4, -EINTR);
    bench.answer(5, 4);
    assert_eq!(bench.ring.outgoing(6), b"new");
    assert_eq!(bench.opcodes(), [SEND, POLL, SEND, POLL, SEND, SEND, SEND]);
    assert_eq!(bench.driver.metrics().send_stalls, 2);
}

/// The poll reports the peer's end, too. Asked again in the same way it would do so at once, for
/// ever.
#[test]
fn a_wait_for_room_that_reports_the_peers_end_goes_on_as_a_multishot_poll_until_there_is_room() {
    /// `IORING_POLL_ADD_MULTI`.
    const MULTI: u32 = 1;
    let bench = Bench::new();
    let outbox = outbox(&bench);
    bench.put(&outbox, b"message");
    bench.end_turn();
    bench.answer(0, -EAGAIN);
    bench.answer(1, PEER_ENDED);
    assert_eq!((bench.opcodes(), bench.taken(2).length()), (vec![SEND, POLL, POLL], MULTI));
    bench.ring.complete(2, PEER_ENDED, true);
    bench.end_turn();
    assert_eq!(bench.opcodes().len(), 3, "it waits on");
    // Two reports in one turn: the second is of a wait that has ended.
    bench.ring.complete(2, WRITABLE as i32, true);
    bench.ring.complete(2, WRITABLE as i32, true);
    bench.turn();
    bench.end_turn();
    assert_eq!(bench.opcodes(), [SEND, POLL, POLL, CANCEL, SEND]);
    assert_eq!(bench.ring.outgoing(4), b"message");
    bench.ring.complete(2, -ECANCELED, false);
    bench.answer(4, 7);
    assert_eq!(outbox.held(), 0);
}

/// The driver ends a poll whose reports pile up, so its last report and one of room may come
/// together.
#[test]
fn a_wait_for_room_that_has_ended_in_the_turn_in_which_it_reported_room_is_not_cancelled() {
    let bench = Bench::new();
    let outbox = outbox(&bench);
    bench.put(&outbox, b"message");
    bench.end_turn();
    bench.answer(0, -EAGAIN);
    bench.answer(1, PEER_ENDED);
    bench.ring.complete(2, WRITABLE as i32, true);
    bench.ring.complete(2, -ENOMEM, false);
    bench.turn();
    bench.end_turn();
    assert_eq!(bench.opcodes(), [SEND, POLL, POLL, SEND]);
}

#[test]
fn a_write_beyond_the_limit_waits_until_half_of_it_is_free() {
    let bench = Bench::new();
    let outbox = outbox(&bench);
    bench.put(&outbox, b"0123456");
    assert!(matches!(bench.write(&outbox, b"789ab"), Poll::Ready(Ok(3))), "a part has room");
    assert!(bench.write(&outbox, b"ab").is_pending());
    bench.end_turn();
    bench.answer(0, 4);
    assert_eq!(bench.woken(), 0, "six are held");
    assert!(matches!(bench.write(&outbox, b"ab"), Poll::Ready(Ok(2))));
    assert!(matches!(bench.write(&outbox, b"cd"), Poll::Ready(Ok(2))));
    assert!(bench.write(&outbox, b"e").is_pending());
    bench.answer(1, WRITABLE as i32);
    bench.answer(2, 6);
    assert_eq!(bench.woken(), 1);
    assert_eq!(bench.ring.outgoing(3), b"abcd");
}

#[test]
fn an_error_after_staging_is_reported_each_time_and_what_is_held_is_given_up() {
    for (met, reported) in [(ECONNRESET, ECONNRESET), (EPIPE, EPIPE), (ENOMEM, ENOMEM)] {
        let bench = Bench::new();
        let outbox = outbox(&bench);
        bench.put(&outbox, b"message");
        bench.end_turn();
        bench.put(&outbox, b"new");
        assert!(bench.sent(&outbox).is_pending());
        bench.answer(0, -met);
        assert_eq!((bench.woken(), outbox.held(), bench.opcodes().len()), (1, 0, 1));
        for _ in 0..2 {
            let Poll::Ready(written) = bench.write(&outbox, b"x") else { panic!("it waits") };
            assert_eq!(errno(written), Some(reported));
            let Poll::Ready(sent) = bench.sent(&outbox) else { panic!("it waits") };
            assert_eq!(errno(sent), Some(reported));
        }
    }
}

/// The kernel tells why a connection has broken once, to the first operation that meets it.
#[test]
fn a_broken_pipe_is_reported_with_the_reason_that_another_operation_has_met() {
    let bench = Bench::new();
    let socket = bench.socket();
    let outbox = Outbox::new(&socket, LIMIT);
    let mut read = recv(&socket, 8);
    bench.start(&mut read);
    bench.complete(0, -ECONNRESET);
    assert!(bench.poll(&mut read).is_ready());
    bench.put(&outbox, b"message");
    bench.end_turn();
    bench.answer(1, -EPIPE);
    let Poll::Ready(written) = bench.write(&outbox, b"x") else { panic!("it waits") };
    assert_eq!(errno(written), Some(ECONNRESET));
}

#[test]
fn an_outbox_whose_owner_is_gone_sends_the_rest_and_then_closes_the_socket() {
    let bench = Bench::new();
    let outbox = outbox(&bench);
    bench.put(&outbox, b"message");
    let weak = Rc::downgrade(&outbox);
    assert!(!outbox.leave(false));
    drop(outbox);
    bench.end_turn();
    assert_eq!(bench.ring.outgoing(0), b"message");
    bench.answer(0, 3);
    bench.answer(1, WRITABLE as i32);
    assert!(weak.upgrade().is_some());
    bench.answer(2, 4);
    assert_eq!(bench.opcodes(), [SEND, POLL, SEND]);
    assert!(weak.upgrade().is_none());
}

#[test]
fn a_shutdown_of_an_owner_that_is_gone_follows_the_last_byte() {
    let bench = Bench::new();
    let socket = bench.socket();
    let outbox = Outbox::new(&socket, LIMIT);
    bench.put(&outbox, b"message");
    assert!(outbox.leave(true), "it is still to come");
    drop(outbox);
    bench.end_turn();
    bench.answer(0, 7);
    bench.turn();
    assert_eq!(bench.opcodes(), [SEND, SHUTDOWN]);
}

#[test]
fn a_shutdown_waits_for_the_last_byte_and_refuses_further_ones() {
    let bench = Bench::new();
    let outbox = outbox(&bench);
    bench.put(&outbox, b"message");
    let waker = bench.waker();
    assert!(outbox.poll_shutdown(&Context::from_waker(&waker)).is_pending());
    let Poll::Ready(Err(error)) = bench.write(&outbox, b"x") else { panic!("it is accepted") };
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    bench.turn();
    assert_eq!(bench.opcodes(), [SEND], "it is submitted at once");
    bench.answer(0, 7);
    assert_eq!(bench.woken(), 1);
    for _ in 0..2 {
        let shut = outbox.poll_shutdown(&Context::from_waker(&waker));
        assert!(matches!(shut, Poll::Ready(Ok(()))));
    }
    bench.turn();
    assert_eq!(bench.opcodes(), [SEND, SHUTDOWN]);
}

#[test]
fn a_write_waits_for_a_write_that_was_dropped_before_and_a_plain_one_waits_for_the_outbox() {
    let bench = Bench::new();
    let socket = bench.socket();
    bench.start_and_drop(send_all(&socket, b"dropped"));
    let outbox = Outbox::new(&socket, LIMIT);
    assert!(bench.write(&outbox, b"staged").is_pending());
    bench.ring.complete(0, 7, false);
    bench.ring.complete(1, 0, false);
    bench.turn();
    assert_eq!(bench.woken(), 1);
    bench.put(&outbox, b"staged");
    let mut plain = send_all(&socket, b"plain");
    assert!(bench.poll(&mut plain).is_pending());
    bench.end_turn();
    assert_eq!(bench.opcodes(), [SEND, CANCEL, SEND], "the plain one waits");
    bench.answer(2, 6);
    bench.start(&mut plain);
    assert_eq!(bench.ring.outgoing(3), b"plain");
}

/// A driver on a ring whose kernel completes nothing at the end.
fn closed_over(close: impl FnOnce(&Bench, Rc<Outbox>)) -> (Bench, Weak<Outbox>) {
    let bench = Bench::with_hook(Bypasses::default(), Arc::new(|_: &_| {}));
    let outbox = outbox(&bench);
    bench.put(&outbox, b"message");
    let weak = Rc::downgrade(&outbox);
    close(&bench, outbox);
    (bench, weak)
}

#[test]
fn the_end_of_a_runtime_leaks_what_the_kernel_may_still_read_and_later_calls_fail() {
    let (bench, weak) = closed_over(|bench, outbox| {
        bench.end_turn();
        bench.driver.close(Duration::from_millis(1));
        let Poll::Ready(written) = bench.write(&outbox, b"x") else { panic!("it waits") };
        assert_eq!(errno(written), Some(ECANCELED));
        outbox.leave(true);
    });
    let (ring, driver) = (bench.ring.clone(), Rc::downgrade(&bench.driver));
    drop(bench);
    assert_eq!(ring.outgoing(0), b"message");
    assert!(weak.upgrade().is_some() && driver.upgrade().is_some());
}

#[test]
fn the_end_of_a_runtime_submits_what_is_staged_before_it_cancels_everything() {
    let (bench, weak) = closed_over(|bench, outbox| {
        bench.ring.script().completes_at_once = true;
        bench.ring.script().answers_cancels = true;
        bench.driver.close(Duration::from_secs(5));
        // The send was short, and there is no wait for room any more.
        let Poll::Ready(sent) = bench.sent(&outbox) else { panic!("it waits") };
        assert_eq!(errno(sent), Some(ECANCELED));
    });
    assert_eq!(bench.opcodes()[0], SEND);
    assert!(weak.upgrade().is_none());
}
