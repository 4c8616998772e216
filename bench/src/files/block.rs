//! Memory that begins at a page, as `O_DIRECT` wants it.

use std::alloc::{self, Layout};
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::slice;

const ALIGNMENT: usize = 4096;

/// A buffer of a fixed size, all of which is always initialised.
pub(crate) struct Block {
    memory: NonNull<u8>,
    size: usize,
}

// SAFETY: it owns its memory, like a boxed slice.
unsafe impl Send for Block {}

impl Block {
    /// A block of zeroes; the size may not be zero.
    pub(crate) fn new(size: usize) -> Self {
        // SAFETY: the size is not zero.
        let memory = unsafe { alloc::alloc_zeroed(layout(size)) };
        let memory =
            NonNull::new(memory).unwrap_or_else(|| alloc::handle_alloc_error(layout(size)));
        Self { memory, size }
    }
}

fn layout(size: usize) -> Layout {
    assert!(size > 0);
    Layout::from_size_align(size, ALIGNMENT).expect("a size that fits")
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: it was allocated with this layout.
        unsafe { alloc::dealloc(self.memory.as_ptr(), layout(self.size)) };
    }
}

impl Deref for Block {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the memory has `size` initialised bytes, and is borrowed with the block.
        unsafe { slice::from_raw_parts(self.memory.as_ptr(), self.size) }
    }
}

impl DerefMut for Block {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and borrowed mutably.
        unsafe { slice::from_raw_parts_mut(self.memory.as_ptr(), self.size) }
    }
}

mod for_annulus {
    use annulus::buf::{IoBuf, IoBufMut};

    use super::Block;

    // SAFETY: the memory stays where it is when the block moves, and is always initialised.
    unsafe impl IoBuf for Block {
        fn stable_ptr(&self) -> *const u8 {
            self.memory.as_ptr()
        }

        fn bytes_init(&self) -> usize {
            self.size
        }
    }

    // SAFETY: as above, and the block owns the memory.
    unsafe impl IoBufMut for Block {
        fn stable_mut_ptr(&mut self) -> *mut u8 {
            self.memory.as_ptr()
        }

        fn bytes_total(&self) -> usize {
            self.size
        }

        unsafe fn set_init(&mut self, _count: usize) {}
    }
}

#[cfg(feature = "compio")]
mod for_compio {
    use std::mem::MaybeUninit;
    use std::slice;

    use compio::buf::{IoBuf, IoBufMut, SetLen};

    use super::Block;

    impl IoBuf for Block {
        fn as_init(&self) -> &[u8] {
            self
        }
    }

    impl SetLen for Block {
        unsafe fn set_len(&mut self, _len: usize) {}
    }

    impl IoBufMut for Block {
        fn as_uninit(&mut self) -> &mut [MaybeUninit<u8>] {
            // SAFETY: the memory is the block's, and callers of the trait write only initialised
            // bytes.
            unsafe { slice::from_raw_parts_mut(self.memory.as_ptr().cast(), self.size) }
        }
    }
}

#[cfg(feature = "monoio")]
mod for_monoio {
    use monoio::buf::{IoBuf, IoBufMut};

    use super::Block;

    // SAFETY: the memory stays where it is when the block moves.
    unsafe impl IoBuf for Block {
        fn read_ptr(&self) -> *const u8 {
            self.memory.as_ptr()
        }

        fn bytes_init(&self) -> usize {
            self.size
        }
    }

    // SAFETY: as above.
    unsafe impl IoBufMut for Block {
        fn write_ptr(&mut self) -> *mut u8 {
            self.memory.as_ptr()
        }

        fn bytes_total(&mut self) -> usize {
            self.size
        }

        unsafe fn set_init(&mut self, _pos: usize) {}
    }
}

#[cfg(feature = "tokio-uring")]
mod for_tokio_uring {
    use tokio_uring::buf::{IoBuf, IoBufMut};

    use super::Block;

    // SAFETY: the memory stays where it is when the block moves.
    unsafe impl IoBuf for Block {
        fn stable_ptr(&self) -> *const u8 {
            self.memory.as_ptr()
        }

        fn bytes_init(&self) -> usize {
            self.size
        }

        fn bytes_total(&self) -> usize {
            self.size
        }
    }

    // SAFETY: as above.
    unsafe impl IoBufMut for Block {
        fn stable_mut_ptr(&mut self) -> *mut u8 {
            self.memory.as_ptr()
        }

        unsafe fn set_init(&mut self, _pos: usize) {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_begins_at_a_page() {
        let mut block = Block::new(8192);
        assert_eq!(block.as_ptr() as usize % ALIGNMENT, 0);
        assert!(block.iter().all(|byte| *byte == 0));
        block[8191] = 7;
        assert_eq!(block.len(), 8192);
    }
}
