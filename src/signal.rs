//! Signals.

use std::io;

use crate::runtime::ctrl_c as sigint;

/// Waits for ctrl-c (SIGINT).
///
/// It listens from the call on, and until it is dropped. While somebody listens, the first ctrl-c does not
/// end the process; the second does, unless it is waited for again. Where ctrl-c is ignored, as for what a
/// shell starts in the background, it stays so. Several may wait, also on several threads: each is told.
///
/// # Other handlers
///
/// A handler for SIGINT that the program has installed before is not called while somebody listens, and is
/// put back afterwards. One that is installed meanwhile stays; if it calls the handler that it found, as
/// those of `signal-hook` do, both hear. After a fork, nobody listens in the child.
///
/// # Errors
///
/// If descriptors have run out, or 64 wait already: share one in a task that tells the others
/// ([`Event`](crate::sync::Event), [`CancelToken`](crate::join::CancelToken)).
///
/// # Panics
///
/// If there is no runtime on this thread when it is first polled.
///
/// # Cancel safety
///
/// Dropped, it listens no more, and if nobody else does ctrl-c does again what it did before.
///
/// # Example
///
/// A server that lets its connections end:
///
/// ```no_run
/// use std::time::Duration;
/// use annulus::net::{StreamReader, StreamWriter, start_server};
/// use annulus::signal::ctrl_c;
///
/// #[annulus::main]
/// async fn main() -> std::io::Result<()> {
///     let handler = async |_: StreamReader, mut writer: StreamWriter| writer.write("hello\n").await;
///     let server = start_server(handler, "127.0.0.1:7000").await?;
///     ctrl_c().await?;
///     let outcome = server.shutdown(Duration::from_secs(10)).await;
///     println!("{} completed, {} aborted", outcome.completed, outcome.aborted);
///     Ok(())
/// }
/// ```
#[doc(alias = "asyncio.loop.add_signal_handler")]
pub fn ctrl_c() -> impl Future<Output = io::Result<()>> {
    sigint::ctrl_c()
}
