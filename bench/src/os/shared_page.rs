//! A page of memory that a parent and its child both see.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::AtomicU64;

use super::anonymous_file;

const PAGE: usize = 4096;

/// Counters in memory that two processes share.
pub(crate) struct SharedPage {
    fd: OwnedFd,
    memory: NonNull<AtomicU64>,
}

// SAFETY: the memory holds atomics only, and stays mapped for as long as the value lives.
unsafe impl Send for SharedPage {}
// SAFETY: as above.
unsafe impl Sync for SharedPage {}

impl SharedPage {
    /// A new page of zeroes, whose descriptor children inherit.
    pub(crate) fn new() -> io::Result<Self> {
        let file = anonymous_file::create()?;
        file.set_len(PAGE as u64)?;
        Self::map(file.into())
    }

    /// The page that the parent made.
    ///
    /// # Safety
    ///
    /// The descriptor is open, and nothing else in this process owns it.
    pub(crate) unsafe fn inherited(fd: RawFd) -> io::Result<Self> {
        // SAFETY: by contract.
        Self::map(unsafe { OwnedFd::from_raw_fd(fd) })
    }

    fn map(fd: OwnedFd) -> io::Result<Self> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let raw = fd.as_raw_fd();
        // SAFETY: a new mapping, at an address of the kernel's choice, touches no memory in use.
        let memory =
            unsafe { libc::mmap(ptr::null_mut(), PAGE, protection, libc::MAP_SHARED, raw, 0) };
        if memory == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let memory = NonNull::new(memory.cast()).expect("the kernel maps nothing at zero");
        Ok(Self { fd, memory })
    }

    /// The descriptor, by which a child finds the page.
    pub(crate) fn raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// The counter at an index below 512.
    pub(crate) fn counter(&self, index: usize) -> &AtomicU64 {
        assert!(index < PAGE / size_of::<AtomicU64>());
        // SAFETY: the index lies within the page, which is mapped, aligned and holds only atomics.
        unsafe { self.memory.add(index).as_ref() }
    }
}

impl Drop for SharedPage {
    fn drop(&mut self) {
        // SAFETY: the page was mapped by `map` with this size, and no reference outlives the value.
        unsafe { libc::munmap(self.memory.as_ptr().cast(), PAGE) };
    }
}
