//! The life of a request: attempts, what they lead to, and the end.

use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::rc::Rc;

use super::PortableRing;
use super::attempt::{attempt, makes_descriptor};
use super::call::Attempt;
use super::descriptors::close_file;
use super::epoll::Event;
use super::keep::keep;
use super::poller::{Waits, readiness};
use super::polls;
use super::requests::{NO_REQUEST, State, Token};
use super::sockets;
use super::workers::Job;
use crate::sys::errno::{ECANCELED, EINTR, ENOMEM, EPERM, ETIME, last_errno};
use crate::sys::poll::{READABLE, WRITABLE};
use crate::sys::severing::severs;
use crate::sys::{Completion, SubmissionFlags, opcode};

impl PortableRing {
    /// Runs all that is due.
    pub(super) fn run(&mut self) {
        while let Some(due) = self.runnable.pop_front() {
            match self.requests.get_due(due).map(|request| request.state) {
                Some(State::Linked) => self.begin(due.token),
                Some(State::Runnable) => self.attempt(due.token, 0),
                // It was cancelled meanwhile.
                _ => {}
            }
        }
    }

    /// Takes a report of readiness in: makes an attempt at each request that waits for it.
    pub(super) fn report(&mut self, event: Event) {
        let Some((fd, first)) = self.poller.take(event) else { return };
        if self.requests[first].place.after == NO_REQUEST {
            self.report_to(first, fd, event.events);
        } else {
            // An attempt may end other requests, whose tokens may then be those of new ones: each
            // is checked before its attempt.
            let mut tokens = mem::take(&mut self.reported);
            let mut at = first;
            while at != NO_REQUEST {
                tokens.push(at);
                at = self.requests[at].place.after;
            }
            for token in tokens.drain(..) {
                self.report_to(token, fd, event.events);
            }
            self.reported = tokens;
        }
        if let Err(errno) = self.poller.renew(&self.epoll, &mut self.requests, fd) {
            while let Some(token) = self.poller.first(fd) {
                self.end(token, -errno, 0);
            }
        }
    }

    /// Makes an attempt at a request, if it waits for one of these events of its descriptor.
    fn report_to(&mut self, token: Token, fd: i32, events: u32) {
        let is_meant = self.requests.get(token).is_some_and(|request| {
            let wanted = readiness_of(request.call.sqe.opcode(), request.place.events);
            request.state == State::Waiting
                && request.place.fd == fd
                && (events & request.place.events != 0 || readiness(events) & wanted != 0)
        });
        if is_meant {
            self.attempt(token, events);
        }
    }

    /// Makes one attempt at a request; a multishot one goes on as long as there is something.
    /// `events` is what its descriptor has reported, if this is due to that.
    pub(super) fn attempt(&mut self, token: Token, events: u32) {
        match self.requests[token].call.sqe.opcode() {
            opcode::Recv::CODE => self.attempt_recv(token),
            opcode::RecvMsg::CODE => self.attempt_recvmsg(token),
            opcode::Send::CODE | opcode::SendZc::CODE => self.attempt_send(token),
            opcode::SendMsg::CODE => {
                let outcome = sockets::sendmsg(&self.requests[token].call);
                self.end_unless_blocked(token, WRITABLE, outcome);
            }
            opcode::Accept::CODE => self.attempt_accept(token),
            opcode::Connect::CODE => self.attempt_connect(token),
            opcode::PollAdd::CODE => self.attempt_poll(token, events),
            opcode::Timeout::CODE => self.begin_timeout(token),
            opcode::AsyncCancel::CODE => {
                let sqe = self.requests[token].call.sqe;
                let result = self.carry_out_cancel(&sqe);
                self.end(token, result, 0);
            }
            opcode::Close::CODE => match self.requests[token].call.sqe.file_index() {
                Some(slot) => self.close_slot(token, slot),
                None => self.attempt_other(token),
            },
            opcode::FixedFdInstall::CODE => {
                let call = &self.requests[token].call;
                // SAFETY: the call takes no pointers.
                let fd = unsafe { libc::fcntl(call.fd, libc::F_DUPFD_CLOEXEC, 0) };
                let result = if fd < 0 { -last_errno() } else { fd };
                self.end(token, result, 0);
            }
            _ => self.attempt_other(token),
        }
    }

