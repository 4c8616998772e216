//! Passing descriptors with messages.

use std::future::Future;
use std::os::fd::AsFd;

use futures_util::future::{Either, ready};

use super::received::length;
use super::socket::UnixSeqpacket;
use crate::buf::{BufResult, IoBuf, IoBufMut};
use crate::net::unix::fd_passing::{ReceivedFds, check_count};
use crate::op::{Op, SendDatagramFds};

/// Passing descriptors to another process, and taking its own.
impl UnixSeqpacket {
    /// Sends a message, and passes descriptors along with it.
    ///
    /// The peer gets descriptors of its own for the same files, sockets or pipes, with
    /// [`recv_with_fds`](Self::recv_with_fds) or recvmsg(2). Those that were given are returned
    /// with the buffer, to be closed or kept; anything that has a descriptor will do: an `OwnedFd`,
    /// a `File`, an `Rc<TcpStream>`. The message may have no bytes.
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send); `InvalidInput` for more than 253 descriptors; `ETOOMANYREFS`
    /// while this user has passed more descriptors that were not received yet than a process may
    /// have; `PermissionDenied` if the peer takes none.
    ///
    /// # Panics
    ///
    /// If a descriptor is that of a stream in a file slot, and the process has no more.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the message is sent as a whole, with the descriptors, or not at all.
    #[doc(alias = "SCM_RIGHTS")]
    #[doc(alias = "send_fds")]
    #[doc(alias = "sendmsg")]
    pub fn send_with_fds<B: IoBuf, F: AsFd + 'static>(
        &self,
        buffer: B,
        fds: Vec<F>,
    ) -> impl Future<Output = BufResult<usize, (B, Vec<F>)>> + use<B, F> {
        if let Err(error) = check_count(fds.len()) {
            return Either::Left(ready(BufResult(Err(error), (buffer, fds))));
        }
        let socket = self.core.socket();
        Either::Right(Op::new(socket.driver(), SendDatagramFds::new(socket, buffer, fds)))
    }

    /// Receives a message into the buffer, and the descriptors that came with it.
    ///
    /// Returns `None` at the end of the connection. At most `max_fds` descriptors are received (and
    /// never more than 253): what are more are closed, and
    /// [`is_truncated`](ReceivedFds::is_truncated) tells so.
    ///
    /// Any other receive drops descriptors: the kernel closes those of the messages that it
    /// returns. So use this one wherever descriptors may come, and neither
    /// [`recv_msg`](Self::recv_msg) nor [`recv_many`](Self::recv_many), which read ahead.
    ///
    /// What a peer passes is the peer's choice. Look at its [credentials](Self::peer_cred) before,
    /// and at the kind of file: a socket may be set to linger, and a file may be of a file system
    /// that the peer serves. Then to read or close it takes as long as the peer likes. Close such a
    /// descriptor by [`to_thread`](crate::blocking::to_thread).
    ///
    /// # Errors
    ///
    /// As for [`recv`](Self::recv). The descriptors of a message that was cut are closed.
    ///
    /// # Cancel safety
    ///
    /// Dropped, nothing is lost: a message that had arrived is what the next receive returns. If
    /// that is another than this, or the connection is dropped, the descriptors are closed, on a
    /// kernel worker. They do not move along with [`into_fd`](Self::into_fd).
    ///
    /// # Example
    ///
    /// ```
    /// use std::fs::File;
    /// use std::io::Read;
    /// use annulus::net::UnixSeqpacket;
    ///
    /// annulus::run(async {
    ///     let (near, far) = UnixSeqpacket::pair()?;
    ///     let file = File::open("/proc/self/comm")?;
    ///     near.send_with_fds("a file", vec![file]).await.0?;
    ///
    ///     let (received, bytes) = far.recv_with_fds(vec![0; 64], 1).await.into_result()?;
    ///     let received = received.expect("the connection has not ended");
    ///     assert_eq!(&bytes[..received.count], b"a file");
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
        &self,
        buffer: B,
        max_fds: usize,
    ) -> impl Future<Output = BufResult<Option<ReceivedFds>, B>> + use<B> {
        let (core, received) = (self.core.clone(), self.core.recv_fds(buffer, max_fds));
        async move {
            let BufResult(result, buffer) = received.await;
            let received =
                result.and_then(|(envelope, passed)| match length(&core, Ok(envelope)) {
                    Ok(length) => Ok(length.map(|length| ReceivedFds::new(length, passed))),
                    Err(error) => {
                        core.socket().discard_fds(passed);
                        Err(error)
                    }
                });
            BufResult(received, buffer)
        }
    }
}
