//! Accepting connections, whatever their kind.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::backoff::AcceptBackoff;
use super::balance::{self, Placed};
use super::from_accepted::{FromAccepted, NewConnection};
use super::group::{Joined, Member};
use super::options::ListenOptions;
use super::seat::Seat;
use super::socket_file::{BoundFile, SocketFile};
use crate::error::{Describe, describe};
use crate::net::stream::Connection;
use crate::net::stream::sealed::Address;
use crate::net::tcp::option_names::USER_TIMEOUT;
use crate::op::{Accepted, Acceptor, Holders, ListeningFd, OpenGuard, SharedListener};
use crate::runtime::context;
use crate::sys::errno;
use crate::sys::socket::{lingers, local_address};
use crate::task::coop;

/// A listener of stream sockets: [`TcpListener`](crate::net::TcpListener) or
/// [`UnixListener`](crate::net::UnixListener).
///
/// A [server](crate::net::start_server_on) is started on any of them. Only this crate implements
/// it.
pub trait Listener: sealed::Listener<Self::Stream> {
    /// Its connections.
    type Stream: Connection;
}

pub(in crate::net) mod sealed {
    pub trait Listener<S: super::Connection> {
        fn into_inner(self) -> super::ListenSocket<S>;
    }
}

/// A listening socket whose connections are of type `S`.
pub struct ListenSocket<S> {
    /// Before the acceptor, which has the socket: see there.
    file: Option<Arc<SocketFile>>,
    acceptor: Acceptor,
    /// Whether its connections inherit that closing them may take time.
    lingers: bool,
    backoff: AcceptBackoff,
    /// If connections are balanced over shards, until the listener is closed.
    seat: Option<Seat>,
    /// What was placed on this shard before it closed the listener.
    placed: VecDeque<Placed>,
    /// If shards listen together.
    _member: Option<Member>,
    stream: PhantomData<S>,
}

impl<S: FromAccepted> ListenSocket<S> {
    /// Takes over a listening socket that others may have, too.
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    pub(in crate::net) fn adopt(fd: OwnedFd) -> Self {
        let listener = Self::new(fd, &ListenOptions::new());
        listener.acceptor.note_shared();
        listener
    }

    /// Listens on a socket that has just been made. At most `max_pending` connections are accepted
    /// ahead.
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    pub(in crate::net) fn new(fd: OwnedFd, options: &ListenOptions) -> Self {
        Self::with(fd, options, None, None, None)
    }

    /// Like [`new`](Self::new), for a socket that is bound to a file which is to be removed.
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    pub(in crate::net) fn with_file(
        fd: OwnedFd,
        options: &ListenOptions,
        file: Option<BoundFile>,
    ) -> Self {
        Self::with(fd, options, file, None, None)
    }

    /// Takes over the listening socket of a shard, which listens together with others.
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    pub(in crate::net) fn joined(joined: Joined, options: &ListenOptions) -> Self {
        Self::with(joined.fd, options, None, joined.seat, Some(joined.member))
    }

    fn with(
        fd: OwnedFd,
        options: &ListenOptions,
        bound: Option<BoundFile>,
        seat: Option<Seat>,
        member: Option<Member>,
    ) -> Self {
        let ahead = u32::try_from(options.max_pending.max(1)).unwrap_or(u32::MAX);
        let lingers = lingers(&fd);
        let driver = context::driver();
        // A lingering connection needs a process descriptor, to be closed on a worker at the end,
        // and so does one that may be sent to another thread.
        let may_be_direct = S::MAY_BE_DIRECT && !lingers && seat.is_none();
        let is_direct = may_be_direct && driver.has_file_table();
        // Shards whose connections are balanced have the same socket: the last refuses connections.
        let (holders, file) = seat.as_ref().map_or_else(
            || {
                let holders = Holders::default();
                let file = bound.map(|bound| Arc::new(SocketFile::new(bound, &holders)));
                (holders, file)
            },
            Seat::shared,
        );
        let mut acceptor = Acceptor::new(driver, fd, holders, ahead, is_direct);
        seat.iter().for_each(|seat| acceptor.set_heir(seat.heir()));
        Self {
            file,
            acceptor,
            lingers,
            backoff: AcceptBackoff::default(),
            seat,
            placed: VecDeque::new(),
            _member: member,
            stream: PhantomData,
        }
    }

