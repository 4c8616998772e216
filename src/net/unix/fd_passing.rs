//! Passing descriptors to another process.
//!
//! Two at once do not compile, as with other reads and writes:
//!
//! ```compile_fail,E0499
//! # async fn both(mut stream: annulus::net::UnixStream, [one, other]: [std::fs::File; 2]) {
//! let first = stream.send_with_fds("one", vec![one]);
//! let second = stream.send_with_fds("other", vec![other]);
//! drop((first.await, second.await));
//! # }
//! ```
//!
//! ```compile_fail,E0499
//! # async fn both(mut stream: annulus::net::UnixStream) {
//! let first = stream.recv_with_fds(vec![0; 8], 1);
//! let second = stream.recv_with_fds(vec![0; 8], 1);
//! drop((first.await, second.await));
//! # }
//! ```

use std::future::Future;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use futures_util::future::{Either, FutureExt, ready};

use super::stream::UnixStream;
use crate::buf::{BufResult, IoBuf, IoBufMut};
use crate::error::describe;
use crate::net::stream::ops::serve_unread;
use crate::net::stream::{OwnedReadHalf, OwnedWriteHalf};
use crate::op::{Op, RecvFds, SendBytes, StreamSocket, WithFds};
use crate::sys::passed_fds::{MAX_PASSED, PassedFds};

/// What [`UnixStream::recv_with_fds`] has received beside the bytes in its buffer; or
/// [`UnixSeqpacket::recv_with_fds`](super::UnixSeqpacket::recv_with_fds).
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct ReceivedFds {
    /// How many bytes; of a stream, none at EOF.
    pub count: usize,
    /// The descriptors that came with these bytes. They are close-on-exec.
    pub fds: Vec<OwnedFd>,
    /// Whether the peer has passed more, which the kernel has closed: there was no room for them,
    /// or this process has no more descriptors.
    pub is_truncated: bool,
}

impl ReceivedFds {
    pub(super) fn new(count: usize, PassedFds { fds, is_truncated }: PassedFds) -> Self {
        Self { count, fds, is_truncated }
    }
}

async fn recv<B: IoBufMut>(
    socket: Rc<StreamSocket>,
    mut buffer: B,
    max_fds: usize,
) -> BufResult<ReceivedFds, B> {
    let mut unread = PassedFds::default();
    let take = |socket: &StreamSocket, buffer: &mut B| {
        unread = socket.take_unread_fds(max_fds);
        socket.take_unread(buffer)
    };
    if let Some(result) = serve_unread(&socket, &mut buffer, take).await {
        return BufResult(result.map(|count| ReceivedFds::new(count, unread)), buffer);
    }
    let received = Op::new(socket.driver(), RecvFds::new(&socket, buffer, max_fds)).await;
    received.map(|(count, fds)| ReceivedFds::new(count, fds))
}

fn send<B: IoBuf, F: AsFd + 'static>(
    socket: &Rc<StreamSocket>,
    buffer: B,
    fds: Vec<F>,
) -> impl Future<Output = BufResult<(), (B, Vec<F>)>> + use<B, F> {
    let refused = if buffer.bytes_init() == 0 {
        Err(refusal("descriptors are passed with the first byte, and the buffer has none"))
    } else {
        check_count(fds.len())
    };
    if let Err(error) = refused {
        return Either::Left(ready(BufResult(Err(error), (buffer, fds))));
    }
    let send = Op::new(socket.driver(), SendBytes::all(socket, WithFds::new(buffer, fds)));
    Either::Right(send.map(|sent| sent.map(drop)))
}

/// Fails if these are more descriptors than a message passes.
pub(super) fn check_count(fds: usize) -> io::Result<()> {
    if fds > MAX_PASSED {
        return Err(refusal(
            "a message passes at most 253 descriptors: send the rest with another",
        ));
    }
    Ok(())
}

fn refusal(why: &str) -> io::Error {
    describe("sendmsg", io::Error::new(io::ErrorKind::InvalidInput, why))
}

