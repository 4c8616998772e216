//! What buffers with a fixed capacity have in common: a length that grows within it.

/// Implements the methods and traits of a buffer with the fields `start`, `capacity` and `length`.
///
/// The type's promise: `start` points to `capacity` bytes that belong to the value alone, do not
/// move with it, and of which the first `length` are initialised.
macro_rules! fixed_room {
    ($type:ident) => {
        impl $type {
            /// Returns how many bytes the buffer has room for, which never changes.
            pub fn capacity(&self) -> usize {
                self.capacity
            }

            /// Makes the buffer empty.
            pub fn clear(&mut self) {
                self.length = 0;
            }

            /// Shortens the buffer to `length` bytes, if it has more.
            pub fn truncate(&mut self, length: usize) {
                self.length = self.length.min(length);
            }

            /// Shortens the buffer to `length` bytes, or appends bytes of a value up to that.
            ///
            /// # Panics
            ///
            /// If there is no room for as many.
            #[track_caller]
            pub fn resize(&mut self, length: usize, value: u8) {
                if let Some(more) = length.checked_sub(self.length) {
                    let room = self.room_for(more);
                    // SAFETY: there is room for as many.
                    unsafe { room.write_bytes(value, more) };
                }
                self.length = length;
            }

            /// Appends bytes.
            ///
            /// # Panics
            ///
            /// If there is no room for them: the buffer does not grow.
            #[track_caller]
            pub fn extend_from_slice(&mut self, bytes: &[u8]) {
                let room = self.room_for(bytes.len());
                // SAFETY: there is room for as many, which belongs to this value alone.
                unsafe { room.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
                self.length += bytes.len();
            }

            /// Where the next bytes go.
            #[track_caller]
            fn room_for(&mut self, more: usize) -> *mut u8 {
                let room = self.capacity - self.length;
                assert!(
                    more <= room,
                    "a buffer with room for {room} more bytes cannot take {more}"
                );
                // SAFETY: the length is at most the capacity.
                unsafe { self.start.as_ptr().add(self.length) }
            }
        }

        // SAFETY: the bytes up to the length are initialised, and do not move with the value.
        unsafe impl $crate::buf::IoBuf for $type {
            fn stable_ptr(&self) -> *const u8 {
                self.start.as_ptr()
            }

            fn bytes_init(&self) -> usize {
                self.length
            }

            fn registration(&self) -> Option<$crate::buf::Registration> {
                self.registered_as()
            }
        }

        // SAFETY: the bytes up to the capacity belong to this value alone.
        unsafe impl $crate::buf::IoBufMut for $type {
            fn stable_mut_ptr(&mut self) -> *mut u8 {
                self.start.as_ptr()
            }

            fn bytes_total(&self) -> usize {
                self.capacity
            }

            unsafe fn set_init(&mut self, count: usize) {
                debug_assert!(count <= self.capacity);
                self.length = count;
            }
        }

        impl std::ops::Deref for $type {
            type Target = [u8];

            fn deref(&self) -> &[u8] {
                // SAFETY: as many bytes are initialised, and belong to this value.
                unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.length) }
            }
        }

        impl std::ops::DerefMut for $type {
            fn deref_mut(&mut self) -> &mut [u8] {
                // SAFETY: as above, and to it alone.
                unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.length) }
            }
        }

        impl AsRef<[u8]> for $type {
            fn as_ref(&self) -> &[u8] {
                self
            }
        }

        impl AsMut<[u8]> for $type {
            fn as_mut(&mut self) -> &mut [u8] {
                self
            }
        }

        impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Debug::fmt(&**self, f)
            }
        }
    };
}

pub(super) use fixed_room;
