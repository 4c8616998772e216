//! TCP: `listener` takes connections, `stream` is one, and `connect` opens one, racing several
//! addresses in `happy_eyeballs`; `server` starts servers. `socket` is one that is neither yet,
//! and `options` are those that only TCP has.

mod connect;
mod connect_options;
mod happy_eyeballs;
mod listener;
mod options;
mod server;
mod socket;
mod stream;

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use super::stream::{define, sealed};

pub use connect::{open_connection, open_connection_with};
pub use connect_options::ConnectOptions;
pub use listener::TcpListener;
pub use options::Keepalive;
pub(super) use options::{Initial, initial_option_methods, initial_options, names as option_names};
pub use server::{start_server, start_server_with};
pub use socket::TcpSocket;
pub use stream::TcpStream;

define::stream!(TcpStream, SocketAddr, std::net::TcpStream);

impl sealed::Address for SocketAddr {
    fn unspecified(like: Option<Self>) -> Self {
        match like {
            Some(SocketAddr::V6(_)) => (Ipv6Addr::UNSPECIFIED, 0).into(),
            _ => (Ipv4Addr::UNSPECIFIED, 0).into(),
        }
    }

    fn ip(&self) -> Option<SocketAddr> {
        Some(*self)
    }

    fn to_text(&self) -> String {
        self.to_string()
    }
}
