//! Every value to every receiver: in order, and with a count of what a slow one has lost.

use std::cell::RefCell;
use std::mem;
use std::rc::Rc;
use std::task::Poll;

use annulus::sync::broadcast::{self, RecvError, TryRecvError};

use crate::common::drops::{Drops, OnDrop};
use crate::common::manual_executor::{Polled, now, waiting, waker_that};
use crate::common::panics::panic_of;
use crate::common::random::seeded;
use crate::common::rounds::rounds;

#[test]
fn each_receiver_gets_each_value_in_order() {
    let (sender, mut first) = broadcast::channel(4);
    let mut second = sender.subscribe();
    assert_eq!((sender.send(1), sender.send(2), sender.receivers()), (Ok(2), Ok(2), 2));
    let mut late = sender.subscribe();
    assert_eq!([now(first.recv()), now(first.recv())], [Ok(1), Ok(2)]);
    assert_eq!([now(second.recv()), now(second.recv())], [Ok(1), Ok(2)]);
    let mut receiving = [&mut first, &mut second, &mut late].map(|one| waiting(one.recv()));
    sender.send(3).unwrap();
    assert_eq!(receiving.each_mut().map(Polled::now), [Ok(3); 3]);
    drop(receiving);
    assert_eq!(late.try_recv(), Err(TryRecvError::Empty));
    assert!(sender.is_empty());
}

#[test]
fn a_slow_receiver_is_told_how_many_it_has_lost_and_goes_on_with_the_oldest_that_is_left() {
    let (sender, mut slow) = broadcast::channel(2);
    let mut quick = slow.clone();
    for value in 0..5 {
        sender.send(value).unwrap();
        assert_eq!(quick.try_recv(), Ok(value));
    }
    assert_eq!((slow.len(), sender.len(), quick.is_empty()), (5, 2, true));
    assert_eq!(now(slow.recv()), Err(RecvError::Lagged(3)));
    assert_eq!([now(slow.recv()), now(slow.recv())], [Ok(3), Ok(4)]);
    (0..3).for_each(|value| assert_eq!(sender.send(value), Ok(2)));
    assert_eq!(slow.try_recv(), Err(TryRecvError::Lagged(1)));
}

#[test]
fn the_end_comes_after_all_values_when_all_senders_are_gone() {
    let (sender, mut receiver) = broadcast::channel(2);
    let other = sender.clone();
    sender.send(1).unwrap();
    drop(sender);
    assert_eq!(now(receiver.recv()), Ok(1));
    let mut receiving = waiting(receiver.recv());
    drop(other);
    assert_eq!(receiving.now(), Err(RecvError::Closed));
    drop(receiving);
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
}

#[test]
fn without_receivers_a_value_is_handed_back() {
    let (sender, receiver) = broadcast::channel(2);
    drop(receiver);
    assert_eq!(sender.send(1), Err(1));
    let mut receiver = sender.subscribe();
    sender.send(2).unwrap();
    assert_eq!(now(receiver.recv()), Ok(2));
    assert!(panic_of(|| broadcast::channel::<u32>(0)).contains("room"));
}

#[test]
fn a_clone_receives_what_its_original_has_still_to_receive() {
    let (sender, mut receiver) = broadcast::channel(4);
    (1..=3).for_each(|value| assert_eq!(sender.send(value), Ok(1)));
    now(receiver.recv()).unwrap();
    let mut clone = receiver.clone();
    assert_eq!((receiver.len(), clone.len()), (2, 2));
    assert_eq!((now(clone.recv()), now(receiver.recv())), (Ok(2), Ok(2)));
}

#[test]
fn a_value_is_dropped_when_the_last_receiver_has_seen_it_or_is_gone() {
    let drops = Drops::default();
    let (sender, mut first) = broadcast::channel(4);
    let second = first.clone();
    let value = Rc::new(drops.guard());
    sender.send(Rc::downgrade(&value)).unwrap();
    sender.send(Rc::downgrade(&value)).unwrap();
    drop(value);
    now(first.recv()).unwrap();
    assert_eq!(sender.len(), 2);
    drop(second);
    assert_eq!(sender.len(), 1);
    now(first.recv()).unwrap();
    assert_eq!(sender.len(), 0);
}

/// Counts its clones.
#[derive(Debug)]
struct Cloned(Rc<RefCell<u32>>);

