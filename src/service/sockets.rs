//! The listening sockets that a process has to hand over.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::environment::is_name;
use crate::error::Describe;
use crate::net::{Listening, SharedListener};

/// The sockets that a process listens on, by name, to be [handed over](fn@super::hand_over).
///
/// Clones share them, and threads share clones: each shard adds its own. Of listeners that share a
/// port (`SO_REUSEPORT`) each has connections of its own waiting, so all must be added. The sockets
/// are not kept open: those that are closed are not handed over.
///
/// # Shards
///
/// A shard that names its sockets by its index finds them again in the successor. That may have
/// another number of shards: those that are left over need a shard, too, and a shard without one
/// can listen on a duplicate (`as_fd().try_clone_to_owned()`) of another's.
///
/// What the kernel knows of a socket stays as it is: the address, the backlog, and the port that it
/// shares or the CPU that it is for ([`Spread::Hash`], [`Spread::Cpu`]). With
/// [`Spread::LeastLoaded`] each shard hands over a descriptor of the same socket, but in the
/// successor they are listeners without that spread: each connection goes to whichever shard
/// accepts it first.
///
/// [`Spread::Hash`]: crate::net::Spread::Hash
/// [`Spread::Cpu`]: crate::net::Spread::Cpu
/// [`Spread::LeastLoaded`]: crate::net::Spread::LeastLoaded
///
/// # Example
///
/// ```
/// use annulus::net::TcpListener;
/// use annulus::service::ListeningSockets;
///
/// let sockets = ListeningSockets::new();
/// annulus::run(async {
///     let listener = TcpListener::bind("127.0.0.1:0").await?;
///     sockets.add("http", &listener)?;
///     assert_eq!(sockets.len(), 1);
///     listener.close().await;
///     assert!(sockets.is_empty());
///     std::io::Result::Ok(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct ListeningSockets {
    named: Arc<Mutex<Vec<Named>>>,
}

#[derive(Debug)]
struct Named {
    name: String,
    socket: Weak<SharedListener>,
}

impl ListeningSockets {
    /// None, at first.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a listener, or all listeners of a [`Server`](crate::net::Server).
    ///
    /// The successor sees the name ([`InheritedSocket::name`](super::InheritedSocket::name)), and
    /// the sockets in the order in which they were added.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the name is empty, has more than 255 bytes, or something else than
    /// printable ASCII, or a colon.
    pub fn add(&self, name: &str, listening: &impl Listening) -> io::Result<()> {
        if !is_name(name) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!(
                    "{name:?} cannot name a socket: use 1 to 255 printable characters of ASCII, without a colon"
                ),
            ));
        }
        let mut named = self.lock();
        named.retain(Named::is_open);
        let sockets = listening.share().into_iter();
        named.extend(sockets.map(|socket| Named { name: name.to_owned(), socket }));
        Ok(())
    }

    /// How many of them are open.
    pub fn len(&self) -> usize {
        self.lock().iter().filter(|named| named.is_open()).count()
    }

    /// Whether none is open.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Duplicates those that are open.
    pub(super) fn duplicate(&self) -> io::Result<Vec<(String, OwnedFd)>> {
        let named = self.lock();
        let open = named.iter().filter_map(|it| {
            let fd = it.socket.upgrade()?.duplicate()?;
            Some((it.name.clone(), fd))
        });
        let duplicates =
            open.map(|(name, fd)| Ok((name, fd.describe("duplicate a listening socket")?)));
        duplicates.collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Named>> {
        self.named.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Named {
    fn is_open(&self) -> bool {
        self.socket.strong_count() > 0
    }
}
