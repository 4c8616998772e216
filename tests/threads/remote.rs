//! The channel that crosses threads: polled by hand, between threads, and with runtimes at both
//! ends.

use std::collections::VecDeque;
use std::mem;
use std::rc::Rc;
use std::task::Poll;
use std::thread;
use std::time::Duration;

use annulus::sync::remote::{
    self, Receiver, SendError, Sender, TryRecvError, TrySendError, oneshot,
};
use annulus::time::timeout;
use annulus::{spawn, yield_now};
use futures_util::StreamExt;
use futures_util::stream::FusedStream;

use crate::common::drops::{Drops, OnDrop};
use crate::common::manual_executor::{Polled, now, waiting, waker_that};
use crate::common::panics::panic_of;
use crate::common::patience::patient;
use crate::common::random::seeded;
use crate::common::watchdog::{Watchdog, run};

#[test]
fn values_arrive_in_order_and_a_full_channel_makes_senders_wait_in_order() {
    let (sender, mut receiver) = remote::channel(1);
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    now(sender.send(1)).unwrap();
    assert_eq!(sender.try_send(2), Err(TrySendError::Full(2)));
    let mut second = waiting(sender.send(2));
    let third = waiting(sender.send(3));
    assert_eq!(now(receiver.recv()), Some(1));
    assert!(second.is_woken() && !third.is_woken());
    assert_eq!(sender.try_send(4), Err(TrySendError::Full(4)), "the room is promised");
    second.now().unwrap();
    drop(third);
    assert_eq!(receiver.try_recv(), Ok(2));
    let mut receiving = waiting(receiver.recv());
    sender.try_send(5).unwrap();
    assert_eq!(receiving.now(), Some(5));
    assert!(panic_of(|| remote::channel::<u32>(0)).contains("room"));
}

#[test]
fn room_that_a_dropped_send_was_given_goes_to_the_next() {
    let (sender, mut receiver) = remote::channel(1);
    sender.try_send(1).unwrap();
    let first = waiting(sender.send(2));
    let mut second = waiting(sender.send(3));
    receiver.try_recv().unwrap();
    drop(first);
    second.now().unwrap();
    assert_eq!(receiver.try_recv(), Ok(3));
}

#[test]
fn the_end_comes_when_all_senders_are_gone() {
    let (sender, mut receiver) = remote::channel(2);
    let other = sender.clone();
    other.try_send(1).unwrap();
    drop(sender);
    assert_eq!(now(receiver.recv()), Some(1));
    let mut receiving = waiting(receiver.recv());
    drop(other);
    assert!(receiving.is_woken());
    assert_eq!(receiving.now(), None);
    drop(receiving);
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
}

#[test]
fn a_receiver_has_terminated_once_it_has_returned_none() {
    let (sender, mut receiver) = remote::channel(1);
    sender.try_send(1).unwrap();
    drop(sender);
    assert_eq!((now(receiver.next()), receiver.is_terminated()), (Some(1), false));
    assert_eq!((now(receiver.next()), receiver.is_terminated()), (None, true));
}

#[test]
fn a_closed_receiver_refuses_senders_and_gives_what_was_sent() {
    let (sender, mut receiver) = remote::channel(1);
    sender.try_send(1).unwrap();
    let mut waits = waiting(sender.send(2));
    receiver.close();
    assert_eq!(waits.now(), Err(SendError(2)));
    assert_eq!(now(sender.send(3)), Err(SendError(3)));
    assert_eq!(sender.try_send(4).unwrap_err().into_inner(), 4);
    assert!(sender.is_closed());
    assert_eq!((now(receiver.recv()), now(receiver.recv())), (Some(1), None));
}

#[test]
fn a_receiver_that_is_dropped_drops_the_values_and_refuses_senders() {
    let drops = Drops::default();
    let (sender, receiver) = remote::channel(1);
    sender.try_send(drops.guard()).unwrap();
    let mut waits = waiting(sender.send(drops.guard()));
    drop(receiver);
    assert_eq!(drops.count(), 1);
    assert!(waits.now().is_err());
}

