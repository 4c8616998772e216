//! Bytes in and out of a stream, in order, whatever was dropped before.
//!
//! Each transfer first waits until the dropped ones of its direction have ended. A read then serves
//! what those have left before it asks the kernel for more.
//!
//! `recv` and the copying writes do so in their operations, without a layer of `async` that would hold the
//! buffer once more: most tasks consist of one of them while they wait.

use std::future::{poll_fn, ready};
use std::io;
use std::net::Shutdown;
use std::rc::Rc;

use futures_util::future::Either;

use crate::buf::{BufResult, IoBuf, IoBufMut, Lease};
use crate::error::describe;
use crate::op::{
    Op, Peek, Recv, RecvExact, RecvLease, SendAll, SendOnce, SendVectored, SendZeroCopy, Socket,
    Unsent,
};

pub(super) async fn writes_ended(socket: &Socket) {
    poll_fn(|context| socket.poll_writes_ended(context)).await;
}

/// Waits until no dropped transfer uses the socket any more.
pub(super) async fn settled(socket: &Socket) {
    poll_fn(|context| socket.poll_inflow_ended(context)).await;
    poll_fn(|context| socket.poll_reads_ended(context)).await;
    writes_ended(socket).await;
}

/// What can be said without asking the kernel, once no dropped read is ending: that an empty buffer
/// is full, what those have left, by `serve`, or the error that they met.
async fn at_hand<B: IoBufMut>(
    socket: &Socket,
    buffer: &mut B,
    serve: impl FnOnce(&Socket, &mut B) -> usize,
) -> Option<io::Result<usize>> {
    if buffer.bytes_total() == 0 {
        return Some(Ok(0));
    }
    poll_fn(|context| socket.poll_inflow_ended(context)).await;
    poll_fn(|context| socket.poll_reads_ended(context)).await;
    if let Some(error) = socket.take_unread_error() {
        return Some(Err(error));
    }
    socket.has_unread().then(|| Ok(serve(socket, buffer)))
}

pub(super) async fn read<B: IoBufMut>(socket: &Rc<Socket>, mut buffer: B) -> BufResult<usize, B> {
    let take = |socket: &Socket, buffer: &mut B| socket.take_unread(buffer);
    match at_hand(socket, &mut buffer, take).await {
        Some(result) => (result, buffer),
        None => Op::new(socket.driver(), Recv::new(socket, buffer)).await,
    }
}

pub(super) async fn read_exact<B: IoBufMut>(
    socket: &Rc<Socket>,
    mut buffer: B,
) -> BufResult<(), B> {
    let take = |socket: &Socket, buffer: &mut B| socket.take_unread(buffer);
    let filled = match at_hand(socket, &mut buffer, take).await {
        Some(Ok(filled)) => filled,
        Some(Err(error)) => return (Err(error), buffer),
        None => 0,
    };
    if filled == buffer.bytes_total() {
        return (Ok(()), buffer);
    }
    // Only some bytes were left; the error behind them, if there is one, ends it here.
    if let Some(error) = socket.take_unread_error() {
        return (Err(error), buffer);
    }
    // Since they were taken there was no await, so they cannot be lost.
    Op::new(socket.driver(), RecvExact::new(socket, buffer, filled)).await
}

pub(super) fn recv(socket: &Rc<Socket>) -> impl Future<Output = io::Result<Lease>> + use<> {
    Op::new(socket.driver(), RecvLease::new(socket))
}

pub(super) async fn peek<B: IoBufMut>(socket: &Rc<Socket>, mut buffer: B) -> BufResult<usize, B> {
    let copy = |socket: &Socket, buffer: &mut B| socket.peek_unread(buffer);
    match at_hand(socket, &mut buffer, copy).await {
        Some(result) => (result, buffer),
        None => Op::new(socket.driver(), Peek::new(socket, buffer)).await,
    }
}

pub(super) fn write<B: IoBuf>(
    socket: &Rc<Socket>,
    buffer: B,
) -> impl Future<Output = BufResult<usize, B>> + use<B> {
    if buffer.bytes_init() == 0 {
        return Either::Left(ready((Ok(0), buffer)));
    }
    Either::Right(Op::new(socket.driver(), SendOnce::new(socket, buffer)))
}

pub(super) fn write_all<B: IoBuf>(
    socket: &Rc<Socket>,
    buffer: B,
) -> impl Future<Output = BufResult<(), B>> + use<B> {
    if buffer.bytes_init() == 0 {
        return Either::Left(ready((Ok(()), buffer)));
    }
    Either::Right(Op::new(socket.driver(), SendAll::new(socket, buffer)))
}

/// Below this the notice costs more than the copy.
const WORTH_NOT_COPYING: usize = 32 * 1024;

pub(super) async fn write_all_zero_copy<B: IoBuf>(
    socket: &Rc<Socket>,
    buffer: B,
) -> io::Result<()> {
    let is_worth_it = buffer.bytes_init() >= WORTH_NOT_COPYING && socket.may_send_without_copy();
    if !is_worth_it {
        return write_all(socket, buffer).await.0;
    }
    writes_ended(socket).await;
    match SendZeroCopy::new(socket, buffer).await {
        Ok(()) => Ok(()),
        Err(Unsent::Failed(error)) => Err(error),
        Err(Unsent::Refused(buffer)) => write_all(socket, buffer).await.0,
    }
}

/// The most segments that one send takes.
const MOST_SEGMENTS: usize = 1024;

pub(super) fn write_vectored<B: IoBuf>(
    socket: &Rc<Socket>,
    buffers: Vec<B>,
) -> impl Future<Output = BufResult<usize, Vec<B>>> + use<B> {
    if buffers.iter().all(|buffer| buffer.bytes_init() == 0) {
        return Either::Left(ready((Ok(0), buffers)));
    }
    if buffers.len() > MOST_SEGMENTS {
        let text = format!("{} buffers, but at most {MOST_SEGMENTS} at once", buffers.len());
        let error = io::Error::new(io::ErrorKind::InvalidInput, text);
        return Either::Left(ready((Err(describe("sendmsg", error)), buffers)));
    }
    Either::Right(Op::new(socket.driver(), SendVectored::new(socket, buffers)))
}

pub(super) async fn shutdown(socket: &Rc<Socket>, how: Shutdown) -> io::Result<()> {
    if how != Shutdown::Read {
        writes_ended(socket).await;
    }
    socket.shutdown(how)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size_of_future<B, F>(_transfer: impl Fn(&Rc<Socket>, B) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_send_holds_its_buffer_once() {
        let all = size_of_future(write_all::<Lease>);
        assert!(all <= size_of::<Op<SendAll<Lease>>>() + size_of::<usize>(), "{all} bytes");
        let some = size_of_future(write::<Lease>);
        assert!(some <= size_of::<Op<SendOnce<Lease>>>() + size_of::<usize>(), "{some} bytes");
    }
}
