//! Thread-bound values without a kernel and a runtime, for Miri: who touches the value, and when it
//! is dropped.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread;

use futures_util::{Stream, stream};

use super::ThreadBound;
use crate::error::{Incident, catch_panic};
use crate::task::{Executor, RuntimeId};
use crate::trace::SlowPolls;

/// The owner of an executor.
struct Owner {
    executor: Executor,
    rings: Arc<Mutex<u32>>,
    incidents: Arc<Mutex<Vec<String>>>,
    dropped: Rc<RefCell<Vec<u32>>>,
}

impl Owner {
    fn new() -> Self {
        let (rings, incidents) = (Arc::new(Mutex::new(0)), Arc::new(Mutex::new(Vec::new())));
        let (its_rings, its_incidents) = (Arc::clone(&rings), Arc::clone(&incidents));
        let bell = move || *its_rings.lock().unwrap() += 1;
        let hook = move |incident: &Incident| {
            its_incidents.lock().unwrap().push(incident.to_string());
        };
        let executor = Executor::new(
            RuntimeId::of(&Rc::new(())),
            Arc::new(bell),
            Arc::new(hook),
            SlowPolls::default(),
        );
        Self { executor, rings, incidents, dropped: Rc::default() }
    }

    fn bind(&self, number: u32) -> ThreadBound<Listed> {
        self.executor.bind(Listed(Rc::clone(&self.dropped), number))
    }

    /// Which values have been dropped since the last call.
    fn dropped(&self) -> Vec<u32> {
        self.dropped.take()
    }

    fn incidents(&self) -> Vec<String> {
        std::mem::take(&mut *self.incidents.lock().unwrap())
    }
}

/// Adds its number to a list when it is dropped. Another thread would race for the list's count.
struct Listed(Rc<RefCell<Vec<u32>>>, u32);

impl Drop for Listed {
    fn drop(&mut self) {
        self.0.borrow_mut().push(self.1);
    }
}

/// Drops a value on another thread.
fn drop_elsewhere<T: 'static>(bound: ThreadBound<T>) {
    thread::spawn(move || drop(bound)).join().unwrap();
}

#[test]
fn a_value_is_accessible_on_its_own_thread_only() {
    let owner = Owner::new();
    let mut bound = owner.executor.bind(Rc::new(Cell::new(1)));
    bound.set(2);
    *bound = Rc::new(Cell::new(bound.get().unwrap().get() + 1));
    assert!(bound.is_local());
    assert_eq!(bound.get_mut().unwrap().get(), 3);
    let shared = &bound;
    thread::scope(|scope| {
        scope.spawn(move || {
            assert!(!shared.is_local());
            assert!(shared.get().is_none());
            assert!(format!("{shared:?}").contains("another thread"));
            let message = catch_panic(|| _ = shared.take()).unwrap();
            assert!(message.contains("was dereferenced on thread 'unnamed'"), "{message}");
        });
    });
    bound = thread::spawn(move || {
        assert!(bound.get_mut().is_none());
        assert!(Pin::new(&mut bound).get_pin_mut().is_none());
        bound.into_inner().unwrap_err()
    })
    .join()
    .unwrap();
    assert_eq!(format!("{bound:?}"), "ThreadBound(Cell { value: 3 })");
    assert_eq!(Rc::try_unwrap(bound.into_inner().unwrap()).unwrap().get(), 3);
    owner.executor.close();
}

#[test]
fn a_value_dropped_on_another_thread_is_dropped_by_its_own() {
    let owner = Owner::new();
    drop_elsewhere(owner.bind(1));
    assert!(owner.dropped().is_empty());
    assert!(owner.executor.receive(), "the owner is notified");
    assert!(!owner.executor.drop_returned(8));
    assert_eq!(owner.dropped(), [1]);
    assert_eq!(*owner.rings.lock().unwrap(), 0, "it was awake");

    assert!(owner.executor.park());
    drop_elsewhere(owner.bind(2));
    assert_eq!(*owner.rings.lock().unwrap(), 1, "its sleep is ended");
    drop(owner.bind(3));
    assert_eq!(owner.dropped(), [3], "a value is dropped at once on its own thread");
    assert!(owner.executor.receive());
    owner.executor.close();
    assert_eq!(owner.dropped(), [2]);
    assert!(owner.incidents().is_empty());
}

#[test]
fn returned_values_are_dropped_in_order_and_at_most_as_many_as_allowed() {
    let owner = Owner::new();
    (0..3).for_each(|number| drop_elsewhere(owner.bind(number)));
    assert!(owner.executor.drop_returned(2));
    assert_eq!(owner.dropped(), [0, 1]);
    (3..5).for_each(|number| drop_elsewhere(owner.bind(number)));
    assert!(owner.executor.drop_returned(2));
    assert_eq!(owner.dropped(), [2, 3]);
    drop_elsewhere(owner.bind(5));
    owner.executor.close();
    assert_eq!(owner.dropped(), [4, 5]);
}

