//! Files: what was written is read, a dropped write is there in full, in part or not at all, and
//! chains keep their order.

use std::fs;

use annulus::buf::{BufResult, IoBuf};
use annulus::fs::chain::Reason;
use annulus::fs::{File, NotRun, OpenOptions};

use crate::common::directory::Directory;
use crate::common::poll::times;
use crate::{bytes, polls, with_each_seed};

const LENGTH: usize = 20_000;

#[test]
fn a_file_holds_what_was_written_and_of_a_dropped_write_no_other_bytes() {
    let directory = Directory::new();
    let path = directory.join("file");
    with_each_seed(async |random| {
        let mut content = bytes(random, LENGTH..LENGTH + 1).to_vec();
        fs::write(&path, &content).unwrap();
        let file = OpenOptions::new().read(true).write(true).open(&path).await.unwrap();
        for _ in 0..10 {
            let at = random.usize(0..LENGTH - 1);
            let new = bytes(random, 1..(LENGTH - at).min(5000) + 1).to_vec();
            let (length, offset) = (new.len(), at as u64);
            let (polls, place) = (polls(random), at..at + length);
            let written = match random.u8(0..5) {
                0 => {
                    let done = times(polls, file.write_at(new.clone(), offset)).await;
                    done.map(|BufResult(count, _)| count.unwrap())
                }
                1 => {
                    let done = times(polls, file.write_all_at(new.clone(), offset)).await;
                    done.map(|BufResult(result, _)| result.map(|()| length).unwrap())
                }
                2 => {
                    let write = file.write_all_at(new.clone(), offset).then_sync_data();
                    let done = times(polls, write).await;
                    done.map(|BufResult(result, _)| result.map(|()| length).unwrap())
                }
                3 => {
                    let parts =
                        vec![new.clone().slice(..length / 2), new.clone().slice(length / 2..)];
                    let done = times(polls, file.write_all_vectored_at(parts, offset)).await;
                    done.map(|BufResult(result, _)| result.map(|()| length).unwrap())
                }
                _ => {
                    let read = file.read_exact_at(vec![0; length], offset);
                    if let Some(BufResult(result, seen)) = times(polls, read).await {
                        result.unwrap();
                        assert!(seen == content[place.clone()], "a read of {place:?}");
                    }
                    continue;
                }
            };
            match written {
                Some(count) => content[at..at + count].copy_from_slice(&new[..count]),
                None => {
                    // Waits for the end of the dropped write.
                    file.sync_data().await.unwrap();
                    let seen = fs::read(&path).unwrap();
                    for at in place.clone() {
                        let is_either =
                            seen[at] == content[at] || seen[at] == new[at - place.start];
                        assert!(is_either, "byte {at} is neither old nor new");
                    }
                    content[place.clone()].copy_from_slice(&seen[place]);
                }
            }
        }
        assert!(file.read_all_at_once(LENGTH).await == content);
        file.close().await.unwrap();
        assert!(fs::read(&path).unwrap() == content);
    });
}

trait ReadAll {
    async fn read_all_at_once(&self, length: usize) -> Vec<u8>;
}

impl ReadAll for File {
    /// By as many reads as it takes.
    async fn read_all_at_once(&self, length: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while all.len() < length {
            let BufResult(count, bytes) = self.read_at(vec![0; length], all.len() as u64).await;
            let count = count.unwrap();
            assert!(count > 0, "it ends after {} bytes", all.len());
            all.extend_from_slice(&bytes[..count]);
        }
        all
    }
}

/// Each record is in place before the one after it is begun.
#[test]
fn the_operations_of_a_chain_are_carried_out_one_after_the_other() {
    let directory = Directory::new();
    let path = directory.join("chain");
    with_each_seed(async |random| {
        fs::write(&path, "").unwrap();
        let file = OpenOptions::new().read(true).write(true).open(&path).await.unwrap();
        for round in 0..4_u64 {
            let value = vec![round as u8; random.usize(1..3000)];
            let length = value.len();
            let chain = file
                .chain()
                .write_all_at(value.clone(), 0)
                .read_exact_at(vec![0; length], 0)
                .write_all_at(vec![!(round as u8); length], 0)
                .sync_data();
            let Some((first, read, second, synced)) = times(polls(random), chain.run()).await
            else {
                // What was dropped ends before this.
                file.sync_all().await.unwrap();
                continue;
            };
            // If the kernel has taken it apart, the rest says so, and perhaps came too early.
            let reason =
                second.0.as_ref().err().and_then(NotRun::of).map(|not_run| not_run.reason());
            if first.0.is_ok() && read.0.is_ok() && reason != Some(Reason::Split) {
                assert!(read.1 == value, "the read sees the write in front of it");
            }
            if second.0.is_ok() {
                assert!(first.0.is_ok() && read.0.is_ok(), "a failure severs what follows");
                let seen = fs::read(&path).unwrap();
                assert!(seen[..length].iter().all(|&byte| byte == !(round as u8)));
            }
            assert!(second.0.is_ok() || synced.is_err(), "a failure severs what follows");
        }
        file.close().await.unwrap();
    });
}
