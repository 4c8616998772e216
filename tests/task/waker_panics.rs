//! A waker that panics when something wakes it: the panic is an incident of the runtime whose task
//! wakes, goes no further, and keeps no other from being woken, whatever it is that wakes.

use std::cell::RefCell;
use std::future::{Future, pending};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};

use annulus::join::{CancelToken, TaskGroup, task_group};
use annulus::sync::{
    Barrier, Condition, Event, Lock, Queue, Semaphore, broadcast, oneshot, remote, watch,
};

use crate::common::incidents::Incidents;
use crate::common::manual_executor::WakeCount;
use crate::common::panics::panic_of;
use crate::common::watchdog::block_on;

/// Panics when it is woken.
struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("of a waker");
    }
}

/// Something waited for, by two whose wakers are given.
type Waits<'a> = Vec<Pin<Box<dyn Future<Output = ()> + 'a>>>;

/// Lets the first of `waits` wait with a waker that panics and the others with one that counts, has
/// them woken, and expects that the panic is an incident and all others are woken.
fn is_an_incident(incidents: &Incidents, what: &str, mut waits: Waits<'_>, wake: impl FnOnce()) {
    let counts = Arc::new(WakeCount::default());
    let (panics, counting) = (Waker::from(Arc::new(Panics)), Waker::from(Arc::clone(&counts)));
    for (number, wait) in waits.iter_mut().enumerate() {
        let waker = if number == 0 { &panics } else { &counting };
        assert!(wait.as_mut().poll(&mut Context::from_waker(waker)).is_pending(), "{what} waits");
    }
    let woke = catch_unwind(AssertUnwindSafe(wake));
    assert!(woke.is_ok(), "the panic goes through {what}");
    assert_eq!(incidents.take_messages(), ["callback: of a waker"], "of {what}");
    assert_eq!(counts.count(), waits.len() - 1, "woken by {what}");
}

fn wait<'a, T>(future: impl Future<Output = T> + 'a) -> Pin<Box<dyn Future<Output = ()> + 'a>> {
    Box::pin(async { drop(future.await) })
}

#[test]
fn the_panic_of_a_waker_that_a_primitive_wakes_is_an_incident() {
    let incidents = Incidents::default();
    block_on(&incidents.runtime(), async {
        let check = |what, waits, wake: &mut dyn FnMut()| {
            is_an_incident(&incidents, what, waits, wake);
        };
        let event = Event::new();
        let waits = vec![wait(event.wait()), wait(event.wait())];
        check("an event", waits, &mut || event.set());
        let condition = Condition::new();
        let (first, second) = (Lock::new(()), Lock::new(()));
        let (held, other) = (first.try_lock().unwrap(), second.try_lock().unwrap());
        let waits = vec![wait(condition.wait(held)), wait(condition.wait(other))];
        check("a condition", waits, &mut || condition.notify_all());
        let barrier = Barrier::new(3);
        let waits = vec![wait(barrier.wait()), wait(barrier.wait())];
        check("a barrier", waits, &mut || barrier.reset());
        let semaphore = Semaphore::new(0);
        let waits = vec![wait(semaphore.acquire()), wait(semaphore.acquire())];
        check("a semaphore", waits, &mut || semaphore.close());
        let queue = Queue::<u8>::unbounded();
        check("a queue", vec![wait(queue.get()), wait(queue.get())], &mut || queue.close());
        let (sender, mut receiver) = watch::channel(0);
        check("a watch", vec![wait(receiver.changed())], &mut || sender.send(1).unwrap());
        let (sender, mut receiver) = broadcast::channel(1);
        check("a broadcast", vec![wait(receiver.recv())], &mut || {
            sender.send(1).unwrap();
        });
        let (sender, receiver) = oneshot::channel();
        let mut sender = Some(sender);
        check("a oneshot", vec![wait(receiver)], &mut || sender.take().unwrap().send(1).unwrap());
        let (sender, mut receiver) = remote::channel(1);
        check("a remote channel", vec![wait(receiver.recv())], &mut || sender.try_send(1).unwrap());
        let token = CancelToken::new();
        let waits = vec![wait(token.cancelled()), wait(token.cancelled())];
        check("a token", waits, &mut || token.cancel());
        let token = CancelToken::new();
        let mut guard = Some(token.cancel_on_drop());
        check("a guard of a token", vec![wait(token.cancelled())], &mut || drop(guard.take()));
    });
}

#[test]
fn the_panic_of_a_waker_that_a_group_wakes_is_an_incident() {
    let incidents = Incidents::default();
    block_on(&incidents.runtime(), async {
        let event = Event::new();
        let outside = RefCell::new(None);
        let group = task_group(async |group: &TaskGroup<'_, ()>| {
            let child = async {
                event.wait().await;
                Ok(())
            };
            *outside.borrow_mut() = Some((group.clone(), group.spawn(child)));
            pending::<Result<(), ()>>().await
        });
        let mut group = Box::pin(wait(group));
        assert!(group.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        let (spawns, handle) = outside.take().unwrap();
        // The child's end wakes who waits for its handle.
        let waits = vec![wait(handle)];
        is_an_incident(&incidents, "a child", waits, || {
            event.set();
            let _ = group.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        });
        is_an_incident(&incidents, "a group", vec![group], || {
            drop(spawns.spawn(async { Ok(()) }));
        });
    });
}

/// There, a second panic would abort the process.
#[test]
fn a_guard_that_is_dropped_by_a_panic_cancels_its_token_also_if_a_waker_panics() {
    let token = CancelToken::new();
    let mut wait = wait(token.cancelled());
    let panics = Waker::from(Arc::new(Panics));
    assert!(wait.as_mut().poll(&mut Context::from_waker(&panics)).is_pending());
    let panic = panic_of(|| {
        let _guard = token.cancel_on_drop();
        panic!("with a guard");
    });
    assert_eq!(panic, "with a guard");
    assert!(token.is_cancelled());
}
