//! Of `annulus::time`.

use std::future::ready;
use std::time::{Duration, Instant};

use annulus::time::{
    MissedTickBehavior, interval, sleep, sleep_until, timeout, timeout_at, timeout_scope, wait_for,
};

use super::Trials;
use crate::common::watchdog::run;

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn limits_for_what_is_ready_let_other_tasks_run() {
    run(async {
        let mut trials = Trials::default();
        let passed = Instant::now();
        trials.ready("timeout", async || timeout(HOUR, ready(1)).await.unwrap()).await;
        trials
            .ready("timeout without time", async || timeout(Duration::ZERO, ready(1)).await)
            .await;
        trials
            .ready("timeout that is up", async || {
                timeout(Duration::ZERO, std::future::pending::<()>()).await.unwrap_err();
            })
            .await;
        trials.ready("timeout_at", async || timeout_at(passed, ready(1)).await.unwrap()).await;
        trials
            .ready("timeout_at that is up", async || {
                timeout_at(passed, std::future::pending::<()>()).await.unwrap_err();
            })
            .await;
        trials.ready("wait_for", async || wait_for(ready(1), HOUR).await.unwrap()).await;
        trials.ready("wait_for without a limit", async || wait_for(ready(1), None).await).await;
        trials.ready("timeout_scope", async || timeout_scope(None, async |_| 1).await).await;
        trials
            .ready("timeout_scope that is up", async || {
                let body = timeout_scope(passed, async |_| std::future::pending::<()>().await);
                body.await.unwrap_err();
            })
            .await;
    });
}

#[test]
fn times_that_have_come_let_other_tasks_run() {
    run(async {
        let mut trials = Trials::default();
        let passed = Instant::now();
        trials.ready("sleep of no duration", async || sleep(Duration::ZERO).await).await;
        trials
            .ready("sleep_until a time that has passed", async || sleep_until(passed).await)
            .await;
        let mut ticks = interval(Duration::from_nanos(1));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        trials.ready("interval that is behind", async || ticks.tick().await).await;
        let mut ticks = interval(HOUR);
        trials
            .ready("interval that is reset", async || {
                ticks.reset_immediately();
                ticks.tick().await
            })
            .await;
        let mut over = sleep(Duration::ZERO);
        trials
            .ready("sleep that is reset", async || {
                over.reset(passed);
                (&mut over).await;
            })
            .await;
    });
}