#[test]
fn a_value_dropped_elsewhere_after_the_end_is_leaked_and_reported() {
    let owner = Owner::new();
    let (late, own) = (owner.bind(1), owner.bind(2));
    owner.executor.close();
    drop_elsewhere(late);
    let incidents = owner.incidents();
    assert!(incidents[0].contains("Listed> was dropped on another thread"), "{incidents:?}");
    assert_eq!(incidents.len(), 1);
    assert!(owner.dropped().is_empty());
    // On its own thread nothing has changed, not even after the executor.
    let Owner { executor, dropped, .. } = owner;
    drop(executor);
    assert_eq!(own.1, 2);
    drop(own);
    assert_eq!(*dropped.borrow(), [2]);
}

#[test]
fn a_panic_of_a_returned_values_destructor_is_an_incident_and_delays_no_other() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("thrown by a destructor");
        }
    }
    let owner = Owner::new();
    drop_elsewhere(owner.executor.bind((Bomb, Box::new(1))));
    drop_elsewhere(owner.bind(1));
    owner.executor.drop_returned(8);
    assert_eq!(owner.dropped(), [1]);
    let incidents = owner.incidents();
    assert!(incidents[0].contains("thrown by a destructor"), "{incidents:?}");
    owner.executor.close();
}

#[test]
fn a_returned_values_destructor_may_make_and_send_home_further_ones() {
    struct Parent(Rc<Owner>);
    impl Drop for Parent {
        fn drop(&mut self) {
            drop(self.0.bind(1));
            drop_elsewhere(self.0.bind(2));
            drop_elsewhere(self.0.bind(3));
            self.0.executor.drop_returned(1);
        }
    }
    let owner = Rc::new(Owner::new());
    drop_elsewhere(owner.executor.bind((Parent(Rc::clone(&owner)), owner.bind(4))));
    drop_elsewhere(owner.bind(5));
    owner.executor.drop_returned(usize::MAX);
    // The first was taken with the last, so that one is dropped by the nested call.
    assert_eq!(owner.dropped(), [1, 5, 4, 2, 3]);
    owner.executor.close();
}

#[test]
fn a_pinned_future_stays_where_it_is_and_is_dropped_there() {
    /// Knows where it was polled.
    struct Pinned(Cell<usize>, Rc<Cell<bool>>, std::marker::PhantomPinned);
    impl Future for Pinned {
        type Output = ();

        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
            self.0.set(std::ptr::from_ref(&*self).addr());
            Poll::Pending
        }
    }
    impl Drop for Pinned {
        fn drop(&mut self) {
            self.1.set(self.0.get() == std::ptr::from_ref(self).addr());
        }
    }
    let (owner, stayed) = (Owner::new(), Rc::new(Cell::new(false)));
    let future = Pinned(Cell::new(0), Rc::clone(&stayed), std::marker::PhantomPinned);
    let mut bound = Box::pin(owner.executor.bind(future));
    assert!(bound.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    thread::spawn(move || drop(bound)).join().unwrap();
    owner.executor.drop_returned(1);
    assert!(stayed.get());
    owner.executor.close();
}

#[test]
fn a_bound_future_or_stream_is_polled_on_its_own_thread_only() {
    let (owner, mut context) = (Owner::new(), Context::from_waker(Waker::noop()));
    let local = Rc::new(6);
    let mut future = owner.executor.bind(poll_fn(move |_| Poll::Ready(*local * 7)));
    let mut items = owner.executor.bind(stream::iter([1, 2]));
    assert_eq!(items.size_hint(), (2, Some(2)));
    assert_eq!(Pin::new(&mut items).poll_next(&mut context), Poll::Ready(Some(1)));
    let polled = thread::spawn(move || {
        let mut context = Context::from_waker(Waker::noop());
        let message = catch_panic(|| _ = Pin::new(&mut future).poll(&mut context)).unwrap();
        assert!(message.contains("was polled on thread"), "{message}");
        let message = catch_panic(|| _ = Pin::new(&mut items).poll_next(&mut context)).unwrap();
        assert!(message.contains("was polled on thread"), "{message}");
        assert_eq!(items.size_hint(), (0, None));
        (future, items)
    });
    let (mut future, mut items) = polled.join().unwrap();
    assert_eq!(Pin::new(&mut items).poll_next(&mut context), Poll::Ready(Some(2)));
    assert_eq!(Pin::new(&mut future).poll(&mut context), Poll::Ready(42));
    owner.executor.close();
}
