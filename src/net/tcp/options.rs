//! The options that TCP connections have besides those of every socket.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

use super::TcpStream;
use crate::error::Describe;
use crate::net::options::Options;
use crate::net::stream::{OwnedReadHalf, OwnedWriteHalf, StreamReader, StreamWriter};
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
pub(in crate::net) struct Initial {
    pub(in crate::net) nodelay: Option<bool>,
    pub(in crate::net) keepalive: Option<Keepalive>,
}

impl Initial {
    /// Each of them. An accepted connection inherits them from its listener.
    pub(in crate::net) fn each(self) -> impl Iterator<Item = Setting> {
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
    pub(in crate::net) fn set(self, fd: &OwnedFd) -> io::Result<()> {
        self.each().try_for_each(|Setting { level, name, value, doing }| {
            socket::set_option(fd, level, name, value).describe(doing)
        })
    }
}

/// An option and its value.
pub(in crate::net) struct Setting {
    pub(in crate::net) level: i32,
    pub(in crate::net) name: i32,
    pub(in crate::net) value: i32,
    pub(in crate::net) doing: &'static str,
}

fn set_keepalive(options: &Options, keepalive: Option<Keepalive>) -> io::Result<()> {
    if keepalive.is_none() {
        return options.set(socket::SOL_SOCKET, socket::SO_KEEPALIVE, 0, "set keepalive");
    }
    Initial { nodelay: None, keepalive }.set(options.socket().fd()?)
}

fn keepalive(options: &Options) -> io::Result<Option<Keepalive>> {
    let doing = "get keepalive";
    if options.get(socket::SOL_SOCKET, socket::SO_KEEPALIVE, doing)? == 0 {
        return Ok(None);
    }
    let number = |name| options.get(socket::IPPROTO_TCP, name, doing).map(i32::unsigned_abs);
    let time = |name| number(name).map(|seconds| Duration::from_secs(seconds.into()));
    Ok(Some(Keepalive {
        idle: time(socket::TCP_KEEPIDLE)?,
        interval: time(socket::TCP_KEEPINTVL)?,
        probes: number(socket::TCP_KEEPCNT)?,
    }))
}

/// The level and name of the hop limit, which differ between the families.
fn ttl(options: &Options) -> io::Result<(i32, i32)> {
    Ok(match options.socket().local_addr()? {
        SocketAddr::V4(_) => (socket::IPPROTO_IP, socket::IP_TTL),
        SocketAddr::V6(_) => (socket::IPPROTO_IPV6, socket::IPV6_UNICAST_HOPS),
    })
}

/// Gives the methods to all that share the options of a connection.
macro_rules! tcp_options {
    ($($type:ty),+ $(,)?) => {$(
        /// Options of a TCP connection. Its stream, its halves, and its reader and writer share
        /// them.
        impl $type {
            /// Sets `TCP_NODELAY`: whether small writes are sent at once.
            ///
            /// If not, they wait to fill a packet while earlier ones are unacknowledged.
            ///
            /// On for connections of [`start_server`](crate::net::start_server) and
            /// [`open_connection`](crate::net::open_connection); off for others, as is the system's
            /// default.
            ///
            /// # Errors
            ///
            /// The kernel's.
            #[doc(alias = "TCP_NODELAY")]
            pub fn set_nodelay(&self, on: bool) -> io::Result<()> {
                let (level, name) = (socket::IPPROTO_TCP, socket::TCP_NODELAY);
                self.options()?.set(level, name, on.into(), "set nodelay")
            }

            /// Whether small writes are sent at once.
            ///
            /// # Errors
            ///
            /// The kernel's.
            pub fn nodelay(&self) -> io::Result<bool> {
                let (level, name) = (socket::IPPROTO_TCP, socket::TCP_NODELAY);
                Ok(self.options()?.get(level, name, "get nodelay")? != 0)
            }

            /// Sets how the kernel probes a silent peer; `None` ends the probes.
            ///
            /// # Errors
            ///
            /// `InvalidInput` if a value is beyond what the kernel takes.
            #[doc(alias = "SO_KEEPALIVE")]
            pub fn set_keepalive(&self, keepalive: Option<Keepalive>) -> io::Result<()> {
                set_keepalive(&self.options()?, keepalive)
            }

            /// How the kernel probes a silent peer, if it does.
            ///
            /// # Errors
            ///
            /// The kernel's.
            pub fn keepalive(&self) -> io::Result<Option<Keepalive>> {
                keepalive(&self.options()?)
            }

            /// Sets how many hops a packet may take, 1 to 255.
            ///
            /// # Errors
            ///
            /// `InvalidInput` for another number.
            #[doc(alias = "IP_TTL")]
            #[doc(alias = "IPV6_UNICAST_HOPS")]
            pub fn set_ttl(&self, hops: u32) -> io::Result<()> {
                let options = self.options()?;
                let (level, name) = ttl(&options)?;
                options.set(level, name, i32::try_from(hops).unwrap_or(i32::MAX), "set ttl")
            }

            /// How many hops a packet may take.
            ///
            /// # Errors
            ///
            /// The kernel's.
            pub fn ttl(&self) -> io::Result<u32> {
                let options = self.options()?;
                let (level, name) = ttl(&options)?;
                Ok(options.get(level, name, "get ttl")?.unsigned_abs())
            }
        }
    )+};
}

tcp_options! {
    TcpStream,
    OwnedReadHalf<TcpStream>,
    OwnedWriteHalf<TcpStream>,
    StreamReader<TcpStream>,
    StreamWriter<TcpStream>,
}
