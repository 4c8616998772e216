//! One listening socket whose connections go to the shard with the fewest.
//!
//! Every shard accepts from it, with a descriptor and an accept of its own. The shard that gets a
//! connection from the kernel places it: on itself, or in the inbox of another shard, which it
//! wakes. So no shard is needed for the others to go on, the backlog belongs to all of them, and
//! there is no queue in which a connection could wait for a shard that has ended:
//!
//! - A *seat* (`seat`) is the place of one shard's listener. It counts the shard's open connections
//!   and has the inbox, which is bounded.
//! - While the inbox of the shard with the fewest connections is full, the others accept nothing:
//!   connections wait in the backlog. A shard that has not made room after [`PATIENCE`] is stalled,
//!   and passed over until it takes a connection.
//! - While all shards have as many connections as they serve, none accepts.
//! - A listener that is closed leaves its seat and takes what is in its inbox along, to be served.
//!   The last to leave has the socket refuse connections, and takes the backlog, too.
//! - A listener that is dropped leaves its seat, and what is in its inbox is placed anew, and so is
//!   what the kernel had accepted for it.
//!
//! All of it is under one lock, which is held for a few instructions. Wakers are cloned, woken and
//! dropped outside of it.

use std::collections::VecDeque;
use std::mem;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use super::socket_file::{BoundFile, SocketFile};
use crate::op::{Holders, OpenCount, OpenGuard};
use crate::sys::address::Address;

/// How long a connection waits for room in the inbox of the shard with the fewest.
pub(super) const PATIENCE: Duration = Duration::from_millis(100);

/// The seats of one listening socket.
#[derive(Debug)]
pub(super) struct Balance(Mutex<Seats>);

#[derive(Debug)]
pub(super) struct Seats {
    /// The file that the last of all removes, before the socket is closed.
    pub(super) file: Option<Arc<SocketFile>>,
    /// For the descriptors of shards that join; `None` once all have left.
    pub(super) listener: Option<OwnedFd>,
    /// Common to the acceptors of all shards.
    pub(super) holders: Holders,
    /// By the index of the shard.
    pub(super) targets: Vec<Option<Target>>,
    /// The index after that of the shard that was chosen last.
    next: usize,
}

/// A shard's seat, as the others see it.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) open: OpenCount,
    /// How many connections the shard serves at most.
    pub(super) max: usize,
    pub(super) inbox: VecDeque<Placed>,
    /// How many connections the inbox takes.
    capacity: usize,
    pub(super) is_stalled: bool,
    /// Of the shard's accept.
    pub(super) waker: Option<Waker>,
    /// Of the accepts of others that wait until this seat changes.
    waiting: Vec<Waker>,
}

/// What a shard that has left its seat leaves.
pub(super) struct Left {
    pub(super) target: Option<Target>,
    /// The wakers of all that wait.
    pub(super) waiting: Vec<Waker>,
    /// Of the last. The file goes first: see [`SocketFile`].
    _file: Option<Arc<SocketFile>>,
    _listener: Option<OwnedFd>,
}

/// A connection on its way to a shard.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) fd: OwnedFd,
    pub(super) peer: Option<Address>,
}

/// A connection for a shard, which counts it already.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) accepted: Accepted,
    pub(super) guard: OpenGuard,
}

/// Where a connection is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    Shard(usize),
    /// This shard's inbox is full.
    WaitFor(usize),
    /// No shard has room.
    Wait,
}

impl Balance {
    /// The seats of `count` shards, of which none is taken.
    pub(super) fn new(listener: OwnedFd, file: Option<BoundFile>, count: usize) -> Self {
        let targets = (0..count).map(|_| None).collect();
        let holders = Holders::default();
        let file = file.map(|file| Arc::new(SocketFile::new(file, &holders)));
        Self(Mutex::new(Seats { file, listener: Some(listener), holders, targets, next: 0 }))
    }

    /// Whether all shards that had a seat have left.
    pub(super) fn has_ended(&self) -> bool {
        self.lock().listener.is_none()
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Seats> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Target {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            open: OpenCount::default(),
            max: usize::MAX,
            inbox: VecDeque::new(),
            capacity: capacity.max(1),
            is_stalled: false,
            waker: None,
            waiting: Vec::new(),
        }
    }

    fn is_inbox_full(&self) -> bool {
        self.inbox.len() >= self.capacity
    }

