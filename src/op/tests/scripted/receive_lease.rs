//! Receives into a runtime-owned buffer.

use super::*;
use crate::op::RecvLease;
use crate::sys::errno::{ECANCELED, ENOBUFS};

fn recv_lease(socket: &Rc<StreamSocket>) -> Op<RecvLease> {
    Op::new(socket.driver(), RecvLease::new(socket))
}

#[test]
fn a_message_arrives_in_a_buffer_that_the_kernel_has_selected() {
    let bench = Bench::new();
    let mut recv = recv_lease(&bench.socket());
    bench.start(&mut recv);
    assert_eq!((bench.taken(0).buffer_group(), bench.taken(0).length()), (Some(0), 0));
    bench.ring.receive(0, b"message");
    assert_eq!(&*bench.end(&mut recv).unwrap(), b"message");
}

#[test]
fn a_receive_that_found_no_provided_buffer_goes_on_with_a_large_one() {
    let bench = Bench::new();
    let mut recv = recv_lease(&bench.socket());
    bench.start(&mut recv);
    let in_use = bench.driver.metrics().provided_buffers_in_use;
    bench.advance(&mut recv, 0, -ENOBUFS);
    let sqe = bench.taken(1);
    assert_eq!((sqe.opcode(), sqe.buffer_group(), sqe.length() as usize), (RECV, None, LARGE));
    bench.ring.receive(1, b"message");
    assert_eq!(&*bench.end(&mut recv).unwrap(), b"message");
    let now = bench.driver.metrics().provided_buffers_in_use;
    assert_eq!(now, in_use + 1, "one more is provided");
}

#[test]
fn late_bytes_in_a_provided_buffer_are_unread_and_the_buffer_is_provided_again() {
    let bench = Bench::new();
    let socket = bench.socket();
    // More than are provided, so that one that was not given back would be missed.
    for round in 0..2 * 64 {
        let mut recv = recv_lease(&socket);
        bench.start(&mut recv);
        let nth = bench.opcodes().len() - 1;
        drop(recv);
        bench.turn();
        bench.ring.receive(nth, &[round]);
        bench.turn();
        assert_eq!(socket.take_all_unread(), [round]);
    }
}

/// The kernel may have selected a buffer before it heard of the cancel.
#[test]
fn the_buffer_of_a_receive_that_failed_is_provided_again() {
    let bench = Bench::new();
    let socket = bench.socket();
    for _ in 0..2 * 64 {
        let mut recv = recv_lease(&socket);
        bench.start(&mut recv);
        let nth = bench.opcodes().len() - 1;
        bench.ring.fail_with_buffer(nth, ECANCELED);
        assert_eq!(errno(bench.end(&mut recv)), Some(ECANCELED));
    }
}
