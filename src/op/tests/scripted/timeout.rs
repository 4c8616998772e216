//! The ring's own timeout.

use std::time::Duration;

use super::*;
use crate::op::KernelTimeout;
use crate::sys::errno::{ECANCELED, ETIME};

const TIMEOUT: u8 = opcode::Timeout::CODE;

/// The kernel reports it as an error.
#[test]
fn a_timeout_that_has_elapsed_succeeds_and_any_other_error_fails() {
    for (result, expected) in [(-ETIME, None), (0, None), (-ECANCELED, Some(ECANCELED))] {
        let bench = Bench::new();
        let mut timeout = Op::new(&bench.driver, KernelTimeout::new(Duration::from_secs(9)));
        bench.start(&mut timeout);
        assert_eq!(bench.opcodes(), [TIMEOUT]);
        bench.ring.complete(0, result, false);
        let outcome = bench.end(&mut timeout);
        assert_eq!((outcome.is_ok(), errno(outcome)), (expected.is_none(), expected));
    }
}
