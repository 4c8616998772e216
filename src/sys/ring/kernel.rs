//! The kernel's ring.

use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::{Ordering, fence};
use std::time::Duration;
use std::{io, mem};

use io_uring::squeue::SubmissionQueue;
use io_uring::types::{Napi, Timespec};
use io_uring::{EnterFlags, IoUring, Submitter};

use super::interface::{Entered, Full, Wait, WorkerLimits};
use crate::error::{Describe, SetupError};
use crate::sys::bypass::Bypasses;
use crate::sys::capabilities::Capabilities;
use crate::sys::duration::{micros, timespec};
use crate::sys::enter::{Until, enter, register_ring_fd, unregister_ring_fd};
use crate::sys::errno::{EEXIST, EINVAL, EOPNOTSUPP};
use crate::sys::fork::Generation;
use crate::sys::{BufferRing, Completion, Submission};

/// An empty slot of the table of registered buffers.
const NO_MEMORY: libc::iovec = libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 };

/// A kernel ring, owned by the thread that made it.
///
/// In a process that was forked from the one that made it, it takes SQEs and does nothing with
/// them, and an enter fails with `EEXIST`, as it does on a thread that is not the ring's.
pub(crate) struct KernelRing {
    ring: ManuallyDrop<IoUring>,
    generation: Generation,
    /// What to enter by: the registered index where there is one, else the ring's descriptor.
    handle: RawFd,
    flags: EnterFlags,
    batch: Batch,
    /// Whether a kernel thread takes what is queued (`IORING_SETUP_SQPOLL`).
    has_thread: bool,
    /// SQEs that were pushed since the last enter. A kernel thread may have taken them already, but
    /// they count as queued until the next enter.
    pushed: usize,
}

/// How many completions a wait waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Batch {
    /// The number of completions.
    pub(crate) completions: u32,
    /// After this time, one is enough.
    pub(crate) patience: Duration,
}

impl Batch {
    const ONE: Self = Self { completions: 1, patience: Duration::ZERO };

    /// When a wait for the batch ends. It lasts no longer than `limit`, which is `timeout` in the
    /// kernel's form.
    fn until(self, limit: Option<Duration>, timeout: Option<&Timespec>) -> Until<'_> {
        let Self { completions, patience } = self;
        if patience.is_zero() {
            // To the kernel, a zero minimum wait means for ever.
            return Until { completions: 1, patience: 0, timeout };
        }
        // The kernel would wait for the batch beyond the timeout: the timeout is its limit then.
        let has_until_the_timeout = limit.is_some_and(|limit| limit <= patience);
        let patience = if has_until_the_timeout { 0 } else { micros(patience) };
        Until { completions, patience, timeout }
    }
}

impl KernelRing {
    /// Wraps a ring that this thread has just made, and registers its descriptor if it can be.
    pub(crate) fn new(ring: IoUring) -> Self {
        // Deferred completions are reported only to an enter that asks for events: ask always.
        let mut flags = EnterFlags::GETEVENTS;
        if ring.params().is_feature_no_iowait() {
            // A ring that waits for its peers is idle: its wait is not reported as I/O wait.
            flags |= EnterFlags::NO_IOWAIT;
        }
        let fd = ring.as_raw_fd();
        let handle = match register_ring_fd(fd) {
            Ok(index) => {
                flags |= EnterFlags::REGISTERED_RING;
                index
            }
            // Before 5.18, or all sixteen registered rings of this thread are taken: the descriptor
            // does as well.
            Err(_) => fd,
        };
        let has_thread = ring.params().is_setup_sqpoll();
        Self {
            ring: ManuallyDrop::new(ring),
            generation: Generation::of_this_process(),
            handle,
            flags,
            batch: Batch::ONE,
            has_thread,
            pushed: 0,
        }
    }

    /// Makes waits wait for several completions, if they come soon.
    ///
    /// # Errors
    ///
    /// If the kernel cannot (6.12).
    pub(crate) fn wait_for_batches(&mut self, batch: Batch) -> Result<(), SetupError> {
        if !self.ring.params().is_feature_min_timeout() {
            return Err(SetupError::OptionUnsupported { option: "min_wait", since: "6.12" });
        }
        self.batch = batch;
        Ok(())
    }

    /// Makes a table for `count` direct descriptors.
    ///
    /// # Errors
    ///
    /// If the kernel cannot (6.8, for making ordinary ones of them), or if the process may not have
    /// `count` open files.
    pub(crate) fn make_direct_descriptors(
        &mut self,
        count: u32,
        capabilities: Capabilities,
    ) -> Result<(), SetupError> {
        if !capabilities.install_descriptor {
            return Err(SetupError::OptionUnsupported {
                option: "direct_descriptors",
                since: "6.8",
            });
        }
        self.register_file_table(count)
            .describe(format_args!("make {count} direct descriptors"))
            .map_err(SetupError::Other)
    }

    fn register_file_table(&mut self, slots: u32) -> io::Result<()> {
        self.ring.submitter().register_files_sparse(slots)
    }

