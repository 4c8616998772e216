//! `#[annulus::test]`, in all its forms; `#[annulus::main]` is what the examples begin with.

use std::time::{Duration, Instant};

use annulus::Builder;
use annulus::time::{now, sleep};

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

#[annulus::test(builder = Builder::new().polls_a_turn(1), start_paused = true)]
async fn a_test_may_have_its_own_builder() {
    sleep(Duration::from_secs(60)).await;
}

mod elsewhere {
    #[annulus::test]
    pub(super) async fn a_test_may_have_a_visibility() {
        annulus::yield_now().await;
    }

    #[test]
    fn and_be_called() {
        a_test_may_have_a_visibility();
    }
}
