//! Accepting: one SQE for many connections, or one for each, into file slots.

use std::cell::RefCell;
use std::io::{ErrorKind, Read};
use std::net::{TcpListener, TcpStream};
use std::os::fd::IntoRawFd;
use std::os::unix::net::UnixStream;

use super::*;
use crate::op::{Accepted, Acceptor, Holders};
use crate::sys::errno::{ECANCELED, ECONNABORTED, EINTR, EMFILE};

const ACCEPT: u8 = opcode::Accept::CODE;

/// A descriptor for a completion to hand out, and the end that sees it closed.
fn connection() -> (i32, UnixStream) {
    let (near, far) = UnixStream::pair().unwrap();
    far.set_nonblocking(true).unwrap();
    (near.into_raw_fd(), far)
}

fn is_closed(mut far: &UnixStream) -> bool {
    match far.read(&mut [0]) {
        Ok(count) => count == 0,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
            false
        }
    }
}

fn acceptor(bench: &Bench, is_direct: bool) -> Acceptor {
    Acceptor::new(Rc::clone(&bench.driver), some_fd(), Holders::default(), 4, is_direct)
}

fn poll_accept(bench: &Bench, acceptor: &mut Acceptor) -> Poll<io::Result<Accepted>> {
    let waker = bench.waker();
    let accepted = acceptor.poll_accept(&mut Context::from_waker(&waker));
    bench.turn();
    accepted
}

fn accept(bench: &Bench, acceptor: &mut Acceptor) -> io::Result<Accepted> {
    match poll_accept(bench, acceptor) {
        Poll::Ready(accepted) => accepted,
        Poll::Pending => panic!("no connection has come; taken: {:?}", bench.opcodes()),
    }
}

#[test]
#[cfg_attr(miri, ignore = "Miri has no sockets that answer at once")]
fn one_accept_delivers_many_connections() {
    let bench = Bench::new();
    let mut acceptor = acceptor(&bench, false);
    assert!(poll_accept(&bench, &mut acceptor).is_pending());
    let (first, second) = (connection(), connection());
    bench.ring.complete(0, first.0, true);
    bench.ring.complete(0, second.0, true);
    bench.turn();
    for (fd, far) in [first, second] {
        let accepted = accept(&bench, &mut acceptor).unwrap();
        let taken = accepted.descriptor.into_fd().unwrap().into_raw_fd();
        assert_eq!(taken, fd);
        assert!(!is_closed(&far));
    }
    assert!(poll_accept(&bench, &mut acceptor).is_pending());
    assert_eq!(bench.opcodes(), [ACCEPT]);
}

#[test]
#[cfg_attr(miri, ignore = "Miri has no sockets that answer at once")]
fn an_accept_that_ends_with_an_error_reports_it_and_is_armed_again() {
    let bench = Bench::new();
    let mut acceptor = acceptor(&bench, false);
    assert!(poll_accept(&bench, &mut acceptor).is_pending());
    let (fd, far) = connection();
    bench.ring.complete(0, fd, true);
    bench.complete(0, -EMFILE);
    drop(accept(&bench, &mut acceptor).unwrap());
    assert!(is_closed(&far), "a dropped connection is closed");
    assert_eq!(errno(accept(&bench, &mut acceptor)), Some(EMFILE));
    assert!(poll_accept(&bench, &mut acceptor).is_pending());
    assert_eq!(bench.opcodes(), [ACCEPT, ACCEPT]);
}

/// The kernel may end a multishot accept with a connection, as when completions overflow.
#[test]
#[cfg_attr(miri, ignore = "Miri has no sockets that answer at once")]
fn an_accept_that_ends_with_a_connection_delivers_it_and_is_armed_again() {
    let bench = Bench::new();
    let mut acceptor = acceptor(&bench, false);
    assert!(poll_accept(&bench, &mut acceptor).is_pending());
    let (fd, _far) = connection();
    bench.complete(0, fd);
    assert!(accept(&bench, &mut acceptor).is_ok());
    assert!(poll_accept(&bench, &mut acceptor).is_pending());
    assert_eq!(bench.opcodes(), [ACCEPT, ACCEPT]);
}

