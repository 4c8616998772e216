//! The operations in flight, and what reaping has recorded of them.
//!
//! Nothing here runs foreign code: wakers to wake, and orphans to settle, are put on lists for
//! later.

use std::collections::VecDeque;
use std::mem;
use std::rc::Rc;
use std::task::Waker;

use slab::Slab;

use super::buffers::Selected;
use super::counters::Counters;
use super::key::Key;
use super::slot::{Effect, Late, Slot, State};
use super::trimming::{trim, trim_slab};
use crate::sys::Completion;
use crate::sys::errno::ENOENT;
use crate::task::LocalWaker;

pub(super) struct Slots {
    slots: Slab<Slot>,
    generation: u32,
    counters: Rc<Counters>,
    /// SQEs pushed.
    pub(super) pushed: u64,
    /// SQEs in flight that have a slot.
    attended: usize,
    /// SQEs in flight that have none.
    pub(super) unattended: usize,
    pub(super) bell_armed: bool,
    woken: Vec<LocalWaker>,
    settling: Vec<Late>,
    /// Multishot operations to cancel, since their completions pile up.
    pub(super) to_cancel: Vec<Key>,
    /// Operations that a cancel did not find although they are in flight, the oldest first.
    pub(super) missed: VecDeque<Key>,
    free_file_slots: Vec<u32>,
    /// How many provided buffers the kernel has selected since they were last counted.
    provided: Selected,
}

/// What polling a slot comes to.
pub(super) enum Polled<T> {
    Ready(T),
    /// The waker is in the slot; the one that was there is to be dropped where foreign code may
    /// run.
    Pending(Option<LocalWaker>),
    /// Clone the waker, and poll again: that is foreign code, which may have had the slot complete.
    NeedsWaker,
    /// There is something, but it may not be taken.
    Withheld,
}

impl Slots {
    /// No slots, and this many file slots, all free; the first is the next to be allocated.
    pub(super) fn new(counters: Rc<Counters>, file_slots: u32) -> Self {
        Self {
            slots: Slab::new(),
            generation: 0,
            counters,
            pushed: 0,
            attended: 0,
            unattended: 0,
            bell_armed: false,
            woken: Vec::new(),
            settling: Vec::new(),
            to_cancel: Vec::new(),
            missed: VecDeque::new(),
            free_file_slots: (0..file_slots).rev().collect(),
            provided: Selected::default(),
        }
    }

    /// Opens a slot for an SQE that is about to be pushed.
    // Chains open slots, too, and the compiler would leave the call to both.
    #[inline(always)]
    pub(super) fn open(&mut self, state: State) -> Key {
        self.generation = self.generation.wrapping_add(1);
        let generation = self.generation;
        let index = u32::try_from(self.slots.insert(Slot { generation, state })).ok();
        let index = index.filter(|&index| index < Key::SLOTS);
        self.attended += 1;
        Key { index: index.expect("fewer than 2^31 operations"), generation }
    }

    /// The state of an operation, which must not have been freed.
    #[inline]
    pub(super) fn state(&mut self, key: Key) -> &mut State {
        let slot = self.slots.get_mut(key.index as usize);
        let slot = slot.filter(|slot| slot.generation == key.generation);
        &mut slot.expect("a slot lives until its last completion has been taken").state
    }

    /// Frees a slot that is not in flight.
    #[inline]
    pub(super) fn free(&mut self, key: Key) -> State {
        debug_assert!(!self.state(key).in_flight());
        self.slots.remove(key.index as usize).state
    }

    /// Takes the result of a one-shot operation, if it has completed, and frees the slot.
    #[inline]
    pub(super) fn take_completed(&mut self, key: Key) -> Option<Completion> {
        let &mut State::Completed(completion) = self.state(key) else { return None };
        self.free(key);
        Some(completion)
    }

