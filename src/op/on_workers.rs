//! Operations that kernel workers carry out, dropped and torn down at random moments.
//!
//! The race: a worker, which is a thread of the kernel's, is about to copy into a buffer when the
//! operation's future is dropped, or the ring is closed. Neither stops it. So the buffer must live
//! on until the operation's last completion, and the ring must not be closed before that.
//!
//! Sockets hardly ever reach a worker by themselves, so the entries here ask for one.

use std::future::Future;
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use std::{hint, mem};

use super::ending::Leaving;
use super::{Op, Operation, Recv, Socket, Step};
use crate::driver::{BufferSize, BufferSizes, Driver, Settings};
use crate::sys::eventfd::EventFd;
use crate::sys::setup::{NewRing, Size, kernel_ring};
use crate::sys::{Completion, Submission, SubmissionFlags};

#[path = "../../tests/common/memory.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
pub(super) mod memory;

use memory::{GuardedBuffer, LARGEST, Pool};

const ROUNDS: usize = 200;
const OPERATIONS: usize = 8;

/// An operation whose entry goes to a worker.
struct OnWorker<O>(O);

// SAFETY: all is passed on to the inner operation.
unsafe impl<O: Operation> Operation for OnWorker<O> {
    type Output = O::Output;

    fn entry(&mut self) -> Submission {
        self.0.entry().flags(SubmissionFlags::ASYNC)
    }

    fn complete(self, completion: Completion) -> Step<Self> {
        match self.0.complete(completion) {
            Step::Done(output) => Step::Done(output),
            Step::Again(operation) => Step::Again(Self(operation)),
            Step::NoRoom(operation) => Step::NoRoom(Self(operation)),
        }
    }

    fn leaving(&self) -> Option<Leaving> {
        self.0.leaving()
    }

    fn settle(self, completion: Completion) {
        self.0.settle(completion);
    }
}

type Receive = Op<OnWorker<Recv<GuardedBuffer>>>;

/// A ring, and connections on which bytes wait to be received.
pub(super) struct Bench {
    pub(super) driver: Rc<Driver>,
    /// Must outlive the ring that polls it.
    _bell: EventFd,
    pub(super) incidents: Arc<AtomicUsize>,
    pool: Rc<Pool>,
    peers: Vec<TcpStream>,
}

impl Bench {
    pub(super) fn new(pool: &Rc<Pool>) -> Self {
        let size = Size { submissions: 16, completions: 32 };
        let NewRing { ring, capabilities, .. } = kernel_ring(size, None).unwrap();
        let bell = EventFd::new().unwrap();
        let incidents = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&incidents);
        let hook = Arc::new(move |_: &_| {
            counter.fetch_add(1, Relaxed);
        });
        let size = BufferSize { count: 4, bytes: 4096 };
        let buffers = BufferSizes { small: size, large: size, fallback: 4096 };
        let settings = Settings { buffers, ..Settings::default() };
        let driver = Rc::new(Driver::new(ring, capabilities, bell.as_raw_fd(), settings, hook));
        Self { driver, _bell: bell, incidents, pool: Rc::clone(pool), peers: Vec::new() }
    }

    /// Starts to receive what is there already.
    fn receive(&mut self, listener: &TcpListener) -> Receive {
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut far, _) = listener.accept().unwrap();
        far.write_all(&[0x5a; LARGEST]).unwrap();
        self.peers.push(far);
        let socket = Rc::new(Socket::new(Rc::clone(&self.driver), OwnedFd::from(near)));
        let recv = Recv::new(&socket, self.pool.take(LARGEST));
        let mut operation = Op::new(&self.driver, OnWorker(recv));
        assert!(poll(&mut operation).is_pending());
        operation
    }
}

pub(super) fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
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
        let mut bench = Bench::new(&pool);
        let operations: Vec<_> = (0..OPERATIONS).map(|_| bench.receive(&listener)).collect();
        bench.driver.turn(false);
        for operation in operations {
            pause(&mut random);
            drop(operation);
            pool.verify();
        }
        bench.driver.close(Duration::from_secs(5));
        assert_eq!(bench.incidents.load(Relaxed), 0, "the kernel let go of everything");
        assert_eq!(pool.alive(), 0);
        pool.verify();
    }
}

#[test]
fn memory_of_a_forgotten_operation_is_never_freed() {
    let pool = Pool::new(64);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    for round in 1..=4 {
        let mut bench = Bench::new(&pool);
        for _ in 0..OPERATIONS {
            mem::forget(bench.receive(&listener));
        }
        bench.driver.turn(false);
        bench.driver.close(Duration::from_secs(5));
        assert_eq!(pool.alive(), round * OPERATIONS);
    }
    pool.verify();
    // The forgotten operations keep the pool, too.
    mem::forget(pool);
}
