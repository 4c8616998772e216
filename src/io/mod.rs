//! Buffered byte streams, with asyncio's methods: [`StreamReader`] and [`StreamWriter`].
//!
//! They are built on two traits, [`AsyncRead`] and [`AsyncWrite`], which connections implement. For
//! TCP, [`net`](crate::net) has the aliases [`net::StreamReader`](crate::net::StreamReader) and
//! [`net::StreamWriter`](crate::net::StreamWriter).
//!
//! A reader keeps the bytes that it has received and that have not been read, so each of its
//! methods can be dropped and called again without a loss. A writer has a queue, which a background
//! task sends: all that was written in one turn of the loop is sent at once, and a dropped write or
//! drain neither loses nor repeats a byte.
//!
//! [`AsyncFd`] waits for any other descriptor.

mod async_fd;
mod bytes_stream;
mod connection_guard;
mod copy;
mod event_fd;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod goal;
mod lines;
mod overlong;
pub(crate) mod pipe_ops;
mod read_buffer;
mod read_error;
mod reader;
mod readiness;
mod ready_events;
#[cfg(feature = "codec")]
mod received;
mod records;
mod sink;
mod standard_input;
mod standard_output;
mod standard_stream;
#[cfg(any(feature = "futures-io", feature = "tokio-io"))]
mod thread_bound;
mod write_queue;
mod writer;

use std::any::Any;
use std::future::Future;
use std::io;
use std::rc::Weak;

pub use async_fd::{AsyncFd, ReadyGuard, TryIoError};
pub use bytes_stream::{BytesStream, bytes_stream};
pub use copy::copy;
pub use event_fd::{EventFd, EventFdHandle};
pub use lines::Lines;
pub use read_error::ReadError;
pub use reader::StreamReader;
pub(crate) use reader::checked_limit;
pub use readiness::{Interest, Ready};
pub use ready_events::ReadyEvents;
#[cfg(feature = "codec")]
pub use received::Received;
pub use standard_input::{Stdin, stdin};
pub use standard_output::{Stderr, Stdout, stderr, stdout};
pub use writer::StreamWriter;

use crate::buf::{BufResult, IoBuf, IoBufMut, Lease};

/// A source of bytes, such as the reading half of a connection.
///
/// # Example
///
/// A source of a program's own, which lends what a vector holds:
///
/// ```
/// use annulus::buf::{BufResult, IoBufMut, Lease};
/// use annulus::io::{AsyncRead, StreamReader};
/// use std::io;
///
/// struct Memory(Lease);
///
/// impl AsyncRead for Memory {
///     async fn recv(&mut self) -> io::Result<Lease> {
///         Ok(self.0.split_to(self.0.len()))
///     }
///
///     async fn read<B: IoBufMut>(&mut self, mut buffer: B) -> BufResult<usize, B> {
///         let count = buffer.fill_from(&self.0);
///         // SAFETY: `fill_from` has written these bytes.
///         unsafe { buffer.set_init(count) };
///         self.0.advance(count);
///         BufResult(Ok(count), buffer)
///     }
/// }
///
/// annulus::run(async {
///     let mut reader = StreamReader::new(Memory(Lease::from(b"one\ntwo\n".to_vec())));
///     assert_eq!(&*reader.read_line().await?, b"one\n");
///     assert_eq!(&*reader.read_to_end().await?, b"two\n");
///     io::Result::Ok(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait AsyncRead {
    /// Receives the available bytes, at least one. No bytes mean EOF.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it loses no byte: the next call returns what had arrived.
    fn recv(&mut self) -> impl Future<Output = io::Result<Lease>>;

    /// Reads the available bytes into a buffer.
    ///
    /// Returns how many, which is at least one and at most the buffer's capacity. Zero means EOF,
    /// or a buffer without capacity.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it loses no byte, only the buffer.
    fn read<B: IoBufMut>(&mut self, buffer: B) -> impl Future<Output = BufResult<usize, B>>;
}

/// A destination of bytes, such as the writing half of a connection.
pub trait AsyncWrite {
    /// Writes all of a buffer.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it may have written a part of the buffer, of unknown length. A [`StreamWriter`]
    /// avoids that.
    fn write_all<B: IoBuf>(&mut self, buffer: B) -> impl Future<Output = BufResult<(), B>>;

    /// Shuts down the writing direction: the peer reads EOF.
    fn shutdown(&mut self) -> impl Future<Output = io::Result<()>>;

    /// Aborts the connection in both directions, without sending what is unsent.
    ///
    /// The peer must not read EOF from it: over TCP it is a reset. A task that reads from this end
    /// of the connection reads EOF.
    fn abort(&mut self);

    /// Closes the connection in both directions, after all bytes have been written.
    ///
    /// A task that reads from this end of the connection reads EOF, even if the peer sends more.
    /// The writer is dropped directly afterwards. Does nothing by default, where the drop suffices.
    fn close(&mut self) {}

    /// The connection itself, for crate-internal use by `StreamWriter`.
    #[doc(hidden)]
    fn connection(&self) -> Option<Weak<dyn Any>> {
        None
    }
}

impl<T: AsyncRead> AsyncRead for &mut T {
    async fn recv(&mut self) -> io::Result<Lease> {
        T::recv(self).await
    }

    async fn read<B: IoBufMut>(&mut self, buffer: B) -> BufResult<usize, B> {
        T::read(self, buffer).await
    }
}

impl<T: AsyncWrite> AsyncWrite for &mut T {
    async fn write_all<B: IoBuf>(&mut self, buffer: B) -> BufResult<(), B> {
        T::write_all(self, buffer).await
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        T::shutdown(self).await
    }

    fn abort(&mut self) {
        T::abort(self);
    }

    fn close(&mut self) {
        T::close(self);
    }

    fn connection(&self) -> Option<Weak<dyn Any>> {
        T::connection(self)
    }
}
