//! Opening a file by a path that must not leave a directory (openat2). Dropped in flight, what has
//! been opened is closed; a file that has been created stays.

use std::io;
use std::os::fd::OwnedFd;

use crate::error::describe;
use crate::op::operation::{Operation, Step};
use crate::sys::errno::{EAGAIN, ENOSYS, ENXIO};
use crate::sys::fs::{O_CLOEXEC, O_CREAT, O_NONBLOCK, O_TMPFILE};
use crate::sys::paths::PathAt;
use crate::sys::resolve::RESOLVE_CACHED;
use crate::sys::types::OpenHow;
use crate::sys::{Completion, Submission, SubmissionFlags, opcode};

/// How often an open is repeated that the kernel gives up because a directory was renamed
/// meanwhile. Each try is short; one that a hostile process always disturbs must end nevertheless.
const TRIES: u32 = 128;

/// Opens a file and returns its descriptor, which is not inherited by other programs.
pub(crate) struct OpenWithin {
    at: PathAt,
    how: Box<OpenHow>,
    /// Whether `EAGAIN` means that the kernel could not tell whether the path stays inside.
    may_race: bool,
    may_wait: bool,
    on_worker: bool,
    tries: u32,
}

impl OpenWithin {
    /// As for openat2(2).
    pub(crate) fn new(at: PathAt, flags: i32, mode: u32, resolve: u64) -> Self {
        // The kernel refuses a mode where no file is created.
        let creates = flags & O_CREAT != 0 || flags & O_TMPFILE == O_TMPFILE;
        let mode = if creates { mode } else { 0 };
        let how =
            OpenHow::new().flags((flags | O_CLOEXEC) as u64).mode(mode.into()).resolve(resolve);
        let may_race = resolve & RESOLVE_CACHED == 0;
        let may_wait = flags & O_NONBLOCK == 0;
        Self { at, how: Box::new(how), may_race, may_wait, on_worker: false, tries: 1 }
    }

    fn opened(completion: Completion) -> io::Result<OwnedFd> {
        // SAFETY: the result is a new descriptor, and each completion is taken once.
        unsafe { completion.into_fd() }
    }

    fn failed(&self, error: io::Error) -> io::Error {
        let at = &self.at;
        let (raced, missing) = (Some(EAGAIN), Some(ENOSYS));
        match error.raw_os_error() {
            errno if errno == raced && self.may_race => describe(
                format_args!("open {at}: directories on its way are renamed all the time"),
                error,
            ),
            errno if errno == missing => describe(
                format_args!("open {at}: openat2, which keeps a path inside, is not allowed here"),
                error,
            ),
            _ => describe(format_args!("open {at}"), error),
        }
    }
}

// SAFETY: the SQE points to the bytes of the path and to the box, which are on the heap and are not
// changed.
unsafe impl Operation for OpenWithin {
    type Output = io::Result<OwnedFd>;

    fn submission(&mut self) -> Submission {
        let (directory, path) = (self.at.sqe_directory(), self.at.path().as_ptr());
        let open = opcode::OpenAt2::new(directory, path, &raw const *self.how).build();
        if self.on_worker { open.flags(SubmissionFlags::ASYNC) } else { open }
    }

    fn complete(mut self, completion: Completion) -> Step<Self> {
        if completion.failed_with(EAGAIN) && self.may_race && self.tries < TRIES {
            self.tries += 1;
            return Step::Again(self);
        }
        // The first try is made as if with `O_NONBLOCK`, which a FIFO without a reader refuses.
        if completion.failed_with(ENXIO) && self.may_wait && !self.on_worker {
            self.on_worker = true;
            return Step::Again(self);
        }
        Step::Done(Self::opened(completion).map_err(|error| self.failed(error)))
    }

    fn settle(self, completion: Completion) {
        drop(Self::opened(completion));
    }
}
