//! Memory that the kernel may touch at any time.
//!
//! A test that fails unwinds with operations in flight. So that this is sound without each test
//! having to think of it, [`Buffer`]s are leaked: a submission that names one is valid for ever.
//! Tests whose subject is the life of the memory itself use [`Pages`], whose protection can be
//! taken away under the kernel.

use std::io;
use std::ptr;

/// A leaked, fixed piece of memory, handed to the kernel by address.
#[derive(Clone, Copy, Debug)]
pub struct Buffer {
    start: *mut u8,
    len: usize,
}

impl Buffer {
    /// `len` bytes, all `fill`.
    pub fn filled(len: usize, fill: u8) -> Buffer {
        Buffer::holding(&vec![fill; len])
    }

    /// `len` zero bytes.
    pub fn zeroed(len: usize) -> Buffer {
        Buffer::filled(len, 0)
    }

    /// A copy of `bytes`.
    pub fn holding(bytes: &[u8]) -> Buffer {
        let memory = Box::leak(Box::<[u8]>::from(bytes));
        Buffer { start: memory.as_mut_ptr(), len: memory.len() }
    }

    /// Where it starts.
    pub fn as_ptr(&self) -> *mut u8 {
        self.start
    }

    /// How many bytes it holds.
    pub fn size(&self) -> usize {
        self.len
    }

    /// The first `len` bytes as a buffer of its own.
    ///
    /// # Panics
    ///
    /// When there are fewer.
    pub fn prefix(&self, len: usize) -> Buffer {
        assert!(len <= self.len, "a prefix of {len} bytes in a buffer of {}", self.len);
        Buffer { start: self.start, len }
    }

    /// What it holds now.
    pub fn bytes(&self) -> Vec<u8> {
        (0..self.len)
            // SAFETY: within leaked memory; volatile, for the kernel may write at the same time.
            .map(|at| unsafe { self.start.add(at).read_volatile() })
            .collect()
    }

    /// Overwrites all of it.
    pub fn fill(&self, byte: u8) {
        for at in 0..self.len {
            // SAFETY: as in `bytes`.
            unsafe { self.start.add(at).write_volatile(byte) };
        }
    }
}

/// The size of a page here.
pub fn page_size() -> usize {
    // SAFETY: sysconf reads a constant.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).expect("a page size")
}

/// Whole pages from `mmap`, unmapped when dropped.
#[derive(Debug)]
pub struct Pages {
    start: *mut u8,
    len: usize,
}

impl Pages {
    /// Zeroed pages, at least `len` bytes of them.
    ///
    /// # Panics
    ///
    /// When there is no memory.
    pub fn new(len: usize) -> Pages {
        let len = len.next_multiple_of(page_size());
        // SAFETY: an anonymous mapping at an address of the kernel's choice touches nothing else.
        let start = unsafe {
            libc::mmap(
                ptr::null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        assert_ne!(start, libc::MAP_FAILED, "mmap: {}", io::Error::last_os_error());
        Pages { start: start.cast(), len }
    }

    /// Where they start.
    pub fn as_ptr(&self) -> *mut u8 {
        self.start
    }

    /// How many bytes they hold.
    pub fn size(&self) -> usize {
        self.len
    }

    /// Takes every access away: from here on, any access to the pages faults.
    ///
    /// # Panics
    ///
    /// When the kernel refuses.
    pub fn forbid(&self) {
        // SAFETY: the pages are this value's own, and no reference into them exists.
        let done = unsafe { libc::mprotect(self.start.cast(), self.len, libc::PROT_NONE) };
        assert_eq!(done, 0, "mprotect: {}", io::Error::last_os_error());
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: mapped by `new` with this length, and unmapped once.
        unsafe { libc::munmap(self.start.cast(), self.len) };
    }
}
