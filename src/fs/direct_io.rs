//! What direct I/O on a file asks for.

use std::io;
use std::os::fd::AsFd;

use super::File;
use crate::buf::AlignedBuf;
use crate::error::Describe;
use crate::sys::direct_io::alignment;

/// The alignment that direct I/O on a file asks for, by [`File::direct_io_alignment`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirectIoAlignment {
    memory: usize,
    offset: usize,
}

impl DirectIoAlignment {
    /// Returns the alignment of buffers in memory, in bytes.
    pub fn memory(&self) -> usize {
        self.memory
    }

    /// Returns the number of bytes of which offsets and lengths must be multiples.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// Makes an empty buffer for direct I/O, with room for `capacity` bytes, rounded up.
    ///
    /// # Panics
    ///
    /// If the capacity is more than `isize::MAX` bytes.
    #[track_caller]
    #[must_use]
    pub fn buffer(&self, capacity: usize) -> AlignedBuf {
        AlignedBuf::with_capacity(capacity, self.memory.max(self.offset))
    }
}

impl File {
    /// Returns what direct I/O ([`OpenOptions::direct`](super::OpenOptions::direct)) on this file
    /// asks for. The file itself may be open without.
    ///
    /// The kernel says so from Linux 6.1 on, for most file systems (statx with `STATX_DIOALIGN`).
    /// Otherwise it is the logical block size of the device, or 4096 bytes if that is not known
    /// either. It is a direct call, which waits for nothing.
    ///
    /// # Errors
    ///
    /// `Unsupported` if the file system has no direct I/O for the file. For a direct descriptor,
    /// if none of the process can be had.
    ///
    /// # Example
    ///
    /// ```
    /// use annulus::fs::{File, OpenOptions};
    ///
    /// annulus::run(async {
    ///     let path = std::env::temp_dir().join("annulus-direct-io-alignment");
    ///     let file = OpenOptions::new().read(true).write(true).create(true).open(&path).await?;
    ///     if let Ok(alignment) = file.direct_io_alignment() {
    ///         let direct = OpenOptions::new().write(true).direct(true).open(&path).await?;
    ///         let mut block = alignment.buffer(512);
    ///         block.resize(block.capacity(), b'.');
    ///         direct.write_all_at(block, 0).await.0?;
    ///     }
    ///     std::fs::remove_file(path)
    /// })??;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "STATX_DIOALIGN")]
    pub fn direct_io_alignment(&self) -> io::Result<DirectIoAlignment> {
        let (memory, offset) = alignment(self.file.fd()?.as_fd()).describe("statx")?;
        Ok(DirectIoAlignment { memory, offset })
    }
}
