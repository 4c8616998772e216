//! A ring that needs no io_uring: it interprets SQEs with ordinary system calls.
//!
//! An [`enter`](PortableRing::enter) takes all SQEs that were pushed and makes one [`attempt`] at
//! each, which never waits. An attempt that would have to wait says for what: a descriptor, whose
//! readiness the ring learns, or a job for its [`workers`]. What has not completed is a request
//! ([`requests`]), and is attempted again when that has come.
//!
//! The ring answers as the kernel does wherever `uring-sys-tests` says how that is.

#[allow(dead_code, reason = "operations come one by one")]
mod attempt;
#[allow(dead_code, reason = "operations come one by one")]
mod call;
mod file_table;
mod interrupts;
mod memory;
mod requests;
#[allow(dead_code, reason = "the ring does not sleep or cancel yet")]
mod workers;

use std::collections::VecDeque;
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;
use std::time::{Duration, Instant};
use std::{io, mem, thread};

use self::attempt::{attempt, makes_descriptor};
use self::call::{Attempt, Call};
use self::file_table::FileTable;
use self::memory::RegisteredMemory;
use self::requests::{Request, Requests};
use self::workers::{Job, Workers};
use super::interface::{Entered, Full, Wait, WorkerLimits};
use crate::error::{Describe, SetupError};
use crate::sys::bypass::Bypasses;
use crate::sys::errno::{EEXIST, EINVAL, ETIME};
use crate::sys::fork::Generation;
use crate::sys::{BufferRing, Completion, Sqe, Submission};

/// A ring on ordinary system calls, owned by the thread that made it.
///
/// In a process that was forked from the one that made it, it takes SQEs and does nothing with
/// them, and an enter fails with `EEXIST`, as the kernel's ring does.
pub(crate) struct PortableRing {
    generation: Generation,
    capacity: usize,
    /// What was pushed since the last enter.
    queue: Vec<Submission>,
    /// What has completed and was not reaped.
    completions: VecDeque<Completion>,
    requests: Requests,
    files: FileTable,
    memory: RegisteredMemory,
    workers: Workers,
}

impl PortableRing {
    /// Makes a ring for the calling thread, with room for `capacity` SQEs.
    ///
    /// # Errors
    ///
    /// If the process has no descriptors left.
    pub(crate) fn new(capacity: u32, limits: WorkerLimits) -> Result<Self, SetupError> {
        Ok(Self {
            generation: Generation::of_this_process(),
            capacity: capacity as usize,
            queue: Vec::new(),
            completions: VecDeque::new(),
            requests: Requests::default(),
            files: FileTable::default(),
            memory: RegisteredMemory::default(),
            workers: Workers::new(limits).describe("eventfd").map_err(SetupError::Other)?,
        })
    }

    /// Makes a table of empty file slots.
    pub(crate) fn make_direct_descriptors(&mut self, count: u32) {
        self.files.resize(count);
    }

    /// Makes the first attempt at an SQE.
    fn begin(&mut self, sqe: Sqe) {
        match Call::resolve(&sqe, &self.files, &self.memory) {
            Ok(call) => {
                let attempt = attempt(&call);
                self.follow(None, call, attempt);
            }
            Err(errno) => self.complete(&sqe, -errno, 0),
        }
    }

    /// Does what an attempt has led to. `token` is the request's, if it was attempted before.
    fn follow(&mut self, token: Option<usize>, call: Call, attempt: Attempt) {
        match attempt {
            Attempt::Done { result, flags } => {
                if let Some(token) = token {
                    self.requests.remove(token);
                }
                self.complete(&call.sqe, result, flags);
            }
            Attempt::WaitFor { .. } => {
                token.unwrap_or_else(|| self.requests.insert(Request { call, is_job: false }));
            }
            Attempt::Offload { kind, work } => {
                let token =
                    token.unwrap_or_else(|| self.requests.insert(Request { call, is_job: true }));
                let makes_descriptor = makes_descriptor(call.sqe.opcode());
                self.workers.submit(Job { token, kind, makes_descriptor, work });
            }
        }
    }

    /// An SQE is over.
    fn complete(&mut self, sqe: &Sqe, result: i32, flags: u32) {
        self.completions.push_back(Completion::new(sqe.user_data(), result, flags));
    }

