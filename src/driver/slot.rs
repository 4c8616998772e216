//! The life of an operation in flight.
//!
//! Every SQE of an operation owns a slot from the moment it is pushed until its last completion has
//! been taken. The slot's [`Key`] is the SQE's user data.
//!
//! | state       | the future | the kernel | on a completion            |
//! |-------------|------------|------------|----------------------------|
//! | `Waiting`   | waits      | works      | → `Completed`, wake        |
//! | `Completed` | waits      | is done    | impossible                 |
//! | `Multishot` | waits      | works      | queue it; last one: ended  |
//! | `Orphaned`  | is gone    | works      | queue it; last one: → freed, *settle* |
//! | `OrphanedEmpty` | is gone | works     | nothing; last one: → freed |
//! | `Detached`  | never was  | works      | *tell* its owner; last one: → freed |
//!
//! | state       | when the future is polled         | when it is dropped                   |
//! |-------------|-----------------------------------|--------------------------------------|
//! | `Waiting`   | keep the newest waker             | → `Orphaned`, cancel                 |
//! | `Completed` | → freed, take the result          | → freed, settle the result           |
//! | `Multishot` | take the oldest; none left: → freed | → `Orphaned`, cancel; ended: → freed |
//!
//! "Last one" is a completion without the more-flag. To *settle* is to give late completions to the
//! operation's [`Orphan`], which disposes of them. That runs foreign code (a buffer's destructor),
//! so the driver does it after reaping.
//!
//! A zero-copy send completes twice: with its result, and with the *notification* that its memory
//! is free, which a peer can delay as long as it pleases. Once its future has the result, an orphan
//! keeps the memory, and nothing is cancelled. If the future is dropped before, there are two
//! orphans: one is settled with the result and then freed, with the connection; the other, the
//! *keeper*, keeps the memory until the notification.
//!
//! A detached operation belongs to an object behind an `Rc` that has no future: the slot keeps it,
//! and with it what the kernel may access, and each completion is given to it ([`Detached`]), after
//! reaping, too. So such an object may submit one operation after another without an allocation.
//!
//! An operation that points to no memory, and whose result means nothing any more, needs no orphan:
//! its slot is `OrphanedEmpty`.
//!
//! A multishot slot holds a bounded number of completions: at the bound the driver cancels the
//! operation, which then ends, and its reader starts it again.

use std::mem;
use std::rc::Rc;

use super::Key;
use super::completion_list::CompletionList;
use crate::sys::Completion;
use crate::task::LocalWaker;

/// What remains of an operation when its future is dropped while it is in flight: everything the
/// kernel may still access, and what to do with a result that comes too late.
pub(crate) trait Orphan {
    /// Disposes of one late completion. Called for each, in order; then the orphan is dropped.
    fn settle(&mut self, completion: Completion);
}

/// An object whose operations no future waits for. It owns what the kernel may access, and decides
/// itself what follows from a completion.
pub(crate) trait Detached {
    /// Takes a completion of the SQE in a slot. It may be late: the slot may be freed already, or
    /// the object be done with it.
    fn completed(self: Rc<Self>, key: Key, completion: Completion);

    /// Submits what has been [staged](super::Driver::stage). `is_only` if nothing else has been in
    /// this turn.
    fn submit_staged(self: Rc<Self>, is_only: bool);
}

/// A multishot operation whose owner is alive, and may take its completions.
pub(super) struct MultishotState {
    waker: Option<LocalWaker>,
    untaken: CompletionList,
    /// How many untaken completions are enough.
    bound: u32,
    stopping: bool,
    ended: bool,
    notification: Notification,
}

/// Whether an operation's result is followed by a notification that its memory is free. A cancel
/// has no effect between the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Notification {
    /// No notification follows.
    None,
    /// The result is yet to come, and a notification may follow it.
    Follows,
    /// The result has come, and the notification has not.
    Pending,
}

impl Notification {
    fn note(&mut self, completion: Completion) {
        if *self == Self::Follows && completion.more() {
            *self = Self::Pending;
        }
    }
}

/// An operation in flight whose future is gone.
pub(super) struct Orphaned {
    orphan: Box<dyn Orphan>,
    completions: CompletionList,
    /// The orphan that remains until the notification, if one follows the result.
    keeper: Option<Box<dyn Orphan>>,
    /// Whether a cancel that misses is not to be repeated: only the notification is to
    /// come, or a device is at work.
    is_past_cancel: bool,
}

impl Orphaned {
    fn new(orphan: Box<dyn Orphan>) -> Self {
        Self { orphan, completions: CompletionList::default(), keeper: None, is_past_cancel: false }
    }