#[test]
fn forgotten_futures_keep_their_room_and_no_more() {
    let (sender, mut receiver) = remote::channel(2);
    sender.try_send(1).unwrap();
    sender.try_send(1).unwrap();
    mem::forget(waiting(sender.clone().send_owned(2)));
    now(receiver.recv()).unwrap();
    now(receiver.recv()).unwrap();
    now(sender.send(3)).unwrap();
    assert!(sender.try_send(4).is_err());
    assert_eq!(now(receiver.recv()), Some(3));
}

/// A send that owns its sender.
trait SendOwned {
    async fn send_owned(self, value: i32);
}

impl SendOwned for Sender<i32> {
    async fn send_owned(self, value: i32) {
        self.send(value).await.unwrap();
    }
}

#[test]
fn wakers_and_destructors_may_use_the_channel_and_panic() {
    type Value = Option<OnDrop<Box<dyn FnMut()>>>;
    let (sender, mut receiver) = remote::channel::<Value>(1);
    let sender = Rc::new(sender);
    let its = Rc::clone(&sender);
    let waker = waker_that(move || {
        assert!(matches!(its.try_send(None), Err(TrySendError::Full(None))));
        panic!("woken");
    });
    let mut receiving = Polled::new(receiver.recv());
    assert!(receiving.poll_with(&waker).is_pending());
    let its = Rc::clone(&sender);
    let when_dropped = move || assert!(its.is_closed() && its.try_send(None).is_err());
    assert!(sender.try_send(Some(OnDrop(Box::new(when_dropped)))).is_ok());
    let value = receiving.now();
    drop(receiving);
    assert!(sender.try_send(value.unwrap()).is_ok());
    drop(receiver);
}

type Sending<'a> = Polled<'a, Result<(), SendError<u32>>>;

