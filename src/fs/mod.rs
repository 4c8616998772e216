//! Files on the ring, with the names of the standard library.
//!
//! # Which to use
//!
//! | for                                         | use                                         |
//! |---------------------------------------------|---------------------------------------------|
//! | reading and writing at offsets, by many tasks | [`File::read_at`], [`File::write_all_at`]    |
//! | a log: records at the end of a file         | [`File::append`]                            |
//! | a file that must survive a crash            | [`File::sync_data`], [`File::sync_all`]     |
//! | every way to open a file                    | [`OpenOptions`]                             |
//! | code that blocks on files of its own        | [`to_thread`](crate::blocking::to_thread)   |
//!
//! # How it works
//!
//! Each operation is an SQE. The kernel reads and writes what is in its page cache at once, in the
//! submission itself; what must wait for a device is carried out by the device, or by a kernel
//! worker, and never by the thread of the event loop. There are no threads of this library in it,
//! and no copy: the kernel transfers to and from the buffer of the caller, which the operation owns
//! until it has completed ([`buf`](crate::buf)).
//!
//! # Cancellation
//!
//! A dropped read has no effect. A dropped write may happen in full, in part or not at all, and
//! later operations on the same [`File`] [wait for it](File#dropped-writes). A dropped open closes
//! what it has opened.

mod file;
mod open_options;
mod positional;

pub use file::File;
pub use open_options::OpenOptions;
