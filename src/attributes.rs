//! `#[annulus::main]` and `#[annulus::test]`.

use std::future::Future;

use crate::error::SetupError;
use crate::runtime::{Builder, exit_with};

/// Runs an `async fn main` on a runtime.
///
/// The function may return whatever a `main` may. If no runtime can be made, prints why and what to
/// do to standard error, and exits the process with code 1.
///
/// `builder = ...` is an expression of the [`Builder`] to make the runtime with. With
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
#[doc(alias = "asyncio.run")]
pub use annulus_macros::main;

/// Runs an `async fn` as a test, on a runtime of its own.
///
/// `#[should_panic]`, `#[ignore]` and a `Result` work as in other tests. `start_paused = true`
/// pauses the clock ([`time::pause`](crate::time::pause)); `builder = ...` and `crate = "..."` are
/// as for [`main`](macro@main). The test fails if no runtime can be made, with the reason.
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
    let runtime = builder.build()?;
    let outcome = runtime.try_block_on(future);
    drop(runtime);
    Ok(outcome.unwrap_or_else(|interrupted| interrupted.exit()))
}
