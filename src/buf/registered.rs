//! Buffers that a ring has registered: the kernel has pinned their pages, and does not look them up
//! for each operation.
//!
//! A [`RegisteredBuf`] is owned memory like any other buffer: an operation takes it, and returns it
//! with its result. What is special is where it comes from and goes back to, its set, and what an
//! operation on the set's own ring may name to the kernel beside its address (a
//! [`Registration`]).
//!
//! # Who keeps the memory
//!
//! Each buffer that is checked out holds the set, also while it is part of an operation in flight
//! or an orphan of one. The memory is unregistered and unmapped when the set has neither a handle
//! ([`RegisteredBuffers`]) nor a buffer any more. So no operation is in flight on it then, and
//! nothing waits. A buffer that is forgotten keeps the set for ever, which is sound.
//!
//! Even then the kernel would be safe: an operation keeps what it uses when its slot is emptied,
//! and pinned pages outlive their mapping (`uring-sys-tests`,
//! unregistered_memory_kept_until_completion, registered_pages_outlive_their_mapping).
//!
//! # Several rings
//!
//! An index means a buffer only on the ring that it was registered with. Operations compare
//! [`Registration::home`] with their own ring; where it is another they use the address alone, as
//! of any memory.

use std::cell::RefCell;
use std::fmt;
use std::ptr::NonNull;
use std::rc::Rc;

use super::fixed_room::fixed_room;
use super::registration::Registration;
use crate::sync::{OwnedPermit, Semaphore};

/// The memory of a set, which is mapped, and perhaps registered, until this is dropped.
///
/// # Safety
///
/// The memory is valid for reads and writes of [`length`](Self::length) bytes, aligned to pages,
/// zeroed at first, and nothing else uses it. A registration covers the memory that it is returned
/// for.
pub(crate) unsafe trait SetMemory {
    fn start(&self) -> NonNull<u8>;

    fn length(&self) -> usize;

    /// As what the bytes from `offset` on are registered, if they are.
    fn registration(&self, offset: usize) -> Option<Registration>;
}

/// A set of buffers of one size, which the runtime's ring has registered.
///
/// Reads and writes of files at offsets with such a buffer are *fixed*: the kernel has pinned and
/// mapped its pages once, at registration, where it otherwise does so for each direct
/// ([`O_DIRECT`](crate::buf::AlignedBuf)) operation. A buffer is checked out of its set with
/// [`get`](Self::get) and goes back when it is dropped. It begins at a page, as direct I/O needs.
///
/// Clones are handles of one set. The memory is released when neither a handle nor a buffer of the
/// set is left; it belongs to the thread that made it. A buffer works everywhere as any other does;
/// on other runtimes than its set's, and for sockets, it is ordinary memory. Beyond the end of its
/// runtime it is ordinary memory, too.
///
/// Registered memory counts against the limit of locked memory (`RLIMIT_MEMLOCK`), unless the
/// process has `CAP_IPC_LOCK`. Where the limit or the kernel refuses, the buffers work all the same
/// as ordinary memory ([`is_registered`](Self::is_registered)), and an
/// [`Incident::BuffersNotRegistered`](crate::Incident::BuffersNotRegistered) says why.
///
/// A forked child gets a copy of the memory: the kernel copies pinned pages at the fork itself, so
/// that the parent's stay where they are. With large sets, start programs with a call that does not
/// copy ([`std::process::Command`]).
///
/// # Example
///
/// ```
/// use annulus::buf::RegisteredBuffers;
/// use annulus::fs::File;
///
/// annulus::run(async {
///     let buffers = RegisteredBuffers::new(16, 64 * 1024)?;
///     let file = File::open("Cargo.toml").await?;
///     let buffer = buffers.get().await;
///     let (count, buffer) = file.read_at(buffer, 0).await.into_result()?;
///     assert!(buffer[..count].starts_with(b"[workspace]"));
///     drop(buffer);
///     assert_eq!(buffers.available(), 16);
///     std::io::Result::Ok(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct RegisteredBuffers {
    set: Rc<Set>,
}

