//! A process that is killed while it appends to a log, at any moment.
//!
//! What this proves: a record that was acknowledged is in the file, whole and behind the ones that
//! were acknowledged before. It does not prove that the synchronisation came first, as a killed
//! process does not lose what the kernel has in its page cache; that is proved on a scripted ring
//! (`a_chain_is_one_submission_and_is_woken_once_by_its_last_completion`) and, of the kernel, by
//! the contract test `linked_fsync_after_write_on_worker`.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use annulus::buf::BufResult;
use annulus::fs::File;

use crate::common::child::{command, role};
use crate::common::directory::Directory;
use crate::common::random::seeded;
use crate::{run, this_test};

const ROUNDS: usize = 16;

/// The record of a number: its length, the number, and bytes that follow from it.
fn record(number: u64) -> Vec<u8> {
    let length = 1 + number.wrapping_mul(7919) % 9000;
    let mut record = (length as u32).to_le_bytes().to_vec();
    record.extend(number.to_le_bytes());
    record.extend((0..length).map(|at| (number.wrapping_mul(31) + at) as u8));
    record
}

/// Appends records until it is killed, by both forms of a chain, and writes the number of each to
/// standard error when it is durable.
fn append_for_ever(path: &Path) {
    run(async || {
        let log = File::create(path).await.unwrap();
        for number in 0_u64.. {
            let record = record(number);
            if number % 2 == 0 {
                log.append(record).then_sync_data().await.0.unwrap();
            } else {
                let (head, body) = (record[..12].to_vec(), record[12..].to_vec());
                let chain = log.chain().append(head).append(body).sync_data();
                let (BufResult(head, _), BufResult(body, _), synced) = chain.run().await;
                head.and(body).and(synced).unwrap();
            }
            // One call of write(2), so a number arrives whole.
            std::io::stderr().write_all(&number.to_le_bytes()).unwrap();
        }
    });
}

#[test]
fn what_a_killed_process_has_acknowledged_is_in_its_log_whole_and_in_order() {
    if let Some(path) = role() {
        return append_for_ever(&PathBuf::from(path));
    }
    let mut random = seeded();
    let directory = Directory::new();
    for round in 0..ROUNDS {
        let path = directory.join(format!("log-{round}"));
        let mut child = command(this_test!(), path.to_str().unwrap());
        let mut child = child.stderr(Stdio::piped()).spawn().expect("this binary runs");
        let mut said = child.stderr.take().unwrap();
        let mut acknowledged = vec![0; 8 * random.usize(1..20)];
        said.read_exact(&mut acknowledged).expect("the child appends");
        // The moment of the kill, which proves nothing by itself: any is as good.
        thread::sleep(Duration::from_micros(random.u64(0..1500)));
        child.kill().unwrap();
        child.wait().unwrap();
        said.read_to_end(&mut acknowledged).unwrap();
        let numbers = acknowledged.chunks_exact(8).map(|number| number.try_into().unwrap());
        let numbers: Vec<_> = numbers.map(u64::from_le_bytes).collect();
        assert!(numbers.iter().copied().eq(0..numbers.len() as u64), "{numbers:?}");
        let log = std::fs::read(&path).unwrap();
        let mut rest = &log[..];
        for number in numbers {
            rest = rest.strip_prefix(&record(number)[..]).unwrap_or_else(|| {
                panic!("record {number} was acknowledged, and is not in the log as it was written")
            });
        }
        // At most one record was under way, and it begins as it was written.
        let next = record((acknowledged.len() / 8) as u64);
        assert!(next.starts_with(rest), "{} bytes are no record", rest.len());
    }
}
