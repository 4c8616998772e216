//! A ring that needs no io_uring: it interprets SQEs with ordinary system calls.
//!
//! An [`enter`](PortableRing::enter) takes all SQEs that were pushed and makes one attempt at each,
//! which never waits. An attempt that would have to wait says for what: a descriptor, whose
//! readiness the [`poller`] learns from an [`epoll`] instance, a time ([`timeouts`]), or a thread
//! of the [`workers`]. What has not completed is a request ([`requests`]), and is attempted again
//! when that has come.
//!
//! - [`batch`] takes what was pushed, SQEs and chains of them (`sys::severing` says what a chain
//!   is); [`keep`] copies what an SQE points to and its operation may free.
//! - [`progress`] is the life of a request, [`cancel`] its early end.
//! - [`socket_attempts`] are the attempts at sockets and polls, by the system calls in [`sockets`]
//!   and [`polls`]. [`attempt`] leads to the others: [`files`] and [`streams`] are read and written
//!   ([`transfer`]), within a budget ([`inline`]); [`paths`], [`descriptors`] and [`processes`] are
//!   the rest.
//! - [`buffers`], [`file_table`] and [`memory`] are what is registered with the ring.
//! - [`waiting`] is an enter's wait, and [`guest`] the wait of an outer event loop.
//!
//! The ring answers as the kernel does wherever `uring-sys-tests` says how that is.
//!
//! # What it costs
//!
//! A message on a connection costs a receive, a send and a share of an `epoll_wait`. Nothing is
//! allocated for it: the memory of a request is used again, and a list that was emptied keeps its
//! room.

mod attempt;
mod batch;
mod buffers;
mod call;
mod cancel;
#[cfg(test)]
mod compared;
mod descriptors;
mod epoll;
mod file_kind;
mod file_table;
mod files;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod guest;
mod inline;
mod interrupts;
mod keep;
mod memory;
mod paths;
mod poller;
mod polls;
mod processes;
mod progress;
mod requests;
mod socket_attempts;
mod sockets;
mod streams;
mod timeouts;
mod transfer;
mod waiting;
mod workers;

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::ptr::NonNull;

use self::buffers::ProvidedBuffers;
use self::epoll::{Epoll, WORKERS_BELL};
use self::file_table::FileTable;
use self::inline::InlineBudget;
use self::memory::RegisteredMemory;
use self::poller::Poller;
use self::requests::{Due, Requests, Token};
use self::timeouts::Timeouts;
use self::workers::Workers;
use super::interface::{Drained, Entered, Full, Wait, WorkerLimits};
use crate::error::{Describe, SetupError};
use crate::sys::bypass::Bypasses;
use crate::sys::errno::{EEXIST, EMFILE};
use crate::sys::fork::Generation;
use crate::sys::poll::READABLE;
use crate::sys::{BufferRing, Completion, Submission};

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
    /// What is due in this enter.
    runnable: VecDeque<Due>,
    /// What is due in the next one.
    deferred: Vec<Due>,
    epoll: Epoll,
    poller: Poller,
    timeouts: Timeouts,
    workers: Workers,
    inline: InlineBudget,
    /// How many turns have passed since the last look at the descriptors; see [`waiting`].
    turns: u32,
    buffers: ProvidedBuffers,
    files: FileTable,
    memory: RegisteredMemory,
    outer: Option<Outer>,
    /// Lists that are filled and emptied, kept for their room.
    reported: Vec<Token>,
    finished: Vec<(Token, i32)>,
}

/// What reports to an outer event loop; see [`guest`].
struct Outer {
    timer: OwnedFd,
    /// The time that the timer is set to, in nanoseconds of the monotonic clock.
    time: Option<u64>,
}

impl PortableRing {
    /// Makes a ring for the calling thread, with room for `capacity` SQEs.
    ///
    /// # Errors
    ///
    /// If the process has no descriptors left.
    pub(crate) fn new(capacity: u32, limits: WorkerLimits) -> Result<Self, SetupError> {
        let workers = Workers::new(limits).describe("eventfd").map_err(SetupError::Other)?;
        let epoll = Epoll::new().describe("epoll_create1").map_err(SetupError::Other)?;
        let edges = READABLE | libc::EPOLLET as u32;
        epoll
            .add(workers.bell().as_raw_fd(), edges, WORKERS_BELL)
            .map_err(io::Error::from_raw_os_error)
            .describe("epoll_ctl")
            .map_err(SetupError::Other)?;
        Ok(Self {
            generation: Generation::of_this_process(),
            capacity: capacity as usize,
            queue: Vec::new(),
            completions: VecDeque::new(),
            requests: Requests::default(),
            runnable: VecDeque::new(),
            deferred: Vec::new(),
            epoll,
            poller: Poller::default(),
            timeouts: Timeouts::default(),
            workers,
            inline: InlineBudget::new(),
            turns: 0,
            buffers: ProvidedBuffers::default(),
            files: FileTable::default(),
            memory: RegisteredMemory::default(),
            outer: None,
            reported: Vec::new(),
            finished: Vec::new(),
        })
    }