    /// Takes a completion of the SQE, which may not be its last.
    #[inline]
    fn complete(&mut self, completion: Completion) -> Effect {
        self.completions.push(completion);
        if !completion.more() {
            return Effect::Settle;
        }
        let Some(keeper) = self.keeper.take() else { return Effect::None };
        let kept = Self { is_past_cancel: true, ..Self::new(keeper) };
        Effect::SettleResult(mem::replace(self, kept))
    }

    /// Gives the late completions to the orphan. Runs foreign code.
    pub(super) fn settle(mut self) {
        while let Some(completion) = self.completions.pop() {
            self.orphan.settle(completion);
        }
    }

    /// Leaks what the kernel may still access.
    pub(super) fn leak(self) {
        mem::forget((self.orphan, self.keeper));
    }
}

/// A completion that no future takes, and who disposes of it.
pub(super) enum Late {
    Orphaned(Orphaned),
    Detached(Rc<dyn Detached>, Key, Completion),
}

impl Late {
    /// Runs foreign code.
    pub(super) fn settle(self) {
        match self {
            Self::Orphaned(orphaned) => orphaned.settle(),
            Self::Detached(owner, key, completion) => owner.completed(key, completion),
        }
    }
}

pub(super) enum State {
    Waiting(LocalWaker),
    Completed(Completion),
    Multishot(MultishotState),
    Orphaned(Box<Orphaned>),
    OrphanedEmpty,
    Detached(Rc<dyn Detached>),
}

pub(super) struct Slot {
    pub(super) generation: u32,
    pub(super) state: State,
}

// An operation in flight takes a line of the cache, since it is touched at every completion.
const _: () = assert!(size_of::<Slot>() <= 64);

/// What the driver must do after a slot has taken note of a completion.
pub(super) enum Effect {
    /// Nothing.
    None,
    /// Wake the future's task.
    Wake(LocalWaker),
    /// Cancel a multishot operation whose completions pile up, and wake its reader, if one waits.
    Stop(Option<LocalWaker>),
    /// Free the slot and, once reaping is over, settle.
    Settle,
    /// Settle this once reaping is over; the slot goes on.
    SettleResult(Orphaned),
    /// Tell the owner once reaping is over, and free the slot if this was the last completion.
    Tell(Rc<dyn Detached>),
    /// Free the slot.
    Free,
}

impl State {
    #[inline]
    pub(super) fn waiting(waker: LocalWaker) -> Self {
        Self::Waiting(waker)
    }

    pub(super) fn multishot(bound: u32) -> Self {
        Self::Multishot(MultishotState::new(bound, Notification::None))
    }

    /// An operation that completes with its result, and then once more.
    pub(super) fn with_notification() -> Self {
        Self::Multishot(MultishotState::new(u32::MAX, Notification::Follows))
    }

    /// An operation that never had a future.
    pub(super) fn orphaned(orphan: Box<dyn Orphan>) -> Self {
        Self::Orphaned(Box::new(Orphaned::new(orphan)))
    }

    /// From now on a cancel that misses is not repeated.
    pub(super) fn ignore_missed_cancels(&mut self) {
        if let Self::Orphaned(orphaned) = self {
            orphaned.is_past_cancel = true;
        }
    }

    /// Whether no further cancel hastens its end: only the notification is still to come, or a
    /// device is at work.
    pub(super) fn is_past_cancel(&self) -> bool {
        match self {
            Self::Multishot(multishot) => multishot.notification == Notification::Pending,
            Self::Orphaned(orphaned) => orphaned.is_past_cancel,
            Self::Waiting(_) | Self::Completed(_) | Self::OrphanedEmpty | Self::Detached(_) => {
                false
            }
        }
    }

    /// Whether the kernel will complete this slot's SQE again.
    #[inline]
    pub(super) fn in_flight(&self) -> bool {
        match self {
            Self::Waiting(_) | Self::Orphaned(_) | Self::OrphanedEmpty | Self::Detached(_) => true,
            Self::Completed(_) => false,
            Self::Multishot(multishot) => !multishot.ended,
        }
    }

    /// What the next completion wakes, if anything.
    #[inline]
    pub(super) fn waker(&self) -> Option<&LocalWaker> {
        match self {
            Self::Waiting(waker) => Some(waker),
            Self::Multishot(multishot) => multishot.waker.as_ref(),
            Self::Completed(_) | Self::Orphaned(_) | Self::OrphanedEmpty | Self::Detached(_) => {
                None
            }
        }
    }

