//! No panic is lost, and none harms anything but its own task.
//!
//! A panic in a task goes to its joiner, and without one to the incident hook. One in foreign code
//! that the loop runs (wakers, destructors) goes to the hook. Each test ends with proof that the
//! runtime still works and that nothing was dropped twice.

use std::any::Any;
use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use annulus::buf::{IoBuf, IoBufMut};
use annulus::task::{JoinError, JoinHandle};
use annulus::time::{sleep, timeout};
use annulus::{Incident, metrics, spawn, spawn_named, yield_now};

use crate::common::conditions::until;
use crate::common::drops::{Bomb, Drops};
use crate::common::incidents::Incidents;
use crate::common::pair::{ask, echo, pair};
use crate::common::panics::{message, panic_of};
use crate::common::watchdog::{block_on, run};

/// Tasks, timers and connections work.
async fn works() {
    let (mut near, far) = pair().await;
    let server = spawn(echo(far));
    ask(&mut near, b"still there?").await;
    drop(near);
    server.await.unwrap();
    sleep(Duration::from_micros(100)).await;
}

/// The text of what a task panicked with.
async fn panic_in<T>(task: JoinHandle<T>) -> String {
    match task.await {
        Err(JoinError::Panicked(payload)) => message(&*payload),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("the task did not panic"),
    }
}

// Panics of tasks

#[test]
fn a_panic_reaches_the_joiner_with_its_payload() {
    let incidents = Incidents::default();
    block_on(&incidents.runtime(), async {
        let task = spawn(async {
            yield_now().await;
            panic_any(vec![1, 2, 3]);
        });
        match task.await {
            Err(JoinError::Panicked(payload)) => {
                assert_eq!(payload.downcast_ref(), Some(&vec![1, 2, 3]));
            }
            other => panic!("{other:?}"),
        }
        works().await;
    });
    assert_eq!(incidents.count(), 0, "it was told to who joined");
}

#[test]
fn an_unjoined_panic_reaches_the_hook_with_the_tasks_name_and_place() {
    let incidents = Incidents::default();
    block_on(&incidents.runtime(), async {
        let line = line!() + 1;
        drop(spawn_named("doomed", async { panic!("unjoined") }));
        yield_now().await;
        let [incident] = incidents.take().try_into().unwrap();
        let Incident::TaskPanicked { task, spawned_at, message } = &incident else {
            panic!("{incident}");
        };
        assert_eq!((task.as_deref(), message.as_str()), (Some("doomed"), "unjoined"));
        assert_eq!((spawned_at.file(), spawned_at.line()), (file!(), line));
        assert_eq!(
            incident.to_string(),
            format!("task 'doomed' spawned at {spawned_at} panicked and was not joined: unjoined")
        );
        works().await;
    });
}

#[test]
fn a_panic_in_a_task_spawned_from_outside_names_the_place_too() {
    let incidents = Incidents::default();
    let runtime = incidents.runtime();
    let line = line!() + 1;
    drop(runtime.spawn(async { panic!("unjoined") }));
    block_on(&runtime, yield_now());
    assert!(matches!(
        &*incidents.take(),
        [Incident::TaskPanicked { task: None, spawned_at, .. }]
            if (spawned_at.file(), spawned_at.line()) == (file!(), line)
    ));
}

#[test]
fn a_panic_is_kept_for_a_late_join_and_is_an_incident_once_it_cannot_be_taken() {
    let incidents = Incidents::default();
    block_on(&incidents.runtime(), async {
        let [joined, dropped] =
            ["joined", "dropped"].map(|word| spawn(async move { panic!("{word}") }));
        yield_now().await;
        assert_eq!(incidents.count(), 0, "both may still be taken");
        assert_eq!(panic_in::<()>(joined).await, "joined");
        drop::<JoinHandle<()>>(dropped);
        assert_eq!(incidents.take_messages(), ["task: dropped"]);
        works().await;
    });
}

