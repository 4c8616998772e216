//! The error numbers that code above this floor has to tell apart.

use std::io;

pub(crate) use libc::{
    EACCES, EADDRINUSE, EAFNOSUPPORT, EAGAIN, EALREADY, EBADF, EBADR, EBUSY, ECANCELED, ECHILD,
    ECONNRESET, EEXIST, EFAULT, EINPROGRESS, EINTR, EINVAL, EISDIR, ELOOP, EMFILE, EMSGSIZE,
    ENFILE, ENOBUFS, ENOENT, ENOMEM, ENOSPC, ENOSYS, ENOTDIR, ENOTEMPTY, ENXIO, EOPNOTSUPP, EPERM,
    EPIPE, ESPIPE, ETIME, ETIMEDOUT,
};
#[cfg(test)]
pub(crate) use libc::{ECONNABORTED, ECONNREFUSED, ENOTCONN, EXDEV};

/// Why the last system call of this thread has failed.
pub(crate) fn last_errno() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)
}

/// Makes a system call that does not wait, and makes it again if a signal has interrupted it.
/// Returns its result, or its errno. (Linux interrupts none of these calls, but a sandbox may, and
/// so may a file system that is a process.)
#[inline]
pub(crate) fn unless_interrupted(mut call: impl FnMut() -> isize) -> Result<usize, i32> {
    loop {
        if let Ok(result) = usize::try_from(call()) {
            return Ok(result);
        }
        match last_errno() {
            EINTR => {}
            errno => return Err(errno),
        }
    }
}

/// What the kernel calls a system call that is to begin again. User space never sees it, but the
/// completion of a cancelled operation on a kernel worker carries it.
const ERESTARTSYS: i32 = 512;

/// Whether an operation ended because it was cancelled or interrupted, and so did nothing.
pub(crate) fn is_cancellation(errno: i32) -> bool {
    matches!(errno, libc::ECANCELED | libc::EINTR | ERESTARTSYS)
}

/// Whether an error of a connection is its end: the kernel has given it up, and reports why once.
/// (`EPIPE` is none of these: it says that this end has ended its direction, or that the kernel has
/// reported the reason already; or that a peer that had ended its own has broken the connection,
/// whose bytes then were all received.)
pub(crate) fn is_fatal_to_connection(errno: i32) -> bool {
    matches!(
        errno,
        libc::ECONNRESET
            | libc::ECONNABORTED
            | libc::ETIMEDOUT
            | libc::EHOSTUNREACH
            | libc::EHOSTDOWN
            | libc::ENETUNREACH
            | libc::ENETDOWN
            | libc::ENETRESET
            | libc::EPROTO
    )
}

/// Whether a send reports that an earlier datagram could not be delivered, as an ICMP message has
/// told: not an error of its own.
pub(crate) fn is_undeliverable(errno: i32) -> bool {
    matches!(errno, libc::ECONNREFUSED | libc::ENOPROTOOPT | libc::EPROTO)
}

/// Whether an accept that was cancelled found no connection.
pub(crate) fn found_nothing(error: &io::Error) -> bool {
    error.raw_os_error().is_some_and(|errno| is_cancellation(errno) || errno == libc::EAGAIN)
}

/// Whether an accept failed because this process or machine is out of something that comes back
/// when a descriptor is closed or memory is freed. The connection itself stays in the backlog.
pub(crate) fn is_exhaustion(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM))
}

/// Whether an accept failed because its socket is not a listening one (any more). Every other error
/// is of one connection, of the network, or of a moment: a listener goes on.
pub(crate) fn ends_listener(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EBADF | libc::EINVAL | libc::ENOTSOCK))
}

/// Whether an accept reported what has befallen one connection, or the network. accept(2) says to
/// treat these like a retry: what comes next may well succeed.
pub(crate) fn is_passing_accept_error(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(
            libc::ECONNABORTED
                | libc::EINTR
                | libc::EAGAIN
                | libc::EPROTO
                | libc::ENOPROTOOPT
                | libc::ENETDOWN
                | libc::ENETUNREACH
                | libc::EHOSTDOWN
                | libc::EHOSTUNREACH
                | libc::ENONET
                | libc::EOPNOTSUPP
        )
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_socket_that_does_not_listen_ends_a_listener() {
        let ends = |&errno: &i32| ends_listener(&io::Error::from_raw_os_error(errno));
        let all: Vec<_> = (1..=133).filter(ends).collect();
        assert_eq!(all, [libc::EBADF, libc::EINVAL, libc::ENOTSOCK]);
    }
}
