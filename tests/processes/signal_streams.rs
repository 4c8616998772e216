//! `signal` with the kernel's signals. Each test runs in a process of its own.

use std::cell::Cell;
use std::io::{self, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::process::Command;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Barrier, mpsc};
use std::task::Poll;
use std::time::Duration;
use std::{mem, ptr, thread};

use annulus::signal::{Signal, SignalKind, ctrl_c, signal};
use annulus::time::timeout;
use annulus::{Runtime, Shards, spawn, yield_now};
use futures_util::StreamExt;
use libc::{SIGCHLD, SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2, c_int};

use crate::common::bounded::bounded;
use crate::common::child::{self, isolated};
use crate::common::conditions::poll_once;
use crate::common::program::Program;
use crate::common::watchdog::run;
use crate::this_test;

fn alone(test: &str, body: impl AsyncFnOnce()) {
    isolated(test, || run(body()));
}

fn listen(number: c_int) -> Signal {
    signal(SignalKind::from_raw(number)).unwrap()
}

/// Sends a signal to this thread, which has handled it at the return.
fn raise(number: c_int) {
    // SAFETY: the handlers of this process do only what handlers may.
    assert_eq!(unsafe { libc::raise(number) }, 0);
}

/// Sends a signal to this process.
fn kill_this(number: c_int) {
    // SAFETY: as above.
    assert_eq!(unsafe { libc::kill(libc::getpid(), number) }, 0);
}

fn action(number: c_int) -> libc::sigaction {
    // SAFETY: `sigaction` is plain data, for which all zeroes is valid.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    // SAFETY: the call writes one `sigaction`.
    assert_eq!(unsafe { libc::sigaction(number, ptr::null(), &mut action) }, 0);
    action
}

fn installed(number: c_int) -> usize {
    action(number).sa_sigaction
}

extern "C" fn does_nothing(_signal: c_int) {}

fn install(number: c_int, handler: usize) {
    // SAFETY: `sigaction` is plain data, for which all zeroes is valid.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    action.sa_sigaction = handler;
    // SAFETY: the handlers of this file do nothing.
    assert_eq!(unsafe { libc::sigaction(number, &action, ptr::null_mut()) }, 0);
}

/// Blocks a signal on this thread, or unblocks it.
fn mask(how: c_int, number: c_int) {
    // SAFETY: a set of signals is plain data, and the calls read and write one.
    unsafe {
        let mut set = mem::zeroed();
        libc::sigaddset(&mut set, number);
        assert_eq!(libc::pthread_sigmask(how, &set, ptr::null_mut()), 0);
    }
}

/// Whether nothing more has come.
async fn is_silent(listener: &mut Signal) -> bool {
    timeout(Duration::from_millis(5), listener.recv()).await.is_err()
}

#[test]
fn every_signal_that_can_be_caught_is_reported() {
    alone(this_test!(), async || {
        let catchable = (1..=64).filter(|&one| signal(SignalKind::from_raw(one)).is_ok());
        let catchable: Vec<_> = catchable.collect();
        assert_eq!(catchable.len(), 64 - 8, "{catchable:?}");
        for &number in &catchable {
            let before = installed(number);
            let mut listener = listen(number);
            assert_eq!(listener.kind().as_raw_value(), number);
            raise(number);
            assert_eq!(listener.recv().await, Some(()), "{}", listener.kind());
            raise(number);
            assert_eq!(listener.next().await, Some(()), "{}", listener.kind());
            assert!(poll_once(&mut pin!(listener.recv())).is_pending());
            drop(listener);
            assert_eq!(installed(number), before);
        }
    });
}

