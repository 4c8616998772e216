//! Pipes: made here, and taken over from others, on kernels old and new.

use std::fs::File;
use std::future::Future;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::pin::pin;
use std::thread;
use std::time::Duration;

use annulus::buf::{BufResult, IoBuf};
use annulus::io::{AsyncWrite, StreamReader, StreamWriter};
use annulus::pipe::{OpenOptions, Receiver, Sender, pipe};
use annulus::time::{sleep, timeout};
use annulus::{Runtime, spawn, yield_now};

use crate::common::child::{command, role};
use crate::common::poll::{once, until, until_ring_has_looked, yield_times};
use crate::common::seccomp::{refuse_from_now_on, refusing};
use crate::common::threads::kernel_workers;
use crate::common::watchdog::{Watchdog, run};
use crate::this_test;

/// How the pipe of a test is read and written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kernel {
    /// It is made by this library, and so non-blocking.
    Made,
    /// It is blocking, and the kernel reads it without waiting.
    Adopted,
    /// As before 6.5: it is opened once more.
    Reopened,
    /// The same without /proc: kernel workers read and write it.
    ByWorkers,
}

pub(crate) const KERNELS: [Kernel; 4] =
    [Kernel::Made, Kernel::Adopted, Kernel::Reopened, Kernel::ByWorkers];

/// Runs a test on a kernel that lacks what such pipes do without.
pub(crate) fn on<F: Future<Output = ()>>(
    kernel: Kernel,
    test: impl FnOnce() -> F + Send + 'static,
) {
    let body = move || {
        let _watchdog = Watchdog::new(crate::common::patience::limit());
        // The loop enters the kernel between two polls.
        let runtime = Runtime::builder().max_polls_per_turn(1).build().unwrap();
        if kernel == Kernel::ByWorkers {
            refuse_from_now_on(libc::SYS_openat, libc::EACCES);
        }
        runtime.block_on(test());
    };
    if matches!(kernel, Kernel::Made | Kernel::Adopted) {
        return thread::spawn(body).join().unwrap();
    }
    refusing(libc::SYS_preadv2, libc::EOPNOTSUPP, move || {
        refuse_from_now_on(libc::SYS_pwritev2, libc::EOPNOTSUPP);
        body();
    });
}

/// The end of a pipe that is read from, and a writer outside.
pub(crate) fn receiver(kernel: Kernel) -> (Receiver, File) {
    if kernel == Kernel::Made {
        let (sender, receiver) = pipe().unwrap();
        return (receiver, File::from(blocking(&sender)));
    }
    let (reader, writer) = blocking_pipe();
    (Receiver::from_std(reader).unwrap(), writer)
}

/// The end of a pipe that is written to, and a reader outside.
pub(crate) fn sender(kernel: Kernel) -> (Sender, File) {
    if kernel == Kernel::Made {
        let (sender, receiver) = pipe().unwrap();
        return (sender, File::from(blocking(&receiver)));
    }
    let (reader, writer) = blocking_pipe();
    (Sender::from_std(writer).unwrap(), reader)
}

/// A pipe as another program would make it.
fn blocking_pipe() -> (File, File) {
    let mut fds = [-1; 2];
    // SAFETY: the call writes two descriptors.
    assert_eq!(unsafe { libc::pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC) }, 0);
    // SAFETY: both have just been opened, and nothing else owns them.
    let [read, write] = fds.map(|fd| unsafe { File::from_raw_fd(fd) });
    (read, write)
}

/// A copy of the descriptor that blocks. Each end has a mode of its own; the other is ours.
fn blocking(end: &impl AsFd) -> OwnedFd {
    let copy = end.as_fd().try_clone_to_owned().unwrap();
    // SAFETY: the call takes no pointers.
    unsafe { libc::fcntl(copy.as_raw_fd(), libc::F_SETFL, 0) };
    copy
}

fn is_blocking(end: &impl AsFd) -> bool {
    // SAFETY: the call takes no pointers.
    let flags = unsafe { libc::fcntl(end.as_fd().as_raw_fd(), libc::F_GETFL) };
    flags & libc::O_NONBLOCK == 0
}

