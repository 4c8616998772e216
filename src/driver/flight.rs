//! Everything in flight: the ring, the slots, and the entries that found no room in the ring.
//!
//! Nothing in this file runs foreign code. Completions are recorded in the [`Book`]; what has to be
//! woken or settled afterwards stands on lists there.
//!
//! # Entries are never lost
//!
//! A push that finds the submission queue full enters the kernel at once to make room. If the
//! kernel takes nothing (it does not while its own completion backlog is full), the entry goes to
//! a backlog in user space, which is moved into the ring before anything newer. So order holds, and
//! a cancel can never be dropped for want of room.

use std::collections::VecDeque;
use std::os::fd::RawFd;
use std::task::Waker;
use std::time::Duration;
use std::{mem, thread};

use slab::Slab;

use super::Metrics;
use super::slot::{Abandoned, Effect, Key, Orphan, Slot, State};
use crate::sys::errno::{EAGAIN, EBADR, EBUSY, EINTR, ENOMEM, ETIME};
use crate::sys::eventfd::READABLE;
use crate::sys::types::{CancelBuilder, Fd};
use crate::sys::{Completion, Ring, Submission, SubmissionFlags, Wait, opcode};

/// User data of the poll that reports the bell. No slot has this index.
const BELL: Key = Key { index: u32::MAX, generation: 0 };
/// User data of entries whose completion says nothing: cancels and link timeouts.
const UNATTENDED: Key = Key { index: u32::MAX - 1, generation: 0 };

/// One entry, or two that are linked and must be submitted together.
struct Chain {
    first: Submission,
    second: Option<Submission>,
}

impl Chain {
    fn len(&self) -> usize {
        1 + usize::from(self.second.is_some())
    }
}

pub(super) struct Flight<R> {
    /// `None` once closed.
    ring: Option<R>,
    closing: bool,
    backlog: VecDeque<Chain>,
    book: Book,
    bell: RawFd,
    generation: u32,
}

/// What is known of the entries in flight, and what reaping has recorded.
#[derive(Default)]
struct Book {
    slots: Slab<Slot>,
    /// Entries in flight that have a slot, and those that have none.
    attended: usize,
    unattended: usize,
    bell_armed: bool,
    woken: Vec<Waker>,
    settling: Vec<Abandoned>,
    stopping: Vec<Key>,
    /// Entries pushed, taken by the kernel, and completed for the last time.
    pushed: u64,
    submitted: u64,
    completed: u64,
    overflows: u64,
    enters: u64,
}

impl<R: Ring> Flight<R> {
    pub(super) fn new(ring: R, bell: RawFd) -> Self {
        let book = Book::default();
        Self {
            ring: Some(ring),
            closing: false,
            backlog: VecDeque::new(),
            book,
            bell,
            generation: 0,
        }
    }

    /// Queues an entry with a slot in `state`; `None` if the driver is closing.
    ///
    /// # Safety
    ///
    /// As for [`Ring::push`], for both entries.
    pub(super) unsafe fn submit(
        &mut self,
        entry: Submission,
        timeout: Option<Submission>,
        state: State,
    ) -> Option<Key> {
        if self.closing {
            return None;
        }
        self.generation = self.generation.wrapping_add(1);
        let slot = Slot { generation: self.generation, state };
        let index = self.book.slots.insert(slot);
        let index = u32::try_from(index).ok().filter(|&index| index < UNATTENDED.index);
        let key =
            Key { index: index.expect("fewer than 2^32 operations"), generation: self.generation };
        self.book.attended += 1;
        let first = entry.user_data(key.user_data());
        let chain = match timeout {
            None => Chain { first, second: None },
            Some(timeout) => {
                self.book.unattended += 1;
                let second = Some(timeout.user_data(UNATTENDED.user_data()));
                Chain { first: first.flags(SubmissionFlags::IO_LINK), second }
            }
        };
        // SAFETY: the caller keeps the entries' memory.
        unsafe { self.push(chain) };
        Some(key)
    }

    /// Queues an entry that points to no memory and whose completion says nothing.
    fn push_unattended(&mut self, entry: Submission, key: Key) {
        self.book.unattended += 1;
        let chain = Chain { first: entry.user_data(key.user_data()), second: None };
        // SAFETY: callers pass entries that point to no memory.
        unsafe { self.push(chain) };
    }

    fn push_cancel(&mut self, key: Key) {
        self.push_unattended(opcode::AsyncCancel::new(key.user_data()).build(), UNATTENDED);
    }

    /// Queues a chain in the ring, or behind those that wait for room there.
    ///
    /// # Safety
    ///
    /// As for [`Ring::push`].
    unsafe fn push(&mut self, chain: Chain) {
        self.book.pushed += chain.len() as u64;
        if self.backlog.is_empty() {
            if self.room() < chain.len() {
                self.enter(Wait::No);
            }
            if self.room() >= chain.len() {
                // SAFETY: passed on by the caller.
                return unsafe { push_chain(self.ring_mut(), &chain) };
            }
        }
        self.backlog.push_back(chain);
    }

