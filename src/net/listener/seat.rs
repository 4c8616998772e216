//! The seat of this shard's listener among those that share a listening socket; see
//! [`balance`](super::balance).

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::mem;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::balance::{Accepted, Balance, Choice, PATIENCE, Placed, Target};
use super::socket_file::SocketFile;
use crate::op::{self, Heir, Holders};
use crate::time::{Sleep, sleep};

/// The seat of this shard's listener. Dropped, it is empty.
#[derive(Debug)]
pub(super) struct Seat {
    balance: Arc<Balance>,
    index: usize,
    has_left: bool,
    /// A connection that this shard has accepted and not placed.
    held: Option<Accepted>,
    /// How long it still waits for the shard with the fewest.
    patience: Option<Sleep>,
}

impl Seat {
    /// Takes the seat of a shard, whose inbox takes `capacity` connections, and returns a
    /// descriptor of the listening socket. `None` once all shards have left: it may be closed.
    pub(super) fn take(
        balance: &Arc<Balance>,
        index: usize,
        capacity: usize,
    ) -> Option<io::Result<(OwnedFd, Self)>> {
        let mut seats = balance.lock();
        let fd = match seats.listener.as_ref()?.try_clone() {
            Ok(fd) => fd,
            Err(error) => return Some(Err(error)),
        };
        seats.targets[index] = Some(Target::new(capacity));
        let waiting = seats.take_waiting();
        drop(seats);
        wake_all(waiting);
        let balance = Arc::clone(balance);
        Some(Ok((fd, Self { balance, index, has_left: false, held: None, patience: None })))
    }

    /// Sets how many connections this shard serves at most. What was placed on it beyond that goes
    /// to others.
    pub(super) fn set_max(&self, max: usize) {
        let (mut wakers, mut guards) = (Vec::new(), Vec::new());
        let mut seats = self.balance.lock();
        let Some(target) = &mut seats.targets[self.index] else { return };
        target.max = max;
        let excess = target.open.get().saturating_sub(max).min(target.inbox.len());
        let kept = target.inbox.len() - excess;
        for Placed { accepted, guard } in target.inbox.split_off(kept) {
            // Dropping one wakes, which is foreign code.
            guards.push(guard);
            wakers.extend(seats.place_anyway(accepted).expect("this shard has a seat"));
        }
        drop(seats);
        wake_all(wakers);
    }

    /// What the listeners of all shards have in common.
    pub(super) fn shared(&self) -> (Holders, Option<Arc<SocketFile>>) {
        let seats = self.balance.lock();
        (seats.holders.clone(), seats.file.clone())
    }

    /// Has the shards that have a seat take what the kernel has accepted for a listener that is
    /// gone.
    pub(super) fn heir(&self) -> Heir {
        let balance = Arc::clone(&self.balance);
        Rc::new(move |op::Accepted { descriptor, peer }| {
            let Ok(fd) = descriptor.into_fd() else { return };
            let placed = balance.lock().place_anyway(Accepted { fd, peer });
            wake_all(placed.ok().flatten());
        })
    }