    /// Bounds the kernel workers of this thread.
    ///
    /// # Errors
    ///
    /// If the kernel cannot (5.15).
    pub(crate) fn bound_workers(&self, limits: WorkerLimits) -> Result<(), SetupError> {
        // The kernel refuses a number that an int does not hold, and lowers others to its own
        // limit.
        let mut limits = [limits.files, limits.others].map(|limit| limit.min(i32::MAX as u32));
        self.ring.submitter().register_iowq_max_workers(&mut limits).map_err(|error| {
            match error.raw_os_error() {
                Some(EINVAL) => {
                    SetupError::OptionUnsupported { option: "max_kernel_workers", since: "5.15" }
                }
                _ => SetupError::Other(error),
            }
        })
    }

    /// Makes the kernel poll the network device while it waits, for at most `duration`.
    ///
    /// # Errors
    ///
    /// If the kernel cannot (6.9).
    pub(crate) fn busy_poll(&self, duration: Duration, prefer: bool) -> Result<(), SetupError> {
        let duration = micros(duration);
        let mut napi = Napi::new().set_busy_poll_timeout(duration).set_prefer_busy_poll(prefer);
        self.ring.submitter().register_napi(&mut napi).map_err(|error| match error.raw_os_error() {
            Some(EINVAL | EOPNOTSUPP) => {
                SetupError::OptionUnsupported { option: "napi_busy_poll", since: "6.9" }
            }
            _ => SetupError::Other(error),
        })
    }

    /// Enters the kernel.
    #[inline]
    fn call(&self, to_submit: u32, wait: Wait, how: EnterFlags) -> io::Result<usize> {
        let (batch, limit) = match wait {
            Wait::No => (None, None),
            Wait::AtMost(limit) => (Some(self.batch), Some(limit)),
            Wait::Forever => (Some(self.batch), None),
            Wait::ForOne(limit) => (Some(Batch::ONE), Some(limit)),
        };
        let timeout = limit.map(timespec);
        let at_once = Until { completions: 0, patience: 0, timeout: None };
        let until = batch.map_or(at_once, |batch| batch.until(limit, timeout.as_ref()));
        enter(self.handle, to_submit, until, self.flags | how)
    }

    /// Enters a ring whose SQEs a kernel thread takes. Makes a call only to wake the thread, to
    /// make room, to wait, or to have overflown completions posted.
    fn enter_beside_thread(&mut self, wait: Wait) -> io::Result<usize> {
        // The thread looks at the queue once more after it has said that it sleeps: either it sees
        // what was pushed, or this sees that it sleeps.
        fence(Ordering::SeqCst);
        let queue = self.ring.submission();
        let mut how = EnterFlags::empty();
        how.set(EnterFlags::SQ_WAKEUP, queue.need_wakeup());
        how.set(EnterFlags::SQ_WAIT, queue.is_full());
        let is_called = !how.is_empty() || queue.cq_overflow() || wait != Wait::No;
        drop(queue);
        if is_called { self.call(0, wait, how) } else { Ok(0) }
    }

    /// For calls that change what is registered with the ring: with a parent's they must not.
    fn own_submitter(&self) -> io::Result<Submitter<'_>> {
        let is_own = self.generation.is_present();
        is_own.then(|| self.ring.submitter()).ok_or_else(|| io::Error::from_raw_os_error(EEXIST))
    }

    /// The submission queue, where this process has one.
    #[inline]
    fn submission(&mut self) -> Option<SubmissionQueue<'_>> {
        self.generation.is_present().then(|| self.ring.submission())
    }
}

impl Drop for KernelRing {
    fn drop(&mut self) {
        if !self.generation.is_present() {
            // Nothing of its memory is mapped here, and something else may have been since.
            // SAFETY: the descriptor is this process's copy, which is not used again.
            drop(unsafe { OwnedFd::from_raw_fd(self.ring.as_raw_fd()) });
            return;
        }
        if self.flags.contains(EnterFlags::REGISTERED_RING) {
            unregister_ring_fd(self.ring.as_raw_fd(), self.handle);
        }
        // SAFETY: the ring is not used again.
        unsafe { ManuallyDrop::drop(&mut self.ring) };
    }
}

/// What the driver asks of any ring; see [`Ring`](super::Ring) for what each does.
impl KernelRing {
    #[inline]
    pub(super) unsafe fn push(&mut self, sqe: &Submission) -> Result<(), Full> {
        let Some(mut queue) = self.submission() else { return Ok(()) };
        // SAFETY: the caller keeps the SQE's memory valid until its last completion, and the kernel
        // does not write to it after that (`uring-sys-tests`, freed_buffer_never_written).
        unsafe { queue.push(sqe) }.map_err(|_| Full)?;
        drop(queue);
        self.pushed += 1;
        Ok(())
    }

