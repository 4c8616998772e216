//! Descriptors that pass from a process to a program that it starts.
//!
//! What this process opens is close-on-exec, so that a program which another thread starts at this
//! moment inherits none of it. A descriptor is passed on by clearing that flag in the child,
//! between fork and exec, where there is one thread and a table of descriptors of its own.
//!
//! In the program that was started, a descriptor without the flag was therefore inherited, and not
//! opened by the standard library or this one, which always set it. The flag is set when the
//! descriptor is taken over.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// What is known of a descriptor that may have been inherited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inheritance {
    /// It was: it is open, and an exec leaves it open.
    Inherited,
    /// This process has opened it.
    Own,
    /// There is no such descriptor.
    Closed,
}

/// Tells whether a descriptor was inherited.
pub(crate) fn inheritance(fd: RawFd) -> Inheritance {
    // SAFETY: the call takes no pointers.
    match unsafe { libc::fcntl(fd, libc::F_GETFD) } {
        -1 => Inheritance::Closed,
        flags if flags & libc::FD_CLOEXEC == 0 => Inheritance::Inherited,
        _ => Inheritance::Own,
    }
}

/// Takes over a descriptor that was inherited, and that the environment gives to this process. From
/// now on it is close-on-exec.
///
/// # Errors
///
/// `InvalidInput` if it was not inherited.
pub(crate) fn take_over(fd: RawFd) -> io::Result<OwnedFd> {
    if inheritance(fd) != Inheritance::Inherited {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: the call takes no pointers.
    if unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was open when the program began, and the process that has started it
    // says that it is for this one to take over. It has no other owner: it had not been taken over
    // before, as it was not close-on-exec (this module's documentation).
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The number of what a descriptor is open on, which no two sockets have at the same time; `None`
/// if it is not open.
pub(crate) fn inode(fd: RawFd) -> Option<u64> {
    let mut stat = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: the call writes one `stat`.
    let result = unsafe { libc::fstat(fd, stat.as_mut_ptr()) };
    // SAFETY: the call has succeeded, and so written it.
    (result == 0).then(|| unsafe { stat.assume_init() }.st_ino)
}

/// Has the program that `command` starts inherit descriptors, under their numbers. They are closed
/// here when the command is dropped.
pub(crate) fn pass_on(command: &mut Command, descriptors: Vec<OwnedFd>) {
    let clear = move || {
        descriptors.iter().try_for_each(|fd| {
            // SAFETY: the call takes no pointers.
            match unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFD, 0) } {
                -1 => Err(io::Error::last_os_error()),
                _ => Ok(()),
            }
        })
    };
    // SAFETY: between fork and exec it calls nothing but `fcntl`, and reads `errno`: both are
    // allowed there, and neither allocates. The descriptors are open, as the closure owns them.
    unsafe { command.pre_exec(clear) };
}
