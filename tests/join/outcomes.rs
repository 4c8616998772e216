//! A panic of a task is taken, looked at, or reported: also when many tasks are waited for
//! together.

use std::future::pending;
use std::time::Duration;

use annulus::join::{ReturnWhen, gather, try_gather, wait};
use annulus::task::JoinHandle;
use annulus::time::sleep;
use annulus::{spawn, yield_now};

use crate::common::incidents::Incidents;
use crate::common::poll::{once, times, until};
use crate::common::watchdog::{block_on, run};

/// Three tasks, of which the second panics.
fn three() -> Vec<JoinHandle<usize>> {
    (0..3)
        .map(|number| spawn(async move { if number == 1 { panic!("one") } else { number } }))
        .collect()
}

/// Runs a future, and says what is reported.
fn reported(future: impl Future<Output = ()>) -> Vec<String> {
    let incidents = Incidents::default();
    block_on(&incidents.runtime(), future);
    incidents.take_messages()
}

#[test]
fn outcomes_that_are_dropped_unseen_report_their_panics() {
    let dropped = async {
        let _ = gather(three()).await;
    };
    assert_eq!(reported(dropped), ["task: one"]);
}

#[test]
fn outcomes_that_are_looked_at_or_taken_report_nothing() {
    assert!(reported(async { assert!(gather(three()).await[1].is_err()) }).is_empty());
    let looked_at = async {
        let outcomes = gather(three()).await;
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 2);
        assert_eq!((&outcomes).into_iter().count(), outcomes.len());
        assert!(!outcomes.is_empty() && format!("{outcomes:?}").contains("Panicked"));
    };
    assert!(reported(looked_at).is_empty());
    let taken = async {
        let outcomes: Vec<_> = gather(three()).await.into_iter().collect();
        assert!(matches!(outcomes[..], [Ok(0), Err(_), Ok(2)]));
    };
    assert!(reported(taken).is_empty());
}

#[test]
fn outcomes_that_are_taken_in_part_report_the_panics_among_the_rest() {
    let taken = async { assert!(gather(three()).await.into_iter().next().unwrap().is_ok()) };
    assert_eq!(reported(taken), ["task: one"]);
}

#[test]
fn a_gather_that_is_dropped_in_the_middle_reports_the_panics_it_has_waited_for() {
    let dropped = async {
        let mut tasks = three();
        tasks.push(spawn(pending()));
        assert!(times(3, gather(tasks)).await.is_none());
    };
    assert_eq!(reported(dropped), ["task: one"]);
}

#[test]
fn handles_that_wait_gives_back_report_panics_unless_they_are_looked_at() {
    for when in [ReturnWhen::AllCompleted, ReturnWhen::FirstException] {
        let dropped = async { assert!(!wait(three(), when, None).await.0.is_empty()) };
        assert_eq!(reported(dropped), ["task: one"], "{when:?}");
        let looked_at = async {
            let (done, _) = wait(three(), when, None).await;
            assert!(done.iter().any(|task| matches!(task.outcome(), Some(Err(_)))));
        };
        assert!(reported(looked_at).is_empty(), "{when:?}");
    }
}

#[test]
fn a_look_before_the_end_does_not_count() {
    let looked_at_early = async {
        let task = spawn(async { panic!("later") });
        assert!(task.outcome().is_none());
        until(|| task.is_finished()).await;
        drop::<JoinHandle<()>>(task);
    };
    assert_eq!(reported(looked_at_early), ["task: later"]);
}

#[test]
fn collections_of_handles_are_gathered_by_mut() {
    run(async {
        let mut tasks: Vec<_> = (0..3).map(|number| spawn(async move { number })).collect();
        let outcomes: Vec<_> = gather(&mut tasks).await;
        assert!(outcomes.into_iter().map(Result::unwrap).eq(0..3));
        let mut tasks = [4, 5].map(|number| spawn(async move { number }));
        assert_eq!(gather(&mut tasks).await.map(Result::unwrap), [4, 5]);
        let mut tasks = [6, 7, 8].map(|number| spawn(async move { number }));
        let outcomes = gather(&mut tasks[1..]).await;
        assert!(outcomes.into_iter().map(Result::unwrap).eq([7, 8]));
        assert!(tasks[0].outcome().is_some(), "it is left");
        let mut futures = [1, 2].map(|millis| Box::pin(sleep(Duration::from_millis(millis))));
        assert_eq!(gather(&mut futures).await, [(), ()]);
    });
}

#[test]
fn collections_of_handles_are_gathered_by_mut_until_one_fails() {
    run(async {
        let mut tasks: Vec<_> = (0..3).map(|number| spawn(async move { number })).collect();
        assert_eq!(try_gather(&mut tasks).await.unwrap(), [0, 1, 2]);
        let mut tasks = [4, 5].map(|number| spawn(async move { number }));
        assert_eq!(try_gather(&mut tasks).await.unwrap(), [4, 5]);
        let mut tasks = [spawn(pending()), spawn(async { 7 }), spawn(pending())];
        tasks[2].cancel();
        let error = try_gather(&mut tasks[..]).await.unwrap_err();
        assert!(error.is_cancelled() && !tasks[0].is_finished(), "it goes on");
    });
}

#[test]
fn a_gather_by_mut_that_is_dropped_leaves_the_tasks() {
    run(async {
        let mut tasks = [3, 1].map(|turns| {
            spawn(async move {
                for _ in 0..turns {
                    yield_now().await;
                }
                turns
            })
        });
        assert!(once(Box::pin(gather(&mut tasks)).as_mut()).await.is_pending());
        assert_eq!(gather(&mut tasks).await.map(Result::unwrap), [3, 1]);
    });
}
