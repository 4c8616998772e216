//! Transfers of files allocate nothing, whatever their buffers, but a list of these for a thread.

use std::mem;

use annulus::RingKind;
use annulus::buf::{BufResult, RegisteredBuffers};
use annulus::fs::{File, OpenOptions};
use annulus::join::gather;

use crate::allocations::{allocations_of, allocations_of_a_hundred};
use crate::common::directory::Directory;
use crate::common::watchdog::run;

async fn writable(directory: &Directory) -> File {
    let path = directory.file("file", vec![1; 4096]);
    OpenOptions::new().read(true).write(true).open(path).await.unwrap()
}

#[test]
fn a_read_and_a_write_at_an_offset_allocate_nothing() {
    run(async {
        let directory = Directory::new();
        let file = writable(&directory).await;
        let mut kept = Vec::with_capacity(100);
        let allocations = allocations_of(async || {
            let BufResult(result, buffer) = file.read_exact_at(mem::take(&mut kept), 7).await;
            result.unwrap();
            let BufResult(result, buffer) = file.write_all_at(buffer, 7).await;
            result.unwrap();
            kept = buffer;
        });
        assert_eq!(allocations.await, 0);
    });
}

#[test]
fn a_registered_buffer_is_checked_out_and_used_without_an_allocation() {
    run(async {
        let directory = Directory::new();
        let (file, buffers) = (writable(&directory).await, RegisteredBuffers::new(2, 100).unwrap());
        let allocations = allocations_of(async || {
            let BufResult(result, buffer) = file.read_exact_at(buffers.get().await, 7).await;
            result.unwrap();
            file.write_all_at(buffer, 7).await.0.unwrap();
            drop((buffers.try_get().unwrap(), buffers.get().await));
        });
        assert_eq!(allocations.await, 0);
    });
}

#[test]
fn vectored_transfers_at_the_same_time_allocate_at_most_a_list_for_a_thread() {
    run(async {
        let directory = Directory::new();
        let file = writable(&directory).await;
        let mut kept = [0; 2].map(|_| vec![vec![0; 10], vec![0; 20], vec![0; 30]]);
        let allocations = allocations_of(async || {
            let [first, second] = mem::take(&mut kept);
            let read = file.read_exact_vectored_at(first, 7);
            let write = file.write_all_vectored_at(second, 100);
            let (read, written) = gather((read, write)).await;
            let (((), first), ((), second)) = (read.unwrap(), written.unwrap());
            kept = [first, second];
        });
        // A thread that writes in the portable ring's place, where the file system knows no write
        // that does not wait, has a copy of the list of buffers.
        let most = if annulus::metrics().ring == RingKind::Portable { 2 } else { 0 };
        let allocations = allocations.await;
        assert!([0, most].contains(&allocations), "{allocations} allocations");
    });
}

#[test]
fn synchronisations_alone_or_sharing_calls_allocate_nothing() {
    run(async {
        let directory = Directory::new();
        let file = writable(&directory).await;
        let alone = allocations_of(async || file.sync_data().await.unwrap());
        assert_eq!(alone.await, 0);
        // The portable ring has a list for a chain, and would start threads.
        if annulus::metrics().ring == RingKind::Portable {
            return;
        }
        let linked = allocations_of(async || {
            file.write_at("text", 0).then_sync_data().await.0.unwrap();
        });
        assert_eq!(linked.await, 0);
        let four = || {
            let written = file.write_at("text", 0).then_sync_data();
            gather((file.sync_data(), file.sync_data(), file.sync_all(), written))
        };
        let together = allocations_of_a_hundred(async || {
            let synced = gather((four(), four(), four())).await;
            for (first, second, third, written) in <[_; 3]>::from(synced) {
                first.and(second).and(third).and(written.0).unwrap();
            }
        });
        // How many wait at once differs, and their list grows to the most that ever did.
        let grown = together.await;
        assert!(grown < 10, "{grown} allocations for 1600 synchronisations");
    });
}
