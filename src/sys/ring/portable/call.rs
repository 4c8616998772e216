//! What an attempt at an SQE is given, and what it may lead to.

use std::os::fd::RawFd;
use std::{io, ptr};

use crate::sys::Sqe;

/// An SQE with its descriptors looked up: all that a system call needs. A worker has a copy.
///
/// The descriptors stay open until the completion. Those of the process are kept by the operation
/// that has pushed the SQE, those of the file table by its request.
#[derive(Clone, Copy)]
pub(super) struct Call {
    pub(super) sqe: Sqe,
    /// What the operation works on; -1 if it names nothing.
    pub(super) fd: RawFd,
    /// What a splice reads from.
    pub(super) source: RawFd,
}

impl Call {
    /// An SQE whose descriptors are looked up when it begins.
    pub(super) fn of(sqe: Sqe) -> Self {
        Self { sqe, fd: -1, source: -1 }
    }

    /// The memory that the SQE names.
    pub(super) fn memory<T>(&self) -> *mut T {
        ptr::with_exposed_provenance_mut(self.sqe.address() as usize)
    }

    /// The second memory that the SQE names (`off`, `addr2`).
    pub(super) fn second_memory<T>(&self) -> *mut T {
        ptr::with_exposed_provenance_mut(self.sqe.offset() as usize)
    }
}

/// The result of a system call as a completion has it.
pub(super) fn outcome(result: isize) -> i32 {
    if result >= 0 {
        return result as i32;
    }
    -io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)
}

/// What a job is counted as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It needs no peer to end: regular files, opens and closes.
    File,
    /// It may wait for a peer.
    Other,
}

/// What a worker runs. It returns the result of the completion, a negative errno if it has failed.
///
/// A call points to what stays valid until its completion. Paths, `iovec` arrays, `struct
/// open_how`, addresses and message headers that are only read do not: the kernel copies them at
/// submission (`uring-sys-tests`, path_read_at_submit and its neighbours), so the operation may
/// free them from the attempt on, and the attempt copies them into its work.
///
/// It is run again if a signal has interrupted it (`EINTR`) and it was not cancelled.
pub(super) enum Work {
    /// A call that points to nothing that passes. Nothing is allocated for it.
    Call(Call, fn(&Call) -> i32),
    Boxed(Box<dyn FnMut() -> i32 + Send>),
}

impl Work {
    pub(super) fn run(&mut self) -> i32 {
        match self {
            Self::Call(call, function) => function(call),
            Self::Boxed(closure) => closure(),
        }
    }
}

/// What one try has led to.
pub(super) enum Attempt {
    /// The SQE completes, for the last time.
    Done { result: i32, flags: u32 },
    /// It would wait: it is tried again when the descriptor reports one of these events (`POLL*`).
    WaitFor { fd: RawFd, events: u32 },
    /// It blocks: a worker carries it out.
    Offload { kind: Kind, work: Work },
}

impl Attempt {
    pub(super) fn done(result: i32) -> Self {
        Self::Done { result, flags: 0 }
    }

    pub(super) fn failed(errno: i32) -> Self {
        Self::done(-errno)
    }

    /// A worker runs a closure, which owns copies of what the call points to.
    pub(super) fn offload(kind: Kind, work: impl FnMut() -> i32 + Send + 'static) -> Self {
        Self::Offload { kind, work: Work::Boxed(Box::new(work)) }
    }

    /// A worker makes a call that points to nothing but what stays valid.
    pub(super) fn offload_call(kind: Kind, call: &Call, function: fn(&Call) -> i32) -> Self {
        Self::Offload { kind, work: Work::Call(*call, function) }
    }
}
