//! Closing a socket that lingers: on a kernel worker, as that may wait.

use std::io::Read;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

use super::*;
use crate::sys::SubmissionFlags;
use crate::sys::errno::ECANCELED;
use crate::sys::socket::{linger, set_linger};

/// This one is a socket, whose options are real.
#[test]
#[cfg_attr(miri, ignore = "it has real sockets")]
fn a_lingering_close_that_was_cancelled_closes_without_lingering() {
    let bench = Bench::new();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let near = OwnedFd::from(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
    let (mut far, _) = listener.accept().unwrap();
    let limit = Some(Duration::from_secs(9));
    set_linger(&near, limit).unwrap();
    let observer = near.try_clone().unwrap();
    let socket = StreamSocket::new(Rc::clone(&bench.driver), near);
    socket.set_lingers(true);
    drop(socket);
    bench.turn();
    assert_eq!(bench.opcodes(), [CLOSE]);
    assert!(bench.taken(0).has(SubmissionFlags::ASYNC), "the loop does not wait");
    assert_eq!(linger(&observer).unwrap(), limit);
    bench.complete(0, -ECANCELED);
    assert_eq!(linger(&observer).unwrap(), None);
    drop(observer);
    assert_eq!(far.read(&mut [0; 1]).unwrap(), 0, "the descriptor is closed");
}
