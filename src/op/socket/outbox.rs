//! What was written to a connection and is yet to be sent, without a future that waits for it.
//!
//! A write copies its bytes here, and they are sent at the end of the turn, together with what else
//! was written to the connection in it ([`outbox_write`](super::outbox_write) has the writes). The
//! outbox sends all of it, whatever becomes of who wrote:
//!
//! ```text
//!                  submit_staged               all sent
//!   staged bytes ────────────────▶ Sending ────────────────▶ Ready: more was staged, or nothing
//!        ▲                           │  ▲                          is held
//!        │ write                     │  │
//!                     short, EAGAIN  ▼  │ submit_staged
//!                                   Room ───▶ Ready, and listed again
//! ```
//!
//! Only one send is in flight, so the order is kept. Its bytes are in a buffer of their own, which
//! nothing touches meanwhile; later writes go to another. Both buffers are the driver's, and held
//! only while they have bytes.
//!
//! While bytes are held, the outbox counts as one orphaned write of its socket: other writes and a
//! shutdown wait for it (`op::drain`). So does the end of the runtime (`driver::unsent`).
//!
//! Sends never wait in the kernel; `send_room` says why, and how room is waited for.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::Shutdown;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll};

use super::payload::SEND_FLAGS;
use super::send_room::{note_full, room_poll, tells_room};
use super::stream::{LeftWrites, StreamSocket};
use crate::driver::{Detached, Key, UnsentGuard};
use crate::error::{again, describe};
use crate::op::drain::Draining;
use crate::op::operation::sqe_length;
use crate::sys::errno::{EAGAIN, ECANCELED, EINTR};
use crate::sys::nonblocking::send;
use crate::sys::{Completion, opcode};
use crate::task::LocalWaker;

/// The bytes of a connection that are to be sent.
pub(crate) struct Outbox {
    pub(super) socket: Rc<StreamSocket>,
    /// How many bytes may be held.
    pub(super) limit: Cell<usize>,
    pub(super) stage: Cell<Stage>,
    /// Sent next. While [`Stage::Sending`], the kernel reads the bytes, and nothing changes them.
    pub(super) sending: RefCell<Batch>,
    /// How many of those have been sent.
    pub(super) sent: Cell<usize>,
    /// Sent after those.
    pub(super) staged: RefCell<Batch>,
    /// Whether the driver will call [`submit_staged`](Detached::submit_staged).
    is_listed: Cell<bool>,
    /// Whether the last send found less room than it had bytes, and no wait for room has ended
    /// since.
    pub(super) lacks_room: Cell<bool>,
    /// Whether a wait for room has just ended, so that an inline call is expected to find some.
    has_room: Cell<bool>,
    /// Held while bytes are.
    draining: Cell<Option<Draining>>,
    /// Why sending has failed.
    failure: RefCell<Option<io::Error>>,
    pub(super) ending: Cell<Ending>,
    waiter: Cell<Option<LocalWaker>>,
    goal: Cell<Goal>,
}

/// What the kernel has of an outbox.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Nothing,
    /// The send of [`Outbox::sending`], from [`Outbox::sent`] on.
    Sending(Key),
    /// The poll of a wait for room.
    Room(Key),
    /// It will have nothing any more.
    Failed,
}

/// What becomes of the writing direction.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    Open,
    /// It accepts no more, and is shut down when all is sent: by the owner, who waits for that.
    Asked,
    /// The same, and there is no owner.
    Left,
    ShutDown,
}

/// What the owner waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Goal {
    /// Half of the limit is free.
    Room,
    /// The kernel has nothing, so that a send may be made by an inline call.
    Unused,
    /// All is sent.
    Sent,
}

/// Bytes, and the guard by which the end of the runtime waits for them.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) bytes: Vec<u8>,
    unsent: Option<UnsentGuard>,
}

impl Outbox {
    pub(crate) fn new(socket: &Rc<StreamSocket>, limit: usize) -> Rc<Self> {
        Rc::new(Self {
            socket: Rc::clone(socket),
            limit: Cell::new(limit.max(1)),
            stage: Cell::new(Stage::Nothing),
            sending: RefCell::default(),
            sent: Cell::new(0),
            staged: RefCell::default(),
            is_listed: Cell::new(false),
            lacks_room: Cell::new(false),
            has_room: Cell::new(false),
            draining: Cell::default(),
            failure: RefCell::default(),
            ending: Cell::new(Ending::Open),
            waiter: Cell::default(),
            goal: Cell::new(Goal::Sent),
        })
    }

    /// How many bytes are held: written, and not taken by the kernel.
    pub(crate) fn held(&self) -> usize {
        let sending = self.sending.borrow().bytes.len() - self.sent.get();
        sending + self.staged.borrow().bytes.len()
    }

    /// Why sending has failed, each time.
    pub(crate) fn failure(&self) -> io::Result<()> {
        self.failure.borrow().as_ref().map_or(Ok(()), |error| Err(again(error)))
    }