    pub(super) unsafe fn push_all(&mut self, sqes: &[Submission]) -> Result<(), Full> {
        let Some(mut queue) = self.submission() else { return Ok(()) };
        // SAFETY: as for `push`. The tail, which shows SQEs to the kernel, is stored once: when
        // the queue is dropped.
        unsafe { queue.push_multiple(sqes) }.map_err(|_| Full)?;
        drop(queue);
        self.pushed += sqes.len();
        Ok(())
    }

    pub(super) fn capacity(&self) -> usize {
        self.ring.params().sq_entries() as usize
    }

    #[inline]
    pub(super) fn queued(&mut self) -> usize {
        // A forked child has no queue. It reports one SQE, so that a turn enters and fails.
        if self.has_thread { self.pushed } else { self.submission().map_or(1, |queue| queue.len()) }
    }

    #[inline]
    pub(super) fn has_deferred(&mut self) -> bool {
        self.submission().is_some_and(|queue| queue.taskrun())
    }

    #[inline]
    pub(super) fn is_overflown(&mut self) -> bool {
        self.submission().is_some_and(|queue| queue.cq_overflow())
    }

    pub(super) fn has_completions(&mut self) -> bool {
        self.generation.is_present() && !self.ring.completion().is_empty()
    }

    pub(super) fn signal_by(&mut self, counter: BorrowedFd<'_>) -> io::Result<Option<OwnedFd>> {
        self.ring.submitter().register_eventfd(counter.as_raw_fd()).map(|()| None)
    }

    #[inline]
    pub(super) fn enter(&mut self, wait: Wait) -> Entered {
        if !self.generation.is_present() {
            let outcome = Err(io::Error::from_raw_os_error(EEXIST));
            return Entered { taken: 0, outcome };
        }
        if self.has_thread {
            let outcome = self.enter_beside_thread(wait).map(|_| ());
            // What was pushed is sure to be taken, however the call has ended.
            return Entered { taken: mem::take(&mut self.pushed), outcome };
        }
        let queued = self.queued() as u32;
        match self.call(queued, wait, EnterFlags::empty()) {
            Ok(taken) => Entered { taken, outcome: Ok(()) },
            Err(error) => Entered { taken: 0, outcome: Err(error) },
        }
    }

    pub(super) unsafe fn register_buffers(
        &mut self,
        buffers: &BufferRing,
        group: u16,
    ) -> io::Result<()> {
        let (address, count) = (buffers.address(), buffers.count());
        let submitter = self.ring.submitter();
        // SAFETY: the caller keeps the memory, which is page-aligned and has room for
        // `count` buffers.
        unsafe { submitter.register_buf_ring_with_flags(address, count, group, 0) }
    }

    pub(super) fn release_buffers(&mut self, group: u16) {
        // It fails only if there are none.
        let _ = self.ring.submitter().unregister_buf_ring(group);
    }

    pub(super) fn make_buffer_table(&mut self, slots: u16) -> io::Result<()> {
        // Empty ones are null, also before the flag that says so of a whole table (5.19).
        let table = vec![NO_MEMORY; slots.into()];
        let tags = vec![0; slots.into()];
        // SAFETY: no slot has memory.
        unsafe { self.own_submitter()?.register_buffers2(&table, &tags) }
    }

    pub(super) unsafe fn register_memory(
        &mut self,
        slot: u16,
        start: NonNull<u8>,
        length: usize,
    ) -> io::Result<()> {
        let memory = libc::iovec { iov_base: start.as_ptr().cast(), iov_len: length };
        // SAFETY: the caller keeps the memory until it is unregistered.
        unsafe { self.own_submitter()?.register_buffers_update(slot.into(), &[memory], None) }
    }

    pub(super) fn unregister_memory(&mut self, slot: u16) -> io::Result<()> {
        // SAFETY: the slot has no memory then.
        unsafe { self.own_submitter()?.register_buffers_update(slot.into(), &[NO_MEMORY], None) }
    }

    pub(super) fn release_file_table(&mut self) {
        // It fails only if there is none.
        let _ = self.ring.submitter().unregister_files();
    }

    #[inline]
    pub(super) fn reap(&mut self, mut sink: impl FnMut(Completion)) {
        if self.generation.is_present() {
            for cqe in &mut self.ring.completion() {
                sink(Completion::from(&cqe));
            }
        }
    }

    #[expect(clippy::unused_self, reason = "other rings have a choice")]
    pub(super) fn allowed_bypasses(&self) -> Bypasses {
        Bypasses::ALL
    }
}

#[cfg(test)]
mod tests {
    use io_uring::EnterFlags;

    use crate::sys::setup::{Size, kernel_ring};

    /// A registered index that is not released keeps the ring, its memory and what is charged for
    /// it, until the thread ends; and a thread has sixteen.
    #[test]
    fn a_dropped_ring_releases_its_registered_index() {
        let is_registered = || {
            let ring = kernel_ring(Size { submissions: 8, completions: 16 }, None).unwrap().ring;
            ring.flags.contains(EnterFlags::REGISTERED_RING)
        };
        let first = is_registered();
        assert!((0..20).all(|_| is_registered() == first));
    }
}
