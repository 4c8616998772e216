//! Frames: messages with a beginning and an end, on a stream of bytes (feature `codec`).
//!
//! A [`Decoder`] takes frames out of what a [`StreamReader`](crate::io::StreamReader) has received,
//! an [`Encoder`] makes the bytes of a frame for a [`StreamWriter`](crate::io::StreamWriter).
//! [`Framed`] has both, [`FramedRead`] and [`FramedWrite`] one each; they are a `Stream` and a
//! `Sink` of frames, and have methods that need no trait. [`LengthDelimited`] frames begin with
//! their length; [`Lines`] end with a line feed. With the feature `tokio-util`, `TokioCodec` adapts
//! the codecs of that crate.
//!
//! # Bounds
//!
//! What a peer can make a reader hold is bounded by [`Decoder::max_buffered`]. Nothing is allocated
//! because a peer has announced a length: memory grows with what has arrived.
//!
//! # Cancel safety
//!
//! A dropped read of a frame leaves what was received to the next one; a dropped send has queued
//! either the whole frame or nothing.
//!
//! # Example
//!
//! ```
//! use annulus::codec::{Framed, LengthDelimited};
//! use annulus::net::{TcpListener, TcpStream};
//!
//! annulus::run(async {
//!     let listener = TcpListener::bind("127.0.0.1:0").await?;
//!     let client = TcpStream::connect(listener.local_addr()?).await?;
//!     let (server, _) = listener.accept().await?;
//!     let codec = LengthDelimited::new().max_frame_length(1 << 20);
//!     let framed = |stream: TcpStream| {
//!         let (reader, writer) = stream.into_buffered();
//!         Framed::new(reader, writer, codec)
//!     };
//!     let (mut client, mut server) = (framed(client), framed(server));
//!     client.send("first").await?;
//!     client.send("second").await?;
//!     assert_eq!(&*server.next().await.expect("a frame")?, b"first");
//!     assert_eq!(&*server.next().await.expect("a frame")?, b"second");
//!     drop(client);
//!     assert!(server.next().await.is_none());
//!     std::io::Result::Ok(())
//! })??;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod frame_too_long;
mod framed;
mod framed_read;
mod framed_write;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod length_delimited;
mod lines;
mod reader_home;
#[cfg(feature = "tokio-util")]
mod tokio_codec;

use std::io;

use bytes::BytesMut;

pub use frame_too_long::FrameTooLong;
pub use framed::Framed;
pub use framed_read::FramedRead;
pub use framed_write::FramedWrite;
pub use length_delimited::LengthDelimited;
pub use lines::Lines;
#[cfg(feature = "tokio-util")]
pub use tokio_codec::TokioCodec;

pub use crate::io::Received;

/// The default for how many bytes a frame has at most: 8 MiB.
const DEFAULT_MAX: usize = 8 * 1024 * 1024;

/// Takes frames out of received bytes.
///
/// # Example
///
/// Numbers of two bytes:
///
/// ```
/// use annulus::codec::{Decoder, Received};
/// use std::io;
///
/// struct Numbers;
///
/// impl Decoder for Numbers {
///     type Item = u16;
///     type Error = io::Error;
///
///     fn decode(&mut self, received: &mut Received<'_>) -> io::Result<Option<u16>> {
///         let mut bytes = [0; 2];
///         if received.copy_to(&mut bytes) < bytes.len() {
///             return Ok(None);
///         }
///         received.discard(bytes.len());
///         Ok(Some(u16::from_be_bytes(bytes)))
///     }
/// }
/// ```
pub trait Decoder {
    /// A frame.
    type Item;
    /// Why there is no frame.
    type Error: From<io::Error>;

    /// Takes the next frame; `None` if more bytes are needed.
    ///
    /// It is called again with the same bytes and more, or after a frame with the rest.
    ///
    /// # Errors
    ///
    /// If the bytes are no frame. No further frames are read.
    fn decode(&mut self, received: &mut Received<'_>) -> Result<Option<Self::Item>, Self::Error>;

    /// Takes the next frame when no more bytes come; `None` if there is no other.
    ///
    /// # Errors
    ///
    /// As for [`decode`](Self::decode). By default `UnexpectedEof`, if bytes are left that are no
    /// frame.
    fn decode_eof(
        &mut self,
        received: &mut Received<'_>,
    ) -> Result<Option<Self::Item>, Self::Error> {
        let frame = self.decode(received)?;
        let left = received.len() + self.buffered();
        if frame.is_none() && left > 0 {
            let text = format!("EOF in a frame, after {left} bytes of it");
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text).into());
        }
        Ok(frame)
    }

    /// How many bytes may wait for the rest of their frame, by default 8 MiB.
    ///
    /// A decoder that needs more fails with [`FrameTooLong`]. What is received at once, at most a
    /// [large buffer](crate::Builder::large_buffers), may exceed it.
    fn max_buffered(&self) -> usize {
        DEFAULT_MAX
    }

    /// How many bytes the decoder has taken and keeps for a frame of which more is to come.
    fn buffered(&self) -> usize {
        0
    }
}

/// Makes the bytes of frames.
pub trait Encoder<Item> {
    /// Why a frame cannot be sent.
    type Error: From<io::Error>;

    /// Appends the bytes of a frame.
    ///
    /// # Errors
    ///
    /// If the item has no form as a frame. Nothing of it is sent.
    fn encode(&mut self, item: Item, frame: &mut BytesMut) -> Result<(), Self::Error>;
}
