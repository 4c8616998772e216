//! The memory of all buffers of a size.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::Arc;

use super::buffer::{BufferSize, OwnedBuffer};
use crate::buf::LeaseMemory;
use crate::sys::{Pages, page_size};

pub(super) struct Region {
    pages: Arc<Pages>,
    memory: Arc<LeaseMemory>,
    count: u16,
}

impl Region {
    /// Memory for `count` buffers of a size, or for half of them as often as it takes to fit in the
    /// address space. `None` if not even one does.
    pub(super) fn reserve(BufferSize { mut count, bytes }: BufferSize) -> Option<Self> {
        loop {
            let length = NonZeroUsize::new(usize::from(count).checked_mul(bytes).unwrap_or(0));
            if let Some(pages) = length.and_then(|length| Pages::reserve(length.get()).ok()) {
                let pages = Arc::new(pages);
                let owner = Box::new(Arc::clone(&pages));
                // SAFETY: the owner keeps the pages, of which there are enough, and which are used
                // through this alone.
                let memory = unsafe { LeaseMemory::new(pages.start(), count, bytes, owner) };
                return Some(Self { pages, memory: Arc::new(memory), count });
            }
            if count <= 1 {
                return None;
            }
            count /= 2;
        }
    }

    /// For how many buffers there is memory.
    pub(super) fn count(&self) -> u16 {
        self.count
    }

    pub(super) fn memory(&self) -> &Arc<LeaseMemory> {
        &self.memory
    }

    /// A buffer that has no owner.
    pub(super) fn buffer(&self, buffer: u16) -> OwnedBuffer {
        OwnedBuffer::new(&self.memory, buffer)
    }

    /// Gives the memory of buffers back to the machine, whole pages of it. They can be used as
    /// before.
    ///
    /// # Safety
    ///
    /// Neither the kernel nor a lease has the buffers.
    pub(super) unsafe fn discard(&self, buffers: &mut [u16]) {
        let page = page_size();
        // Neighbours are given back by one call.
        buffers.sort_unstable();
        for run in buffers.chunk_by(|&one, &next| one + 1 == next) {
            let (first, last) = (usize::from(run[0]), usize::from(run[run.len() - 1]));
            let size = self.memory.size();
            let pages = whole_pages(first * size..(last + 1) * size, page);
            if !pages.is_empty() {
                // SAFETY: these pages hold nothing but those buffers.
                unsafe { self.pages.discard(pages.start, pages.len()) };
            }
        }
    }
}

/// The pages that lie within a range of bytes as a whole.
fn whole_pages(bytes: Range<usize>, page: usize) -> Range<usize> {
    bytes.start.next_multiple_of(page)..bytes.end / page * page
}

#[cfg(test)]
impl Region {
    /// How many pages the machine has given.
    pub(super) fn resident(&self) -> usize {
        self.pages.resident()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With pages of 16 or 64 KiB, as some processors have, a page is of several small buffers.
    #[test]
    fn no_page_is_given_back_that_is_of_other_buffers_too() {
        for page in [4096, 16_384, 65_536] {
            for (first, count) in [(0, 1), (1, 1), (3, 4), (3, 5), (16, 16), (15, 18), (5, 40)] {
                let bytes = first * 4096..(first + count) * 4096;
                let pages = whole_pages(bytes.clone(), page);
                if !pages.is_empty() {
                    assert!(bytes.start <= pages.start && pages.end <= bytes.end);
                    assert_eq!((pages.start % page, pages.end % page), (0, 0));
                }
                assert_eq!(
                    pages.is_empty(),
                    (0..64).all(|n| { n * page < bytes.start || (n + 1) * page > bytes.end })
                );
            }
        }
    }
}