    /// The listening socket, for those that keep it open.
    pub(super) fn listening(&self) -> &ListeningFd {
        self.acceptor.listening()
    }

    /// The listening socket, for calls that do not pass it on.
    fn fd(&self) -> &OwnedFd {
        self.acceptor.fd()
    }

    /// The listening socket for other threads, which do not keep it open.
    pub(in crate::net) fn share(&self) -> Weak<SharedListener> {
        self.acceptor.share()
    }

    /// Bounds how many connections are taken from the backlog from now on: at least one while a
    /// connection is awaited.
    pub(in crate::net) fn set_room(&mut self, room: usize) {
        self.acceptor.set_room(u32::try_from(room).unwrap_or(u32::MAX));
    }

    /// Whether connections are placed on the shards that have room: then this shard accepts for
    /// others although it has none.
    pub(in crate::net) fn is_balanced(&self) -> bool {
        self.seat.is_some()
    }

    /// Sets how many connections this shard serves at most, if they are balanced.
    pub(in crate::net) fn set_max(&self, connections: usize) {
        if let Some(seat) = &self.seat {
            seat.set_max(connections);
        }
    }

    pub(in crate::net) async fn accept(&mut self) -> io::Result<(S, S::Addr)> {
        poll_fn(|context| self.poll_accept(context)).await
    }

