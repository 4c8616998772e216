//! Listening for connections with messages.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::SocketAddr;
use std::path::Path;

use super::socket::UnixSeqpacket;
use crate::net::listener::methods::accepting;
use crate::net::listener::{AcceptQueue, ListenOptions};
use crate::net::unix::listener::listen_on;
use crate::net::unix::stream::address_of;
use crate::sys::socket::SOCK_SEQPACKET;

/// A socket that accepts connections with messages, at a path or an abstract name.
///
/// It is used as a [`UnixListener`](crate::net::UnixListener) is, with the same guarantees: those
/// for the file at the path, too.
///
/// # Example
///
/// ```
/// use annulus::net::{UnixSeqpacket, UnixSeqpacketListener};
///
/// annulus::run(async {
///     // An abstract name, which leaves no file.
///     let name = format!("\0example-messages-{}", std::process::id());
///     let listener = UnixSeqpacketListener::bind(&name)?;
///     let client = UnixSeqpacket::connect(&name).await?;
///     let (server, _) = listener.accept().await?;
///     client.send("first").await.0?;
///     client.send("second").await.0?;
///     client.close().await;
///     while let Some(message) = server.recv_msg().await? {
///         println!("{} bytes", message.len());
///     }
///     std::io::Result::Ok(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "SOCK_SEQPACKET")]
pub struct UnixSeqpacketListener {
    listener: AcceptQueue<UnixSeqpacket>,
}

accepting!(UnixSeqpacketListener, UnixSeqpacket, SocketAddr);

impl UnixSeqpacketListener {
    /// Listens at a path or at an abstract name.
    ///
    /// A path that begins with a zero byte is an abstract name. For an empty path the kernel
    /// chooses an abstract name, which [`local_addr`](Self::local_addr) returns.
    ///
    /// # Errors
    ///
    /// As for [`UnixListener::bind`](crate::net::UnixListener::bind).
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    pub fn bind(path: impl AsRef<Path>) -> io::Result<Self> {
        Self::bind_addr(&address_of(path.as_ref())?, &ListenOptions::new())
    }

    /// Like [`bind`](Self::bind), at an address of the standard library, with options.
    ///
    /// The same options apply as for [`UnixListener`](crate::net::UnixListener::bind_addr), and
    /// shards share a socket in the same way.
    ///
    /// # Errors
    ///
    /// As for [`bind`](Self::bind).
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    pub fn bind_addr(address: &SocketAddr, options: &ListenOptions) -> io::Result<Self> {
        listen_on(address, options, SOCK_SEQPACKET).map(|listener| Self { listener })
    }

    /// Takes the socket out of the runtime, to listen with it elsewhere.
    ///
    /// Waits until the kernel has ended the accept in flight. With the socket it returns the
    /// connections that had been accepted and not been returned, at most
    /// [`max_pending`](ListenOptions::max_pending) and one batch of the kernel. Those in the
    /// backlog stay there.
    ///
    /// # Errors
    ///
    /// If an accept that was forgotten still uses the descriptor, and it cannot be duplicated.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the listener is closed, and so are those connections.
    pub async fn into_fd(self) -> io::Result<(OwnedFd, Vec<(UnixSeqpacket, SocketAddr)>)> {
        self.listener.into_inner().into_fd().await
    }
}
