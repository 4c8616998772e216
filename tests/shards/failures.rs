//! Shards that fail, and are stopped or restarted.

use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use annulus::net::TcpListener;
use annulus::shards::{OnFailure, RestartOptions, Shard, ShardsBuilder, ShardsError};
use annulus::task::JoinError;
use annulus::{Builder, Incident, Shards, Shutdown};

use crate::common::bounded::bounded;
use crate::common::conditions::until;
use crate::common::drops::{Drops, OnDrop};
use crate::common::incidents::Incidents;
use crate::common::panics::panic_of;

const SOON: Duration = Duration::from_millis(20);

fn shards(count: usize) -> ShardsBuilder {
    Shards::builder().count(count)
}

/// Shards whose incidents are kept, and that restart at once, up to `max` times each.
fn restarting(count: usize, max: usize, incidents: &Incidents) -> ShardsBuilder {
    let its = incidents.clone();
    let runtime = move |_| {
        let incidents = its.clone();
        Builder::new().on_incident(move |incident| incidents.report(incident))
    };
    let restarts = RestartOptions::new()
        .backoff(Duration::ZERO, Duration::ZERO)
        .max_restarts(max, Duration::from_secs(3600));
    shards(count).runtime(runtime).on_failure(OnFailure::Restart(restarts))
}

fn count_restarts(incidents: &Incidents, shard: usize) -> usize {
    let shards = incidents.take().into_iter().filter_map(|incident| match incident {
        Incident::ShardRestarted { shard, .. } => Some(shard),
        _ => None,
    });
    shards.filter(|&its| its == shard).count()
}

#[test]
fn a_panic_requests_the_shutdown_of_the_others_and_is_resumed() {
    let others = AtomicUsize::new(0);
    let run = || {
        shards(3).run(async |shard| {
            if shard.index() == 1 {
                annulus::yield_now().await;
                panic!("of shard 1");
            }
            shard.shutdown().requested().await;
            others.fetch_add(1, Ordering::SeqCst);
        })
    };
    assert_eq!(bounded(|| panic_of(run)), "of shard 1");
    assert_eq!(others.into_inner(), 2);
}

#[test]
fn an_error_requests_the_shutdown_of_the_others_and_is_among_the_results() {
    let run = || {
        shards(2).run(async |shard| {
            if shard.index() == 0 {
                return Err("no port");
            }
            shard.shutdown().requested().await;
            Ok(shard.index())
        })
    };
    assert_eq!(bounded(run).unwrap(), [Err("no port"), Ok(1)]);
}

#[test]
fn a_closure_that_does_not_heed_the_shutdown_is_cancelled_after_the_timeout() {
    let (drops, begun) = (Drops::default(), AtomicUsize::new(0));
    let run = || {
        shards(3).stop_timeout(SOON).run(async |shard| {
            if shard.index() == 1 {
                until(|| begun.load(Ordering::SeqCst) == 2).await;
                return Err("no port");
            }
            let _guard = drops.guard();
            begun.fetch_add(1, Ordering::SeqCst);
            pending::<Result<(), _>>().await
        })
    };
    let error = bounded(run).unwrap_err();
    let ShardsError::Cancelled { shards, failure } = &error else { panic!("{error}") };
    assert_eq!((&shards[..], failure), (&[0, 2][..], &Some((1, "no port".to_owned()))));
    assert_eq!(error.to_string(), "shard 1 has failed: no port; cancelled shards: 0, 2");
    assert_eq!(error.shard(), Some(1));
    assert_eq!(drops.count(), 2);
}

/// Shard 0 panics. Shard 1 asks it for an answer afterwards, and gets it.
#[test]
fn a_shard_that_has_panicked_answers_the_others_until_they_have_ended() {
    let answers = AtomicUsize::new(0);
    let run = || {
        shards(2).run(async |shard| {
            assert!(shard.index() != 0, "shard 0 panics");
            shard.shutdown().requested().await;
            let answer = shard.handle(0).call(|| Shard::current().index()).unwrap();
            answers.fetch_add(1 + answer.await.unwrap(), Ordering::SeqCst);
        })
    };
    assert_eq!(bounded(|| panic_of(run)), "shard 0 panics");
    assert_eq!(answers.into_inner(), 1);
}