#[test]
fn what_is_written_to_a_pipe_is_read_and_then_eof() {
    for kernel in KERNELS {
        on(kernel, move || async move {
            let (mut receiver, mut writer) = receiver(kernel);
            for size in [1, 100, 60_000] {
                let bytes: Vec<u8> = (0..size).map(|index| index as u8).collect();
                for with_lease in [false, true] {
                    writer.write_all(&bytes).unwrap();
                    let mut all = Vec::new();
                    while all.len() < size {
                        if with_lease {
                            all.extend_from_slice(&receiver.recv().await.unwrap());
                        } else {
                            let BufResult(count, read) =
                                receiver.read(Vec::with_capacity(1000)).await;
                            assert_eq!(count.unwrap(), read.len());
                            all.extend(read);
                        }
                    }
                    assert!(all == bytes, "{kernel:?}");
                }
            }
            drop(writer);
            assert!(receiver.recv().await.unwrap().is_empty());
            assert_eq!(receiver.read(vec![0; 8]).await.0.unwrap(), 0);
        });
    }
}

#[test]
fn a_write_larger_than_the_pipe_goes_on_as_the_reader_reads() {
    for kernel in KERNELS {
        on(kernel, move || async move {
            let (mut sender, mut reader) = sender(kernel);
            let bytes: Vec<u8> = (0..300_000_u32).map(|index| (index % 251) as u8).collect();
            let expected = bytes.clone();
            let all = thread::spawn(move || {
                let mut all = Vec::new();
                reader.read_to_end(&mut all).unwrap();
                all
            });
            sender.write_all(bytes).await.0.unwrap();
            sender.shutdown().await.unwrap();
            assert_eq!(sender.write("x").await.0.unwrap_err().kind(), ErrorKind::BrokenPipe);
            until(|| all.is_finished()).await;
            assert!(all.join().unwrap() == expected, "{kernel:?}");
        });
    }
}

/// The race: the kernel has put bytes into the buffer of a read, whose future is dropped before it
/// is polled again.
#[test]
fn a_dropped_read_of_a_pipe_leaves_its_bytes_to_the_next() {
    for kernel in KERNELS {
        on(kernel, move || async move {
            let (mut receiver, mut writer) = receiver(kernel);
            // What can be known of the descriptor is known after that.
            writer.write_all(b"-").unwrap();
            assert_eq!(&*receiver.recv().await.unwrap(), b"-");
            for turns in 0..6 {
                for with_lease in [false, true] {
                    for next_with_lease in [false, true] {
                        if with_lease {
                            let mut dropped = pin!(receiver.recv());
                            assert!(once(dropped.as_mut()).await.is_pending());
                            yield_times(turns).await;
                            writer.write_all(b"abc").unwrap();
                            yield_times(turns).await;
                        } else {
                            let mut dropped = pin!(receiver.read(vec![0; 16]));
                            assert!(once(dropped.as_mut()).await.is_pending());
                            yield_times(turns).await;
                            writer.write_all(b"abc").unwrap();
                            yield_times(turns).await;
                        }
                        writer.write_all(b"def").unwrap();
                        let mut all = Vec::new();
                        while all.len() < 6 {
                            if next_with_lease {
                                all.extend_from_slice(&receiver.recv().await.unwrap());
                            } else {
                                all.extend(
                                    receiver.read(vec![0; 4]).await.1.iter().take(6 - all.len()),
                                );
                                // A short read leaves the rest of the vector as it was.
                                all.retain(|&byte| byte != 0);
                            }
                        }
                        assert_eq!(all, b"abcdef", "{kernel:?} {turns} {with_lease}");
                    }
                }
            }
        });
    }
}

/// The race: a dropped read has met EOF. The next must meet it, too.
#[test]
fn a_dropped_read_of_a_pipe_leaves_eof_to_the_next() {
    for kernel in KERNELS {
        on(kernel, move || async move {
            let (mut receiver, writer) = receiver(kernel);
            {
                let mut dropped = pin!(receiver.read(vec![0; 16]));
                assert!(once(dropped.as_mut()).await.is_pending());
                yield_now().await;
                drop(writer);
                yield_times(3).await;
            }
            assert_eq!(receiver.read(vec![0; 16]).await.0.unwrap(), 0);
            assert!(receiver.recv().await.unwrap().is_empty());
        });
    }
}

