//! A connection with messages.

use std::future::Future;
use std::io;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::received::{lease, length, message};
use super::recv_many::RecvMessages;
use crate::buf::{BufResult, IoBuf, IoBufMut, Lease};
use crate::driver::Driver;
use crate::error::Describe;
use crate::net::datagram::core::DatagramCore;
use crate::net::datagram::meta::as_fits;
use crate::net::datagram::socket_methods::{socket_methods, socket_traits};
use crate::net::listener::{FromAccepted, NewConnection};
use crate::net::unix::stream::{address_of, text_of};
use crate::net::unix::ucred::UCred;
use crate::op::{Connect, DatagramSocket, Descriptor, Family, Op};
use crate::runtime::context;
use crate::sys::bypass::datagram::pair;
use crate::sys::control::SentControl;
use crate::sys::datagram::Envelope;
use crate::sys::socket::{self, AF_UNIX, SOCK_SEQPACKET};

/// A connection of a Unix socket that carries messages, on the thread of its runtime.
///
/// It is a connection as a [`UnixStream`](crate::net::UnixStream) is, with an end and a peer that
/// is known; and each send is one message, which one receive returns as a whole, as with a
/// [`UnixDatagram`](crate::net::UnixDatagram). Messages arrive in the order in which they were
/// sent, and none is dropped: a sender waits while its send buffer is full of what the peer has not
/// received. All methods take `&self`: several tasks of the thread may share a connection (behind
/// an `Rc`).
///
/// A message may have no bytes. That is not the end of the connection: a receive returns `None`
/// there. The kernel neither needs nor reports `MSG_EOR` on Unix sockets, as each message is a
/// record.
///
/// # Example
///
/// ```
/// use annulus::net::UnixSeqpacket;
///
/// annulus::run(async {
///     let (near, far) = UnixSeqpacket::pair()?;
///     near.send("one message").await.0?;
///     near.send("").await.0?;
///     near.close().await;
///     let (length, buffer) = far.recv(vec![0; 100]).await.into_result()?;
///     assert_eq!(&buffer[..length.unwrap()], b"one message");
///     assert_eq!(far.recv(buffer).await.0?, Some(0));
///     assert_eq!(far.recv(vec![0; 100]).await.0?, None);
///     std::io::Result::Ok(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "SOCK_SEQPACKET")]
pub struct UnixSeqpacket {
    pub(super) core: Rc<DatagramCore>,
}

socket_traits!(UnixSeqpacket, SocketAddr);

impl UnixSeqpacket {
    socket_methods!(SocketAddr);

    /// Connects to the listener at a path or at an abstract name.
    ///
    /// A path that begins with a zero byte is an abstract name.
    ///
    /// Waits while the listener's backlog is full. A kernel worker, which is a thread, waits with
    /// it: see [`Builder::max_kernel_workers`](crate::Builder::max_kernel_workers).
    ///
    /// # Errors
    ///
    /// `NotFound` if there is no such path, `ConnectionRefused` if no process listens there,
    /// EPROTOTYPE if the socket there is of another type, and `InvalidInput` for a path of more
    /// than 107 bytes.
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the connection is closed.
    pub async fn connect(path: impl AsRef<Path>) -> io::Result<Self> {
        Self::connect_addr(&address_of(path.as_ref())?).await
    }

    /// Like [`connect`](Self::connect), to an address of the standard library.
    ///
    /// # Errors
    ///
    /// As for [`connect`](Self::connect).
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    ///
    /// # Cancel safety
    ///
    /// As for [`connect`](Self::connect).
    pub async fn connect_addr(address: &SocketAddr) -> io::Result<Self> {
        let doing = format!("connect to {}", text_of(address));
        let driver = context::driver();
        let fd = socket::open(AF_UNIX, SOCK_SEQPACKET, 0).describe(&doing)?;
        let connect = Connect::new(&driver, fd.into(), address, None);
        let socket = Op::new(&driver, connect).await.describe(&doing)?;
        Ok(Self::of(driver, socket))
    }

    /// Makes two ends that are connected to each other.
    ///
    /// # Errors
    ///
    /// If descriptors have run out.
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    #[doc(alias = "socketpair")]
    pub fn pair() -> io::Result<(Self, Self)> {
        let (near, far) = pair(SOCK_SEQPACKET).describe("socketpair")?;
        Ok((near.into(), far.into()))
    }

    fn of(driver: Rc<Driver>, descriptor: impl Into<Descriptor>) -> Self {
        let socket = DatagramSocket::new(driver, descriptor, Family::Seqpacket);
        Self { core: DatagramCore::of(socket) }
    }

