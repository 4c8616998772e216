//! The bells of listeners: what the handler counts in, and rings.
//!
//! The list of bells only grows: a bell that no listener uses is used again by the next. So the
//! handler may walk it at any time, by loads alone.
//!
//! A handler that was preempted may have found a listener which is gone by now. It would count its
//! signal, and ring, for the next listener that uses the bell. So a bell is used again only when it
//! is *settled*: since its listener left there was a moment when no handler ran ([`Handling`]). To
//! make a new bell whenever a handler runs would be a leak, as bells are kept for ever.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::{io, iter};

use crate::sys::eventfd::EventFd;

/// How many signals a listener may want if it does not want all.
pub(super) const MAX_WANTED: usize = 2;

/// What a listener wants that wants all signals.
pub(super) const ALL: u64 = u64::MAX;

/// How many bells are allocated at once.
const CHUNK: usize = 32;

/// A part of the list of bells. It is never freed.
struct Chunk {
    bells: [Bell; CHUNK],
    /// Set with the listeners' lock held.
    next: OnceLock<Box<Chunk>>,
}

static FIRST: Chunk = Chunk::new();

impl Chunk {
    const fn new() -> Self {
        Self { bells: [const { Bell::new() }; CHUNK], next: OnceLock::new() }
    }
}

fn chunks() -> impl Iterator<Item = &'static Chunk> {
    iter::successors(Some(&FIRST), |chunk| chunk.next.get().map(|next| &**next))
}

/// All bells, used or not. May be called by the handler.
pub(super) fn bells() -> impl Iterator<Item = &'static Bell> {
    chunks().flat_map(|chunk| &chunk.bells)
}

/// How many handlers run, on all threads, in the low half; in the high half, of which process. A
/// process that was forked while one ran has no thread that runs it.
static HANDLING: AtomicU64 = AtomicU64::new(0);

/// The count of a process while none of its handlers runs.
fn none_handling(this: i32) -> u64 {
    u64::from(this as u32) << 32
}

/// While it lives, no bell whose listener leaves gets another one.
pub(super) struct Handling(());

impl Handling {
    /// Begins, before the handler looks for listeners.
    pub(super) fn begin(this: i32) -> Self {
        let none = none_handling(this);
        let is_ours = |count: u64| count >> 32 == none >> 32;
        let one_more = |count| Some(if is_ours(count) { count } else { none } + 1);
        // `SeqCst`: see `free_bell`.
        let _ = HANDLING.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_more);
        Self(())
    }
}

impl Drop for Handling {
    fn drop(&mut self) {
        // Release: what the handler has done to a bell comes before the next use of that.
        HANDLING.fetch_sub(1, Ordering::Release);
    }
}

/// Whether no handler of this process is between finding a listener and having rung for it.
fn is_quiet(this: i32) -> bool {
    let (count, none) = (HANDLING.load(Ordering::SeqCst), none_handling(this));
    count == none || count >> 32 != none >> 32
}

/// A bell that this process may use. Called with the listeners' lock held.
pub(super) fn free_bell(this: i32) -> &'static Bell {
    settle_free_bells(this);
    let may_use = |bell: &&Bell| bell.is_free(this) && bell.is_settled.load(Ordering::Relaxed);
    if let Some(bell) = bells().find(may_use) {
        return bell;
    }
    let last = chunks().last().expect("there is a first chunk");
    &last.next.get_or_init(|| Box::new(Chunk::new())).bells[0]
}

/// Notes that no handler knows the listeners that free bells had, if that is so. Called with the
/// listeners' lock held.
fn settle_free_bells(this: i32) {
    // Either this sees a handler, or the handler sees that the listeners of free bells are gone:
    // each of them stores before it loads what the other has stored.
    if is_quiet(this) {
        let free = bells().filter(|bell| !bell.is_used_by(this));
        free.for_each(|bell| bell.is_settled.store(true, Ordering::Relaxed));
    }
}

/// How many listeners have begun, in this process and those that it was forked from.
static BEGUN: AtomicU64 = AtomicU64::new(0);

/// How many listeners have begun until now.
pub(super) fn count_begun() -> u64 {
    BEGUN.load(Ordering::SeqCst)
}

