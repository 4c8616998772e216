//! A deterministic executor of one thread, without a kernel or a runtime; and futures polled by
//! hand.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::mem::{self, ManuallyDrop};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Wake, Waker};

type Future<'a> = Pin<Box<dyn std::future::Future<Output = ()> + 'a>>;

/// Tasks, which run first in, first out, when they are told to.
#[derive(Default)]
pub(crate) struct Tasks<'a> {
    ready: Arc<Ready>,
    futures: RefCell<Vec<Rc<RefCell<Option<Future<'a>>>>>>,
}

type Ready = Mutex<VecDeque<usize>>;

struct TaskWaker(Arc<Ready>, usize);

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        let mut ready = self.0.lock().unwrap();
        if !ready.contains(&self.1) {
            ready.push_back(self.1);
        }
    }
}

impl<'a> Tasks<'a> {
    /// Starts a task: it is polled by the next run.
    pub(crate) fn spawn<T: 'a>(
        &self,
        future: impl std::future::Future<Output = T> + 'a,
    ) -> Task<'a, T> {
        let output = Rc::new(Cell::new(None));
        let its = Rc::clone(&output);
        let boxed: Future<'a> = Box::pin(async move { its.set(Some(future.await)) });
        let future = Rc::new(RefCell::new(Some(boxed)));
        let mut futures = self.futures.borrow_mut();
        self.ready.lock().unwrap().push_back(futures.len());
        futures.push(Rc::clone(&future));
        Task { future, output }
    }

    /// Lets each task that is ready now run once, as `asyncio.sleep(0)` does.
    pub(crate) fn turn(&self) {
        let ready = mem::take(&mut *self.ready.lock().unwrap());
        ready.into_iter().for_each(|index| self.poll(index));
    }

    /// Lets tasks run until none is ready.
    pub(crate) fn settle(&self) {
        while !self.ready.lock().unwrap().is_empty() {
            self.turn();
        }
    }

    fn poll(&self, index: usize) {
        let task = Rc::clone(&self.futures.borrow()[index]);
        // Cancelled meanwhile, it is gone.
        let Some(mut future) = task.take() else { return };
        let waker = Waker::from(Arc::new(TaskWaker(Arc::clone(&self.ready), index)));
        if future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
            *task.borrow_mut() = Some(future);
        }
    }
}

/// A task of [`Tasks`].
pub(crate) struct Task<'a, T> {
    future: Rc<RefCell<Option<Future<'a>>>>,
    output: Rc<Cell<Option<T>>>,
}

impl<T> Task<'_, T> {
    pub(crate) fn is_done(&self) -> bool {
        let output = self.output.take();
        let done = output.is_some();
        self.output.set(output);
        done
    }

    pub(crate) fn output(&self) -> T {
        self.output.take().expect("the task is done")
    }

    /// Drops the task's future.
    pub(crate) fn cancel(&self) {
        drop(self.future.take());
    }

    /// Forgets the task's future.
    pub(crate) fn forget(&self) {
        mem::forget(self.future.take());
    }
}

/// Counts how often it is woken.
#[derive(Default)]
pub(crate) struct WakeCount(AtomicUsize);

impl WakeCount {
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for WakeCount {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A future that is polled by hand, with a waker that counts.
pub(crate) struct Polled<'a, T> {
    future: Pin<Box<dyn std::future::Future<Output = T> + 'a>>,
    wakes: Arc<WakeCount>,
    seen: usize,
}

impl<'a, T> Polled<'a, T> {
    pub(crate) fn new(future: impl std::future::Future<Output = T> + 'a) -> Self {
        Self { future: Box::pin(future), wakes: Arc::default(), seen: 0 }
    }

    /// Polls it, and again if it only yielded because a budget was used up.
    pub(crate) fn poll(&mut self) -> Poll<T> {
        let waker = Waker::from(Arc::clone(&self.wakes));
        loop {
            let before = self.wakes.count();
            let polled = self.poll_with(&waker);
            self.seen = self.wakes.count();
            if polled.is_ready() || self.seen == before {
                return polled;
            }
        }
    }

