//! `ctrl_c` beside others who have to do with SIGINT. Each test runs in a process of its own.

use std::mem;
use std::os::unix::process::ExitStatusExt;
use std::pin::pin;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use annulus::signal::{SignalKind, ctrl_c, signal};
use annulus::time::timeout;
use annulus::yield_now;
use libc::SIGINT;

use crate::common::child::{self, isolated};
use crate::common::conditions::poll_once;
use crate::common::watchdog::run;
use crate::this_test;

/// Runs a test's body in a process of its own.
fn alone(test: &str, body: impl AsyncFnOnce()) {
    isolated(test, || run(body()));
}

static HEARD: AtomicUsize = AtomicUsize::new(0);

/// A handler of the program's own.
extern "C" fn hear(_signal: libc::c_int) {
    HEARD.fetch_add(1, Ordering::SeqCst);
}

fn install(handler: extern "C" fn(libc::c_int)) {
    replace(handler as usize);
}

/// Installs a handler, and returns the one that it has replaced.
fn replace(handler: usize) -> usize {
    // SAFETY: `sigaction` is plain data, for which all zeroes is valid.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    let mut replaced = action;
    action.sa_sigaction = handler;
    // SAFETY: the handlers of this process do only what handlers may.
    assert_eq!(unsafe { libc::sigaction(SIGINT, &action, &mut replaced) }, 0);
    replaced.sa_sigaction
}

fn address(handler: extern "C" fn(libc::c_int)) -> usize {
    handler as usize
}

/// The handler that is installed.
fn installed() -> usize {
    // SAFETY: `sigaction` is plain data, for which all zeroes is valid.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    // SAFETY: the call writes one `sigaction`.
    assert_eq!(unsafe { libc::sigaction(SIGINT, ptr::null(), &mut action) }, 0);
    action.sa_sigaction
}

fn raise() {
    // SAFETY: the handlers of this process do only what handlers may.
    assert_eq!(unsafe { libc::raise(SIGINT) }, 0);
}

fn heard() -> usize {
    HEARD.load(Ordering::SeqCst)
}

#[test]
fn a_handler_that_is_installed_while_ctrl_c_listens_stays() {
    alone(this_test!(), async || {
        let listening = ctrl_c();
        install(hear);
        drop(listening);
        raise();
        assert_eq!((heard(), installed()), (1, address(hear)));
        // Also where it was installed over one that had heard.
        let listening = ctrl_c();
        raise();
        listening.await.unwrap();
        let listening = ctrl_c();
        install(hear);
        let other = ctrl_c();
        drop((listening, other));
        raise();
        assert_eq!((heard(), installed()), (2, address(hear)));
    });
}

#[test]
fn a_handler_from_before_is_put_back_whether_ctrl_c_has_come_or_not() {
    alone(this_test!(), async || {
        let hears = address(hear);
        install(hear);
        drop(ctrl_c());
        raise();
        assert_eq!(heard(), 1);
        for _ in 0..3 {
            let listening = ctrl_c();
            raise();
            assert_ne!(installed(), hears, "a second one is hard");
            listening.await.unwrap();
            assert_eq!((heard(), installed()), (1, hears), "it was not called meanwhile");
        }
        raise();
        assert_eq!(heard(), 2);
    });
}

#[test]
fn what_a_signal_does_by_default_is_put_back_after_each_that_was_heard() {
    alone(this_test!(), async || {
        for _ in 0..3 {
            let listening = ctrl_c();
            assert_ne!(installed(), libc::SIG_DFL);
            raise();
            listening.await.unwrap();
            assert_eq!(installed(), libc::SIG_DFL);
            drop(ctrl_c());
            assert_eq!(installed(), libc::SIG_DFL);
        }
    });
}

/// As `system` does with SIGINT while its command runs.
#[test]
fn a_ctrl_c_kills_although_other_code_has_put_the_handler_back_that_it_had_replaced() {
    if child::role().is_some() {
        let listening = ctrl_c();
        let ours = replace(libc::SIG_IGN);
        drop(listening);
        replace(ours);
        // One that listens meanwhile puts back what there was before.
        drop(ctrl_c());
        assert_eq!(installed(), libc::SIG_DFL);
        replace(ours);
        raise();
        unreachable!("ctrl-c has killed the process");
    }
    let status = child::command(this_test!(), "killed").status().unwrap();
    assert_eq!(status.signal(), Some(SIGINT));
}

/// The handler runs on another thread, which has many more listeners to tell when the first one's
/// task has been woken and listens again.
#[test]
fn a_signal_that_a_listener_has_heard_is_not_told_again_to_the_one_that_follows() {
    alone(this_test!(), async || {
        for _ in 0..20 {
            let mut first = signal(SignalKind::interrupt()).unwrap();
            let others: Vec<_> =
                (0..200).map(|_| signal(SignalKind::interrupt()).unwrap()).collect();
            let raising = thread::spawn(raise);
            first.recv().await.unwrap();
            drop(first);
            let mut second = signal(SignalKind::interrupt()).unwrap();
            raising.join().unwrap();
            assert_eq!(second.take_pending(), 0);
            assert!(others.into_iter().all(|mut other| other.take_pending() == 1));
        }
    });
}

/// The handler of each signal may still run, on one thread, when the next comes to another.
#[test]
fn a_signal_right_after_another_is_heard_by_the_one_that_has_begun_to_listen() {
    alone(this_test!(), async || {
        let threads = [Raiser::new(), Raiser::new()];
        for raiser in threads.iter().cycle().take(2000) {
            let listening = ctrl_c();
            raiser.raise();
            listening.await.unwrap();
        }
    });
}

/// A thread that raises SIGINT whenever it is asked to.
struct Raiser(mpsc::Sender<()>);

impl Raiser {
    fn new() -> Self {
        let (sender, asked) = mpsc::channel();
        thread::spawn(move || asked.into_iter().for_each(|()| raise()));
        Self(sender)
    }

    fn raise(&self) {
        self.0.send(()).unwrap();
    }
}

#[test]
fn a_handler_that_calls_the_one_it_found_and_ctrl_c_both_hear() {
    alone(this_test!(), async || {
        let listening = ctrl_c();
        let flag = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(SIGINT, Arc::clone(&flag)).unwrap();
        raise();
        listening.await.unwrap();
        assert!(flag.swap(false, Ordering::SeqCst));
        raise();
        assert!(flag.swap(false, Ordering::SeqCst), "it stays");
        // Over it, and back.
        let listening = ctrl_c();
        raise();
        listening.await.unwrap();
        raise();
        assert!(flag.load(Ordering::SeqCst));
    });
}

#[test]
fn a_forked_child_is_killed_by_ctrl_c_and_its_parent_does_not_hear_of_it() {
    alone(this_test!(), async || {
        let mut listening = pin!(ctrl_c());
        assert!(poll_once(&mut listening).is_pending());
        yield_now().await;
        // SAFETY: the child calls nothing but what a handler may call.
        let child = unsafe { libc::fork() };
        if child == 0 {
            // SAFETY: neither call touches memory.
            unsafe {
                libc::raise(SIGINT);
                libc::_exit(9);
            }
        }
        let mut status = 0;
        // SAFETY: the call writes one integer.
        assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
        assert!(libc::WIFSIGNALED(status), "{status:#x}");
        assert_eq!(libc::WTERMSIG(status), SIGINT);
        timeout(Duration::from_millis(20), listening.as_mut()).await.unwrap_err();
        raise();
        listening.await.unwrap();
    });
}
