//! One value from end to end, within a thread and across: the same for both.

use std::cell::{Cell, RefCell};
use std::mem;
use std::rc::Rc;

use annulus::sync::oneshot::{RecvError, TryRecvError};

use crate::common::drops::{Drops, OnDrop};
use crate::common::manual_executor::{Polled, now, waiting, waker_that, waker_whose_drop};
use crate::common::panics::panic_of;
use crate::common::random::seeded;
use crate::common::rounds::rounds;

macro_rules! for_both {
    ($($name:ident($channel:ident) $test:block)*) => {
        mod within_a_thread {
            use super::*;
            use annulus::sync::oneshot;
            $(#[test] fn $name() { use oneshot::channel as $channel; $test })*
        }

        mod across_threads {
            use super::*;
            use annulus::sync::remote::oneshot;
            $(#[test] fn $name() { use oneshot::channel as $channel; $test })*
        }
    };
}

for_both! {
    a_value_arrives(channel) {
        let (sender, mut receiver) = channel();
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
        let mut receiving = waiting(receiver);
        sender.send(1).unwrap();
        assert!(receiving.is_woken());
        assert_eq!(receiving.now(), Ok(1));

        let (sender, mut receiver) = channel();
        sender.send(2).unwrap();
        assert_eq!(receiver.try_recv(), Ok(2));
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
        assert_eq!(now(receiver), Err(RecvError));
    }

    a_sender_that_is_dropped_tells_the_receiver(channel) {
        let (sender, receiver) = channel::<u32>();
        let mut receiving = waiting(receiver);
        drop(sender);
        assert!(receiving.is_woken());
        assert_eq!(receiving.now(), Err(RecvError));
        let (sender, mut receiver) = channel::<u32>();
        drop(sender);
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
    }

    a_receiver_that_is_dropped_tells_the_sender(channel) {
        let (mut sender, receiver) = channel();
        assert!(!sender.is_closed());
        let mut closed = waiting(sender.closed());
        drop(receiver);
        assert!(closed.is_woken());
        closed.now();
        drop(closed);
        assert!(sender.is_closed());
        assert_eq!(sender.send(1), Err(1));
    }

    a_receiver_that_is_closed_still_gives_what_was_sent(channel) {
        let (sender, mut receiver) = channel();
        sender.send(1).unwrap();
        receiver.close();
        assert_eq!(now(receiver), Ok(1));
        let (sender, mut receiver) = channel();
        receiver.close();
        assert_eq!(sender.send(1), Err(1));
        assert_eq!(now(receiver), Err(RecvError));
    }

    an_await_that_is_dropped_loses_nothing(channel) {
        let (sender, mut receiver) = channel();
        drop(waiting(&mut receiver));
        let awaited = waiting(&mut receiver);
        sender.send(1).unwrap();
        drop(awaited);
        assert_eq!(now(&mut receiver), Ok(1));
    }

    an_unreceived_value_is_dropped_with_the_receiver(channel) {
        let (drops, (sender, receiver)) = (Drops::default(), channel());
        sender.send(drops.guard()).unwrap();
        drop(receiver);
        assert_eq!(drops.count(), 1);
    }

    forgotten_ends_are_no_trouble(channel) {
        let (sender, receiver) = channel();
        mem::forget(waiting(receiver));
        sender.send(1).unwrap();
        let (sender, receiver) = channel::<u32>();
        mem::forget(sender);
        drop(waiting(receiver));
    }

    a_waker_may_receive_and_panic_while_it_is_woken(channel) {
        let (sender, receiver) = channel();
        let receiver = Rc::new(RefCell::new(Some(Polled::new(receiver))));
        let its = Rc::clone(&receiver);
        let waker = waker_that(move || {
            assert_eq!(its.take().unwrap().now(), Ok(1));
            panic!("woken");
        });
        assert!(receiver.borrow_mut().as_mut().unwrap().poll_with(&waker).is_pending());
        sender.send(1).unwrap();
        assert!(receiver.borrow().is_none());
    }

    a_waker_may_send_while_it_is_dropped(channel) {
        let (sender, receiver) = channel();
        let mut receiving = Polled::new(receiver);
        let sender = RefCell::new(Some(sender));
        let waker = waker_whose_drop(move || sender.take().unwrap().send(1).unwrap());
        assert!(receiving.poll_with(&waker).is_pending());
        drop(waker);
        // The former waker is dropped, and sends, after the new one is in place.
        assert_eq!(receiving.now(), Ok(1));
    }

    a_value_whose_destructor_panics_leaves_the_ends_right(channel) {
        let (drops, (sender, receiver)) = (Drops::default(), channel());
        sender.send(drops.bomb("dropped")).unwrap();
        assert_eq!(panic_of(|| drop(receiver)), "dropped");
    }

    a_value_whose_destructor_uses_the_channel_is_no_trouble(channel) {
        let (sender, receiver) = channel::<OnDrop<Box<dyn FnMut()>>>();
        let (other, mut other_receiver) = channel();
        let mut other = Some(other);
        let when_dropped = move || other.take().unwrap().send(1).unwrap();
        assert!(sender.send(OnDrop(Box::new(when_dropped))).is_ok());
        drop(receiver);
        assert_eq!(other_receiver.try_recv(), Ok(1));
    }

    an_end_that_is_gone_leaves_no_waker_with_the_other(channel) {
        let dropped = Rc::new(Cell::new(0));
        let waker = || {
            let its = Rc::clone(&dropped);
            waker_whose_drop(move || its.set(its.get() + 1))
        };
        let (_sender, receiver) = channel::<i32>();
        let mut receiving = Polled::new(receiver);
        assert!(receiving.poll_with(&waker()).is_pending());
        drop(receiving);
        assert_eq!(dropped.get(), 1);
        let (mut sender, _receiver) = channel::<i32>();
        assert!(Polled::new(sender.closed()).poll_with(&waker()).is_pending());
        drop(sender);
        assert_eq!(dropped.get(), 2);
    }

    random_sends_closes_and_drops_agree_with_a_plain_option(channel) {
        let mut random = seeded();
        for value in 0..rounds(3000) {
            let (sender, receiver) = channel();
            let (mut sender, mut receiver) = (Some(sender), Some(receiver));
            // What can be received, and whether the receiver has closed.
            let (mut model, mut closed) = (None, false);
            for _ in 0..random.usize(..8) {
                match random.u8(..5) {
                    0 => {
                        if let Some(sender) = sender.take() {
                            let refused = closed || receiver.is_none();
                            assert_eq!(sender.send(value).is_err(), refused);
                            model = (!refused).then_some(value);
                        }
                    }
                    1 => drop(sender.take()),
                    2 => drop(receiver.take()),
                    3 => {
                        if let Some(receiver) = &mut receiver {
                            receiver.close();
                        }
                        closed = true;
                    }
                    _ => {
                        if let Some(receiver) = &mut receiver {
                            let expected = match model.take() {
                                Some(value) => Ok(value),
                                None if sender.is_none() || closed => Err(TryRecvError::Closed),
                                None => Err(TryRecvError::Empty),
                            };
                            assert_eq!(receiver.try_recv(), expected);
                        }
                    }
                }
                if let Some(sender) = &sender {
                    assert_eq!(sender.is_closed(), closed || receiver.is_none());
                }
            }
        }
    }
}
