//! Zero-copy sends: a result, and later the notification that the memory is free.

use bytes::Bytes;

use super::*;
use crate::buf::IoBuf;
use crate::op::{SendZeroCopy, Unsent};
use crate::sys::NOTIFICATION;
use crate::sys::errno::{EAGAIN, EOPNOTSUPP};
use crate::sys::poll::WRITABLE;

const SEND_ZC: u8 = opcode::SendZc::CODE;
/// `IORING_NOTIF_USAGE_ZC_COPIED`.
const COPIED: i32 = i32::MIN;

fn message() -> Bytes {
    Bytes::from(b"message".to_vec())
}

fn send(socket: &Rc<StreamSocket>, buffer: Bytes) -> Op<SendZeroCopy<Bytes>> {
    Op::new(socket.driver(), SendZeroCopy::new(socket, buffer))
}

#[test]
fn the_memory_of_a_zero_copy_send_is_kept_until_its_notification() {
    let bench = Bench::new();
    let (socket, buffer) = (bench.socket(), message());
    let mut send = send(&socket, buffer.clone());
    bench.start(&mut send);
    assert_eq!((bench.opcodes(), bench.ring.outgoing(0)), (vec![SEND_ZC], buffer.to_vec()));
    bench.ring.complete(0, 7, true);
    assert!(bench.end(&mut send).is_ok());
    drop(send);
    bench.turn();
    assert!(!buffer.is_unique(), "the kernel may still read it");
    assert_eq!(bench.opcodes(), [SEND_ZC], "nothing is cancelled");
    bench.ring.complete_flagged(0, 0, NOTIFICATION);
    bench.turn();
    assert!(buffer.is_unique());
    assert!(socket.may_send_zero_copy());
}

#[test]
fn a_zero_copy_send_without_a_notification_frees_its_memory_with_the_result() {
    let bench = Bench::new();
    let (socket, buffer) = (bench.socket(), message());
    let mut send = send(&socket, buffer.clone());
    bench.start(&mut send);
    bench.ring.complete(0, 7, false);
    assert!(bench.end(&mut send).is_ok());
    assert!(buffer.is_unique());
}

#[test]
fn a_zero_copy_send_dropped_before_its_result_frees_the_socket_then_and_the_memory_later() {
    let bench = Bench::new();
    let (socket, buffer) = (bench.socket(), message());
    let mut send = send(&socket, buffer.clone());
    bench.start(&mut send);
    drop(send);
    let held = Rc::strong_count(&socket);
    assert!(held > 1 && !buffer.is_unique());
    bench.ring.complete(0, 7, true);
    bench.turn();
    assert_eq!(Rc::strong_count(&socket), 1, "a peer that reads late holds no connection");
    assert!(!buffer.is_unique());
    bench.ring.complete_flagged(0, 0, NOTIFICATION);
    bench.turn();
    assert!(buffer.is_unique());
    assert_eq!(bench.opcodes(), [SEND_ZC], "nothing is cancelled");
}

#[test]
fn a_zero_copy_send_dropped_with_its_result_there_waits_for_the_notification_only() {
    let bench = Bench::new();
    let (socket, buffer) = (bench.socket(), message());
    let mut send = send(&socket, buffer.clone());
    bench.start(&mut send);
    bench.ring.complete(0, 7, true);
    bench.turn();
    drop(send);
    assert_eq!(Rc::strong_count(&socket), 1);
    assert!(!buffer.is_unique());
    // The next send need not wait for it.
    bench.start(&mut send_all(&socket, b"next"));
    assert_eq!(bench.opcodes(), [SEND_ZC, SEND]);
    bench.ring.complete_flagged(0, 0, NOTIFICATION);
    bench.turn();
    assert!(buffer.is_unique());
}

#[test]
fn a_notification_that_tells_of_a_copy_ends_zero_copy_sends_on_the_socket() {
    let bench = Bench::new();
    let socket = bench.socket();
    let mut send = send(&socket, message());
    bench.start(&mut send);
    bench.ring.complete(0, 7, true);
    bench.ring.complete_flagged(0, COPIED, NOTIFICATION);
    assert!(bench.end(&mut send).is_ok());
    bench.turn();
    assert!(!socket.may_send_zero_copy());
}

#[test]
fn a_zero_copy_send_that_the_kernel_refuses_gives_the_buffer_back_unsent() {
    let bench = Bench::new();
    let (socket, buffer) = (bench.socket(), message());
    let mut send = send(&socket, buffer.clone());
    bench.start(&mut send);
    bench.ring.complete(0, -EOPNOTSUPP, false);
    match bench.end(&mut send) {
        Err(Unsent::Refused(back)) => assert_eq!(back.as_bytes(), buffer),
        Err(Unsent::Failed(error)) => panic!("{error}"),
        Ok(()) => panic!("nothing has been sent"),
    }
    assert!(!socket.may_send_zero_copy());
}

/// The kernel posts a notification for a refused send, too, and the driver may see it a turn later.
#[test]
fn a_refused_zero_copy_send_is_sent_otherwise_before_its_notification_has_come() {
    let bench = Bench::new();
    let (socket, buffer) = (bench.socket(), message());
    let mut send = send(&socket, buffer.clone());
    bench.start(&mut send);
    bench.ring.complete(0, -EOPNOTSUPP, true);
    let Err(Unsent::Refused(shared)) = bench.end(&mut send) else { panic!("it was not refused") };
    assert_eq!(shared.as_bytes(), buffer);
    drop((send, shared));
    assert!(!buffer.is_unique(), "the slot has it until the notification");
    bench.ring.complete_flagged(0, 0, NOTIFICATION);
    bench.turn();
    assert!(buffer.is_unique());
}

#[test]
fn a_short_zero_copy_send_keeps_its_memory_for_both_notifications() {
    let bench = Bench::new();
    let (socket, buffer) = (bench.socket(), message());
    let mut send = send(&socket, buffer.clone());
    bench.start(&mut send);
    bench.ring.complete(0, 3, true);
    bench.turn();
    bench.start(&mut send);
    bench.advance(&mut send, 1, WRITABLE as i32);
    assert_eq!(bench.opcodes(), [SEND_ZC, POLL, SEND_ZC]);
    assert_eq!(bench.ring.outgoing(2), b"sage");
    bench.ring.complete(2, 4, true);
    assert!(bench.end(&mut send).is_ok());
    drop(send);
    // The second comes first.
    bench.ring.complete_flagged(2, 0, NOTIFICATION);
    bench.turn();
    assert!(!buffer.is_unique());
    bench.ring.complete_flagged(0, 0, NOTIFICATION);
    bench.turn();
    assert!(buffer.is_unique());
}

#[test]
fn a_zero_copy_send_dropped_in_its_wait_for_room_frees_its_memory() {
    let bench = Bench::new();
    let (socket, buffer) = (bench.socket(), message());
    let mut send = send(&socket, buffer.clone());
    bench.start(&mut send);
    bench.advance(&mut send, 0, -EAGAIN);
    drop(send);
    assert!(buffer.is_unique());
    bench.turn();
    assert_eq!(bench.opcodes(), [SEND_ZC, POLL, CANCEL]);
}
