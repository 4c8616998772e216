//! Shutting down and aborting by SQEs, where no system call may do it. Their outcome is not
//! reported.

use std::net::Shutdown;

use super::*;
use crate::op::Descriptor;
use crate::sys::errno::{ECONNRESET, ENOTCONN};

const SHUTDOWN: u8 = opcode::Shutdown::CODE;
const CONNECT: u8 = opcode::Connect::CODE;
/// `SHUT_WR`.
const WRITE: u32 = 1;

#[test]
fn a_shutdown_without_a_system_call_is_an_sqe_whose_failure_is_not_reported() {
    let bench = Bench::new();
    let socket = bench.socket();
    socket.shutdown(Shutdown::Write).unwrap();
    bench.turn();
    assert_eq!((bench.opcodes(), bench.taken(0).length()), (vec![SHUTDOWN], WRITE));
    bench.complete(0, -ENOTCONN);
    assert_eq!(bench.driver.metrics().in_kernel, 0);
}

#[test]
fn an_abort_without_a_system_call_connects_to_no_address_and_keeps_that_until_it_has_completed() {
    let bench = Bench::new();
    let socket = bench.socket();
    socket.abort();
    drop(socket);
    bench.turn();
    assert_eq!(bench.opcodes(), [CONNECT]);
    // The kernel may read the address as late as this: zeroes, an address of no family.
    let address = bench.ring.peer_address(0);
    assert!(address.len() > 2 && address.iter().all(|&byte| byte == 0), "{address:?}");
    bench.complete(0, -ECONNRESET);
    assert_eq!(bench.driver.metrics().in_kernel, 0);
}

/// A worker carries a shutdown out. It looks its file slot up when it begins, which may be late.
#[test]
fn a_file_slot_is_not_closed_before_the_shutdown_or_the_abort_of_its_connection_has_completed() {
    type End = fn(&StreamSocket);
    let bench = Bench::new();
    let ends: [(u8, End); 2] =
        [(SHUTDOWN, |socket| socket.end(Shutdown::Write)), (CONNECT, |socket| socket.abort())];
    for (nth, (ending, end)) in ends.into_iter().enumerate() {
        let slot = Descriptor::direct(bench.file_slot());
        let socket = StreamSocket::new(Rc::clone(&bench.driver), slot);
        end(&socket);
        end(&socket);
        drop(socket);
        bench.turn();
        let first = 3 * nth;
        assert_eq!(bench.opcodes()[first..], [ending, ending]);
        bench.complete(first, 0);
        bench.turn();
        assert_eq!(bench.opcodes().len(), first + 2, "one is still to come");
        bench.complete(first + 1, -ENOTCONN);
        bench.turn();
        assert_eq!(bench.opcodes()[first + 2..], [CLOSE]);
        bench.complete(first + 2, 0);
    }
    let _all = [bench.file_slot(), bench.file_slot()];
}