/// The race: a write waits for room, and is dropped. What it has written is a prefix, and the next
/// write comes behind it.
#[test]
fn a_dropped_write_to_a_pipe_has_written_a_prefix() {
    for kernel in KERNELS {
        for turns in 0..4 {
            on(kernel, move || async move {
                let (mut sender, mut reader) = sender(kernel);
                let bytes: Vec<u8> = (0..200_000_u32).map(|index| (index % 251) as u8).collect();
                {
                    let mut dropped = pin!(sender.write_all(bytes.clone()));
                    assert!(once(dropped.as_mut()).await.is_pending());
                    yield_times(turns).await;
                }
                let all = thread::spawn(move || {
                    let mut all = Vec::new();
                    reader.read_to_end(&mut all).unwrap();
                    all
                });
                sender.write_all("end").await.0.unwrap();
                drop(sender);
                until(|| all.is_finished()).await;
                let all = all.join().unwrap();
                let written = all.strip_suffix(b"end").expect("the second write is whole");
                assert!(bytes.starts_with(written), "{kernel:?} after {turns} turns");
            });
        }
    }
}

#[test]
fn buffered_readers_and_writers_work_over_pipes() {
    run(async {
        let (sender, receiver) = pipe().unwrap();
        let writing = spawn(async move {
            let mut writer = StreamWriter::new(sender);
            for number in 0..10_000 {
                writer.write(format!("line {number}\n")).await.unwrap();
            }
            writer.drain().await.unwrap();
            writer.close();
            writer.wait_closed().await.unwrap();
        });
        let mut reader = StreamReader::new(receiver);
        for number in 0..10_000 {
            assert_eq!(*reader.read_line().await.unwrap(), *format!("line {number}\n").as_bytes());
        }
        assert!(reader.read_line().await.unwrap().is_empty());
        writing.await.unwrap();
    });
}

