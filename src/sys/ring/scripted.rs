//! A ring that does what a test tells it to, behind the same seam as the kernel's.
//!
//! It takes SQEs, writes them down, and completes them when and how the test says, in any order. A
//! test reads what it was asked ([`Sqe`]), puts bytes where an SQE wants them, and selects provided
//! buffers as the kernel does. No system call bypasses it unless the script allows that, so that
//! every step of an operation is an SQE.

use std::cell::{RefCell, RefMut};
use std::collections::VecDeque;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::rc::Rc;
use std::{io, ptr, slice};

use super::interface::{Entered, Full, Wait};
use super::scripted_links::{Links, SEVERED};
use crate::sys::bypass::Bypasses;
use crate::sys::errno::ENOENT;
use crate::sys::{BufferRing, Completion, Provided, Sqe, Submission, opcode};

/// `IORING_CQE_F_BUFFER`: a provided buffer was selected.
const SELECTED: u32 = 1;
/// `IORING_CQE_F_MORE`: the SQE will complete again.
const MORE: u32 = 1 << 1;
/// `IORING_CQE_F_SOCK_NONEMPTY`: the socket has more bytes.
pub(crate) const NONEMPTY: u32 = 1 << 2;
/// `IORING_CQE_F_NOTIF`: a zero-copy send is done with its memory.
pub(crate) const NOTIFICATION: u32 = 1 << 3;

/// What has happened to the ring, and what it is to do next.
#[derive(Default)]
pub(crate) struct Script {
    capacity: usize,
    queue: VecDeque<Submission>,
    /// The SQEs taken, in order.
    pub(crate) taken: Vec<Sqe>,
    links: Links,
    /// How many SQEs the next enters take at most, one number an enter.
    pub(crate) limits: VecDeque<usize>,
    /// How many SQEs each enter took; with a thread, how many became visible to it at once.
    pub(crate) batches: Vec<usize>,
    /// What the next reaping finds.
    pub(crate) completions: VecDeque<Completion>,
    /// The waits asked for, one an enter.
    pub(crate) enters: Vec<Wait>,
    /// Errors for the next enters, which then take nothing.
    pub(crate) refusals: VecDeque<i32>,
    pub(crate) overflown: bool,
    pub(crate) deferred: bool,
    /// Whether cancels complete as soon as they are taken.
    pub(crate) answers_cancels: bool,
    /// Whether everything else but polls does.
    pub(crate) completes_at_once: bool,
    /// Whether buffers can be registered.
    pub(crate) has_buffers: bool,
    /// Those that were.
    buffers: Option<Provided>,
    /// The table of registered buffers: where each begins, and how long it is.
    pub(crate) registered: Vec<Option<(usize, usize)>>,
    /// Errors for the next registrations.
    pub(crate) registration_errors: VecDeque<i32>,
    /// Whether a kernel thread takes SQEs as soon as they are visible.
    pub(crate) has_thread: bool,
    /// Whether that thread is busy, and takes them only when an enter waits for room.
    pub(crate) is_thread_busy: bool,
    /// Which system calls may be made without the ring.
    pub(crate) bypasses: Bypasses,
    /// SQEs pushed since the last enter, which count as queued though the thread may have them.
    pushed: usize,
}

impl Script {
    /// SQEs become visible to the kernel.
    fn publish(&mut self, sqes: &[Submission]) -> Result<(), Full> {
        if self.capacity - self.queue.len() < sqes.len() {
            return Err(Full);
        }
        self.queue.extend(sqes.iter().cloned());
        self.pushed += sqes.len();
        if self.has_thread && !self.is_thread_busy {
            self.take();
        }
        Ok(())
    }

    /// The kernel takes all that is queued.
    fn take(&mut self) -> usize {
        let limit = self.limits.pop_front().unwrap_or(usize::MAX).min(self.queue.len());
        let sqes: Vec<_> = self.queue.drain(..limit).collect();
        self.batches.push(sqes.len());
        self.links.take(&sqes.iter().map(|sqe| *Sqe::of(sqe)).collect::<Vec<_>>());
        for sqe in sqes.iter().map(Sqe::of) {
            self.taken.push(*sqe);
            let completes = match sqe.opcode() {
                opcode::AsyncCancel::CODE => self.answers_cancels,
                opcode::PollAdd::CODE => false,
                _ => self.completes_at_once,
            };
            if completes {
                self.completions.push_back(Completion::new(sqe.user_data(), 0, 0));
            }
        }
        sqes.len()
    }
}

/// The driver's side; clones are the test's.
#[derive(Clone)]
pub(crate) struct ScriptedRing(Rc<RefCell<Script>>);

