//! Operations on files.
//!
//! They are carried out by kernel workers where the data is not in memory, and neither a cancel nor
//! a dropped future stops a worker: what an operation points to is kept until it has completed.

mod advise;
mod allocate;
mod close;
mod close_link;
mod fd;
mod fsync;
mod lease_buffer;
mod links;
mod misaligned;
mod open;
mod open_direct;
mod open_link;
mod read_at;
mod read_stream;
mod set_len;
mod shared_sync;
mod sync_queue;
mod vectored;
mod write_at;
mod write_then_sync;

pub(crate) use advise::Advise;
pub(crate) use allocate::Allocate;
pub(crate) use close::Close;
pub(crate) use close_link::CloseLast;
pub(crate) use fd::FileFd;
pub(crate) use fsync::Fsync;
pub(crate) use lease_buffer::LeaseBuffer;
pub use links::{
    CloseLink, OpenLink, ReadExactLink, ReadExactVectoredLink, ReadLink, ReadVectoredLink,
    SyncLink, WriteAllLink, WriteAllVectoredLink, WriteLink, WriteVectoredLink,
};
pub(crate) use open::Open;
pub(crate) use open_direct::OpenDirect;
pub(crate) use open_link::OpenFirst;
pub(crate) use read_at::ReadAt;
pub(crate) use read_stream::ReadStream;
pub(crate) use set_len::SetLen;
pub(crate) use shared_sync::SharedSync;
pub(crate) use vectored::{ReadVectoredAt, WriteVectoredAt};
pub(crate) use write_at::WriteAt;
pub(crate) use write_then_sync::WriteThenSync;
