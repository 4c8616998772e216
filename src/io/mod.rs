//! Buffered streams, with the methods of asyncio's: [`StreamReader`] and [`StreamWriter`].
//!
//! They stand on two traits, [`AsyncRead`] and [`AsyncWrite`], which connections implement; for TCP,
//! [`net`](crate::net) names them [`net::StreamReader`](crate::net::StreamReader) and
//! [`net::StreamWriter`](crate::net::StreamWriter).
//!
//! A reader keeps what it has received and nobody has taken, so each of its methods can be dropped and
//! called again without a loss. A writer has a queue, which a task of its own sends: all that was
//! written in one turn of the loop goes out at once, and a dropped write or drain neither loses nor
//! repeats anything.

mod bytes_stream;
mod copy;
mod goal;
mod lines;
mod read_buffer;
mod read_error;
mod reader;
mod records;
mod write_queue;
mod writer;

use std::any::Any;
use std::future::Future;
use std::io;
use std::rc::Weak;

pub use bytes_stream::{BytesStream, bytes_stream};
pub use copy::copy;
pub use lines::Lines;
pub use read_error::ReadError;
pub use reader::StreamReader;
pub use writer::StreamWriter;

use crate::buf::{BufResult, IoBuf, IoBufMut, Lease};

/// Something that bytes come from.
pub trait AsyncRead {
    /// Receives what is there; no bytes mean the end.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it loses nothing: what had arrived is what the next call returns.
    fn recv(&mut self) -> impl Future<Output = io::Result<Lease>>;

    /// Reads what is there into a buffer: at least one byte, at most its capacity; zero bytes at the end,
    /// or if it has no capacity.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it loses no byte; the buffer is lost.
    fn read<B: IoBufMut>(&mut self, buffer: B) -> impl Future<Output = BufResult<usize, B>>;
}

/// Something that bytes go to.
pub trait AsyncWrite {
    /// Writes all of a buffer.
    ///
    /// # Cancel safety
    ///
    /// Dropped, an unknown part has been written. A [`StreamWriter`] does better.
    fn write_all<B: IoBuf>(&mut self, buffer: B) -> impl Future<Output = BufResult<(), B>>;

    /// Ends writing, so that whoever reads at the other end comes to an end.
    fn shutdown(&mut self) -> impl Future<Output = io::Result<()>>;

    /// Breaks the connection in both directions, without sending what has not been sent. The peer
    /// must not take it for an end: over TCP it is a reset. A task that reads here comes to its end.
    fn abort(&mut self);

    /// Ends the connection in both directions, after all has been written: a task that reads here
    /// comes to its end, also if the peer does not. It is followed by the drop, and does nothing where
    /// that is enough, as by default.
    fn close(&mut self) {}

    /// The connection itself, for the writers of this crate.
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
