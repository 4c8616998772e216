//! `shield`: work that continues when the task that awaits it is gone.

use std::future::pending;
use std::time::Duration;

use annulus::join::{CancelToken, Shield, gather, shield};
use annulus::time::{timeout, wait_for};
use annulus::{Runtime, spawn, yield_now};

use crate::common::conditions::poll_once;
use crate::common::drops::{Drops, Guard};
use crate::common::incidents::Incidents;
use crate::common::watchdog::{block_on, run};

async fn after(turns: usize) -> usize {
    for _ in 0..turns {
        yield_now().await;
    }
    turns
}

/// Runs on a runtime whose end waits for nothing.
fn run_briefly<F: Future>(future: F) -> F::Output {
    let runtime = Runtime::builder().shield_timeout(Duration::ZERO).on_incident(|_| {});
    block_on(&runtime.build().unwrap(), future)
}

async fn endless(guard: Guard) -> usize {
    let _guard = guard;
    pending().await
}

#[test]
fn a_shield_gives_the_output_or_what_the_task_ended_with() {
    run(async {
        assert_eq!(shield(after(3)).await.unwrap(), 3);
        assert!(shield(async { panic!("of the task") }).await.unwrap_err().is_panic());
        let inner = spawn(pending::<()>());
        inner.cancel();
        assert!(Shield::from(inner).await.unwrap_err().is_cancelled());
    });
}

#[test]
fn a_dropped_shield_leaves_its_task_running() {
    let drops = Drops::default();
    run_briefly(async {
        let guard = drops.guard();
        let mut shielded = shield(async move {
            after(5).await;
            drop(guard);
        });
        assert!(poll_once(&mut shielded).is_pending());
        drop(shielded);
        drop(shield(endless(drops.guard())));
        after(9).await;
        assert_eq!(drops.count(), 1);
    });
    assert_eq!(drops.count(), 2, "a runtime's end ends it all the same");
}

#[test]
fn a_shielded_task_begins_without_being_awaited() {
    let drops = Drops::default();
    run(async {
        let guard = drops.guard();
        let _shielded = shield(async move { drop(guard) });
        yield_now().await;
        assert_eq!(drops.count(), 1);
    });
}

#[test]
fn a_timeout_of_a_shield_cancels_nothing_and_it_can_be_awaited_again() {
    let drops = Drops::default();
    run(async {
        let start = CancelToken::new();
        let its = start.clone();
        let mut shielded = shield(async move {
            its.cancelled().await;
            "done"
        });
        timeout(Duration::ZERO, &mut shielded).await.unwrap_err();
        start.cancel();
        assert_eq!(shielded.await.unwrap(), "done");
        let limit = Duration::from_millis(1);
        let mut shielded = shield(endless(drops.guard()));
        wait_for(&mut shielded, limit).await.unwrap_err();
        let handle = shielded.into_handle();
        assert!(!handle.is_finished());
        handle.cancel();
        assert!(handle.await.unwrap_err().is_cancelled());
    });
}

#[test]
fn a_gather_of_shields_that_is_dropped_cancels_none_of_them() {
    let drops = Drops::default();
    run_briefly(async {
        let all = gather([shield(endless(drops.guard())), shield(endless(drops.guard()))]);
        timeout(Duration::from_millis(1), all).await.unwrap_err();
        after(2).await;
        assert_eq!(drops.count(), 0);
    });
}

#[test]
fn a_shielded_gather_goes_on() {
    let drops = Drops::default();
    run(async {
        let children = [1, 2].map(|turns| {
            let guard = drops.guard();
            async move {
                after(turns).await;
                drop(guard);
            }
        });
        drop(shield(gather(children)));
        after(9).await;
        assert_eq!(drops.count(), 2);
    });
}

#[test]
fn a_panic_after_the_shield_was_dropped_is_reported() {
    let incidents = Incidents::default();
    block_on(&incidents.runtime(), async {
        drop(shield(async { panic!("unawaited") }));
        yield_now().await;
    });
    assert_eq!(incidents.take_messages(), ["task: unawaited"]);
}

#[test]
fn shielded_work_that_is_ready_at_the_end_is_polled_whatever_the_limit() {
    let incidents = Incidents::default();
    let hook = incidents.clone();
    let runtime = Runtime::builder().shield_timeout(Duration::ZERO).max_polls_per_turn(3);
    let runtime = runtime.on_incident(move |incident| hook.report(incident)).build().unwrap();
    let drops = Drops::default();
    block_on(&runtime, async {
        for _ in 0..10 {
            let guard = drops.guard();
            drop(shield(async move { drop(guard) }));
        }
        drop(shield(pending::<()>()));
    });
    assert_eq!(drops.count(), 0);
    drop(runtime);
    assert_eq!(drops.count(), 10);
    let messages = incidents.take_messages();
    assert!(messages.len() == 1 && messages[0].contains("before 1 shielded"), "{messages:?}");
}