    /// Polls a one-shot operation; a result frees the slot. A `clone` of the waker is left in the
    /// slot if there is none of it.
    #[inline]
    pub(super) fn poll(
        &mut self,
        key: Key,
        waker: &Waker,
        clone: &mut Option<LocalWaker>,
    ) -> Polled<Completion> {
        let state = self.state(key);
        let &mut State::Completed(completion) = state else {
            return leave_waker(state, waker, clone);
        };
        self.free(key);
        Polled::Ready(completion)
    }

    /// Polls a multishot operation for its next completion; `None` after the last one, which frees
    /// the slot. If there is either, `may_take` says whether it may be taken.
    #[inline]
    pub(super) fn poll_next(
        &mut self,
        key: Key,
        waker: &Waker,
        clone: &mut Option<LocalWaker>,
        may_take: impl FnOnce() -> bool,
    ) -> Polled<Option<Completion>> {
        let state = self.state(key);
        let State::Multishot(multishot) = state else {
            unreachable!("only a multishot operation has a next completion");
        };
        if multishot.is_waiting() {
            return leave_waker(state, waker, clone);
        }
        if !may_take() {
            return Polled::Withheld;
        }
        let next = multishot.take();
        if next.is_none() {
            self.free(key);
        }
        Polled::Ready(next)
    }

    /// Takes the oldest completion of a multishot operation, if there is one.
    pub(super) fn try_next(&mut self, key: Key) -> Option<Completion> {
        let State::Multishot(multishot) = self.state(key) else {
            unreachable!("only a multishot operation has a next completion");
        };
        multishot.take()
    }

    /// How many SQEs the kernel has not completed for the last time.
    #[inline]
    pub(super) fn in_flight(&self) -> usize {
        self.attended + self.unattended
    }

    /// How many of those have a slot.
    #[inline]
    pub(super) fn attended(&self) -> usize {
        self.attended
    }

    /// The operations in flight.
    pub(super) fn keys_in_flight(&self) -> impl Iterator<Item = Key> {
        let in_flight = self.slots.iter().filter(|(_, slot)| slot.state.in_flight());
        in_flight.map(|(index, slot)| Key { index: index as u32, generation: slot.generation })
    }

    /// Whether the kernel will complete the operation once more.
    #[inline]
    pub(super) fn is_in_flight(&self, key: Key) -> bool {
        let slot = self.slots.get(key.index as usize);
        slot.is_some_and(|slot| slot.generation == key.generation && slot.state.in_flight())
    }

    /// Records one completion.
    pub(super) fn record(&mut self, completion: Completion) {
        let last = !completion.more();
        self.counters.completed.add(u64::from(last));
        let key = Key::from_user_data(completion.user_data);
        if key.index >= Key::SLOTS {
            return self.record_unattended(key, completion);
        }
        self.attended -= usize::from(last);
        self.provided.note(completion);
        match self.state(key).complete(completion) {
            Effect::None => {}
            Effect::Wake(waker) => self.woken.push(waker),
            Effect::Stop(waker) => {
                self.to_cancel.push(key);
                self.woken.extend(waker);
            }
            Effect::Settle => {
                if let State::Orphaned(orphaned) = self.slots.remove(key.index as usize).state {
                    self.settling.push(Late::Orphaned(*orphaned));
                }
            }
            Effect::SettleResult(orphaned) => self.settling.push(Late::Orphaned(orphaned)),
            Effect::Tell(owner) => {
                self.settling.push(Late::Detached(owner, key, completion));
                if last {
                    // The list has the owner, too: this drops no last reference.
                    drop(self.slots.remove(key.index as usize));
                }
            }
            Effect::Free => drop(self.slots.remove(key.index as usize)),
        }
    }

    /// Records a completion of an SQE that has no slot.
    fn record_unattended(&mut self, key: Key, completion: Completion) {
        let last = !completion.more();
        self.unattended -= usize::from(last);
        if let Some(target) = key.cancelled() {
            self.record_cancel(target, completion);
        } else if let Some(file_slot) = key.closed_file_slot() {
            self.free_file_slots.push(file_slot);
        } else {
            self.bell_armed &= !(key == Key::BELL && last);
        }
    }

