//! Splices and tees: what arrives, in which order, and what a dropped one leaves.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::path::PathBuf;
use std::pin::pin;
use std::thread;
use std::time::Duration;

use annulus::fs::File;
use annulus::pipe::{Receiver, Sender, pipe};
use annulus::spawn;
use annulus::time::sleep;

use crate::common::child::{command, role};
use crate::common::poll::{once, until, yield_times};
use crate::common::threads::kernel_workers;
use crate::common::watchdog::run;
use crate::pipes::{KERNELS, Kernel, on, receiver, sender};
use crate::this_test;

fn some_bytes(length: u32) -> Vec<u8> {
    (0..length).map(|index| (index % 251) as u8).collect()
}

/// A file that is removed at the end of a test.
struct Content(PathBuf);

impl Content {
    fn new(name: &str, bytes: &[u8]) -> Self {
        let path = std::env::temp_dir().join(format!("annulus-{}-{name}", std::process::id()));
        fs::write(&path, bytes).unwrap();
        Self(path)
    }
}

impl Drop for Content {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// A pipe without room.
async fn full() -> (Sender, Receiver) {
    let (mut sender, receiver) = pipe().unwrap();
    sender.write_all(vec![0; sender.capacity().unwrap()]).await.0.unwrap();
    (sender, receiver)
}

/// Reads what a pipe holds.
fn held(receiver: &mut Receiver) -> Vec<u8> {
    let mut memory = vec![0; 1 << 17];
    let count = receiver.try_read(&mut memory).unwrap_or(0);
    memory.truncate(count);
    memory
}

#[test]
fn splices_move_every_byte_in_order_and_then_eof() {
    for kernel in KERNELS {
        on(kernel, move || async move {
            let (mut from, mut writer) = receiver(kernel);
            let (mut to, mut reader) = sender(kernel);
            let bytes = some_bytes(300_000);
            let expected = bytes.clone();
            let writing = thread::spawn(move || writer.write_all(&bytes).unwrap());
            let reading = thread::spawn(move || {
                let mut all = Vec::new();
                reader.read_to_end(&mut all).unwrap();
                all
            });
            let mut moved = 0;
            loop {
                let count = from.splice_to(&mut to, 50_000).await.unwrap();
                assert!(count <= 50_000);
                moved += count;
                if count == 0 {
                    break;
                }
            }
            assert_eq!(moved, expected.len(), "{kernel:?}");
            assert_eq!(from.tee_to(&mut to, 10).await.unwrap(), 0, "EOF");
            to.shutdown().await.unwrap();
            until(|| writing.is_finished() && reading.is_finished()).await;
            assert!(reading.join().unwrap() == expected, "{kernel:?}");
            assert_eq!(from.splice_to(&mut to, 1).await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        });
    }
}

#[test]
fn what_is_teed_stays_to_be_read() {
    run(async {
        let ((mut producer, mut input), (mut output, mut copies)) =
            (pipe().unwrap(), pipe().unwrap());
        producer.write_all("abcdef").await.0.unwrap();
        assert_eq!(input.tee_to(&mut output, 0).await.unwrap(), 0);
        assert_eq!(input.tee_to(&mut output, 4).await.unwrap(), 4);
        assert_eq!(input.tee_to(&mut output, 100).await.unwrap(), 6);
        assert_eq!(held(&mut copies), b"abcdabcdef");
        assert_eq!(input.splice_to(&mut output, 2).await.unwrap(), 2);
        assert_eq!((held(&mut copies), held(&mut input)), (b"ab".to_vec(), b"cdef".to_vec()));
    });
}

/// The race: the kernel has put bytes into the buffer of a read that is dropped.
#[test]
fn bytes_of_a_dropped_read_are_spliced_and_teed_before_those_in_the_pipe() {
    for kernel in KERNELS {
        on(kernel, move || async move {
            let (mut from, mut writer) = receiver(kernel);
            let (mut to, mut target) = pipe().unwrap();
            writer.write_all(b"-").unwrap();
            assert_eq!(&*from.recv().await.unwrap(), b"-");
            for turns in 0..6 {
                {
                    let mut dropped = pin!(from.read(vec![0; 16]));
                    assert!(once(dropped.as_mut()).await.is_pending());
                    yield_times(turns).await;
                    writer.write_all(b"abc").unwrap();
                    yield_times(turns).await;
                }
                writer.write_all(b"def").unwrap();
                let teed = from.tee_to(&mut to, 3).await.unwrap();
                assert_eq!(held(&mut target), b"abc"[..teed]);
                let mut moved = 0;
                while moved < 6 {
                    moved += from.splice_to(&mut to, 2).await.unwrap();
                }
                assert_eq!(held(&mut target), b"abcdef", "{kernel:?} {turns}");
            }
        });
    }
}

/// They wait for room like others, and nothing is lost meanwhile.
#[test]
fn unread_bytes_wait_for_room_in_the_pipe_that_they_are_spliced_to() {
    on(Kernel::Made, || async {
        let (mut from, mut writer) = receiver(Kernel::Made);
        let (mut to, mut target) = full().await;
        {
            let mut dropped = pin!(from.read(vec![0; 16]));
            assert!(once(dropped.as_mut()).await.is_pending());
            writer.write_all(b"abc").unwrap();
            yield_times(2).await;
        }
        for _ in 0..3 {
            let mut dropped = pin!(from.splice_to(&mut to, 10));
            assert!(once(dropped.as_mut()).await.is_pending());
        }
        let mut splice = pin!(from.splice_to(&mut to, 10));
        assert!(once(splice.as_mut()).await.is_pending());
        while held(&mut target).first() == Some(&0) {}
        assert_eq!(splice.await.unwrap(), 3);
        assert_eq!(held(&mut target), b"abc");
    });
}

#[test]
fn unread_bytes_are_not_spliced_where_only_a_worker_could_write_them() {
    on(Kernel::ByWorkers, || async {
        let (mut from, mut writer) = receiver(Kernel::Made);
        let (mut to, _reader) = sender(Kernel::ByWorkers);
        {
            let mut dropped = pin!(from.read(vec![0; 16]));
            assert!(once(dropped.as_mut()).await.is_pending());
            writer.write_all(b"abc").unwrap();
            yield_times(2).await;
        }
        let error = from.splice_to(&mut to, 10).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert_eq!(&*from.recv().await.unwrap(), b"abc", "they are still there");
    });
}

/// The race: bytes arrive, or room does, and the splice is dropped before it is polled again.
#[test]
fn a_dropped_splice_has_moved_nothing() {
    for kernel in KERNELS {
        on(kernel, move || async move {
            let (mut from, mut writer) = receiver(kernel);
            let (mut to, mut reader) = sender(kernel);
            for turns in 0..6 {
                for tees in [false, true] {
                    if tees {
                        let mut dropped = pin!(from.tee_to(&mut to, 100));
                        assert!(once(dropped.as_mut()).await.is_pending());
                        writer.write_all(b"abc").unwrap();
                        yield_times(turns).await;
                    } else {
                        let mut dropped = pin!(from.splice_to(&mut to, 100));
                        assert!(once(dropped.as_mut()).await.is_pending());
                        writer.write_all(b"abc").unwrap();
                        yield_times(turns).await;
                    }
                    assert_eq!(from.splice_to(&mut to, 100).await.unwrap(), 3, "{kernel:?}");
                    let mut all = [0; 100];
                    assert_eq!(reader.read(&mut all).unwrap(), 3, "{kernel:?} {turns} {tees}");
                    assert_eq!(all[..3], *b"abc");
                }
            }
        });
    }
}

#[test]
fn a_file_is_spliced_into_a_pipe_from_any_offset_to_its_end() {
    let bytes = some_bytes(200_000);
    let content = Content::new("spliced", &bytes);
    for kernel in KERNELS {
        // Opened where nothing refuses it.
        let (opened, expected) = (fs::File::open(&content.0).unwrap(), bytes[777..].to_vec());
        on(kernel, move || async move {
            let file = File::from_std(opened);
            let (mut to, mut reader) = sender(kernel);
            let reading = thread::spawn(move || {
                let mut all = Vec::new();
                reader.read_to_end(&mut all).unwrap();
                all
            });
            let mut offset = 777;
            loop {
                match to.splice_from(&file, offset, usize::MAX).await.unwrap() {
                    0 => break,
                    count => offset += count as u64,
                }
            }
            let error = to.splice_from(&file, u64::MAX, 1).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            to.shutdown().await.unwrap();
            until(|| reading.is_finished()).await;
            assert!(reading.join().unwrap() == expected, "{kernel:?}");
        });
    }
}

/// What a dropped one has moved is a prefix, and what is written next comes after it.
#[test]
fn a_write_after_a_dropped_splice_of_a_file_comes_after_what_that_has_moved() {
    let bytes = some_bytes(10_000);
    let content = Content::new("dropped-splice", &bytes);
    let path = content.0.clone();
    on(Kernel::Made, move || async move {
        let file = File::from_std(fs::File::open(path).unwrap());
        for turns in 0..6 {
            let (mut to, mut target) = pipe().unwrap();
            // The last part of it is not there, so it is a kernel worker's.
            let mut dropped = Box::pin(to.splice_from(&file, 5000, 60_000));
            let _ = once(dropped.as_mut()).await;
            yield_times(turns).await;
            drop(dropped);
            to.write_all("end").await.0.unwrap();
            let all = held(&mut target);
            let moved = all.strip_suffix(b"end").expect("the write is the last");
            assert_eq!(*moved, bytes[5000..][..moved.len()], "{turns}");
        }
    });
}

/// Each would be a thread of the kernel.
#[test]
fn splices_that_wait_for_bytes_or_room_cost_no_kernel_worker() {
    let content = Content::new("spliced-when-full", b"content");
    let path = content.0.clone();
    on(Kernel::Made, move || async move {
        let (mut waiting, mut others) = (Vec::new(), Vec::new());
        for _ in 0..30 {
            let (producer, mut from) = pipe().unwrap();
            let (mut to, target) = pipe().unwrap();
            waiting.push(spawn(async move { from.splice_to(&mut to, 10).await }));
            others.push((producer, target));

            let (mut producer, mut from) = pipe().unwrap();
            let (mut to, target) = full().await;
            producer.write_all("bytes").await.0.unwrap();
            waiting.push(spawn(async move { from.splice_to(&mut to, 10).await }));
            others.push((producer, target));

            let file = File::from_std(fs::File::open(&path).unwrap());
            let (mut to, target) = full().await;
            waiting.push(spawn(async move { to.splice_from(&file, 0, 7).await }));
            others.push((pipe().unwrap().0, target));
        }
        yield_times(1).await;
        sleep(Duration::from_millis(20)).await;
        assert!(waiting.iter().all(|task| !task.is_finished()));
        assert_eq!(kernel_workers(), 0);
        for (producer, target) in &mut others {
            let _ = producer.try_write(b"some more");
            while !held(target).is_empty() {
                yield_times(1).await;
            }
        }
        for task in waiting {
            assert!(task.await.unwrap().unwrap() > 0);
        }
    });
}

/// Programs in Rust ignore the signal, but one that does not is not killed either.
#[test]
fn splices_to_a_pipe_without_a_reader_raise_no_signal() {
    if role().is_none() {
        let status = command(this_test!(), "with signals").status();
        assert!(status.unwrap().success());
        return;
    }
    let content = Content::new("spliced-to-none", b"content");
    for kernel in KERNELS {
        let opened = fs::File::open(&content.0).unwrap();
        on(kernel, move || async move {
            // SAFETY: the default action is a valid one.
            unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
            let file = File::from_std(opened);
            let (mut from, mut writer) = receiver(kernel);
            writer.write_all(b"abc").unwrap();
            let (mut to, reader) = sender(kernel);
            drop(reader);
            let errors = [
                from.splice_to(&mut to, 10).await.unwrap_err(),
                from.tee_to(&mut to, 10).await.unwrap_err(),
                // In memory, and by a kernel worker, as it ends early.
                to.splice_from(&file, 0, 7).await.unwrap_err(),
                to.splice_from(&file, 0, 100).await.unwrap_err(),
            ];
            for error in errors {
                assert_eq!(annulus::raw_os_error(&error), Some(libc::EPIPE), "{kernel:?} {error}");
            }
            assert_eq!(&*from.recv().await.unwrap(), b"abc", "nothing is lost");
        });
    }
}

#[test]
fn a_pipe_is_not_spliced_into_itself() {
    run(async {
        let (mut sender, mut receiver) = pipe().unwrap();
        let error = receiver.splice_to(&mut sender, 10).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    });
}
