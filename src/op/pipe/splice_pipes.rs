//! Moving or duplicating what a pipe holds into another, without copying it.
//!
//! Only an inline call does it, once polls have reported bytes in the one and room in the other: a
//! Splice or Tee SQE always takes a kernel worker. So the kernel has nothing of a transfer that
//! waits but a poll, and a dropped one has moved nothing.

use std::io;
use std::mem;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use super::end::{Access, PipeEnd};
use super::write::try_write;
use crate::driver::Driver;
use crate::error::Describe;
use crate::op::operation::{Operation, Step, sqe_length};
use crate::sys::bypass::Bypass;
use crate::sys::poll::{READABLE, WRITABLE};
use crate::sys::splice::{Transfer, transfer_now};
use crate::sys::{Completion, Submission, opcode};

/// What a poll waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaits {
    Bytes,
    Room,
}

/// Transfers some bytes; none at EOF. There are no unread ones.
pub(crate) struct SplicePipes {
    transfer: Transfer,
    from: Rc<PipeEnd>,
    to: Rc<PipeEnd>,
    length: usize,
    /// What the next poll waits for, or the one in flight: by turns, as a call that has found
    /// nothing to do does not tell which it was.
    awaits: Awaits,
    /// Whether the SQE in flight is a poll.
    is_poll: bool,
    /// Whether a poll has reported something since the last call.
    is_ready: bool,
}

impl SplicePipes {
    /// The length is not zero.
    ///
    /// # Errors
    ///
    /// `Unsupported` where the ring does not allow inline calls.
    pub(crate) fn new(
        transfer: Transfer,
        from: &Rc<PipeEnd>,
        to: &Rc<PipeEnd>,
        length: usize,
    ) -> io::Result<Self> {
        if !from.driver().allows(Bypass::Inline) {
            return Err(no_call());
        }
        let (from, to) = (Rc::clone(from), Rc::clone(to));
        let awaits = Awaits::Bytes;
        Ok(Self { transfer, from, to, length, awaits, is_poll: false, is_ready: false })
    }
}

// SAFETY: the SQE points to no memory.
unsafe impl Operation for SplicePipes {
    type Output = io::Result<usize>;

    fn poll_ready(&self, context: &Context<'_>) -> Poll<Option<Self::Output>> {
        ready!(self.from.poll_readable(context));
        self.to.poll_writes_drained(context).map(|()| None)
    }

    fn submission(&mut self) -> Submission {
        self.is_poll = true;
        let (end, events) = match self.awaits {
            Awaits::Bytes => (&self.from, READABLE),
            Awaits::Room => (&self.to, WRITABLE),
        };
        opcode::PollAdd::new(end.sqe_fd(), events).build()
    }

    fn prefers_inline(&self, _driver: &Driver) -> bool {
        self.is_ready || self.from.has_more.get()
    }

    fn try_inline(&mut self) -> Option<Completion> {
        self.is_ready = false;
        let length = sqe_length(self.length) as usize;
        let done = transfer_now(self.transfer, self.from.used_fd(), self.to.used_fd(), length);
        self.from.has_more.set(done.is_some());
        done
    }

    fn complete(mut self, completion: Completion) -> Step<Self> {
        if !mem::take(&mut self.is_poll) {
            let what = if self.transfer == Transfer::Move { "splice" } else { "tee" };
            return Step::Done(completion.result().describe(what).map(|count| count as usize));
        }
        if let Err(error) = completion.result().describe("poll") {
            return Step::Done(Err(error));
        }
        self.is_ready = true;
        self.awaits = match self.awaits {
            Awaits::Bytes => Awaits::Room,
            Awaits::Room => Awaits::Bytes,
        };
        Step::Again(self)
    }

    fn settle(self, _completion: Completion) {}
}

/// Transfers at once some of what dropped reads of a pipe have left, which comes before what the
/// pipe holds. Such bytes are copied.
///
/// # Errors
///
/// `WouldBlock` if the other pipe has no room, or if this task has done much at once; `Unsupported`
/// if only a kernel worker could write to it: dropped meanwhile, what that has written would be
/// lost or written twice.
pub(crate) fn transfer_unread(
    transfer: Transfer,
    from: &PipeEnd,
    to: &PipeEnd,
    length: usize,
) -> io::Result<usize> {
    let mut memory = [0; 4096];
    let part = length.min(memory.len());
    let count = from.take_unread_slice(&mut memory[..part]).unwrap_or(Ok(0))?;
    if count == 0 {
        return Ok(0);
    }
    let written = try_write(to, &memory[..count]);
    let taken = match (transfer, &written) {
        (Transfer::Move, Ok(written)) => *written,
        _ => 0,
    };
    if taken < count {
        from.put_front(&memory[taken..count]);
    }
    let is_blocked = matches!(&written, Err(error) if error.kind() == io::ErrorKind::WouldBlock);
    let has_calls = to.access() != Access::Worker && to.driver().allows(Bypass::Inline);
    if is_blocked && !has_calls { Err(no_call()) } else { written }
}

#[cold]
fn no_call() -> io::Error {
    let text = "no call that does not wait can be made on this pipe: read, and write what was read";
    io::Error::new(io::ErrorKind::Unsupported, text)
}
