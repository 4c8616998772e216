//! Files as streams: the cursor, the traits of `io`, and files without offsets.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::pin::pin;
use std::task::Poll;

use annulus::buf::BufResult;
use annulus::fs::File;
use annulus::io::{StreamReader, StreamWriter, copy};

use crate::common::directory::Directory;
use crate::common::poll::{once, times};
use crate::common::random::seeded;
use crate::{STAGES, run, writable};

/// The same steps, on a file of ours and one of the standard library.
#[test]
fn the_cursor_moves_as_that_of_the_standard_library() {
    let directory = Directory::new();
    let [ours, theirs] = ["ours", "theirs"].map(|name| directory.file(name, "0123456789"));
    let mut random = seeded();
    run(async || {
        for appends in [false, true] {
            let open = |path| {
                OpenOptions::new().read(true).write(true).append(appends).open(path).unwrap()
            };
            let (mut file, mut model) = (File::from_std(open(&ours)), open(&theirs));
            for step in 0..400 {
                let amount = random.u64(..8);
                let kind = |error: std::io::Error| error.kind();
                match random.u32(..7) {
                    0 | 1 => {
                        let BufResult(read, buffer) = file.read(vec![0; amount as usize]).await;
                        let mut expected = vec![0; amount as usize];
                        let count = model.read(&mut expected).unwrap();
                        assert_eq!((read.unwrap(), &buffer[..count]), (count, &expected[..count]));
                    }
                    2 => {
                        let BufResult(read, buffer) = file.read_exact(vec![0; 3]).await;
                        let before = model.stream_position().unwrap();
                        let mut expected = vec![0; 3];
                        let result = model.read_exact(&mut expected).map_err(kind);
                        assert_eq!(read.map_err(kind), result);
                        match result {
                            Ok(()) => assert_eq!(buffer, expected),
                            // Theirs stays behind what it has read.
                            Err(_) => {
                                assert_eq!(model.seek(SeekFrom::Start(before)).unwrap(), before);
                            }
                        }
                    }
                    3 => {
                        let bytes = vec![b'a' + (step % 26) as u8; amount as usize];
                        model.write_all(&bytes).unwrap();
                        file.write_all(bytes).await.0.unwrap();
                    }
                    4 => {
                        let bytes = vec![b'A' + (step % 26) as u8; amount as usize];
                        let count = model.write(&bytes).unwrap();
                        assert_eq!(file.write(bytes).await.0.unwrap(), count);
                    }
                    5 => {
                        let distance = i64::from(amount as u8) - 5;
                        let to = match random.u32(..3) {
                            0 => SeekFrom::Start(amount),
                            1 => SeekFrom::Current(distance),
                            _ => SeekFrom::End(distance),
                        };
                        let expected = model.seek(to).map_err(kind);
                        assert_eq!(file.seek(to).await.map_err(kind), expected, "{to:?}");
                    }
                    _ => {
                        file.rewind().unwrap();
                        model.rewind().unwrap();
                    }
                }
                let position = model.stream_position().unwrap();
                assert_eq!(file.stream_position().unwrap(), position, "after step {step}");
            }
        }
    });
    assert_eq!(fs::read(ours).unwrap(), fs::read(theirs).unwrap());
}

#[test]
fn the_cursor_begins_where_the_file_that_is_taken_over_was() {
    let directory = Directory::new();
    let path = directory.file("file", "0123456789");
    run(async || {
        let mut file = fs::File::open(&path).unwrap();
        file.seek(SeekFrom::Start(4)).unwrap();
        let mut file = File::from_std(file);
        let BufResult(read, buffer) = file.read(vec![0; 3]).await;
        assert_eq!((read.unwrap(), &*buffer), (3, &b"456"[..]));
    });
}

