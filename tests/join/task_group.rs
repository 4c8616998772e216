//! `task_group`: children that borrow, none of which outlives the group, and the first failure ends
//! the others.

use std::cell::{Cell, RefCell};
use std::future::{Future, pending, poll_fn};
use std::io;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use annulus::join::{CancelToken, GroupError, TaskGroup, gather, task_group};
use annulus::time::{sleep, timeout};
use annulus::{spawn, yield_now};

use crate::common::conditions::{Log, poll_once};
use crate::common::drops::{Drops, Guard, OnDrop};
use crate::common::panics::{message, panic_of};
use crate::common::patience::patient;
use crate::common::watchdog::run;

async fn after(turns: usize) -> Result<usize, &'static str> {
    for _ in 0..turns {
        yield_now().await;
    }
    Ok(turns)
}

async fn fails(turns: usize, error: &'static str) -> Result<usize, &'static str> {
    after(turns).await?;
    Err(error)
}

async fn endless(guard: Guard) -> Result<usize, &'static str> {
    let _guard = guard;
    pending().await
}

// Without failures

#[test]
fn a_group_ends_when_the_body_and_all_children_have_ended() {
    let log = Log::default();
    run(async {
        let output = task_group(async |group| {
            for turns in [3, 1, 2] {
                let log = &log;
                group.spawn(async move {
                    after(turns).await?;
                    log.push(turns);
                    Ok::<_, &str>(())
                });
            }
            Ok("the body's")
        });
        assert_eq!(output.await, Ok("the body's"));
    });
    assert_eq!(log.take(), [1, 2, 3]);
}

#[test]
fn outputs_of_children_can_be_awaited_in_the_body_or_taken_afterwards() {
    run(async {
        let (mut first, second) = task_group(async |group| {
            let first = group.spawn(after(4));
            let mut second = group.spawn(after(2));
            assert_eq!((second.take(), second.is_finished()), (None, false));
            let output = group.spawn(after(1)).await.unwrap();
            let later = group.spawn(after(output));
            assert_eq!(later.await.unwrap(), 1);
            Ok::<_, &str>((first, second))
        })
        .await
        .unwrap();
        assert!(first.is_finished() && !first.cancel());
        assert_eq!((first.take(), first.take()), (Some(4), None));
        assert_eq!(second.await.unwrap(), 2);
    });
}

#[test]
fn children_borrow_from_the_frame_around_the_group() {
    run(async {
        let words = vec!["some".to_owned(), "words".to_owned()];
        let lengths = RefCell::new(Vec::new());
        let mut count = 0;
        let counted = &mut count;
        task_group(async |group| {
            for word in &words {
                let lengths = &lengths;
                group.spawn(async move {
                    yield_now().await;
                    lengths.borrow_mut().push(word.len());
                    Ok::<_, &str>(())
                });
            }
            group.spawn(async move {
                *counted += 1;
                Ok(())
            });
            Ok(())
        })
        .await
        .unwrap();
        assert_eq!((lengths.into_inner(), count), (vec![4, 5], 1));
    });
}

#[test]
fn children_spawn_siblings_by_a_clone_of_the_group() {
    type Child<'env> = Pin<Box<dyn Future<Output = Result<(), &'static str>> + 'env>>;
    fn tree<'env>(
        group: TaskGroup<'env, &'static str>,
        count: &'env Cell<usize>,
        depth: usize,
    ) -> Child<'env> {
        Box::pin(async move {
            count.set(count.get() + 1);
            for _ in 0..if depth > 0 { 2 } else { 0 } {
                group.spawn(tree(group.clone(), count, depth - 1));
            }
            after(depth).await.map(drop)
        })
    }
    run(async {
        let count = Cell::new(0);
        task_group(async |group| {
            group.spawn(tree(group.clone(), &count, 9));
            Ok(())
        })
        .await
        .unwrap();
        assert_eq!(count.get(), 1023);
    });
}

