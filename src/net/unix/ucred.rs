//! Who is at the other end of a Unix socket.

use std::io;
use std::os::fd::OwnedFd;

use super::stream::UnixStream;
use crate::error::Describe;
use crate::net::stream::{OwnedReadHalf, OwnedWriteHalf, StreamReader, StreamWriter};
use crate::sys::socket;

/// The credentials of a process, as the kernel knows them.
///
/// Made by [`UnixStream::peer_cred`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UCred {
    uid: u32,
    gid: u32,
    pid: i32,
}

impl UCred {
    /// The effective user.
    pub const fn uid(&self) -> u32 {
        self.uid
    }

    /// The effective group.
    pub const fn gid(&self) -> u32 {
        self.gid
    }

    /// The process; `None` if it is not visible here, as in another namespace.
    ///
    /// It may have ended meanwhile, and another process may have its number.
    pub const fn pid(&self) -> Option<i32> {
        if self.pid > 0 { Some(self.pid) } else { None }
    }

    /// Those of the peer of a socket.
    pub(in crate::net) fn of_peer(fd: &OwnedFd) -> io::Result<Self> {
        let (uid, gid, pid) = socket::peer_credentials(fd).describe("get peer credentials")?;
        Ok(Self { uid, gid, pid })
    }
}

macro_rules! peer_cred {
    ($($type:ty),+ $(,)?) => {$(
        /// The peer of a connection of a Unix socket.
        impl $type {
            /// The credentials of the process at the other end.
            ///
            /// They are those that it had when it connected; or, where the other end has accepted
            /// the connection, those of the process that began to listen; or of the one that has
            /// made the [pair](UnixStream::pair). They do not change when the socket is passed on.
            ///
            /// # Errors
            ///
            /// The kernel's.
            ///
            /// # Example
            ///
            /// ```
            /// use annulus::net::UnixStream;
            ///
            /// annulus::run(async {
            ///     let (near, _far) = UnixStream::pair()?;
            ///     let peer = near.peer_cred()?;
            ///     assert_eq!(peer.pid(), Some(std::process::id() as i32));
            ///     std::io::Result::Ok(())
            /// })??;
            /// # Ok::<(), Box<dyn std::error::Error>>(())
            /// ```
            #[doc(alias = "SO_PEERCRED")]
            pub fn peer_cred(&self) -> io::Result<UCred> {
                UCred::of_peer(self.options()?.fd()?)
            }
        }
    )+};
}

peer_cred! {
    UnixStream,
    OwnedReadHalf<UnixStream>,
    OwnedWriteHalf<UnixStream>,
    StreamReader<UnixStream>,
    StreamWriter<UnixStream>,
}
