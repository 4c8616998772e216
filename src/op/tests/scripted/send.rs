//! Sends, and their waits for room.

use super::*;
use crate::op::Several;
use crate::sys::errno::{EAGAIN, ECANCELED, ECONNRESET, EINTR, ENOMEM, EPIPE};
use crate::sys::poll::{BROKEN, WRITABLE};

/// `POLLRDHUP`: the peer has ended its direction.
const PEER_ENDED: i32 = 0x2000;

#[test]
fn a_short_send_goes_on_with_the_rest_when_there_is_room() {
    let bench = Bench::new();
    let mut send = send_all(&bench.socket(), b"message");
    bench.start(&mut send);
    bench.advance(&mut send, 0, 3);
    assert_eq!((bench.opcodes(), bench.taken(1).op_flags()), (vec![SEND, POLL], WRITABLE));
    bench.advance(&mut send, 1, WRITABLE as i32);
    assert_eq!(bench.ring.outgoing(2), b"sage");
    bench.ring.complete(2, 4, false);
    let (result, buffer) = split(bench.end(&mut send));
    assert_eq!((result.unwrap(), buffer), (7, b"message".to_vec()));
    assert_eq!(bench.driver.metrics().send_stalls, 1);
}

#[test]
fn a_vectored_send_that_is_short_within_a_segment_goes_on_with_the_rest_of_that() {
    const SENDMSG: u8 = opcode::SendMsg::CODE;
    let bench = Bench::new();
    let socket = bench.socket();
    let parts = ["one", "", "three", "four"].map(|part| part.as_bytes().to_vec()).to_vec();
    let payload = Several::new(parts.clone(), &socket);
    let mut send = Op::new(&bench.driver, SendBytes::all(&socket, payload));
    bench.start(&mut send);
    assert_eq!(bench.ring.outgoing_segments(0), [&b"one"[..], b"three", b"four"]);
    bench.advance(&mut send, 0, 5);
    bench.advance(&mut send, 1, WRITABLE as i32);
    assert_eq!(bench.opcodes(), [SENDMSG, POLL, SENDMSG]);
    assert_eq!(bench.ring.outgoing_segments(2), [&b"ree"[..], b"four"]);
    bench.ring.complete(2, 7, false);
    let (result, buffers) = split(bench.end(&mut send));
    assert_eq!((result.unwrap(), buffers), (12, parts));
}

#[test]
fn a_send_that_found_no_room_is_submitted_again_unchanged() {
    let bench = Bench::new();
    let mut send = send_all(&bench.socket(), b"message");
    bench.start(&mut send);
    bench.advance(&mut send, 0, -EAGAIN);
    bench.advance(&mut send, 1, WRITABLE as i32);
    assert_eq!(bench.opcodes(), [SEND, POLL, SEND]);
    assert_eq!(bench.ring.outgoing(2), b"message");
}

#[test]
fn an_interrupted_send_is_submitted_again_at_once() {
    let bench = Bench::new();
    let mut send = send_all(&bench.socket(), b"message");
    bench.start(&mut send);
    bench.advance(&mut send, 0, -EINTR);
    assert_eq!((bench.opcodes(), bench.ring.outgoing(1)), (vec![SEND; 2], b"message".to_vec()));
}

#[test]
fn a_wait_for_room_that_fails_fails_the_send_and_gives_the_buffer_back() {
    let bench = Bench::new();
    let mut send = send_all(&bench.socket(), b"message");
    bench.start(&mut send);
    bench.advance(&mut send, 0, 3);
    bench.ring.complete(1, -ENOMEM, false);
    let (result, buffer) = split(bench.end(&mut send));
    assert_eq!((errno(result), buffer), (Some(ENOMEM), b"message".to_vec()));
}