/// The bells of a listener, and the process that listens.
pub(super) struct Bell {
    /// The process that has a listener here, or zero.
    listener: AtomicI32,
    /// Whether no handler may ring it for a listener that is gone. The handler does not look.
    is_settled: AtomicBool,
    /// Its place in the order of all listeners, counted from one.
    nth: AtomicU64,
    /// What it listens for: a bit for each signal, the lowest for signal 1.
    signals: AtomicU64,
    /// How many signals it wants.
    wanted: AtomicU64,
    /// How many have come.
    heard: AtomicU64,
    /// An eventfd for each signal that is wanted, or one for all, and the process that made it. Its
    /// forked children share the eventfd, and must not use it.
    eventfds: [OnceLock<(i32, EventFd)>; MAX_WANTED],
}

impl Bell {
    const fn new() -> Self {
        Self {
            listener: AtomicI32::new(0),
            is_settled: AtomicBool::new(true),
            nth: AtomicU64::new(0),
            signals: AtomicU64::new(0),
            wanted: AtomicU64::new(0),
            heard: AtomicU64::new(0),
            eventfds: [const { OnceLock::new() }; MAX_WANTED],
        }
    }

    /// Whether a listener of this process may use it: there is none, and no eventfd of it was made
    /// by a process that this one was forked from.
    fn is_free(&self, this: i32) -> bool {
        let is_ours =
            |made: &OnceLock<(i32, _)>| made.get().is_none_or(|(maker, _)| *maker == this);
        self.listener.load(Ordering::Relaxed) == 0 && self.eventfds.iter().all(is_ours)
    }

    /// Has a listener of this process use it from now on.
    ///
    /// # Errors
    ///
    /// If descriptors have run out.
    pub(super) fn listen(&self, signals: &[libc::c_int], wanted: u64, this: i32) -> io::Result<()> {
        let count = if wanted == ALL { 1 } else { wanted as usize };
        for eventfd in &self.eventfds[..count] {
            match eventfd.get() {
                Some((_, eventfd)) => eventfd.clear(),
                None => drop(eventfd.set((this, EventFd::new()?))),
            }
        }
        let set = signals.iter().map(|&signal| bit(signal)).fold(0, |set, bit| set | bit);
        self.is_settled.store(false, Ordering::Relaxed);
        self.signals.store(set, Ordering::Relaxed);
        self.wanted.store(wanted, Ordering::Relaxed);
        self.heard.store(0, Ordering::Relaxed);
        self.nth.store(BEGUN.fetch_add(1, Ordering::SeqCst) + 1, Ordering::Relaxed);
        self.listener.store(this, Ordering::SeqCst);
        Ok(())
    }

    /// Its listener is gone. Called with the listeners' lock held.
    pub(super) fn release(&self, this: i32) {
        self.listener.store(0, Ordering::SeqCst);
        settle_free_bells(this);
    }

    pub(super) fn is_used_by(&self, this: i32) -> bool {
        self.listener.load(Ordering::SeqCst) == this
    }

    /// Whether its listener is one of the first that have begun.
    pub(super) fn is_among_first(&self, count: u64) -> bool {
        self.nth.load(Ordering::Relaxed) <= count
    }

    pub(super) fn listens_for(&self, signal: libc::c_int) -> bool {
        self.signals.load(Ordering::Relaxed) & bit(signal) != 0
    }

    /// A signal has come, of those that it listens for. Returns whether the listener wanted it, and
    /// had not heard all that it wants. Called by the handler.
    pub(super) fn hear(&self) -> bool {
        let nth = self.heard.fetch_add(1, Ordering::AcqRel);
        let wanted = self.wanted.load(Ordering::Relaxed);
        if nth >= wanted {
            return false;
        }
        let index = if wanted == ALL { 0 } else { nth as usize };
        if let Some((_, eventfd)) = self.eventfds[index].get() {
            eventfd.ring();
        }
        true
    }

    /// Whether its listener wants all signals.
    pub(super) fn wants_all(&self) -> bool {
        self.wanted.load(Ordering::Relaxed) == ALL
    }

    /// How many of the signals have come.
    pub(super) fn heard(&self) -> u64 {
        // Acquire: who sees the signal sees what was done before it was sent, by another thread.
        self.heard.load(Ordering::Acquire)
    }

    /// What is rung when the signal comes for the `nth` time, counted from zero.
    pub(super) fn eventfd(&self, nth: usize) -> &EventFd {
        let (_, eventfd) = self.eventfds[nth].get().expect("there is one for each wanted");
        eventfd
    }
}

/// The bit of a signal in a set of signals.
fn bit(signal: libc::c_int) -> u64 {
    1 << (signal - 1)
}
