//! Child processes.
//!
//! [`Command`] is the builder of the standard library, with its methods; it starts a [`Child`],
//! whose end is awaited, and whose pipes are streams.
//!
//! ```
//! use annulus::process::Command;
//!
//! annulus::run(async {
//!     let output = Command::new("echo").arg("hello").output().await?;
//!     assert!(output.status.success());
//!     assert_eq!(output.stdout, b"hello\n");
//!     std::io::Result::Ok(())
//! })??;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Starting is a call
//!
//! [`Command::spawn`] starts the child on the calling thread, as that of the standard library and
//! of Tokio does, and returns when the program has been loaded, or cannot be. Children inherit what
//! belongs to a thread (its CPUs, namespaces, priorities), and a parent-death signal
//! (`PR_SET_PDEATHSIG`) is sent when the thread ends that has started the child: a thread of a pool
//! would give them another's, and end too soon. Measured: 65 µs without, 105 µs with 1 GiB of
//! memory in use, as the C library shares the memory with the child until that has become the
//! program (`posix_spawn`); another thread would take 140 µs and 100 µs. With `uid`, `gid` or
//! `pre_exec` the standard library copies the page tables (`fork`), which takes 120 ms for 1 GiB.
//! There, and where the program is on a slow file system, start it on another thread and take it
//! over:
//!
//! ```
//! use annulus::blocking::to_thread;
//! use annulus::process::Child;
//!
//! annulus::run(async {
//!     let mut command = std::process::Command::new("true");
//!     let mut child = Child::from_std(to_thread(move || command.spawn()).await??)?;
//!     assert!(child.wait().await?.success());
//!     Ok::<(), Box<dyn std::error::Error>>(())
//! })??;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # No zombies, and no signal to another process
//!
//! A child that has ended is a zombie until its status is taken. It is taken once, however many
//! tasks wait for it ([`Child::exited`]), and also if none does: a [`Child`] that is dropped while
//! it runs is waited for by its runtime (and killed before, with [`Command::kill_on_drop`]).
//! Children that outlive their runtime are taken over by the next runtime of the process that
//! starts one; those that outlive the process go to init. There is no handler for SIGCHLD, and no
//! thread.
//!
//! Signals go to the child by its pidfd, and so never to another process that has got its number
//! since, even if other code of this process has waited for it.
//!
//! Code that waits for all children of the process (`waitpid(-1)`) takes the status away, and so
//! does the kernel where SIGCHLD is ignored. Then waits end with an error that says so (`ECHILD`).

mod child;
mod command;
mod communicate;

pub use child::{Child, ChildStderr, ChildStdin, ChildStdout};
pub use command::Command;