#[test]
fn children_that_spawn_ever_more_let_other_tasks_run() {
    type Growing<'a> = Pin<Box<dyn Future<Output = Result<(), ()>> + 'a>>;

    fn grow<'a>(group: TaskGroup<'a, ()>, grown: &'a Cell<usize>, depth: usize) -> Growing<'a> {
        Box::pin(async move {
            grown.set(grown.get() + 1);
            if let Some(depth) = depth.checked_sub(1) {
                group.spawn(grow(group.clone(), grown, depth));
                group.spawn(grow(group.clone(), grown, depth));
            }
            yield_now().await;
            Ok(())
        })
    }

    run(async {
        let grown = Rc::new(Cell::new(0));
        let its = Rc::clone(&grown);
        let other = spawn(async move { its.get() });
        let all = task_group(async |group| {
            for _ in 0..3 {
                group.spawn(grow(group.clone(), &grown, 10));
            }
            Ok(())
        });
        all.await.unwrap();
        assert_eq!(grown.get(), 3 * ((1 << 11) - 1));
        let before = other.await.unwrap();
        assert!((1..1000).contains(&before), "{before} children before another task's turn");
    });
}

#[test]
fn a_group_with_no_children_gives_what_its_body_gives() {
    run(async {
        assert_eq!(task_group(async |_| Ok::<_, ()>(5)).await, Ok(5));
        let error = task_group(async |_| Err::<(), _>("failed")).await.unwrap_err();
        assert_eq!(error.errors(), ["failed"]);
    });
}

// The first failure

#[test]
fn the_first_failure_drops_the_siblings_and_the_body() {
    let (drops, body) = (Drops::default(), Drops::default());
    run(async {
        let (guard, handle) = (body.guard(), Rc::new(Cell::new(None)));
        let error = task_group(async |group| {
            let _guard = guard;
            group.spawn(fails(2, "failed"));
            handle.set(Some(group.spawn(endless(drops.guard()))));
            group.spawn(endless(drops.guard()));
            pending::<Result<(), _>>().await
        });
        assert_eq!(error.await.unwrap_err().errors(), ["failed"]);
        assert!(handle.take().unwrap().await.unwrap_err().is_cancelled());
    });
    assert_eq!((drops.count(), body.count()), (2, 1));
}

#[test]
fn a_failure_of_the_body_drops_the_children() {
    for turns in [0, 3] {
        let drops = Drops::default();
        run(async {
            let error = task_group(async |group| {
                group.spawn(endless(drops.guard()));
                group.spawn(endless(drops.guard()));
                fails(turns, "of the body").await
            });
            assert_eq!(error.await.unwrap_err().errors(), ["of the body"]);
            assert_eq!(drops.count(), 2);
        });
    }
}

#[test]
fn the_failure_of_a_child_after_the_body_has_ended_is_the_groups() {
    run(async {
        let error = task_group(async |group| {
            group.spawn(fails(3, "late"));
            Ok(())
        });
        assert_eq!(error.await.unwrap_err().into_errors(), ["late"]);
    });
}

#[test]
fn children_that_fail_together_are_reported_together() {
    let drops = Drops::default();
    run(async {
        let error = task_group(async |group| {
            for error in ["first", "second", "third"] {
                group.spawn(fails(2, error));
            }
            group.spawn(fails(9, "too late"));
            group.spawn(endless(drops.guard()));
            sleep(Duration::from_secs(3600)).await;
            Ok(())
        });
        assert_eq!(error.await.unwrap_err().errors(), ["first", "second", "third"]);
        assert_eq!(drops.count(), 1);
    });
}

#[test]
fn a_thousand_that_were_woken_together_and_fail_all_come_back() {
    run(async {
        let start = CancelToken::new();
        let error = task_group(async |group| {
            for number in 0..1000 {
                let start = start.clone();
                group.spawn(async move {
                    start.cancelled().await;
                    Err::<(), _>(number)
                });
            }
            // A thousand are more than the group polls at once.
            sleep(Duration::from_millis(5)).await;
            start.cancel();
            pending::<Result<(), _>>().await
        });
        assert!(error.await.unwrap_err().into_errors().into_iter().eq(0..1000));
    });
}

#[test]
fn spawning_after_a_failure_or_after_the_end_is_refused() {
    let drops = Drops::default();
    run(async {
        let kept = Rc::new(RefCell::new(None));
        let error = task_group(async |group| {
            let (its, token) = (group.clone(), group.token());
            let guard = drops.guard();
            group.spawn_graceful(async move {
                token.cancelled().await;
                let refused = its.spawn(endless(guard));
                assert!(refused.is_finished() && refused.await.unwrap_err().is_cancelled());
                Ok(())
            });
            *kept.borrow_mut() = Some(group.clone());
            fails(1, "failed").await
        });
        error.await.unwrap_err();
        assert_eq!(drops.count(), 1);
        let refused = kept.take().unwrap().spawn(endless(drops.guard()));
        assert_eq!(drops.count(), 2);
        assert!(refused.await.unwrap_err().is_cancelled());
    });
}

