//! Which streams and halves have poll forms, and for which direction.

use std::rc::Rc;

use crate::net::stream::{Connection, OwnedReadHalf, OwnedWriteHalf};
use crate::op::StreamSocket;

/// A stream or a half, as far as [`Polled`](super::Polled) is concerned.
///
/// Only this crate implements it.
pub trait Side: sealed::Side + Unpin {}

/// A [`Side`] that can be read from: a stream, or its reading half.
///
/// Only this crate implements it.
pub trait ReadSide: Side {}

/// A [`Side`] that can be written to: a stream, or its writing half.
///
/// Only this crate implements it.
pub trait WriteSide: Side {}

pub(super) mod sealed {
    use super::{Rc, StreamSocket};

    pub trait Side {
        /// Whether its drop shuts the writing direction down.
        const SHUTS_DOWN: bool;

        fn socket(&self) -> &Rc<StreamSocket>;

        /// Drops it, without a shutdown of the writing direction.
        fn forget(self);
    }
}

impl<S: Connection + Unpin> Side for S {}
impl<S: Connection + Unpin> ReadSide for S {}
impl<S: Connection + Unpin> WriteSide for S {}

impl<S: Connection> sealed::Side for S {
    const SHUTS_DOWN: bool = false;

    fn socket(&self) -> &Rc<StreamSocket> {
        crate::net::stream::sealed::Stream::socket(self)
    }

    fn forget(self) {}
}

impl<S: Connection + Unpin> Side for OwnedReadHalf<S> {}
impl<S: Connection + Unpin> ReadSide for OwnedReadHalf<S> {}

impl<S: Connection> sealed::Side for OwnedReadHalf<S> {
    const SHUTS_DOWN: bool = false;

    fn socket(&self) -> &Rc<StreamSocket> {
        self.socket()
    }

    fn forget(self) {}
}

impl<S: Connection + Unpin> Side for OwnedWriteHalf<S> {}
impl<S: Connection + Unpin> WriteSide for OwnedWriteHalf<S> {}

impl<S: Connection> sealed::Side for OwnedWriteHalf<S> {
    const SHUTS_DOWN: bool = true;

    fn socket(&self) -> &Rc<StreamSocket> {
        self.socket()
    }

    fn forget(self) {
        self.forget();
    }
}
