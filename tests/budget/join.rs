//! Of `annulus::join`, `annulus::task` and `annulus::runtime`.

use std::future::{pending, ready};
use std::time::Duration;

use annulus::blocking::{ThreadHandle, ThreadPool, to_thread};
use annulus::join::{
    CancelToken, ReturnWhen, Shield, TaskSet, as_completed, cancel_gracefully, gather, shield,
    task_group, try_gather, wait,
};
use annulus::task::JoinHandle;
use annulus::{spawn, yield_now};
use futures_util::{FutureExt, StreamExt, select};

use super::{TIMES, Trials};
use crate::common::poll::until;
use crate::common::watchdog::run;

/// Tasks that have ended.
async fn ended_tasks(count: usize) -> Vec<JoinHandle<usize>> {
    let tasks: Vec<_> = (0..count).map(|number| spawn(async move { number })).collect();
    until(|| tasks.iter().all(JoinHandle::is_finished)).await;
    tasks
}

/// Tries what takes a task that has ended.
async fn of_an_ended_task<T>(
    trials: &mut Trials,
    name: &'static str,
    mut operation: impl AsyncFnMut(JoinHandle<usize>) -> T,
) {
    let mut tasks = ended_tasks(TIMES).await.into_iter();
    trials.ready(name, async || operation(tasks.next().unwrap()).await).await;
}

#[test]
fn tasks_that_have_ended_let_other_tasks_run() {
    run(async {
        let mut trials = Trials::default();
        of_an_ended_task(&mut trials, "JoinHandle", async |task| task.await).await;
        let borrow = async |mut task: JoinHandle<_>| (&mut task).await;
        of_an_ended_task(&mut trials, "&mut JoinHandle", borrow).await;
        let shielded = async |task| Shield::from(task).await;
        of_an_ended_task(&mut trials, "Shield", shielded).await;
        let gathered = async |task| gather([task]).await;
        of_an_ended_task(&mut trials, "gather of a task", gathered).await;
        let waited = async |task| wait([task], ReturnWhen::AllCompleted, None).await;
        of_an_ended_task(&mut trials, "wait", waited).await;
        let first = async |task| wait([task], ReturnWhen::FirstCompleted, None).await;
        of_an_ended_task(&mut trials, "wait for the first", first).await;
        let token = CancelToken::new();
        let grace = Duration::from_secs(9);
        let graceful = async |task| cancel_gracefully(task, &token, grace).await;
        of_an_ended_task(&mut trials, "cancel_gracefully", graceful).await;
        let of_none = async || {
            wait(Vec::<JoinHandle<()>>::new(), ReturnWhen::AllCompleted, None).await;
        };
        trials.ready("wait for all of no tasks", of_none).await;
        let of_none = async || {
            wait(Vec::<JoinHandle<()>>::new(), ReturnWhen::FirstCompleted, None).await;
        };
        trials.ready("wait for the first of no tasks", of_none).await;
    });
}

#[test]
fn gathers_that_are_ready_let_other_tasks_run() {
    run(async {
        let mut trials = Trials::default();
        let none = Vec::<std::future::Ready<u8>>::new;
        trials.ready("gather of nothing", async || gather(none()).await).await;
        trials
            .ready("gather of an empty array", async || {
                let none: [std::future::Ready<u8>; 0] = [];
                gather(none).await;
            })
            .await;
        trials.ready("gather of an array", async || gather([ready(1)]).await).await;
        trials
            .ready("gather of an iterator", async || {
                gather((0..1).map(ready)).await;
            })
            .await;
        trials.ready("gather of a tuple", async || gather((ready(1), async {})).await).await;
        trials
            .ready("gather of no tasks", async || gather(Vec::<JoinHandle<()>>::new()).await.len())
            .await;
        let none = Vec::<std::future::Ready<Result<u8, ()>>>::new;
        trials.ready("try_gather of nothing", async || try_gather(none()).await).await;
        let one = || ready(Ok::<_, ()>(1));
        trials.ready("try_gather of an array", async || try_gather([one()]).await).await;
        trials
            .ready("try_gather of a tuple", async || {
                let _ = try_gather((one(), one())).await;
            })
            .await;
        let failing = || ready(Err::<(), _>(1));
        trials
            .ready("try_gather that fails", async || {
                let _ = try_gather((failing(), pending())).await as Result<((), ()), _>;
            })
            .await;
    });
}

