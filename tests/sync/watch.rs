//! The latest of a value: no receiver misses that it changed, and none holds up the sender or
//! another.

use std::cell::Cell;
use std::mem;
use std::rc::Rc;
use std::task::Poll;

use annulus::sync::watch::{self, RecvError};

use crate::common::drops::{Drops, OnDrop};
use crate::common::manual_executor::{Polled, Tasks, now, waiting, waker_that};
use crate::common::panics::panic_of;
use crate::common::random::seeded;
use crate::common::rounds::rounds;
use crate::common::watchdog::run;

#[test]
fn a_receiver_sees_that_the_value_changed_and_only_the_latest() {
    let (sender, mut receiver) = watch::channel(0);
    assert!(!receiver.has_changed());
    let mut changed = waiting(receiver.changed());
    sender.send(1).unwrap();
    sender.send(2).unwrap();
    assert!(changed.is_woken());
    assert_eq!(changed.now(), Ok(()));
    drop(changed);
    assert_eq!((*receiver.peek(), *receiver.latest(), *sender.latest()), (2, 2, 2));
    drop(waiting(receiver.changed()));
}

#[test]
fn looking_counts_as_seen_and_peeking_does_not() {
    let (sender, mut receiver) = watch::channel(0);
    sender.send(1).unwrap();
    assert_eq!((*receiver.peek(), receiver.has_changed()), (1, true));
    let mut clone = receiver.clone();
    assert_eq!((*receiver.latest(), receiver.has_changed()), (1, false));
    assert!(clone.has_changed(), "it had not seen it when it was cloned");
    now(clone.changed()).unwrap();
    assert!(!sender.subscribe().has_changed());
}

#[test]
fn a_value_that_is_kept_stays_while_another_is_sent() {
    let (sender, mut receiver) = watch::channel(vec![1]);
    let kept = receiver.latest();
    sender.send(vec![2]).unwrap();
    assert_eq!((&*kept, &*receiver.latest()), (&vec![1], &vec![2]));
}

#[test]
fn waiting_for_a_value_looks_at_the_present_one_first() {
    let (sender, mut receiver) = watch::channel(5);
    assert_eq!(*now(receiver.wait_for(|value| *value == 5)).unwrap(), 5);
    let mut wait = waiting(receiver.wait_for(|value| *value > 6));
    sender.send(6).unwrap();
    assert!(wait.is_woken() && wait.poll().is_pending());
    sender.send(7).unwrap();
    assert_eq!(*wait.now().unwrap(), 7);
}

#[test]
#[cfg_attr(miri, ignore = "a budget is of a task, and so of a runtime")]
fn a_loop_that_waits_for_the_present_value_yields() {
    run(async {
        let (_sender, mut receiver) = watch::channel(5);
        let (waited, seen) = (Cell::new(0), Cell::new(0));
        let tasks = Tasks::default();
        tasks.spawn(async {
            while waited.get() < 1000 {
                receiver.wait_for(|value| *value == 5).await.unwrap();
                waited.set(waited.get() + 1);
            }
        });
        tasks.spawn(async { seen.set(waited.get()) });
        tasks.turn();
        assert!((1..=128).contains(&seen.get()), "{} waits in one turn", seen.get());
        tasks.settle();
        assert_eq!(waited.get(), 1000);
    });
}

#[test]
fn when_all_senders_are_gone_a_receiver_sees_the_last_value_and_then_the_end() {
    let (sender, mut receiver) = watch::channel(0);
    let other = sender.clone();
    drop(sender);
    let mut changed = waiting(receiver.changed());
    other.send(1).unwrap();
    drop(other);
    assert_eq!(changed.now(), Ok(()));
    drop(changed);
    assert_eq!((now(receiver.changed()), *receiver.latest()), (Err(RecvError), 1));
    assert_eq!(now(receiver.wait_for(|_| false)).unwrap_err(), RecvError);
}

