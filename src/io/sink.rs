//! A writer as a `Sink`, for code that takes such sinks.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::sink::Sink;

use super::goal::Goal;
use super::{AsyncWrite, StreamWriter};

/// Items are queued as by [`write`](StreamWriter::write), and the sink is ready while there is
/// room. Flushing waits until the kernel has taken all bytes, closing until the connection is
/// released.
impl<T: AsRef<[u8]>, W: AsyncWrite + 'static> Sink<T> for StreamWriter<W> {
    type Error = io::Error;

    fn poll_ready(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_goal(Goal::Room(0), context)
    }

    fn start_send(mut self: Pin<&mut Self>, item: T) -> io::Result<()> {
        self.write_nowait(item)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_goal(Goal::Sent, context)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_goal(Goal::Sent, context))?;
        self.close();
        self.poll_goal(Goal::Closed, context)
    }
}