    /// Takes the connection out of the runtime, once dropped operations have ended.
    ///
    /// Returns its descriptor with the messages that dropped receives and
    /// [`recv_many`](Self::recv_many) had received and no task has: they come before what the
    /// socket will receive. From it a `UnixSeqpacket` can be made again.
    ///
    /// # Errors
    ///
    /// If a forgotten operation still uses the descriptor, and the process has no more.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the connection is closed.
    pub async fn into_fd(self) -> io::Result<(OwnedFd, Vec<Lease>)> {
        let (fd, kept) = self.core.take_apart().await?;
        Ok((fd, kept.into_iter().map(|arrived| arrived.bytes).collect()))
    }

    /// Sends a message to the peer.
    ///
    /// Returns how many bytes it has, and the buffer. Waits while there is no room. A buffer
    /// without bytes is sent as a message without bytes.
    ///
    /// # Errors
    ///
    /// `BrokenPipe` if the peer has closed the connection or receives no more, `ConnectionReset`
    /// if it has closed it with messages unread, once, and EMSGSIZE if the message is longer than
    /// the [send buffer](Self::set_send_buffer_size).
    ///
    /// # Cancel safety
    ///
    /// Dropped, the message is sent as a whole or not at all. The next is sent behind it.
    pub fn send<B: IoBuf>(&self, buffer: B) -> impl Future<Output = BufResult<usize, B>> + use<B> {
        self.core.send(buffer, None, &SentControl::default())
    }

