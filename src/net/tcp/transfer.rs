//! Bytes in and out of a stream, in order, whatever was dropped before.
//!
//! Each transfer first waits until the dropped ones of its direction have ended. A read then serves
//! what those have left before it asks the kernel for more.

use std::future::poll_fn;
use std::io;
use std::net::Shutdown;
use std::rc::Rc;
use std::task::{Poll, ready};

use crate::buf::{BufResult, IoBuf, IoBufMut, Lease};
use crate::error::describe;
use crate::op::{
    Op, Peek, Recv, RecvExact, RecvLease, SendAll, SendOnce, SendVectored, SendZeroCopy, Socket,
    Unsent,
};
use crate::task::budget;

/// Waits for the dropped reads to end. Then, if they have left something, takes from this task's
/// budget, as that is served without waiting.
async fn reads_ended(socket: &Socket) {
    poll_fn(|context| {
        ready!(socket.poll_reads_ended(context));
        if socket.has_unread() { budget::poll_spend(context) } else { Poll::Ready(()) }
    })
    .await;
}

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
    reads_ended(socket).await;
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

pub(super) async fn recv(socket: &Rc<Socket>) -> io::Result<Lease> {
    reads_ended(socket).await;
    if let Some(error) = socket.take_unread_error() {
        return Err(error);
    }
    if socket.has_unread() {
        return Ok(socket.take_all_unread().into());
    }
    match poll_fn(|context| socket.poll_inflow(context)).await {
        Some(outcome) => outcome,
        None => Op::new(socket.driver(), RecvLease::new(socket)).await,
    }
}

pub(super) async fn peek<B: IoBufMut>(socket: &Rc<Socket>, mut buffer: B) -> BufResult<usize, B> {
    let copy = |socket: &Socket, buffer: &mut B| socket.peek_unread(buffer);
    match at_hand(socket, &mut buffer, copy).await {
        Some(result) => (result, buffer),
        None => Op::new(socket.driver(), Peek::new(socket, buffer)).await,
    }
}

pub(super) async fn write<B: IoBuf>(socket: &Rc<Socket>, buffer: B) -> BufResult<usize, B> {
    if buffer.bytes_init() == 0 {
        return (Ok(0), buffer);
    }
    writes_ended(socket).await;
    Op::new(socket.driver(), SendOnce::new(socket, buffer)).await
}

pub(super) async fn write_all<B: IoBuf>(socket: &Rc<Socket>, buffer: B) -> BufResult<(), B> {
    if buffer.bytes_init() == 0 {
        return (Ok(()), buffer);
    }
    writes_ended(socket).await;
    Op::new(socket.driver(), SendAll::new(socket, buffer)).await
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

pub(super) async fn write_vectored<B: IoBuf>(
    socket: &Rc<Socket>,
    buffers: Vec<B>,
) -> BufResult<usize, Vec<B>> {
    if buffers.iter().all(|buffer| buffer.bytes_init() == 0) {
        return (Ok(0), buffers);
    }
    if buffers.len() > MOST_SEGMENTS {
        let text = format!("{} buffers, but at most {MOST_SEGMENTS} at once", buffers.len());
        let error = io::Error::new(io::ErrorKind::InvalidInput, text);
        return (Err(describe("sendmsg", error)), buffers);
    }
    writes_ended(socket).await;
    Op::new(socket.driver(), SendVectored::new(socket, buffers)).await
}

pub(super) async fn shutdown(socket: &Rc<Socket>, how: Shutdown) -> io::Result<()> {
    if how != Shutdown::Read {
        writes_ended(socket).await;
    }
    socket.shutdown(how)
}