#[test]
fn a_panic_is_an_incident_when_its_joiner_is_cancelled() {
    let incidents = Incidents::default();
    block_on(&incidents.runtime(), async {
        let panicking = spawn(async {
            yield_now().await;
            panic!("too late for its joiner");
        });
        let joiner = spawn(async move { panicking.await.is_ok() });
        yield_now().await;
        // In the next poll the one panics, and then the other ends without having taken it.
        joiner.cancel();
        assert!(joiner.await.unwrap_err().is_cancelled());
        assert_eq!(incidents.take_messages(), ["task: too late for its joiner"]);
        works().await;
    });
}

#[test]
fn a_panic_of_the_main_future_comes_out_of_run_after_everything_was_torn_down() {
    let drops = Drops::default();
    let (pending_guard, main_guard) = (drops.guard(), drops.guard());
    let message = panic_of(|| {
        run(async {
            let _main_guard = main_guard;
            spawn(async move {
                let _pending_guard = pending_guard;
                let (mut near, _far) = pair().await;
                near.read(Vec::with_capacity(16)).await.0.unwrap();
            });
            until(|| metrics().in_kernel >= 2).await;
            panic!("main");
        })
    });
    assert_eq!((message.as_str(), drops.count()), ("main", 2));
    run(works());
}

#[test]
fn block_on_can_be_called_again_after_a_panic_of_the_main_future() {
    let runtime = Incidents::default().runtime();
    let task = runtime.spawn(async {
        sleep(Duration::from_millis(1)).await;
        5
    });
    assert_eq!(panic_of(|| block_on(&runtime, async { panic!("main") })), "main");
    assert_eq!(block_on(&runtime, task.into_future()).unwrap(), 5);
    block_on(&runtime, works());
}

// Panics of destructors

#[test]
fn a_panic_in_a_locals_destructor_is_the_tasks_outcome() {
    let (incidents, drops) = (Incidents::default(), Drops::default());
    block_on(&incidents.runtime(), async {
        let bomb = drops.bomb("in a local's destructor");
        let task = spawn(async move {
            yield_now().await;
            drop(bomb);
        });
        assert_eq!(panic_in(task).await, "in a local's destructor");
        works().await;
    });
    assert_eq!((drops.count(), incidents.count()), (1, 0));
}

/// A future that is ready at its first poll, with a destructor of its own.
struct Ends<T>(Option<T>, #[expect(dead_code, reason = "panics when dropped")] Bomb);

impl<T: Unpin> Future for Ends<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<T> {
        Poll::Ready(self.0.take().expect("polled once"))
    }
}

#[test]
fn a_panic_in_a_futures_own_destructor_drops_the_output_once() {
    let (incidents, drops) = (Incidents::default(), Drops::default());
    block_on(&incidents.runtime(), async {
        let task = spawn(Ends(Some(drops.guard()), drops.bomb("in the destructor")));
        assert_eq!(panic_in(task).await, "in the destructor");
        // The output's destructor panics as well; the first panic counts.
        let output = drops.bomb("in the output");
        let task = spawn(Ends(Some(output), drops.bomb("in the destructor")));
        assert_eq!(panic_in(task).await, "in the destructor");
        works().await;
    });
    assert_eq!((drops.count(), incidents.count()), (4, 0));
}

#[test]
fn a_panic_in_the_destructor_of_a_cancelled_future_is_the_tasks_outcome() {
    let (incidents, drops) = (Incidents::default(), Drops::default());
    block_on(&incidents.runtime(), async {
        let bomb = drops.bomb("in the destructor");
        let task = spawn(async move {
            let _bomb = bomb;
            pending::<()>().await;
        });
        yield_now().await;
        task.cancel();
        assert_eq!(panic_in(task).await, "in the destructor");
        works().await;
    });
    assert_eq!((drops.count(), incidents.count()), (1, 0));
}