    pub(in crate::net) fn poll_accept(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<(S, S::Addr)>> {
        loop {
            // A flood of pending connections must not keep other tasks from being polled.
            ready!(coop::poll_spend(context));
            if let Some(placed) = ready!(self.poll_seat(context)) {
                return Poll::Ready(Ok(self.introduce_placed(placed)));
            }
            ready!(self.backoff.poll_over(self.acceptor.driver(), context));
            let accepted = ready!(self.acceptor.poll_accept(context));
            let error = match accepted.and_then(|accepted| self.hold(accepted)) {
                Ok(own) => {
                    self.backoff.reset();
                    match own {
                        Some(accepted) => return Poll::Ready(Ok(self.introduce(accepted, None))),
                        None => continue,
                    }
                }
                Err(error) => error,
            };
            if errno::ends_listener(&error) || self.acceptor.driver().is_closing() {
                return Poll::Ready(Err(describe("accept", error)));
            }
            self.note(&error);
        }
    }

    /// An accept has failed for a reason that does not end the listener.
    fn note(&mut self, error: &io::Error) {
        let address = self.local_addr().unwrap_or_else(|_| S::Addr::unspecified(None));
        self.backoff.note(self.acceptor.driver(), &address.to_text(), error);
    }

    /// The next connection that other shards, or this one, have placed here. `None`, if it is time
    /// to accept another.
    fn poll_seat(&mut self, context: &mut Context<'_>) -> Poll<Option<Placed>> {
        let Some(seat) = &mut self.seat else { return Poll::Ready(None) };
        if let Poll::Ready(placed) = seat.poll_take(context) {
            return Poll::Ready(Some(placed));
        }
        if let Some(own) = ready!(seat.poll_place(context)) {
            return Poll::Ready(Some(own));
        }
        if let Some(room) = ready!(seat.poll_room(context)) {
            self.set_room(room);
        }
        Poll::Ready(None)
    }

    /// Returns an accepted connection, unless it is to be placed.
    fn hold(&mut self, accepted: Accepted) -> io::Result<Option<Accepted>> {
        let Some(seat) = &mut self.seat else { return Ok(Some(accepted)) };
        seat.hold(balance::Accepted { fd: accepted.descriptor.into_fd()?, peer: accepted.peer });
        Ok(None)
    }

    fn introduce_placed(&self, placed: Placed) -> (S, S::Addr) {
        let Placed { accepted: balance::Accepted { fd, peer }, guard } = placed;
        self.introduce(Accepted { descriptor: fd.into(), peer }, Some(guard))
    }

    /// Makes a stream of an accepted connection, and finds its peer's address. If that is unknown,
    /// the connection is served all the same.
    fn introduce(&self, accepted: Accepted, guard: Option<OpenGuard>) -> (S, S::Addr) {
        let (driver, lingers) = (Rc::clone(self.acceptor.driver()), self.lingers);
        let stream = S::from_accepted(NewConnection { driver, accepted, lingers, guard });
        let peer =
            stream.accepted_from().unwrap_or_else(|_| S::Addr::unspecified(self.local_addr().ok()));
        (stream, peer)
    }

    /// Bounds how long the kernel keeps what the peers of its connections do not take. Has no
    /// effect on Unix sockets, where what is sent is with the peer at once.
    pub(in crate::net) fn set_user_timeout(&self, timeout: Duration) -> io::Result<()> {
        if self.local_addr()?.ip().is_none() {
            return Ok(());
        }
        USER_TIMEOUT.set(self.fd(), Some(timeout))
    }

    pub(in crate::net) async fn close(mut self) -> Vec<(S, S::Addr)> {
        let mut rest = Vec::new();
        while let Some(Ok(connection)) = self.rest().await {
            rest.push(connection);
        }
        rest
    }

    /// Stops listening, and returns the next connection that had arrived; `None` when there are no
    /// more. After an error, which says that descriptors or memory have run out, there may be more.
    pub(in crate::net) async fn rest(&mut self) -> Option<io::Result<(S, S::Addr)>> {
        if self.leave_seat() {
            self.acceptor.leave_to_others();
        }
        drop(self.file.take());
        poll_fn(|context| {
            ready!(coop::poll_spend(context));
            if let Some(placed) = self.placed.pop_front() {
                return Poll::Ready(Some(Ok(self.introduce_placed(placed))));
            }
            let rest = ready!(self.acceptor.poll_rest(context));
            Poll::Ready(rest.map(|rest| rest.map(|accepted| self.introduce(accepted, None))))
        })
        .await
    }

    /// Leaves the seat, if that has not been done. Returns whether the backlog stays with others.
    fn leave_seat(&mut self) -> bool {
        let Some(seat) = self.seat.take() else { return false };
        let (placed, is_last) = seat.leave();
        self.placed = placed;
        !is_last
    }

    /// Stops accepting, and returns the socket and the connections that had been accepted.
    pub(in crate::net) async fn into_fd(mut self) -> io::Result<(OwnedFd, Vec<(S, S::Addr)>)> {
        let mut accepted = Vec::new();
        // Before the seat is left: the last of the others would refuse connections.
        self.acceptor.note_shared();
        if self.leave_seat() {
            self.acceptor.leave_to_others();
        } else {
            self.acceptor.stop();
        }
        while let Some(next) = self.rest().await {
            // After an error the connection is still in the backlog.
            accepted.extend(next.ok());
        }
        Ok((self.acceptor.into_fd()?, accepted))
    }

    /// Pauses after [`rest`](Self::rest) has failed. Returns false if that has happened too often.
    pub(in crate::net) async fn pause(&mut self, error: &io::Error) -> bool {
        self.note(error);
        poll_fn(|context| self.backoff.poll_over(self.acceptor.driver(), context)).await;
        self.backoff.may_go_on()
    }

    /// [`rest`](Self::rest) has succeeded.
    pub(in crate::net) fn end_pauses(&mut self) {
        self.backoff.reset();
    }

    pub(in crate::net) fn local_addr(&self) -> io::Result<S::Addr> {
        local_addr::<S>(self.fd())
    }
}

/// The address on which a socket listens.
pub(super) fn local_addr<S: FromAccepted>(fd: &OwnedFd) -> io::Result<S::Addr> {
    S::Addr::try_from(local_address(fd).describe("getsockname")?)
}

impl<S: FromAccepted> fmt::Debug for ListenSocket<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListenSocket")
            .field("fd", &self.fd().as_raw_fd())
            .field("local", &self.local_addr().ok())
            .finish()
    }
}