    pub(crate) fn poll_with(&mut self, waker: &Waker) -> Poll<T> {
        self.future.as_mut().poll(&mut Context::from_waker(waker))
    }

    /// The output of a future that is ready.
    pub(crate) fn now(&mut self) -> T {
        match self.poll() {
            Poll::Ready(output) => output,
            Poll::Pending => panic!("it has to wait"),
        }
    }

    /// Polls it, and expects it to wait.
    pub(crate) fn waits(mut self) -> Self {
        assert!(self.poll().is_pending(), "it need not wait");
        self
    }

    /// Whether it was woken since it was polled.
    pub(crate) fn is_woken(&self) -> bool {
        self.wakes.count() > self.seen
    }
}

/// The output of a future that is ready at once.
pub(crate) fn now<'a, T>(future: impl std::future::Future<Output = T> + 'a) -> T {
    Polled::new(future).now()
}

/// A future that has been polled once, and waits.
pub(crate) fn waiting<'a, T>(future: impl std::future::Future<Output = T> + 'a) -> Polled<'a, T> {
    Polled::new(future).waits()
}

thread_local! {
    static HOOKS: RefCell<Vec<Rc<dyn Fn()>>> = const { RefCell::new(Vec::new()) };
}

/// A number by which a function that is not `Send` can be called from a waker, on this thread.
fn hook(call: impl Fn() + 'static) -> usize {
    HOOKS.with_borrow_mut(|hooks| {
        hooks.push(Rc::new(call));
        hooks.len() - 1
    })
}

fn call(hook: Option<usize>) {
    if let Some(hook) = hook {
        let hook = HOOKS.with_borrow(|hooks| Rc::clone(&hooks[hook]));
        hook();
    }
}

#[derive(Default)]
struct Hooked {
    when_cloned: Option<usize>,
    when_woken: Option<usize>,
    when_dropped: Option<usize>,
}

impl Wake for Hooked {
    fn wake(self: Arc<Self>) {
        call(self.when_woken);
    }
}

impl Drop for Hooked {
    fn drop(&mut self) {
        call(self.when_dropped);
    }
}

/// A waker that calls a function when it is woken.
pub(crate) fn waker_that(when_woken: impl Fn() + 'static) -> Waker {
    Waker::from(Arc::new(Hooked { when_woken: Some(hook(when_woken)), ..Hooked::default() }))
}

/// A waker that calls a function when its last clone is dropped.
pub(crate) fn waker_whose_drop(when_dropped: impl Fn() + 'static) -> Waker {
    Waker::from(Arc::new(Hooked { when_dropped: Some(hook(when_dropped)), ..Hooked::default() }))
}

/// A waker that calls one function when it is cloned, and another when it is woken.
pub(crate) fn waker_whose_clone(
    when_cloned: impl Fn() + 'static,
    when_woken: impl Fn() + 'static,
) -> Waker {
    let hooked = Hooked {
        when_cloned: Some(hook(when_cloned)),
        when_woken: Some(hook(when_woken)),
        ..Hooked::default()
    };
    // SAFETY: the functions of the table keep the contract of a waker, with a reference of an `Arc`
    // whose content any thread may have.
    unsafe { Waker::from_raw(raw(Arc::new(hooked))) }
}

fn raw(hooked: Arc<Hooked>) -> RawWaker {
    RawWaker::new(Arc::into_raw(hooked).cast(), &HOOKED)
}

static HOOKED: RawWakerVTable = RawWakerVTable::new(
    |data| {
        // SAFETY: the waker that is cloned has a reference, which is not given up here.
        let hooked = ManuallyDrop::new(unsafe { Arc::from_raw(data.cast::<Hooked>()) });
        call(hooked.when_cloned);
        raw(Arc::clone(&hooked))
    },
    // SAFETY: the waker gives up its reference.
    |data| unsafe { Arc::from_raw(data.cast::<Hooked>()) }.wake(),
    // SAFETY: the waker has a reference, and keeps it.
    |data| call(unsafe { &*data.cast::<Hooked>() }.when_woken),
    // SAFETY: the waker gives up its reference.
    |data| drop(unsafe { Arc::from_raw(data.cast::<Hooked>()) }),
);
