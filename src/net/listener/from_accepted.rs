//! What a listener makes of an accepted connection.

use std::fmt;
use std::io;
use std::rc::Rc;

use crate::driver::Driver;
use crate::net::stream::sealed::Address;
use crate::net::stream::{Connection, new_socket};
use crate::op::{Accepted, OpenGuard};

/// An accepted connection, of which a stream is to be made.
pub struct NewConnection {
    pub(in crate::net) driver: Rc<Driver>,
    pub(in crate::net) accepted: Accepted,
    /// Whether closing it may take time.
    pub(in crate::net) lingers: bool,
    /// Counts the connection until it is closed.
    pub(in crate::net) guard: Option<OpenGuard>,
}

/// Something that a listener makes of an accepted connection.
pub trait FromAccepted: Sized + 'static {
    /// The peer's address.
    type Addr: Address + Clone + fmt::Debug;

    /// Whether the connection may be a direct descriptor.
    const MAY_BE_DIRECT: bool;

    /// Takes a connection over.
    fn from_accepted(connection: NewConnection) -> Self;

    /// The peer's address, which the accept may have told.
    fn accepted_from(&self) -> io::Result<Self::Addr>;
}

impl<S: Connection> FromAccepted for S {
    type Addr = S::Addr;

    const MAY_BE_DIRECT: bool = true;

    fn from_accepted(connection: NewConnection) -> Self {
        let NewConnection { driver, accepted, lingers, guard } = connection;
        let socket = new_socket(driver, accepted.descriptor, lingers);
        if let Some(peer) = accepted.peer {
            socket.set_peer_addr(peer);
        }
        if let Some(guard) = guard {
            socket.count_until_dropped(guard);
        }
        S::from_socket(socket)
    }

    fn accepted_from(&self) -> io::Result<S::Addr> {
        self.socket().peer_addr()
    }
}
