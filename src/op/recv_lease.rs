//! Receiving once into a buffer of the runtime's.
//!
//! In one of two ways, by what the socket is used to bring (`habit`):
//!
//! - the kernel picks a small buffer when bytes have arrived;
//! - the entry waits for readiness only, and brings no bytes. They are then received past the ring, into
//!   a large buffer. So it is also where the kernel has no buffers to pick from, and after it has
//!   found none.
//!
//! If all large buffers are lent out, the bytes come into memory of their own. Nobody waits with such
//! memory in hand: it is taken for bytes that are there.
//!
//! Dropped in flight, what was received goes to the socket's unread bytes, in order, and the buffer
//! back.

use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::{io, mem, ptr};

use super::recv::{is_interrupted, keep_error};
use super::{Operation, Socket, Step};
use crate::buf::Lease;
use crate::driver::{Driver, Taken};
use crate::error::describe;
use crate::sys::errno::ENOBUFS;
use crate::sys::eventfd::READABLE;
use crate::sys::transfer::receive;
use crate::sys::{BUFFER_GROUP, Completion, Submission, SubmissionFlags, opcode};

/// Receives what is there: nothing at the end.
pub(crate) struct RecvLease {
    socket: Rc<Socket>,
    /// What a call past the ring has received into.
    target: Option<Target>,
    /// Whether the entry in flight waits for readiness, and brings no bytes.
    awaits_readiness: bool,
    /// Whether the kernel has found no buffer.
    found_none: bool,
}

enum Target {
    Large(Taken),
    Own(Vec<u8>),
}

impl Target {
    fn new(driver: &Driver) -> Self {
        let own = || Self::Own(Vec::with_capacity(driver.lease_bytes()));
        driver.take_lease().map_or_else(own, Self::Large)
    }

    /// Receives what is there. `None` if there is nothing.
    fn receive(&mut self, socket: &Socket) -> Option<Completion> {
        let (start, length) = match self {
            Self::Large(taken) => (taken.start(), taken.size()),
            Self::Own(memory) => (memory.as_mut_ptr(), memory.capacity()),
        };
        // SAFETY: there is room for so many bytes, and nobody else touches them.
        unsafe { receive(socket.as_raw_fd(), start, length) }
    }

    /// # Safety
    ///
    /// So many bytes have been received.
    unsafe fn lend(self, count: usize) -> Lease {
        match self {
            // SAFETY: the caller says so.
            Self::Large(taken) => unsafe { taken.lend(count) },
            Self::Own(mut memory) => {
                // SAFETY: so many bytes have been received, of no more than there is room for.
                unsafe { memory.set_len(count) };
                Lease::from(memory)
            }
        }
    }
}

impl RecvLease {
    pub(crate) fn new(socket: &Rc<Socket>) -> Self {
        let socket = Rc::clone(socket);
        Self { socket, target: None, awaits_readiness: false, found_none: false }
    }

    /// What a completion has brought: nothing if it failed.
    fn received(&mut self, completion: Completion) -> Lease {
        let count = completion.result().map_or(0, |count| count as usize);
        let picked = completion.buffer().map(|buffer| self.socket.driver().reported_lease(buffer));
        match (picked, self.target.take()) {
            // SAFETY: so many bytes have been received into it.
            (Some(taken), _) => unsafe { taken.lend(count) },
            // SAFETY: as above.
            (None, Some(target)) => unsafe { target.lend(count) },
            (None, None) => Lease::default(),
        }
    }

    /// Takes note of what a receive has brought, and how much room it had.
    fn learn(&self, completion: Completion, room: usize) {
        self.socket.has_more.set(completion.has_more());
        if let Ok(count) = completion.result() {
            let habit = self.socket.habit.get().after(count as usize, room);
            self.socket.habit.set(habit);
        }
    }
}

// SAFETY: the entry points to no memory: the kernel picks one of the buffers that the driver has given
// it, and nobody touches those meanwhile.
unsafe impl Operation for RecvLease {
    type Output = io::Result<Lease>;

    fn entry(&mut self) -> Submission {
        let socket = &self.socket;
        let fd = socket.entry_fd();
        // What is there already, but must wait for the next turn, is received by a call then.
        let knows_better = socket.has_more.get() || socket.habit.get().is_much() || self.found_none;
        self.awaits_readiness = knows_better || !socket.driver().picks_leases();
        if self.awaits_readiness {
            return opcode::PollAdd::new(fd, READABLE).build();
        }
        opcode::Recv::new(fd, ptr::null_mut(), 0)
            .buf_group(BUFFER_GROUP)
            .build()
            .flags(SubmissionFlags::BUFFER_SELECT)
    }

    fn is_worth_attempting(&self, _driver: &Driver) -> bool {
        self.socket.has_more.get()
    }

    fn attempt(&mut self) -> Option<Completion> {
        let mut target = Target::new(self.socket.driver());
        let done = target.receive(&self.socket);
        if done.is_some() {
            self.target = Some(target);
        }
        self.socket.note_attempt(done)
    }

    fn complete(mut self, completion: Completion) -> Step<Self> {
        if is_interrupted(completion) {
            drop(self.received(completion));
            return Step::Again(self);
        }
        if mem::take(&mut self.awaits_readiness) {
            if let Err(error) = completion.result() {
                return Step::Done(Err(describe("recv", error)));
            }
            self.socket.has_more.set(true);
            return Step::Again(self);
        }
        let driver = self.socket.driver();
        let room = match &self.target {
            Some(target) => {
                if let Target::Own(_) = target {
                    driver.note_lease_miss();
                }
                driver.lease_bytes()
            }
            None => driver.picked_bytes(),
        };
        self.learn(completion, room);
        if completion.failed_with(ENOBUFS) && self.target.is_none() {
            driver.add_lease();
            self.found_none = true;
            return Step::Again(self);
        }
        // Taken also if it failed: the kernel may have picked a buffer all the same.
        let lease = self.received(completion);
        Step::Done(completion.result().map(|_| lease).map_err(|error| describe("recv", error)))
    }

    fn leave(&mut self) {
        self.socket.reading.begin();
    }

    fn settle(mut self, completion: Completion) {
        if !self.awaits_readiness {
            if !completion.failed_with(ENOBUFS) {
                keep_error(&self.socket, completion);
            }
            let lease = self.received(completion);
            self.socket.put_back(&lease);
        }
        self.socket.reading.end();
    }
}
