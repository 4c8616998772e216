//! The options of a connection, which its stream, its halves, and its reader and writer have alike.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use super::stream::{OwnedReadHalf, OwnedWriteHalf, StreamReader, StreamWriter};
use super::tcp::TcpStream;
use crate::error::Describe;
use crate::op::StreamSocket;
use crate::sys::{self, socket};

/// How the kernel finds out that a silent peer is gone.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use annulus::net::Keepalive;
///
/// let keepalive = Keepalive::new().idle(Duration::from_secs(30));
/// assert_eq!(keepalive.probes, 9);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Keepalive {
    /// Silence before the first probe; rounded up to whole seconds.
    pub idle: Duration,
    /// Time between two probes; rounded up to whole seconds.
    pub interval: Duration,
    /// Unanswered probes before the connection counts as broken.
    pub probes: u32,
}

impl Default for Keepalive {
    fn default() -> Self {
        Self::new()
    }
}

impl Keepalive {
    /// The system's defaults: two hours, 75 seconds, nine probes.
    pub const fn new() -> Self {
        Self { idle: Duration::from_secs(7200), interval: Duration::from_secs(75), probes: 9 }
    }

    /// Sets how long the peer is silent before the first probe.
    #[must_use]
    pub const fn idle(mut self, idle: Duration) -> Self {
        self.idle = idle;
        self
    }

    /// Sets the time between two probes.
    #[must_use]
    pub const fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// Sets how many unanswered probes break the connection.
    #[must_use]
    pub const fn probes(mut self, probes: u32) -> Self {
        self.probes = probes;
        self
    }
}

fn seconds(duration: Duration) -> i32 {
    // The kernel refuses zero.
    sys::seconds(duration).max(1)
}

/// Options that a connection has from its beginning.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Initial {
    pub(super) nodelay: Option<bool>,
    pub(super) keepalive: Option<Keepalive>,
}

impl Initial {
    /// Each of them. An accepted connection inherits them from its listener.
    pub(super) fn each(self) -> impl Iterator<Item = Setting> {
        let (general, tcp) = (socket::SOL_SOCKET, socket::IPPROTO_TCP);
        let setting = |level, name, value, doing| Setting { level, name, value, doing };
        let on = |on: bool| setting(tcp, socket::TCP_NODELAY, on.into(), "set nodelay");
        let keepalive = self.keepalive.into_iter().flat_map(move |keepalive| {
            let Keepalive { idle, interval, probes } = keepalive;
            let probes = i32::try_from(probes).unwrap_or(i32::MAX);
            [
                setting(tcp, socket::TCP_KEEPIDLE, seconds(idle), "set keepalive's idle time"),
                setting(tcp, socket::TCP_KEEPINTVL, seconds(interval), "set keepalive's interval"),
                setting(tcp, socket::TCP_KEEPCNT, probes, "set keepalive's probes"),
                // The last, so that it is not set by halves.
                setting(general, socket::SO_KEEPALIVE, 1, "set keepalive"),
            ]
        });
        self.nodelay.map(on).into_iter().chain(keepalive)
    }

    /// Sets them.
    pub(super) fn set(self, fd: &OwnedFd) -> io::Result<()> {
        self.each().try_for_each(|Setting { level, name, value, doing }| {
            socket::set_option(fd, level, name, value).describe(doing)
        })
    }
}

/// An option and its value.
pub(super) struct Setting {
    pub(super) level: i32,
    pub(super) name: i32,
    pub(super) value: i32,
    pub(super) doing: &'static str,
}

/// The options of a socket.
struct Options(Rc<StreamSocket>);

impl Options {
    fn set_keepalive(&self, keepalive: Option<Keepalive>) -> io::Result<()> {
        if keepalive.is_none() {
            return self.set(socket::SOL_SOCKET, socket::SO_KEEPALIVE, 0, "set keepalive");
        }
        Initial { nodelay: None, keepalive }.set(self.0.fd()?)
    }

    fn keepalive(&self) -> io::Result<Option<Keepalive>> {
        let doing = "get keepalive";
        if self.get(socket::SOL_SOCKET, socket::SO_KEEPALIVE, doing)? == 0 {
            return Ok(None);
        }
        let number = |name| {
            let value = self.get(socket::IPPROTO_TCP, name, doing);
            value.map(i32::unsigned_abs)
        };
        let time = |name| number(name).map(|seconds| Duration::from_secs(seconds.into()));
        Ok(Some(Keepalive {
            idle: time(socket::TCP_KEEPIDLE)?,
            interval: time(socket::TCP_KEEPINTVL)?,
            probes: number(socket::TCP_KEEPCNT)?,
        }))
    }

    fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        self.0.set_linger(linger)
    }

    /// The level and name of the hop limit, which differ between the families.
    fn ttl(&self) -> io::Result<(i32, i32)> {
        Ok(match self.0.local_addr()? {
            SocketAddr::V4(_) => (socket::IPPROTO_IP, socket::IP_TTL),
            SocketAddr::V6(_) => (socket::IPPROTO_IPV6, socket::IPV6_UNICAST_HOPS),
        })
    }

    fn set_size(&self, name: i32, bytes: usize, doing: &str) -> io::Result<()> {
        self.set(socket::SOL_SOCKET, name, i32::try_from(bytes).unwrap_or(i32::MAX), doing)
    }

    fn size(&self, name: i32, doing: &str) -> io::Result<usize> {
        Ok(self.get(socket::SOL_SOCKET, name, doing)?.unsigned_abs() as usize)
    }

    fn set(&self, level: i32, name: i32, value: i32, doing: &str) -> io::Result<()> {
        self.0.set_option(level, name, value, doing)
    }

    fn get(&self, level: i32, name: i32, doing: &str) -> io::Result<i32> {
        self.0.option(level, name, doing)
    }
}

