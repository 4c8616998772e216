//! Owned buffers: memory that an operation takes, the kernel uses, and the result returns.
//!
//! The kernel reads and writes a buffer after the call that started the operation has returned, so
//! a borrowed `&mut [u8]` will not do: its owner could free it while the kernel still writes. An
//! operation takes the buffer by value instead and returns it beside its result ([`BufResult`]), on
//! errors too:
//!
//! ```no_run
//! # async fn f(mut stream: annulus::net::TcpStream) -> std::io::Result<()> {
//! let (count, buffer) = stream.read(Vec::with_capacity(4096)).await.into_result()?;
//! assert_eq!(buffer.len(), count);
//! # Ok(()) }
//! ```
//!
//! - [`IoBuf`] is memory to read from, [`IoBufMut`] memory to write to. They are implemented for
//!   the owned byte containers of the standard library and of the `bytes` crate.
//! - [`Slice`] is a range of a buffer, made by [`IoBuf::slice`]; [`Slice::into_inner`] returns the
//!   whole.
//! - [`AlignedBuf`] has an alignment, for direct I/O; [`RegisteredBuf`]s are from a set that the
//!   kernel has registered.
//! - [`Lease`] is received bytes in a runtime-owned buffer, which returns when the lease is
//!   dropped.
//!
//! # How much is read, and what a buffer's length is afterwards
//!
//! A read fills a buffer from its start up to its *capacity*, whatever its length was, and then
//! sets its length to what was read: a `Vec::with_capacity(4096)` can be read into again and again.
//! Containers whose length cannot change (`Box<[u8]>`) keep it, and the count says how many bytes
//! are new. To append to what a `Vec` holds, read into `vec.slice(vec.len()..)`.
//!
//! The capacity may be larger than requested: `BytesMut::with_capacity(4)` and `reserve(4)` round
//! up to what the allocator provides, and even a `Vec` promises only *at least*. So to read exactly
//! four bytes, `read_exact` needs a range of four:
//!
//! ```
//! use annulus::buf::IoBuf;
//! use annulus::net::TcpStream;
//! use bytes::BytesMut;
//!
//! async fn read_length(stream: &mut TcpStream) -> std::io::Result<u32> {
//!     let four = BytesMut::with_capacity(4).slice(..4);
//!     let ((), four) = stream.read_exact(four).await.into_result()?;
//!     Ok(u32::from_be_bytes(four.as_bytes().try_into().expect("four bytes")))
//! }
//! # annulus::run(async {
//! #     let listener = annulus::net::TcpListener::bind("127.0.0.1:0").await?;
//! #     let mut client = TcpStream::connect(listener.local_addr()?).await?;
//! #     let (mut stream, _) = listener.accept().await?;
//! #     client.write_all(b"\0\0\0\x05hello".to_vec()).await.0?;
//! #     assert_eq!(read_length(&mut stream).await?, 5);
//! #     Ok::<(), std::io::Error>(())
//! # })??;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Safe code never sees a byte that was not written: lengths grow only over bytes that the kernel
//! has reported as written.

mod aligned;
mod caller_memory;
mod containers;
mod fixed_room;
mod heap_buffer;
mod lease;
mod lease_memory;
mod registered;
mod registration;
mod result;
mod slice;
mod traits;

pub use aligned::AlignedBuf;
pub(crate) use caller_memory::CallerMemory;
#[cfg(feature = "tokio-io")]
pub(crate) use caller_memory::fill_read_buf;
pub(crate) use heap_buffer::{HeapBuffer, HeapTally};
pub use lease::Lease;
pub(crate) use lease_memory::LeaseMemory;
pub(crate) use registered::SetMemory;
pub use registered::{RegisteredBuf, RegisteredBuffers};
#[doc(hidden)]
pub use registration::Registration;
pub use result::BufResult;
pub use slice::Slice;
pub use traits::{IoBuf, IoBufMut};