/// What a test does with it.
impl ScriptedRing {
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self(Rc::new(RefCell::new(Script { capacity, ..Script::default() })))
    }

    pub(crate) fn script(&self) -> RefMut<'_, Script> {
        self.0.borrow_mut()
    }

    /// Completes the nth SQE that was taken.
    pub(crate) fn complete(&self, nth: usize, result: i32, more: bool) {
        self.complete_flagged(nth, result, if more { MORE } else { 0 });
    }

    /// Completes the nth SQE that was taken, with these flags of CQEs, and the rest of its chain if
    /// that is severed.
    pub(crate) fn complete_flagged(&self, nth: usize, result: i32, flags: u32) {
        let script = &mut *self.script();
        let user_data = script.taken[nth].user_data();
        script.completions.push_back(Completion::new(user_data, result, flags));
        if flags & MORE == 0 {
            for severed in script.links.complete(&script.taken, nth, result) {
                let user_data = script.taken[severed].user_data();
                script.completions.push_back(Completion::new(user_data, SEVERED, 0));
            }
        }
    }

    /// Carries out the nth SQE that was taken, a cancel: its target, if that has been begun and is
    /// not over, completes with `ECANCELED`.
    pub(crate) fn carry_out_cancel(&self, nth: usize) {
        let target = {
            let script = self.script();
            let name = script.taken[nth].address();
            let target = script.taken.iter().position(|sqe| sqe.user_data() == name);
            target.filter(|&target| script.links.is_begun(target))
        };
        if let Some(target) = target {
            self.complete(target, SEVERED, false);
        }
        self.complete(nth, target.map_or(-ENOENT, |_| 0), false);
    }

    /// Completes the nth SQE that was taken, a receive, with bytes that it has room for.
    pub(crate) fn receive(&self, nth: usize, bytes: &[u8]) {
        self.receive_flagged(nth, bytes, 0);
    }

    /// [`receive`](Self::receive) with flags. Where the SQE lets the kernel select a buffer, the
    /// next one is selected.
    pub(crate) fn receive_flagged(&self, nth: usize, bytes: &[u8], flags: u32) {
        let sqe = self.taken(nth);
        let selected = sqe.buffer_group().map(|_| self.select());
        let (start, room) = match selected {
            Some((_, start, room)) => (start, room),
            None => {
                (ptr::with_exposed_provenance_mut(sqe.address() as usize), sqe.length() as usize)
            }
        };
        assert!(bytes.len() <= room, "{} bytes do not fit into {room}", bytes.len());
        // SAFETY: the memory is that of an SQE which has not completed, or of a buffer that is
        // provided.
        unsafe { start.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        let buffer = selected.map_or(0, |(number, ..)| u32::from(number) << 16 | SELECTED);
        self.complete_flagged(nth, bytes.len() as i32, flags | buffer);
    }

    /// [`receive`](Self::receive) of an SQE that will complete again.
    pub(crate) fn receive_more(&self, nth: usize, bytes: &[u8]) {
        self.receive_flagged(nth, bytes, MORE);
    }

    /// Fails the nth SQE that was taken after a provided buffer has been selected for it.
    pub(crate) fn fail_with_buffer(&self, nth: usize, errno: i32) {
        let (number, ..) = self.select();
        self.complete_flagged(nth, -errno, u32::from(number) << 16 | SELECTED);
    }

    /// What the nth SQE that was taken would send. It has not completed.
    pub(crate) fn outgoing(&self, nth: usize) -> Vec<u8> {
        let sqe = self.taken(nth);
        let start = ptr::with_exposed_provenance(sqe.address() as usize);
        // SAFETY: the memory is that of an SQE which has not completed.
        unsafe { slice::from_raw_parts(start, sqe.length() as usize) }.to_vec()
    }

    /// The segments that the nth SQE that was taken, a sendmsg, would send. It has not completed.
    pub(crate) fn outgoing_segments(&self, nth: usize) -> Vec<Vec<u8>> {
        let message = ptr::with_exposed_provenance(self.taken(nth).address() as usize);
        // SAFETY: the header, its segments and their memory are those of an SQE which has not
        // completed.
        unsafe {
            let message: &libc::msghdr = &*message;
            bytes_of(message.msg_iov, message.msg_iovlen)
        }
    }

    /// What is at the segments of the nth SQE that was taken, a vectored transfer of a file. It has
    /// not completed.
    pub(crate) fn listed_segments(&self, nth: usize) -> Vec<Vec<u8>> {
        let sqe = self.taken(nth);
        let list = ptr::with_exposed_provenance(sqe.address() as usize);
        // SAFETY: the list and its memory are those of an SQE which has not completed.
        unsafe { bytes_of(list, sqe.length() as usize) }
    }

    /// The address that the nth SQE that was taken, a connect, would connect to. It has not
    /// completed.
    pub(crate) fn peer_address(&self, nth: usize) -> Vec<u8> {
        let sqe = self.taken(nth);
        let start = ptr::with_exposed_provenance(sqe.address() as usize);
        // SAFETY: the memory is that of an SQE which has not completed, and so long.
        unsafe { slice::from_raw_parts(start, sqe.offset() as usize) }.to_vec()
    }

    /// Takes the first of the provided buffers: its number, where it begins, and its size.
    fn select(&self) -> (u16, *mut u8, usize) {
        let mut script = self.script();
        script.buffers.as_mut().and_then(Provided::next).expect("a buffer is provided")
    }

    /// The nth SQE that was taken.
    pub(crate) fn taken(&self, nth: usize) -> Sqe {
        self.script().taken[nth]
    }

    /// The opcodes of the SQEs taken.
    pub(crate) fn opcodes(&self) -> Vec<u8> {
        self.script().taken.iter().map(Sqe::opcode).collect()
    }
}