#[test]
fn outcomes_that_are_there_let_other_tasks_run() {
    run(async {
        let mut trials = Trials::default();
        let mut ended = as_completed(Vec::<std::future::Ready<u8>>::new());
        trials.ready("as_completed when ended", async || ended.next().await).await;
        let mut ended = as_completed([ready(1)]).timeout(Duration::from_secs(9));
        ended.next().await;
        trials
            .ready("as_completed(..).timeout(..) when ended", async || {
                ended.next().await;
            })
            .await;
        let mut late = as_completed([pending::<()>()]).timeout(Duration::ZERO);
        late.next().await.unwrap().unwrap_err();
        trials
            .ready("as_completed(..).timeout(..) when the time was up", async || {
                late.next().await;
            })
            .await;
        let mut all = as_completed((0..TIMES).map(ready));
        trials.ready("as_completed", async || all.next().await.unwrap()).await;

        let mut set = TaskSet::<u8>::new();
        trials
            .ready("TaskSet::join_next of an empty set", async || {
                assert!(set.join_next().await.is_none());
            })
            .await;
        trials
            .ready("an empty TaskSet as a stream", async || {
                assert!(set.next().await.is_none());
            })
            .await;
        trials
            .ready("select! with join_next of an empty set", async || {
                select! {
                    _ = pending::<()>().fuse() => {}
                    _ = std::pin::pin!(set.join_next().fuse()) => {}
                }
            })
            .await;
        let mut set = TaskSet::new();
        for task in ended_tasks(2 * TIMES).await {
            set.insert(task);
        }
        trials.ready("TaskSet::join_next", async || set.join_next().await.unwrap()).await;
        trials.ready("a TaskSet as a stream", async || set.next().await.unwrap()).await;
    });
}

#[test]
fn groups_and_shields_that_are_ready_let_other_tasks_run() {
    run(async {
        let mut trials = Trials::default();
        trials
            .ready("task_group", async || {
                task_group(async |_| Ok::<_, ()>(())).await.unwrap();
            })
            .await;
        trials
            .ready("task_group that fails", async || {
                task_group(async |_| Err::<(), _>(())).await.unwrap_err();
            })
            .await;
        task_group(async |group| {
            for _ in 0..TIMES {
                group.spawn(async { Ok(1) });
            }
            let mut handles: Vec<_> = (0..TIMES).map(|_| group.spawn(async { Ok(1) })).collect();
            until(|| handles.iter().all(annulus::join::GroupHandle::is_finished)).await;
            trials
                .ready("GroupHandle", async || {
                    handles.pop().unwrap().await.unwrap();
                })
                .await;
            Ok::<_, ()>(())
        })
        .await
        .unwrap();
        trials.ready("shield", async || shield(async {}).await.unwrap()).await;
        trials.ready("spawn", async || spawn(async {}).await).await;
        trials.ready("yield_now", async || yield_now().await).await;
    });
}

#[test]
fn tokens_that_are_cancelled_let_other_tasks_run() {
    run(async {
        let mut trials = Trials::default();
        let token = CancelToken::new();
        trials
            .ready("CancelToken::run_until_cancelled of what is ready", async || {
                token.run_until_cancelled(async {}).await.unwrap();
            })
            .await;
        token.cancel();
        trials.ready("CancelToken::cancelled", async || token.cancelled().await).await;
        trials
            .ready("CancelToken::run_until_cancelled", async || {
                token.run_until_cancelled(pending::<()>()).await;
            })
            .await;
    });
}

#[test]
fn closures_that_have_ended_let_other_tasks_run() {
    run(async {
        let mut trials = Trials::default();
        let pool = ThreadPool::new(1, Duration::from_secs(9));
        for (name, global) in [("ThreadPool::spawn", false), ("to_thread", true)] {
            let spawn = || if global { to_thread(|| 1) } else { pool.spawn(|| 1) };
            let mut calls: Vec<_> = (0..TIMES).map(|_| spawn()).collect();
            until(|| calls.iter().all(ThreadHandle::is_finished)).await;
            trials.ready(name, async || calls.pop().unwrap().await.unwrap()).await;
        }
    });
}
