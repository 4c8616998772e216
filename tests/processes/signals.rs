//! `ctrl_c` beside others who have to do with SIGINT. Each test runs in a process of its own.

use std::mem;
use std::pin::pin;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use annulus::signal::ctrl_c;
use annulus::time::timeout;
use annulus::yield_now;
use libc::SIGINT;

use crate::common::child::isolated;
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
    // SAFETY: `sigaction` is plain data, for which all zeroes is valid.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    action.sa_sigaction = handler as usize;
    // SAFETY: the handlers of this file do only what handlers may.
    assert_eq!(unsafe { libc::sigaction(SIGINT, &action, ptr::null_mut()) }, 0);
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
            assert_eq!(installed(), libc::SIG_DFL, "a second one is hard");
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