#[test]
fn a_signal_that_cannot_be_caught_is_refused_with_one_line_that_says_why() {
    for (number, expected) in [
        (libc::SIGKILL, "cannot listen for SIGKILL: the kernel lets no process catch it"),
        (libc::SIGSTOP, "cannot listen for SIGSTOP: the kernel lets no process catch it"),
        (libc::SIGSEGV, "cannot listen for SIGSEGV: it reports a fault of the running thread"),
        (libc::SIGBUS, "cannot listen for SIGBUS: it reports a fault of the running thread"),
        (libc::SIGFPE, "cannot listen for SIGFPE: it reports a fault of the running thread"),
        (libc::SIGILL, "cannot listen for SIGILL: it reports a fault of the running thread"),
        (32, "cannot listen for signal 32: the C library uses it itself"),
        (0, "cannot listen for signal 0: there is no such signal"),
        (65, "cannot listen for signal 65: there is no such signal"),
        (-1, "cannot listen for signal -1: there is no such signal"),
        (i32::MAX, "there is no such signal"),
        (i32::MIN, "there is no such signal"),
    ] {
        let error = signal(SignalKind::from_raw(number)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn deliveries_before_the_first_wait_and_between_waits_are_all_counted() {
    isolated(this_test!(), || {
        // Without a runtime, too.
        let mut listener = listen(SIGUSR1);
        (0..3).for_each(|_| raise(SIGUSR1));
        run(async {
            for _ in 0..3 {
                assert_eq!(listener.recv().await, Some(()));
            }
            assert!(is_silent(&mut listener).await);
            // A wait that was dropped takes nothing.
            raise(SIGUSR1);
            assert_eq!(listener.recv().await, Some(()));
            (0..5).for_each(|_| raise(SIGUSR1));
            assert_eq!((listener.take_pending(), listener.take_pending()), (5, 0));
            assert!(is_silent(&mut listener).await);
        });
        // In another runtime of the thread, also while the first is there.
        let first = Runtime::new().unwrap();
        first.block_on(async { assert!(poll_once(&mut pin!(listener.recv())).is_pending()) });
        raise(SIGUSR1);
        run(async { assert_eq!(listener.recv().await, Some(())) });
        first.block_on(async { assert!(is_silent(&mut listener).await) });
    });
}

/// What the kernel does: of a signal that is pending it keeps one, of a real-time signal each.
#[test]
fn signals_that_were_blocked_are_reported_once_and_real_time_ones_each() {
    alone(this_test!(), async || {
        let real_time = SignalKind::real_time(3).as_raw_value();
        for (number, expected) in [(SIGUSR1, 1), (real_time, 4)] {
            let mut listener = listen(number);
            mask(libc::SIG_BLOCK, number);
            (0..4).for_each(|_| raise(number));
            assert_eq!(listener.take_pending(), 0);
            mask(libc::SIG_UNBLOCK, number);
            assert_eq!(listener.recv().await, Some(()));
            assert_eq!(1 + listener.take_pending(), expected);
        }
    });
}

#[test]
fn a_signal_is_reported_though_the_thread_of_the_runtime_blocks_it() {
    alone(this_test!(), async || {
        let mut listener = listen(SIGUSR2);
        // Threads inherit the mask, so the other one is started before.
        let (end, ended) = mpsc::channel::<()>();
        let other = thread::spawn(move || ended.recv());
        mask(libc::SIG_BLOCK, SIGUSR2);
        for _ in 0..10 {
            let mut next = pin!(listener.recv());
            assert!(poll_once(&mut next).is_pending());
            yield_now().await;
            kill_this(SIGUSR2);
            assert_eq!(next.await, Some(()));
        }
        drop(end);
        let _ = other.join();
    });
}

#[test]
fn every_listener_of_every_runtime_is_told_of_each_signal() {
    isolated(this_test!(), || {
        const SIGNALS: usize = 20;
        let barrier = Barrier::new(5);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    run(async {
                        let (mut first, mut second) = (listen(SIGHUP), listen(SIGHUP));
                        let mut other = listen(SIGTERM);
                        for _ in 0..SIGNALS {
                            barrier.wait();
                            assert_eq!(first.recv().await, Some(()));
                            assert_eq!(second.recv().await, Some(()));
                            barrier.wait();
                        }
                        assert_eq!((first.take_pending(), second.take_pending()), (0, 0));
                        assert!(is_silent(&mut other).await);
                    });
                });
            }
            for _ in 0..SIGNALS {
                barrier.wait();
                kill_this(SIGHUP);
                barrier.wait();
            }
        });
    });
}

#[test]
fn every_shard_is_told() {
    static LISTENING: AtomicUsize = AtomicUsize::new(0);
    isolated(this_test!(), || {
        let told = Shards::builder().count(3).run(async |shard| {
            let mut listener = listen(SIGUSR1);
            if LISTENING.fetch_add(1, Ordering::SeqCst) + 1 == shard.count() {
                kill_this(SIGUSR1);
            }
            listener.recv().await.is_some()
        });
        assert_eq!(told.unwrap(), [true; 3]);
    });
}