    /// Replaces the waker and returns the old one, to be dropped where foreign code may run.
    #[inline]
    pub(super) fn set_waker(&mut self, waker: LocalWaker) -> Option<LocalWaker> {
        match self {
            Self::Waiting(present) => Some(mem::replace(present, waker)),
            Self::Multishot(multishot) => multishot.waker.replace(waker),
            Self::Completed(_) | Self::Orphaned(_) | Self::OrphanedEmpty | Self::Detached(_) => {
                unreachable!("no future waits for this slot")
            }
        }
    }

    /// Takes a completion of the SQE, which may not be its last.
    #[inline]
    pub(super) fn complete(&mut self, completion: Completion) -> Effect {
        match self {
            Self::Waiting(_) => {
                let Self::Waiting(waker) = mem::replace(self, Self::Completed(completion)) else {
                    unreachable!("the state was Waiting");
                };
                Effect::Wake(waker)
            }
            Self::Multishot(multishot) => multishot.complete(completion),
            Self::Orphaned(orphaned) => orphaned.complete(completion),
            Self::OrphanedEmpty if completion.more() => Effect::None,
            Self::OrphanedEmpty => Effect::Free,
            Self::Detached(owner) => Effect::Tell(Rc::clone(owner)),
            Self::Completed(_) => {
                debug_assert!(false, "a completed operation completed again: {completion:?}");
                Effect::None
            }
        }
    }

    /// The future is gone while the operation is in flight. If a notification follows the result,
    /// `keeper` remains until then. Returns the future's waker, to be dropped where foreign code
    /// may run.
    pub(super) fn orphan(
        &mut self,
        orphan: Box<dyn Orphan>,
        keeper: Option<Box<dyn Orphan>>,
    ) -> Option<LocalWaker> {
        let (waker, completions, is_past_cancel) = match mem::replace(self, Self::OrphanedEmpty) {
            Self::Waiting(waker) => (Some(waker), CompletionList::default(), false),
            Self::Multishot(MultishotState { waker, untaken, notification, .. }) => {
                debug_assert_eq!(
                    keeper.is_some(),
                    notification == Notification::Follows,
                    "a keeper if and only if a notification may follow"
                );
                (waker, untaken, notification == Notification::Pending)
            }
            Self::Completed(_) | Self::Orphaned(_) | Self::OrphanedEmpty | Self::Detached(_) => {
                unreachable!("only an operation in flight, with a future, can be orphaned")
            }
        };
        *self = Self::Orphaned(Box::new(Orphaned { orphan, completions, keeper, is_past_cancel }));
        waker
    }

    /// The future is gone while the operation is in flight, and no orphan is needed. Returns the
    /// previous state, to be dropped where foreign code may run.
    pub(super) fn orphan_empty(&mut self) -> Self {
        debug_assert!(self.in_flight() && !matches!(self, Self::Orphaned(_)));
        mem::replace(self, Self::OrphanedEmpty)
    }

    /// The future is gone after the last completion: the completions that it has not taken are
    /// late.
    pub(super) fn into_orphaned(self, orphan: Box<dyn Orphan>) -> Orphaned {
        let completions = match self {
            Self::Completed(completion) => CompletionList::from(completion),
            Self::Multishot(multishot) => multishot.untaken,
            Self::Waiting(_) | Self::Orphaned(_) | Self::OrphanedEmpty | Self::Detached(_) => {
                unreachable!("the operation is in flight")
            }
        };
        Orphaned { completions, ..Orphaned::new(orphan) }
    }
}

impl MultishotState {
    fn new(bound: u32, notification: Notification) -> Self {
        let untaken = CompletionList::default();
        Self { waker: None, untaken, bound, stopping: false, ended: false, notification }
    }

    #[inline]
    fn complete(&mut self, completion: Completion) -> Effect {
        self.notification.note(completion);
        self.untaken.push(completion);
        self.ended = !completion.more();
        let waker = self.waker.take();
        if self.untaken.len() >= self.bound as usize && !self.ended && !self.stopping {
            self.stopping = true;
            return Effect::Stop(waker);
        }
        waker.map_or(Effect::None, Effect::Wake)
    }

    /// Takes the oldest completion.
    #[inline]
    pub(super) fn take(&mut self) -> Option<Completion> {
        self.untaken.pop()
    }

    /// Whether there is nothing to take yet, and it has not ended.
    #[inline]
    pub(super) fn is_waiting(&self) -> bool {
        self.untaken.is_empty() && !self.ended
    }
}
