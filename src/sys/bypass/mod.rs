//! Every system call that this library makes without the ring on a socket or pipe in use.
//!
//! | kind                 | system calls and their functions                 | without it        |
//! |----------------------|--------------------------------------------------|-------------------|
//! | [`Bypass::Inline`]   | recv(2), `FIONREAD`: [`nonblocking`]             | a Recv SQE        |
//! |                      | send(2), sendmsg(2): [`nonblocking`]             | a Send SQE        |
//! |                      | splice(2) from a file, cachestat(2): [`splice`] | a Splice SQE       |
//! |                      | splice(2), tee(2) of pipes: [`splice`]           | an error          |
//! |                      | splice(2) to a socket, fcntl(2): [`splice_pipe`] | an error          |
//! |                      | preadv2(2), read(2) of a pipe: [`pipe`]          | a Read SQE        |
//! |                      | pwritev2(2), write(2) to a pipe: [`pipe`]        | an error          |
//! |                      | recvmsg(2), sendmsg(2): [`datagram`]             | the same as an SQE |
//! | [`Bypass::Shutdown`] | shutdown(2): `socket::shutdown`                  | a Shutdown SQE    |
//! |                      | connect(2) to no address: `socket::disconnect`   | a Connect SQE     |
//! | [`Bypass::Query`]    | getsockname(2), getpeername(2): [`socket`]       | an error          |
//! |                      | getsockopt(2), setsockopt(2): [`socket`], [`option`] | an error      |
//! |                      | `SIOCOUTQ`: `socket::unacknowledged`             | zero is assumed   |
//! |                      | connect(2) of a datagram socket: [`datagram`]    | an error          |
//! |                      | poll(2) of a listener: `socket::has_backlog`     | –                 |
//! | always               | socket(2), bind(2), listen(2): [`socket`]        | not on such a ring |
//! | always               | close(2): the drop of an `OwnedFd`               | not on such a ring |
//!
//! Others do not carry out operations of such a socket. Some are made once, when something is
//! created, converted or diagnosed: socketpair(2); pipe2(2); `FIONBIO` on a socket that becomes one
//! of the standard library, and `F_DUPFD_CLOEXEC` on it if an operation still uses it; fstat(2) and
//! `F_DUPFD_CLOEXEC` on a file to be sent; and connect(2) of a datagram socket, to tell whether a
//! Unix listener's path in use belongs to a stale file. And `sys::eventfd` makes, reads and writes
//! bells.
//!
//! None of them ever waits. Inline calls are cheaper than an SQE where the operation can be
//! expected to complete at once; `driver::inline` bounds them.
//!
//! They are made on descriptors of the process. A ring whose descriptors are not the kernel's
//! allows only those that it can carry out; operations then submit the SQE instead. A splice to a
//! socket has none that would not wait, so `send_file` fails there.

pub(crate) mod datagram;
pub(crate) mod multicast;
mod no_sigpipe;
pub(crate) mod nonblocking;
pub(crate) mod option;
mod page_cache;
pub(crate) mod pipe;
pub(crate) mod socket;
pub(crate) mod splice;
pub(crate) mod splice_pipe;
pub(crate) mod tcp_info;

/// A kind of system call made without the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bypass {
    /// Moves bytes, where that need not wait.
    Inline,
    /// Ends or breaks a connection.
    Shutdown,
    /// Reads or sets what belongs to a socket.
    Query,
}

/// A set of them; none by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bypasses(u8);

impl Bypasses {
    pub(crate) const ALL: Self = Self(u8::MAX);

    /// All but one.
    #[cfg(test)]
    pub(crate) fn all_but(bypass: Bypass) -> Self {
        Self(Self::ALL.0 & !(1 << bypass as u8))
    }

    #[inline]
    pub(crate) fn contains(self, bypass: Bypass) -> bool {
        self.0 & (1 << bypass as u8) != 0
    }
}