#[test]
fn a_child_that_was_spawned_but_not_begun_when_the_group_failed_is_never_polled() {
    let polled = Cell::new(false);
    run(async {
        let error = task_group(async |group| {
            group.spawn(async {
                polled.set(true);
                Ok(())
            });
            Err::<(), _>("at once")
        });
        error.await.unwrap_err();
    });
    assert!(!polled.get());
}

// More than are polled at once, so whenever the group is polled there are some that were
// woken and have yet to be polled.
#[test]
fn a_failure_ends_a_group_of_many_that_never_rest() {
    async fn restless() -> Result<usize, &'static str> {
        loop {
            yield_now().await;
        }
    }

    run(async {
        let group = task_group(async |group| {
            for _ in 0..1000 {
                group.spawn(restless());
            }
            group.spawn(fails(3, "failed"));
            Ok(())
        });
        let outcome =
            timeout(patient(Duration::from_secs(10)), group).await.expect("the failure ends it");
        assert_eq!(outcome.unwrap_err().errors(), ["failed"]);
    });
}

#[test]
fn graceful_children_are_asked_and_awaited_and_their_errors_are_kept() {
    let log = Log::default();
    run(async {
        let error = task_group(async |group| {
            for name in ["one", "two"] {
                let (token, log) = (group.token(), &log);
                group.spawn_graceful(async move {
                    token.cancelled().await;
                    after(3).await?;
                    log.push(name);
                    Err::<(), _>(name)
                });
            }
            group.spawn(fails(1, "first"));
            pending::<Result<(), _>>().await
        });
        assert_eq!(error.await.unwrap_err().errors(), ["first", "one", "two"]);
    });
    assert_eq!(log.take(), ["one", "two"]);
}

// Cancelling

#[test]
fn a_child_that_is_cancelled_is_no_failure() {
    let drops = Drops::default();
    run(async {
        let output = task_group(async |group| {
            let first = group.spawn(endless(drops.guard()));
            let second = group.spawn(after(9));
            after(2).await?;
            assert!(first.cancel() && first.cancel());
            assert!(first.await.unwrap_err().is_cancelled());
            assert_eq!(drops.count(), 1);
            Ok(second.await.unwrap())
        });
        assert_eq!(output.await, Ok(9));
    });
}

#[test]
fn a_child_cancelled_before_its_first_poll_is_never_polled() {
    let drops = Drops::default();
    run(async {
        let polled = Cell::new(false);
        task_group(async |group| {
            let (guard, polled) = (drops.guard(), &polled);
            let child = group.spawn(async move {
                polled.set(true);
                endless(guard).await
            });
            child.cancel();
            Ok(())
        })
        .await
        .unwrap();
        assert_eq!((polled.get(), drops.count()), (false, 1));
    });
}

#[test]
fn a_cancelled_group_drops_its_children_and_gives_the_bodys_output_if_there_is_one() {
    let drops = Drops::default();
    run(async {
        let output = task_group(async |group| {
            group.spawn(endless(drops.guard()));
            after(1).await?;
            group.cancel();
            Ok("the body's")
        });
        assert_eq!((output.await, drops.count()), (Ok("the body's"), 1));
        let error = task_group(async |group| {
            let (its, guard) = (group.clone(), drops.guard());
            group.spawn(async move {
                after(2).await?;
                its.cancel();
                endless(guard).await
            });
            pending::<Result<(), _>>().await
        });
        let error = error.await.unwrap_err();
        assert!(error.is_cancelled() && error.errors().is_empty());
        assert_eq!(drops.count(), 2);
    });
}

