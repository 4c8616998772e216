//! Of `annulus::sync` and `annulus::stream`.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use annulus::stream::{generate, try_generate};
use annulus::sync::{
    Barrier, BoundedSemaphore, Condition, Event, LifoQueue, Lock, LockGuard, PriorityQueue, Queue,
    RwLock, Semaphore, broadcast, oneshot, remote, watch,
};
use futures_util::StreamExt;

use super::Trials;
use crate::common::watchdog::run;

#[test]
fn locks_that_are_free_let_other_tasks_run() {
    run(async {
        let mut trials = Trials::default();
        let lock = Rc::new(Lock::new(()));
        trials.ready("Lock::lock", async || lock.lock().await).await;
        let owned = async || Rc::clone(&lock).lock_owned().await;
        trials.ready("Lock::lock_owned", owned).await;
        let lock = RwLock::new(());
        trials.ready("RwLock::read", async || lock.read().await).await;
        trials.ready("RwLock::write", async || lock.write().await).await;
    });
}

#[test]
fn semaphores_that_are_free_or_closed_let_other_tasks_run() {
    run(async {
        let mut trials = Trials::default();
        let semaphore = Rc::new(Semaphore::new(2));
        let acquire = async || semaphore.acquire().await;
        trials.ready("Semaphore::acquire", acquire).await;
        let acquire = async || semaphore.acquire_many(2).await;
        trials.ready("Semaphore::acquire_many", acquire).await;
        let acquire = async || Rc::clone(&semaphore).acquire_owned().await;
        trials.ready("Semaphore::acquire_owned", acquire).await;
        let acquire = async || Rc::clone(&semaphore).acquire_many_owned(2).await;
        trials.ready("Semaphore::acquire_many_owned", acquire).await;
        let bounded = BoundedSemaphore::new(2);
        let acquire = async || bounded.acquire().await;
        trials.ready("BoundedSemaphore::acquire", acquire).await;
        let acquire = async || bounded.acquire_many(2).await;
        trials.ready("BoundedSemaphore::acquire_many", acquire).await;
        semaphore.close();
        let acquire = async || semaphore.acquire().await.unwrap_err();
        trials.ready("Semaphore::acquire when closed", acquire).await;
    });
}

#[test]
fn events_barriers_and_conditions_that_hold_let_other_tasks_run() {
    run(async {
        let mut trials = Trials::default();
        let event = Event::new();
        event.set();
        trials.ready("Event::wait", async || event.wait().await).await;
        let barrier = Barrier::new(1);
        trials.ready("Barrier::wait", async || barrier.wait().await).await;
        barrier.abort();
        trials.ready("Barrier::wait when broken", async || barrier.wait().await).await;
        let (lock, condition) = (Lock::new(()), Condition::new());
        let guard = RefCell::new(lock.try_lock());
        let wait = async || {
            let held: LockGuard<'_, ()> = guard.take().unwrap();
            guard.replace(Some(condition.wait_for(held, |()| true).await));
        };
        trials.ready("Condition::wait_for", wait).await;
    });
}

macro_rules! queue_that_is_ready {
    ($name:ident, $queue:ident) => {
        #[test]
        fn $name() {
            run(async {
                let mut trials = Trials::default();
                let queue = $queue::unbounded();
                trials.ready("put", async || queue.put(1).await.unwrap()).await;
                trials.ready("get", async || queue.get().await.unwrap()).await;
                trials.ready("reserve", async || queue.reserve().await.unwrap()).await;
                let put = async || queue.reserve().await.unwrap().put(1).unwrap();
                trials.ready("reserve and put", put).await;
                let mut items = queue.items();
                trials.ready("items", async || items.next().await.unwrap()).await;
                while queue.unfinished() > 0 {
                    queue.task_done();
                }
                trials.ready("join", async || queue.join().await).await;
                queue.close();
                trials.ready("put when shut down", async || queue.put(1).await).await;
                trials.ready("get when shut down", async || queue.get().await).await;
                trials.ready("reserve when shut down", async || queue.reserve().await).await;
                trials.ready("items when shut down", async || items.next().await).await;
            });
        }
    };
}