/// Shard 0 has returned, and shard 1 waits for a task on it that never ends: it is cancelled when
/// another shard fails.
#[test]
fn a_wait_for_a_task_that_never_ends_does_not_outlive_a_failure() {
    let waits = AtomicUsize::new(0);
    let run = || {
        shards(3).stop_timeout(SOON).run(async |shard| match shard.index() {
            0 => {
                waits.fetch_add(1, Ordering::SeqCst);
                Ok(())
            }
            1 => {
                let never = shard.handle(0).spawn(pending::<()>).unwrap();
                waits.fetch_add(1, Ordering::SeqCst);
                never.await.unwrap();
                Ok(())
            }
            _ => {
                until(|| waits.load(Ordering::SeqCst) == 2).await;
                Err("fails")
            }
        })
    };
    let error = bounded(run).unwrap_err();
    assert!(matches!(&error, ShardsError::Cancelled { shards, .. } if shards == &[1]), "{error}");
}

#[test]
fn a_handle_stops_the_closure_of_one_shard_and_the_others_continue() {
    let run = || {
        shards(3).run(async |shard| match shard.index() {
            0 => pending().await,
            1 => {
                shard.handle(0).stop();
                // It still runs its tasks, stops or not.
                for _ in 0..10 {
                    shard.handle(0).stop();
                    shard.handle(0).call(|| ()).unwrap().await.unwrap();
                }
                shard.handle(2).call(|| ()).unwrap().await.unwrap();
            }
            _ => assert!(!shard.shutdown().is_requested()),
        })
    };
    let error = bounded(run).unwrap_err();
    let ShardsError::Cancelled { shards, failure: None } = &error else { panic!("{error}") };
    assert_eq!(shards, &[0]);
    assert_eq!(error.to_string(), "the closures of these shards were cancelled: 0");
}

#[test]
fn a_destructor_that_panics_at_the_end_of_a_runtime_is_an_incident() {
    let (drops, incidents) = (Drops::default(), Incidents::default());
    let run = || {
        restarting(2, 0, &incidents).run(async |_| {
            let bomb = drops.bomb("at the end");
            drop(annulus::spawn(async move {
                let _bomb = bomb;
                pending::<()>().await;
            }));
            annulus::yield_now().await;
        })
    };
    bounded(run).unwrap();
    assert_eq!(drops.count(), 2);
    assert_eq!(incidents.take_messages(), ["task: at the end"; 2]);
}

#[test]
fn a_destructor_that_panics_when_a_closure_is_cancelled_is_the_panic_of_its_shard() {
    let (drops, begun) = (Drops::default(), AtomicUsize::new(0));
    let run = || {
        shards(2).stop_timeout(Duration::ZERO).run(async |shard| {
            if shard.index() == 0 {
                until(|| begun.load(Ordering::SeqCst) == 1).await;
                return Err("fails");
            }
            let _bomb = drops.bomb("when it is cancelled");
            begun.fetch_add(1, Ordering::SeqCst);
            pending::<Result<(), _>>().await
        })
    };
    assert_eq!(bounded(|| panic_of(run)), "when it is cancelled");
}

/// Shard 1 panics in its first two lives, when a task of shard 0 waits there. The handle that shard
/// 0 has had from the beginning reaches the third life.
#[test]
fn a_shard_that_restarts_is_reached_by_the_handles_of_before() {
    static WAITS: AtomicUsize = AtomicUsize::new(0);
    let (incidents, lives) = (Incidents::default(), AtomicUsize::new(0));
    let run = || {
        restarting(2, 5, &incidents).run(async |shard| {
            if shard.index() == 1 {
                let life = lives.fetch_add(1, Ordering::SeqCst) + 1;
                if life < 3 {
                    until(|| WAITS.load(Ordering::SeqCst) >= life).await;
                    panic!("in life {life}");
                }
                return;
            }
            let handle = shard.handle(1).clone();
            for life in 1..=2 {
                until(|| lives.load(Ordering::SeqCst) >= life).await;
                let waits = || async {
                    WAITS.fetch_add(1, Ordering::SeqCst);
                    pending::<()>().await;
                };
                let outcome = handle.spawn(waits).unwrap().await;
                assert!(matches!(outcome, Err(JoinError::Ended)), "{outcome:?}");
            }
            until(|| lives.load(Ordering::SeqCst) >= 3).await;
            let index = handle.call(|| Shard::current().index()).unwrap().await.unwrap();
            assert_eq!(index, 1);
            assert!(!handle.is_ended());
            // And by messages.
            assert_eq!(shard.run_on(1, || Shard::current().index()).await.unwrap(), 1);
        })
    };
    bounded(run).unwrap();
    assert_eq!(lives.into_inner(), 3);
    assert_eq!(count_restarts(&incidents, 1), 2);
}

