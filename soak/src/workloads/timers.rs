//! Sleeps, intervals, timeouts and calls: none fires early, and those that are reset or dropped do
//! not fire.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use annulus::join::gather;
use annulus::time::{call_later, interval, kernel_sleep, sleep, timeout};

use super::Outcome;
use crate::cancel::perhaps;
use crate::chance::Chance;
use crate::failure::{Failure, expect};
use crate::site::Site;
use crate::tally::Work;

fn check_not_early(what: &str, begun: Instant, asked: Duration) -> Result<(), Failure> {
    let took = begun.elapsed();
    if took < asked {
        return Err(Failure::Corruption(format!("{what} of {asked:?} took {took:?}")));
    }
    Ok(())
}

/// Longer than a turn of the loop ever takes.
const HOUR: Duration = Duration::from_secs(3600);

pub(super) async fn round(_site: &Site, chance: &Chance) -> Outcome {
    let longest = Duration::from_millis(chance.size(200) as u64);
    let sleeps = (0..chance.size(100)).map(|_| one_sleep(chance.fork(), longest));
    let sleeps: Vec<_> = sleeps.collect();
    let count = sleeps.len();
    for outcome in gather(sleeps).await {
        outcome?;
    }

    let fired = Rc::new(Cell::new(0));
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let fired = Rc::clone(&fired);
            call_later(longest, move || fired.set(fired.get() + 1))
        })
        .collect();
    let cancelled = chance.below(20);
    calls.iter().take(cancelled).for_each(annulus::time::CallHandle::cancel);
    sleep(longest + Duration::from_millis(2)).await;
    while fired.get() < 20 - cancelled {
        sleep(Duration::from_millis(1)).await;
    }
    expect("calls that were made", &fired.get(), &(20 - cancelled))?;
    Ok(Work::new(count + 21, 0))
}

async fn one_sleep(chance: Chance, longest: Duration) -> Result<(), Failure> {
    let length = chance.shorter_than(longest);
    let begun = Instant::now();
    match chance.below(6) {
        0 => {
            sleep(length).await;
            check_not_early("a sleep", begun, length)?;
        }
        1 => {
            let mut sleep = sleep(HOUR);
            let _ = timeout(length / 2, &mut sleep).await;
            let begun = Instant::now();
            sleep.reset(begun + length);
            sleep.await;
            check_not_early("a sleep that was reset", begun, length)?;
        }
        2 => {
            let elapsed = timeout(length, std::future::pending::<()>()).await.is_err();
            expect("the timeout of what never ends", &elapsed, &true)?;
            check_not_early("a timeout", begun, length)?;
        }
        3 => {
            let period = length.max(Duration::from_micros(100)) / 4;
            let mut ticks = interval(period);
            for _ in 0..4 {
                ticks.tick().await;
            }
            check_not_early("three periods", begun, period * 3)?;
        }
        4 => {
            if let Some(outcome) = perhaps(&chance, kernel_sleep(length)).await {
                outcome?;
                check_not_early("a sleep of the kernel", begun, length)?;
            }
        }
        _ => expect("a sleep of a timeout", &timeout(length, sleep(HOUR)).await.is_err(), &true)?,
    }
    Ok(())
}