    /// An attempt at what is not of this file.
    fn attempt_other(&mut self, token: Token) {
        let call = self.requests[token].call;
        if call.sqe.opcode() == opcode::Close::CODE {
            self.poller.forget(&self.epoll, &mut self.requests, call.fd);
        }
        let outcome = loop {
            match attempt(&call, &self.inline) {
                Attempt::Done { result, .. } if result == -EINTR => {}
                outcome => break outcome,
            }
        };
        self.follow(token, outcome);
    }

    /// Does what an attempt has led to.
    fn follow(&mut self, token: Token, outcome: Attempt) {
        match outcome {
            Attempt::Done { result, flags } => self.end(token, result, flags),
            Attempt::WaitFor { fd, events } => self.wait_for(token, fd, events, Waits::Once),
            Attempt::Offload { kind, work } => {
                self.set_state(token, State::Job);
                let makes_descriptor = makes_descriptor(self.requests[token].call.sqe.opcode());
                let job = Job { token: token as usize, kind, makes_descriptor, work };
                if let Err(job) = self.workers.submit(job) {
                    self.refuse(token, job);
                }
            }
        }
    }

    /// There is no thread for a job. A close is not left undone, as the descriptor would stay for
    /// ever: it is made here or, if it may wait for a peer, by its operation, without that wait.
    fn refuse(&mut self, token: Token, mut job: Job) {
        let sqe = self.requests[token].call.sqe;
        let result = match sqe.opcode() {
            opcode::Close::CODE if sqe.has(SubmissionFlags::ASYNC) => -ECANCELED,
            opcode::Close::CODE => job.work.run(),
            _ => -ENOMEM,
        };
        self.end(token, result, 0);
    }

    /// Makes a request wait for its descriptor.
    pub(super) fn wait_for(&mut self, token: Token, fd: i32, events: u32, waits: Waits) {
        if self.requests[token].state == State::Waiting {
            if self.requests[token].place.fd == fd && self.requests[token].place.events == events {
                return;
            }
            self.poller.leave(&self.epoll, &mut self.requests, token);
        }
        let request = &mut self.requests[token];
        if request.kept.is_none() {
            request.kept = keep(&mut request.call);
        }
        request.state = State::Runnable;
        let place = (fd, events);
        match self.poller.wait(&self.epoll, &mut self.requests, token, place, waits) {
            Ok(()) => {}
            // A regular file: as the kernel says, it is always ready.
            Err(EPERM) if self.requests[token].call.sqe.opcode() == opcode::PollAdd::CODE => {
                let ready = polls::poll_now(fd, events);
                self.end(token, ready.map_or_else(|errno| -errno, |ready| ready as i32), 0);
            }
            Err(errno) => self.end(token, -errno, 0),
        }
    }

    /// Changes what a request waits for.
    pub(super) fn set_state(&mut self, token: Token, state: State) {
        match self.requests[token].state {
            State::Waiting => self.poller.leave(&self.epoll, &mut self.requests, token),
            State::Timed(time) => self.timeouts.remove(time, token),
            State::Limit { until: Some(time), .. } => self.timeouts.remove(time, token),
            _ => {}
        }
        self.requests[token].state = state;
    }

    /// Fires what is due.
    pub(super) fn fire_timeouts(&mut self) {
        while let Some(token) = self.timeouts.pop_due() {
            match self.requests[token].state {
                State::Limit { of, .. } => self.end_limited(token, of),
                State::Timed(_)
                    if self.requests[token].call.sqe.opcode() == opcode::Timeout::CODE =>
                {
                    self.end(token, -ETIME, 0);
                }
                // A pause is over.
                _ => {
                    self.requests[token].state = State::Runnable;
                    self.attempt(token, 0);
                }
            }
        }
        self.run();
    }

