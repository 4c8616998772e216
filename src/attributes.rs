//! `#[annulus::main]` and `#[annulus::test]`.

use std::future::Future;

use crate::error::SetupError;
use crate::runtime::{Builder, exit_with};
use crate::shards::{Shard, ShardOutcome, Shards, ShardsError};
use crate::shutdown::Shutdown;

/// Runs an `async fn main` on a runtime.
///
/// The function may return whatever a `main` may. If no runtime can be made, prints why and what to
/// do to standard error, and exits the process with code 1.
///
/// With `shards = "cores"` the function runs on one thread for each usable core, and with `shards =
/// N` on `N` threads, as by [`Shards::builder`](crate::Shards::builder); it may have an argument,
/// its [`Shard`]. When all have ended, the process ends with the first failure in order of index,
/// if a shard has failed ([`ShardOutcome::failure`]): an error is printed, and the exit code is 1,
/// or that of an [`ExitCode`](std::process::ExitCode). If none has, it ends with the first result
/// that is no success ([`ShardOutcome::is_success`]), as a
/// [`ShutdownReport`](crate::net::ShutdownReport) with aborted connections. An error is passed
/// between threads, so it is a `Box<dyn Error + Send + Sync>`, not a `Box<dyn Error>`. With
/// `signals = true`, SIGTERM and ctrl-c request the
/// [`Shutdown`] that the shards share, as by
/// [`Shutdown::on_signals`](crate::Shutdown::on_signals).
///
/// `builder = ...` is an expression of the [`Builder`] to make each runtime with. With
/// `ring = "kernel"` or `"portable"` each is on that ring ([`Builder::ring`]). With
/// `ctrl_c = true` the first ctrl-c cancels the function ([`Builder::cancel_on_ctrl_c`]).
/// `crate = "..."` is the path of this crate, if it has another name.
///
/// # Example
///
/// ```
/// #[annulus::main]
/// async fn main() -> std::io::Result<()> {
///     let answer = annulus::spawn(async { 6 * 7 });
///     assert_eq!(answer.await.unwrap(), 42);
///     Ok(())
/// }
/// ```
///
/// ```
/// use annulus::Builder;
///
/// #[annulus::main(builder = Builder::new().max_polls_per_turn(16))]
/// async fn main() {
///     annulus::yield_now().await;
/// }
/// ```
///
/// A function for each core:
///
/// ```
/// use annulus::shards::Shard;
///
/// #[annulus::main(shards = "cores")]
/// async fn main(shard: Shard) -> std::io::Result<()> {
///     println!("shard {} of {}", shard.index(), shard.count());
///     Ok(())
/// }
/// ```
///
/// A server on each core, until SIGTERM or ctrl-c:
///
/// ```no_run
/// use annulus::net::{ShutdownOptions, ShutdownReport, StreamReader, StreamWriter, start_server};
/// use annulus::shards::Shard;
///
/// #[annulus::main(shards = "cores", signals = true)]
/// async fn main(shard: Shard) -> std::io::Result<ShutdownReport> {
///     let greet = async |_: StreamReader, mut writer: StreamWriter| writer.write("hello\n").await;
///     let server = start_server(greet, "127.0.0.1:7000").await?;
///     let report = server.serve_until(shard.shutdown(), &ShutdownOptions::new()).await;
///     println!("shard {}: {report}", shard.index());
///     Ok(report) // The exit code is 1 if connections were aborted.
/// }
/// ```
///
/// What is not supported is a compile error at its place:
///
/// ```compile_fail
/// #[annulus::main]
/// fn main() {}
/// ```
///
/// ```compile_fail
/// #[annulus::main]
/// async fn main(arguments: Vec<String>) {}
/// ```
///
/// ```compile_fail
/// #[annulus::main(threads = 4)]
/// async fn main() {}
/// ```
///
/// ```compile_fail
/// #[annulus::main(shards = "all")]
/// async fn main() {}
/// ```
///
/// ```compile_fail
/// #[annulus::main(signals = true)]
/// async fn main() {}
/// ```
///
/// ```compile_fail
/// #[annulus::main(ring = "epoll")]
/// async fn main() {}
/// ```
///
/// ```compile_fail
/// #[annulus::main(shards = 0)]
/// async fn main() {}
/// ```
///
/// ```compile_fail
/// #[annulus::main(shards = 2)]
/// async fn main(shard: annulus::shards::Shard, other: annulus::shards::Shard) {}
/// ```
///
/// ```compile_fail
/// #[annulus::main(shards = 2)]
/// async fn main(index: usize) {}
/// ```
///
/// ```compile_fail
/// #[annulus::main]
/// async fn main(shard: annulus::shards::Shard) {}
/// ```
#[doc(alias = "asyncio.run")]
pub use annulus_macros::main;

/// Runs an `async fn` as a test, on a runtime of its own.
///
/// `#[should_panic]`, `#[ignore]` and a `Result` work as in other tests. `start_paused = true`
/// pauses the clock ([`time::pause`](crate::time::pause)); `builder = ...`, `ring = "..."` and
/// `crate = "..."` are as for [`main`](macro@main). The test fails if no runtime can be made, with
/// the reason.
///
/// # Example
///
/// ```
/// # // A documentation test does not run tests: this compiles it.
/// #[annulus::test(start_paused = true)]
/// async fn an_hour_takes_a_moment() {
///     annulus::time::sleep(std::time::Duration::from_secs(3600)).await;
/// }
/// ```
pub use annulus_macros::test;

/// What `main` calls.
#[doc(hidden)]
#[track_caller]
pub fn __run_main<F: Future>(builder: Builder, future: F) -> F::Output {
    run(builder, future).unwrap_or_else(|error| exit_with(&error))
}

/// What `main` calls if it has the option `shards`.
#[doc(hidden)]
#[track_caller]
pub fn __run_main_on_shards<T: ShardOutcome + Send>(
    count: Option<usize>,
    signals: bool,
    builder: impl Fn(usize) -> Builder + Send + 'static,
    main: impl AsyncFn(Shard) -> T + Sync,
) -> T {
    let shards = Shards::builder().runtime(builder);
    let shards = if let Some(count) = count { shards.count(count) } else { shards };
    let shards = if signals {
        shards.shutdown(Shutdown::on_signals().unwrap_or_else(|error| exit_with(&error)))
    } else {
        shards
    };
    let results = shards.run(main).unwrap_or_else(|error| match error {
        ShardsError::Interrupted(interrupted) => interrupted.exit(),
        other => exit_with(&other),
    });
    first_to_tell(results)
}

/// The result with which the process ends: that of the first shard that has failed, else of the
/// first without success, else of the first.
fn first_to_tell<T: ShardOutcome>(mut results: Vec<T>) -> T {
    let failed = results.iter().position(|result| result.failure().is_some());
    let without_success = || results.iter().position(|result| !result.is_success());
    results.swap_remove(failed.or_else(without_success).unwrap_or(0))
}

/// What `test` calls. Panics instead of exiting, as other tests of the process must continue.
#[doc(hidden)]
#[track_caller]
pub fn __run_test<F: Future>(builder: Builder, future: F) -> F::Output {
    match run(builder, future) {
        Ok(output) => output,
        Err(error) => panic!("{error}"),
    }
}

#[track_caller]
fn run<F: Future>(builder: Builder, future: F) -> Result<F::Output, SetupError> {
    Ok(builder.build()?.block_on(future))
}
