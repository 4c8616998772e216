//! Waiting for one of the signals that end a process or have it read its configuration again.

use std::io;

use crate::runtime::signals::signal;
use crate::sys::signals::{SIGHUP, SIGINT, SIGTERM};

/// Waits for ctrl-c (SIGINT).
///
/// The returned future listens from the call until it is dropped. While there is a listener, the
/// first ctrl-c does not end the process; the second does, unless it has a listener again. If the
/// process ignores SIGINT, as one that a shell has started in the background, it still does.
/// Several futures, on several threads too, can listen at once: each one is ready.
///
/// # Other handlers
///
/// A handler for SIGINT that the program has installed before is not called while there is a
/// listener, and is restored afterwards. A handler that is installed meanwhile stays; if it calls
/// the handler that it has replaced, as those of `signal-hook` do, both are told. After a fork, the
/// child has no listener.
///
/// # Errors
///
/// If the process is out of descriptors: each future has one.
///
/// # Panics
///
/// If there is no runtime on this thread when it is first polled.
///
/// # Cancel safety
///
/// Dropped, it no longer listens. Without another listener, ctrl-c again does what it did before.
///
/// # Example
///
/// A server that lets its connections finish:
///
/// ```no_run
/// use std::time::Duration;
/// use annulus::net::{StreamReader, StreamWriter, start_server};
/// use annulus::signal::ctrl_c;
///
/// #[annulus::main]
/// async fn main() -> std::io::Result<()> {
///     let handler = async |_: StreamReader, mut writer: StreamWriter| {
///         writer.write("hello\n").await
///     };
///     let server = start_server(handler, "127.0.0.1:7000").await?;
///     ctrl_c().await?;
///     let outcome = server.shutdown(Duration::from_secs(10)).await;
///     println!("{} completed, {} aborted", outcome.completed, outcome.aborted);
///     Ok(())
/// }
/// ```
#[doc(alias = "asyncio.loop.add_signal_handler")]
#[doc(alias = "SIGINT")]
pub fn ctrl_c() -> impl Future<Output = io::Result<()>> {
    signal(SIGINT)
}

/// Waits for SIGTERM, by which supervisors (systemd, Docker, Kubernetes) ask a process to end.
///
/// All else is as for [`ctrl_c`], including its errors and what becomes of other handlers.
///
/// # Errors
///
/// As for [`ctrl_c`].
///
/// # Panics
///
/// If there is no runtime on this thread when it is first polled.
///
/// # Cancel safety
///
/// As for [`ctrl_c`].
///
/// # Example
///
/// ```no_run
/// annulus::run(async {
///     annulus::signal::terminate().await?;
///     println!("asked to end");
///     std::io::Result::Ok(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "asyncio.loop.add_signal_handler")]
#[doc(alias = "SIGTERM")]
pub fn terminate() -> impl Future<Output = io::Result<()>> {
    signal(SIGTERM)
}

/// Waits for SIGHUP, by which daemons are asked to read their configuration again.
///
/// All else is as for [`ctrl_c`], including its errors and what becomes of other handlers. Listen
/// again before working on a signal: one that comes without a listener ends the process.
///
/// # Errors
///
/// As for [`ctrl_c`].
///
/// # Panics
///
/// If there is no runtime on this thread when it is first polled.
///
/// # Cancel safety
///
/// As for [`ctrl_c`].
///
/// # Example
///
/// ```no_run
/// use annulus::signal::hangup;
///
/// # fn reload() {}
/// annulus::run(async {
///     let mut next = hangup();
///     loop {
///         next.await?;
///         next = hangup();
///         reload();
///     }
///     # #[allow(unreachable_code)]
///     std::io::Result::Ok(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "asyncio.loop.add_signal_handler")]
#[doc(alias = "SIGHUP")]
pub fn hangup() -> impl Future<Output = io::Result<()>> {
    signal(SIGHUP)
}