#[test]
fn a_panic_while_a_panic_unwinds_the_same_task_leaves_the_first_one() {
    let (incidents, drops) = (Incidents::default(), Drops::default());
    block_on(&incidents.runtime(), async {
        struct PanicsTwice(#[expect(dead_code, reason = "panics when dropped")] Bomb);

        impl Future for PanicsTwice {
            type Output = ();

            fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
                panic!("in the poll");
            }
        }

        let task = spawn(PanicsTwice(drops.bomb("in the destructor")));
        assert_eq!(panic_in(task).await, "in the poll");
        works().await;
    });
    assert_eq!((drops.count(), incidents.count()), (1, 0));
}

#[test]
fn a_panic_in_a_destructor_at_the_end_reaches_the_hook_and_stops_no_other() {
    let (incidents, drops) = (Incidents::default(), Drops::default());
    let runtime = incidents.runtime();
    block_on(&runtime, async {
        for _ in 0..3 {
            let (bomb, guard) = (drops.bomb("at the end"), drops.guard());
            spawn(async move {
                let _bomb = bomb;
                pending::<()>().await;
            });
            spawn(async move {
                let _guard = guard;
                pending::<()>().await;
            });
        }
        yield_now().await;
    });
    assert_eq!((drops.count(), incidents.count()), (0, 0));
    drop(runtime);
    assert_eq!(drops.count(), 6);
    assert_eq!(incidents.take_messages(), ["task: at the end"; 3]);
    run(works());
}

#[test]
fn a_panic_in_a_destructor_while_a_panic_of_main_unwinds_does_not_abort() {
    let (incidents, drops) = (Incidents::default(), Drops::default());
    let (runtime, bomb) = (incidents.runtime(), drops.bomb("at the end"));
    let outcome = catch_unwind(AssertUnwindSafe(move || {
        block_on(&runtime, async {
            spawn(async move {
                let _bomb = bomb;
                pending::<()>().await;
            });
            yield_now().await;
            panic!("main");
        })
    }));
    assert_eq!(message(&*outcome.unwrap_err() as &(dyn Any + Send)), "main");
    assert_eq!(
        (drops.count(), &*incidents.take_messages()),
        (1, &["task: at the end".to_owned()][..])
    );
    run(works());
}

#[test]
fn a_panic_in_the_destructor_of_an_untaken_output_reaches_the_hook() {
    let (incidents, drops) = (Incidents::default(), Drops::default());
    block_on(&incidents.runtime(), async {
        let [early, late] = [drops.bomb("detached early"), drops.bomb("dropped late")];
        drop(spawn(async move { early }));
        let late = spawn(async move { late });
        yield_now().await;
        drop(late);
        assert_eq!(incidents.take_messages(), ["task: detached early", "task: dropped late"]);
        works().await;
    });
    assert_eq!(drops.count(), 2);
}

#[test]
fn a_panic_whose_payload_panics_when_it_is_dropped_is_an_incident_of_its_own() {
    let (incidents, drops) = (Incidents::default(), Drops::default());
    block_on(&incidents.runtime(), async {
        let payload = drops.bomb("in the payload");
        drop(spawn(async move { panic_any(payload) }));
        yield_now().await;
        let expected = ["task: a payload without a message", "callback: in the payload"];
        assert_eq!(incidents.take_messages(), expected);
        works().await;
    });
    assert_eq!(drops.count(), 1);
}

// Panics of wakers, and of what the kernel gives back too late

/// Panics when it wakes.
struct PanickingWaker;

impl Wake for PanickingWaker {
    fn wake(self: Arc<Self>) {
        panic!("in the waker");
    }
}

/// Polls a future once with a waker that panics.
fn poll_with_panicking_waker<F: Future>(future: Pin<&mut F>) {
    let waker = Waker::from(Arc::new(PanickingWaker));
    assert!(future.poll(&mut Context::from_waker(&waker)).is_pending());
}

const IN_THE_WAKER: [&str; 1] = ["callback: in the waker"];

