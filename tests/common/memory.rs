//! Buffers that detect accesses by the kernel after they were freed.
//!
//! A pool is one mapping of cells, each some pages of memory between inaccessible guard pages:
//!
//! ```text
//! | guard | canary ... | buffer | guard | canary ... | buffer | guard | ...
//! ```
//!
//! A buffer ends where its cell does, so an access behind it meets the guard page, and the
//! operation fails with `EFAULT`; an access before it changes the canary.
//!
//! A freed cell stays mapped, readable *and writable*, and is filled with one poison byte. It must
//! be writable: the kernel's accesses to memory that it may not write fail without a trace (no task
//! awaits the late operation's `EFAULT`), while a write that succeeds is seen in the poison. A late
//! *read* is seen by the peer, which receives poison: so tests that write use other bytes only.
//! Cells are used again the longest freed first, and checked then and in [`Pool::verify`].

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::ptr::{self, NonNull};
use std::rc::Rc;
use std::slice;

use annulus::buf::{IoBuf, IoBufMut};

/// What freed memory is filled with. No payload has this byte.
pub(crate) const POISON: u8 = 0xdb;
/// What fills a cell before its buffer.
const CANARY: u8 = 0xca;

const PAGE: usize = 4096;
/// The largest buffer.
pub(crate) const LARGEST: usize = 4 * PAGE;
/// A cell and the guard page behind it.
const STRIDE: usize = LARGEST + PAGE;

/// A mapping of guarded cells. Belongs to one thread.
pub(crate) struct Pool {
    base: NonNull<u8>,
    cells: usize,
    /// The freed cells, the longest freed first.
    freed: RefCell<VecDeque<usize>>,
    violations: RefCell<Vec<&'static str>>,
    taken: Cell<usize>,
}

impl Pool {
    pub(crate) fn new(cells: usize) -> Rc<Self> {
        let protection = libc::PROT_NONE;
        let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        let length = PAGE + cells * STRIDE;
        // SAFETY: a new mapping, placed by the kernel.
        let base = unsafe { libc::mmap(ptr::null_mut(), length, protection, kind, -1, 0) };
        assert_ne!(base, libc::MAP_FAILED);
        let base = NonNull::new(base.cast()).expect("nothing is mapped at zero");
        let freed = RefCell::new((0..cells).collect());
        let pool = Self { base, cells, freed, violations: RefCell::default(), taken: Cell::new(0) };
        for cell in 0..cells {
            let start = pool.start(cell);
            let access = libc::PROT_READ | libc::PROT_WRITE;
            // SAFETY: the pages are this mapping's own, and not in use yet.
            let result = unsafe { libc::mprotect(start.cast(), LARGEST, access) };
            assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
            // SAFETY: as above; the cell is writable now.
            unsafe { start.write_bytes(POISON, LARGEST) };
        }
        Rc::new(pool)
    }

    /// A buffer of `capacity` bytes, of which none is initialised.
    pub(crate) fn take(self: &Rc<Self>, capacity: usize) -> GuardedBuffer {
        assert!(capacity <= LARGEST);
        let cell = self.freed.borrow_mut().pop_front().expect("the pool is large enough");
        self.check_poison(cell);
        self.taken.set(self.taken.get() + 1);
        // SAFETY: the cell is free, so no buffer is in it.
        unsafe { self.start(cell).write_bytes(CANARY, LARGEST) };
        GuardedBuffer { pool: Rc::clone(self), cell, capacity, initialised: 0 }
    }

    /// A full buffer, every byte of which is `byte`.
    pub(crate) fn filled(self: &Rc<Self>, length: usize, byte: u8) -> GuardedBuffer {
        assert_ne!(byte, POISON);
        let mut buffer = self.take(length);
        // SAFETY: the buffer has `length` bytes, which are initialised by this.
        unsafe {
            buffer.stable_mut_ptr().write_bytes(byte, length);
            buffer.set_init(length);
        }
        buffer
    }

    /// How many buffers have been taken so far.
    pub(crate) fn taken(&self) -> usize {
        self.taken.get()
    }

    /// How many buffers have not been freed.
    pub(crate) fn alive(&self) -> usize {
        self.cells - self.freed.borrow().len()
    }

    /// Asserts that no freed memory has been written, and nothing beside a buffer.
    #[track_caller]
    pub(crate) fn verify(&self) {
        for &cell in &*self.freed.borrow() {
            self.check_poison(cell);
        }
        assert_eq!(*self.violations.borrow(), [""; 0]);
    }

    fn start(&self, cell: usize) -> *mut u8 {
        // SAFETY: the mapping holds a guard page, and then a stride for each cell.
        unsafe { self.base.as_ptr().add(PAGE + cell * STRIDE) }
    }

    fn check_poison(&self, cell: usize) {
        if !self.is_filled(cell, LARGEST, POISON) {
            self.violations.borrow_mut().push("freed memory was written");
        }
    }

    /// Whether the first `length` bytes of a cell all are `byte`.
    fn is_filled(&self, cell: usize, length: usize, byte: u8) -> bool {
        // SAFETY: the cell's bytes are initialised since the pool was made.
        let bytes = unsafe { slice::from_raw_parts(self.start(cell), length) };
        // Compares with the same bytes moved by one, which is fast also without optimisation.
        bytes.first().is_none_or(|&first| first == byte && bytes[1..] == bytes[..length - 1])
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let length = PAGE + self.cells * STRIDE;
        // SAFETY: each buffer holds the pool, so none is left. What the kernel might still touch
        // would be a defect that `verify` has to find before.
        let result = unsafe { libc::munmap(self.base.as_ptr().cast(), length) };
        assert_eq!(result, 0);
    }
}

/// A buffer in a cell of a [`Pool`].
pub(crate) struct GuardedBuffer {
    pool: Rc<Pool>,
    cell: usize,
    capacity: usize,
    initialised: usize,
}

impl GuardedBuffer {
    fn start(&self) -> *mut u8 {
        // SAFETY: the buffer is at the end of its cell.
        unsafe { self.pool.start(self.cell).add(LARGEST - self.capacity) }
    }
}

impl Drop for GuardedBuffer {
    fn drop(&mut self) {
        if !self.pool.is_filled(self.cell, LARGEST - self.capacity, CANARY) {
            // This may be called where a panic would not be seen.
            self.pool.violations.borrow_mut().push("memory before a buffer was written");
        }
        // SAFETY: the cell is this buffer's, until here.
        unsafe { self.pool.start(self.cell).write_bytes(POISON, LARGEST) };
        self.pool.freed.borrow_mut().push_back(self.cell);
    }
}

// SAFETY: the bytes are in the mapping and do not move with the buffer, and the first
// `initialised` have been written.
unsafe impl IoBuf for GuardedBuffer {
    fn stable_ptr(&self) -> *const u8 {
        self.start()
    }

    fn bytes_init(&self) -> usize {
        self.initialised
    }
}

// SAFETY: the cell is the buffer's own until it is dropped, and ends `capacity` bytes from its
// start.
unsafe impl IoBufMut for GuardedBuffer {
    fn stable_mut_ptr(&mut self) -> *mut u8 {
        self.start()
    }

    fn bytes_total(&self) -> usize {
        self.capacity
    }

    unsafe fn set_init(&mut self, count: usize) {
        self.initialised = count;
    }
}
