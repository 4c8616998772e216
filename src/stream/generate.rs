//! A stream whose items an async body emits.
//!
//! The body is polled by a poll of the stream, and only then. An item that it emits is stored in
//! the `Handoff`, from which the same poll of the stream takes it. Until the next poll the body
//! waits.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use futures_util::Stream;
use futures_util::stream::FusedStream;

use crate::task::{coop, poll_until, wake};

/// Creates a stream of the items that `body` emits, which ends when the body does.
///
/// The body runs only while the stream is polled, and waits at each [`Emitter::emit`] until the
/// next item is requested. Dropping the stream drops the body at that point. So cleaning up belongs
/// into destructors; in Python a generator that is closed can still await.
///
/// The stream needs no pinning: it can be used with `while let` and `StreamExt` as it is.
///
/// # Panics
///
/// The stream panics if the body does, and has then ended. A body cannot poll its own stream: a
/// [`RefCell`] that holds the stream is borrowed while the body runs, so borrowing it there panics.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use annulus::stream::generate;
/// use annulus::time::sleep;
/// use futures_util::StreamExt;
///
/// annulus::run(async {
///     let mut ticker = generate(async |y| {
///         for n in 0..3 {
///             sleep(Duration::from_millis(1)).await;
///             y.emit(n).await;
///         }
///     });
///     while let Some(n) = ticker.next().await {
///         println!("{n}");
///     }
///
///     let squares = generate(async |y| {
///         for n in 1.. {
///             y.emit(n * n).await;
///         }
///     });
///     assert_eq!(squares.take(3).collect::<Vec<_>>().await, [1, 4, 9]);
/// })?;
/// # Ok::<(), annulus::SetupError>(())
/// ```
#[doc(alias = "async generator")]
pub fn generate<'a, T: 'a>(body: impl AsyncFnOnce(&Emitter<T>) + 'a) -> Generator<'a, T> {
    let handoff = Rc::new(Handoff::default());
    let emitter = Emitter { handoff: Rc::clone(&handoff) };
    Generator { body: Some(Box::pin(async move { body(&emitter).await })), handoff }
}

/// Creates a stream as [`generate`] does, of a body that can fail.
///
/// The error that the body returns is the stream's last item.
///
/// # Examples
///
/// ```
/// use annulus::stream::try_generate;
/// use futures_util::StreamExt;
///
/// annulus::run(async {
///     let numbers = try_generate(async |y| {
///         for text in ["1", "2", "three", "4"] {
///             let number = text.parse::<u8>()?;
///             y.emit(Ok(number)).await;
///         }
///         Ok::<_, std::num::ParseIntError>(())
///     });
///     let numbers: Vec<_> = numbers.collect().await;
///     assert!(matches!(numbers[..], [Ok(1), Ok(2), Err(_)]));
/// })?;
/// # Ok::<(), annulus::SetupError>(())
/// ```
pub fn try_generate<'a, T: 'a, E: 'a>(
    body: impl AsyncFnOnce(&Emitter<Result<T, E>>) -> Result<(), E> + 'a,
) -> Generator<'a, Result<T, E>> {
    generate(async move |emitter: &Emitter<Result<T, E>>| {
        if let Err(error) = body(emitter).await {
            emitter.emit(Err(error)).await;
        }
    })
}

/// Emits the items of a [`generate`] body.
pub struct Emitter<T> {
    handoff: Rc<Handoff<T>>,
}

impl<T> Emitter<T> {
    /// Emits an item, and waits until the next one is requested.
    ///
    /// # Cancel safety
    ///
    /// Dropped after its first poll, it has emitted the item nevertheless, unless another item was
    /// emitted in the same poll of the stream.
    #[doc(alias = "yield")]
    pub async fn emit(&self, item: T) {
        let handoff = &self.handoff;
        poll_fn(|context| handoff.poll_until(context, || !handoff.full.get())).await;
        handoff.put(item);
        let taken = handoff.taken.get();
        poll_fn(|context| handoff.poll_until(context, || handoff.taken.get() != taken)).await;
    }
}

impl<T> fmt::Debug for Emitter<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Emitter").field("full", &self.handoff.full.get()).finish()
    }
}

/// Passes items from the body to the stream, which share it.
struct Handoff<T> {
    item: RefCell<Option<T>>,
    /// Whether an item was put for which no next one has been requested yet.
    full: Cell<bool>,
    /// For how many items the next one has been requested.
    taken: Cell<u64>,
    /// The wakers of emits that wait for that.
    waiting: RefCell<Vec<Waker>>,
}

impl<T> Default for Handoff<T> {
    fn default() -> Self {
        Self {
            item: RefCell::default(),
            full: Cell::default(),
            taken: Cell::default(),
            waiting: RefCell::default(),
        }
    }
}

impl<T> Handoff<T> {
    fn put(&self, item: T) {
        self.full.set(true);
        *self.item.borrow_mut() = Some(item);
    }

    fn poll_until(&self, context: &Context<'_>, holds: impl Fn() -> bool) -> Poll<()> {
        poll_until(
            context,
            || holds().then_some(()),
            |waker| {
                self.waiting.borrow_mut().push(waker);
                None
            },
        )
    }

    /// Requests the next item, for a poll of the stream with `context`, which then polls the body.
    fn request(&self, context: &Context<'_>) {
        if self.item.borrow().is_none() && self.full.replace(false) {
            self.taken.set(self.taken.get() + 1);
        }
        // Wakers are foreign code: they are woken and dropped while nothing is borrowed.
        let mut waiting = self.waiting.take();
        waiting.drain(..).filter(|waker| !waker.will_wake(context.waker())).for_each(wake);
        let newer = self.waiting.replace(waiting);
        self.waiting.borrow_mut().extend(newer);
    }
}

/// The stream of [`generate`]. It is fused.
#[must_use = "streams do nothing unless polled"]
pub struct Generator<'a, T> {
    /// `None` once it has ended, and while it is polled.
    body: Option<Pin<Box<dyn Future<Output = ()> + 'a>>>,
    handoff: Rc<Handoff<T>>,
}

impl<T> Stream for Generator<'_, T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        // So that a body that never waits does not starve other tasks.
        ready!(coop::poll_spend(context));
        // Taken out, so that a body that panics is dropped.
        let Some(mut body) = self.body.take() else { return Poll::Ready(None) };
        self.handoff.request(context);
        if body.as_mut().poll(context).is_pending() {
            self.body = Some(body);
        }
        let item = self.handoff.item.take();
        match item {
            None if self.body.is_some() => Poll::Pending,
            last => Poll::Ready(last),
        }
    }
}

impl<T> FusedStream for Generator<'_, T> {
    fn is_terminated(&self) -> bool {
        self.body.is_none()
    }
}

impl<T> fmt::Debug for Generator<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Generator").field("ended", &self.body.is_none()).finish()
    }
}