#[test]
#[cfg_attr(miri, ignore = "Miri has no sockets that answer at once")]
fn connections_that_arrive_after_the_listener_was_dropped_are_closed() {
    let bench = Bench::new();
    let mut acceptor = acceptor(&bench, false);
    assert!(poll_accept(&bench, &mut acceptor).is_pending());
    let (early, late) = (connection(), connection());
    bench.ring.complete(0, early.0, true);
    bench.turn();
    drop(acceptor);
    bench.turn();
    assert_eq!(bench.opcodes(), [ACCEPT, CANCEL]);
    assert!(!is_closed(&early.1), "it is settled in order, with the last completion");
    bench.ring.complete(0, late.0, true);
    bench.complete(0, -ECANCELED);
    assert!(is_closed(&early.1) && is_closed(&late.1));
}

#[test]
#[cfg_attr(miri, ignore = "Miri has no sockets that answer at once")]
fn connections_that_arrive_after_the_listener_was_dropped_are_its_heirs() {
    for has_room in [false, true] {
        let bench = Bench::new();
        let mut acceptor = acceptor(&bench, false);
        let inherited = Rc::new(RefCell::new(Vec::new()));
        let its = Rc::clone(&inherited);
        acceptor.set_heir(Rc::new(move |accepted| its.borrow_mut().push(accepted)));
        if has_room {
            acceptor.set_room(10);
        }
        assert!(poll_accept(&bench, &mut acceptor).is_pending());
        drop(acceptor);
        bench.turn();
        assert_eq!(bench.opcodes(), [ACCEPT, CANCEL]);
        let (fd, far) = connection();
        if has_room {
            bench.complete(0, fd);
        } else {
            bench.ring.complete(0, fd, true);
            bench.complete(0, -ECANCELED);
        }
        assert_eq!(inherited.borrow().len(), 1);
        assert!(!is_closed(&far));
        inherited.take();
        assert!(is_closed(&far));
    }
}

#[test]
fn a_connection_that_no_task_awaits_is_the_next_to_be_accepted() {
    let bench = Bench::new();
    let mut acceptor = acceptor(&bench, true);
    assert!(poll_accept(&bench, &mut acceptor).is_pending());
    // The task that awaited it is gone; the accept stays.
    assert_eq!(bench.opcodes(), [ACCEPT]);
    bench.complete(0, 0);
    assert!(accept(&bench, &mut acceptor).is_ok());
    assert_eq!(bench.opcodes()[..1], [ACCEPT], "nothing was cancelled");
}

#[test]
fn a_direct_accept_names_its_file_slot_and_a_dropped_connection_frees_it() {
    let bench = Bench::new();
    let mut acceptor = acceptor(&bench, true);
    assert!(poll_accept(&bench, &mut acceptor).is_pending());
    let slot = bench.taken(0).file_index();
    assert!(slot.is_some());
    bench.complete(0, 0);
    let accepted = accept(&bench, &mut acceptor).unwrap();
    assert_eq!(bench.driver.metrics().direct_descriptor_misses, 0);
    drop(accepted);
    bench.turn();
    let last = bench.taken(bench.opcodes().len() - 1);
    assert_eq!((last.opcode(), last.file_index()), (CLOSE, slot));
}

#[test]
fn a_direct_accept_that_fails_gives_its_file_slot_back_and_the_next_goes_on() {
    let bench = Bench::new();
    let mut acceptor = acceptor(&bench, true);
    // More failures than there are file slots.
    for _ in 0..5 {
        assert!(poll_accept(&bench, &mut acceptor).is_pending());
        let nth = bench.opcodes().iter().rposition(|&opcode| opcode == ACCEPT).unwrap();
        assert!(bench.taken(nth).file_index().is_some());
        bench.complete(nth, -ECONNABORTED);
        assert_eq!(errno(accept(&bench, &mut acceptor)), Some(ECONNABORTED));
        bench.turn();
        let close = bench.opcodes().iter().rposition(|&opcode| opcode == CLOSE).unwrap();
        bench.complete(close, 0);
    }
}

#[test]
#[cfg_attr(miri, ignore = "Miri has no sockets that answer at once")]
fn a_direct_accept_without_a_free_file_slot_takes_an_ordinary_descriptor_and_counts_it() {
    let bench = Bench::new();
    let _taken = [bench.file_slot(), bench.file_slot()];
    let mut acceptor = acceptor(&bench, true);
    assert!(poll_accept(&bench, &mut acceptor).is_pending());
    assert_eq!(bench.taken(0).file_index(), None);
    let (fd, far) = connection();
    bench.complete(0, fd);
    drop(accept(&bench, &mut acceptor).unwrap());
    assert!(is_closed(&far));
    assert_eq!(bench.driver.metrics().direct_descriptor_misses, 1);
}

