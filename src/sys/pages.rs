//! Memory that is reserved in one piece, and takes pages of the machine only as they are used.

use std::io;
use std::ptr::{self, NonNull};

/// A private mapping of zeroed pages, aligned to pages.
pub(crate) struct Pages {
    start: NonNull<u8>,
    length: usize,
}

// SAFETY: the mapping belongs to this value, and those who have addresses in it see to how they are
// used.
unsafe impl Send for Pages {}
// SAFETY: as above.
unsafe impl Sync for Pages {}

/// How many bytes a page of this machine has: it gives and takes back no fewer.
pub(crate) fn page_size() -> usize {
    // SAFETY: the call takes no pointers.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).expect("a machine has pages")
}

impl Pages {
    /// Reserves `length` bytes, with `MAP_NORESERVE`: they do not count as committed memory, unless
    /// the machine refuses overcommitment.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, where the process's address space or the machine's memory is limited; `EINVAL` for
    /// no bytes.
    pub(crate) fn reserve(length: usize) -> io::Result<Self> {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // Miri knows mappings without further flags only.
        let reserve = if cfg!(miri) { 0 } else { libc::MAP_NORESERVE };
        let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | reserve;
        // SAFETY: a new mapping, placed by the kernel.
        let start = unsafe { libc::mmap(ptr::null_mut(), length, access, kind, -1, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).expect("nothing is mapped at zero");
        Ok(Self { start, length })
    }

    /// Where they begin.
    pub(crate) fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// Gives pages back to the machine. They are zero when they are used again.
    ///
    /// # Safety
    ///
    /// Nothing reads what is there any more, and the kernel does not write to it.
    /// The range is one of whole [pages](page_size): the kernel rounds its length up.
    ///
    /// # Panics
    ///
    /// If the range is not within the mapping.
    pub(crate) unsafe fn discard(&self, offset: usize, length: usize) {
        assert!(offset <= self.length && length <= self.length - offset, "within the mapping");
        if cfg!(miri) {
            return;
        }
        // SAFETY: the pages are this mapping's, and the caller says that nothing reads them. It
        // fails only for a range that is not one of pages, and then nothing is given back.
        unsafe {
            libc::madvise(self.start.add(offset).as_ptr().cast(), length, libc::MADV_DONTNEED)
        };
    }
}

#[cfg(test)]
impl Pages {
    /// How many pages the machine has given.
    pub(crate) fn resident(&self) -> usize {
        let mut pages = vec![0_u8; self.length.div_ceil(4096)];
        // SAFETY: the call writes a byte for each page of the mapping.
        let result =
            unsafe { libc::mincore(self.start.as_ptr().cast(), self.length, pages.as_mut_ptr()) };
        assert_eq!(result, 0, "{}", io::Error::last_os_error());
        pages.iter().filter(|&&page| page & 1 != 0).count()
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: the mapping belongs to this value, which its users keep until they are done.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.length) };
    }
}