    /// Takes a connection out of the inbox, and the wakers of those that wait for its room.
    pub(super) fn take(&mut self) -> Option<(Placed, Vec<Waker>)> {
        let placed = self.inbox.pop_front()?;
        self.is_stalled = false;
        Some((placed, mem::take(&mut self.waiting)))
    }
}

impl Seats {
    /// The shard for the next connection. `own` is the one that places it: it needs no room in its
    /// inbox.
    pub(super) fn choose(&self, own: Option<usize>) -> Choice {
        let count = self.targets.len();
        let order = (self.next..self.next + count).map(|index| index % count);
        let with_room = order.filter_map(|index| {
            let target = self.targets[index].as_ref()?;
            let open = target.open.get();
            let takes = open < target.max && (!target.is_stalled || own == Some(index));
            takes.then_some((open, index))
        });
        // Of several with the same count, the first.
        match with_room.min_by_key(|(open, _)| *open) {
            None => Choice::Wait,
            Some((_, index)) if own == Some(index) => Choice::Shard(index),
            Some((_, index)) => {
                let is_full = self.targets[index].as_ref().is_some_and(Target::is_inbox_full);
                if is_full { Choice::WaitFor(index) } else { Choice::Shard(index) }
            }
        }
    }

    /// Counts a connection for the shard that was chosen.
    pub(super) fn give(&mut self, index: usize, accepted: Accepted) -> Placed {
        self.next = index + 1;
        let target = self.targets[index].as_ref().expect("the chosen shard has its seat");
        Placed { accepted, guard: target.open.add() }
    }

    /// Puts a connection into the inbox of the shard that was chosen. Returns what is to be woken.
    pub(super) fn place(&mut self, index: usize, accepted: Accepted) -> Option<Waker> {
        let placed = self.give(index, accepted);
        let target = self.targets[index].as_mut().expect("the chosen shard has its seat");
        target.inbox.push_back(placed);
        target.waker.take()
    }

    /// Puts a connection into the inbox of a shard, although it may have no room: the alternative
    /// is to reset it. Gives it back if no shard has a seat.
    pub(super) fn place_anyway(&mut self, accepted: Accepted) -> Result<Option<Waker>, Accepted> {
        let fewest = || {
            let open = |index: &usize| Some(self.targets[*index].as_ref()?.open.get());
            let taken = (0..self.targets.len()).filter(|&index| self.targets[index].is_some());
            taken.min_by_key(open)
        };
        let chosen = match self.choose(None) {
            Choice::Shard(index) | Choice::WaitFor(index) => Some(index),
            Choice::Wait => fewest(),
        };
        match chosen {
            Some(index) => Ok(self.place(index, accepted)),
            None => Err(accepted),
        }
    }

    /// How many connections more all shards serve; `None` without a bound.
    pub(super) fn room(&self) -> Option<usize> {
        let room = |target: &Target| {
            (target.max < usize::MAX).then(|| target.max.saturating_sub(target.open.get()))
        };
        self.targets.iter().flatten().map(room).sum()
    }

    /// How many wakers [`wait`](Self::wait) takes.
    pub(super) fn wakers_to_wait(&self) -> usize {
        2 * self.targets.len()
    }

    /// Registers wakers for whatever may give a connection a place: a connection that is closed, or
    /// a seat that changes. What they wait for is read afterwards.
    pub(super) fn wait(&mut self, mut wakers: Vec<Waker>) -> Vec<Waker> {
        for target in self.targets.iter_mut().flatten() {
            if let Some(waker) = wakers.pop() {
                wakers.extend(target.open.wake_at_close(waker));
            }
            if let Some(waker) = wakers.pop() {
                let is_known = target.waiting.iter().any(|one| one.will_wake(&waker));
                if is_known { wakers.push(waker) } else { target.waiting.push(waker) }
            }
        }
        wakers
    }

    /// The wakers of all that wait, since seats have changed.
    pub(super) fn take_waiting(&mut self) -> Vec<Waker> {
        let targets = self.targets.iter_mut().flatten();
        targets.flat_map(|target| mem::take(&mut target.waiting)).collect()
    }

    /// Empties a seat. If it was the last, no shard can join any more. What it returns is dropped
    /// outside of the lock.
    pub(super) fn leave(&mut self, index: usize) -> Left {
        let waiting = self.take_waiting();
        let target = self.targets[index].take();
        let (mut file, mut listener) = (None, None);
        if self.is_empty() {
            (file, listener) = (self.file.take(), self.listener.take());
        }
        Left { target, waiting, _file: file, _listener: listener }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.targets.iter().all(Option::is_none)
    }
}