impl Clone for Cloned {
    fn clone(&self) -> Self {
        *self.0.borrow_mut() += 1;
        Self(Rc::clone(&self.0))
    }
}

#[test]
fn the_last_receiver_gets_the_value_itself() {
    let clones = Rc::default();
    let (sender, receiver) = broadcast::channel(1);
    let receivers = [receiver.clone(), receiver.clone(), receiver];
    sender.send(Cloned(Rc::clone(&clones))).unwrap();
    for mut receiver in receivers {
        now(receiver.recv()).unwrap();
    }
    assert_eq!(*clones.borrow(), 2);
}

#[test]
fn a_receive_that_is_dropped_or_forgotten_has_received_nothing() {
    let (sender, mut receiver) = broadcast::channel(1);
    let receiving = waiting(receiver.recv());
    sender.send(1).unwrap();
    drop(receiving);
    let mut clone = receiver.clone();
    mem::forget(
        Polled::new(async move {
            receiver.recv().await.unwrap();
            receiver.recv().await
        })
        .waits(),
    );
    sender.send(2).unwrap();
    assert_eq!(now(clone.recv()), Err(RecvError::Lagged(1)));
    assert_eq!(now(clone.recv()), Ok(2));
}

#[test]
fn wakers_and_destructors_may_use_the_channel_and_panic() {
    type Value = Rc<OnDrop<Box<dyn FnMut()>>>;
    let (sender, mut receiver) = broadcast::channel::<Value>(1);
    let mut second = receiver.clone();
    let sender = Rc::new(sender);
    let its = Rc::clone(&sender);
    let waker = waker_that(move || {
        assert_eq!((its.len(), its.subscribe().len()), (1, 0));
        panic!("woken");
    });
    let mut receiving = [&mut receiver, &mut second].map(|one| Polled::new(one.recv()));
    for receiving in &mut receiving {
        assert!(receiving.poll_with(&waker).is_pending());
    }
    let its = Rc::clone(&sender);
    let when_dropped = move || assert!(its.is_empty());
    sender.send(Rc::new(OnDrop(Box::new(when_dropped)))).unwrap_or_else(|_| unreachable!());
    drop(receiving.map(|mut receiving| receiving.now().unwrap()));

    let (drops, (sender, mut receiver)) = (Drops::default(), broadcast::channel(1));
    sender.send(Rc::new(Some(drops.bomb("dropped")))).unwrap();
    assert_eq!(panic_of(|| sender.send(Rc::new(None))), "dropped");
    assert_eq!(receiver.try_recv().unwrap_err(), TryRecvError::Lagged(1));
    assert!(receiver.try_recv().unwrap().is_none());
}

#[test]
fn random_sends_receives_and_cancels_agree_with_a_plain_log() {
    const CAPACITY: usize = 5;
    let mut random = seeded();
    let (sender, receiver) = broadcast::channel(CAPACITY);
    // Each value is its place in the log. With each receiver: where it is.
    let (mut sent, mut receivers) = (0, vec![(0, receiver)]);
    for _ in 0..rounds(30_000) {
        let index = random.usize(..receivers.len());
        match random.u8(..6) {
            0 | 1 => {
                assert_eq!(sender.send(sent), Ok(receivers.len()));
                sent += 1;
            }
            2 if receivers.len() < 6 => {
                let (next, receiver) = &receivers[index];
                let fresh = if random.bool() {
                    (*next, receiver.clone())
                } else {
                    (sent, sender.subscribe())
                };
                receivers.push(fresh);
            }
            3 if receivers.len() > 1 => drop(receivers.swap_remove(index)),
            _ => {
                let (next, receiver) = &mut receivers[index];
                let unseen = sent - *next;
                assert_eq!(receiver.len(), unseen);
                let polled = Polled::new(receiver.recv()).poll();
                // A value that others have all seen may be gone, but not one that this has not.
                match unseen.checked_sub(CAPACITY) {
                    Some(lost) if lost > 0 => {
                        assert_eq!(polled, Poll::Ready(Err(RecvError::Lagged(lost as u64))));
                        *next += lost;
                    }
                    _ if unseen == 0 => assert!(polled.is_pending()),
                    _ => {
                        assert_eq!(polled, Poll::Ready(Ok(*next)));
                        *next += 1;
                    }
                }
            }
        }
        let slowest = receivers.iter().map(|(next, _)| *next).min().unwrap();
        assert_eq!(sender.len(), (sent - slowest).min(CAPACITY));
    }
}
