//! Every system call that this library makes on a descriptor without the ring.
//!
//! | kind                 | system calls and their functions                 | without it        |
//! |----------------------|--------------------------------------------------|-------------------|
//! | [`Bypass::Inline`]   | recv(2), `FIONREAD`: [`nonblocking`]             | a Recv SQE        |
//! |                      | send(2), sendmsg(2): [`nonblocking`]             | a Send SQE        |
//! |                      | splice(2) from a file, cachestat(2): [`splice_pipe`] | a Splice SQE  |
//! |                      | splice(2) to a socket, fcntl(2): [`splice_pipe`] | an error          |
//! | [`Bypass::Shutdown`] | shutdown(2): `socket::shutdown`                  | a Shutdown SQE    |
//! |                      | connect(2) to no address: `socket::disconnect`   | a Connect SQE     |
//! | [`Bypass::Query`]    | getsockname(2), getpeername(2): [`socket`]       | an error          |
//! |                      | getsockopt(2), setsockopt(2): [`socket`]         | an error          |
//! | always               | socket(2), bind(2), listen(2): [`socket`]        | not on such a ring |
//! | always               | close(2): the drop of an `OwnedFd`               | not on such a ring |
//!
//! None of them ever waits. Inline calls are cheaper than an SQE where the operation can be
//! expected to complete at once; `driver::inline` bounds them.
//!
//! They are made on descriptors of the process. A ring whose descriptors are not the kernel's
//! allows only those that it can carry out; operations then submit the SQE instead. A splice to a
//! socket has none that would not wait, so `send_file` fails there.

pub(crate) mod nonblocking;
mod page_cache;
pub(crate) mod socket;
pub(crate) mod splice_pipe;

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
