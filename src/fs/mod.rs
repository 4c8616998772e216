//! Files on the ring, with the names of the standard library.
//!
//! # Which to use
//!
//! | for                                      | use                                              |
//! |------------------------------------------|--------------------------------------------------|
//! | transfers at offsets, by many tasks      | [`File::read_at`], [`File::write_all_at`]        |
//! | the same with several buffers            | [`File::read_vectored_at`] and its kin           |
//! | buffers that the ring has registered     | [`RegisteredBuffers`]                            |
//! | direct I/O                               | [`File::direct_io_alignment`]                    |
//! | a sequence, from a cursor on             | [`File::read`], [`File::write_all`]              |
//! | lines and records, over a file           | [`StreamReader`](crate::io::StreamReader)        |
//! | a log: records at the end of a file      | [`File::append`]                                 |
//! | a file that must survive a crash         | [`File::sync_data`], [`File::sync_all`]          |
//! | several operations in one submission     | [`chain`](mod@chain), such as [`File::chain`]    |
//! | every way to open a file                 | [`OpenOptions`]                                  |
//! | whole files                              | [`read`], [`write`](fn@write), [`copy`](fn@copy) |
//! | directories                              | [`create_dir_all`], [`read_dir`](fn@read_dir)    |
//! | paths that others choose, as of a server | [`Dir`], which they do not leave                 |
//! | what changes in a directory              | [`Watcher`]                                      |
//! | files that are removed in the end        | [`TempFile`], [`TempDir`]                        |
//! | code that blocks on files of its own     | [`to_thread`](crate::blocking::to_thread)        |
//!
//! [`RegisteredBuffers`]: crate::buf::RegisteredBuffers
//!
//! # How it works
//!
//! Each operation is an SQE. The kernel reads and writes what is in its page cache at once, in the
//! submission itself; what must wait for a device is carried out by the device, or by a kernel
//! worker, and never by the thread of the event loop. There is no copy: the kernel transfers to and
//! from the buffer of the caller, which the operation owns until it has completed
//! ([`buf`](crate::buf)).
//!
//! Creating, removing, renaming, linking and asking for metadata are SQEs, too, which the kernel
//! gives to its workers: a thread of this library would take longer. The ring has no operation to
//! list, copy, canonicalize, read a link or change permissions: for these a thread
//! ([`to_thread`](crate::blocking::to_thread)) makes the calls. Each method says which.
//!
//! # Cancellation
//!
//! A dropped read has no effect. A dropped write may happen in full, in part or not at all, and
//! later operations on the same [`File`] [wait for it](File#dropped-writes). A dropped open closes
//! what it has opened.

pub mod chain;
mod copy;
mod create_dir;
mod cursor;
mod dir;
mod direct_io;
mod file;
mod file_lock;
mod file_type;
mod link_at;
mod links;
mod lock;
mod metadata;
mod off_loop;
mod open;
mod open_options;
mod path;
mod permissions;
mod positional;
mod read_dir;
mod remove;
mod remove_tree;
mod rename;
mod resolve;
mod sequential;
mod space;
mod temporary;
mod vectored;
mod watcher;
mod whole;

#[doc(no_inline)]
pub use std::fs::{FileTimes, Permissions};

pub use chain::{Chain, NotRun};
pub use copy::copy;
pub use create_dir::{DirBuilder, create_dir, create_dir_all};
pub use dir::Dir;
pub use direct_io::DirectIoAlignment;
pub use file::File;
pub use file_type::FileType;
pub use links::{canonicalize, hard_link, read_link, symlink};
pub use lock::TryLockError;
pub use metadata::{Metadata, metadata, symlink_metadata, try_exists};
pub use open_options::OpenOptions;
pub use permissions::{chown, lchown, set_permissions};
pub use read_dir::{DirEntry, ReadDir, read_dir};
pub use remove::{remove_dir, remove_dir_all, remove_file};
pub use rename::{RenameOptions, rename, rename_with};
pub use resolve::Resolve;
pub use space::{Advice, AllocateMode};
pub use temporary::{PersistError, TempDir, TempFile};
pub use watcher::{WatchEvent, WatchFor, WatchId, Watched, Watcher};
pub use whole::{read, read_to_string, write};
