//! Contenders as processes of their own: started, watched and ended from here, and the side of the
//! child that hosts one.
//!
//! The harness starts itself again with a hidden subcommand. The child binds itself to its core,
//! has the kernel end it with its parent, listens, says where on its standard output, and hands
//! over to the contender.

pub(crate) mod calls;
pub(crate) mod host;
mod process;
mod usage;

pub(crate) use calls::{Calls, SHARDS};
pub(crate) use process::{Server, list, run_to_end};
pub(crate) use usage::{Usage, kilobytes_of};

use std::time::Duration;

/// No child lives longer than this, whatever happens to the harness.
pub(crate) const LIFETIME: Duration = Duration::from_secs(600);
