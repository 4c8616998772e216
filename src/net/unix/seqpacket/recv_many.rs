//! The messages of a connection as a stream.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use futures_util::Stream;

use super::received::lease;
use crate::buf::Lease;
use crate::net::datagram::core::DatagramCore;

/// The messages of a connection, as a stream.
///
/// Made by [`UnixSeqpacket::recv_many`](crate::net::UnixSeqpacket::recv_many).
#[must_use = "streams do nothing unless polled"]
pub struct RecvMessages<'a> {
    core: &'a Rc<DatagramCore>,
    is_over: bool,
}

impl<'a> RecvMessages<'a> {
    pub(super) fn new(core: &'a Rc<DatagramCore>) -> Self {
        Self { core, is_over: false }
    }
}

impl Stream for RecvMessages<'_> {
    type Item = io::Result<Lease>;

    /// Ends with the connection, behind the error if the peer has reset it.
    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let message = lease(self.core, ready!(self.core.poll_recv_lease(context)));
        self.is_over = match &message {
            Ok(message) => message.is_none(),
            Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
        };
        Poll::Ready(message.transpose())
    }
}

impl fmt::Debug for RecvMessages<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecvMessages").field("is_over", &self.is_over).finish_non_exhaustive()
    }
}