#[test]
fn a_direct_connection_that_arrives_after_the_listener_was_dropped_is_closed() {
    let bench = Bench::new();
    let mut acceptor = acceptor(&bench, true);
    assert!(poll_accept(&bench, &mut acceptor).is_pending());
    let slot = bench.taken(0).file_index();
    drop(acceptor);
    bench.turn();
    bench.complete(0, 0);
    bench.turn();
    let last = bench.taken(bench.opcodes().len() - 1);
    assert_eq!((last.opcode(), last.file_index()), (CLOSE, slot));
}

/// A listener is closed while a connection is in its backlog, and its accept completes with an
/// error that says nothing of the backlog: one more accept must look.
fn assert_accepted_by_one_more(error: i32, is_shared: bool) {
    let bench = Bench::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let backlog = listener.try_clone().unwrap();
    let driver = Rc::clone(&bench.driver);
    let mut acceptor = Acceptor::new(driver, listener.into(), Holders::default(), 4, false);
    if is_shared {
        acceptor.note_shared();
    }
    let waker = bench.waker();
    let mut poll_rest = || {
        let rest = acceptor.poll_rest(&mut Context::from_waker(&waker));
        bench.turn();
        rest
    };
    let _peer = TcpStream::connect(address).unwrap();
    assert!(poll_rest().is_pending(), "it looks for what is in the backlog");
    bench.complete(0, -error);
    assert!(poll_rest().is_pending(), "it looks again");
    let (fd, _far) = connection();
    drop(backlog.accept().unwrap());
    let again = bench.opcodes().iter().rposition(|&opcode| opcode == ACCEPT).unwrap();
    assert_ne!(again, 0);
    bench.complete(again, fd);
    assert!(matches!(poll_rest(), Poll::Ready(Some(Ok(_)))));
    assert!(matches!(poll_rest(), Poll::Ready(None)), "the backlog is empty");
}

/// A listener that is shared with a successor is closed here. A connection comes while an accept is
/// being cancelled, which takes its wake and not the connection: no other accept is woken for it.
#[test]
#[cfg_attr(miri, ignore = "Miri has no sockets that answer at once")]
fn a_connection_whose_wake_a_cancelled_accept_has_taken_is_accepted_by_one_more() {
    assert_accepted_by_one_more(ECANCELED, true);
}

/// A listener that is closed takes what is in the backlog, and a signal interrupts the accept
/// before it has looked there. Were that taken for an empty backlog, the kernel would reset the
/// connection.
#[test]
#[cfg_attr(miri, ignore = "Miri has no sockets that answer at once")]
fn a_connection_that_an_interrupted_accept_of_a_close_has_not_seen_is_accepted_by_the_next() {
    assert_accepted_by_one_more(EINTR, false);
}

/// Several acceptors of this process have the socket, and one leaves, whose accept has taken the
/// wake of another. If none was in flight, the backlog is for the others.
#[test]
#[cfg_attr(miri, ignore = "Miri has no sockets that answer at once")]
fn an_acceptor_that_leaves_takes_connections_whose_wake_its_accept_may_have_taken() {
    for has_waited in [true, false] {
        let bench = Bench::new();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let driver = Rc::clone(&bench.driver);
        let mut acceptor = Acceptor::new(driver, listener.into(), Holders::default(), 4, true);
        let waker = bench.waker();
        let mut context = Context::from_waker(&waker);
        if has_waited {
            assert!(acceptor.poll_accept(&mut context).is_pending());
            bench.turn();
        }
        let _peer = TcpStream::connect(address).unwrap();
        acceptor.leave_to_others();
        if has_waited {
            assert!(acceptor.poll_rest(&mut context).is_pending());
            bench.turn();
            bench.complete(0, -ECANCELED);
            assert!(acceptor.poll_rest(&mut context).is_pending(), "it looks at the backlog");
            bench.turn();
            let (fd, _far) = connection();
            let again = bench.opcodes().iter().rposition(|&opcode| opcode == ACCEPT).unwrap();
            assert_ne!(again, 0);
            bench.complete(again, fd);
            assert!(matches!(acceptor.poll_rest(&mut context), Poll::Ready(Some(Ok(_)))));
        } else {
            assert!(matches!(acceptor.poll_rest(&mut context), Poll::Ready(None)));
            assert_eq!(bench.opcodes().iter().filter(|&&opcode| opcode == ACCEPT).count(), 0);
        }
    }
}
