//! The options that TCP sockets have besides those of every socket: `names`, and `keepalive`.
//! `methods` offers them; `initial` sets them before a connection begins.

mod initial;
mod keepalive;
mod methods;
pub(in crate::net) mod names;

use super::{TcpListener, TcpStream};
use crate::net::options::{FdOptions, buffer_size_methods, take_error_method};
use crate::net::stream::{OwnedReadHalf, OwnedWriteHalf, StreamReader, StreamWriter};

pub(in crate::net) use initial::{Initial, initial_option_methods, initial_options};
pub use keepalive::Keepalive;
pub(in crate::net) use keepalive::{keepalive, set_keepalive};
pub(in crate::net) use methods::{tcp_connection_methods, tcp_option_methods};

/// Gives the methods to all that share the options of a connection.
macro_rules! connection_options {
    ($($type:ty),+ $(,)?) => {$(
        /// Options of a TCP connection. Its stream, its halves, and its reader and writer share
        /// them.
        impl $type {
            $crate::net::tcp::options::tcp_option_methods!();
            $crate::net::tcp::options::tcp_connection_methods!();
        }
    )+};
}

connection_options! {
    TcpStream,
    OwnedReadHalf<TcpStream>,
    OwnedWriteHalf<TcpStream>,
    StreamReader<TcpStream>,
    StreamWriter<TcpStream>,
}

/// Options of a listener. Connections that are accepted later inherit them.
impl TcpListener {
    buffer_size_methods!();
    take_error_method!();
    tcp_option_methods!();

    #[expect(clippy::unnecessary_wraps, reason = "the methods are those of streams, too")]
    fn options(&self) -> std::io::Result<FdOptions<'_>> {
        Ok(FdOptions(self.fd()))
    }
}