#[test]
fn a_shard_that_returns_an_error_restarts_alone() {
    let (incidents, calls) = (Incidents::default(), [const { AtomicUsize::new(0) }; 2]);
    let run = || {
        restarting(2, 5, &incidents).run(async |shard| {
            let call = calls[shard.index()].fetch_add(1, Ordering::SeqCst) + 1;
            if shard.index() == 1 && call < 4 { Err(format!("call {call}")) } else { Ok(call) }
        })
    };
    assert_eq!(bounded(run).unwrap(), [Ok(1), Ok(4)]);
    let texts: Vec<_> = incidents.take().iter().map(ToString::to_string).collect();
    let expected = |call| format!("shard 1 has failed and restarts in 0ns: call {call}");
    assert_eq!(texts, [expected(1), expected(2), expected(3)]);
}

#[test]
fn a_shard_that_fails_too_often_stops_all() {
    let (incidents, calls) = (Incidents::default(), AtomicUsize::new(0));
    let run = || {
        restarting(2, 3, &incidents).run(async |shard| {
            if shard.index() == 0 {
                return shard.shutdown().requested().await;
            }
            panic!("call {}", calls.fetch_add(1, Ordering::SeqCst) + 1);
        })
    };
    assert_eq!(bounded(|| panic_of(run)), "call 4");
    assert_eq!(count_restarts(&incidents, 1), 3);
}

/// While the runtime of a life ends, the destructor of a task calls its own shard by the handle.
#[test]
fn between_two_lives_a_handle_says_that_the_runtime_has_ended() {
    let (incidents, calls) = (Incidents::default(), AtomicUsize::new(0));
    static REFUSED: AtomicUsize = AtomicUsize::new(0);
    let run = || {
        restarting(1, 1, &incidents).run(async |shard| {
            if calls.fetch_add(1, Ordering::SeqCst) == 1 {
                shard.handle(0).call(|| ()).unwrap().await.unwrap();
                return Ok(());
            }
            let refused = OnDrop(|| {
                let shard = Shard::current();
                let is_ended = shard.handle(0).call(|| ()).is_err_and(|error| error.is_ended());
                assert!(is_ended && shard.handle(0).is_ended());
                REFUSED.fetch_add(1, Ordering::SeqCst);
            });
            drop(annulus::spawn(async move {
                let _refused = refused;
                pending::<()>().await;
            }));
            Err("fails")
        })
    };
    assert_eq!(bounded(run).unwrap(), [Ok(())]);
    assert_eq!(REFUSED.load(Ordering::SeqCst), 1);
}

/// The failing life's runtime ends when its task's destructor stops the shard: the old queue serves
/// nothing any more, and the next life has none yet.
#[test]
fn a_stop_between_two_lives_of_a_shard_ends_it() {
    let (incidents, calls) = (Incidents::default(), AtomicUsize::new(0));
    let run = || {
        restarting(2, 50, &incidents).run(async |shard| {
            if shard.index() == 0 {
                return Ok(());
            }
            if calls.fetch_add(1, Ordering::SeqCst) == 0 {
                let stops = OnDrop(|| Shard::current().handle(1).stop());
                drop(annulus::spawn(async move {
                    let _stops = stops;
                    pending::<()>().await;
                }));
                annulus::yield_now().await;
            }
            Err("fails")
        })
    };
    let error = bounded(run).unwrap_err();
    assert!(matches!(&error, ShardsError::Cancelled { shards, .. } if shards == &[1]), "{error}");
    assert_eq!(error.to_string(), "shard 1 has failed: fails; cancelled shards: 1");
    assert_eq!((calls.into_inner(), count_restarts(&incidents, 1)), (1, 1));
}