    /// Sends a message to the peer at once.
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send). `WouldBlock` if there is no room, if a dropped send has not
    /// ended, or if this task or this turn of the event loop has made many calls already.
    pub fn try_send(&self, bytes: &[u8]) -> io::Result<usize> {
        self.core.socket().try_send(bytes, None, &SentControl::default())
    }

    /// Polls a send of a message to the peer.
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send).
    pub fn poll_send(&self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.core.socket().poll_send(context, bytes, None, &SentControl::default())
    }

    /// Receives a message into the buffer, and returns its length.
    ///
    /// Returns `None` at the end of the connection, each time: when the peer has closed it or
    /// [sends no more](Self::shutdown), and all its messages have been received. `Some(0)` is a
    /// message without bytes. (Under gVisor, where the kernel does not tell the two apart, such a
    /// message may be taken for the end if it is the last.)
    ///
    /// Messages are received one by one, however many tasks receive: they are served in order.
    ///
    /// # Errors
    ///
    /// EMSGSIZE if the message is longer than the buffer: it is cut then, and what fits is in the
    /// buffer. [`recv_msg_into`](Self::recv_msg_into) reports a cut one without an error.
    /// `ConnectionReset`, in place of the end, if the peer has closed the connection with messages
    /// unread.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it loses nothing: a message that had arrived is what the next receive returns.
    #[doc(alias = "asyncio.loop.sock_recv")]
    pub fn recv<B: IoBufMut>(
        &self,
        buffer: B,
    ) -> impl Future<Output = BufResult<Option<usize>, B>> + use<B> {
        self.receive(buffer, false, |core, received, _| length(core, received))
    }

    /// Receives a message into the buffer, and returns its whole length.
    ///
    /// A message that is longer than the buffer is cut, and that is no error. As
    /// [`recv`](Self::recv) otherwise.
    ///
    /// # Errors
    ///
    /// As for [`recv`](Self::recv), but for a cut message.
    ///
    /// # Cancel safety
    ///
    /// As for [`recv`](Self::recv).
    #[doc(alias = "MSG_TRUNC")]
    pub fn recv_msg_into<B: IoBufMut>(
        &self,
        buffer: B,
    ) -> impl Future<Output = BufResult<Option<usize>, B>> + use<B> {
        self.receive(buffer, false, |core, received, buffer| {
            let room = buffer.bytes_total();
            let fits = |envelope| as_fits(envelope, room, "recv").map(|it| it.length);
            message(core, received, "recv")?.map(fits).transpose()
        })
    }

    /// Receives a message in a runtime-owned buffer.
    ///
    /// Returns `None` at the end of the connection, as [`recv`](Self::recv) does. Nothing is
    /// copied, and no buffer is held while there is no message. Where the kernel has it, one SQE
    /// receives all messages of the connection (Linux 6.0): at most 256 that no task has taken, in
    /// buffers of [`Builder::datagram_buffers`](crate::Builder::datagram_buffers). What is beyond
    /// stays in the socket. Where those buffers are all in use, and on older kernels, each message
    /// costs an allocation of its size.
    ///
    /// # Errors
    ///
    /// As for [`recv`](Self::recv). EMSGSIZE only if
    /// [`Builder::datagram_buffers`](crate::Builder::datagram_buffers) are smaller than the
    /// message, which is lost then: receive messages of more than 64 KiB into a buffer.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it loses nothing.
    pub fn recv_msg(&self) -> impl Future<Output = io::Result<Option<Lease>>> + use<> {
        let (core, received) = (Rc::clone(&self.core), self.core.recv_lease());
        async move { lease(&core, received.await) }
    }

    /// Returns the messages as a stream, each as of [`recv_msg`](Self::recv_msg).
    ///
    /// The stream ends with the connection. Dropped, it loses nothing.
    pub fn recv_many(&self) -> RecvMessages<'_> {
        RecvMessages::new(&self.core)
    }

    /// Copies the next message into the buffer and leaves it to be received.
    ///
    /// Returns how many bytes are in the buffer: fewer than the message has if they do not fit.
    /// `None` at the end of the connection.
    ///
    /// # Errors
    ///
    /// As for [`recv`](Self::recv), but for a cut message.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it loses nothing.
    #[doc(alias = "MSG_PEEK")]
    pub fn peek<B: IoBufMut>(
        &self,
        buffer: B,
    ) -> impl Future<Output = BufResult<Option<usize>, B>> + use<B> {
        self.receive(buffer, true, |core, peeked, _| {
            Ok(message(core, peeked, "peek")?.map(|it| it.received))
        })
    }

    /// Receives a message into the buffer, or looks at it. `outcome` tells what that has met.
    fn receive<B: IoBufMut, T, F>(
        &self,
        buffer: B,
        peeks: bool,
        outcome: F,
    ) -> impl Future<Output = BufResult<T, B>> + use<B, T, F>
    where
        F: FnOnce(&DatagramCore, io::Result<Envelope>, &B) -> io::Result<T>,
    {
        let (core, received) = (Rc::clone(&self.core), self.core.recv(buffer, peeks));
        async move {
            let BufResult(result, buffer) = received.await;
            BufResult(outcome(&core, result, &buffer), buffer)
        }
    }

    /// Receives a message at once, and returns its length; `None` at the end of the connection.
    ///
    /// # Errors
    ///
    /// As for [`recv`](Self::recv). `WouldBlock` if there is none, if a future of another task
    /// waits for one, or if this task or this turn of the event loop has made many calls already.
    pub fn try_recv(&self, memory: &mut [u8]) -> io::Result<Option<usize>> {
        length(&self.core, self.core.try_recv(memory, false))
    }

    /// Polls for a message, and returns its length; `None` at the end of the connection.
    ///
    /// Of the tasks that poll only the last is woken; tasks that await a receive come first.
    /// Nothing is in the memory while it is pending.
    ///
    /// # Errors
    ///
    /// As for [`recv`](Self::recv).
    pub fn poll_recv(
        &self,
        context: &mut Context<'_>,
        memory: &mut [u8],
    ) -> Poll<io::Result<Option<usize>>> {
        self.core.poll_recv(context, memory, false).map(|received| length(&self.core, received))
    }

    /// Ends one direction or both.
    ///
    /// After a shutdown of writing the peer receives the messages that were sent, and then the end.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        socket::shutdown(self.core.socket().fd()?, how).describe("shutdown")
    }

    /// The credentials of the process at the other end.
    ///
    /// As for [`UnixStream::peer_cred`](crate::net::UnixStream::peer_cred).
    ///
    /// # Errors
    ///
    /// The kernel's.
    #[doc(alias = "SO_PEERCRED")]
    pub fn peer_cred(&self) -> io::Result<UCred> {
        UCred::of_peer(self.core.socket().fd()?)
    }
}

/// Takes over a connected socket. Which kind it is of is not checked.
///
/// # Panics
///
/// If there is no runtime on this thread.
impl From<OwnedFd> for UnixSeqpacket {
    fn from(fd: OwnedFd) -> Self {
        Self::of(context::driver(), fd)
    }
}

impl FromAccepted for UnixSeqpacket {
    type Addr = SocketAddr;

    const MAY_BE_DIRECT: bool = false;

    /// Closing a Unix socket takes no time, even if it is to linger.
    fn from_accepted(connection: NewConnection) -> Self {
        let NewConnection { driver, accepted, lingers: _, guard } = connection;
        let this = Self::of(driver, accepted.descriptor);
        if let Some(peer) = accepted.peer {
            this.core.socket().set_peer_addr(peer);
        }
        if let Some(guard) = guard {
            this.core.socket().count_until_dropped(guard);
        }
        this
    }

    fn accepted_from(&self) -> io::Result<SocketAddr> {
        self.core.socket().peer_addr()
    }
}
