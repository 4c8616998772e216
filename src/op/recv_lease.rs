//! Receiving once into a buffer of the runtime's.
//!
//! In one of two ways, by what the socket is used to bring (`habit`):
//!
//! - the kernel picks a small buffer when bytes have arrived;
//! - the entry waits for readiness only, and brings no bytes. They are then received past the ring, into
//!   a large buffer (`target`). So it is also where the kernel has no buffers to pick from, and after it
//!   has found none.
//!
//! A direct descriptor that cannot be made one of the process is received from by an entry, which waits with
//! the large buffer in hand.
//!
//! What dropped reads have left comes first, and what comes by itself (`inflow`) instead.
//!
//! Dropped in flight, what was received goes to the socket's unread bytes, in order, and the buffer
//! back.

use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::{io, mem, ptr};

use super::ending::Leaving;
use super::target::Target;
use super::{Operation, Socket, Step, entry_length};
use crate::buf::Lease;
use crate::driver::Driver;
use crate::error::describe;
use crate::sys::errno::ENOBUFS;
use crate::sys::poll::READABLE;
use crate::sys::{BUFFER_GROUP, Completion, Submission, SubmissionFlags, opcode};

/// Receives what is there: nothing at the end.
pub(crate) struct RecvLease {
    socket: Rc<Socket>,
    /// What a call past the ring has received into, or the entry in flight receives into.
    target: Option<Target>,
    /// Whether the entry in flight waits for readiness, and brings no bytes.
    awaits_readiness: bool,
    /// Whether the kernel has found no buffer.
    found_none: bool,
}

impl RecvLease {
    pub(crate) fn new(socket: &Rc<Socket>) -> Self {
        let socket = Rc::clone(socket);
        Self { socket, target: None, awaits_readiness: false, found_none: false }
    }
}

// SAFETY: the entry points to no memory, since the kernel picks one of the buffers that the driver has
// given it, which nobody touches meanwhile; or it points to that of the target, which does not move.
unsafe impl Operation for RecvLease {
    type Output = io::Result<Lease>;

    fn poll_before(&self, context: &Context<'_>) -> Poll<Option<Self::Output>> {
        ready!(self.socket.poll_reads_ended(context));
        if let Some(error) = self.socket.take_unread_error() {
            return Poll::Ready(Some(Err(error)));
        }
        if self.socket.has_unread() {
            return Poll::Ready(Some(Ok(self.socket.take_all_unread().into())));
        }
        self.socket.poll_inflow(context)
    }

    fn entry(&mut self) -> Submission {
        let socket = &self.socket;
        let (driver, habit) = (socket.driver(), socket.habit.get());
        let picks = driver.buffers().has_provided() && !self.found_none;
        // What is there already, but must wait for the next turn, is received by a call then.
        let is_for_a_call = socket.has_more.get() || habit.is_much() || !picks;
        self.awaits_readiness = is_for_a_call && socket.call_fd().is_some();
        if self.awaits_readiness {
            socket.entry(|fd| opcode::PollAdd::new(fd, READABLE).build())
        } else if picks {
            let pick = |fd| opcode::Recv::new(fd, ptr::null_mut(), 0).buf_group(BUFFER_GROUP);
            socket.entry(|fd| pick(fd).build().flags(SubmissionFlags::BUFFER_SELECT))
        } else {
            let target = self.target.insert(Target::new(socket));
            let (start, length) = target.memory();
            socket.entry(|fd| opcode::Recv::new(fd, start, entry_length(length)).build())
        }
    }

    fn is_worth_attempting(&self, _driver: &Driver) -> bool {
        self.socket.has_more.get()
    }

    fn attempt(&mut self) -> Option<Completion> {
        let mut target = Target::new(&self.socket);
        let done = target.receive(&self.socket);
        self.target = Some(target).filter(|_| done.is_some());
        done
    }

    fn interrupted(&mut self, completion: Completion) {
        self.target = None;
        // The kernel may have picked a buffer all the same.
        drop(self.socket.lent(completion));
    }

    fn complete(mut self, completion: Completion) -> Step<Self> {
        let target = self.target.take();
        // Taken also if it failed: the kernel may have picked a buffer all the same.
        let lease = self.socket.lent(completion);
        if let Some(target) = target {
            self.socket.note_attempt(Some(completion));
            return Step::Done(target.take(&self.socket, completion));
        }
        if mem::take(&mut self.awaits_readiness) {
            return match completion.result() {
                Ok(_) => {
                    self.socket.has_more.set(true);
                    Step::Again(self)
                }
                Err(error) => Step::Done(Err(describe("poll", error))),
            };
        }
        self.socket.has_more.set(completion.has_more());
        if completion.failed_with(ENOBUFS) {
            self.socket.driver().buffers().grow_provided();
            self.found_none = true;
            return Step::Again(self);
        }
        Step::Done(self.socket.received(completion, "recv").map(|count| {
            self.socket.learn(count, self.socket.driver().buffers().provided_size());
            lease
        }))
    }

    fn leaving(&self) -> Option<Leaving> {
        Some(Leaving::reading(&self.socket))
    }

    fn settle(self, completion: Completion) {
        if !self.awaits_readiness {
            self.socket.put_back_received(completion);
        }
        if let Some(Ok(lease)) = self.target.map(|target| target.take(&self.socket, completion)) {
            self.socket.put_back(&lease);
        }
    }
}