#[test]
fn the_cursor_is_not_moved_to_where_no_file_is() {
    let directory = Directory::new();
    let path = directory.file("file", "0123456789");
    run(async || {
        let mut file = writable(&path);
        file.seek(SeekFrom::Start(4)).await.unwrap();
        for to in [
            SeekFrom::Start(1 << 63),
            SeekFrom::Start(u64::MAX),
            SeekFrom::Current(-5),
            SeekFrom::Current(i64::MAX),
            SeekFrom::End(-11),
            SeekFrom::End(i64::MAX),
            SeekFrom::End(i64::MIN),
        ] {
            assert_eq!(file.seek(to).await.unwrap_err().kind(), ErrorKind::InvalidInput, "{to:?}");
            assert_eq!(file.stream_position().unwrap(), 4);
        }
        let most = i64::MAX as u64;
        assert_eq!(file.seek(SeekFrom::Start(most)).await.unwrap(), most);
        // File systems differ in how large a file may be.
        let read = file.read(vec![0; 3]).await.0;
        assert!(
            read.map_or_else(|error| error.kind() == ErrorKind::InvalidInput, |count| count == 0)
        );
        file.write_all("text").await.0.unwrap_err();
        assert_eq!(file.stream_position().unwrap(), most);
    });
    assert_eq!(fs::metadata(path).unwrap().len(), 10);
}

#[test]
fn a_dropped_read_or_write_does_not_move_the_cursor() {
    let directory = Directory::new();
    let path = directory.file("file", "0123456789");
    run(async || {
        let mut file = writable(&path);
        file.seek(SeekFrom::Start(2)).await.unwrap();
        for polls in STAGES {
            let ends = times(polls, file.read(vec![0; 4])).await.is_some();
            assert_eq!(file.stream_position().unwrap(), if ends { 6 } else { 2 });
            file.seek(SeekFrom::Start(2)).await.unwrap();
            let ends = times(polls, file.read_exact(vec![0; 4])).await.is_some();
            assert_eq!(file.stream_position().unwrap(), if ends { 6 } else { 2 });
            file.seek(SeekFrom::Start(2)).await.unwrap();
            let ends = times(polls, file.write_all("abcd")).await.is_some();
            assert_eq!(file.stream_position().unwrap(), if ends { 6 } else { 2 });
            // Waits for the dropped one, and so is what the file has afterwards.
            file.seek(SeekFrom::Start(2)).await.unwrap();
            file.write_all("wxyz").await.0.unwrap();
            assert_eq!(fs::read(&path).unwrap(), b"01wxyz6789");
            drop(times(polls, file.seek(SeekFrom::End(0))).await);
            file.seek(SeekFrom::Start(2)).await.unwrap();
        }
    });
}

#[test]
fn a_file_is_read_by_lines_and_to_its_end() {
    let directory = Directory::new();
    // Many leases, and lines that span two.
    let lines: Vec<_> = (0..60_000).map(|n| format!("the line {n}, of {n}\n")).collect();
    let path = directory.file("file", lines.concat());
    run(async || {
        let mut reader = StreamReader::new(File::open(&path).await.unwrap());
        for line in &lines {
            assert_eq!(&*reader.read_line().await.unwrap(), line.as_bytes());
        }
        assert!(reader.read_line().await.unwrap().is_empty());
        let mut reader = StreamReader::new(File::open(&path).await.unwrap());
        assert_eq!(&*reader.read_to_end().await.unwrap(), lines.concat().as_bytes());
        let mut file = File::open(&path).await.unwrap();
        assert!(file.recv().await.unwrap().len() >= 64 * 1024);
    });
}

#[test]
fn a_file_is_copied_through_the_traits_and_written_by_a_stream_writer() {
    let directory = Directory::new();
    let content: Vec<u8> = (0..700_000u32).map(|n| (n / 7) as u8).collect();
    let path = directory.file("file", &content);
    let [copied, written] = ["copied", "written"].map(|name| directory.join(name));
    run(async || {
        let mut from = File::open(&path).await.unwrap();
        let mut to = File::create(&copied).await.unwrap();
        assert_eq!(copy(&mut from, &mut to).await.unwrap(), content.len() as u64);
        let mut writer = StreamWriter::new(File::create(&written).await.unwrap());
        for part in content.chunks(10_000) {
            writer.write(part).await.unwrap();
        }
        writer.close();
        writer.wait_closed().await.unwrap();
    });
    assert_eq!(fs::read(copied).unwrap(), content);
    assert_eq!(fs::read(written).unwrap(), content);
}

#[test]
fn a_file_of_proc_is_read_to_its_end_although_it_has_no_length() {
    run(async || {
        let path = "/proc/self/status";
        let mut reader = StreamReader::new(File::open(path).await.unwrap());
        let ours = reader.read_to_end().await.unwrap();
        assert!(ours.starts_with(b"Name:"));
        assert!(reader.read(10).await.unwrap().is_empty());
        let theirs = fs::read(path).unwrap();
        let lines = |text: &[u8]| text.iter().filter(|&&byte| byte == b'\n').count();
        assert_eq!(lines(&ours), lines(&theirs));
    });
}

