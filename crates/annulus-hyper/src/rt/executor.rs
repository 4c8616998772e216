//! Spawning what hyper wants to run beside a connection.

/// hyper's executor: spawns on the runtime of the current thread.
///
/// Futures need not be `Send`. A panic in one goes to
/// [`Builder::on_incident`](annulus::Builder::on_incident).
///
/// # Panics
///
/// [`execute`](hyper::rt::Executor::execute), if there is no runtime on this thread.
///
/// # Example
///
/// ```
/// use annulus_hyper::Executor;
/// use hyper::rt::Executor as _;
///
/// annulus::run(async {
///     let (sender, receiver) = annulus::sync::oneshot::channel();
///     Executor.execute(async move {
///         let _ = sender.send("done");
///     });
///     assert_eq!(receiver.await, Ok("done"));
/// })?;
/// # Ok::<(), annulus::SetupError>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Executor;

impl<F: Future + 'static> hyper::rt::Executor<F> for Executor {
    #[track_caller]
    fn execute(&self, future: F) {
        drop(annulus::spawn(future));
    }
}
