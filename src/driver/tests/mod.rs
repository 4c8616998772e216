//! The driver on a ring that does what it is told: each corner of a slot's life, on any machine.

mod entering;
mod slots;
mod teardown;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Poll, Wake, Waker};
use std::time::{Duration, Instant};

use super::{BufferSize, BufferSizes, Driver, Key, Orphan, Settings};
use crate::error::Incident;
use crate::sys::ScriptedRing;
use crate::sys::bypass::Bypasses;
use crate::sys::capabilities::Capabilities;
use crate::sys::errno::{EAGAIN, EBUSY, ECANCELED, EINTR, ENOENT, ENOMEM, EPERM, ETIME};
use crate::sys::{Completion, Sqe, Wait, opcode};
use crate::task::WakeCount;

const NOP: u8 = opcode::Nop::CODE;
const CANCEL: u8 = opcode::AsyncCancel::CODE;
const POLL: u8 = opcode::PollAdd::CODE;

/// A driver, its ring, a waker that counts, and the incidents reported.
struct Bench {
    driver: Driver,
    ring: ScriptedRing,
    wakes: Arc<WakeCount>,
    incidents: Arc<AtomicUsize>,
}

impl Bench {
    fn with_capacity(capacity: usize) -> Self {
        let ring = ScriptedRing::with_capacity(capacity);
        ring.script().bypasses = Bypasses::ALL;
        let incidents = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&incidents);
        let hook = Arc::new(move |_: &Incident| {
            counter.fetch_add(1, Relaxed);
        });
        let capabilities = Capabilities { cancel_any: false, ..Capabilities::ALL };
        let size = BufferSize { count: 4, bytes: 64 };
        let buffers = BufferSizes { small: size, large: size, datagrams: size, fallback: 4096 };
        let settings = Settings { buffers, ..Settings::default() };
        let driver = Driver::new(ring.clone(), capabilities, -1, settings, hook);
        Self { driver, ring, wakes: Arc::default(), incidents }
    }

    fn waker(&self) -> Waker {
        Waker::from(Arc::clone(&self.wakes))
    }

    fn woken(&self) -> usize {
        self.wakes.count()
    }

    fn submit(&self) -> Key {
        // SAFETY: a no-op points to no memory.
        unsafe { self.driver.submit(opcode::Nop::new().build(), None, &self.waker()) }.unwrap()
    }

    fn submit_multishot(&self, bound: u32) -> Key {
        // SAFETY: a no-op points to no memory.
        unsafe { self.driver.submit_multishot(opcode::Nop::new().build(), bound) }.unwrap()
    }

    fn poll(&self, key: Key) -> Poll<u32> {
        self.driver.poll(key, &self.waker()).map(|completion| completion.result().unwrap())
    }

    fn poll_next(&self, key: Key) -> Poll<Option<i32>> {
        let next = self.driver.poll_next(key, &self.waker());
        next.map(|completion| completion.map(number))
    }

    fn orphan(&self, key: Key) -> Late {
        let late = Late::default();
        self.driver.orphan(key, Box::new(late.clone()));
        late
    }

    fn opcodes_taken(&self) -> Vec<u8> {
        self.ring.opcodes()
    }
}

/// The result as the kernel gave it.
fn number(completion: Completion) -> i32 {
    match completion.result() {
        Ok(result) => result as i32,
        Err(error) => -error.raw_os_error().unwrap(),
    }
}

/// An orphan that writes down what it settles, and that it was dropped.
#[derive(Clone, Default)]
struct Late(Rc<RefCell<Vec<i32>>>);

impl Orphan for Late {
    fn settle(&mut self, completion: Completion) {
        self.0.borrow_mut().push(number(completion));
    }
}

impl Late {
    fn settled(&self) -> Vec<i32> {
        self.0.borrow().clone()
    }

    fn is_kept(&self) -> bool {
        Rc::strong_count(&self.0) > 1
    }
}