    /// The owner is gone. What is held is still sent; with `shuts_down`, the writing direction is
    /// shut down behind it. Returns whether it is or has been, so that no other shutdown is needed.
    pub(crate) fn leave(self: &Rc<Self>, shuts_down: bool) -> bool {
        drop(self.waiter.take());
        let is_sent = self.held() == 0;
        match self.ending.get() {
            Ending::Asked => self.ending.set(Ending::Left),
            Ending::Open if shuts_down && !is_sent => self.ending.set(Ending::Left),
            Ending::Open | Ending::Left | Ending::ShutDown => {}
        }
        if is_sent {
            // It waits for room for a write that is gone: the poll would keep the socket open.
            self.stop_waiting();
            self.end_if_left();
        } else {
            let left: Weak<Self> = Rc::downgrade(self);
            self.socket.note_left(left);
        }
        self.ending.get() != Ending::Open
    }

    /// Stages bytes. There is room for them.
    pub(super) fn put(self: &Rc<Self>, bytes: &[u8]) {
        let driver = self.socket.driver();
        if self.held() == 0 {
            let before = self.draining.replace(Some(Draining::write(&self.socket)));
            debug_assert!(before.is_none(), "it is held while bytes are");
        }
        let mut staged = self.staged.borrow_mut();
        if staged.bytes.capacity() == 0 {
            staged.bytes = driver.spare_buffers().take();
        }
        staged.unsent.get_or_insert_with(|| driver.unsent_writes().add());
        staged.bytes.extend_from_slice(bytes);
        drop(staged);
        self.list();
    }

    /// Has the driver submit what is held, once the tasks of this turn have run.
    fn list(self: &Rc<Self>) {
        if self.stage.get() == Stage::Nothing && !self.is_listed.replace(true) {
            self.socket.driver().stage(Rc::<Self>::clone(self));
        }
    }

    /// Sends what is held, by an inline call if that may be done, or else by an SQE. The kernel has
    /// nothing of the outbox.
    pub(super) fn send_held(self: &Rc<Self>, prefers_inline: bool) {
        if self.sending.borrow().bytes.is_empty() {
            self.sending.swap(&self.staged);
        }
        let driver = self.socket.driver();
        // Only then asked for a descriptor, since that installs a direct one.
        let may = prefers_inline && driver.may_run_inline();
        let fd = if may { self.socket.inline_fd() } else { None };
        let Some(fd) = fd else { return self.submit_send() };
        let sending = self.sending.borrow();
        let left = &sending.bytes[self.sent.get()..];
        // SAFETY: the bytes are those of the slice.
        let done = unsafe { send(fd, left.as_ptr(), left.len()) };
        drop(sending);
        driver.note_inline_call(done.result().unwrap_or(0) as usize);
        self.after_send(done);
    }

    fn submit_send(self: &Rc<Self>) {
        let sending = self.sending.borrow();
        let left = &sending.bytes[self.sent.get()..];
        let (source, length) = (left.as_ptr(), sqe_length(left.len()));
        let submission = self
            .socket
            .submission(|fd| opcode::Send::new(fd, source, length).flags(SEND_FLAGS).build());
        drop(sending);
        // SAFETY: the SQE points to the bytes of `sending`, which do not move with the outbox, and
        // which nothing here changes while the stage is `Sending`. The driver keeps the outbox.
        let key = unsafe { self.socket.driver().submit_of(submission, Rc::<Self>::clone(self)) };
        match key {
            Some(key) => self.stage.set(Stage::Sending(key)),
            None => self.fail(closed("send")),
        }
    }

    /// Takes the outcome of a send of [`sending`](Self::sending).
    fn after_send(self: &Rc<Self>, done: Completion) {
        self.stage.set(Stage::Nothing);
        match done.errno() {
            Some(EAGAIN) => return self.wait_for_room(),
            Some(EINTR) => return self.list(),
            _ => {}
        }
        match self.socket.sent(done, "send") {
            Err(error) => self.fail(error),
            Ok(count) => {
                let is_short = self.note_sent(count);
                if is_short {
                    self.wait_for_room();
                } else if !self.staged.borrow().bytes.is_empty() {
                    self.list();
                }
                self.note_progress();
            }
        }
    }

    /// Notes that bytes of [`sending`](Self::sending) have been sent. Returns whether some are
    /// left.
    fn note_sent(&self, count: usize) -> bool {
        self.sent.set(self.sent.get() + count);
        let is_short = self.sent.get() < self.sending.borrow().bytes.len();
        if !is_short {
            self.sent.set(0);
            let batch = self.sending.take();
            self.discard(batch);
        }
        is_short
    }

    /// Notes that bytes of [`sending`](Self::sending), and then of [`staged`](Self::staged), have
    /// been sent, and returns how many beyond. The kernel has nothing of the outbox.
    pub(super) fn note_sent_of_all(&self, count: usize) -> usize {
        let first = self.sending.borrow().bytes.len() - self.sent.get();
        if count < first {
            self.note_sent(count);
            return 0;
        }
        self.note_sent(first);
        let rest = count - first;
        self.sending.swap(&self.staged);
        let second = self.sending.borrow().bytes.len();
        self.note_sent(rest.min(second));
        rest.saturating_sub(second)
    }