#[test]
fn a_wait_for_a_change_ends_when_the_last_sender_goes() {
    let (sender, mut receiver) = watch::channel(0);
    let mut changed = waiting(receiver.changed());
    drop(sender);
    assert!(changed.is_woken());
    assert_eq!(changed.now(), Err(RecvError));
}

#[test]
fn a_sender_knows_when_there_is_no_receiver() {
    let (sender, receiver) = watch::channel(0);
    let second = receiver.clone();
    let mut closed = waiting(sender.closed());
    drop(receiver);
    assert!(!closed.is_woken());
    drop(second);
    closed.now();
    assert_eq!((sender.send(1), *sender.latest()), (Err(1), 0));
    let _receiver = sender.subscribe();
    sender.send(2).unwrap();
}

#[test]
fn a_wait_that_is_dropped_has_seen_nothing() {
    let (sender, mut receiver) = watch::channel(0);
    let changed = waiting(receiver.changed());
    sender.send(1).unwrap();
    drop(changed);
    assert!(receiver.has_changed());
    mem::forget(waiting(receiver.clone().wait_forever()));
    now(receiver.changed()).unwrap();
}

/// A wait that owns its receiver.
trait WaitForever {
    async fn wait_forever(self);
}

impl WaitForever for watch::Receiver<i32> {
    async fn wait_forever(mut self) {
        while self.changed().await.is_ok() {}
    }
}

#[test]
fn wakers_and_destructors_may_use_the_channel_and_panic() {
    type Value = Option<OnDrop<Box<dyn FnMut()>>>;
    let (sender, mut receiver) = watch::channel::<Value>(None);
    let (sender, its) = (Rc::new(sender.clone()), sender);
    let seen = receiver.clone();
    let waker = waker_that(move || {
        assert!(seen.has_changed() && seen.peek().is_some());
        panic!("woken");
    });
    let mut changed = Polled::new(receiver.changed());
    assert!(changed.poll_with(&waker).is_pending());
    let when_dropped = move || assert!(its.latest().is_none(), "the new one is in place");
    assert!(sender.send(Some(OnDrop(Box::new(when_dropped)))).is_ok());
    changed.now().unwrap();
    assert!(sender.send(None).is_ok());

    let (drops, (sender, receiver)) = (Drops::default(), watch::channel(None));
    sender.send(Some(drops.bomb("dropped"))).unwrap();
    assert_eq!(panic_of(|| sender.send(None).is_ok()), "dropped");
    assert!(receiver.peek().is_none() && receiver.has_changed());
}

#[test]
fn random_sends_looks_and_cancels_agree_with_a_plain_value() {
    struct Model {
        seen: u64,
        receiver: watch::Receiver<u64>,
    }
    let mut random = seeded();
    let (sender, receiver) = watch::channel(0);
    let mut receivers = vec![Model { seen: 0, receiver }];
    let mut latest = 0;
    for version in 1..rounds(20_000) {
        let index = random.usize(..receivers.len());
        match random.u8(..5) {
            0 => {
                sender.send(version).unwrap();
                latest = version;
            }
            1 if receivers.len() < 8 => {
                let Model { seen, receiver } = &receivers[index];
                let clone = Model { seen: *seen, receiver: receiver.clone() };
                receivers.push(clone);
            }
            2 if receivers.len() > 1 => drop(receivers.swap_remove(index)),
            3 => {
                let Model { seen, receiver } = &mut receivers[index];
                let polled = Polled::new(receiver.changed()).poll();
                assert_eq!(polled == Poll::Ready(Ok(())), *seen != latest);
                *seen = latest;
            }
            _ => {
                let Model { seen, receiver } = &mut receivers[index];
                assert_eq!(receiver.has_changed(), *seen != latest);
                assert_eq!(*receiver.latest(), latest);
                *seen = latest;
            }
        }
        assert_eq!(sender.receivers(), receivers.len());
    }
}
