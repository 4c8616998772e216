//! Copying from a reader to a writer.

use std::future::poll_fn;
use std::io;

use super::{AsyncRead, AsyncWrite, StreamReader, StreamWriter};
use crate::task::coop;

/// Copies from a reader to a writer until EOF, and returns the number of bytes.
///
/// Does not shut down the writer. The bytes are not copied in memory: they are sent from the
/// runtime-owned buffer that they were received into.
///
/// # Errors
///
/// Those of either side. If writing fails, the bytes of the last [`AsyncRead::recv`] are lost.
///
/// # Cancel safety
///
/// Dropped while it waits for bytes, it loses nothing. Dropped while it writes, it has written an
/// unknown part of the bytes received last, and the rest of them is lost: then the copy cannot be
/// resumed. [`StreamReader::copy_to`] loses nothing in either case.
///
/// # Example
///
/// ```
/// use annulus::io::copy;
/// use annulus::net::{TcpListener, TcpStream};
///
/// annulus::run(async {
///     let listener = TcpListener::bind("127.0.0.1:0").await?;
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
        // Both sides may always be ready.
        poll_fn(|context| coop::poll_spend(context)).await;
        let lease = from.recv().await?;
        if lease.is_empty() {
            return Ok(total);
        }
        total += lease.len() as u64;
        to.write_all(lease).await.0?;
    }
}

impl<R: AsyncRead> StreamReader<R> {
    /// Copies to a writer until EOF, and returns the number of bytes.
    ///
    /// Does not shut down the writer.
    ///
    /// # Errors
    ///
    /// Those of either side. Bytes that could not be written stay in the reader.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it loses and repeats nothing: bytes that were not queued stay in the reader.
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
            // First waits for room, for as many bytes as came last, so that no received bytes are
            // held meanwhile. Then for bytes: nothing is awaited between taking and queueing them.
            writer.room_for(count).await?;
            let available = self.fill().await?;
            count = available.len();
            if count == 0 {
                return Ok(total);
            }
            writer.write_nowait(available)?;
            self.consume(count);
            total += count as u64;
        }
    }
}
