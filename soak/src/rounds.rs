//! Runs a workload's rounds, one after the other, until the run is over.

use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use annulus::time::timeout;
use futures_util::FutureExt;

use crate::chance::Chance;
use crate::failure::Failure;
use crate::site::Site;
use crate::workloads::WORKLOADS;

/// How long a round may take. The longest takes a few seconds on a machine with nothing else to do,
/// and minutes on one whose processors are shared with twenty compilers.
const LIMIT: Duration = Duration::from_secs(600);

/// How many failures a workload may have before it ends: what fails at once would fill the output.
const MOST_FAILURES: u64 = 20;

/// Runs rounds, whose seeds are random, or only that of one seed.
pub(crate) async fn run(site: Rc<Site>, index: usize, chance: Chance, only: Option<u64>) {
    let tally = &site.shared.tallies.of[index];
    while !site.is_over() && tally.failures.load(Relaxed) < MOST_FAILURES {
        let seed = only.unwrap_or_else(|| chance.seed());
        tally.running.fetch_add(1, Relaxed);
        one(&site, index, seed).await;
        tally.running.fetch_sub(1, Relaxed);
        if only.is_some() {
            return;
        }
        annulus::yield_now().await;
    }
}

async fn one(site: &Rc<Site>, index: usize, seed: u64) {
    let workload = &WORKLOADS[index];
    let round = (workload.round)(Rc::clone(site), Chance::new(seed));
    let outcome = timeout(LIMIT, AssertUnwindSafe(round).catch_unwind()).await;
    let failure = match outcome {
        Ok(Ok(Ok(work))) => return site.shared.tallies.of[index].add(work),
        Ok(Ok(Err(failure))) => failure,
        Ok(Err(_)) => Failure::error("a panic"),
        Err(_) => Failure::Stalled(format!("no end after {} s", LIMIT.as_secs())),
    };
    site.shared.tallies.fail(index, workload.name, seed, &failure);
}
