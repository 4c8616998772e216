//! The containers that can be used as buffers.

use std::rc::Rc;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::{IoBuf, IoBufMut};

/// Implements [`IoBuf`] for containers that deref to their initialised bytes.
macro_rules! readable {
    ($($container:ty => $why:literal),+ $(,)?) => {$(
        #[doc = $why]
        // SAFETY: the bytes of the slice are initialised. They are on the heap or static, so their
        // address does not change when the container moves.
        unsafe impl IoBuf for $container {
            fn stable_ptr(&self) -> *const u8 {
                let bytes: &[u8] = self.as_ref();
                bytes.as_ptr()
            }

            fn bytes_init(&self) -> usize {
                let bytes: &[u8] = self.as_ref();
                bytes.len()
            }
        }
    )+};
}

readable! {
    Vec<u8> => "A read uses its capacity, and does not grow it.",
    Box<[u8]> => "Its length is fixed.",
    &'static [u8] => "Can be written from only.",
    &'static str => "Can be written from only.",
    String => "Can be written from only.",
    Bytes => "Can be written from only; a clone shares the bytes.",
    BytesMut => "A read uses its capacity, and does not grow it.",
    Rc<[u8]> => "Can be written from only; shared on this thread.",
    Arc<[u8]> => "Can be written from only; shared.",
}

/// Implements [`IoBufMut`] for containers with a length and a capacity.
macro_rules! growable {
    ($($container:ty),+) => {$(
        // SAFETY: the container owns `capacity` bytes from its pointer on, and does not move them
        // until it is changed through `&mut`.
        unsafe impl IoBufMut for $container {
            fn stable_mut_ptr(&mut self) -> *mut u8 {
                self.as_mut_ptr()
            }

            fn bytes_total(&self) -> usize {
                self.capacity()
            }

            unsafe fn set_init(&mut self, count: usize) {
                // SAFETY: the caller promises that `count` bytes are initialised and within
                // capacity.
                unsafe { self.set_len(count) };
            }
        }
    )+};
}

growable!(Vec<u8>, BytesMut);

// SAFETY: all bytes of the slice are initialised and writable, and the box owns them.
unsafe impl IoBufMut for Box<[u8]> {
    fn stable_mut_ptr(&mut self) -> *mut u8 {
        self.as_mut_ptr()
    }

    fn bytes_total(&self) -> usize {
        self.len()
    }

    unsafe fn set_init(&mut self, _count: usize) {}
}

// SAFETY: the array is on the heap, and all its bytes are initialised.
unsafe impl<const N: usize> IoBuf for Box<[u8; N]> {
    fn stable_ptr(&self) -> *const u8 {
        self.as_ptr()
    }

    fn bytes_init(&self) -> usize {
        N
    }
}

// SAFETY: as above; the bytes are writable, and the box owns them.
unsafe impl<const N: usize> IoBufMut for Box<[u8; N]> {
    fn stable_mut_ptr(&mut self) -> *mut u8 {
        self.as_mut_ptr()
    }

    fn bytes_total(&self) -> usize {
        N
    }

    unsafe fn set_init(&mut self, _count: usize) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes_after_move<B: IoBuf>(buffer: B) -> (bool, Vec<u8>) {
        let before = buffer.stable_ptr();
        let moved = Box::new(buffer);
        (moved.stable_ptr() == before, moved.as_bytes().to_vec())
    }

    #[test]
    fn every_container_shows_its_bytes_and_keeps_them_in_place_when_it_moves() {
        let expected = (true, b"abc".to_vec());
        assert_eq!(bytes_after_move(b"abc".to_vec()), expected);
        assert_eq!(bytes_after_move(b"abc".to_vec().into_boxed_slice()), expected);
        assert_eq!(bytes_after_move(&b"abc"[..]), expected);
        assert_eq!(bytes_after_move("abc"), expected);
        assert_eq!(bytes_after_move(String::from("abc")), expected);
        assert_eq!(bytes_after_move(Bytes::from_static(b"abc")), expected);
        assert_eq!(bytes_after_move(BytesMut::from(&b"abc"[..])), expected);
        assert_eq!(bytes_after_move(Rc::<[u8]>::from(&b"abc"[..])), expected);
        assert_eq!(bytes_after_move(Arc::<[u8]>::from(&b"abc"[..])), expected);
        assert_eq!(bytes_after_move(Box::new(*b"abc")), expected);
    }

    #[test]
    fn a_read_may_use_the_whole_capacity_and_sets_the_length() {
        let mut vec = b"abc".to_vec();
        vec.reserve(20);
        assert_eq!(vec.bytes_total(), vec.capacity());
        // SAFETY: the first two bytes are initialised.
        unsafe { vec.set_init(2) };
        assert_eq!(vec, b"ab");
    }

    #[test]
    fn a_box_keeps_its_length() {
        let mut boxed = b"abc".to_vec().into_boxed_slice();
        // SAFETY: the first byte is initialised.
        unsafe { boxed.set_init(1) };
        assert_eq!(&*boxed, b"abc");
    }
}
