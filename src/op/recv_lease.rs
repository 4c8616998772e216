//! Receiving into a buffer of the runtime's, which the kernel picks when bytes have arrived.
//!
//! On a socket that brings much at a time the entry waits for readiness only, and the bytes are then
//! received past the ring into a buffer that is at hand, and in the cache. The kernel would receive for
//! many sockets in one go, before the first of their tasks has its turn.
//!
//! Dropped in flight, what was received goes to the socket's unread bytes, in order, and the buffer
//! back. If all buffers are lent out, the bytes are still there, and come into memory of their own.

use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::{io, mem};

use super::recv::{is_interrupted, keep_error};
use super::{Operation, Socket, Step, entry_length};
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
    target: Target,
    /// Whether the entry in flight waits for readiness, and brings no bytes.
    awaits_readiness: bool,
}

enum Target {
    /// Whichever the kernel picks.
    Picked,
    /// One that was at hand, for an attempt.
    AtHand(Taken),
    /// Memory of its own.
    Own(Vec<u8>),
}

/// How much is received into memory of its own, where the kernel has no buffer rings: a connection that
/// waits holds it.
const OWN: usize = 16 * 1024;

impl RecvLease {
    pub(crate) fn new(socket: &Rc<Socket>) -> Self {
        let target = if socket.driver().has_leases() { Target::Picked } else { own(OWN) };
        Self { socket: Rc::clone(socket), target, awaits_readiness: false }
    }

    /// What a completion has brought: nothing if it failed.
    fn received(&mut self, completion: Completion) -> Lease {
        let count = completion.result().map_or(0, |count| count as usize);
        let picked = completion.buffer().map(|buffer| self.socket.driver().reported_lease(buffer));
        match (picked, mem::replace(&mut self.target, Target::Picked)) {
            // SAFETY: so many bytes have been received into it.
            (Some(taken), _) | (None, Target::AtHand(taken)) => unsafe { taken.lend(count) },
            (None, Target::Own(mut memory)) => {
                // SAFETY: the kernel has written so many bytes, of no more than there is room for.
                unsafe { memory.set_len(count) };
                Lease::from(memory)
            }
            (None, Target::Picked) => Lease::default(),
        }
    }
}

/// From how many bytes at a time on a socket brings much.
const MUCH: usize = 8 * 1024;

fn own(bytes: usize) -> Target {
    Target::Own(Vec::with_capacity(bytes))
}

// SAFETY: the entry points to memory of the vector's, which does not move with it, or to none: the
// kernel picks one of the buffers that the driver has given it, and nobody touches those meanwhile.
unsafe impl Operation for RecvLease {
    type Output = io::Result<Lease>;

    fn entry(&mut self) -> Submission {
        let fd = self.socket.entry_fd();
        let picks = matches!(self.target, Target::Picked);
        self.awaits_readiness =
            picks && self.socket.brings_much.get() && !self.socket.has_more.get();
        if self.awaits_readiness {
            return opcode::PollAdd::new(fd, READABLE).build();
        }
        match &mut self.target {
            Target::Own(memory) => {
                opcode::Recv::new(fd, memory.as_mut_ptr(), entry_length(memory.capacity())).build()
            }
            Target::Picked | Target::AtHand(_) => opcode::Recv::new(fd, std::ptr::null_mut(), 0)
                .buf_group(BUFFER_GROUP)
                .build()
                .flags(SubmissionFlags::BUFFER_SELECT),
        }
    }

    fn is_worth_attempting(&self, _driver: &Driver) -> bool {
        self.socket.has_more.get()
    }

    fn attempt(&mut self) -> Option<Completion> {
        let mut taken = self.socket.driver().take_lease()?;
        let length = taken.size();
        // SAFETY: the buffer has so many bytes, and nobody else touches them.
        let done = unsafe { receive(self.socket.as_raw_fd(), taken.start(), length) };
        self.target = Target::AtHand(taken);
        if done.is_none() {
            self.target = Target::Picked;
        }
        self.socket.note_attempt(done)
    }

    fn complete(mut self, completion: Completion) -> Step<Self> {
        if mem::take(&mut self.awaits_readiness) {
            return match completion.result() {
                Err(error) if !is_interrupted(completion) => {
                    Step::Done(Err(describe("recv", error)))
                }
                readiness => {
                    self.socket.has_more.set(readiness.is_ok());
                    Step::Again(self)
                }
            };
        }
        self.socket.has_more.set(completion.has_more());
        self.socket.brings_much.set(completion.result().is_ok_and(|count| count as usize >= MUCH));
        // Taken also if it failed: the kernel may have picked a buffer all the same.
        let picks = !matches!(self.target, Target::Own(_));
        let lease = self.received(completion);
        if is_interrupted(completion) {
            self.target = if picks { Target::Picked } else { own(OWN) };
            return Step::Again(self);
        }
        if completion.failed_with(ENOBUFS) && picks {
            self.socket.driver().note_lease_miss();
            // The bytes are there, so this memory is not held for long.
            self.target = own(self.socket.driver().lease_bytes());
            return Step::Again(self);
        }
        Step::Done(match completion.result() {
            Ok(_) => Ok(lease),
            Err(error) => Err(describe("recv", error)),
        })
    }

    fn leave(&mut self) {
        self.socket.reading.begin();
    }

    fn settle(mut self, completion: Completion) {
        if self.awaits_readiness {
            return self.socket.reading.end();
        }
        if !completion.failed_with(ENOBUFS) {
            keep_error(&self.socket, completion);
        }
        let lease = self.received(completion);
        self.socket.put_back(&lease);
        self.socket.reading.end();
    }
}
