//! Passing on whatever comes.

use std::future::poll_fn;
use std::io;

use super::{AsyncRead, AsyncWrite, StreamReader, StreamWriter};
use crate::task::budget;

/// Copies from one to another until the end, and returns how many bytes it was. It does not end the
/// writing.
///
/// The bytes are not copied in memory: what was received into a runtime-owned buffer is sent from
/// there.
///
/// # Errors
///
/// Those of either side. If writing fails, what was received last is lost with it: at most one piece
/// as [`AsyncRead::recv`] returns it.
///
/// # Cancel safety
///
/// Dropped while it waits for bytes, nothing is lost. Dropped while it writes, the piece that was
/// received last has been written in part, of a length that is not known, and the rest of it is lost.
/// So a copy that was dropped can be begun again only if it was not writing; to be able to always, use
/// [`StreamReader::copy_to`], which loses nothing.
///
/// # Example
///
/// ```
/// use annulus::io::copy;
/// use annulus::net::{TcpListener, TcpStream};
///
/// annulus::run(async {
///     let mut listener = TcpListener::bind("127.0.0.1:0").await?;
///     let address = listener.local_addr()?;
///     let server = annulus::spawn(async move {
///         let (mut reader, mut writer) = listener.accept().await?.0.into_split();
///         copy(&mut reader, &mut writer).await
///     });
///     let mut client = TcpStream::connect(address).await?;
///     client.write_all("there and back").await.0?;
///     client.shutdown(std::net::Shutdown::Write).await?;
///     assert_eq!(&*client.recv().await?, b"there and back");
///     assert_eq!(server.await??, 14);
///     std::io::Result::Ok(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub async fn copy<R: AsyncRead, W: AsyncWrite>(from: &mut R, to: &mut W) -> io::Result<u64> {
    let mut total = 0;
    loop {
        // Neither side need ever wait.
        poll_fn(|context| budget::poll_spend(context)).await;
        let lease = from.recv().await?;
        if lease.is_empty() {
            return Ok(total);
        }
        total += lease.len() as u64;
        to.write_all(lease).await.0?;
    }
}

impl<R: AsyncRead> StreamReader<R> {
    /// Writes all that comes, until the end, and says how many bytes it was. It does not end the writing.
    ///
    /// # Errors
    ///
    /// Those of either side. What could not be written is still the reader's.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it loses and repeats nothing: what was not queued is still the reader's.
    ///
    /// # Example
    ///
    /// ```
    /// use annulus::net::{StreamReader, StreamWriter};
    ///
    /// async fn echo(mut reader: StreamReader, mut writer: StreamWriter) -> std::io::Result<()> {
    ///     reader.copy_to(&mut writer).await.map(drop)
    /// }
    /// ```
    pub async fn copy_to<W: AsyncWrite + 'static>(
        &mut self,
        writer: &mut StreamWriter<W>,
    ) -> io::Result<u64> {
        let (mut total, mut count) = (0, 0);
        loop {
            // First room, for as much as came last, so that no received bytes are held meanwhile. Then
            // bytes: between taking those and queueing them nothing is awaited.
            writer.room_for(count).await?;
            let there = self.fill().await?;
            count = there.len();
            if count == 0 {
                return Ok(total);
            }
            writer.write_nowait(there)?;
            self.consume(count);
            total += count as u64;
        }
    }
}
