//! A process that was forked while a runtime is there: it cannot use the runtime, says so, and does
//! no harm to its parent's.

use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use annulus::buf::RegisteredBuffers;
use annulus::fs::File;
use annulus::task::ThreadBound;
use annulus::{Runtime, spawn};

use crate::common::bounded::bounded;
use crate::common::child::{command, role};
use crate::common::drops::Drops;
use crate::common::net::connected;
use crate::this_test;

/// Runs `body` in a child of this process, and says with what it has ended.
fn forked(body: impl FnOnce() -> i32) -> i32 {
    // SAFETY: the child runs code of this test only, beside which it needs no other thread.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "{}", io::Error::last_os_error());
    if child == 0 {
        let code = catch_unwind(AssertUnwindSafe(body)).unwrap_or(101);
        // SAFETY: ends the child without running what belongs to the parent.
        unsafe { libc::_exit(code) };
    }
    let mut status = 0;
    // SAFETY: the call writes one status.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    assert!(libc::WIFEXITED(status), "the child was killed by signal {}", libc::WTERMSIG(status));
    libc::WEXITSTATUS(status)
}

#[test]
fn a_forked_child_is_told_that_the_runtime_is_its_parents() {
    if role().is_none() {
        // In a process of its own: a child has only the thread that has forked it.
        let output = command(this_test!(), "parent").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        return;
    }
    bounded(|| {
        let runtime = Runtime::new().unwrap();
        let (mut stream, mut peer) = runtime.block_on(async {
            let (mut stream, mut peer) = connected();
            peer.write_all(b"before").unwrap();
            assert_eq!(&*stream.recv().await.unwrap(), b"before");
            (stream, peer)
        });
        let code = forked(|| {
            let used = catch_unwind(AssertUnwindSafe(|| {
                runtime.block_on(async {
                    drop(spawn(annulus::time::sleep(Duration::from_secs(3600))));
                    stream.recv().await.map(drop)
                })
            }));
            let message = used.unwrap_err();
            let message = message.downcast_ref::<String>().unwrap();
            i32::from(!message.contains("belongs to another process"))
        });
        assert_eq!(code, 0, "the child was not told so");
        // A runtime of its own works, and the end of its copy of the parent's is no harm.
        let mut mine = Some((runtime, stream));
        let code = forked(|| {
            Runtime::new().unwrap().block_on(annulus::time::sleep(Duration::from_millis(1)));
            drop(mine.take());
            0
        });
        assert_eq!(code, 0);
        let (runtime, mut stream) = mine.unwrap();
        peer.write_all(b"after").unwrap();
        runtime.block_on(async { assert_eq!(&*stream.recv().await.unwrap(), b"after") });
    });
}

/// The value's thread does not exist in the child, which has a copy of the value and must not touch
/// it.
#[test]
fn a_thread_bound_value_of_another_thread_is_leaked_in_a_forked_child() {
    if role().is_none() {
        let output = command(this_test!(), "parent").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        return;
    }
    bounded(|| {
        let (drops, (sender, values)) = (Drops::default(), std::sync::mpsc::channel());
        let guards = [drops.guard(), drops.guard()];
        let owner = std::thread::spawn(move || {
            annulus::run(async {
                let (done, is_done) = annulus::sync::remote::oneshot::channel();
                sender.send((guards.map(ThreadBound::new), done)).unwrap();
                is_done.await.unwrap();
            })
        });
        let ([first, second], done) = values.recv().unwrap();
        let (mut first, drops_there) = (Some(first), drops.clone());
        let code = forked(|| {
            drop(first.take());
            i32::try_from(drops_there.count()).unwrap()
        });
        assert_eq!(code, 0, "the child dropped its parent's value");
        drop((first, second));
        done.send(()).unwrap();
        owner.join().unwrap().unwrap();
        assert_eq!(drops.count(), 2);
    });
}

/// The child has a copy of the queue, which no thread empties, and of its lock, which a thread of
/// the parent may have held.
#[test]
fn a_handle_in_a_forked_child_is_that_of_an_ended_runtime() {
    if role().is_none() {
        let output = command(this_test!(), "parent").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        return;
    }
    bounded(|| {
        let runtime = Runtime::new().unwrap();
        let handle = runtime.handle();
        let call = handle.call(|| 5).unwrap();
        let mut calls = Some((call, handle.call(|| 6).unwrap()));
        // Another thread locks and unlocks the queue all the time.
        let its = handle.clone();
        let calling = std::thread::spawn(move || while !its.is_ended() {});
        let code = forked(|| {
            let (joined, dropped) = calls.take().unwrap();
            handle.stop();
            assert!(handle.is_ended() && !joined.cancel() && joined.is_finished());
            assert_eq!(handle.call(|| 7).unwrap_err().into_inner()(), 7);
            assert!(joined.join_blocking().unwrap_err().is_ended());
            drop((dropped, runtime.handle()));
            0
        });
        assert_eq!(code, 0);
        let (first, second) = calls.unwrap();
        assert_eq!(
            runtime.block_on(async { (first.await.unwrap(), second.await.unwrap()) }),
            (5, 6)
        );
        drop(runtime);
        calling.join().unwrap();
    });
}

/// The pages that the kernel writes to stay the parent's, and what the child drops is not taken out
/// of the parent's ring.
#[test]
fn registered_buffers_in_a_forked_child_are_copies() {
    if role().is_none() {
        let output = command(this_test!(), "parent").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        return;
    }
    bounded(|| {
        let runtime = Runtime::new().unwrap();
        let mut kept = runtime.block_on(async {
            let buffers = RegisteredBuffers::new(2, 4096).unwrap();
            let mut buffer = buffers.get().await;
            buffer.extend_from_slice(b"parent");
            Some((buffers, buffer))
        });
        let code = forked(|| {
            let (buffers, mut buffer) = kept.take().unwrap();
            let is_copy = *buffer == *b"parent";
            buffer.fill(b'!');
            drop((buffer, buffers));
            let own = Runtime::new().unwrap().block_on(async { RegisteredBuffers::new(1, 16) });
            i32::from(!is_copy || own.is_err())
        });
        assert_eq!(code, 0, "in the child");
        let (buffers, buffer) = kept.unwrap();
        assert_eq!(&*buffer, b"parent");
        drop(buffer);
        runtime.block_on(async {
            let file = File::open("Cargo.toml").await.unwrap();
            let (count, buffer) = file.read_at(buffers.get().await, 0).await.unwrap();
            assert!(buffers.is_registered() && buffer[..count].starts_with(b"[workspace]"));
        });
    });
}
