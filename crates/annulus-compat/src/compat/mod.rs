//! [`Compat`]: one future, reader or writer made usable on the other side.
//!
//! `future` polls a future inside of Tokio's context, `to_futures` and `to_tokio` convert between
//! the I/O traits.

mod future;
mod to_futures;
mod to_tokio;

use std::fmt;
use std::pin::Pin;

use pin_project_lite::pin_project;
use tokio::runtime::Handle;

pin_project! {
    /// Makes a future that needs Tokio usable everywhere, and converts I/O traits.
    ///
    /// - A **future** is polled, and dropped, inside of the context of the Tokio runtime
    ///   [beside](crate::tokio), which the first poll starts if it is not running. No guard is
    ///   needed: polled on a thread that has none, it keeps that runtime until the process exits.
    /// - A **reader or writer** with the traits of `futures_io` has those of Tokio, and the other
    ///   way round: [`AsyncRead`], [`AsyncBufRead`] and [`AsyncWrite`]. What has Tokio's traits is
    ///   polled inside of the context, too.
    ///
    /// # Panics
    ///
    /// When it is polled and Tokio cannot be started; see [`try_beside`](crate::tokio::try_beside).
    ///
    /// # Cancel safety
    ///
    /// That of what it wraps.
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use annulus_compat::Compat;
    ///
    /// annulus::run(async {
    ///     Compat::new(async {
    ///         tokio::time::sleep(Duration::from_millis(1)).await;
    ///     })
    ///     .await;
    /// })?;
    /// # Ok::<(), annulus::SetupError>(())
    /// ```
    ///
    /// A reader of Tokio's where one of futures is expected:
    ///
    /// ```
    /// use annulus_compat::Compat;
    /// use futures_util::AsyncReadExt;
    ///
    /// annulus::run(async {
    ///     let (mut client, server) = tokio::io::duplex(64);
    ///     tokio::io::AsyncWriteExt::write_all(&mut client, b"hello").await?;
    ///     let mut word = [0; 5];
    ///     Compat::new(server).read_exact(&mut word).await?;
    ///     assert_eq!(&word, b"hello");
    ///     Ok::<(), std::io::Error>(())
    /// })??;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// [`AsyncRead`]: tokio::io::AsyncRead
    /// [`AsyncBufRead`]: tokio::io::AsyncBufRead
    /// [`AsyncWrite`]: tokio::io::AsyncWrite
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct Compat<T> {
        // `None` only while it is dropped.
        #[pin]
        inner: Option<T>,
        // From the first poll that needs it.
        handle: Option<Handle>,
    }

    impl<T> PinnedDrop for Compat<T> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            // Destructors may need Tokio, too. What was never polled in its context is dropped as
            // it came.
            let _entered = this.handle.as_ref().map(Handle::enter);
            this.inner.set(None);
        }
    }
}

/// Why there is always something to use.
const KEPT: &str = "what is wrapped is there until it is dropped";

impl<T> Compat<T> {
    /// Wraps a future, a reader or a writer.
    pub fn new(inner: T) -> Self {
        Self { inner: Some(inner), handle: None }
    }

    /// Returns what is wrapped.
    pub fn get_ref(&self) -> &T {
        self.inner.as_ref().expect(KEPT)
    }

    /// Returns what is wrapped.
    pub fn get_mut(&mut self) -> &mut T {
        self.inner.as_mut().expect(KEPT)
    }

    /// Returns what is wrapped, pinned.
    pub fn get_pin_mut(self: Pin<&mut Self>) -> Pin<&mut T> {
        self.project().inner.as_pin_mut().expect(KEPT)
    }

    /// Runs `poll` inside of the context of the Tokio runtime beside.
    #[track_caller]
    fn entered<'a, R>(self: Pin<&'a mut Self>, poll: impl FnOnce(Pin<&'a mut T>) -> R) -> R {
        let this = self.project();
        let handle = this.handle.get_or_insert_with(|| {
            crate::tokio::handle_for_poll().unwrap_or_else(|error| panic!("{error}"))
        });
        let _entered = handle.enter();
        poll(this.inner.as_pin_mut().expect(KEPT))
    }
}

impl<T: fmt::Debug> fmt::Debug for Compat<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Compat").field(self.get_ref()).finish()
    }
}
