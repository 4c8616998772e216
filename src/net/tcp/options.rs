//! The socket options of a stream.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use super::TcpStream;
use crate::error::Describe;
use crate::sys::{self, socket};

/// How a connection finds out that its peer is gone, when nothing is sent.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use annulus::net::tcp::Keepalive;
///
/// let keepalive = Keepalive { idle: Duration::from_secs(30), ..Keepalive::default() };
/// assert_eq!(keepalive.probes, 9);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalive {
    /// Silence before the first probe; rounded up to whole seconds.
    pub idle: Duration,
    /// Time between two probes; rounded up to whole seconds.
    pub interval: Duration,
    /// Unanswered probes before the connection counts as broken.
    pub probes: u32,
}

impl Default for Keepalive {
    /// The system's: two hours, 75 seconds, nine probes.
    fn default() -> Self {
        Self { idle: Duration::from_secs(7200), interval: Duration::from_secs(75), probes: 9 }
    }
}

fn seconds(duration: Duration) -> i32 {
    // The kernel refuses zero.
    sys::seconds(duration).max(1)
}

impl TcpStream {
    /// Sends small pieces at once (`true`) instead of waiting to send more in one packet.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub fn set_nodelay(&self, on: bool) -> io::Result<()> {
        self.set(socket::IPPROTO_TCP, socket::TCP_NODELAY, on.into(), "set nodelay")
    }

    /// Whether small pieces are sent at once.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub fn nodelay(&self) -> io::Result<bool> {
        Ok(self.get(socket::IPPROTO_TCP, socket::TCP_NODELAY, "get nodelay")? != 0)
    }

    /// Makes the kernel probe a silent peer, or not.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if a value is beyond what the kernel takes.
    pub fn set_keepalive(&self, keepalive: Option<Keepalive>) -> io::Result<()> {
        if let Some(Keepalive { idle, interval, probes }) = keepalive {
            let probes = i32::try_from(probes).unwrap_or(i32::MAX);
            let tcp = socket::IPPROTO_TCP;
            self.set(tcp, socket::TCP_KEEPIDLE, seconds(idle), "set keepalive's idle time")?;
            self.set(tcp, socket::TCP_KEEPINTVL, seconds(interval), "set keepalive's interval")?;
            self.set(tcp, socket::TCP_KEEPCNT, probes, "set keepalive's probes")?;
        }
        let on = keepalive.is_some().into();
        self.set(socket::SOL_SOCKET, socket::SO_KEEPALIVE, on, "set keepalive")
    }

    /// How the kernel probes a silent peer, if it does.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub fn keepalive(&self) -> io::Result<Option<Keepalive>> {
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
        let fd = self.socket().fd()?;
        socket::set_linger(fd, linger).describe("set linger")?;
        self.socket().set_lingers(socket::lingers(fd));
        Ok(())
    }

    /// See [`set_linger`](Self::set_linger).
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        socket::linger(self.socket().fd()?).describe("get linger")
    }

    /// Sets how many hops a packet may take, 1 to 255.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for another number.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        let (level, name) = self.ttl_option()?;
        self.set(level, name, i32::try_from(ttl).unwrap_or(i32::MAX), "set ttl")
    }

    /// How many hops a packet may take.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub fn ttl(&self) -> io::Result<u32> {
        let (level, name) = self.ttl_option()?;
        Ok(self.get(level, name, "get ttl")?.unsigned_abs())
    }

    /// The level and name of the hop limit, which differ between the families.
    fn ttl_option(&self) -> io::Result<(i32, i32)> {
        Ok(match self.local_addr()? {
            SocketAddr::V4(_) => (socket::IPPROTO_IP, socket::IP_TTL),
            SocketAddr::V6(_) => (socket::IPPROTO_IPV6, socket::IPV6_UNICAST_HOPS),
        })
    }

    /// Sets the size of the kernel's receive buffer in bytes. The kernel doubles the number.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub fn set_recv_buffer_size(&self, bytes: usize) -> io::Result<()> {
        self.set_size(socket::SO_RCVBUF, bytes, "set receive buffer size")
    }

    /// The size of the kernel's receive buffer in bytes.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub fn recv_buffer_size(&self) -> io::Result<usize> {
        self.size(socket::SO_RCVBUF, "get receive buffer size")
    }

    /// Sets the size of the kernel's send buffer in bytes. The kernel doubles the number.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub fn set_send_buffer_size(&self, bytes: usize) -> io::Result<()> {
        self.set_size(socket::SO_SNDBUF, bytes, "set send buffer size")
    }

    /// The size of the kernel's send buffer in bytes.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub fn send_buffer_size(&self) -> io::Result<usize> {
        self.size(socket::SO_SNDBUF, "get send buffer size")
    }

    fn set_size(&self, name: i32, bytes: usize, doing: &str) -> io::Result<()> {
        self.set(socket::SOL_SOCKET, name, i32::try_from(bytes).unwrap_or(i32::MAX), doing)
    }

    fn size(&self, name: i32, doing: &str) -> io::Result<usize> {
        Ok(self.get(socket::SOL_SOCKET, name, doing)?.unsigned_abs() as usize)
    }

    /// Takes the error that is pending on the socket, if there is one.
    ///
    /// # Errors
    ///
    /// If the option cannot be read.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        let errno = self.get(socket::SOL_SOCKET, socket::SO_ERROR, "get error")?;
        Ok((errno != 0).then(|| io::Error::from_raw_os_error(errno)))
    }

    fn set(&self, level: i32, name: i32, value: i32, doing: &str) -> io::Result<()> {
        socket::set_option(self.socket().fd()?, level, name, value).describe(doing)
    }

    fn get(&self, level: i32, name: i32, doing: &str) -> io::Result<i32> {
        socket::option(self.socket().fd()?, level, name).describe(doing)
    }
}
