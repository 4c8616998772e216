//! Chains: what is submitted together, and when it completes.

mod dropped;
mod opens;
mod parts;
mod severed;

use super::file::{FSYNC, OPEN, READ, WRITE, file, fsync};
use super::*;
use crate::op::chain::{AfterShort, ChainOp, Linked, Links, NotRun, Reason};
use crate::op::{FileFd, Fsync, WriteAt};
use crate::sys::SubmissionFlags;

type Write = Linked<WriteAt<Vec<u8>>>;
type Sync = Linked<Fsync>;

fn write(file: &Rc<FileFd>, bytes: &[u8], offset: u64) -> Write {
    Linked::new(WriteAt::new(file, bytes.to_vec(), offset))
}

fn sync(file: &Rc<FileFd>) -> Sync {
    Linked::new(Fsync::data(file))
}

/// A write of `text`, and a synchronisation.
fn write_and_sync(file: &Rc<FileFd>, after_short: AfterShort) -> ChainOp<(Write, Sync)> {
    chain(file, (write(file, b"text", 0), sync(file)), after_short)
}

fn chain<L: Links>(file: &Rc<FileFd>, links: L, after_short: AfterShort) -> ChainOp<L> {
    ChainOp::new(file.driver(), links, after_short)
}

/// Why it was not carried out.
fn not_run<T>(result: io::Result<T>) -> Option<(usize, Reason)> {
    let not_run = NotRun::of(&result.err()?)?;
    Some((not_run.link(), not_run.reason()))
}

#[test]
fn a_chain_is_one_submission_and_is_woken_once_by_its_last_completion() {
    let bench = Bench::new();
    let file = file(&bench);
    let mut chain = write_and_sync(&file, AfterShort::Ends);
    bench.start(&mut chain);
    assert_eq!(
        (bench.opcodes(), bench.ring.script().batches.clone()),
        (vec![WRITE, FSYNC], vec![2])
    );
    assert!(bench.taken(0).has(SubmissionFlags::IO_LINK));
    assert!(!bench.taken(1).has(SubmissionFlags::IO_LINK));
    bench.complete(0, 4);
    assert_eq!(bench.woken(), 0);
    // This is what an acknowledgement rests on.
    assert!(bench.poll(&mut chain).is_pending(), "the synchronisation has not completed");
    bench.complete(1, 0);
    assert_eq!(bench.woken(), 1);
    let (written, synced) = bench.end(&mut chain);
    let (written, buffer) = split(written);
    assert_eq!((written.unwrap(), buffer), (4, b"text".to_vec()));
    synced.unwrap();
}
