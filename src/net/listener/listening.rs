//! What listens, and so has sockets that another process can take over.

use std::sync::Weak;

pub(crate) use crate::op::SharedListener;

/// Something that listens: a [`TcpListener`](crate::net::TcpListener), a
/// [`UnixListener`](crate::net::UnixListener), a
/// [`UnixSeqpacketListener`](crate::net::UnixSeqpacketListener), or a
/// [`Server`](crate::net::Server) with its listeners.
///
/// For [`ListeningSockets::add`](crate::service::ListeningSockets::add). Only this crate implements
/// it.
pub trait Listening: sealed::Listening {}

impl<T: sealed::Listening> Listening for T {}

pub(crate) mod sealed {
    pub trait Listening {
        /// The listening sockets, for other threads, which do not keep them open.
        fn share(&self) -> Vec<super::Weak<super::SharedListener>>;
    }
}