/// The kernel may have read when the drop's cancel reaches it: those bytes come once more.
#[test]
fn a_dropped_read_of_a_pipe_leaves_its_bytes_to_the_next() {
    run(async || {
        for polls in STAGES {
            let (reader, mut writer) = std::io::pipe().unwrap();
            let mut file = File::from(OwnedFd::from(reader));
            let sent: Vec<u8> = (0..100).collect();
            let mut received = Vec::new();
            for part in sent.chunks(10) {
                {
                    let mut read = pin!(file.read(vec![0; 4]));
                    let mut ended = once(read.as_mut()).await;
                    writer.write_all(part).unwrap();
                    if ended.is_pending() && polls > 0 {
                        ended = times(polls, read).await.map_or(Poll::Pending, Poll::Ready);
                    }
                    if let Poll::Ready(BufResult(count, buffer)) = ended {
                        received.extend(&buffer[..count.unwrap()]);
                    }
                }
                if let Some(BufResult(read, buffer)) =
                    times(polls, file.read_exact(vec![0; 3])).await
                {
                    read.unwrap();
                    received.extend(buffer);
                }
            }
            drop(writer);
            loop {
                let BufResult(count, buffer) = file.read(vec![0; 7]).await;
                match count.unwrap() {
                    0 => break,
                    count => received.extend(&buffer[..count]),
                }
            }
            assert_eq!(received, sent, "dropped after {polls} polls");
        }
    });
}

#[test]
fn a_pipe_has_no_cursor_and_an_exact_read_of_it_waits_for_all_bytes() {
    run(async || {
        let (reader, mut writer) = std::io::pipe().unwrap();
        let mut file = File::from(OwnedFd::from(reader));
        for error in [
            file.stream_position().unwrap_err(),
            file.rewind().unwrap_err(),
            file.seek(SeekFrom::Start(0)).await.unwrap_err(),
            file.seek(SeekFrom::End(0)).await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::NotSeekable);
        }
        writer.write_all(b"ab").unwrap();
        {
            let mut read = pin!(file.read_exact(vec![0; 3]));
            for _ in STAGES {
                assert!(once(read.as_mut()).await.is_pending());
                annulus::yield_now().await;
            }
            writer.write_all(b"cd").unwrap();
            let BufResult(result, bytes) = read.await;
            result.unwrap();
            assert_eq!(bytes, b"abc");
        }
        drop(writer);
        let BufResult(result, _) = file.read_exact(vec![0; 3]).await;
        assert_eq!(result.unwrap_err().kind(), ErrorKind::UnexpectedEof);
    });
}

#[test]
fn a_pipe_is_written_through_a_file() {
    run(async || {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let mut file = File::from(OwnedFd::from(writer));
        file.write_all("one ").await.0.unwrap();
        assert_eq!(file.write("two").await.0.unwrap(), 3);
        drop(file);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "one two");
    });
}

/// The first step fills the pipe; the second finds no reader.
#[test]
fn a_write_that_fails_after_a_short_step_says_why_and_returns_its_buffer() {
    run(async || {
        let (reader, writer) = std::io::pipe().unwrap();
        let mut file = File::from(OwnedFd::from(writer));
        let mut write = pin!(file.write_all(vec![7; 300_000]));
        // Some of it is in the pipe, and the rest waits.
        while !has_bytes(&reader) {
            assert!(once(write.as_mut()).await.is_pending());
            annulus::yield_now().await;
        }
        assert!(once(write.as_mut()).await.is_pending());
        drop(reader);
        let BufResult(written, buffer) = write.await;
        assert_eq!(written.unwrap_err().kind(), ErrorKind::BrokenPipe);
        assert_eq!(buffer.len(), 300_000);
    });
}

fn has_bytes(reader: &impl AsRawFd) -> bool {
    let mut count: libc::c_int = 0;
    // SAFETY: the call writes one int.
    assert_eq!(unsafe { libc::ioctl(reader.as_raw_fd(), libc::FIONREAD, &raw mut count) }, 0);
    count > 0
}