    fn ring_mut(&mut self) -> &mut R {
        self.ring.as_mut().expect("entries are pushed only while the ring is open")
    }

    fn room(&mut self) -> usize {
        self.ring_mut().room()
    }

    /// Moves what waits for room into the ring.
    fn feed(&mut self) {
        while let Some(chain) = self.backlog.front() {
            let ring = self.ring.as_mut().expect("a backlog exists only while the ring is open");
            if ring.room() < chain.len() {
                return;
            }
            // SAFETY: whoever pushed the chain promised to keep its memory until its completion.
            unsafe { push_chain(ring, chain) };
            self.backlog.pop_front();
        }
    }

    /// Submits, waits as told unless something is at hand already, and reaps. Enters the kernel
    /// only if there is a reason to.
    pub(super) fn turn(&mut self, wait: Wait) {
        if self.ring.is_none() {
            return;
        }
        self.feed();
        let at_hand = !self.backlog.is_empty() || self.book.has_aftermath();
        let wait = if at_hand { Wait::No } else { wait };
        if wait != Wait::No {
            self.arm_bell();
        }
        let ring = self.ring_mut();
        let overflown = ring.is_overflown();
        if wait != Wait::No || overflown || ring.queued() > 0 || ring.has_deferred() {
            self.book.overflows += u64::from(overflown);
            self.enter(wait);
        } else {
            self.reap();
        }
        self.audit();
    }

    /// Sees to it that a ring of the bell ends the wait.
    fn arm_bell(&mut self) {
        if !self.book.bell_armed && !self.closing {
            self.book.bell_armed = true;
            let poll = opcode::PollAdd::new(Fd(self.bell), READABLE).multi(true).build();
            self.push_unattended(poll, BELL);
        }
    }

    /// Enters the kernel, answers its errors, and reaps.
    ///
    /// | errno            | reason                                     | answer                        |
    /// |------------------|--------------------------------------------|-------------------------------|
    /// | `ETIME`          | the deadline came before any completion    | none                          |
    /// | `EINTR`          | a signal came before any completion        | none: the loop comes again    |
    /// | `EBUSY`          | the kernel's completion backlog is full    | reap; submit in the next turn |
    /// | `EAGAIN`/`ENOMEM`| no memory for the entries                  | reap; if idle, pause a moment |
    /// | `EBADR`          | the kernel had to drop a completion        | panic: a future would hang    |
    /// | others           | a defect in this driver                    | panic, with the error         |
    fn enter(&mut self, wait: Wait) {
        self.book.enters += 1;
        let outcome = self.ring_mut().enter(wait);
        let reaped = self.reap();
        let error = match outcome {
            Ok(taken) => {
                self.book.submitted += taken as u64;
                return;
            }
            Err(error) => error,
        };
        match error.raw_os_error() {
            Some(ETIME | EINTR | EBUSY) => {}
            Some(EAGAIN | ENOMEM) if reaped > 0 => {}
            Some(EAGAIN | ENOMEM) => thread::sleep(Duration::from_millis(1)),
            Some(EBADR) => panic!("the kernel ran out of memory and dropped completions (EBADR)"),
            _ => panic!("io_uring_enter failed, which is a bug in annulus: {error}"),
        }
    }

    /// Records every completion in the queue and says how many there were.
    fn reap(&mut self) -> usize {
        let book = &mut self.book;
        let ring = self.ring.as_mut().expect("the ring is open");
        let mut count = 0;
        ring.reap(|completion| {
            count += 1;
            book.record(completion);
        });
        while let Some(key) = self.book.stopping.pop() {
            self.push_cancel(key);
        }
        count
    }

    /// The state of an operation, which must not have been freed.
    pub(super) fn state(&mut self, key: Key) -> &mut State {
        let slot = self.book.slots.get_mut(key.index as usize);
        let slot = slot.filter(|slot| slot.generation == key.generation);
        &mut slot.expect("the slot lives until its future has taken the last completion").state
    }

    /// Frees a slot that is not in flight.
    pub(super) fn free(&mut self, key: Key) -> State {
        debug_assert!(!self.state(key).in_flight());
        self.book.slots.remove(key.index as usize).state
    }

    /// Takes the result of a one-shot operation, if it is there, and frees the slot.
    pub(super) fn take_completed(&mut self, key: Key) -> Option<Completion> {
        let &mut State::Completed(completion) = self.state(key) else { return None };
        self.free(key);
        Some(completion)
    }

