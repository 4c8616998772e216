//! Operations on a ring that completes each SQE when and how the test says: what the kernel does
//! seldom, or at a moment that no test can choose, happens here every time.
//!
//! The sockets are no sockets, and no system call is made on them unless the test allows it: every
//! step is an SQE.

mod accept;
mod cancel;
mod chain;
mod close;
mod connect;
mod file;
mod multishot;
mod outbox;
mod path;
mod receive;
mod receive_lease;
mod registered;
mod send;
mod shared_sync;
mod shutdown;
mod splice;
mod timeout;
mod vectored;
mod zero_copy;

use std::fs::File;
use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, Waker};

use crate::buf::BufResult;
use crate::driver::{BufferSize, BufferSizes, Driver, FileSlot, Settings};
use crate::error::IncidentHook;
use crate::op::operation::Operation;
use crate::op::{One, Op, Recv, SendBytes, StreamSocket};
use crate::sys::bypass::Bypasses;
use crate::sys::capabilities::Capabilities;
use crate::sys::{ScriptedRing, Sqe, opcode};
use crate::task::WakeCount;

const RECV: u8 = opcode::Recv::CODE;
const SEND: u8 = opcode::Send::CODE;
const POLL: u8 = opcode::PollAdd::CODE;
const CANCEL: u8 = opcode::AsyncCancel::CODE;
const CLOSE: u8 = opcode::Close::CODE;

/// How many bytes a provided buffer has, and a large one.
const SMALL: usize = 64;
const LARGE: usize = 256;

/// A driver on a scripted ring.
struct Bench {
    driver: Rc<Driver>,
    ring: ScriptedRing,
    wakes: Arc<WakeCount>,
}

impl Bench {
    /// A driver with provided buffers and two file slots.
    fn new() -> Self {
        Self::with_bypasses(Bypasses::default())
    }

    /// Like [`new`](Self::new), with these system calls allowed beside the ring.
    fn with_bypasses(bypasses: Bypasses) -> Self {
        Self::with_hook(bypasses, Arc::new(|incident: &_| panic!("{incident}")))
    }

    fn with_hook(bypasses: Bypasses, hook: IncidentHook) -> Self {
        Self::with_ring(ScriptedRing::with_capacity(16), bypasses, hook)
    }

    /// Like [`new`](Self::new), with room for `capacity` SQEs.
    fn with_capacity(capacity: usize) -> Self {
        let hook: IncidentHook = Arc::new(|incident: &_| panic!("{incident}"));
        Self::with_ring(ScriptedRing::with_capacity(capacity), Bypasses::default(), hook)
    }

    fn with_ring(ring: ScriptedRing, bypasses: Bypasses, hook: IncidentHook) -> Self {
        ring.script().bypasses = bypasses;
        ring.script().has_buffers = true;
        let small = BufferSize { count: 128, bytes: SMALL };
        let large = BufferSize { count: 2, bytes: LARGE };
        let buffers = BufferSizes { small, large, datagrams: small, fallback: 4096 };
        let settings = Settings { buffers, file_slots: 2, ..Settings::default() };
        let driver = Driver::new(ring.clone(), Capabilities::ALL, -1, settings, hook);
        Self { driver: Rc::new(driver), ring, wakes: Arc::default() }
    }

    fn socket(&self) -> Rc<StreamSocket> {
        Rc::new(StreamSocket::new(Rc::clone(&self.driver), some_fd()))
    }

    fn file_slot(&self) -> FileSlot {
        FileSlot::alloc(&self.driver).expect("a file slot is free")
    }

    /// Submits what is queued, and reaps what the script has completed.
    fn turn(&self) {
        self.driver.turn(false);
    }

    fn poll<F: Future + Unpin>(&self, future: &mut F) -> Poll<F::Output> {
        let waker = self.waker();
        Pin::new(future).poll(&mut Context::from_waker(&waker))
    }

    /// Polls an operation that now waits for the SQE it has submitted.
    fn start<F: Future + Unpin>(&self, future: &mut F) {
        assert!(self.poll(future).is_pending());
        self.turn();
    }

    /// Starts an operation, drops it, and submits its cancel.
    fn start_and_drop<F: Future + Unpin>(&self, mut future: F) {
        self.start(&mut future);
        drop(future);
        self.turn();
    }

    /// Completes an SQE for good, and reaps that.
    fn complete(&self, nth: usize, result: i32) {
        self.ring.complete(nth, result, false);
        self.turn();
    }

    /// Completes an SQE of an operation, which then waits for its next one.
    fn advance<F: Future + Unpin>(&self, future: &mut F, nth: usize, result: i32) {
        self.complete(nth, result);
        self.start(future);
    }

    /// Polls an operation that is over.
    fn end<F: Future + Unpin>(&self, future: &mut F) -> F::Output {
        self.turn();
        match self.poll(future) {
            Poll::Ready(output) => output,
            Poll::Pending => panic!("the operation waits; taken: {:?}", self.opcodes()),
        }
    }

    fn waker(&self) -> Waker {
        Waker::from(Arc::clone(&self.wakes))
    }

    fn woken(&self) -> usize {
        self.wakes.count()
    }

    fn opcodes(&self) -> Vec<u8> {
        self.ring.opcodes()
    }

    fn taken(&self, nth: usize) -> Sqe {
        self.ring.taken(nth)
    }
}

/// A descriptor that is no socket: system calls for sockets would fail.
fn some_fd() -> OwnedFd {
    File::open("/dev/null").expect("a descriptor is free").into()
}

/// A receive of at most `length` bytes.
fn recv(
    socket: &Rc<StreamSocket>,
    length: usize,
) -> Op<impl Operation<Output = BufResult<usize, Vec<u8>>> + use<>> {
    Op::new(socket.driver(), Recv::once(socket, Vec::with_capacity(length)))
}

/// A send of all bytes.
fn send_all(socket: &Rc<StreamSocket>, bytes: &[u8]) -> Op<SendBytes<One<Vec<u8>>>> {
    Op::new(socket.driver(), SendBytes::all(socket, One::new(bytes.to_vec())))
}

/// The result and the buffer.
fn split<T, B>(output: BufResult<T, B>) -> (io::Result<T>, B) {
    let BufResult(result, buffer) = output;
    (result, buffer)
}

/// The errno of a failure.
fn errno<T>(result: io::Result<T>) -> Option<i32> {
    result.err().and_then(|error| crate::error::raw_os_error(&error))
}
