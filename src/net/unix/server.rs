//! Servers on Unix sockets.

use std::io;
use std::path::Path;

use super::listener::UnixListener;
use super::stream::{UnixStream, address_of};
use crate::net::server::{HandlerOutcome, Server, ServerOptions, start_server_on};
use crate::net::stream::{StreamReader, StreamWriter};

/// Like [`start_server`](crate::net::start_server), for a Unix socket.
///
/// It listens at a path, or at an abstract name: a path that begins with a zero byte. No name is
/// looked up, so it is no `async fn`. A handler that names its arguments' types takes a
/// `StreamReader<UnixStream>` and a `StreamWriter<UnixStream>`.
///
/// # Errors
///
/// As for [`UnixListener::bind`].
///
/// # Panics
///
/// If there is no runtime on this thread.
///
/// # Example
///
/// ```
/// use annulus::net::{open_unix_connection, start_unix_server};
///
/// annulus::run(async {
///     let name = format!("\0shout-{}", std::process::id());
///     let _server = start_unix_server(
///         async |mut reader, mut writer| {
///             let line = reader.read_line().await?;
///             writer.write(line.to_ascii_uppercase()).await
///         },
///         &name,
///     )?;
///     let (mut reader, mut writer) = open_unix_connection(&name).await?;
///     writer.write("hello\n").await?;
///     assert_eq!(&*reader.read_line().await?, b"HELLO\n");
///     std::io::Result::Ok(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "asyncio.start_unix_server")]
pub fn start_unix_server<H, T>(handler: H, path: impl AsRef<Path>) -> io::Result<Server<UnixStream>>
where
    H: AsyncFn(StreamReader<UnixStream>, StreamWriter<UnixStream>) -> T + 'static,
    T: HandlerOutcome + 'static,
{
    start_unix_server_with(handler, path, &ServerOptions::new())
}

/// Like [`start_unix_server`], with options.
///
/// # Errors
///
/// As for [`UnixListener::bind`].
///
/// # Panics
///
/// If there is no runtime on this thread.
pub fn start_unix_server_with<H, T>(
    handler: H,
    path: impl AsRef<Path>,
    options: &ServerOptions,
) -> io::Result<Server<UnixStream>>
where
    H: AsyncFn(StreamReader<UnixStream>, StreamWriter<UnixStream>) -> T + 'static,
    T: HandlerOutcome + 'static,
{
    let listener = UnixListener::bind_addr(&address_of(path.as_ref())?, &options.listen)?;
    start_server_on(handler, [listener], options)
}
