//! Entering and leaving the runtime beside.

use std::cell::Cell;
use std::future::pending;
use std::io::ErrorKind;
use std::rc::Rc;
use std::thread;

use annulus::Shards;
use annulus_compat::tokio::{Builder, beside};
use tokio::runtime::{Handle, Id};

use crate::common::bounded::bounded;
use crate::common::child::isolated;
use crate::common::watchdog::run;
use crate::this_test;

fn current_id() -> Option<Id> {
    Handle::try_current().ok().map(|handle| handle.id())
}

/// The text of a panic.
fn panic_text(panics: impl FnOnce() + Send + 'static) -> String {
    let payload = thread::spawn(panics).join().unwrap_err();
    let text = payload.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap()
}

#[test]
fn the_page_about_tokio_beside_quotes_the_panics_of_today() {
    const PAGE: &str = include_str!("../../../../docs/tokio-beside.md");
    let without = panic_text(|| drop(tokio::spawn(async {})));
    assert!(PAGE.starts_with(&format!("# {without}")), "{without}");
    let of_sqlx = panic_text(|| {
        run(async { sqlx::SqlitePool::connect("sqlite::memory:").await.map(drop).unwrap() });
    });
    assert!(PAGE.contains(&of_sqlx), "{of_sqlx}");
    let stopped = panic_text(|| {
        let outside = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let handle = outside.handle().clone();
        drop(outside);
        let _entered = handle.enter();
        run(tokio::time::sleep(std::time::Duration::from_secs(60)));
    });
    assert!(PAGE.contains(&stopped), "{stopped}");
}

#[test]
fn guards_of_a_thread_are_dropped_in_any_order() {
    bounded(|| {
        let (first, second, third) = (beside(), beside(), beside());
        let id = current_id();
        assert_eq!(id, Some(first.handle().id()));
        drop(first);
        drop(third);
        assert_eq!(current_id(), id);
        drop(second);
        assert_eq!(current_id(), None);
    });
}

#[test]
fn two_shards_share_one_tokio() {
    bounded(|| {
        let _tokio = beside();
        let ids = Shards::builder().count(2).run(async |_| {
            let tokio = beside();
            tokio::spawn(async {}).await.unwrap();
            (tokio.handle().id(),)
        });
        assert_eq!(ids.unwrap(), [(current_id().unwrap(),); 2]);
    });
}

/// Notes where it is dropped.
struct Witness(Rc<Cell<Option<bool>>>);

impl Drop for Witness {
    fn drop(&mut self) {
        self.0.set(Some(Handle::try_current().is_ok()));
    }
}

#[test]
fn destructors_of_tasks_find_tokio_when_the_guard_was_local_to_the_main_future() {
    let seen = Rc::new(Cell::new(None));
    run(async {
        let _tokio = beside();
        let witness = Witness(Rc::clone(&seen));
        drop(annulus::spawn(async move {
            let _witness = witness;
            pending::<()>().await;
        }));
        annulus::yield_now().await;
    });
    assert_eq!(seen.get(), Some(true));
}

#[test]
fn a_thread_that_keeps_tokio_leaves_it_with_its_next_guard() {
    run(async { drop(beside()) });
    assert!(current_id().is_some(), "the thread does not keep it");
    drop(beside());
    assert_eq!(current_id(), None);
}

#[test]
fn a_program_inside_of_tokio_is_inside_of_the_same_afterwards() {
    bounded(|| {
        let outer = tokio::runtime::Builder::new_current_thread().build().unwrap();
        outer.block_on(async {
            let before = current_id();
            let tokio = beside();
            assert_ne!(current_id(), before);
            annulus::run(async { tokio::spawn(async {}).await.unwrap() }).unwrap();
            drop(tokio);
            assert_eq!(current_id(), before);
            // Here the thread cannot keep it: that would be in the way of the outer runtime.
            annulus::run(async { drop(beside()) }).unwrap();
            assert_eq!(current_id(), before);
        });
    });
}

#[test]
fn a_guard_on_a_thread_of_tokios_changes_nothing() {
    bounded(|| {
        let tokio = beside();
        let id = tokio.handle().id();
        let inside = tokio.handle().spawn(async move {
            let guard = beside();
            let is_same = current_id() == Some(id);
            drop(guard);
            is_same && current_id() == Some(id)
        });
        assert!(tokio.handle().block_on(inside).unwrap());
    });
}

#[test]
fn a_guard_below_another_runtime_does_not_panic_when_it_is_dropped_first() {
    // On a thread of its own, whose context is not in order afterwards.
    let thread = thread::spawn(|| {
        let outer = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let tokio = beside();
        let _outer = outer.enter();
        drop(tokio);
    });
    thread.join().unwrap();
}

#[test]
fn a_configuration_is_refused_while_tokio_runs() {
    isolated(this_test!(), || {
        let tokio = Builder::new().worker_threads(2).thread_name("named").beside().unwrap();
        assert_eq!(tokio.handle().metrics().num_workers(), 2);
        let name = tokio.handle().spawn(async { thread::current().name().map(str::to_owned) });
        assert_eq!(tokio.handle().block_on(name).unwrap().as_deref(), Some("named"));
        let error = Builder::new().beside().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        drop(tokio);
        drop(Builder::new().beside().unwrap());
    });
}
