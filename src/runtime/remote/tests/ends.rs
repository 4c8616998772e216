//! Calls that meet a cancel, or the end of the runtime.

use std::future::pending;
use std::panic::Location;
use std::sync::{Arc, mpsc};
use std::thread;

use super::{Dropped, Owner, call, joined, spawn};
use crate::runtime::remote::{CallQueue, Called, push};
use crate::task::{JoinError, Notifier};

#[test]
fn a_cancel_from_another_thread_meets_the_start_the_end_and_the_end_of_all() {
    for round in 0..if cfg!(miri) { 5 } else { 200 } {
        let owner = Owner::new();
        let (sender, drops) = mpsc::channel();
        let dropped = Dropped(sender, None);
        let handle = spawn(&owner.queue(), move || async move {
            let _dropped = dropped;
            for _ in 0..2 {
                crate::runtime::yield_now().await;
            }
        });
        let cancelling = thread::spawn(move || (handle.cancel(), handle));
        for _ in 0..round % 5 {
            owner.turn();
        }
        if round % 2 == 0 {
            owner.close();
        }
        let (was_running, mut handle) = cancelling.join().unwrap();
        owner.run_until_finished(&handle);
        match joined(&mut handle) {
            Ok(()) | Err(JoinError::Ended) => {}
            Err(error) => assert!(error.is_cancelled() && was_running),
        }
        assert_eq!(drops.iter().collect::<Vec<_>>(), [thread::current().id()]);
        if round % 2 != 0 {
            owner.close();
        }
    }
}

#[test]
fn a_destructor_at_the_end_finds_the_queue_closed() {
    struct Calls(Arc<CallQueue>, mpsc::Sender<bool>);
    impl Drop for Calls {
        fn drop(&mut self) {
            let refused = push(&self.0, Called(|| ()), None, Location::caller());
            self.0.stop();
            self.1.send(refused.unwrap_err().is_ended()).unwrap();
        }
    }
    let owner = Owner::new();
    let (sender, refused) = mpsc::channel();
    let [first, second] = [(); 2].map(|()| Calls(owner.queue(), sender.clone()));
    let running = spawn(&owner.queue(), move || async move {
        let _first = first;
        pending::<()>().await;
    });
    owner.turn();
    let queued = call(&owner.queue(), move || drop(second));
    owner.close();
    drop((sender, running, queued));
    assert_eq!(refused.iter().collect::<Vec<_>>(), [true; 2]);
}

#[test]
fn calls_of_other_threads_meet_the_end_and_none_is_lost() {
    let owner = Owner::new();
    let (sender, drops) = mpsc::channel();
    let threads = [(); 2].map(|()| {
        let (queue, sender) = (owner.queue(), sender.clone());
        thread::spawn(move || {
            let mut made = 0;
            loop {
                let dropped = Dropped(sender.clone(), None);
                made += 1;
                match push(&queue, Called(move || drop(dropped)), None, Location::caller()) {
                    Ok(handle) if made % 2 == 0 => drop(handle),
                    Ok(handle) => match handle.join_blocking() {
                        Ok(()) | Err(JoinError::Ended) => {}
                        Err(error) => panic!("{error}"),
                    },
                    Err(error) if error.is_ended() => return made,
                    Err(_) => thread::yield_now(),
                }
            }
        })
    });
    drop(sender);
    for _ in 0..10 {
        owner.turn();
        thread::yield_now();
    }
    owner.close();
    let made: usize = threads.map(|thread| thread.join().unwrap()).iter().sum();
    assert_eq!(drops.iter().count(), made);
}

#[test]
fn a_notifier_may_outlive_its_executor_on_another_thread() {
    let owner = Owner::new();
    let (notifier, queue): (Notifier, _) = (owner.executor.notifier(), owner.queue());
    let other = thread::spawn(move || {
        for _ in 0..10 {
            notifier.notify();
        }
        queue.stop();
        (notifier.is_owners(), queue.is_ended()).0
    });
    owner.turn();
    owner.close();
    drop(owner);
    assert!(!other.join().unwrap());
}
