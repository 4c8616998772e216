//! Reads and writes of a stream, in order, whatever was dropped before.
//!
//! Each first waits until the orphans of its direction have drained. A read then serves the bytes
//! that orphaned reads have received before it asks the kernel for more.
//!
//! `recv` and the copying writes do so in their operations. A layer of `async` would hold the
//! buffer a second time, and most tasks consist of one of these futures while they wait.

use std::future::{Future, poll_fn};
use std::io;
use std::net::Shutdown;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use futures_util::future::{Either, FutureExt};

use crate::buf::{BufResult, IoBuf, IoBufMut, Lease};
use crate::error::describe;
use crate::op::{
    One, Op, Peek, Recv, RecvLease, SendBytes, SendZeroCopy, Several, StreamSocket, Unsent,
};
use crate::task::coop;

/// Waits until no orphaned write uses the socket.
pub(in crate::net) async fn drain_writes(socket: &StreamSocket) {
    poll_fn(|context| socket.poll_writes_drained(context)).await;
}

/// Waits until no orphan uses the socket.
pub(in crate::net) async fn drain(socket: &StreamSocket) {
    drain_reads(socket).await;
    drain_writes(socket).await;
}

/// An output that is known without asking the kernel. It takes a unit of the task's budget all the
/// same.
struct Known<T>(Option<T>);

impl<T> Known<T> {
    fn new(output: T) -> Self {
        Self(Some(output))
    }
}

impl<T> Unpin for Known<T> {}

impl<T> Future for Known<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        ready!(coop::poll_spend(context));
        Poll::Ready(self.0.take().expect("polled after completion"))
    }
}

/// Waits until no orphaned read uses the socket.
async fn drain_reads(socket: &StreamSocket) {
    poll_fn(|context| socket.poll_multishot_ended(context)).await;
    poll_fn(|context| socket.poll_readable(context)).await;
}

/// The outcome of a read that needs no kernel: that of an empty buffer, the bytes that orphaned
/// reads have left, which `serve` takes, or the error that they met.
pub(in crate::net) async fn serve_unread<B: IoBufMut>(
    socket: &StreamSocket,
    buffer: &mut B,
    serve: impl FnOnce(&StreamSocket, &mut B) -> usize,
) -> Option<io::Result<usize>> {
    if buffer.bytes_total() == 0 {
        return Known::new(Some(Ok(0))).await;
    }
    drain_reads(socket).await;
    if let Some(error) = socket.take_unread_error() {
        return Some(Err(error));
    }
    socket.has_unread().then(|| Ok(serve(socket, buffer)))
}

pub(in crate::net) async fn read<B: IoBufMut>(
    socket: &Rc<StreamSocket>,
    mut buffer: B,
) -> BufResult<usize, B> {
    let take = |socket: &StreamSocket, buffer: &mut B| socket.take_unread(buffer);
    match serve_unread(socket, &mut buffer, take).await {
        Some(result) => BufResult(result, buffer),
        None => Op::new(socket.driver(), Recv::once(socket, buffer)).await,
    }
}

pub(in crate::net) async fn read_exact<B: IoBufMut>(
    socket: &Rc<StreamSocket>,
    mut buffer: B,
) -> BufResult<(), B> {
    let total = buffer.bytes_total();
    if total == 0 {
        return Known::new(BufResult(Ok(()), buffer)).await;
    }
    drain_reads(socket).await;
    if let Some(error) = socket.take_unread_error() {
        return BufResult(Err(error), buffer);
    }
    if socket.unread_bytes() >= total {
        socket.take_unread(&mut buffer);
        return BufResult(Ok(()), buffer);
    }
    if socket.has_unread_error() {
        // The error comes behind the bytes, which are too few.
        socket.take_unread(&mut buffer);
        let error = socket.take_unread_error().expect("has_unread_error has just said so");
        return BufResult(Err(error), buffer);
    }
    if socket.take_unread_eof() {
        socket.take_unread(&mut buffer);
        let early = io::Error::from(io::ErrorKind::UnexpectedEof);
        return BufResult(Err(describe("recv", early)), buffer);
    }
    Op::new(socket.driver(), Recv::exact(socket, buffer)).await
}