    /// A linked timeout has fired.
    fn end_limited(&mut self, limit: Token, of: Token) {
        self.requests[of].limit = NO_REQUEST;
        self.requests[limit].state = State::Limit { of, until: None };
        let result = self.cancel(of);
        self.end(limit, if result == 0 { -ETIME } else { result }, 0);
    }

    /// Takes in what the workers have finished.
    pub(super) fn collect_jobs(&mut self) {
        if self.workers.has_finished() {
            let mut finished = mem::take(&mut self.finished);
            self.workers.collect(|token, result| finished.push((token as Token, result)));
            for (token, result) in finished.drain(..) {
                self.end(token, result, 0);
            }
            self.finished = finished;
            self.run();
        }
    }

    /// The last completion of a request. What is linked behind it becomes due.
    pub(super) fn end(&mut self, token: Token, result: i32, flags: u32) {
        self.set_state(token, State::Runnable);
        let mut request = self.requests.remove(token);
        let sqe = request.call.sqe;
        if request.was_blocking {
            sockets::set_blocking(request.call.fd);
        }
        // Its slot may have been closed meanwhile: then this was the last use.
        if let Some(file) = request.file.take() {
            self.drop_file(file);
        }
        if let Some(file) = request.source_file.take() {
            self.drop_file(file);
        }
        let result = match sqe.file_index() {
            Some(slot) if result >= 0 && makes_descriptor(sqe.opcode()) => {
                // SAFETY: the call has just made the descriptor, and nothing else owns it.
                self.put_file(slot, unsafe { OwnedFd::from_raw_fd(result) })
            }
            _ => result,
        };
        self.post(sqe.user_data(), result, flags);
        if request.limit != NO_REQUEST {
            self.end(request.limit, -ECANCELED, 0);
        }
        let next = request.next;
        if next == NO_REQUEST {
            return;
        }
        if severs(&sqe, request.whole, result) {
            self.sever(next);
        } else {
            self.runnable.push_back(self.requests.due(next));
        }
    }

    /// Cancels a link that has not begun, and all behind it.
    fn sever(&mut self, first: Token) {
        let mut at = first;
        while at != NO_REQUEST {
            let link = self.requests.remove(at);
            self.post(link.call.sqe.user_data(), -ECANCELED, 0);
            if link.limit != NO_REQUEST {
                let limit = self.requests.remove(link.limit);
                self.post(limit.call.sqe.user_data(), -ECANCELED, 0);
            }
            at = link.next;
        }
    }

    fn put_file(&mut self, slot: u32, file: OwnedFd) -> i32 {
        match self.files.put(slot, file) {
            Ok(old) => {
                old.into_iter().for_each(|old| self.drop_file(old));
                0
            }
            Err(errno) => -errno,
        }
    }

    /// Empties a slot. It completes when the file is closed, or at once if a request still uses it.
    fn close_slot(&mut self, token: Token, slot: u32) {
        let closed = match self.files.take(slot) {
            Ok(file) => self.last_use(file).map_or(Attempt::done(0), close_file),
            Err(errno) => Attempt::failed(errno),
        };
        self.follow(token, closed);
    }

    /// Closes the file of a slot, unless a request still uses it. Nothing waits for that.
    fn drop_file(&mut self, file: Rc<OwnedFd>) {
        if let Some(Attempt::Offload { kind, work }) = self.last_use(file).map(close_file) {
            self.workers.detach(kind, work);
        }
    }

    /// The file of a slot, and nothing is known of its descriptor any more. `None` if something
    /// else uses it.
    pub(super) fn last_use(&mut self, file: Rc<OwnedFd>) -> Option<OwnedFd> {
        let file = Rc::into_inner(file)?;
        self.forget(file.as_raw_fd());
        Some(file)
    }

    /// Puts a completion into the queue.
    pub(super) fn post(&mut self, user_data: u64, result: i32, flags: u32) {
        self.completions.push_back(Completion::new(user_data, result, flags));
    }
}

/// What readiness an operation of a socket needs; polls go by the events themselves.
fn readiness_of(code: u8, events: u32) -> u32 {
    if code == opcode::PollAdd::CODE { 0 } else { events & (READABLE | WRITABLE) }
}