#[test]
fn a_panicking_waker_of_a_timer_stops_neither_the_timer_nor_the_others() {
    let incidents = Incidents::default();
    block_on(&incidents.runtime(), async {
        let mut panicking = pin!(sleep(Duration::from_millis(1)));
        poll_with_panicking_waker(panicking.as_mut());
        let others = [(); 10].map(|()| spawn(sleep(Duration::from_millis(1))));
        for other in others {
            other.await.unwrap();
        }
        assert_eq!(incidents.take_messages(), IN_THE_WAKER);
        panicking.await;
        works().await;
    });
}

#[test]
fn a_panicking_waker_of_an_operation_loses_no_byte() {
    let incidents = Incidents::default();
    block_on(&incidents.runtime(), async {
        let (mut near, mut far) = pair().await;
        let mut read = Box::pin(near.read(Vec::with_capacity(16)));
        poll_with_panicking_waker(read.as_mut());
        far.write_all("message").await.0.unwrap();
        until(|| incidents.count() == 1).await;
        assert_eq!(incidents.take_messages(), IN_THE_WAKER);
        assert_eq!(read.await.1, b"message");
        works().await;
    });
}

#[test]
fn a_panicking_waker_of_a_join_stops_neither_task() {
    let incidents = Incidents::default();
    block_on(&incidents.runtime(), async {
        let mut join = spawn(async { 5 }).into_future();
        poll_with_panicking_waker(pin!(&mut join));
        yield_now().await;
        assert_eq!(incidents.take_messages(), IN_THE_WAKER);
        assert_eq!(join.await.unwrap(), 5);
        works().await;
    });
}

/// A buffer whose destructor panics.
struct PanickingBuffer {
    bytes: Vec<u8>,
    _bomb: Bomb,
}

// SAFETY: it is the vector's memory, which does not move with the vector.
unsafe impl IoBuf for PanickingBuffer {
    fn stable_ptr(&self) -> *const u8 {
        self.bytes.stable_ptr()
    }

    fn bytes_init(&self) -> usize {
        self.bytes.bytes_init()
    }
}

// SAFETY: as above.
unsafe impl IoBufMut for PanickingBuffer {
    fn stable_mut_ptr(&mut self) -> *mut u8 {
        self.bytes.stable_mut_ptr()
    }

    fn bytes_total(&self) -> usize {
        self.bytes.bytes_total()
    }

    unsafe fn set_init(&mut self, count: usize) {
        // SAFETY: passed on by the caller.
        unsafe { self.bytes.set_init(count) };
    }
}

#[test]
fn a_panic_in_the_destructor_of_a_dropped_reads_buffer_loses_no_byte() {
    let (incidents, drops) = (Incidents::default(), Drops::default());
    block_on(&incidents.runtime(), async {
        let (mut near, mut far) = pair().await;
        let bomb = drops.bomb("in the buffer");
        let buffer = PanickingBuffer { bytes: Vec::with_capacity(16), _bomb: bomb };
        assert!(timeout(Duration::from_millis(1), near.read(buffer)).await.is_err());
        until(|| drops.count() == 1).await;
        assert_eq!(incidents.take_messages(), ["callback: in the buffer"]);
        far.write_all("message").await.0.unwrap();
        assert_eq!(near.read(Vec::with_capacity(16)).await.1, b"message");
        works().await;
    });
    assert_eq!(drops.count(), 1);
}

#[test]
fn a_panic_in_the_destructor_of_a_buffer_at_the_end_reaches_the_hook() {
    let (incidents, drops) = (Incidents::default(), Drops::default());
    let runtime = incidents.runtime();
    block_on(&runtime, async {
        let (mut near, far) = pair().await;
        let bomb = drops.bomb("in the buffer");
        spawn(async move {
            let _far = far;
            let buffer = PanickingBuffer { bytes: Vec::with_capacity(16), _bomb: bomb };
            let _ = near.read(buffer).await;
        });
        until(|| metrics().in_kernel >= 2).await;
    });
    assert_eq!(drops.count(), 0, "the kernel may still write to it");
    drop(runtime);
    assert_eq!(
        (drops.count(), incidents.take_messages()),
        (1, vec!["callback: in the buffer".into()])
    );
    run(works());
}