#[test]
fn hundreds_of_listeners_are_told_and_their_bells_are_used_again() {
    alone(this_test!(), async || {
        let descriptors = || std::fs::read_dir("/proc/self/fd").unwrap().count();
        let mut most = 0;
        for round in 0..3 {
            let mut listeners: Vec<_> = (0..300).map(|_| listen(SIGUSR1)).collect();
            let interrupts: Vec<_> = (0..100).map(|_| ctrl_c()).collect();
            raise(SIGUSR1);
            raise(SIGINT);
            for listener in &mut listeners {
                assert_eq!(listener.recv().await, Some(()));
                assert_eq!(listener.take_pending(), 0);
            }
            for interrupt in interrupts {
                interrupt.await.unwrap();
            }
            match round {
                0 => most = descriptors(),
                _ => assert!(descriptors() <= most + 8, "{} after {most}", descriptors()),
            }
        }
    });
}

#[test]
fn what_a_signal_did_before_is_put_back_unless_it_was_replaced_meanwhile() {
    alone(this_test!(), async || {
        let handler = does_nothing as extern "C" fn(c_int) as usize;
        for before in [libc::SIG_DFL, libc::SIG_IGN, handler] {
            install(SIGTERM, before);
            let mut first = listen(SIGTERM);
            let mut second = listen(SIGTERM);
            raise(SIGTERM);
            assert_eq!((first.recv().await, second.recv().await), (Some(()), Some(())));
            drop(first);
            assert_ne!(installed(SIGTERM), before, "the second listens");
            raise(SIGTERM);
            assert_eq!(second.recv().await, Some(()));
            drop(second);
            assert_eq!(installed(SIGTERM), before);
            // Another's handler, which was installed over it, stays.
            let listener = listen(SIGTERM);
            install(SIGTERM, libc::SIG_IGN);
            raise(SIGTERM);
            drop(listener);
            assert_eq!(installed(SIGTERM), libc::SIG_IGN);
        }
    });
}

#[test]
fn a_listener_takes_even_an_ignored_signal_and_ctrl_c_does_not() {
    alone(this_test!(), async || {
        install(SIGINT, libc::SIG_IGN);
        let mut listener = listen(SIGINT);
        raise(SIGINT);
        assert_eq!(listener.recv().await, Some(()));
        drop(listener);
        let interrupt = ctrl_c();
        raise(SIGINT);
        let mut interrupt = pin!(interrupt);
        assert!(timeout(Duration::from_millis(5), interrupt.as_mut()).await.is_err());
        // Beside one that takes it, both do; afterwards it is ignored again, and kills no process.
        let mut listener = listen(SIGINT);
        raise(SIGINT);
        interrupt.await.unwrap();
        assert_eq!(listener.recv().await, Some(()));
        let heard = ctrl_c();
        raise(SIGINT);
        drop(listener);
        assert_eq!(installed(SIGINT), libc::SIG_IGN);
        raise(SIGINT);
        heard.await.unwrap();
        assert_eq!(installed(SIGINT), libc::SIG_IGN);
    });
}

#[test]
fn a_signal_kills_again_once_its_last_listener_is_gone() {
    if child::role().is_some() {
        return bounded(|| {
            annulus::run(async {
                let interrupt = ctrl_c();
                let mut listener = listen(SIGINT);
                (0..3).for_each(|_| raise(SIGINT));
                interrupt.await.unwrap();
                assert_eq!(listener.take_pending(), 3);
                // It has heard all that it wants, and must not keep the signal from its effect.
                let heard = ctrl_c();
                raise(SIGINT);
                drop(listener);
                eprintln!("gone");
                raise(SIGINT);
                heard.await.unwrap();
                eprintln!("survived");
            })
            .unwrap();
        });
    }
    let ended = Program::start(&mut child::command(this_test!(), "listens")).ended();
    assert_eq!(
        (&ended.stderr[..], ended.status.signal()),
        (&["gone".to_owned()][..], Some(SIGINT))
    );
}

#[test]
fn a_forked_child_has_no_listener_and_its_parent_is_not_told() {
    alone(this_test!(), async || {
        let mut listener = listen(SIGUSR1);
        assert!(poll_once(&mut pin!(listener.recv())).is_pending());
        yield_now().await;
        // SAFETY: the child calls nothing but what a handler may call.
        let child = unsafe { libc::fork() };
        if child == 0 {
            // SAFETY: neither call touches memory.
            unsafe {
                libc::raise(SIGUSR1);
                libc::_exit(9);
            }
        }
        let mut status = 0;
        // SAFETY: the call writes one integer.
        assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
        assert!(libc::WIFSIGNALED(status), "{status:#x}");
        assert_eq!(libc::WTERMSIG(status), SIGUSR1);
        assert!(is_silent(&mut listener).await);
        raise(SIGUSR1);
        assert_eq!(listener.recv().await, Some(()));
    });
}

