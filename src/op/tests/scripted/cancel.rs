//! Cancelling an operation whose future stays, to take what it still receives.

use super::*;
use crate::op::{Acceptor, Holders};
use crate::sys::errno::{ECANCELED, EINTR};

const ACCEPT: u8 = opcode::Accept::CODE;

#[test]
fn a_cancelled_step_that_is_interrupted_is_not_repeated() {
    let bench = Bench::new();
    let mut recv = recv(&bench.socket(), 8);
    bench.start(&mut recv);
    recv.cancel();
    bench.turn();
    assert_eq!(bench.opcodes(), [RECV, CANCEL]);
    bench.ring.complete(0, -EINTR, false);
    let (result, _) = split(bench.end(&mut recv));
    assert_eq!(errno(result), Some(ECANCELED));
    bench.turn();
    assert_eq!(bench.opcodes(), [RECV, CANCEL], "it was not begun again");
}

#[test]
fn a_cancelled_step_that_was_too_late_to_cancel_succeeds() {
    let bench = Bench::new();
    let mut recv = recv(&bench.socket(), 8);
    bench.start(&mut recv);
    recv.cancel();
    recv.cancel();
    bench.turn();
    assert_eq!(bench.opcodes(), [RECV, CANCEL], "it is cancelled once");
    bench.ring.receive(0, b"late");
    assert_eq!(split(bench.end(&mut recv)).1, b"late");
}

/// Linux answers so if the accept was waiting on a kernel worker.
#[test]
fn a_listener_that_closes_does_not_begin_an_interrupted_accept_again() {
    let bench = Bench::new();
    let mut acceptor =
        Acceptor::new(Rc::clone(&bench.driver), some_fd(), Holders::default(), 4, true);
    let waker = bench.waker();
    let mut context = Context::from_waker(&waker);
    assert!(acceptor.poll_accept(&mut context).is_pending());
    bench.turn();
    assert!(acceptor.poll_rest(&mut context).is_pending());
    bench.turn();
    let accepts =
        |bench: &Bench| bench.opcodes().iter().filter(|&&opcode| opcode == ACCEPT).count();
    assert_eq!(accepts(&bench), 1);
    bench.complete(0, -EINTR);
    // Now a wave takes what is in the backlog: accepts that are cancelled at once.
    assert!(acceptor.poll_rest(&mut context).is_pending());
    bench.turn();
    let cancels = bench.opcodes().iter().filter(|&&opcode| opcode == CANCEL).count();
    assert_eq!(cancels, accepts(&bench));
}
