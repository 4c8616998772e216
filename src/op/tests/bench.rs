//! A driver for tests of operations, without a runtime.

use std::future::Future;
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, Waker};

use crate::driver::{BufferSize, BufferSizes, Driver, Settings};
use crate::sys::eventfd::EventFd;
use crate::sys::setup::{NewRing, Size, kernel_ring};

/// A driver on a ring of the kernel.
pub(in crate::op) struct Bench {
    pub(in crate::op) driver: Rc<Driver>,
    /// Must outlive the ring that polls it.
    _bell: EventFd,
    pub(in crate::op) incidents: Arc<AtomicUsize>,
}

impl Bench {
    pub(in crate::op) fn new() -> Self {
        let size = Size { submissions: 16, completions: 32 };
        let NewRing { ring, capabilities, .. } = kernel_ring(size, None).unwrap();
        let bell = EventFd::new().unwrap();
        let incidents = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&incidents);
        let hook = Arc::new(move |_: &_| {
            counter.fetch_add(1, Relaxed);
        });
        let size = BufferSize { count: 4, bytes: 4096 };
        let buffers = BufferSizes { small: size, large: size, datagrams: size, fallback: 4096 };
        let settings = Settings { buffers, ..Settings::default() };
        let driver = Rc::new(Driver::new(ring, capabilities, bell.as_raw_fd(), settings, hook));
        Self { driver, _bell: bell, incidents }
    }
}

/// Polls a future without a waker.
pub(in crate::op) fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}
