//! Taking what was pushed: each SQE becomes a request, and linked ones a chain.

use std::mem;
use std::os::fd::AsRawFd;
use std::rc::Rc;

use super::PortableRing;
use super::attempt::is_known;
use super::call::Call;
use super::keep::keep;
use super::requests::{NO_REQUEST, Request, State, Token};
use super::timeouts::{nanos, time_after};
use crate::sys::errno::{EBADF, ECANCELED, EFAULT, EINVAL};
use crate::sys::severing::{is_linked, whole};
use crate::sys::{Sqe, SqeFile, opcode};

/// `IORING_TIMEOUT_ABS`.
const TIMEOUT_ABSOLUTE: u32 = 1;

impl PortableRing {
    /// Begins all SQEs that were pushed, in order. Returns how many they were.
    pub(super) fn take_queue(&mut self) -> usize {
        let mut queue = mem::take(&mut self.queue);
        let taken = queue.len();
        let mut at = 0;
        while at < taken {
            let sqe = *Sqe::of(&queue[at]);
            at += 1;
            // The last of a batch is linked to nothing.
            if is_linked(&sqe) && at < taken {
                let start = at - 1;
                while at < taken && is_linked(Sqe::of(&queue[at - 1])) {
                    at += 1;
                }
                let chain: Vec<_> = queue[start..at].iter().map(|sqe| *Sqe::of(sqe)).collect();
                self.begin_chain(&chain);
            } else {
                let token = self.requests.insert(Request::new(Call::of(sqe)));
                self.begin(token);
            }
            self.run();
        }
        queue.clear();
        self.queue = queue;
        taken
    }

    /// Begins a chain: its first SQE, and what limits it.
    fn begin_chain(&mut self, sqes: &[Sqe]) {
        if sqes.iter().any(|sqe| !is_known(sqe.opcode())) {
            // As the kernel: `uring-sys-tests`, bad_entry_fails_whole_chain.
            for sqe in sqes {
                let is_known = is_known(sqe.opcode());
                self.post(sqe.user_data(), if is_known { -ECANCELED } else { -EINVAL }, 0);
            }
            return;
        }
        let (mut first, mut last) = (NO_REQUEST, NO_REQUEST);
        for sqe in sqes {
            let mut request = Request::new(Call::of(*sqe));
            // SAFETY: the operation keeps the array until the submission, which this is.
            request.whole = unsafe { whole(sqe) };
            if [opcode::Timeout::CODE, opcode::LinkTimeout::CODE].contains(&sqe.opcode()) {
                // SAFETY: the operation keeps its time until the submission, which this is.
                request.nanos = unsafe { nanos(request.call.memory()) }.unwrap_or(0);
            }
            if sqe.opcode() == opcode::LinkTimeout::CODE && last != NO_REQUEST {
                request.state = State::Limit { of: last, until: None };
                let limit = self.requests.insert(request);
                // Of two timeouts the second limits nothing.
                if self.requests[last].limit == NO_REQUEST {
                    self.requests[last].limit = limit;
                } else {
                    self.end(limit, -EINVAL, 0);
                }
                continue;
            }
            if first != NO_REQUEST {
                request.state = State::Linked;
                request.kept = keep(&mut request.call);
            }
            let token = self.requests.insert(request);
            if first == NO_REQUEST {
                first = token;
            } else {
                self.requests[last].next = token;
            }
            last = token;
        }
        self.begin(first);
    }

    /// Makes the first attempt at a request, whose turn in its chain has come.
    pub(super) fn begin(&mut self, token: Token) {
        if let Err(errno) = self.resolve(token) {
            return self.end(token, -errno, 0);
        }
        self.requests[token].state = State::Runnable;
        let limit = self.requests[token].limit;
        self.attempt(token, 0);
        // It may have ended, and its token be that of another: then the limit has ended, too.
        let is_limited =
            |request: &Request| request.state == State::Limit { of: token, until: None };
        if limit != NO_REQUEST && self.requests.get(limit).is_some_and(is_limited) {
            let until = time_after(self.requests[limit].nanos);
            self.requests[limit].state = State::Limit { of: token, until: Some(until) };
            self.timeouts.insert(until, limit);
        }
    }

    /// Looks its descriptors up: a link may use what the one before it has opened.
    fn resolve(&mut self, token: Token) -> Result<(), i32> {
        let request = &mut self.requests[token];
        let sqe = request.call.sqe;
        // The slot that a close empties is not used as a descriptor.
        let is_close = sqe.opcode() == opcode::Close::CODE;
        match sqe.file() {
            SqeFile::Fd(fd) => request.call.fd = fd,
            SqeFile::FileSlot(slot) if !is_close => {
                let file = self.files.get(slot).ok_or(EBADF)?;
                request.call.fd = file.as_raw_fd();
                request.file = Some(Rc::clone(file));
            }
            SqeFile::FileSlot(_) => {}
        }
        match sqe.opcode() {
            opcode::Splice::CODE | opcode::Tee::CODE => match sqe.splice_source() {
                SqeFile::Fd(fd) => request.call.source = fd,
                SqeFile::FileSlot(slot) => {
                    let file = self.files.get(slot).ok_or(EBADF)?;
                    request.call.source = file.as_raw_fd();
                    request.source_file = Some(Rc::clone(file));
                }
            },
            opcode::ReadFixed::CODE | opcode::WriteFixed::CODE
                if !self.memory.holds(sqe.buffer_index(), sqe.address(), sqe.length()) =>
            {
                return Err(EFAULT);
            }
            opcode::Timeout::CODE if request.state != State::Linked => {
                // SAFETY: the operation keeps its time until the submission, which this is.
                request.nanos = unsafe { nanos(request.call.memory()) }.ok_or(EINVAL)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Begins a timeout.
    pub(super) fn begin_timeout(&mut self, token: Token) {
        let request = &mut self.requests[token];
        let flags = request.call.sqe.op_flags();
        // The library uses neither: other clocks, and timeouts that count completions.
        if flags & !TIMEOUT_ABSOLUTE != 0 || request.call.sqe.offset() != 0 {
            return self.end(token, -EINVAL, 0);
        }
        let is_absolute = flags & TIMEOUT_ABSOLUTE != 0;
        let nanos = request.nanos;
        let time = if is_absolute { nanos } else { time_after(nanos) };
        request.state = State::Timed(time);
        self.timeouts.insert(time, token);
    }
}