#[test]
fn a_group_is_cancelled_from_outside_by_a_clone() {
    let drops = Drops::default();
    run(async {
        let kept = RefCell::new(None);
        let group = task_group(async |group| {
            *kept.borrow_mut() = Some(group.clone());
            group.spawn(endless(drops.guard())).await.map_err(|_| "cancelled")
        });
        let outside = async {
            sleep(Duration::from_millis(1)).await;
            kept.borrow().as_ref().unwrap().spawn(endless(drops.guard()));
            sleep(Duration::from_millis(1)).await;
            kept.borrow().as_ref().unwrap().cancel();
        };
        let (outcome, ()) = gather((group, outside)).await;
        assert!(outcome.unwrap_err().is_cancelled());
        assert_eq!(drops.count(), 2);
    });
}

#[test]
fn a_group_whose_future_is_dropped_drops_body_and_children() {
    let drops = Drops::default();
    run(async {
        let kept = RefCell::new(None);
        let group = task_group(async |group| {
            let _own = drops.guard();
            *kept.borrow_mut() = Some(group.clone());
            let (its, guard) = (group.clone(), drops.guard());
            group.spawn(async move {
                its.spawn(endless(guard));
                pending::<Result<(), _>>().await
            });
            group.spawn_graceful(endless(drops.guard()));
            pending::<Result<(), &str>>().await
        });
        timeout(Duration::from_millis(1), group).await.unwrap_err();
        assert_eq!(drops.count(), 3);
        kept.take().unwrap().spawn(endless(drops.guard()));
        assert_eq!(drops.count(), 4);
    });
}

#[test]
fn a_groups_token_is_cancelled_also_when_the_group_is_dropped_or_a_child_panics() {
    run(async {
        let token = Cell::new(None);
        let group = async |panics: bool| {
            task_group(async |group| {
                token.set(Some(group.token()));
                group.spawn_graceful(async move {
                    assert!(!panics, "of a child");
                    pending::<Result<(), ()>>().await
                });
                pending::<Result<(), _>>().await
            })
            .await
        };
        let mut dropped = Box::pin(group(false));
        assert!(poll_once(&mut dropped).is_pending());
        drop(dropped);
        assert!(token.take().unwrap().is_cancelled());
        let mut panicking = Box::pin(group(true));
        assert_eq!(panic_of(|| poll_once(&mut panicking)), "of a child");
        assert!(token.take().unwrap().is_cancelled());
    });
}

#[test]
fn cancelling_the_task_of_a_group_drops_its_children() {
    let drops = Drops::default();
    run(async {
        let guards: Vec<_> = (0..5).map(|_| drops.guard()).collect();
        let task = spawn(task_group(async |group| {
            for guard in guards {
                group.spawn(endless(guard));
            }
            Ok(())
        }));
        after(2).await.unwrap();
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(drops.count(), 5);
    });
}

// Nesting

#[test]
fn the_error_of_an_inner_group_is_one_of_the_outer() {
    let drops = Drops::default();
    run(async {
        let error = task_group(async |outer| {
            outer.spawn(async {
                let _guard = drops.guard();
                pending::<Result<(), GroupError<_>>>().await
            });
            task_group(async |inner| {
                inner.spawn(fails(1, "inner"));
                pending::<Result<(), _>>().await
            })
            .await
        });
        let error = error.await.unwrap_err();
        assert_eq!((error.errors().len(), error.errors()[0].errors()), (1, &["inner"][..]));
    });
    assert_eq!(drops.count(), 1);
}

#[test]
fn a_failure_of_the_outer_group_drops_the_inner_and_its_children() {
    let drops = Drops::default();
    run(async {
        let error = task_group(async |outer| {
            outer.spawn(fails(2, "outer"));
            let inner = task_group(async |inner| {
                inner.spawn(endless(drops.guard()));
                inner.spawn(endless(drops.guard()));
                Ok(())
            });
            inner.await.map_err(|_| "inner")
        });
        assert_eq!(error.await.unwrap_err().errors(), ["outer"]);
        assert_eq!(drops.count(), 2);
    });
}

// Panics

#[test]
fn a_panic_of_a_child_goes_through_and_drops_the_others() {
    let drops = Drops::default();
    let panicked = panic_of(|| {
        run(async {
            let _ = task_group(async |group| {
                group.spawn(endless(drops.guard()));
                group.spawn(async {
                    after(1).await?;
                    panic!("of a child");
                    #[allow(unreachable_code)]
                    Ok(())
                });
                group.spawn_graceful(endless(drops.guard()));
                endless(drops.guard()).await
            })
            .await;
        });
    });
    assert_eq!((panicked.as_str(), drops.count()), ("of a child", 3));
}