    fn progress(&mut self) {
        let mut finished = Vec::new();
        self.workers.collect(|token, result| finished.push((token, result)));
        for (token, result) in finished {
            let request = self.requests.remove(token);
            self.complete(&request.call.sqe, result, 0);
        }
        for token in self.requests.waiting() {
            let call = self.requests.get(token).call;
            let attempt = attempt(&call);
            self.follow(Some(token), call, attempt);
        }
    }
}

/// What the driver asks of any ring; see [`Ring`](super::Ring) for what each does.
impl PortableRing {
    pub(super) unsafe fn push(&mut self, sqe: &Submission) -> Result<(), Full> {
        // SAFETY: passed on by the caller.
        unsafe { self.push_all(std::slice::from_ref(sqe)) }
    }

    pub(super) unsafe fn push_all(&mut self, sqes: &[Submission]) -> Result<(), Full> {
        if !self.generation.is_present() {
            return Ok(());
        }
        if self.capacity - self.queue.len() < sqes.len() {
            return Err(Full);
        }
        self.queue.extend_from_slice(sqes);
        Ok(())
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    pub(super) fn queued(&mut self) -> usize {
        // As the kernel's ring in a forked child: one, so that a turn enters and fails.
        if self.generation.is_present() { self.queue.len() } else { 1 }
    }

    pub(super) fn has_deferred(&mut self) -> bool {
        !self.requests.is_empty()
    }

    #[expect(clippy::unused_self, reason = "other rings have a bound")]
    pub(super) fn is_overflown(&mut self) -> bool {
        false
    }

    pub(super) fn has_completions(&mut self) -> bool {
        !self.completions.is_empty()
    }

    #[expect(clippy::unused_self, reason = "the counter is not signalled yet")]
    pub(super) fn signal_by(&mut self, _counter: BorrowedFd<'_>) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn enter(&mut self, wait: Wait) -> Entered {
        if !self.generation.is_present() {
            return Entered { taken: 0, outcome: Err(io::Error::from_raw_os_error(EEXIST)) };
        }
        let queue = mem::take(&mut self.queue);
        let taken = queue.len();
        for sqe in &queue {
            self.begin(*Sqe::of(sqe));
        }
        let end = match wait {
            Wait::No => Some(Instant::now()),
            Wait::AtMost(limit) | Wait::ForOne(limit) => Instant::now().checked_add(limit),
            Wait::Forever => None,
        };
        loop {
            self.progress();
            let is_late = end.is_some_and(|end| end <= Instant::now());
            if !self.completions.is_empty() || is_late {
                break;
            }
            thread::sleep(Duration::from_millis(1));
        }
        let outcome = if self.completions.is_empty() && wait != Wait::No {
            Err(io::Error::from_raw_os_error(ETIME))
        } else {
            Ok(())
        };
        Entered { taken, outcome }
    }

    #[expect(clippy::unused_self, reason = "provided buffers come later")]
    pub(super) unsafe fn register_buffers(
        &mut self,
        _buffers: &BufferRing,
        _group: u16,
    ) -> io::Result<()> {
        Err(io::Error::from_raw_os_error(EINVAL))
    }

    #[expect(clippy::unused_self, reason = "provided buffers come later")]
    pub(super) fn release_buffers(&mut self, _group: u16) {}

    pub(super) fn make_buffer_table(&mut self, slots: u16) -> io::Result<()> {
        self.memory.resize(slots);
        Ok(())
    }

    pub(super) unsafe fn register_memory(
        &mut self,
        slot: u16,
        start: NonNull<u8>,
        length: usize,
    ) -> io::Result<()> {
        self.memory.set(slot, Some((start.as_ptr() as usize, length)));
        Ok(())
    }

    pub(super) fn unregister_memory(&mut self, slot: u16) -> io::Result<()> {
        self.memory.set(slot, None);
        Ok(())
    }

    pub(super) fn release_file_table(&mut self) {
        self.files.resize(0);
    }

    pub(super) fn reap(&mut self, sink: impl FnMut(Completion)) {
        self.completions.drain(..).for_each(sink);
    }

    #[expect(clippy::unused_self, reason = "other rings have a choice")]
    pub(super) fn allowed_bypasses(&self) -> Bypasses {
        Bypasses::ALL
    }
}
