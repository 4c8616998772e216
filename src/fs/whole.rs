//! Whole files: read and written at once.

use std::io;
use std::path::Path;

use super::{Dir, File};
use crate::buf::{BufResult, IoBuf};

/// How much is read before the file is asked for its size: many files are smaller.
const FIRST: usize = 16 << 10;
/// How much is read by one SQE at most, for the kernel copies what is cached on the event loop's
/// thread.
const STEP: usize = 1 << 20;
/// How much memory is reserved at once at most for what the file says to have, unless as much has
/// been read already.
const HINT: usize = 16 << 20;

/// Reads a whole file.
///
/// Its size is but a hint: a file of `/proc` says zero, and others grow meanwhile. It is read to
/// its end, and at most 16 MiB, or as much as has been read, are reserved beyond what has been.
///
/// # Errors
///
/// As for [`File::open`] and [`File::read_at`]; `OutOfMemory` for a file that is too large.
///
/// # Panics
///
/// If there is no runtime on this thread.
///
/// # Cancel safety
///
/// Dropped, it has no effect.
///
/// # Example
///
/// ```
/// annulus::run(async {
///     let bytes = annulus::fs::read("Cargo.toml").await?;
///     assert!(bytes.starts_with(b"[workspace]"));
///     std::io::Result::Ok(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub async fn read(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    read_to_end(File::open(path.as_ref()).await?).await
}

/// Reads a whole file as text, as [`read`] does.
///
/// # Errors
///
/// As for [`read`]; `InvalidData` if it is not UTF-8.
///
/// # Panics
///
/// If there is no runtime on this thread.
///
/// # Cancel safety
///
/// Dropped, it has no effect.
#[doc(alias = "read_text")]
pub async fn read_to_string(path: impl AsRef<Path>) -> io::Result<String> {
    text(read(path).await?)
}

/// Creates a file with a content, or replaces that of one that exists.
///
/// The file is emptied first. Where a reader or a crash must find either the old content or the new
/// one, write a [`TempFile`](super::TempFile), synchronise it and
/// [persist](super::TempFile::persist) it.
///
/// # Errors
///
/// As for [`File::create`], [`File::write_at`] and [`File::close`]; after `StorageFull` and other
/// errors of a write the file has a part of the content.
///
/// # Panics
///
/// If there is no runtime on this thread.
///
/// # Cancel safety
///
/// Dropped, the file may be created or emptied, and may have a part of the content or all; a write
/// that the kernel has begun may still end a little later.
///
/// # Example
///
/// ```
/// use annulus::fs;
///
/// annulus::run(async {
///     let path = std::env::temp_dir().join("annulus-write");
///     fs::write(&path, "text").await?;
///     assert_eq!(fs::read_to_string(&path).await?, "text");
///     fs::remove_file(&path).await
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "write_bytes")]
#[doc(alias = "write_text")]
pub async fn write(path: impl AsRef<Path>, content: impl IoBuf) -> io::Result<()> {
    write_and_close(File::create(path.as_ref()).await?, content).await
}

impl Dir {
    /// Reads a whole file, as [`fs::read`](read) does.
    ///
    /// # Errors
    ///
    /// As for [`fs::read`](read), and as for [all methods](Self#errors).
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it has no effect.
    pub async fn read(&self, path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
        read_to_end(self.open_file(path).await?).await
    }

    /// Reads a whole file as text, as [`fs::read_to_string`](read_to_string) does.
    ///
    /// # Errors
    ///
    /// As for [`fs::read_to_string`](read_to_string), and as for [all methods](Self#errors).
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it has no effect.
    pub async fn read_to_string(&self, path: impl AsRef<Path>) -> io::Result<String> {
        text(self.read(path).await?)
    }

    /// Creates a file with a content, or replaces that of one that exists, as
    /// [`fs::write`](fn@write) does.
    ///
    /// # Errors
    ///
    /// As for [`fs::write`](fn@write), and as for [all methods](Self#errors).
    ///
    /// # Panics
    ///
    /// If there is no runtime on this thread.
    ///
    /// # Cancel safety
    ///
    /// As for [`fs::write`](fn@write).
    pub async fn write(&self, path: impl AsRef<Path>, content: impl IoBuf) -> io::Result<()> {
        let mut options = File::options();
        options.write(true).create(true).truncate(true);
        write_and_close(self.open_file_with(path, &options).await?, content).await
    }
}

/// A network file system stores the content at the close, for which the event loop must not wait.
async fn write_and_close(file: File, content: impl IoBuf) -> io::Result<()> {
    file.write_all_at(content, 0).await.0?;
    file.close().await
}

async fn read_to_end(file: File) -> io::Result<Vec<u8>> {
    let mut content = Vec::with_capacity(FIRST);
    let mut size = None;
    loop {
        let length = content.len();
        if length == content.capacity() {
            let size = match size {
                Some(size) => size,
                None => *size.insert(file.metadata().await?.len()),
            };
            content.try_reserve_exact(room_for(length, size))?;
        }
        let end = content.capacity().min(length + STEP);
        let BufResult(count, slice) = file.read_at(content.slice(length..end), length as u64).await;
        content = slice.into_inner();
        if count? == 0 {
            return Ok(content);
        }
    }
}

/// How much to reserve where `length` bytes have been read and the file says that it has `size`.
/// One byte more than that, so that the read that finds the end needs no further memory.
fn room_for(length: usize, size: u64) -> usize {
    let rest = usize::try_from(size).unwrap_or(usize::MAX).saturating_sub(length);
    rest.saturating_add(1).clamp(FIRST, length.max(HINT))
}

fn text(content: Vec<u8>) -> io::Result<String> {
    let invalid = "the file's content is not valid UTF-8";
    String::from_utf8(content).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, invalid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_reserved_as_far_as_it_is_credible() {
        assert_eq!(room_for(FIRST, 20_000), FIRST, "at least so much");
        assert_eq!(room_for(FIRST, 1 << 20), (1 << 20) - FIRST + 1, "what the file says");
        assert_eq!(room_for(FIRST, u64::MAX), HINT, "not what no file has");
        assert_eq!(room_for(HINT + FIRST, u64::MAX), HINT + FIRST, "twice what was read");
        assert_eq!(room_for(FIRST, 0), FIRST, "a file of `/proc`");
    }
}