macro_rules! recv_with_fds {
    ($($type:ty),+ $(,)?) => {$(
        /// Receiving descriptors.
        impl $type {
            /// Reads available bytes, and the descriptors that came with them.
            ///
            /// It reads at least one byte; none means EOF, or that the buffer has no capacity.
            /// Descriptors arrive with the first byte of what was sent with them, and nothing
            /// behind that is read with them: so the descriptors of two sends are never mixed, but
            /// bytes of an earlier send, without descriptors, may come before. At most `max_fds`
            /// are received (and never more than 253): the kernel closes what are more, and
            /// [`is_truncated`](ReceivedFds::is_truncated) tells so.
            ///
            /// Any other read drops descriptors: the kernel closes those of the bytes that it
            /// returns. So use this one wherever descriptors may come, and neither
            /// [`recv`](UnixStream::recv), which reads ahead, nor a
            /// [`StreamReader`](crate::net::StreamReader).
            ///
            /// What a peer passes is the peer's choice. Look at its
            /// [credentials](UnixStream::peer_cred) before, and at the kind of file: a socket may
            /// be set to linger, and a file may be of a file system that the peer serves. Then to
            /// read or close it takes as long as the peer likes. Close such a descriptor by
            /// [`to_thread`](crate::blocking::to_thread).
            ///
            /// # Errors
            ///
            /// The kernel's, such as `ConnectionReset`.
            ///
            /// # Cancel safety
            ///
            /// Dropped, nothing is lost: bytes and descriptors that had arrived are what the next
            /// such read returns. If the next read is another, or the stream is dropped, the
            /// descriptors are closed, on a kernel worker. They do not move along with
            /// [`into_parts`](UnixStream::into_parts) and [`into_std`](UnixStream::into_std).
            ///
            /// # Example
            ///
            /// ```
            /// use std::fs::File;
            /// use std::io::Read;
            /// use annulus::net::UnixStream;
            ///
            /// annulus::run(async {
            ///     let (mut near, mut far) = UnixStream::pair()?;
            ///     let file = File::open("/proc/self/comm")?;
            ///     near.send_with_fds("a file", vec![file]).await.0?;
            ///
            ///     let buffer = Vec::with_capacity(64);
            ///     let (received, bytes) = far.recv_with_fds(buffer, 1).await.into_result()?;
            ///     assert_eq!(bytes, b"a file");
            ///     let mut text = String::new();
            ///     for fd in received.fds {
            ///         File::from(fd).read_to_string(&mut text)?;
            ///     }
            ///     assert!(!text.is_empty());
            ///     std::io::Result::Ok(())
            /// })??;
            /// # Ok::<(), Box<dyn std::error::Error>>(())
            /// ```
            #[doc(alias = "SCM_RIGHTS")]
            #[doc(alias = "recv_fds")]
            #[doc(alias = "recvmsg")]
            pub fn recv_with_fds<B: IoBufMut>(
                &mut self,
                buffer: B,
                max_fds: usize,
            ) -> impl Future<Output = BufResult<ReceivedFds, B>> {
                recv(Rc::clone(self.socket()), buffer, max_fds)
            }
        }
    )+};
}

macro_rules! send_with_fds {
    ($($type:ty),+ $(,)?) => {$(
        /// Sending descriptors.
        impl $type {
            /// Writes all of the buffer, and passes descriptors along with its first byte.
            ///
            /// The peer gets descriptors of its own for the same files, sockets or pipes, with
            /// [`recv_with_fds`](UnixStream::recv_with_fds) or recvmsg(2). Those that were given
            /// are returned with the buffer, to be closed or kept; anything that has a descriptor
            /// will do: an `OwnedFd`, a `File`, an `Rc<TcpStream>`.
            ///
            /// # Errors
            ///
            /// As for [`write`](UnixStream::write); `InvalidInput` for an empty buffer and for more
            /// than 253 descriptors; `ETOOMANYREFS` while this user has passed more descriptors
            /// that were not received yet than a process may have.
            ///
            /// # Panics
            ///
            /// If a descriptor is that of a stream in a file slot, and the process has no more.
            ///
            /// # Cancel safety
            ///
            /// As for [`write`](UnixStream::write): dropped, it may have passed the descriptors.
            #[doc(alias = "SCM_RIGHTS")]
            #[doc(alias = "send_fds")]
            #[doc(alias = "sendmsg")]
            pub fn send_with_fds<B: IoBuf, F: AsFd + 'static>(
                &mut self,
                buffer: B,
                fds: Vec<F>,
            ) -> impl Future<Output = BufResult<(), (B, Vec<F>)>> {
                send(self.socket(), buffer, fds)
            }
        }
    )+};
}

recv_with_fds!(UnixStream, OwnedReadHalf<UnixStream>);
send_with_fds!(UnixStream, OwnedWriteHalf<UnixStream>);
