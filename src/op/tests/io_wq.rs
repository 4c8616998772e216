//! Operations that kernel workers (io-wq) carry out, dropped and torn down at random moments.
//!
//! The race: a worker, which is a kernel thread, is about to copy into a buffer when the
//! operation's future is dropped, or the ring is closed. Neither stops it. So the buffer must live
//! on until the operation's last completion, and the ring must not be closed before that.
//!
//! Sockets hardly ever reach a worker by themselves, so the SQEs here have `IOSQE_ASYNC`.

use std::io::Write;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use std::{hint, mem};

use super::bench::{Bench, poll};
use super::memory::{LARGEST, Pool};
use crate::op::drain::Draining;
use crate::op::future::Op;
use crate::op::operation::{Operation, Step};
use crate::op::{Recv, StreamSocket};
use crate::sys::{Completion, Submission, SubmissionFlags};

const ROUNDS: usize = 200;
const OPERATIONS: usize = 8;

/// An operation whose SQE goes to a worker.
struct OnWorker<O>(O);

// SAFETY: all is passed on to the inner operation.
unsafe impl<O: Operation> Operation for OnWorker<O> {
    type Output = O::Output;

    fn submission(&mut self) -> Submission {
        self.0.submission().flags(SubmissionFlags::ASYNC)
    }

    fn complete(self, completion: Completion) -> Step<Self> {
        match self.0.complete(completion) {
            Step::Done(output) => Step::Done(output),
            Step::Again(operation) => Step::Again(Self(operation)),
            Step::NoRoom(operation) => Step::NoRoom(Self(operation)),
        }
    }

    fn on_orphaned(&self) -> Option<Draining> {
        self.0.on_orphaned()
    }

    fn settle(self, completion: Completion) {
        self.0.settle(completion);
    }
}

/// A ring, and connections on which bytes wait to be received.
struct Waiting {
    bench: Bench,
    pool: Rc<Pool>,
    peers: Vec<TcpStream>,
}

impl Waiting {
    fn new(pool: &Rc<Pool>) -> Self {
        Self { bench: Bench::new(), pool: Rc::clone(pool), peers: Vec::new() }
    }

    /// Starts to receive available data.
    fn receive(&mut self, listener: &TcpListener) -> impl Sized + use<> {
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut far, _) = listener.accept().unwrap();
        far.write_all(&[0x5a; LARGEST]).unwrap();
        self.peers.push(far);
        let driver = &self.bench.driver;
        let socket = Rc::new(StreamSocket::new(Rc::clone(driver), OwnedFd::from(near)));
        let recv = Recv::once(&socket, self.pool.take(LARGEST));
        let mut operation = Op::new(driver, OnWorker(recv));
        assert!(poll(&mut operation).is_pending());
        operation
    }

    /// Tears the ring down; the kernel is expected to release everything.
    fn close(&self) {
        self.bench.driver.close(Duration::from_secs(5));
    }
}

/// Lets a worker go on for a while.
fn pause(random: &mut fastrand::Rng) {
    for _ in 0..random.usize(0..3000) {
        hint::spin_loop();
    }
}

#[test]
fn memory_that_a_worker_writes_is_kept_until_it_is_done() {
    let pool = Pool::new(64);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..ROUNDS {
        let mut waiting = Waiting::new(&pool);
        let operations: Vec<_> = (0..OPERATIONS).map(|_| waiting.receive(&listener)).collect();
        waiting.bench.driver.turn(false);
        for operation in operations {
            pause(&mut random);
            drop(operation);
            pool.verify();
        }
        waiting.close();
        assert_eq!(waiting.bench.incidents.load(Relaxed), 0, "the kernel released everything");
        assert_eq!(pool.alive(), 0);
        pool.verify();
    }
}

#[test]
fn memory_of_a_forgotten_operation_is_never_freed() {
    let pool = Pool::new(64);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    for round in 1..=4 {
        let mut waiting = Waiting::new(&pool);
        for _ in 0..OPERATIONS {
            mem::forget(waiting.receive(&listener));
        }
        waiting.bench.driver.turn(false);
        waiting.close();
        assert_eq!(pool.alive(), round * OPERATIONS);
    }
    pool.verify();
    // The forgotten operations keep the pool, too.
    mem::forget(pool);
}
