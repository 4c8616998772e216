//! A stream whose items an async body emits.
//!
//! The body is polled by the stream's poll, and only then. What it emits stands in a place that both
//! know, until the same poll of the stream takes it from there; the body, which waits meanwhile, goes
//! on with the next poll.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use futures_util::Stream;
use futures_util::stream::FusedStream;

use crate::task::{budget, poll_until};

/// A stream of what `body` emits, which ends when the body does.
///
/// The body runs only while the stream is polled, and stands still at each [`Emitter::emit`] until the
/// next item is asked for; dropping the stream drops it where it stands. So what has to be cleaned up
/// belongs into destructors; in Python a generator that is closed can still await.
///
/// The stream needs no pinning: it can be used with `while let` and `StreamExt` as it is.
///
/// # Panics
///
/// The stream panics if the body does, and has ended then.
///
/// # Example
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
    let place = Rc::new(Place::default());
    let emitter = Emitter { place: Rc::clone(&place) };
    Generator { body: Some(Box::pin(async move { body(&emitter).await })), place }
}

/// [`generate`] for a body that can fail: its error is the stream's last item.
///
/// # Example
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

/// Where the body of a [`generate`] puts its items.
pub struct Emitter<T> {
    place: Rc<Place<T>>,
}

impl<T> Emitter<T> {
    /// Gives an item to the stream, and waits until the next one is asked for.
    ///
    /// # Cancel safety
    ///
    /// Dropped after its first poll, the item has been given all the same, unless another had been
    /// emitted in the same poll of the stream and not been taken yet.
    pub async fn emit(&self, item: T) {
        let place = &self.place;
        poll_fn(|context| place.poll_until(context, || !place.full.get())).await;
        place.put(item);
        let taken = place.taken.get();
        poll_fn(|context| place.poll_until(context, || place.taken.get() != taken)).await;
    }
}

impl<T> fmt::Debug for Emitter<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Emitter").field("full", &self.place.full.get()).finish()
    }
}

/// What a generator and its body share.
struct Place<T> {
    item: RefCell<Option<T>>,
    full: Cell<bool>,
    /// How many items have been asked for after they were put here.
    taken: Cell<u64>,
    /// Who waits in the body for the item to be taken.
    waiting: RefCell<Vec<Waker>>,
}

impl<T> Default for Place<T> {
    fn default() -> Self {
        Self {
            item: RefCell::default(),
            full: Cell::default(),
            taken: Cell::default(),
            waiting: RefCell::default(),
        }
    }
}

impl<T> Place<T> {
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

    /// The next item is asked for by a poll with `context`, which comes to the body right after this.
    fn ask(&self, context: &Context<'_>) {
        if self.item.borrow().is_none() && self.full.replace(false) {
            self.taken.set(self.taken.get() + 1);
        }
        // Wakers are foreign: they are called and dropped while nothing is borrowed.
        let mut waiting = self.waiting.take();
        for waker in waiting.drain(..).filter(|waker| !waker.will_wake(context.waker())) {
            waker.wake();
        }
        let newer = self.waiting.replace(waiting);
        self.waiting.borrow_mut().extend(newer);
    }
}

/// The stream of [`generate`].
#[must_use = "streams do nothing unless polled"]
pub struct Generator<'a, T> {
    /// Absent once it has ended.
    body: Option<Pin<Box<dyn Future<Output = ()> + 'a>>>,
    place: Rc<Place<T>>,
}

impl<T> Stream for Generator<'_, T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        // So that a body that never waits keeps nobody from its turn.
        ready!(budget::poll_spend(context));
        // Taken out, so that a body that panics is gone.
        let Some(mut body) = self.body.take() else { return Poll::Ready(None) };
        self.place.ask(context);
        if body.as_mut().poll(context).is_pending() {
            self.body = Some(body);
        }
        let item = self.place.item.take();
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
