//! Codecs of tokio-util.

use bytes::BytesMut;
use tokio_util::codec;

use super::{DEFAULT_MAX, Decoder, Encoder, Received};

/// A codec of tokio-util, which needs no runtime of Tokio's (feature `tokio-util`).
///
/// Its decoders take frames out of one `BytesMut`, so received bytes are copied once.
///
/// # Example
///
/// ```
/// use annulus::codec::{Framed, TokioCodec};
/// use annulus::net::TcpStream;
/// use tokio_util::codec::BytesCodec;
///
/// async fn echo(stream: TcpStream) -> std::io::Result<()> {
///     let (reader, writer) = stream.into_buffered();
///     let mut framed = Framed::new(reader, writer, TokioCodec::new(BytesCodec::new()));
///     while let Some(bytes) = framed.next().await {
///         framed.send(bytes?).await?;
///     }
///     Ok(())
/// }
/// ```
#[derive(Clone, Debug)]
pub struct TokioCodec<C> {
    codec: C,
    /// What the codec has been shown and has not taken.
    buffer: BytesMut,
    max: usize,
}

impl<C> TokioCodec<C> {
    /// Adapts a codec. At most 8 MiB wait for the rest of their frame.
    pub fn new(codec: C) -> Self {
        Self { codec, buffer: BytesMut::new(), max: DEFAULT_MAX }
    }

    /// Sets how many bytes may wait for the rest of their frame.
    pub fn max_buffered_bytes(mut self, bytes: usize) -> Self {
        self.max = bytes;
        self
    }

    /// The codec.
    pub fn get_ref(&self) -> &C {
        &self.codec
    }

    /// The codec, to change what the next frame is.
    pub fn get_mut(&mut self) -> &mut C {
        &mut self.codec
    }

    /// Returns the codec, and the bytes that it has not taken.
    pub fn into_parts(self) -> (C, BytesMut) {
        (self.codec, self.buffer)
    }

    fn show(&mut self, received: &mut Received<'_>) {
        if !received.is_empty() {
            let new = received.take(received.len());
            self.buffer.extend_from_slice(&new);
        }
    }

    /// Frees memory that holds no bytes: an idle connection has none.
    fn release_if_empty(&mut self) {
        if self.buffer.is_empty() {
            self.buffer = BytesMut::new();
        }
    }
}

impl<C: codec::Decoder> Decoder for TokioCodec<C> {
    type Item = C::Item;
    type Error = C::Error;

    fn decode(&mut self, received: &mut Received<'_>) -> Result<Option<C::Item>, C::Error> {
        self.show(received);
        let frame = self.codec.decode(&mut self.buffer);
        self.release_if_empty();
        frame
    }

    fn decode_eof(&mut self, received: &mut Received<'_>) -> Result<Option<C::Item>, C::Error> {
        self.show(received);
        self.codec.decode_eof(&mut self.buffer)
    }

    fn max_buffered(&self) -> usize {
        self.max
    }

    fn buffered(&self) -> usize {
        self.buffer.len()
    }
}

impl<Item, C: codec::Encoder<Item>> Encoder<Item> for TokioCodec<C> {
    type Error = C::Error;

    fn encode(&mut self, item: Item, frame: &mut BytesMut) -> Result<(), C::Error> {
        self.codec.encode(item, frame)
    }
}
