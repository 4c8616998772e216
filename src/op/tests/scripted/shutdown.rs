//! Shutting down and aborting by SQEs, where no system call may do it. Their outcome is not
//! reported.

use std::net::Shutdown;

use super::*;
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
