//! Direct I/O: what a file asks for, and what a transfer that is not aligned says.

use std::fs;
use std::io::ErrorKind;

use annulus::buf::{AlignedBuf, BufResult, IoBuf};
use annulus::fs::{DirectIoAlignment, File, OpenOptions};

use crate::common::directory::Directory;
use crate::common::skip::skip;
use crate::run;

/// A file of `length` bytes, open for direct I/O, and the alignment that it asks for; `None`, and a
/// report, where the file system has no direct I/O.
async fn direct(directory: &Directory, length: usize) -> Option<(File, DirectIoAlignment)> {
    let path = directory.file("direct", (0..length).map(|n| n as u8).collect::<Vec<_>>());
    let opened = OpenOptions::new().read(true).write(true).direct(true).open(&path).await;
    let alignment = opened.and_then(|file| Ok((file.direct_io_alignment()?, file)));
    let Ok((alignment, file)) = alignment else {
        skip("the file system of temporary files has no direct I/O");
        return None;
    };
    Some((file, alignment))
}

#[test]
fn aligned_buffers_are_written_and_read_past_the_page_cache() {
    let directory = Directory::new();
    run(async || {
        let Some((file, alignment)) = direct(&directory, 0).await else { return };
        assert!(alignment.memory().is_power_of_two() && alignment.offset().is_power_of_two());
        let mut blocks = alignment.buffer(3 * alignment.offset());
        let size = blocks.capacity();
        blocks.resize(size, b'x');
        let BufResult(result, blocks) = file.write_all_at(blocks, size as u64).await;
        result.unwrap();
        let BufResult(result, _) =
            file.write_all_vectored_at(vec![blocks.clone(), blocks], 0).await;
        result.unwrap();
        let BufResult(result, read) = file.read_exact_at(alignment.buffer(2 * size), 0).await;
        result.unwrap();
        assert!(read.len() == 2 * size && read.iter().all(|&byte| byte == b'x'));
    });
}

#[test]
fn a_transfer_that_is_not_aligned_says_of_what_it_is_and_what_the_file_asks_for() {
    let directory = Directory::new();
    run(async || {
        let Some((file, alignment)) = direct(&directory, 16_384).await else { return };
        let block = alignment.offset();
        let aligned = || AlignedBuf::zeroed(2 * block, alignment.memory().max(block));
        if file.read_at(aligned(), 1).await.is_ok() {
            return skip("the file system of temporary files takes any alignment");
        }
        let says = |result: std::io::Result<usize>, what: &str, multiple: usize| {
            let error = result.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert_eq!(annulus::raw_os_error(&error), Some(22), "EINVAL");
            let text = error.to_string();
            let asked = format!("not a multiple of {multiple}, which direct I/O");
            assert!(text.contains(what) && text.contains(&asked), "{text}");
        };
        let BufResult(result, _) = file.read_at(aligned(), 1).await;
        says(result, "read: the offset 1 is", block);
        let BufResult(result, _) = file.write_at(aligned().slice(..block - 1), 0).await;
        says(result, &format!("write: the length {} is", block - 1), block);
        // The kernel may read the first part before it sees the second.
        let parts = vec![aligned().slice(..block), aligned().slice(..3)];
        let BufResult(result, _) = file.read_exact_vectored_at(parts, 0).await;
        says(result.map(|()| 0), "readv: the length 3 is", block);
        // Some devices take a single block at any address.
        let shifted = AlignedBuf::zeroed(9 * block, alignment.memory().max(block));
        let BufResult(result, _) = file.read_at(shifted.slice(1..8 * block + 1), 0).await;
        says(result, "read: the buffer's address 0x", alignment.memory());
        // Another reason for the same errno.
        let path = directory.file("buffered", "");
        let error = File::open(&path).await.unwrap().write_at(aligned(), 0).await.0.unwrap_err();
        assert!(!error.to_string().contains("direct I/O"), "{error}");
    });
}

/// A step that is short at the end of the file leaves an offset and a length that are not aligned.
/// There the kernel reports EOF all the same.
#[test]
fn a_direct_read_of_more_than_the_file_has_is_eof_and_not_a_misalignment() {
    const LENGTH: usize = 5000;
    let directory = Directory::new();
    run(async || {
        let Some((file, alignment)) = direct(&directory, LENGTH).await else { return };
        let BufResult(count, buffer) = file.read_at(alignment.buffer(8192), 0).await;
        assert_eq!((count.unwrap(), buffer.len()), (LENGTH, LENGTH));
        let BufResult(result, buffer) = file.read_exact_at(buffer, 0).await;
        assert_eq!(result.unwrap_err().kind(), ErrorKind::UnexpectedEof);
        assert!(buffer.iter().enumerate().all(|(n, &byte)| byte == n as u8));
        assert_eq!(buffer.len(), LENGTH);
    });
    assert_eq!(fs::read(directory.join("direct")).map(|all| all.len()).unwrap_or(LENGTH), LENGTH);
}
