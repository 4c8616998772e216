//! The promises over rings that make faults on purpose, each with many seeds (feature `faults`).
//!
//! Each test is a short scenario with an oracle: what must come out whatever the kernel answers. It
//! runs once for each seed, on a runtime whose faults, settings and steps all come from the seed.
//! After each run nothing may be left in the kernel, no descriptor open, and nothing leaked.
//!
//! `ANNULUS_FAULT_SEEDS` is how many seeds there are, or which: `1000`, or `17..18` for one. A
//! failure prints its seed, and the faults that were made; so does a run that hangs. `ci/faults`
//! runs all of it with thousands of seeds, on both rings.
//!
//! Without the feature there are none of these tests.
#![cfg(feature = "faults")]

#[path = "../common/mod.rs"]
mod common;

mod cancels;
mod connections;
mod datagrams;
mod files;
mod pipes;
mod servers;
mod shards;
mod streams;
mod wakes;
mod zero_copy;

use std::env;
use std::ops::Range;
use std::rc::Rc;
use std::sync::LazyLock;
use std::time::Duration;

use annulus::faults::Faults;
use annulus::net::TcpStream;
use annulus::{Builder, Incident, Runtime, SetupError};

use common::descriptors::{alone, assert_back_to, open};
use common::incidents::Incidents;
use common::pair::pair;
use common::patience::limit;
use common::watchdog::Watchdog;

/// How many seeds a test has by default.
const SEEDS: u64 = 30;

/// The seeds of each test.
static SEEDS_WANTED: LazyLock<Range<u64>> = LazyLock::new(|| {
    let Ok(text) = env::var("ANNULUS_FAULT_SEEDS") else { return 0..SEEDS };
    let range = match text.split_once("..") {
        Some((first, end)) => first.parse().and_then(|first| Ok(first..end.parse()?)),
        None => text.parse().map(|count| 0..count),
    };
    let range = range.ok().filter(|range| !range.is_empty());
    range.unwrap_or_else(|| {
        panic!(
            "ANNULUS_FAULT_SEEDS is {text:?}: set it to how many seeds, or to a range such as 17..18"
        )
    })
});

/// The numbers of a scenario, from its seed.
type Random = fastrand::Rng;

/// Runs a scenario with each seed, to its end, and sees that nothing is left of it.
#[allow(clippy::needless_pass_by_value, reason = "so that a test is one expression")]
fn with_each_seed(scenario: impl AsyncFn(&mut Random)) {
    with_each_runtime(|runtime, random| {
        runtime.block_on(scenario(random));
        runtime.block_on(nothing_in_flight());
    });
}

/// Runs a test on a runtime for each seed, and ends the runtime.
fn with_each_runtime(test: impl Fn(&Runtime, &mut Random)) {
    let _alone = alone();
    for seed in SEEDS_WANTED.clone() {
        let _seed = PrintedIfPanicking(seed);
        let before = open();
        let mut random = Random::with_seed(seed);
        let incidents = Incidents::default();
        let (runtime, _watchdog) = (runtime(seed, &mut random, &incidents), Watchdog::new(limit()));
        test(&runtime, &mut random);
        drop(runtime);
        for incident in incidents.take() {
            // A peer's reset, and what the end of a runtime loses on purpose, are no mistakes.
            let is_mistake = matches!(
                incident,
                Incident::OperationsLeaked { .. }
                    | Incident::CallbackPanicked { .. }
                    | Incident::TaskPanicked { .. }
            );
            assert!(!is_mistake, "{incident}");
        }
        assert_back_to(before);
    }
}

/// Names the seed of a scenario that fails after its runtime has ended.
struct PrintedIfPanicking(u64);

impl Drop for PrintedIfPanicking {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let seed = self.0;
            println!("again: ANNULUS_FAULT_SEEDS={seed}..{}", seed + 1);
        }
    }
}

/// A runtime with the faults of a seed, and settings that make them likely to matter.
fn runtime(seed: u64, random: &mut Random, incidents: &Incidents) -> Runtime {
    let incidents = incidents.clone();
    let builder = Builder::new()
        .faults(Faults::from_seed(seed))
        .on_incident(move |incident| incidents.report(incident))
        .max_polls_per_turn(random.choice([1, 2, 128]).unwrap())
        .sq_entries(random.choice([4, 32, 256]).unwrap())
        .cq_entries(random.choice([64, 1024]).unwrap())
        .small_buffers(random.choice([2, 64]).unwrap(), random.choice([64, 4096]).unwrap());
    let direct_descriptors = random.choice([0, 0, 3, 64]).unwrap();
    match builder.clone().direct_descriptors(direct_descriptors).build() {
        // This kernel has none; the scenarios need none.
        Err(SetupError::OptionUnsupported { .. }) => builder.build().unwrap(),
        made => made.unwrap(),
    }
}

/// The two ends of a connection. Neither waits for more to send: many sends are short.
async fn quick_pair() -> (TcpStream, TcpStream) {
    let (near, far) = pair().await;
    near.set_nodelay(true).unwrap();
    far.set_nodelay(true).unwrap();
    (near, far)
}

/// Waits until nothing is in the kernel but the poll of the bell.
async fn nothing_in_flight() {
    while annulus::metrics().in_kernel > 1 || annulus::metrics().queued > 0 {
        annulus::time::sleep(Duration::from_micros(100)).await;
    }
}

/// How often a future is polled before it is dropped: seldom, or until it ends.
fn polls(random: &mut Random) -> usize {
    if random.bool() { random.usize(1..8) } else { usize::MAX }
}

/// Random bytes.
fn bytes(random: &mut Random, range: Range<usize>) -> Rc<[u8]> {
    let mut bytes = vec![0; random.usize(range)];
    random.fill(&mut bytes);
    bytes.into()
}