    /// Makes a table of empty file slots.
    ///
    /// # Errors
    ///
    /// If the process may not have `count` open files, as the kernel's ring: each slot takes one.
    pub(crate) fn make_direct_descriptors(&mut self, count: u32) -> Result<(), SetupError> {
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: the call writes the limit.
        let result = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) };
        if result == 0 && libc::rlim_t::from(count) > limit.rlim_cur {
            return Err(io::Error::from_raw_os_error(EMFILE))
                .describe(format_args!("make {count} direct descriptors"))
                .map_err(SetupError::Other);
        }
        self.files.resize(count);
        Ok(())
    }
}

impl Drop for PortableRing {
    /// What a worker has not ended goes on by the numbers of its descriptors, which must not become
    /// other files'. Those of the process are leaked by the driver.
    fn drop(&mut self) {
        if self.generation.is_present() {
            self.requests.leak_files_of_jobs();
        }
    }
}

/// What the driver asks of any ring; see [`Ring`](super::Ring) for what each does.
impl PortableRing {
    #[inline]
    pub(super) unsafe fn push(&mut self, sqe: &Submission) -> Result<(), Full> {
        // SAFETY: passed on by the caller.
        unsafe { self.push_all(std::slice::from_ref(sqe)) }
    }

    #[inline]
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

    #[inline]
    pub(super) fn queued(&mut self) -> usize {
        // As the kernel's ring in a forked child: one, so that a turn enters and fails.
        if self.generation.is_present() { self.queue.len() } else { 1 }
    }

    #[expect(clippy::unused_self, reason = "other rings have a bound")]
    pub(super) fn is_overflown(&mut self) -> bool {
        false
    }

    pub(super) fn has_completions(&mut self) -> bool {
        !self.completions.is_empty()
    }

    pub(super) fn signal_by(&mut self, counter: BorrowedFd<'_>) -> io::Result<Option<OwnedFd>> {
        self.watched_beside(counter).map(Some)
    }

    pub(super) fn enter(&mut self, wait: Wait) -> Entered {
        if !self.generation.is_present() {
            return Entered { taken: 0, outcome: Err(io::Error::from_raw_os_error(EEXIST)) };
        }
        self.inline.refill();
        self.end_outer_sleep();
        self.runnable.extend(self.deferred.drain(..));
        let taken = self.take_queue();
        self.run();
        let outcome = self.wait(wait);
        self.prepare_outer_sleep();
        Entered { taken, outcome }
    }

    /// A socket has come to the ring, which is told when it leaves: so a registration of it may
    /// last.
    pub(super) fn adopt(&mut self, fd: RawFd) {
        if self.generation.is_present() {
            self.poller.adopt(&self.epoll, &mut self.requests, fd);
        }
    }

    /// A receive without the ring has found that a socket has nothing more. It was made just now:
    /// what has come since is yet to be reported.
    pub(super) fn note_drained(&mut self, fd: RawFd, how: Drained) {
        match how {
            Drained::Short => self.poller.note_short_receive(fd),
            Drained::Blocked => self.poller.note_blocked(fd, READABLE),
        }
    }

    /// A descriptor of the process is about to leave the ring, or has come to it: what is known of
    /// the file that has had its number is no longer true.
    pub(super) fn forget(&mut self, fd: RawFd) {
        // A forked child shares the epoll instance: what it removed, its parent would miss.
        if self.generation.is_present() {
            self.poller.forget(&self.epoll, &mut self.requests, fd);
        }
    }

    pub(super) unsafe fn register_buffers(
        &mut self,
        buffers: &BufferRing,
        group: u16,
    ) -> io::Result<()> {
        // SAFETY: the caller keeps the buffer ring until it is released, or for ever.
        let is_new = self.buffers.insert(group, unsafe { buffers.provided() });
        if is_new { Ok(()) } else { Err(io::Error::from_raw_os_error(EEXIST)) }
    }

    pub(super) fn release_buffers(&mut self, group: u16) {
        self.buffers.remove(group);
    }

    pub(super) fn make_buffer_table(&mut self, slots: u16) -> io::Result<()> {
        self.own()?.memory.resize(slots);
        Ok(())
    }

    pub(super) unsafe fn register_memory(
        &mut self,
        slot: u16,
        start: NonNull<u8>,
        length: usize,
    ) -> io::Result<()> {
        self.own()?.memory.set(slot, Some((start.as_ptr().expose_provenance(), length)));
        Ok(())
    }

    pub(super) fn unregister_memory(&mut self, slot: u16) -> io::Result<()> {
        self.own()?.memory.set(slot, None);
        Ok(())
    }

    pub(super) fn release_file_table(&mut self) {
        for file in self.files.drain().collect::<Vec<_>>() {
            drop(self.last_use(file));
        }
    }

    #[inline]
    pub(super) fn reap(&mut self, sink: impl FnMut(Completion)) {
        self.completions.drain(..).for_each(sink);
    }

    #[expect(clippy::unused_self, reason = "other rings have a choice")]
    pub(super) fn allowed_bypasses(&self) -> Bypasses {
        Bypasses::ALL
    }

    /// For calls that change what is registered with the ring: with a parent's they must not.
    fn own(&mut self) -> io::Result<&mut Self> {
        let is_own = self.generation.is_present();
        is_own.then_some(self).ok_or_else(|| io::Error::from_raw_os_error(EEXIST))
    }
}
