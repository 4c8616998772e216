//! The standard streams, each test in a process whose streams it has made.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd};
use std::pin::pin;
use std::process::{Child, Stdio};
use std::time::Duration;

use annulus::Runtime;
use annulus::io::{AsyncRead, StreamReader, stderr, stdin, stdout};
use annulus::time::sleep;
use futures_util::StreamExt;

use crate::common::child::{command, role};
use crate::common::patience::limit;
use crate::common::poll::{once, yield_times};
use crate::common::threads::kernel_workers;
use crate::common::watchdog::Watchdog;
use crate::this_test;

/// Runs a future where the loop enters the kernel between two polls.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let _watchdog = Watchdog::new(limit());
    Runtime::builder().max_polls_per_turn(1).build().unwrap().block_on(future)
}

/// Runs the calling test as a child with this input, which writes its answers to standard error.
fn start(test: &str, input: impl Into<Stdio>) -> Child {
    command(test, "child").stdin(input).stderr(Stdio::piped()).spawn().unwrap()
}

/// What a child that must succeed has written.
fn answer(child: Child) -> String {
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{text}");
    text
}

/// The race: reads of the standard input are dropped while the kernel fills their buffers, again
/// and again, with every handle anew, and on several runtimes one after the other.
#[test]
fn abandoned_reads_of_the_standard_input_lose_nothing() {
    if role().is_none() {
        answer(start(this_test!(), Stdio::null()));
        return;
    }
    let mut fds = [-1; 2];
    // SAFETY: the calls write two descriptors, which nothing else uses, and replace the input.
    let mut writer = unsafe {
        assert_eq!(libc::pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC), 0);
        assert_eq!(libc::dup2(fds[0], 0), 0);
        File::from_raw_fd(fds[1])
    };
    let (mut expected, mut all) = (Vec::new(), Vec::new());
    for _runtime in 0..3 {
        block_on(async {
            for round in 0..90 {
                let text = format!("{round} ");
                expected.extend_from_slice(text.as_bytes());
                {
                    let mut input = stdin();
                    let mut dropped = pin!(input.read(Vec::with_capacity(7)));
                    assert!(once(dropped.as_mut()).await.is_pending());
                    yield_times(round % 3).await;
                    writer.write_all(text.as_bytes()).unwrap();
                    yield_times(round / 3 % 3).await;
                }
                // The last of a runtime is left to the next.
                while round < 89 && all.len() < expected.len() {
                    all.extend_from_slice(&stdin().recv().await.unwrap());
                }
                if round == 89 {
                    yield_times(3).await;
                }
            }
        });
        block_on(async {
            while all.len() < expected.len() {
                all.extend_from_slice(&stdin().recv().await.unwrap());
            }
        });
    }
    assert!(all == expected);
}

#[test]
fn lines_that_were_not_yielded_are_put_back() {
    if role().is_some() {
        return block_on(async {
            let mut lines = stdin().lines();
            assert_eq!(lines.next().await.unwrap().unwrap(), "one");
            drop(lines);
            let mut reader = StreamReader::new(stdin());
            assert_eq!(&*reader.read_line().await.unwrap(), b"two\r\n");
            let (mut input, rest) = reader.into_parts();
            input.put_back(&rest);
            let mut lines = stdin().lines();
            assert_eq!(lines.next_line().await.unwrap().unwrap(), "three");
            assert_eq!(lines.next_line().await.unwrap().unwrap(), "four");
            assert_eq!(lines.next_line().await.unwrap(), None);
            assert_eq!(lines.next_line().await.unwrap(), None);
        });
    }
    let mut child = start(this_test!(), Stdio::piped());
    child.stdin.take().unwrap().write_all(b"one\ntwo\r\nthree\nfour").unwrap();
    answer(child);
}

#[test]
fn readers_of_the_standard_input_are_served_in_the_order_in_which_they_asked() {
    if role().is_some() {
        return block_on(async {
            let (mut first, mut second) = (stdin(), stdin());
            let mut one = pin!(AsyncRead::read(&mut first, vec![0; 1]));
            let mut two = pin!(AsyncRead::read(&mut second, vec![0; 1]));
            assert!(once(one.as_mut()).await.is_pending());
            assert!(once(two.as_mut()).await.is_pending());
            stdout().write_all("ready\n").await.0.unwrap();
            stderr().write_all("ready\n").await.0.unwrap();
            assert_eq!(one.await.1, b"1");
            assert_eq!(two.await.1, b"2");
        });
    }
    let mut child = start(this_test!(), Stdio::piped());
    let mut ready = [0; 6];
    child.stderr.as_mut().unwrap().read_exact(&mut ready).unwrap();
    child.stdin.take().unwrap().write_all(b"12").unwrap();
    answer(child);
}

#[test]
fn a_read_of_a_terminal_that_waits_costs_no_kernel_worker_and_is_cancelled() {
    if role().is_some() {
        return block_on(async {
            assert!(stdin().is_terminal() && !stdout().is_terminal());
            for _ in 0..3 {
                let mut input = stdin();
                let mut waiting = pin!(input.recv());
                assert!(once(waiting.as_mut()).await.is_pending());
                sleep(Duration::from_millis(5)).await;
                assert_eq!(kernel_workers(), 0);
            }
            stderr().write_all("ready\n").await.0.unwrap();
            assert_eq!(&*stdin().recv().await.unwrap(), b"line\n");
        });
    }
    let (mut master, mut slave) = (-1, -1);
    // SAFETY: the call writes two descriptors, which nothing else owns.
    let (mut master, slave) = unsafe {
        let none = std::ptr::null_mut();
        assert_eq!(libc::openpty(&mut master, &mut slave, none, none.cast(), none.cast()), 0);
        (File::from_raw_fd(master), File::from_raw_fd(slave))
    };
    let mut child = start(this_test!(), slave.try_clone().unwrap());
    let mut ready = [0; 6];
    child.stderr.as_mut().unwrap().read_exact(&mut ready).unwrap();
    master.write_all(b"line\n").unwrap();
    answer(child);
    // SAFETY: the call takes no pointers.
    assert_eq!(unsafe { libc::fcntl(slave.as_raw_fd(), libc::F_GETFL) } & libc::O_NONBLOCK, 0);
}

#[test]
fn a_standard_output_without_a_reader_is_an_error_and_no_signal() {
    if role().is_some() {
        let mut fds = [-1; 2];
        // SAFETY: the calls write two descriptors, which nothing else uses, and set the default
        // action, which is a valid one.
        let kept = unsafe {
            libc::signal(libc::SIGPIPE, libc::SIG_DFL);
            assert_eq!(libc::pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC), 0);
            let kept = libc::dup(1);
            libc::dup2(fds[1], 1);
            libc::close(fds[0]);
            kept
        };
        block_on(async {
            for _ in 0..3 {
                let error = stdout().write_all("x").await.0.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::BrokenPipe);
            }
        });
        // The harness prints that the test has passed.
        // SAFETY: the call takes no pointers.
        unsafe { libc::dup2(kept, 1) };
        return;
    }
    answer(start(this_test!(), Stdio::null()));
}

#[test]
fn a_closed_standard_stream_reads_as_eof_and_takes_what_is_written() {
    if role().is_some() {
        return block_on(async {
            // SAFETY: nothing in this process uses them after that.
            unsafe { (libc::close(0), libc::close(1)) };
            assert!(stdin().recv().await.unwrap().is_empty());
            assert_eq!(stdin().read(vec![0; 4]).await.0.unwrap(), 0);
            stdout().write_all("lost").await.0.unwrap();
        });
    }
    answer(start(this_test!(), Stdio::null()));
}