queue_that_is_ready!(queues_that_are_ready_let_other_tasks_run, Queue);
queue_that_is_ready!(priority_queues_that_are_ready_let_other_tasks_run, PriorityQueue);
queue_that_is_ready!(lifo_queues_that_are_ready_let_other_tasks_run, LifoQueue);

#[test]
fn oneshots_that_are_ready_let_other_tasks_run() {
    run(async {
        let mut trials = Trials::default();
        let receive = async || {
            let (sender, receiver) = oneshot::channel();
            sender.send(1).unwrap();
            receiver.await.unwrap();
        };
        trials.ready("oneshot::Receiver", receive).await;
        let receive = async || {
            let (_, receiver) = oneshot::channel::<u8>();
            receiver.await.unwrap_err();
        };
        trials.ready("oneshot::Receiver without a sender", receive).await;
        let (mut sender, _) = oneshot::channel::<u8>();
        trials.ready("oneshot::Sender::closed", async || sender.closed().await).await;
        let receive = async || {
            let (sender, receiver) = remote::oneshot::channel();
            sender.send(1).unwrap();
            receiver.await.unwrap();
        };
        trials.ready("remote::oneshot::Receiver", receive).await;
        let (mut sender, _) = remote::oneshot::channel::<u8>();
        trials.ready("remote::oneshot::Sender::closed", async || sender.closed().await).await;
    });
}

#[test]
fn channels_that_are_ready_let_other_tasks_run() {
    run(async {
        let mut trials = Trials::default();
        let (sender, mut receiver) = watch::channel(0);
        let is_so = async || receiver.wait_for(|_| true).await.unwrap();
        trials.ready("watch::Receiver::wait_for", is_so).await;
        let number = Cell::new(0);
        let change = async || {
            number.set(number.get() + 1);
            sender.send(number.get()).unwrap();
            receiver.changed().await.unwrap();
        };
        trials.ready("watch::Receiver::changed", change).await;
        let (other, _) = watch::channel(0);
        trials.ready("watch::Sender::closed", async || other.closed().await).await;
        drop(sender);
        let changed = async || receiver.changed().await.unwrap_err();
        trials.ready("watch::Receiver::changed when closed", changed).await;

        let (sender, mut receiver) = broadcast::channel(1);
        let send = async || {
            sender.send(1).unwrap();
            receiver.recv().await.unwrap();
        };
        trials.ready("broadcast::Receiver::recv", send).await;
        let lag = async || {
            sender.send(1).unwrap();
            sender.send(1).unwrap();
            receiver.recv().await.unwrap_err();
        };
        trials.ready("broadcast::Receiver::recv when lagging", lag).await;
        drop(sender);
        while receiver.recv().await.is_ok() {}
        let closed = async || receiver.recv().await.unwrap_err();
        trials.ready("broadcast::Receiver::recv when closed", closed).await;

        let (sender, mut receiver) = remote::channel(usize::MAX >> 1);
        trials.ready("remote::Sender::send", async || sender.send(1).await.unwrap()).await;
        let receive = async || receiver.recv().await.unwrap();
        trials.ready("remote::Receiver::recv", receive).await;
        drop(sender);
        let receive = async || assert!(receiver.recv().await.is_none());
        trials.ready("remote::Receiver::recv when closed", receive).await;
        trials.ready("remote::Receiver as a stream", async || receiver.next().await).await;
        let (sender, _) = remote::channel(1);
        let send = async || sender.send(1).await.unwrap_err();
        trials.ready("remote::Sender::send when closed", send).await;
    });
}

#[test]
fn generators_that_are_ready_let_other_tasks_run() {
    run(async {
        let mut trials = Trials::default();
        let mut endless = generate(async |y| {
            loop {
                y.emit(1).await;
            }
        });
        trials.ready("Generator", async || endless.next().await.unwrap()).await;
        let mut ended = generate::<u8>(async |_| {});
        trials.ready("Generator when ended", async || ended.next().await).await;
        let fail = async || {
            let mut failing = try_generate(async |_| Err::<(), _>(()));
            let _ = failing.next().await.unwrap() as Result<u8, ()>;
        };
        trials.ready("try_generate", fail).await;
    });
}
