//! Streams and halves as what bytes come from and go to: the traits of [`io`](crate::io).
//!
//! What this end has closed or aborted comes to EOF for its readers, and does not fail.

use std::any::Any;
use std::io;
use std::rc::{Rc, Weak};

use super::ops;
use crate::buf::{BufResult, IoBufMut, Lease};
use crate::op::StreamSocket;

/// [`AsyncRead::recv`](crate::io::AsyncRead::recv) of a socket.
pub(in crate::net) async fn recv(socket: &Rc<StreamSocket>) -> io::Result<Lease> {
    if socket.is_over() {
        return Ok(Lease::default());
    }
    let received = ops::recv(socket).await;
    unless_over(socket, received)
}

/// [`AsyncRead::read`](crate::io::AsyncRead::read) of a socket.
pub(in crate::net) async fn read<B: IoBufMut>(
    socket: &Rc<StreamSocket>,
    buffer: B,
) -> BufResult<usize, B> {
    if socket.is_over() {
        return BufResult(Ok(0), buffer);
    }
    let BufResult(read, buffer) = ops::read(socket, buffer).await;
    BufResult(unless_over(socket, read), buffer)
}

fn unless_over<T: Default>(socket: &StreamSocket, read: io::Result<T>) -> io::Result<T> {
    match read {
        Err(_) if socket.is_over() => Ok(T::default()),
        read => read,
    }
}

/// [`AsyncWrite::connection`](crate::io::AsyncWrite::connection) of a socket.
pub(in crate::net) fn connection(socket: &Rc<StreamSocket>) -> Weak<dyn Any> {
    Rc::downgrade(socket) as Weak<dyn Any>
}

/// Implements [`AsyncRead`](crate::io::AsyncRead) for a type with a method `socket`.
macro_rules! impl_read {
    ([$($generics:tt)*] $type:ty) => {
        impl<$($generics)*> $crate::io::AsyncRead for $type {
            async fn recv(&mut self) -> std::io::Result<$crate::buf::Lease> {
                $crate::net::stream::io::recv(self.socket()).await
            }

            async fn read<B: $crate::buf::IoBufMut>(
                &mut self,
                buffer: B,
            ) -> $crate::buf::BufResult<usize, B> {
                $crate::net::stream::io::read(self.socket(), buffer).await
            }
        }
    };
}

/// Implements [`AsyncWrite`](crate::io::AsyncWrite) for a type with a method `socket`, which says
/// itself what it does to `abort`.
macro_rules! impl_write {
    ([$($generics:tt)*] $type:ty { $($own:item)* }) => {
        impl<$($generics)*> $crate::io::AsyncWrite for $type {
            async fn write_all<B: $crate::buf::IoBuf>(
                &mut self,
                buffer: B,
            ) -> $crate::buf::BufResult<(), B> {
                $crate::net::stream::ops::write_all(self.socket(), buffer).await
            }

            async fn shutdown(&mut self) -> std::io::Result<()> {
                $crate::net::stream::ops::shutdown(self.socket(), std::net::Shutdown::Write).await
            }

            fn connection(&self) -> Option<std::rc::Weak<dyn std::any::Any>> {
                Some($crate::net::stream::io::connection(self.socket()))
            }

            $($own)*
        }
    };
}

pub(in crate::net) use {impl_read, impl_write};
