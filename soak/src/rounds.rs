//! Runs a workload's rounds, one after the other, until the run is over.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use annulus::time::timeout;
use futures_util::FutureExt;

use crate::chance::Chance;
use crate::failure::Failure;
use crate::options::Options;
use crate::places;
use crate::site::Site;
use crate::workloads::WORKLOADS;

/// How many failures a workload may have before it ends: what fails at once would fill the output.
const MOST_FAILURES: u64 = 20;

/// Runs rounds, whose seeds are random, or only that of one seed.
pub(crate) async fn run(site: Rc<Site>, index: usize, chance: Chance, options: Rc<Options>) {
    let tally = &site.shared.tallies.of[index];
    while !site.is_over() && tally.failures.load(Relaxed) < MOST_FAILURES {
        let seed = options.round.unwrap_or_else(|| chance.seed());
        tally.running.fetch_add(1, Relaxed);
        one(&site, index, chance.whose(), seed, options.limit).await;
        tally.running.fetch_sub(1, Relaxed);
        if options.round.is_some() {
            return;
        }
        annulus::yield_now().await;
    }
}

async fn one(site: &Rc<Site>, index: usize, whose: &str, seed: u64, limit: Duration) {
    let workload = &WORKLOADS[index];
    let whose = format!("{whose}, round of seed {seed}");
    let round = (workload.round)(Rc::clone(site), Chance::new(&*whose, seed));
    let mut round = pin!(AssertUnwindSafe(round).catch_unwind());
    let outcome = loop {
        match timeout(limit, &mut round).await {
            // Slow, on a machine with too much else to do, and not stalled.
            Err(_) if places::has_moved(&whose, limit) => {}
            outcome => break outcome,
        }
    };
    let failure = match outcome {
        Ok(Ok(Ok(work))) => return site.shared.tallies.of[index].add(work),
        Ok(Ok(Err(failure))) => failure,
        Ok(Err(_)) => Failure::error("a panic"),
        Err(_) => {
            // The round is still there, and so are the places of what it waits for, which may be on
            // any shard.
            let all = site.shard.run_on_all(move |_| places::older_than(limit / 2)).await;
            let places = all.unwrap_or_default().concat().join("\n    ");
            Failure::Stalled(format!("no step in {limit:?}; what waits for long:\n    {places}"))
        }
    };
    site.shared.tallies.fail(index, workload.name, seed, &failure);
}
