//! What a ring does on other threads: the kernel's workers, or those of the portable ring. The
//! races: a job is begun, ends, is cancelled, and its runtime ends, all at the same time.

use std::thread;
use std::time::{Duration, Instant};

use annulus::Runtime;
use annulus::fs::{File, OpenOptions};
use annulus::time::timeout;

use crate::common::bounded::bounded;
use crate::common::directory::Directory;
use crate::common::incidents::Incidents;
use crate::common::patience::{limit, patient};
use crate::common::poll::times;
use crate::common::random::seeded;

#[test]
fn operations_on_files_that_are_dropped_at_any_moment_leave_the_others_alone() {
    bounded(|| {
        let directory = Directory::new();
        let work = |name: &str| {
            let path = directory.join(name);
            let mut random = seeded();
            for _ in 0..4 {
                let incidents = Incidents::default();
                let its = incidents.clone();
                let builder = Runtime::builder().on_incident(move |incident| its.report(incident));
                // Its end waits for a disk that is busy elsewhere.
                let runtime = builder.teardown_timeout(limit()).build().unwrap();
                runtime.block_on(async {
                    let options = OpenOptions::new().write(true).create(true).clone();
                    let file = options.open(&path).await.unwrap();
                    for round in 0..40_u8 {
                        drop(
                            times(random.usize(0..3), file.write_at(vec![round; 5000], 5000)).await,
                        );
                        drop(times(random.usize(0..3), File::open(&path)).await);
                        drop(times(random.usize(0..3), file.sync_data()).await);
                        file.write_all_at(vec![round; 5000], 0).await.0.unwrap();
                        assert_eq!(annulus::fs::read(&path).await.unwrap()[..5000], [round; 5000]);
                    }
                    // The runtime ends while they are under way.
                    drop(times(1, file.write_at(vec![1; 5000], 0)).await);
                    drop(times(1, annulus::fs::read(&path)).await);
                });
                drop(runtime);
                assert_eq!(incidents.count(), 0, "{:?}", incidents.take());
            }
        };
        thread::scope(|scope| {
            scope.spawn(|| work("first"));
            work("second");
        });
    });
}

#[test]
fn an_open_that_waits_for_ever_ends_when_it_is_dropped_and_holds_up_no_end_of_a_runtime() {
    bounded(|| {
        let directory = Directory::new();
        let path = directory.fifo("fifo");
        for polls in 0..6 {
            let incidents = Incidents::default();
            let runtime = incidents.runtime();
            runtime.block_on(async {
                drop(times(polls, File::open(&path)).await);
                // By then a thread waits in it.
                drop(timeout(Duration::from_millis(5), File::open(&path)).await);
                drop(times(polls, OpenOptions::new().write(true).open(&path)).await);
            });
            let begun = Instant::now();
            drop(runtime);
            assert!(begun.elapsed() < patient(Duration::from_secs(3)), "it waited for the FIFO");
            assert_eq!(incidents.count(), 0, "{:?}", incidents.take());
        }
    });
}