/// Gives the methods to a type, which says how its socket is found.
macro_rules! options {
    ($($type:ty: |$its:ident| $socket:expr),+ $(,)?) => {$(
        /// Options of the connection. All that stand for one connection share them: its stream, or its
        /// halves, its reader and its writer.
        impl $type {
            fn options(&self) -> io::Result<Options> {
                let $its = self;
                $socket.map(Options)
            }

            /// Sends small pieces at once (`true`) instead of waiting to send more in one packet. On for
            /// connections of [`start_server`](crate::net::start_server) and
            /// [`open_connection`](crate::net::open_connection); off for others, as is the system's default.
            ///
            /// # Errors
            ///
            /// The kernel's.
            #[doc(alias = "TCP_NODELAY")]
            pub fn set_nodelay(&self, on: bool) -> io::Result<()> {
                let (level, name) = (socket::IPPROTO_TCP, socket::TCP_NODELAY);
                self.options()?.set(level, name, on.into(), "set nodelay")
            }

            /// Whether small pieces are sent at once.
            ///
            /// # Errors
            ///
            /// The kernel's.
            pub fn nodelay(&self) -> io::Result<bool> {
                let (level, name) = (socket::IPPROTO_TCP, socket::TCP_NODELAY);
                Ok(self.options()?.get(level, name, "get nodelay")? != 0)
            }

            /// Makes the kernel probe a silent peer, or not.
            ///
            /// # Errors
            ///
            /// `InvalidInput` if a value is beyond what the kernel takes.
            #[doc(alias = "SO_KEEPALIVE")]
            pub fn set_keepalive(&self, keepalive: Option<Keepalive>) -> io::Result<()> {
                self.options()?.set_keepalive(keepalive)
            }

            /// How the kernel probes a silent peer, if it does.
            ///
            /// # Errors
            ///
            /// The kernel's.
            pub fn keepalive(&self) -> io::Result<Option<Keepalive>> {
                self.options()?.keepalive()
            }

            /// What closing does with bytes that are not sent yet. `None`, the default, sends them
            /// afterwards; zero discards them and resets the connection; a duration, rounded up to whole
            /// seconds, waits so long. The waiting is done by a kernel worker, not by this thread; but if the
            /// option is set by other means, through the descriptor, it is this thread that waits. A runtime
            /// that ends waits for no lingering close: the kernel sends the rest by itself.
            ///
            /// # Errors
            ///
            /// The kernel's.
            pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
                self.options()?.set_linger(linger)
            }

            /// What closing does with bytes that are not sent yet; see
            /// [`set_linger`](Self::set_linger).
            ///
            /// # Errors
            ///
            /// The kernel's.
            pub fn linger(&self) -> io::Result<Option<Duration>> {
                self.options()?.0.linger()
            }

            /// Sets how many hops a packet may take, 1 to 255.
            ///
            /// # Errors
            ///
            /// `InvalidInput` for another number.
            pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
                let (options, ttl) = (self.options()?, i32::try_from(ttl).unwrap_or(i32::MAX));
                let (level, name) = options.ttl()?;
                options.set(level, name, ttl, "set ttl")
            }

            /// How many hops a packet may take.
            ///
            /// # Errors
            ///
            /// The kernel's.
            pub fn ttl(&self) -> io::Result<u32> {
                let options = self.options()?;
                let (level, name) = options.ttl()?;
                Ok(options.get(level, name, "get ttl")?.unsigned_abs())
            }

            /// Sets the size of the kernel's receive buffer in bytes. The kernel doubles the number.
            ///
            /// # Errors
            ///
            /// The kernel's.
            #[doc(alias = "SO_RCVBUF")]
            pub fn set_recv_buffer_size(&self, bytes: usize) -> io::Result<()> {
                self.options()?.set_size(socket::SO_RCVBUF, bytes, "set receive buffer size")
            }

            /// The size of the kernel's receive buffer in bytes.
            ///
            /// # Errors
            ///
            /// The kernel's.
            pub fn recv_buffer_size(&self) -> io::Result<usize> {
                self.options()?.size(socket::SO_RCVBUF, "get receive buffer size")
            }

            /// Sets the size of the kernel's send buffer in bytes. The kernel doubles the number.
            ///
            /// # Errors
            ///
            /// The kernel's.
            #[doc(alias = "SO_SNDBUF")]
            pub fn set_send_buffer_size(&self, bytes: usize) -> io::Result<()> {
                self.options()?.set_size(socket::SO_SNDBUF, bytes, "set send buffer size")
            }

            /// The size of the kernel's send buffer in bytes.
            ///
            /// # Errors
            ///
            /// The kernel's.
            pub fn send_buffer_size(&self) -> io::Result<usize> {
                self.options()?.size(socket::SO_SNDBUF, "get send buffer size")
            }

            /// Takes the error that is pending on the socket, if there is one.
            ///
            /// # Errors
            ///
            /// If the option cannot be read.
            pub fn take_error(&self) -> io::Result<Option<io::Error>> {
                let errno = self.options()?.get(socket::SOL_SOCKET, socket::SO_ERROR, "get error")?;
                Ok((errno != 0).then(|| io::Error::from_raw_os_error(errno)))
            }
        }
    )+};
}

options! {
    TcpStream: |stream| Ok(Rc::clone(stream.socket())),
    OwnedReadHalf: |half| Ok(Rc::clone(half.socket())),
    OwnedWriteHalf: |half| Ok(Rc::clone(half.socket())),
    StreamReader: |reader| Ok(Rc::clone(reader.get_ref().socket())),
    StreamWriter: |writer| writer.socket(),
}
