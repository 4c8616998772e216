//! Calls that make a file durable, each for all tasks that wait for one.
//!
//! A call makes durable all that was written before it began. So one call serves all tasks that
//! want it by then. A few calls may be in flight at a time ([`MOST`]), which a device may carry out
//! together. While as many are, further tasks wait, and the next call, which is submitted when one
//! has ended, is for all of these. Were each task's submitted at once, the kernel would carry them
//! out on as many workers, which wait for each other's locks.
//!
//! A call belongs to the file and to no future: the task that has submitted it may be dropped, or
//! not be polled any more, and the others go on.
//!
//! Calls are counted. A waiter remembers the number of the first call that begins after it came.
//!
//! - A call that was cancelled or interrupted is submitted again.
//! - A call that fails has failed for all who waited while it was in flight. The kernel reports the
//!   loss of data once, to one of the calls in flight, whichever's data it was. So a waiter goes on
//!   when its call and all before that are over, and reports what has failed meanwhile.
//! - If one waiter wants the metadata, too, the next call includes it.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::task::Context;

use crate::driver::{Driver, Key};
use crate::sys::Completion;
use crate::task::LocalWaker;

/// How many synchronisations of a file are in flight at a time, if more are wanted.
const MOST: usize = 8;

/// The calls of a file, and their waiters.
#[derive(Default)]
pub(super) struct SyncQueue {
    /// How many calls have begun.
    begun: Cell<u64>,
    in_flight: RefCell<Vec<Call>>,
    /// What the last call that failed has failed for: all calls up to this one. And its errno.
    failed: Cell<(u64, i32)>,
    /// Whether the next call is to include the metadata.
    wants_all: Cell<bool>,
    /// In the order in which they came, and so of the numbers they wait for. The last has a waker.
    waiting: RefCell<VecDeque<Waiter>>,
    /// How many have left the head of this list.
    left: Cell<u64>,
    /// How many writes with a synchronisation linked to them are in flight.
    linked: Cell<usize>,
}

/// What a call makes durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// Data, and what of the metadata is needed to read it.
    Data,
    /// The rest of the metadata, too.
    All,
}

struct Call {
    /// `None` until it is submitted.
    key: Option<Key>,
    number: u64,
    extent: Extent,
}

struct Waiter {
    call: u64,
    /// `None` if it waits no longer.
    waker: Option<LocalWaker>,
}

/// The place of a waiter.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// Its call, which began after it came.
    call: u64,
    /// Its position in the list, counted from the first waiter that there ever was.
    position: u64,
}

/// A call that is to be submitted.
pub(super) struct NextCall {
    number: u64,
    pub(super) extent: Extent,
}

impl SyncQueue {
    /// The outcome of the call for this place, if that and all before it are over; as an errno, if
    /// it failed.
    pub(super) fn outcome(&self, place: Place) -> Option<Result<(), i32>> {
        let (failed, errno) = self.failed.get();
        let is_over = self.ended() >= place.call;
        is_over.then_some(if failed >= place.call { Err(errno) } else { Ok(()) })
    }

    /// The last call that is over together with all before it.
    fn ended(&self) -> u64 {
        let in_flight = self.in_flight.borrow();
        let first = in_flight.iter().map(|call| call.number).min();
        first.map_or(self.begun.get(), |first| first - 1)
    }

    /// Whether the waker of this task is registered at this place.
    pub(super) fn is_registered(&self, place: Place, context: &Context<'_>) -> bool {
        let mut waiting = self.waiting.borrow_mut();
        let waker = self.waker_at(&mut waiting, place);
        waker.is_some_and(|waker| waker.as_ref().is_some_and(|it| it.will_wake(context.waker())))
    }