    /// Returns the memory of a batch to the driver.
    fn discard(&self, batch: Batch) {
        self.socket.driver().spare_buffers().give_back(batch.bytes);
    }

    /// Starts a wait for room.
    pub(super) fn wait_for_room(self: &Rc<Self>) {
        note_full(&self.socket);
        self.poll_for_room();
    }

    fn poll_for_room(self: &Rc<Self>) {
        let submission = room_poll(&self.socket);
        // SAFETY: the SQE points to no memory.
        let key = unsafe { self.socket.driver().submit_of(submission, Rc::<Self>::clone(self)) };
        match key {
            Some(key) => self.stage.set(Stage::Room(key)),
            None => self.fail(closed("send")),
        }
    }

    /// Ends a wait for room.
    fn stop_waiting(&self) {
        if let Stage::Room(key) = self.stage.get() {
            self.stage.set(Stage::Nothing);
            self.socket.is_full.set(false);
            self.socket.driver().release_detached(key);
        }
    }

    /// Takes a report of the wait for room.
    fn after_poll(self: &Rc<Self>, report: Completion) {
        if report.is_interrupted() || !tells_room(&self.socket, report) {
            if !report.more() {
                // The next poll, which may be of the other kind, goes on.
                self.poll_for_room();
            }
            return;
        }
        if report.more() {
            self.stop_waiting();
        }
        self.stage.set(Stage::Nothing);
        self.socket.is_full.set(false);
        if let Some(errno) = report.errno() {
            return self.fail(describe("poll", io::Error::from_raw_os_error(errno)));
        }
        self.lacks_room.set(false);
        self.has_room.set(true);
        if self.held() > 0 {
            self.list();
        }
        self.note_progress();
    }

    /// Gives up what is held.
    pub(super) fn fail(&self, error: io::Error) {
        self.stage.set(Stage::Failed);
        self.socket.is_full.set(false);
        *self.failure.borrow_mut() = Some(error);
        self.sent.set(0);
        let (sending, staged) = (self.sending.take(), self.staged.take());
        self.discard(sending);
        self.discard(staged);
        self.note_progress();
    }

    /// Wakes those for whom something has changed. Nothing is borrowed.
    pub(super) fn note_progress(&self) {
        let is_sent = self.held() == 0;
        if is_sent {
            self.end_if_left();
        }
        if self.is_reached(self.goal.get()) {
            if let Some(waiter) = self.waiter.take() {
                self.socket.driver().report_panic(waiter.wake_catching_panic());
            }
        }
        if is_sent {
            // Runs foreign code.
            drop(self.draining.take());
        }
    }

    fn end_if_left(&self) {
        if self.ending.get() == Ending::Left {
            self.ending.set(Ending::ShutDown);
            self.socket.end(Shutdown::Write);
        }
    }

    fn is_reached(&self, goal: Goal) -> bool {
        let stage = self.stage.get();
        stage == Stage::Failed
            || match goal {
                Goal::Room => self.held() <= self.limit.get() / 2,
                Goal::Unused => stage == Stage::Nothing,
                Goal::Sent => self.held() == 0,
            }
    }

    /// Waits for something.
    pub(super) fn poll_goal(&self, goal: Goal, context: &Context<'_>) -> Poll<()> {
        let present = self.waiter.take();
        if self.is_reached(goal) {
            drop(present);
            return Poll::Ready(());
        }
        let is_same = |present: &LocalWaker| present.will_wake(context.waker());
        let waiter = match present.filter(is_same) {
            Some(present) => present,
            None => LocalWaker::new(context.waker()),
        };
        // Cloning a waker is foreign code, which may have changed everything.
        if self.is_reached(goal) {
            return Poll::Ready(());
        }
        self.goal.set(goal);
        drop(self.waiter.replace(Some(waiter)));
        Poll::Pending
    }
}

impl LeftWrites for Outbox {
    fn poll_sent(&self, context: &Context<'_>) -> Poll<()> {
        self.poll_goal(Goal::Sent, context)
    }
}

impl Detached for Outbox {
    fn completed(self: Rc<Self>, key: Key, completion: Completion) {
        match self.stage.get() {
            Stage::Sending(present) if present == key => self.after_send(completion),
            Stage::Room(present) if present == key => self.after_poll(completion),
            // A report of a wait that has ended.
            _ => {}
        }
    }

    fn submit_staged(self: Rc<Self>, is_only: bool) {
        self.is_listed.set(false);
        if self.stage.get() == Stage::Nothing && self.held() > 0 {
            let socket = &self.socket;
            let driver = socket.driver();
            let is_better =
                || (is_only || driver.makes_calls()) && socket.prefers_inline_sends(driver);
            self.send_held(self.has_room.take() || socket.is_in_cache() || is_better());
        }
    }
}

/// The error of an outbox whose runtime has ended.
pub(super) fn closed(doing: &str) -> io::Error {
    describe(doing, io::Error::from_raw_os_error(ECANCELED))
}