struct Set {
    size: usize,
    /// From the start of one buffer to that of the next, in bytes.
    stride: usize,
    count: usize,
    /// The buffers that are not checked out. The last one to come back is the next to be given, as
    /// it is in the cache.
    free: RefCell<Vec<usize>>,
    /// A permit for each of them. (They are counted apart, as waiters are granted a permit before
    /// they are polled.)
    permits: Rc<Semaphore>,
    memory: Box<dyn SetMemory>,
}

impl RegisteredBuffers {
    /// A set of buffers of `size` bytes, each at a multiple of `stride`, which is at least as much.
    pub(crate) fn of(memory: Box<dyn SetMemory>, size: usize, stride: usize) -> Self {
        let count = memory.length() / stride;
        let free = RefCell::new((0..count).rev().collect());
        let permits = Rc::new(Semaphore::new(count));
        Self { set: Rc::new(Set { size, stride, count, free, permits, memory }) }
    }

    /// Checks out a buffer. Waits until there is one, in the order of the calls.
    ///
    /// It is empty; what it held before is not to be seen.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it leaves the queue, and loses nothing.
    pub async fn get(&self) -> RegisteredBuf {
        let permit = Rc::clone(&self.set.permits).acquire_owned().await;
        self.set.check_out(permit.expect("the semaphore is never closed"))
    }

    /// Checks out a buffer, if there is one for which no task waits.
    pub fn try_get(&self) -> Option<RegisteredBuf> {
        let permit = Rc::clone(&self.set.permits).try_acquire_owned().ok()?;
        Some(self.set.check_out(permit))
    }

    /// Returns how many buffers the set has.
    pub fn count(&self) -> usize {
        self.set.count
    }

    /// Returns how many buffers can be checked out without waiting.
    pub fn available(&self) -> usize {
        self.set.permits.available_permits()
    }

    /// Returns the size of each buffer, in bytes.
    pub fn buffer_size(&self) -> usize {
        self.set.size
    }

    /// Returns whether the kernel has registered the buffers.
    ///
    /// They are registered with the ring of the runtime that made them; otherwise they are ordinary
    /// memory.
    pub fn is_registered(&self) -> bool {
        self.set.memory.registration(0).is_some()
    }
}

impl Set {
    fn check_out(self: &Rc<Self>, permit: OwnedPermit) -> RegisteredBuf {
        let number = self.free.borrow_mut().pop().expect("each permit is for a free buffer");
        let offset = number * self.stride;
        // SAFETY: the memory has `count` buffers of `stride` bytes; the number is below that.
        let start = unsafe { self.memory.start().add(offset) };
        RegisteredBuf {
            start,
            capacity: self.size,
            length: 0,
            number,
            registration: self.memory.registration(offset),
            _permit: permit,
            set: Rc::clone(self),
        }
    }
}

impl fmt::Debug for RegisteredBuffers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegisteredBuffers")
            .field("count", &self.count())
            .field("available", &self.available())
            .field("buffer_size", &self.buffer_size())
            .field("is_registered", &self.is_registered())
            .finish()
    }
}

/// A buffer of [`RegisteredBuffers`], which returns to its set when it is dropped.
///
/// Its length may change up to its capacity, as that of a `Vec`; a read sets it.
pub struct RegisteredBuf {
    // A number is in `free` or of one buffer, so the memory is this one's alone.
    start: NonNull<u8>,
    capacity: usize,
    length: usize,
    number: usize,
    registration: Option<Registration>,
    /// Released after the number has been returned, and before the set: it wakes a waiter.
    _permit: OwnedPermit,
    set: Rc<Set>,
}

impl RegisteredBuf {
    fn registered_as(&self) -> Option<Registration> {
        self.registration
    }
}

fixed_room!(RegisteredBuf);

impl Drop for RegisteredBuf {
    fn drop(&mut self) {
        self.set.free.borrow_mut().push(self.number);
    }
}
