//! TCP's options, and the forms of their values.

use crate::net::options::option::{Form, Milliseconds, Name, Number, SocketOption, Switch};
use crate::sys::option::{
    IP_FREEBIND, IP_TRANSPARENT, TCP_CONGESTION, TCP_CORK, TCP_DEFER_ACCEPT, TCP_FASTOPEN,
    TCP_FASTOPEN_CONNECT, TCP_MAXSEG, TCP_NOTSENT_LOWAT, TCP_QUICKACK,
};
use crate::sys::socket::{IPPROTO_IP, IPPROTO_TCP, TCP_NODELAY, TCP_USER_TIMEOUT};

const fn tcp<F: Form>(name: i32, what: &'static str) -> SocketOption<F> {
    SocketOption::new(IPPROTO_TCP, name, what)
}

pub(in crate::net) const CONGESTION_CONTROL: SocketOption<Name> =
    tcp(TCP_CONGESTION, "congestion control");
pub(in crate::net) const CORK: SocketOption<Switch> = tcp(TCP_CORK, "cork");
pub(in crate::net) const DEFER_ACCEPT: SocketOption<Number> = tcp(TCP_DEFER_ACCEPT, "defer accept");
pub(in crate::net) const FAST_OPEN: SocketOption<Number> = tcp(TCP_FASTOPEN, "fast open");
pub(in crate::net) const FAST_OPEN_CONNECT: SocketOption<Switch> =
    tcp(TCP_FASTOPEN_CONNECT, "fast open");
pub(in crate::net) const MSS: SocketOption<Number> = tcp(TCP_MAXSEG, "largest segment size");
pub(in crate::net) const NODELAY: SocketOption<Switch> = tcp(TCP_NODELAY, "nodelay");
pub(in crate::net) const NOTSENT_LOWAT: SocketOption<Number> =
    tcp(TCP_NOTSENT_LOWAT, "limit of unsent bytes");
pub(in crate::net) const QUICKACK: SocketOption<Switch> = tcp(TCP_QUICKACK, "quick ack");
pub(in crate::net) const USER_TIMEOUT: SocketOption<Milliseconds> =
    tcp(TCP_USER_TIMEOUT, "user timeout");

// Of sockets that are not connected.
pub(in crate::net) const FREEBIND: SocketOption<Switch> =
    SocketOption::new(IPPROTO_IP, IP_FREEBIND, "freebind");
pub(in crate::net) const TRANSPARENT: SocketOption<Switch> =
    SocketOption::new(IPPROTO_IP, IP_TRANSPARENT, "transparent");
