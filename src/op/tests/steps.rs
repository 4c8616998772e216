//! What [`Op`] does for all operations: a step that a signal has interrupted is done again, and a
//! send that finds no room waits for it. Signals come when they please, so the steps here are told
//! what they meet.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use super::bench::{Bench, poll};
use crate::driver::Driver;
use crate::op::future::Op;
use crate::op::operation::{Operation, Step};
use crate::op::socket::SocketFd;
use crate::sys::errno::{EAGAIN, EINTR, EPIPE};
use crate::sys::{Completion, Submission, opcode};

/// Sends nothing; each of its steps is a call that meets the next of these.
struct Scripted {
    socket: Rc<SocketFd>,
    outcomes: VecDeque<i32>,
    interruptions: usize,
    calls: Rc<RefCell<Vec<i32>>>,
}

// SAFETY: the SQE points to no memory.
unsafe impl Operation for Scripted {
    /// How often it was interrupted, and the errno in the end.
    type Output = (usize, Option<i32>);

    fn submission(&mut self) -> Submission {
        opcode::Nop::new().build()
    }

    fn prefers_inline(&self, _driver: &Driver) -> bool {
        true
    }

    fn try_inline(&mut self) -> Option<Completion> {
        let errno = self.outcomes.pop_front()?;
        self.calls.borrow_mut().push(errno);
        Some(Completion::failed(errno))
    }

    fn sends_on(&self) -> Option<&SocketFd> {
        Some(&self.socket)
    }

    fn interrupted(&mut self, completion: Completion) {
        assert!(completion.failed_with(EINTR));
        self.interruptions += 1;
    }

    fn complete(self, completion: Completion) -> Step<Self> {
        Step::Done((self.interruptions, completion.errno()))
    }

    fn settle(self, _completion: Completion) {}
}

/// What comes of an operation whose steps meet these, how many calls it took, and how many waits.
fn outcome(outcomes: &[i32]) -> ((usize, Option<i32>), usize, u64) {
    let bench = Bench::new();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let socket = Rc::new(SocketFd::new(Rc::clone(&bench.driver), OwnedFd::from(near)));
    let calls = Rc::new(RefCell::new(Vec::new()));
    let mut operation = Op::new(
        &bench.driver,
        Scripted {
            socket,
            outcomes: outcomes.iter().copied().collect(),
            interruptions: 0,
            calls: Rc::clone(&calls),
        },
    );
    let output = loop {
        match poll(&mut operation) {
            Poll::Ready(output) => break output,
            Poll::Pending => bench.driver.turn(true),
        }
    };
    drop(operation);
    let waits = bench.driver.metrics().send_stalls;
    bench.driver.close(Duration::from_secs(5));
    (output, calls.borrow().len(), waits)
}

#[test]
fn an_interrupted_step_is_done_again_however_often() {
    assert_eq!(outcome(&[EINTR, EINTR, EINTR, EPIPE]), ((3, Some(EPIPE)), 4, 0));
    // The last step is an entry.
    assert_eq!(outcome(&[EINTR]), ((1, None), 1, 0));
}

#[test]
fn a_step_that_finds_no_room_is_done_again_after_a_wait_for_room() {
    assert_eq!(outcome(&[EAGAIN, EINTR, EAGAIN, EPIPE]), ((1, Some(EPIPE)), 4, 2));
    assert_eq!(outcome(&[EAGAIN]), ((0, None), 1, 1));
}
