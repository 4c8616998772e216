//! Reads and writes of a pipe's end, in order, whatever was dropped before: for
//! [`pipe`](crate::pipe) and the standard streams.

use std::future::{Future, poll_fn};
use std::io;
use std::rc::Rc;

use futures_util::future::FutureExt;

use crate::buf::{BufResult, IoBuf, IoBufMut, Lease};
use crate::op::{Op, PipeEnd, PipeReady, ReadPipe, ReadPipeLease, WritePipe};
use crate::task::coop;

async fn spend() {
    poll_fn(|context| coop::poll_spend(context)).await;
}

pub(crate) async fn read<B: IoBufMut>(end: &Rc<PipeEnd>, mut buffer: B) -> BufResult<usize, B> {
    if buffer.bytes_total() == 0 {
        spend().await;
        return BufResult(Ok(0), buffer);
    }
    poll_fn(|context| end.poll_readable(context)).await;
    if let Some(unread) = end.take_unread_into(&mut buffer) {
        return BufResult(unread, buffer);
    }
    Op::new(end.driver(), ReadPipe::new(end, buffer)).await
}

pub(crate) fn recv(end: &Rc<PipeEnd>) -> impl Future<Output = io::Result<Lease>> + use<> {
    Op::new(end.driver(), ReadPipeLease::new(end))
}

pub(crate) async fn write<B: IoBuf>(end: &Rc<PipeEnd>, buffer: B) -> BufResult<usize, B> {
    if buffer.bytes_init() == 0 {
        spend().await;
        return BufResult(Ok(0), buffer);
    }
    Op::new(end.driver(), WritePipe::some(end, buffer)).await
}

pub(crate) async fn write_all<B: IoBuf>(end: &Rc<PipeEnd>, buffer: B) -> BufResult<(), B> {
    if buffer.bytes_init() == 0 {
        spend().await;
        return BufResult(Ok(()), buffer);
    }
    Op::new(end.driver(), WritePipe::all(end, buffer)).map(|written| written.map(drop)).await
}

pub(crate) async fn readable(end: &Rc<PipeEnd>) -> io::Result<()> {
    poll_fn(|context| end.poll_readable(context)).await;
    if end.has_unread() {
        return Ok(());
    }
    Op::new(end.driver(), PipeReady::to_read(end)).await
}

/// Waits until no orphaned read uses the end.
pub(crate) async fn drain_reads(end: &PipeEnd) {
    poll_fn(|context| end.poll_readable(context)).await;
}

/// Waits until no orphaned write uses the end.
pub(crate) async fn drain_writes(end: &PipeEnd) {
    poll_fn(|context| end.poll_writes_drained(context)).await;
}
