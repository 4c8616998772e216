//! `#[annulus::main(shards = ...)]`, which may be on any function.

use std::io;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use annulus::Builder;
use annulus::net::ShutdownReport;
use annulus::shards::{CpuList, Shard};
use annulus::time::timeout;

use crate::common::bounded::bounded;
use crate::common::child::{command, role};
use crate::this_test;

static CALLS: AtomicUsize = AtomicUsize::new(0);

#[annulus::main(shards = 2 + 1, builder = Builder::new().max_polls_per_turn(1))]
async fn on_three_shards() {
    assert_eq!(Shard::current().count(), 3);
    CALLS.fetch_add(1, Ordering::Relaxed);
}

#[annulus::main(shards = "cores")]
async fn on_all_cores(mut shard: Shard) -> Result<(), String> {
    shard = shard.clone();
    if shard.index() == 0 { Err(format!("{} shards", shard.count())) } else { Ok(()) }
}

#[annulus::main(shards = 4)]
async fn fails_on_two_shards(shard: Shard) -> Result<(), usize> {
    if matches!(shard.index(), 1 | 3) { Err(shard.index()) } else { Ok(()) }
}

#[annulus::main(shards = 2)]
async fn with_an_exit_code(shard: Shard) -> ExitCode {
    if shard.index() == 1 { 7.into() } else { ExitCode::SUCCESS }
}

#[annulus::main(shards = 3)]
async fn with_an_exit_code_in_an_ok(shard: Shard) -> io::Result<ExitCode> {
    Ok(if shard.index() == 2 { 7.into() } else { ExitCode::SUCCESS })
}

/// Shard 1 has aborted a connection; shard 2 ends later, with an error if it is to.
async fn after_aborts(
    shard: &Shard,
    error: Option<&'static str>,
) -> Result<ShutdownReport, String> {
    let mut report = ShutdownReport::default();
    match shard.index() {
        1 => report.aborted = 1,
        2 => {
            // A failure of shard 1 would request the shutdown within this time.
            let requested = timeout(Duration::from_millis(50), shard.shutdown().requested()).await;
            if requested.is_ok() {
                return Err("shard 2 was stopped".into());
            }
            return error.map_or(Ok(report), |error| Err(error.into()));
        }
        _ => {}
    }
    Ok(report)
}

#[annulus::main(shards = 3)]
async fn with_a_report(shard: Shard) -> Result<ShutdownReport, String> {
    after_aborts(&shard, None).await
}

#[annulus::main(shards = 3)]
async fn with_a_report_and_an_error(shard: Shard) -> Result<ShutdownReport, String> {
    after_aborts(&shard, Some("the disk is full")).await
}

#[annulus::main(shards = 2, builder = Builder::new().direct_descriptors(1 << 20))]
async fn cannot_start() {}

#[test]
fn a_function_runs_on_as_many_shards_as_the_attribute_says() {
    bounded(on_three_shards);
    assert_eq!(CALLS.load(Ordering::Relaxed), 3);
}

#[test]
fn a_function_on_all_cores_has_a_shard_for_each_that_is_allowed_at_most() {
    let text = bounded(on_all_cores).unwrap_err();
    let count: usize = text.trim_end_matches(" shards").parse().unwrap();
    let allowed = CpuList::allowed().unwrap().as_slice().len();
    assert!((1..=allowed).contains(&count), "{count} shards on {allowed} CPUs");
}

#[test]
fn the_first_failure_in_order_of_index_is_that_of_the_function() {
    assert_eq!(bounded(fails_on_two_shards), Err(1));
    assert_eq!(bounded(with_an_exit_code), 7.into());
    assert_eq!(bounded(with_an_exit_code_in_an_ok).unwrap(), 7.into());
}

#[test]
fn a_report_of_aborts_is_that_of_the_function_and_stops_no_other_shard() {
    assert_eq!(bounded(with_a_report).map(|report| report.aborted), Ok(1));
}

#[test]
fn an_error_of_a_later_shard_goes_before_a_report_of_aborts() {
    assert_eq!(bounded(with_a_report_and_an_error), Err("the disk is full".into()));
}

#[test]
fn shards_that_cannot_start_end_the_process_with_code_1_and_say_why() {
    if role().is_some() {
        let limit = libc::rlimit { rlim_cur: 500, rlim_max: 500 };
        // SAFETY: the call reads the limit.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) }, 0);
        return bounded(cannot_start);
    }
    let output = command(this_test!(), "without descriptors").output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("annulus: cannot start shard 0: "), "{text}");
}