/// The child shares the bell with its parent. A wait of the child would silence the bell, and wait
/// for ever for a signal of its own.
#[test]
fn a_listener_that_a_forked_child_has_inherited_ends_there() {
    isolated(this_test!(), || {
        let mut listener = listen(SIGUSR1);
        let waits =
            |listener: &mut Signal| run(async move { poll_once(&mut pin!(listener.recv())) });
        assert!(waits(&mut listener).is_pending());
        // SAFETY: this process has one other thread at most, which ends it if it hangs.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let has_ended = catch_unwind(AssertUnwindSafe(|| {
                Runtime::new()
                    .unwrap()
                    .block_on(async { poll_once(&mut pin!(listener.recv())) == Poll::Ready(None) })
            }));
            // SAFETY: the call touches no memory.
            unsafe { libc::_exit(i32::from(!has_ended.unwrap_or(false))) };
        }
        let mut status = 0;
        // SAFETY: the call writes one integer.
        assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
        assert_eq!(status, 0, "the child's listener waits");
        raise(SIGUSR1);
        assert!(waits(&mut listener).is_ready());
    });
}

/// A thread of a program in another language may have no room for a handler on its own stack.
#[test]
fn the_handler_runs_on_the_stack_that_a_thread_has_for_handlers() {
    alone(this_test!(), async || {
        let _listener = listen(SIGUSR1);
        assert_ne!(action(SIGUSR1).sa_flags & libc::SA_ONSTACK, 0);
    });
}

#[test]
fn a_listener_for_sigchld_takes_no_status_from_code_that_waits_for_its_children() {
    alone(this_test!(), async || {
        let mut listener = listen(SIGCHLD);
        for code in [0, 3] {
            let status = Command::new("sh").arg("-c").arg(format!("exit {code}")).status();
            assert_eq!(status.unwrap().code(), Some(code));
            assert_eq!(listener.recv().await, Some(()));
            listener.take_pending();
        }
    });
}

/// A process that ignores SIGCHLD has no zombies. A listener must not make any.
#[test]
fn children_that_the_kernel_reaps_are_still_reaped_so_while_sigchld_is_listened_for() {
    alone(this_test!(), async || {
        install(SIGCHLD, libc::SIG_IGN);
        let mut listener = listen(SIGCHLD);
        let mut child = Command::new("true").spawn().unwrap();
        assert_eq!(listener.recv().await, Some(()));
        assert_eq!(child.wait().unwrap_err().raw_os_error(), Some(libc::ECHILD));
    });
}

#[test]
fn a_blocking_read_that_a_signal_interrupts_continues() {
    alone(this_test!(), async || {
        let mut listener = listen(SIGUSR1);
        let (mut near, mut far) = std::os::unix::net::UnixStream::pair().unwrap();
        let (tell, told) = mpsc::channel();
        let reader = thread::spawn(move || {
            // SAFETY: the call has no conditions.
            tell.send(unsafe { libc::pthread_self() }).unwrap();
            let mut byte = [0];
            near.read(&mut byte).map(|count| (count, byte[0]))
        });
        let id = told.recv().unwrap();
        for _ in 0..20 {
            // SAFETY: the thread has not ended, as it waits for a byte.
            assert_eq!(unsafe { libc::pthread_kill(id, SIGUSR1) }, 0);
            assert_eq!(listener.recv().await, Some(()));
        }
        assert_ne!(action(SIGUSR1).sa_flags & libc::SA_RESTART, 0);
        far.write_all(b"x").unwrap();
        assert_eq!(reader.join().unwrap().unwrap(), (1, b'x'));
    });
}

#[test]
fn a_task_that_takes_thousands_of_deliveries_leaves_others_their_polls() {
    alone(this_test!(), async || {
        const DELIVERIES: usize = 5000;
        let mut listener = listen(SIGUSR1);
        (0..DELIVERIES).for_each(|_| raise(SIGUSR1));
        let taken = Rc::new(Cell::new(0));
        let its = Rc::clone(&taken);
        let taking = spawn(async move {
            while its.get() < DELIVERIES {
                assert_eq!(listener.recv().await, Some(()));
                its.set(its.get() + 1);
            }
        });
        yield_now().await;
        yield_now().await;
        assert!((1..DELIVERIES / 2).contains(&taken.get()), "{}", taken.get());
        taking.await.unwrap();
    });
}