    /// A cancel's result is only a hint, but for `ENOENT`: the kernel does not find an operation
    /// that is between two tries (its socket was ready, and it was about to go on). Such an
    /// operation waits again as if it had not been cancelled, so the cancel is repeated. (Nor does
    /// it find one that a device is at work on, until that is done: see `orphan_on_device`.)
    fn record_cancel(&mut self, target: Key, completion: Completion) {
        let is_missed = completion.failed_with(ENOENT) && self.is_in_flight(target);
        if is_missed && !self.state(target).is_past_cancel() {
            self.missed.push_back(target);
        }
    }

    pub(super) fn alloc_file_slot(&mut self) -> Option<u32> {
        self.free_file_slots.pop()
    }

    pub(super) fn free_file_slot(&mut self, file_slot: u32) {
        self.free_file_slots.push(file_slot);
    }

    /// A timer has fired.
    #[inline]
    pub(super) fn record_wake(&mut self, waker: LocalWaker) {
        self.woken.push(waker);
    }

    #[inline]
    pub(super) fn has_aftermath(&self) -> bool {
        !self.woken.is_empty() || !self.settling.is_empty()
    }

    /// Whether a cancel is to be repeated.
    #[inline]
    pub(super) fn has_missed(&self) -> bool {
        !self.missed.is_empty()
    }

    /// Takes the lists of what was recorded; `wakers` is empty and is used as the next list.
    #[inline]
    pub(super) fn take_aftermath(&mut self, wakers: &mut Vec<LocalWaker>) -> Vec<Late> {
        mem::swap(wakers, &mut self.woken);
        // An empty list stays, with its memory.
        if self.settling.is_empty() { Vec::new() } else { mem::take(&mut self.settling) }
    }

    /// Takes a list back that has been worked off, to be used again.
    pub(super) fn reuse_settled(&mut self, settled: Vec<Late>) {
        if self.settling.capacity() == 0 {
            self.settling = settled;
        }
    }

    /// How many provided buffers the kernel has selected since the last call.
    #[inline]
    pub(super) fn take_provided_count(&mut self) -> Selected {
        mem::take(&mut self.provided)
    }

    /// Gives memory back that far fewer operations need than once did.
    pub(super) fn trim(&mut self) {
        trim_slab(&mut self.slots);
        trim(&mut self.woken);
        trim(&mut self.settling);
        trim(&mut self.to_cancel);
        self.missed.shrink_to(2 * self.missed.len());
    }

    /// Leaks what the kernel may still access.
    pub(super) fn leak_orphans(&mut self) {
        let owns = |state: &State| matches!(state, State::Orphaned(_) | State::Detached(_));
        let owning = self.slots.iter().filter(|(_, slot)| owns(&slot.state));
        for index in owning.map(|(index, _)| index).collect::<Vec<_>>() {
            match self.slots.remove(index).state {
                State::Orphaned(orphaned) => orphaned.leak(),
                State::Detached(owner) => mem::forget(owner),
                _ => {}
            }
        }
    }

    /// Checks that the SQEs pushed, queued, taken and completed add up. A mistake here is a future
    /// that hangs, or memory that is freed too early.
    pub(super) fn audit(&self, queued: usize) {
        let accounted = queued as u64 + self.counters.submitted.get();
        debug_assert_eq!(self.pushed, accounted, "SQEs pushed, and queued or submitted");
        let open = self.pushed - self.counters.completed.get();
        debug_assert_eq!(open, self.in_flight() as u64, "SQEs open, and expected");
    }
}

/// Leaves a waker in a slot that has not completed.
fn leave_waker<T>(state: &mut State, waker: &Waker, clone: &mut Option<LocalWaker>) -> Polled<T> {
    if state.waker().is_some_and(|present| present.will_wake(waker)) {
        return Polled::Pending(None);
    }
    match clone.take() {
        Some(clone) => Polled::Pending(state.set_waker(clone)),
        None => Polled::NeedsWaker,
    }
}
