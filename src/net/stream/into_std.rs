//! Taking a connection out of its runtime.

use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use super::ops;
use crate::op::StreamSocket;

/// A connection that has left its runtime.
///
/// Made by [`TcpStream::into_std`](crate::net::TcpStream::into_std) and
/// [`UnixStream::into_std`](crate::net::UnixStream::into_std).
#[derive(Debug)]
#[non_exhaustive]
pub struct IntoStd<T = std::net::TcpStream> {
    /// The connection, which is blocking.
    pub stream: T,
    /// What dropped reads had received: it comes before what the stream will read.
    pub unread: Vec<u8>,
    /// An error that a dropped read met behind those bytes.
    ///
    /// The kernel does not report it again: to the next read of the stream it looks like EOF.
    pub error: Option<io::Error>,
}

impl<T> IntoStd<T> {
    pub(in crate::net) fn try_map<U>(
        self,
        convert: impl FnOnce(T) -> io::Result<U>,
    ) -> io::Result<IntoStd<U>> {
        let Self { stream, unread, error } = self;
        Ok(IntoStd { stream: convert(stream)?, unread, error })
    }
}

/// Takes the descriptor out of a socket, once no orphan uses it.
pub(in crate::net) async fn take_apart(socket: Rc<StreamSocket>) -> io::Result<IntoStd<OwnedFd>> {
    ops::drain(&socket).await;
    let (stream, unread, error) = socket.into_parts()?.into_std();
    Ok(IntoStd { stream, unread, error })
}