/// The poll reports the peer's end, too. Asked again in the same way it would do so at once, for
/// ever.
#[test]
fn a_wait_that_reports_the_peers_end_without_room_goes_on_as_a_multishot_poll() {
    /// `IORING_POLL_ADD_MULTI`.
    const MULTI: u32 = 1;
    let bench = Bench::new();
    let mut send = send_all(&bench.socket(), b"message");
    bench.start(&mut send);
    bench.advance(&mut send, 0, -EAGAIN);
    bench.advance(&mut send, 1, PEER_ENDED);
    assert_eq!(bench.opcodes(), [SEND, POLL, POLL]);
    assert_eq!((bench.taken(1).length(), bench.taken(2).length()), (0, MULTI));
    bench.ring.complete(2, PEER_ENDED, true);
    bench.turn();
    assert!(bench.poll(&mut send).is_pending(), "there is no room yet");
    bench.ring.complete(2, WRITABLE as i32 | PEER_ENDED, true);
    bench.turn();
    bench.start(&mut send);
    let mut opcodes = bench.opcodes().split_off(3);
    opcodes.sort_unstable();
    assert_eq!(opcodes, [CANCEL, SEND], "the poll is ended, and the send goes on");
}

#[test]
fn a_wait_on_a_broken_connection_ends_and_the_send_says_why() {
    let bench = Bench::new();
    let mut send = send_all(&bench.socket(), b"message");
    bench.start(&mut send);
    bench.advance(&mut send, 0, -EAGAIN);
    bench.advance(&mut send, 1, BROKEN as i32);
    assert_eq!(bench.opcodes(), [SEND, POLL, SEND]);
    bench.ring.complete(2, -ECONNRESET, false);
    assert_eq!(errno(split(bench.end(&mut send)).0), Some(ECONNRESET));
}

#[test]
fn a_send_dropped_in_its_wait_for_room_leaves_a_cancelled_poll_and_no_buffer() {
    let bench = Bench::new();
    let socket = bench.socket();
    let buffer = bytes::Bytes::from(b"message".to_vec());
    let mut send = Op::new(&bench.driver, SendBytes::all(&socket, One::new(buffer.clone())));
    bench.start(&mut send);
    bench.advance(&mut send, 0, -EAGAIN);
    drop(send);
    assert!(buffer.is_unique(), "the kernel has nothing of it");
    bench.turn();
    assert_eq!(bench.opcodes(), [SEND, POLL, CANCEL]);
    assert_eq!(bench.taken(2).address(), bench.taken(1).user_data());
}

#[test]
fn a_send_waits_until_a_dropped_one_has_completed() {
    let bench = Bench::new();
    let socket = bench.socket();
    let buffer = bytes::Bytes::from(b"dropped".to_vec());
    let mut dropped = Op::new(&bench.driver, SendBytes::all(&socket, One::new(buffer.clone())));
    bench.start(&mut dropped);
    drop(dropped);
    assert!(!buffer.is_unique(), "the kernel may still read it");
    let mut send = send_all(&socket, b"next");
    bench.start(&mut send);
    assert_eq!(bench.opcodes(), [SEND, CANCEL], "the next is not submitted before");
    bench.complete(0, -ECANCELED);
    assert!(buffer.is_unique());
    assert_eq!(bench.woken(), 1);
    bench.start(&mut send);
    assert_eq!(
        (bench.opcodes(), bench.ring.outgoing(2)),
        (vec![SEND, CANCEL, SEND], b"next".to_vec())
    );
}

/// The kernel reports a reset once, to the operation that comes first.
#[test]
fn a_broken_pipe_after_a_receive_met_the_reset_is_reported_as_the_reset() {
    let bench = Bench::new();
    let socket = bench.socket();
    let (mut recv, mut send) = (recv(&socket, 8), send_all(&socket, b"message"));
    bench.start(&mut recv);
    bench.start(&mut send);
    bench.ring.complete(0, -ECONNRESET, false);
    bench.ring.complete(1, -EPIPE, false);
    assert_eq!(errno(split(bench.end(&mut recv)).0), Some(ECONNRESET));
    assert_eq!(errno(split(bench.end(&mut send)).0), Some(ECONNRESET));
}