/// The stop is one of the life that fails, whose closure returns before it heeds it.
#[test]
fn a_shard_that_fails_while_it_is_stopped_does_not_restart() {
    let (incidents, calls) = (Incidents::default(), AtomicUsize::new(0));
    let run = || {
        restarting(1, 50, &incidents).run(async |shard| {
            calls.fetch_add(1, Ordering::SeqCst);
            annulus::Handle::current().stop();
            shard.handle(0).stop();
            Err::<(), _>("fails")
        })
    };
    let error = bounded(run).unwrap_err();
    assert!(matches!(error, ShardsError::Cancelled { .. }), "{error:?}");
    assert_eq!(calls.into_inner(), 1);
}

/// The delay before the restart is an hour.
#[test]
fn a_stop_ends_the_wait_for_a_restart_and_the_other_shards_continue() {
    let restarts = RestartOptions::new().backoff(Duration::from_secs(3600), Duration::MAX);
    let incidents = Incidents::default();
    let shards = restarting(2, 1, &incidents).on_failure(OnFailure::Restart(restarts));
    let run = || {
        shards.run(async |shard| {
            if shard.index() == 1 {
                return Err("fails");
            }
            until(|| incidents.count() > 0).await;
            shard.handle(1).stop();
            annulus::time::sleep(SOON).await;
            assert!(!shard.shutdown().is_requested());
            Ok(())
        })
    };
    let error = bounded(run).unwrap_err();
    assert!(matches!(&error, ShardsError::Cancelled { shards, .. } if shards == &[1]), "{error}");
    assert_eq!(error.to_string(), "shard 1 has failed: fails; cancelled shards: 1");
}

/// The delay before the restart is an hour. The runtime of the next life serves calls meanwhile,
/// one of which requests the shutdown.
#[test]
fn a_shutdown_ends_the_wait_for_a_restart() {
    let restarts = RestartOptions::new().backoff(Duration::from_secs(3600), Duration::MAX);
    let (incidents, shutdown) = (Incidents::default(), Shutdown::new());
    let shards =
        restarting(2, 1, &incidents).on_failure(OnFailure::Restart(restarts)).shutdown(shutdown);
    let run = || {
        shards.run(async |shard| {
            if shard.index() == 1 {
                return Err("fails");
            }
            until(|| incidents.count() > 0).await;
            let requests = || Shard::current().shutdown().request();
            // One that the former runtime has taken ends with it.
            while !shard.shutdown().is_requested() {
                match shard.handle(1).call(requests) {
                    Ok(call) => drop(call.await),
                    Err(_) => annulus::yield_now().await,
                }
            }
            Ok(())
        })
    };
    assert_eq!(bounded(run).unwrap(), [Ok(()), Err("fails")]);
}

/// Shard 1 listens and fails. Its next life listens beside shard 0 again, which has been serving.
#[test]
fn a_shard_that_restarts_shares_the_port_of_the_others_again() {
    let (incidents, lives) = (Incidents::default(), AtomicUsize::new(0));
    let listens = AtomicUsize::new(0);
    let run = || {
        restarting(2, 5, &incidents).run(async |shard| {
            if shard.index() == 1 {
                until(|| listens.load(Ordering::SeqCst) == 1).await;
            }
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            if shard.index() == 1 && lives.fetch_add(1, Ordering::SeqCst) == 0 {
                return Err("fails");
            }
            listens.fetch_add(1, Ordering::SeqCst);
            until(|| listens.load(Ordering::SeqCst) == 2).await;
            Ok(port)
        })
    };
    let ports = bounded(run).unwrap();
    assert_eq!(ports[0], ports[1]);
    assert_eq!(lives.into_inner(), 2);
}