pub(in crate::net) fn recv(
    socket: &Rc<StreamSocket>,
) -> impl Future<Output = io::Result<Lease>> + use<> {
    Op::new(socket.driver(), RecvLease::new(socket))
}

pub(in crate::net) async fn peek<B: IoBufMut>(
    socket: &Rc<StreamSocket>,
    mut buffer: B,
) -> BufResult<usize, B> {
    let copy = |socket: &StreamSocket, buffer: &mut B| socket.peek_unread(buffer);
    match serve_unread(socket, &mut buffer, copy).await {
        Some(result) => BufResult(result, buffer),
        None => Op::new(socket.driver(), Peek::new(socket, buffer)).await,
    }
}

pub(in crate::net) fn write<B: IoBuf>(
    socket: &Rc<StreamSocket>,
    buffer: B,
) -> impl Future<Output = BufResult<usize, B>> + use<B> {
    if buffer.bytes_init() == 0 {
        return Either::Left(Known::new(BufResult(Ok(0), buffer)));
    }
    Either::Right(Op::new(socket.driver(), SendBytes::some(socket, One::new(buffer))))
}

pub(in crate::net) fn write_all<B: IoBuf>(
    socket: &Rc<StreamSocket>,
    buffer: B,
) -> impl Future<Output = BufResult<(), B>> + use<B> {
    if buffer.bytes_init() == 0 {
        return Either::Left(Known::new(BufResult(Ok(()), buffer)));
    }
    let all = Op::new(socket.driver(), SendBytes::all(socket, One::new(buffer)));
    Either::Right(all.map(|sent| sent.map(drop)))
}

/// Below this the notification costs more than the copy.
const MIN_ZERO_COPY: usize = 32 * 1024;

pub(in crate::net) async fn write_all_zero_copy<B: IoBuf>(
    socket: &Rc<StreamSocket>,
    buffer: B,
) -> io::Result<()> {
    let is_worth_it = buffer.bytes_init() >= MIN_ZERO_COPY && socket.may_send_zero_copy();
    if !is_worth_it {
        return write_all(socket, buffer).await.0;
    }
    drain_writes(socket).await;
    match Op::new(socket.driver(), SendZeroCopy::new(socket, buffer)).await {
        Ok(()) => Ok(()),
        Err(Unsent::Failed(error)) => Err(error),
        Err(Unsent::Refused(buffer)) => write_all(socket, buffer).await.0,
    }
}

pub(in crate::net) fn write_vectored<B: IoBuf>(
    socket: &Rc<StreamSocket>,
    buffers: Vec<B>,
) -> impl Future<Output = BufResult<usize, Vec<B>>> + use<B> {
    if buffers.iter().all(|buffer| buffer.bytes_init() == 0) {
        return Either::Left(Known::new(BufResult(Ok(0), buffers)));
    }
    Either::Right(Op::new(socket.driver(), SendBytes::some(socket, Several::new(buffers, socket))))
}

pub(in crate::net) fn write_all_vectored<B: IoBuf>(
    socket: &Rc<StreamSocket>,
    buffers: Vec<B>,
) -> impl Future<Output = BufResult<(), Vec<B>>> + use<B> {
    if buffers.iter().all(|buffer| buffer.bytes_init() == 0) {
        return Either::Left(Known::new(BufResult(Ok(()), buffers)));
    }
    let all = Op::new(socket.driver(), SendBytes::all(socket, Several::new(buffers, socket)));
    Either::Right(all.map(|sent| sent.map(drop)))
}

pub(in crate::net) async fn shutdown(socket: &Rc<StreamSocket>, how: Shutdown) -> io::Result<()> {
    poll_fn(|context| coop::poll_spend(context)).await;
    if how != Shutdown::Read {
        drain_writes(socket).await;
    }
    socket.shutdown(how)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size_of_future<B, F>(_transfer: impl Fn(&Rc<StreamSocket>, B) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_send_holds_its_buffer_once() {
        let all = size_of_future(write_all::<Lease>);
        assert!(all <= size_of::<Op<SendBytes<One<Lease>>>>() + size_of::<usize>(), "{all} bytes");
        let some = size_of_future(write::<Lease>);
        assert!(
            some <= size_of::<Op<SendBytes<One<Lease>>>>() + size_of::<usize>(),
            "{some} bytes"
        );
    }
}
