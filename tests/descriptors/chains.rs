//! Chains that open their file, dropped at any stage: no descriptor and no file slot is left.

use annulus::Runtime;
use annulus::fs::{Chain, OpenOptions};

use crate::common::descriptors::{assert_back_to, counting, open};
use crate::common::directory::Directory;
use crate::common::poll::{times, until};
use crate::common::skip::build_or_skip;

const SLOTS: u32 = 4;

#[test]
fn a_dropped_chain_leaves_neither_its_file_nor_its_slot() {
    counting(|| {
        let directory = Directory::new();
        let path = directory.file("file", "content");
        for slots in [0, SLOTS] {
            let builder = Runtime::builder().max_polls_per_turn(1).direct_descriptors(slots);
            let before_runtime = open();
            let Some(runtime) = build_or_skip(builder) else { continue };
            let before = open();
            runtime.block_on(async {
                // From its first wait on, the loop has one operation in the kernel: its bell.
                annulus::time::sleep(std::time::Duration::from_millis(1)).await;
                let reading = || {
                    let chain = Chain::open(&path, OpenOptions::new().read(true));
                    chain.read_at(Vec::with_capacity(64), 0).close()
                };
                for polls in 0..8 {
                    for _ in 0..25 {
                        drop(times(polls, reading()).await);
                    }
                }
                // The last dropped ones end a little later.
                until(|| {
                    let now = annulus::metrics();
                    now.queued == 0 && now.in_kernel <= 1 && open() <= before + 1
                })
                .await;
                // All slots are free again: each of these takes one.
                let taken = annulus::metrics().direct_descriptors;
                let all: Vec<_> = (0..slots).map(|_| reading()).collect();
                assert_eq!(annulus::metrics().direct_descriptors - taken, u64::from(slots));
                drop(all);
                let (opened, read, closed) = reading().await;
                opened.and(closed).unwrap();
                assert_eq!(read.0.unwrap(), 7);
            });
            drop(runtime);
            assert_back_to(before_runtime);
        }
    });
}