    /// The next connection that was placed on this shard.
    pub(super) fn poll_take(&self, context: &mut Context<'_>) -> Poll<Placed> {
        let mut waker = None;
        loop {
            let mut seats = self.balance.lock();
            let target = seats.targets[self.index].as_mut().expect("it has not been left");
            if let Some((placed, waiting)) = target.take() {
                drop(seats);
                wake_all(waiting);
                return Poll::Ready(placed);
            }
            if waker.is_some() {
                let before = mem::replace(&mut target.waker, waker);
                drop(seats);
                drop(before);
                return Poll::Pending;
            }
            if target.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
                return Poll::Pending;
            }
            drop(seats);
            waker = Some(context.waker().clone());
        }
    }

    /// Keeps a connection that this shard has accepted, until it is placed.
    pub(super) fn hold(&mut self, accepted: Accepted) {
        debug_assert!(self.held.is_none(), "connections are placed one by one");
        self.held = Some(accepted);
    }

    /// Places the connection that is held. Returns it if this shard is to serve it.
    pub(super) fn poll_place(&mut self, context: &mut Context<'_>) -> Poll<Option<Placed>> {
        let mut wakers = None;
        while let Some(accepted) = self.held.take() {
            let mut seats = self.balance.lock();
            let is_waiting = wakers.is_some();
            // Registered before it is looked at: what changes afterwards wakes.
            let unused = wakers.take().map(|wakers| seats.wait(wakers));
            match seats.choose(Some(self.index)) {
                Choice::Shard(index) if index == self.index => {
                    let own = seats.give(index, accepted);
                    drop(seats);
                    self.patience = None;
                    return Poll::Ready(Some(own));
                }
                Choice::Shard(index) => {
                    let waker = seats.place(index, accepted);
                    drop(seats);
                    self.patience = None;
                    wake_all(waker);
                }
                choice => {
                    self.held = Some(accepted);
                    let count = seats.wakers_to_wait();
                    drop((seats, unused));
                    if !is_waiting {
                        wakers = Some((0..count).map(|_| context.waker().clone()).collect());
                    } else if self.poll_patience(choice, context).is_pending() {
                        return Poll::Pending;
                    }
                }
            }
        }
        Poll::Ready(None)
    }

    /// Waits for as long as a connection waits for a shard whose inbox is full; that shard is
    /// stalled then.
    fn poll_patience(&mut self, choice: Choice, context: &mut Context<'_>) -> Poll<()> {
        let Choice::WaitFor(index) = choice else {
            self.patience = None;
            return Poll::Pending;
        };
        let patience = self.patience.get_or_insert_with(|| sleep(PATIENCE));
        let over = Pin::new(patience).poll(context);
        if over.is_ready() {
            self.patience = None;
            if let Some(target) = &mut self.balance.lock().targets[index] {
                target.is_stalled = true;
            }
        }
        over
    }

    /// Waits until a shard has room for a connection. Returns how many all of them serve; `None`
    /// without a bound.
    pub(super) fn poll_room(&self, context: &mut Context<'_>) -> Poll<Option<usize>> {
        let mut wakers = None;
        loop {
            let mut seats = self.balance.lock();
            let is_waiting = wakers.is_some();
            let unused = wakers.take().map(|wakers| seats.wait(wakers));
            let (room, count) = (seats.room(), seats.wakers_to_wait());
            drop((seats, unused));
            if room != Some(0) {
                return Poll::Ready(room);
            }
            if is_waiting {
                return Poll::Pending;
            }
            wakers = Some((0..count).map(|_| context.waker().clone()).collect());
        }
    }

    /// Leaves the seat. Returns what was placed on this shard and what it has accepted, and whether
    /// the backlog is its own, as no other shard has a seat.
    pub(super) fn leave(mut self) -> (VecDeque<Placed>, bool) {
        self.has_left = true;
        let mut seats = self.balance.lock();
        let held = self.held.take().map(|accepted| seats.give(self.index, accepted));
        let mut left = seats.leave(self.index);
        let is_last = seats.is_empty();
        drop(seats);
        wake_all(mem::take(&mut left.waiting));
        let mut own = left.target.take().map(|target| target.inbox).unwrap_or_default();
        own.extend(held);
        (own, is_last)
    }
}

impl Drop for Seat {
    /// What was placed on this shard goes to others.
    fn drop(&mut self) {
        if self.has_left {
            return;
        }
        let (mut wakers, mut guards, mut unplaced) = (Vec::new(), Vec::new(), Vec::new());
        let mut seats = self.balance.lock();
        let mut left = seats.leave(self.index);
        let inbox =
            left.target.as_mut().map(|target| mem::take(&mut target.inbox)).unwrap_or_default();
        let placed = inbox.into_iter().map(|Placed { accepted, guard }| {
            guards.push(guard);
            accepted
        });
        for accepted in placed.chain(self.held.take()) {
            match seats.place_anyway(accepted) {
                Ok(waker) => wakers.extend(waker),
                Err(accepted) => unplaced.push(accepted),
            }
        }
        drop(seats);
        wake_all(wakers);
        wake_all(mem::take(&mut left.waiting));
    }
}

fn wake_all(wakers: impl IntoIterator<Item = Waker>) {
    wakers.into_iter().for_each(Waker::wake);
}