#[test]
fn random_sends_receives_and_cancels_agree_with_a_plain_queue() {
    const CAPACITY: usize = 3;
    let mut random = seeded();
    let (sender, mut receiver) = remote::channel(CAPACITY);
    let mut values = VecDeque::new();
    let mut sending: Vec<(u32, Sending<'_>)> = Vec::new();
    // Who waits for room, and who was given it.
    let (mut queue, mut given) = (VecDeque::new(), Vec::new());
    for value in 0..20_000 {
        match random.u8(..5) {
            0 if sending.len() < 10 => {
                let mut send = Polled::new(sender.send(value));
                if send.poll().is_ready() {
                    assert!(queue.is_empty() && values.len() + given.len() < CAPACITY);
                    values.push_back(value);
                } else {
                    queue.push_back(value);
                    sending.push((value, send));
                }
            }
            1 => {
                let fits = queue.is_empty() && values.len() + given.len() < CAPACITY;
                assert_eq!(sender.try_send(value).is_ok(), fits);
                values.extend(fits.then_some(value));
            }
            2 if random.bool() => {
                let received = Polled::new(receiver.recv()).poll();
                let expected = values.pop_front();
                assert_eq!(
                    received,
                    expected.map_or(Poll::Pending, |value| Poll::Ready(Some(value)))
                );
            }
            2 => assert_eq!(receiver.try_recv().ok(), values.pop_front()),
            3 if !sending.is_empty() => {
                let (value, send) = sending.swap_remove(random.usize(..sending.len()));
                drop(send);
                queue.retain(|waiting| *waiting != value);
                given.retain(|given| *given != value);
            }
            4 if !sending.is_empty() => {
                let (value, mut send) = sending.swap_remove(random.usize(..sending.len()));
                let was_given = given.contains(&value);
                assert_eq!(send.is_woken(), was_given);
                if was_given {
                    send.now().unwrap();
                    given.retain(|given| *given != value);
                    values.push_back(value);
                } else {
                    sending.push((value, send.waits()));
                }
            }
            _ => {}
        }
        while values.len() + given.len() < CAPACITY && !queue.is_empty() {
            given.extend(queue.pop_front());
        }
    }
}

fn is_send<T: Send>(value: T) -> T {
    value
}

#[test]
fn ends_and_their_futures_can_be_sent() {
    let (sender, mut receiver) = is_send(remote::channel::<u32>(1));
    let _sending = is_send(sender.send(1));
    let _receiving = is_send(receiver.recv());
    let _oneshot = is_send(oneshot::channel::<u32>());
}

const VALUES: u64 = 20_000;

/// Adds up what is received, and checks that each sender's values come in order.
struct Sum {
    sum: u64,
    newest: [u64; 4],
}

impl Sum {
    fn add(&mut self, (sender, value): (usize, u64)) {
        assert!(mem::replace(&mut self.newest[sender], value) < value);
        self.sum += value;
    }
}

#[test]
fn threads_send_to_a_thread() {
    let _watchdog = Watchdog::new(patient(Duration::from_secs(60)));
    let (sender, mut receiver) = remote::channel(3);
    let threads = [0, 1, 2, 3].map(|number| {
        let sender = sender.clone();
        thread::spawn(move || {
            (1..=VALUES / 10).for_each(|value| sender.send_blocking((number, value)).unwrap());
        })
    });
    drop(sender);
    let mut sum = Sum { sum: 0, newest: [0; 4] };
    while let Some(value) = receiver.recv_blocking() {
        sum.add(value);
    }
    assert_eq!(sum.sum, 4 * (1..=VALUES / 10).sum::<u64>());
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn runtimes_on_several_threads_send_to_one() {
    let (sender, receiver) = remote::channel(16);
    let threads = [0, 1, 2, 3].map(|number| {
        let sender: Sender<(usize, u64)> = sender.clone();
        thread::spawn(move || {
            run(async move {
                for value in 1..=VALUES {
                    sender.send((number, value)).await.unwrap();
                }
            });
        })
    });
    drop(sender);
    let sum = run(async move {
        let sum = Sum { sum: 0, newest: [0; 4] };
        let add = |mut sum: Sum, value| async move {
            sum.add(value);
            sum
        };
        receiver.fold(sum, add).await
    });
    assert_eq!(sum.sum, 4 * (1..=VALUES).sum::<u64>());
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

// The timeouts race with the other thread on purpose: whichever wins, nothing is lost.
#[test]
fn sends_and_receives_that_are_cancelled_all_the_time_lose_and_repeat_nothing() {
    const TRIES: usize = 300;
    let (sender, mut receiver): (Sender<usize>, Receiver<usize>) = remote::channel(1);
    let sending = thread::spawn(move || {
        run(async move {
            let mut sent = Vec::new();
            for value in 0..TRIES {
                let limit = Duration::from_micros(fastrand::u64(0..200));
                if timeout(limit, sender.send(value)).await.is_ok() {
                    sent.push(value);
                }
                yield_now().await;
            }
            sent
        })
    });
    let received = run(async move {
        let mut received = Vec::new();
        loop {
            let limit = Duration::from_micros(fastrand::u64(0..200));
            match timeout(limit, receiver.recv()).await {
                Ok(Some(value)) => received.push(value),
                Ok(None) => return received,
                Err(_) => {}
            }
        }
    });
    assert_eq!(received, sending.join().unwrap());
}

#[test]
fn oneshots_go_to_another_runtime_and_back() {
    let (sender, mut asked) = remote::channel::<(u64, oneshot::Sender<u64>)>(4);
    let answering = thread::spawn(move || {
        run(async move {
            while let Some((number, answer)) = asked.recv().await {
                // One that was not waited for is not an error.
                let _ = answer.send(number * number);
            }
        });
    });
    run(async move {
        let asking = [2, 3, 4].map(|number| {
            let sender = sender.clone();
            spawn(async move {
                for _ in 0..200 {
                    let (answer, answered) = oneshot::channel();
                    sender.send((number, answer)).await.unwrap();
                    assert_eq!(answered.await, Ok(number * number));
                }
            })
        });
        for asking in asking {
            asking.await.unwrap();
        }
    });
    answering.join().unwrap();
}
