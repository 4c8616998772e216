//! Several datagrams by one submission.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::buf::{BufResult, IoBuf};
use crate::op::{Op, SendDatagram};

/// The future of several sends; see [`UdpSocket::send_many`](crate::net::UdpSocket::send_many).
#[must_use = "futures do nothing unless awaited"]
pub struct SendMany<B: IoBuf> {
    sends: Vec<Send<B>>,
}

enum Send<B: IoBuf> {
    Running(Op<SendDatagram<B>>),
    Done(BufResult<usize, B>),
}

impl<B: IoBuf> SendMany<B> {
    pub(in crate::net) fn new(sends: impl Iterator<Item = Op<SendDatagram<B>>>) -> Self {
        Self { sends: sends.map(Send::Running).collect() }
    }
}

impl<B: IoBuf> Unpin for SendMany<B> {}

impl<B: IoBuf> Future for SendMany<B> {
    type Output = Vec<BufResult<usize, B>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut is_pending = false;
        for send in &mut self.sends {
            if let Send::Running(running) = send {
                match Pin::new(running).poll(context) {
                    Poll::Ready(done) => *send = Send::Done(done),
                    Poll::Pending => is_pending = true,
                }
            }
        }
        if is_pending {
            return Poll::Pending;
        }
        let sends = std::mem::take(&mut self.sends);
        let done = sends.into_iter().map(|send| match send {
            Send::Done(done) => done,
            Send::Running(_) => unreachable!("the loop above has found none that is running"),
        });
        Poll::Ready(done.collect())
    }
}

impl<B: IoBuf> fmt::Debug for SendMany<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendMany").field("datagrams", &self.sends.len()).finish_non_exhaustive()
    }
}