    /// The future of an operation in flight is gone. Returns the waker it had left.
    pub(super) fn abandon(&mut self, key: Key, orphan: Box<dyn Orphan>) -> Option<Waker> {
        if self.ring.is_none() {
            // The ring was closed over an operation that the kernel would not let go of.
            mem::forget(orphan);
            return None;
        }
        let waker = self.state(key).abandon(orphan);
        self.push_cancel(key);
        waker
    }

    pub(super) fn record_wake(&mut self, waker: Waker) {
        self.book.woken.push(waker);
    }

    /// Takes the lists of what reaping recorded; `wakers` is empty and is left as the next list.
    pub(super) fn take_aftermath(&mut self, wakers: &mut Vec<Waker>) -> Vec<Abandoned> {
        mem::swap(wakers, &mut self.book.woken);
        mem::take(&mut self.book.settling)
    }

    pub(super) fn metrics(&mut self) -> Metrics {
        let queued = self.queued();
        let book = &self.book;
        Metrics {
            submitted: book.submitted,
            completed: book.completed,
            in_kernel: book.submitted - book.completed,
            queued: queued as u64,
            overflows: book.overflows,
            enters: book.enters,
            ..Metrics::default()
        }
    }

    /// Entries that have not reached the kernel.
    fn queued(&mut self) -> usize {
        let waiting: usize = self.backlog.iter().map(Chain::len).sum();
        waiting + self.ring.as_mut().map_or(0, Ring::queued)
    }

    /// Checks that what was pushed, what is queued, what the kernel has and what it completed add
    /// up. A mistake here is a future that hangs or memory that is freed too early.
    fn audit(&mut self) {
        if cfg!(debug_assertions) {
            let queued = self.queued() as u64;
            let book = &self.book;
            assert_eq!(book.pushed, queued + book.submitted, "entries pushed and accounted for");
            let in_flight = (book.attended + book.unattended) as u64;
            assert_eq!(book.pushed - book.completed, in_flight, "entries in flight and expected");
        }
    }

    // What follows is teardown; `close.rs` says how it goes.

    /// From here on nothing new is taken.
    pub(super) fn refuse(&mut self) {
        self.closing = true;
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing
    }

    /// How many entries the kernel has not let go of.
    pub(super) fn in_flight(&self) -> usize {
        self.book.attended + self.book.unattended
    }

    /// Asks the kernel to cancel everything: with one entry if it can, else with one for each.
    pub(super) fn cancel_everything(&mut self, at_once: bool) {
        if at_once {
            let everything = CancelBuilder::any().all();
            self.push_unattended(opcode::AsyncCancel2::new(everything).build(), UNATTENDED);
            return;
        }
        let slots = self.book.slots.iter().filter(|(_, slot)| slot.state.in_flight());
        let keys =
            slots.map(|(index, slot)| Key { index: index as u32, generation: slot.generation });
        for key in keys.collect::<Vec<_>>() {
            self.push_cancel(key);
        }
        if self.book.bell_armed {
            self.push_cancel(BELL);
        }
    }

    /// Closes the ring and leaks what the kernel may still touch.
    pub(super) fn shut(&mut self) {
        let slots = self.book.slots.iter();
        let abandoned = slots.filter(|(_, slot)| matches!(slot.state, State::Abandoned(_)));
        for index in abandoned.map(|(index, _)| index).collect::<Vec<_>>() {
            if let State::Abandoned(abandoned) = self.book.slots.remove(index).state {
                abandoned.leak();
            }
        }
        self.ring = None;
    }
}

/// Pushes a chain for which there is room.
///
/// # Safety
///
/// As for [`Ring::push`].
unsafe fn push_chain(ring: &mut impl Ring, chain: &Chain) {
    for entry in std::iter::once(&chain.first).chain(&chain.second) {
        // SAFETY: passed on by the caller.
        unsafe { ring.push(entry) }.expect("the room was checked");
    }
}

impl Book {
    fn has_aftermath(&self) -> bool {
        !self.woken.is_empty() || !self.settling.is_empty()
    }

    /// Takes note of one completion.
    fn record(&mut self, completion: Completion) {
        let last = !completion.more();
        self.completed += u64::from(last);
        let key = Key::from_user_data(completion.user_data);
        if key == BELL || key == UNATTENDED {
            self.unattended -= usize::from(last);
            if key == BELL && last {
                self.bell_armed = false;
            }
            return;
        }
        self.attended -= usize::from(last);
        let index = key.index as usize;
        let slot = self.slots.get_mut(index).filter(|slot| slot.generation == key.generation);
        let slot = slot.expect("a slot is freed only after its entry's last completion");
        match slot.state.complete(completion) {
            Effect::None => {}
            Effect::Wake(waker) => self.woken.push(waker),
            Effect::Stop(waker) => {
                self.stopping.push(key);
                self.woken.extend(waker);
            }
            Effect::Settle => {
                if let State::Abandoned(abandoned) = self.slots.remove(index).state {
                    self.settling.push(*abandoned);
                }
            }
        }
    }
}
