//! Files: opening, reading and writing at offsets, and making it durable.
//!
//! Not public yet: what is here shows how a file's operations are made, and is tested. Directories,
//! whole files and buffered files follow.

mod file;

pub use file::File;
