//! `#[annulus::test]`, in all its forms; `#[annulus::main]` is what the examples begin with.

use std::env::current_exe;
use std::process::Command;
use std::time::{Duration, Instant};

use annulus::time::{now, sleep};
use annulus::{Builder, RingKind};

use crate::common::child::role;

#[annulus::test]
async fn a_test_runs_on_a_runtime() {
    assert_eq!(annulus::spawn(async { 42 }).await.unwrap(), 42);
}

#[annulus::test]
async fn a_test_may_return_a_result() -> std::io::Result<()> {
    annulus::net::TcpListener::bind("127.0.0.1:0").await?;
    Ok(())
}

#[annulus::test]
#[should_panic(expected = "as it should")]
async fn a_test_may_be_there_to_panic() {
    annulus::yield_now().await;
    panic!("as it should");
}

#[annulus::test(start_paused = true)]
async fn an_hour_takes_a_moment() {
    let (real, before) = (Instant::now(), now());
    sleep(Duration::from_secs(3600)).await;
    assert!(now() - before >= Duration::from_secs(3600));
    assert!(real.elapsed() < Duration::from_secs(600));
}

#[annulus::test(builder = Builder::new().max_polls_per_turn(1), start_paused = true)]
async fn a_test_may_have_its_own_builder() {
    sleep(Duration::from_secs(60)).await;
}

#[annulus::test(ring = "portable")]
async fn a_test_may_choose_the_portable_ring() {
    assert_eq!(annulus::metrics().ring, RingKind::Portable);
}

#[annulus::test(builder = Builder::new().ring(RingKind::Portable), ring = "kernel")]
async fn the_option_ring_is_set_after_the_builder_was_made() {
    assert_eq!(annulus::metrics().ring, RingKind::Kernel);
}

mod elsewhere {
    #[annulus::test]
    pub(super) async fn a_test_may_have_a_visibility() {
        annulus::yield_now().await;
    }

    #[test]
    fn a_test_with_a_visibility_can_be_called() {
        a_test_may_have_a_visibility();
    }
}

fn either<A: Default, B>(_: impl Fn(A) -> B) -> Builder {
    Builder::new()
}

#[annulus::test(builder = either::<u8, Option<u16>>(|number| -> Option<u16> { Some(number.into()) }),
    start_paused = true)]
async fn a_comma_between_angle_brackets_ends_no_option() {
    sleep(Duration::from_secs(60)).await;
}

trait Makes<A, B> {
    fn builder() -> Builder;
}

impl Makes<u8, u16> for () {
    fn builder() -> Builder {
        Builder::new()
    }
}

#[annulus::test(builder = <() as Makes<u8, u16>>::builder(), start_paused = 1 < 2)]
async fn a_qualified_path_may_make_the_builder() {
    sleep(Duration::from_secs(60)).await;
}

/// The crate by another name.
mod renamed {
    pub(super) use annulus as rings;

    #[rings::test(crate = "rings")]
    async fn the_crate_may_have_another_name() {
        rings::yield_now().await;
    }

    #[rings::test(crate = crate::attributes::renamed::rings, start_paused = true)]
    async fn the_crate_may_be_named_by_a_path() {
        rings::yield_now().await;
    }
}

/// In a child of the test below there are no descriptors for a runtime.
fn without_descriptors() -> Builder {
    if role().is_some() {
        let limit = libc::rlimit { rlim_cur: 3, rlim_max: 1000 };
        // SAFETY: the call reads one `rlimit`.
        unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) };
    }
    Builder::new()
}

#[annulus::test(builder = without_descriptors())]
async fn a_test_without_a_runtime() {}

#[test]
fn a_test_that_can_have_no_runtime_fails_and_leaves_the_others_alone() {
    if role().is_some() {
        return;
    }
    let mut command = Command::new(current_exe().unwrap());
    let common = ["--test-threads=1", "a_test_that_can_have_no_runtime_fails", "a_test_without"];
    let output = command.args(common).env("ANNULUS_TEST_ROLE", "no descriptors").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("1 passed; 1 failed"), "{text}");
    assert!(text.contains("ulimit -n"), "it says why: {text}");
}
