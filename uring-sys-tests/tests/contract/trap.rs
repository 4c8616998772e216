//! Memory that stops its first user, the kernel too, until the test continues it.
//!
//! It holds a kernel worker in the middle of a copy for as long as a test needs, by userfaultfd.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::ptr;

use uring_sys_tests::memory::{Pages, page_size};
use uring_sys_tests::raw::{checked, owned};
use uring_sys_tests::ring::patience;

/// `UFFDIO_API`, its argument and the only version of it.
const API: libc::c_ulong = 0xc018_aa3f;
const API_VERSION: u64 = 0xaa;
/// `UFFDIO_REGISTER`, and its mode that reports missing pages.
const REGISTER: libc::c_ulong = 0xc020_aa00;
const MISSING: u64 = 1;
/// `UFFDIO_ZEROPAGE`.
const ZEROPAGE: libc::c_ulong = 0xc020_aa04;
/// The size of one report.
const REPORT: usize = 32;

/// Two pages, the second of which is the trap.
pub(crate) struct Trap {
    faults: File,
    pages: Pages,
}

impl Trap {
    /// Fails where this process may not watch the kernel's page faults.
    pub(crate) fn new() -> io::Result<Trap> {
        // SAFETY: the call takes no pointer.
        let fd = unsafe { libc::syscall(libc::SYS_userfaultfd, libc::O_CLOEXEC) };
        let faults = File::from(owned(checked(fd)?));
        let trap = Trap { faults, pages: Pages::new(2 * page_size()) };
        trap.control(API, &mut [API_VERSION, 0, 0])?;
        trap.control(REGISTER, &mut [trap.second_page(), page_size() as u64, MISSING, 0])?;
        // SAFETY: the first page is this value's own; touched, it is no longer missing.
        unsafe { trap.pages.as_ptr().write(0) };
        Ok(trap)
    }

    pub(crate) fn as_ptr(&self) -> *mut u8 {
        self.pages.as_ptr()
    }

    pub(crate) fn size(&self) -> usize {
        self.pages.size()
    }

    /// Waits until a thread is caught.
    pub(crate) fn await_caught(&self) {
        let mut report =
            libc::pollfd { fd: self.faults.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        let limit = i32::try_from(patience().as_millis()).expect("a limit in milliseconds");
        // SAFETY: reads and writes one structure, which lives for the call.
        let caught = unsafe { libc::poll(&mut report, 1, limit) };
        assert_eq!(caught, 1, "no thread touched the trap within {:?}", patience());
        (&self.faults).read_exact(&mut [0; REPORT]).expect("a report of a page fault");
    }

    /// Releases the thread that is caught; the page is there from now on, all zeroes.
    pub(crate) fn release(&self) {
        self.control(ZEROPAGE, &mut [self.second_page(), page_size() as u64, 0, 0])
            .expect("give the page");
    }

    /// Whether the last byte is no longer zero. To be asked after [`Trap::release`].
    pub(crate) fn is_written(&self) -> bool {
        // SAFETY: within the pages; volatile, for the kernel writes them at the same time.
        unsafe { self.as_ptr().add(self.size() - 1).read_volatile() != 0 }
    }

    fn second_page(&self) -> u64 {
        (self.pages.as_ptr() as usize + page_size()) as u64
    }

    fn control(&self, request: libc::c_ulong, argument: &mut [u64]) -> io::Result<()> {
        let fd = self.faults.as_raw_fd();
        // SAFETY: each request above takes a structure of as many words as it is given here, and
        // concerns this value's own pages.
        let done = unsafe { libc::ioctl(fd, request, ptr::from_mut(argument).cast::<u64>()) };
        checked(done.into()).map(drop)
    }
}