/// The bytes of segments.
///
/// # Safety
///
/// `list` has `count` segments, and their memory is initialised.
unsafe fn bytes_of(list: *const libc::iovec, count: usize) -> Vec<Vec<u8>> {
    // SAFETY: the caller's promise.
    unsafe {
        let segments = slice::from_raw_parts(list, count);
        let bytes = |segment: &libc::iovec| {
            slice::from_raw_parts(segment.iov_base.cast::<u8>(), segment.iov_len).to_vec()
        };
        segments.iter().map(bytes).collect()
    }
}

/// What the driver does with it.
impl ScriptedRing {
    pub(super) unsafe fn push(&mut self, sqe: &Submission) -> Result<(), Full> {
        self.script().publish(slice::from_ref(sqe))
    }

    pub(super) unsafe fn push_all(&mut self, sqes: &[Submission]) -> Result<(), Full> {
        self.script().publish(sqes)
    }

    pub(super) fn capacity(&self) -> usize {
        self.0.borrow().capacity
    }

    pub(super) fn queued(&mut self) -> usize {
        let script = self.script();
        if script.has_thread { script.pushed } else { script.queue.len() }
    }

    pub(super) fn has_deferred(&mut self) -> bool {
        self.script().deferred
    }

    pub(super) fn is_overflown(&mut self) -> bool {
        self.script().overflown
    }

    pub(super) fn has_completions(&mut self) -> bool {
        !self.script().completions.is_empty()
    }

    #[expect(clippy::unused_self, reason = "the kernel's ring has a choice")]
    pub(super) fn signal_by(&mut self, _counter: BorrowedFd<'_>) -> io::Result<Option<OwnedFd>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn enter(&mut self, wait: Wait) -> Entered {
        let mut script = self.script();
        script.enters.push(wait);
        let refusal = script.refusals.pop_front();
        let outcome = refusal.map_or(Ok(()), |errno| Err(io::Error::from_raw_os_error(errno)));
        let taken = if script.has_thread {
            if outcome.is_ok() && script.queue.len() == script.capacity {
                script.take();
            }
            script.pushed
        } else if outcome.is_ok() {
            script.take()
        } else {
            0
        };
        script.pushed = 0;
        Entered { taken, outcome }
    }

    pub(super) unsafe fn register_buffers(
        &mut self,
        buffers: &BufferRing,
        _group: u16,
    ) -> io::Result<()> {
        let mut script = self.script();
        if !script.has_buffers {
            return Err(io::ErrorKind::Unsupported.into());
        }
        // SAFETY: the caller keeps the buffer ring until it is released, or for ever.
        script.buffers = Some(unsafe { buffers.provided() });
        Ok(())
    }

    pub(super) fn release_buffers(&mut self, _group: u16) {
        self.script().buffers = None;
    }

    pub(super) fn make_buffer_table(&mut self, slots: u16) -> io::Result<()> {
        self.script().registered = vec![None; slots.into()];
        Ok(())
    }

    pub(super) unsafe fn register_memory(
        &mut self,
        slot: u16,
        start: NonNull<u8>,
        length: usize,
    ) -> io::Result<()> {
        let mut script = self.script();
        match script.registration_errors.pop_front() {
            Some(errno) => Err(io::Error::from_raw_os_error(errno)),
            None => {
                script.registered[usize::from(slot)] = Some((start.addr().get(), length));
                Ok(())
            }
        }
    }

    #[expect(clippy::unnecessary_wraps, reason = "the kernel's ring may refuse")]
    pub(super) fn unregister_memory(&mut self, slot: u16) -> io::Result<()> {
        self.script().registered[usize::from(slot)] = None;
        Ok(())
    }

    pub(super) fn release_file_table(&mut self) {}

    pub(super) fn allowed_bypasses(&self) -> Bypasses {
        self.0.borrow().bypasses
    }

    pub(super) fn reap(&mut self, mut sink: impl FnMut(Completion)) {
        let completions: Vec<_> = self.script().completions.drain(..).collect();
        completions.into_iter().for_each(&mut sink);
    }
}
