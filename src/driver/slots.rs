//! What is known of the entries in flight, and what reaping has recorded.
//!
//! Nothing here runs foreign code: whom to wake and what to settle stands on lists, for later.

use std::mem;

use slab::Slab;

use super::slot::{Abandoned, Effect, Key, Slot, State};
use super::trimming::{trim, trim_slab};
use crate::sys::Completion;
use crate::sys::errno::ENOENT;
use crate::task::LocalWaker;

#[derive(Default)]
pub(super) struct Slots {
    pub(super) entries: Slab<Slot>,
    generation: u32,
    /// Entries in flight that have a slot.
    attended: usize,
    /// Entries in flight that have none.
    pub(super) unattended: usize,
    pub(super) bell_armed: bool,
    pub(super) woken: Vec<LocalWaker>,
    pub(super) settling: Vec<Abandoned>,
    /// Operations to cancel: multishot ones that nobody keeps up with, and those that a cancel did
    /// not find although they are in flight.
    pub(super) to_cancel: Vec<Key>,
    /// Places of the ring's table in which nothing stands.
    pub(super) free_file_slots: Vec<u32>,
    /// Entries pushed, taken by the kernel, and completed for the last time.
    pub(super) pushed: u64,
    pub(super) submitted: u64,
    pub(super) completed: u64,
    /// Buffers that the kernel has picked since somebody asked.
    picked: u16,
    pub(super) overflows: u64,
    pub(super) enters: u64,
}

impl Slots {
    /// With a table of so many places, all free; the first is the next to be taken.
    pub(super) fn with_file_slots(count: u32) -> Self {
        Self { free_file_slots: (0..count).rev().collect(), ..Self::default() }
    }

    /// Opens a slot for an entry that is about to be pushed.
    pub(super) fn open(&mut self, state: State) -> Key {
        self.generation = self.generation.wrapping_add(1);
        let generation = self.generation;
        let index = u32::try_from(self.entries.insert(Slot { generation, state })).ok();
        let index = index.filter(|&index| index < Key::SLOTS);
        self.attended += 1;
        Key { index: index.expect("fewer than 2^31 operations"), generation }
    }

    /// The state of an operation, which must not have been freed.
    pub(super) fn state(&mut self, key: Key) -> &mut State {
        let slot = self.entries.get_mut(key.index as usize);
        let slot = slot.filter(|slot| slot.generation == key.generation);
        &mut slot.expect("a slot lives until its last completion has been taken").state
    }

    /// Frees a slot that is not in flight.
    pub(super) fn free(&mut self, key: Key) -> State {
        debug_assert!(!self.state(key).in_flight());
        self.entries.remove(key.index as usize).state
    }

    /// How many entries the kernel has not completed for the last time.
    pub(super) fn in_flight(&self) -> usize {
        self.attended + self.unattended
    }

    /// How many of those have a slot.
    pub(super) fn attended(&self) -> usize {
        self.attended
    }

    pub(super) fn has_aftermath(&self) -> bool {
        !self.woken.is_empty() || !self.settling.is_empty()
    }

    /// Takes note of one completion.
    pub(super) fn record(&mut self, completion: Completion) {
        let last = !completion.more();
        self.completed += u64::from(last);
        let key = Key::from_user_data(completion.user_data);
        if let Some(target) = key.cancelled() {
            self.unattended -= usize::from(last);
            return self.record_cancel(target, completion);
        }
        if let Some(place) = key.closed_file_slot() {
            self.unattended -= 1;
            self.free_file_slots.push(place);
            return;
        }
        if key == Key::BELL || key == Key::UNATTENDED {
            self.unattended -= usize::from(last);
            self.bell_armed &= !(key == Key::BELL && last);
            return;
        }
        self.attended -= usize::from(last);
        self.picked += u16::from(completion.buffer().is_some());
        match self.state(key).complete(completion) {
            Effect::None => {}
            Effect::Wake(waker) => self.woken.push(waker),
            Effect::Stop(waker) => {
                self.to_cancel.push(key);
                self.woken.extend(waker);
            }
            Effect::Settle => {
                if let State::Abandoned(abandoned) = self.entries.remove(key.index as usize).state {
                    self.settling.push(*abandoned);
                }
            }
            Effect::SettleResult(abandoned) => self.settling.push(abandoned),
            Effect::Free => drop(self.entries.remove(key.index as usize)),
        }
    }

    /// A cancel's word is advice, but for one case: it may miss an operation that is in flight, when
    /// that stood between two tries (its socket had room, and it was about to go on). Then the
    /// operation waits again as if nothing had been asked, so it must be asked again.
    fn record_cancel(&mut self, target: Key, completion: Completion) {
        let is_missed = completion.failed_with(ENOENT) && self.is_in_flight(target);
        if is_missed && !self.state(target).is_past_cancel() {
            self.to_cancel.push(target);
        }
    }

    /// Whether the kernel will complete the operation once more.
    pub(super) fn is_in_flight(&self, key: Key) -> bool {
        let slot = self.entries.get(key.index as usize);
        slot.is_some_and(|slot| slot.generation == key.generation && slot.state.in_flight())
    }

    /// How many buffers the kernel has picked since the last call.
    pub(super) fn take_provided_count(&mut self) -> u16 {
        mem::take(&mut self.picked)
    }

    /// Gives memory back that far fewer operations need than once did.
    pub(super) fn trim(&mut self) {
        trim_slab(&mut self.entries);
        trim(&mut self.woken);
        trim(&mut self.settling);
        trim(&mut self.to_cancel);
    }

    /// Leaks what the kernel may still touch.
    pub(super) fn leak_abandoned(&mut self) {
        let slots = self.entries.iter();
        let abandoned = slots.filter(|(_, slot)| matches!(slot.state, State::Abandoned(_)));
        for index in abandoned.map(|(index, _)| index).collect::<Vec<_>>() {
            if let State::Abandoned(abandoned) = self.entries.remove(index).state {
                abandoned.leak();
            }
        }
    }

    /// Checks that what was pushed, what is queued, what the kernel has and what it completed add
    /// up. A mistake here is a future that hangs or memory that is freed too early.
    pub(super) fn audit(&self, queued: usize) {
        let accounted = queued as u64 + self.submitted;
        debug_assert_eq!(self.pushed, accounted, "entries pushed, and queued or submitted");
        let in_flight = self.in_flight() as u64;
        debug_assert_eq!(self.pushed - self.completed, in_flight, "entries open, and expected");
    }
}