#[test]
fn an_aborted_writer_closes_its_pipe() {
    run(async {
        let (mut sender, mut receiver) = pipe().unwrap();
        sender.abort();
        assert!(receiver.recv().await.unwrap().is_empty());
        assert_eq!(sender.try_write(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn a_descriptor_that_others_share_stays_blocking() {
    for kernel in [Kernel::Adopted, Kernel::Reopened, Kernel::ByWorkers] {
        on(kernel, move || async move {
            let (reader, mut writer) = blocking_pipe();
            let others = reader.try_clone().unwrap();
            let mut receiver = Receiver::from_std(reader).unwrap();
            {
                let mut waiting = pin!(receiver.read(vec![0; 8]));
                assert!(once(waiting.as_mut()).await.is_pending());
                yield_times(3).await;
                assert!(is_blocking(&others), "{kernel:?}");
                writer.write_all(b"x").unwrap();
                assert_eq!(waiting.await.0.unwrap(), 1);
            }
            assert!(is_blocking(&others), "{kernel:?}");
            let into = receiver.into_owned_fd().await.unwrap();
            assert!(is_blocking(&into.fd) && into.unread.is_empty());

            let (reader, writer) = blocking_pipe();
            let others = writer.try_clone().unwrap();
            let mut sender = Sender::from_std(writer).unwrap();
            timeout(Duration::from_millis(5), sender.write_all(vec![0; 100_000]))
                .await
                .unwrap_err();
            assert!(is_blocking(&others), "{kernel:?}");
            drop(reader);
        });
    }
}

#[test]
fn the_descriptor_of_a_pipe_comes_with_the_bytes_of_dropped_reads() {
    run(async {
        let (mut sender, mut receiver) = pipe().unwrap();
        {
            let mut dropped = pin!(receiver.read(vec![0; 3]));
            assert!(once(dropped.as_mut()).await.is_pending());
            yield_now().await;
            sender.write_all("abcdef").await.0.unwrap();
            until_ring_has_looked().await;
        }
        let into = receiver.into_blocking_fd().await.unwrap();
        assert!(is_blocking(&into.fd));
        assert_eq!(into.unread, b"abc");
        let mut rest = [0; 3];
        File::from(into.fd).read_exact(&mut rest).unwrap();
        assert_eq!(&rest, b"def");
        assert!(!is_blocking(&sender));
    });
}

#[test]
fn a_try_reads_and_writes_at_once_or_not_at_all() {
    run(async {
        let (mut sender, mut receiver) = pipe().unwrap();
        assert_eq!(receiver.try_read(&mut [0; 4]).unwrap_err().kind(), ErrorKind::WouldBlock);
        let mut written = 0;
        let refused = loop {
            match sender.try_write(&[7; 16_384]) {
                Ok(count) => written += count,
                Err(error) => break error,
            }
        };
        assert_eq!((written, refused.kind()), (sender.capacity().unwrap(), ErrorKind::WouldBlock));
        let mut memory = vec![0; written + 1];
        assert_eq!(receiver.try_read(&mut memory).unwrap(), written);
        assert!(memory[..written].iter().all(|&byte| byte == 7));
        assert_eq!(sender.try_write(b"").unwrap(), 0);
        drop(sender);
        // A child that another test starts has the sender, too, until it runs its program.
        receiver.readable().await.unwrap();
        assert_eq!(receiver.try_read(&mut memory).unwrap(), 0);
    });
}

#[test]
fn a_pipe_tells_when_it_is_ready_and_when_its_reader_is_gone() {
    run(async {
        let (mut sender, mut receiver) = pipe().unwrap();
        sender.writable().await.unwrap();
        assert!(once(pin!(receiver.readable())).await.is_pending());
        assert!(once(pin!(sender.closed())).await.is_pending());
        sender.write_all(vec![0; sender.capacity().unwrap()]).await.0.unwrap();
        receiver.readable().await.unwrap();
        {
            let mut room = pin!(sender.writable());
            assert!(once(room.as_mut()).await.is_pending());
            while receiver.try_read(&mut [0; 8192]).is_ok() {}
            room.await.unwrap();
        }
        {
            let mut closed = pin!(sender.closed());
            assert!(once(closed.as_mut()).await.is_pending());
            drop(receiver);
            closed.await.unwrap();
        }
        sender.writable().await.unwrap();
        assert_eq!(sender.try_write(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn the_capacity_of_a_pipe_is_what_was_set() {
    run(async {
        let (sender, receiver) = pipe().unwrap();
        assert_eq!(sender.set_capacity(5000).unwrap(), 8192);
        assert_eq!(receiver.capacity().unwrap(), 8192);
        assert_eq!(receiver.set_capacity(1 << 17).unwrap(), 1 << 17);
        let error = receiver.set_capacity(usize::MAX).unwrap_err();
        assert!(error.to_string().contains("F_SETPIPE_SZ"), "{error}");
    });
}

#[test]
fn only_the_right_end_of_a_pipe_is_taken_over() {
    run(async {
        let (reader, writer) = blocking_pipe();
        let errors = [
            Receiver::from_std(writer).unwrap_err(),
            Sender::from_std(reader).unwrap_err(),
            Receiver::from_std(std::fs::File::open("/dev/null").unwrap()).unwrap_err(),
            Receiver::from_std(std::fs::File::open("/").unwrap()).unwrap_err(),
            Sender::from_std(std::os::unix::net::UnixStream::pair().unwrap().0).unwrap_err(),
        ];
        assert!(errors.iter().all(|error| error.kind() == ErrorKind::InvalidInput), "{errors:?}");
    });
}

/// Each would be a thread of the kernel. (Where a worker is to read, /proc cannot be looked at.)
#[test]
fn three_hundred_reads_that_wait_cost_no_kernel_worker() {
    for kernel in [Kernel::Made, Kernel::Adopted, Kernel::Reopened] {
        on(kernel, move || async move {
            let pipes: Vec<_> = (0..300).map(|_| receiver(kernel)).collect();
            let (mut receivers, mut writers): (Vec<_>, Vec<_>) = pipes.into_iter().unzip();
            let mut reads: Vec<_> = receivers
                .iter_mut()
                .map(|receiver| Box::pin(receiver.read(Vec::with_capacity(8))))
                .collect();
            for read in &mut reads {
                assert!(once(read.as_mut()).await.is_pending());
            }
            sleep(Duration::from_millis(20)).await;
            assert_eq!(kernel_workers(), 0, "{kernel:?}");
            for (read, writer) in reads.into_iter().zip(&mut writers) {
                writer.write_all(b"x").unwrap();
                assert_eq!(read.await.0.unwrap(), 1);
            }
        });
    }
}

/// Programs in Rust ignore the signal, but one that does not is not killed either.
#[test]
fn a_write_to_a_pipe_without_a_reader_raises_no_signal() {
    if role().is_none() {
        let status = command(this_test!(), "with signals").status();
        assert!(status.unwrap().success());
        return;
    }
    for kernel in KERNELS {
        on(kernel, move || async move {
            // SAFETY: the default action is a valid one.
            unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
            let (mut sender, reader) = sender(kernel);
            drop(reader);
            for _ in 0..3 {
                let error = sender.write_all(vec![0; 10_000]).await.0.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::BrokenPipe, "{kernel:?}");
                let error = sender.write("x").await.0.unwrap_err();
                assert_eq!(annulus::raw_os_error(&error), Some(libc::EPIPE), "{error}");
            }
        });
    }
}

#[test]
fn empty_buffers_are_neither_read_nor_written() {
    run(async {
        let (mut sender, mut receiver) = pipe().unwrap();
        assert_eq!(receiver.read(Vec::with_capacity(8).slice(..0)).await.0.unwrap(), 0);
        assert_eq!(sender.write("").await.0.unwrap(), 0);
        sender.write_all("").await.0.unwrap();
        let mut waiting = pin!(receiver.recv());
        assert!(once(waiting.as_mut()).await.is_pending());
    });
}

/// A FIFO, removed at the end.
struct Fifo(std::path::PathBuf);

impl Fifo {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("annulus-fifo-{name}-{}", std::process::id()));
        let c_path = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
        // SAFETY: the path ends with a zero byte.
        assert_eq!(unsafe { libc::mkfifo(c_path.as_ptr(), 0o600) }, 0);
        Self(path)
    }
}

impl Drop for Fifo {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn a_fifo_without_a_reader_is_refused_and_one_with_a_reader_is_opened() {
    let fifo = Fifo::new("open");
    run(async {
        let options = OpenOptions::new();
        let error = options.open_sender(&fifo.0).await.unwrap_err();
        assert_eq!(annulus::raw_os_error(&error), Some(libc::ENXIO), "{error}");
        let mut receiver = options.open_receiver(&fifo.0).await.unwrap();
        // There was no writer yet.
        assert!(receiver.recv().await.unwrap().is_empty());
        let mut sender = options.open_sender(&fifo.0).await.unwrap();
        let mut waiting = pin!(receiver.recv());
        assert!(once(waiting.as_mut()).await.is_pending());
        sender.write_all("hello").await.0.unwrap();
        assert_eq!(&*waiting.await.unwrap(), b"hello");
    });
}

#[test]
fn a_fifo_that_is_opened_for_both_reads_no_eof() {
    let fifo = Fifo::new("both");
    run(async {
        let mut options = OpenOptions::new();
        let mut receiver = options.read_write(true).open_receiver(&fifo.0).await.unwrap();
        for text in ["one", "two"] {
            let mut sender = OpenOptions::new().open_sender(&fifo.0).await.unwrap();
            sender.write_all(text).await.0.unwrap();
            drop(sender);
            assert_eq!(*receiver.recv().await.unwrap(), *text.as_bytes());
        }
        assert!(once(pin!(receiver.recv())).await.is_pending());
        // It needs no reader either.
        drop(receiver);
        let mut sender = options.open_sender(&fifo.0).await.unwrap();
        sender.write_all("kept").await.0.unwrap();
    });
}

#[test]
fn what_is_no_fifo_is_opened_only_unchecked() {
    run(async {
        let mut options = OpenOptions::new();
        let error = options.open_receiver("/dev/null").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        assert!(error.to_string().contains("/dev/null"), "{error}");
        let mut null = options.unchecked(true).open_receiver("/dev/null").await.unwrap();
        assert!(null.recv().await.unwrap().is_empty());
        let error = options.open_receiver("/nonexistent\0").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        let error = options.open_receiver("/nonexistent").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    });
}