#[test]
fn a_destructor_that_panics_keeps_no_other_child_from_being_dropped() {
    let drops = Drops::default();
    run(async {
        let group = async {
            task_group(async |group| {
                for number in 0..5 {
                    let (guard, bomb) =
                        (drops.guard(), (number == 2).then(|| drops.bomb("of a destructor")));
                    group.spawn(async move {
                        let _bomb = bomb;
                        endless(guard).await
                    });
                }
                fails(1, "failed").await
            })
            .await
        };
        let mut group = pin!(group);
        let panic = poll_fn(|context| {
            let poll = AssertUnwindSafe(|| group.as_mut().poll(context));
            match catch_unwind(poll) {
                Ok(Poll::Pending) => Poll::Pending,
                Ok(Poll::Ready(_)) => panic!("the destructor's panic is lost"),
                Err(panic) => Poll::Ready(panic),
            }
        });
        assert_eq!(message(&*panic.await), "of a destructor");
        assert_eq!(drops.count(), 6);
    });
}

#[test]
fn a_destructor_of_a_child_may_spawn_and_cancel() {
    let drops = Drops::default();
    run(async {
        let error = task_group(async |group| {
            let (its, guard) = (group.clone(), drops.guard());
            let mut guard = Some(guard);
            let last = OnDrop(move || {
                its.cancel();
                its.spawn(endless(guard.take().unwrap()));
            });
            group.spawn(async move {
                let _last = last;
                pending::<Result<(), _>>().await
            });
            fails(1, "failed").await
        });
        assert_eq!(error.await.unwrap_err().errors(), ["failed"]);
        assert_eq!(drops.count(), 1);
    });
}

// Odd ends

#[test]
fn a_forgotten_group_does_no_harm_to_what_its_children_borrow() {
    run(async {
        let mut text = String::from("borrowed");
        let mut group = Box::pin(task_group(async |group| {
            let text = &mut text;
            group.spawn(async move {
                yield_now().await;
                text.push_str(" and written to");
                Ok::<_, ()>(())
            });
            pending::<Result<(), _>>().await
        }));
        assert!(poll_once(&mut group).is_pending());
        mem::forget(group);
        after(2).await.unwrap();
    });
}

#[test]
fn a_body_is_not_polled_when_a_child_wakes_and_a_child_only_when_it_was_woken() {
    run(async {
        let (body, children) = (Cell::new(0), Cell::new(0));
        task_group(async |group| {
            let children = &children;
            for number in 0..1000 {
                group.spawn(async move {
                    let mut wait = pin!(after(number % 10));
                    poll_fn(|context| {
                        children.set(children.get() + 1);
                        wait.as_mut().poll(context)
                    })
                    .await
                });
            }
            let mut wait = pin!(sleep(Duration::from_millis(20)));
            poll_fn(|context| {
                body.set(body.get() + 1);
                wait.as_mut().poll(context)
            })
            .await;
            Ok(())
        })
        .await
        .unwrap();
        assert_eq!((body.get(), children.get()), (2, (1..=10).map(|polls| 100 * polls).sum()));
    });
}

#[test]
fn a_hundred_thousand_children_are_no_trouble() {
    run(async {
        let sum = Cell::new(0);
        task_group(async |group| {
            let sum = &sum;
            for number in 0..100_000 {
                group.spawn(async move {
                    after(number % 3).await?;
                    sum.set(sum.get() + 1);
                    Ok::<_, &str>(())
                });
            }
            Ok(())
        })
        .await
        .unwrap();
        assert_eq!(sum.get(), 100_000);
    });
}

#[test]
fn a_groups_error_says_all_and_becomes_an_io_error() {
    run(async {
        let error = task_group(async |group| {
            for kind in [io::ErrorKind::NotFound, io::ErrorKind::TimedOut] {
                group.spawn(async move { Err::<(), _>(io::Error::from(kind)) });
            }
            Ok(())
        });
        let error = error.await.unwrap_err();
        assert_eq!(error.to_string(), "2 failed in a group: entity not found; timed out");
        assert!(std::error::Error::source(&error).is_some());
        assert_eq!(io::Error::from(error).kind(), io::ErrorKind::NotFound);
    });
}
