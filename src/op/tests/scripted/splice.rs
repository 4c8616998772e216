//! Splices: from a file into a pipe by an SQE, and to a socket by inline calls only.

use std::io::ErrorKind;
use std::os::unix::net::UnixStream;

use super::*;
use crate::op::{SpliceFromFile, SpliceToSocket};
use crate::sys::bypass::Bypass;
use crate::sys::errno::EINVAL;
use crate::sys::splice_pipe::SplicePipe;

const SPLICE: u8 = opcode::Splice::CODE;

fn splice_from_file(bench: &Bench) -> (Rc<OwnedFd>, Rc<SplicePipe>, Op<SpliceFromFile>) {
    let (file, pipe) = (Rc::new(some_fd()), Rc::new(SplicePipe::new().unwrap()));
    let splice = Op::new(&bench.driver, SpliceFromFile::new(&file, &pipe, 10, 4096));
    (file, pipe, splice)
}

#[test]
fn a_splice_to_a_socket_is_refused_where_inline_calls_are() {
    let bench = Bench::with_bypasses(Bypasses::all_but(Bypass::Inline));
    let socket = bench.socket();
    assert!(socket.fd().is_ok(), "other calls are allowed");
    let refusal = SpliceToSocket::prepare(&socket).unwrap_err();
    assert_eq!(refusal.kind(), ErrorKind::Unsupported);
}

/// A turn's budget of inline calls is what a socket's buffer holds by default, and both run out
/// together.
#[test]
#[cfg_attr(miri, ignore = "Miri has no sockets")]
fn a_splice_to_a_socket_beyond_the_budget_of_a_turn_goes_on_in_the_next_and_waits_for_no_room() {
    let bench = Bench::with_bypasses(Bypasses::ALL);
    let (near, _far) = UnixStream::pair().unwrap();
    let socket = Rc::new(StreamSocket::new(Rc::clone(&bench.driver), OwnedFd::from(near)));
    let pipe = Rc::new(SplicePipe::new().unwrap());
    bench.driver.note_inline_call(4 << 20);
    let mut splice = Op::new(&bench.driver, SpliceToSocket::new(&socket, &pipe, 4096, false));
    bench.start(&mut splice);
    assert_eq!(bench.opcodes(), [opcode::Nop::CODE]);
    bench.ring.complete(0, 0, false);
    bench.turn();
    // The pipe is empty, which a call tells as it tells that there is no room.
    assert!(bench.poll(&mut splice).is_pending());
    assert_eq!(bench.driver.metrics().send_stalls, 1);
}

#[test]
fn a_splice_from_a_file_without_inline_calls_is_an_sqe() {
    for (result, expected) in [(4000, Ok(4000)), (0, Ok(0)), (-EINVAL, Err(Some(EINVAL)))] {
        let bench = Bench::new();
        let (_file, _pipe, mut splice) = splice_from_file(&bench);
        bench.start(&mut splice);
        assert_eq!((bench.opcodes(), bench.taken(0).length()), (vec![SPLICE], 4096));
        bench.ring.complete(0, result, false);
        assert_eq!(bench.end(&mut splice).map_err(|error| errno::<()>(Err(error))), expected);
    }
}

#[test]
fn a_dropped_splice_from_a_file_keeps_both_descriptors_until_it_has_completed() {
    let bench = Bench::new();
    let (file, pipe, splice) = splice_from_file(&bench);
    bench.start_and_drop(splice);
    assert_eq!(bench.opcodes(), [SPLICE, CANCEL]);
    assert_eq!((Rc::strong_count(&file), Rc::strong_count(&pipe)), (2, 2));
    bench.complete(0, 4096);
    assert_eq!((Rc::strong_count(&file), Rc::strong_count(&pipe)), (1, 1));
}