    fn waker_at<'a>(
        &self,
        waiting: &'a mut VecDeque<Waiter>,
        place: Place,
    ) -> Option<&'a mut Option<LocalWaker>> {
        let index = place.position.checked_sub(self.left.get())?;
        waiting.get_mut(index as usize).map(|waiter| &mut waiter.waker)
    }

    /// Has a task wait for the next call that begins, which is at least of this extent.
    pub(super) fn join(&self, extent: Extent, waker: LocalWaker) -> Place {
        if extent == Extent::All {
            self.wants_all.set(true);
        }
        let mut waiting = self.waiting.borrow_mut();
        let call = self.begun.get() + 1;
        let position = self.left.get() + waiting.len() as u64;
        waiting.push_back(Waiter { call, waker: Some(waker) });
        Place { call, position }
    }

    /// Replaces the waker of a place whose call is not over. Returns the former, to be dropped
    /// where foreign code may run.
    pub(super) fn replace(&self, place: Place, waker: LocalWaker) -> Option<LocalWaker> {
        self.waker_at(&mut self.waiting.borrow_mut(), place)?.replace(waker)
    }

    /// A waiter is gone. Returns its waker, to be dropped where foreign code may run.
    pub(super) fn leave(&self, place: Place) -> Option<LocalWaker> {
        let mut waiting = self.waiting.borrow_mut();
        let waker = self.waker_at(&mut waiting, place)?.take();
        while waiting.back().is_some_and(|waiter| waiter.waker.is_none()) {
            waiting.pop_back();
        }
        waker
    }

    /// Begins a call, if a waiter needs one that is not in flight, and if it may be. It is to be
    /// [submitted](Self::note_submitted), or has [failed](Self::fail).
    pub(super) fn next(&self) -> Option<NextCall> {
        let needed = self.waiting.borrow().back()?.call;
        let mut in_flight = self.in_flight.borrow_mut();
        let is_full = !in_flight.is_empty() && in_flight.len() + self.linked.get() >= MOST;
        if self.begun.get() >= needed || is_full {
            return None;
        }
        let extent = if self.wants_all.take() { Extent::All } else { Extent::Data };
        let number = self.begun.get() + 1;
        self.begun.set(number);
        in_flight.push(Call { key: None, number, extent });
        Some(NextCall { number, extent })
    }

    pub(super) fn note_submitted(&self, call: &NextCall, key: Key) {
        let mut in_flight = self.in_flight.borrow_mut();
        let submitted = in_flight.iter_mut().find(|it| it.number == call.number);
        submitted.expect("a call that has begun is in the list").key = Some(key);
    }

    /// The call in a slot has completed. Returns it if it is to be submitted again; else wakes
    /// those whose wait is over, which runs foreign code.
    pub(super) fn end(
        &self,
        key: Key,
        completion: Completion,
        driver: &Driver,
    ) -> Option<NextCall> {
        let in_flight = self.in_flight.borrow();
        let call = in_flight.iter().find(|call| call.key == Some(key));
        let Call { number, extent, .. } = *call.expect("a call in flight is in the list");
        drop(in_flight);
        if completion.is_interrupted() && !self.waiting.borrow().is_empty() {
            return Some(NextCall { number, extent });
        }
        self.note_ended(number, completion.errno(), driver);
        None
    }

    /// A call has not been submitted. Runs foreign code.
    pub(super) fn fail(&self, call: &NextCall, errno: i32, driver: &Driver) {
        self.note_ended(call.number, Some(errno), driver);
    }

    fn note_ended(&self, number: u64, errno: Option<i32>, driver: &Driver) {
        if let Some(errno) = errno {
            self.failed.set((self.begun.get(), errno));
        }
        self.in_flight.borrow_mut().retain(|call| call.number != number);
        let ended = self.ended();
        while let Some(waiter) = self.pop_served(ended) {
            let panic = waiter.waker.and_then(LocalWaker::wake_catching_panic);
            driver.report_panic(panic);
        }
    }

    fn pop_served(&self, ended: u64) -> Option<Waiter> {
        let mut waiting = self.waiting.borrow_mut();
        if waiting.front()?.call > ended {
            return None;
        }
        self.left.set(self.left.get() + 1);
        waiting.pop_front()
    }

    /// Whether a synchronisation may be linked to a write: no task waits for one, and there are not
    /// too many. If so, it counts until [`note_unlinked`](Self::note_unlinked).
    pub(super) fn try_link(&self) -> bool {
        let count = self.in_flight.borrow().len() + self.linked.get();
        let may = self.waiting.borrow().is_empty() && count < MOST;
        self.linked.set(self.linked.get() + usize::from(may));
        may
    }

    pub(super) fn note_unlinked(&self) {
        self.linked.set(self.linked.get() - 1);
    }
}
