//! A completion-based io_uring runtime for Linux servers, with the programming model of Python's
//! asyncio and the conventions of a Rust library.
//!
//! ```no_run
//! use annulus::net::{StreamReader, StreamWriter, start_server};
//!
//! async fn echo(mut reader: StreamReader, mut writer: StreamWriter) -> std::io::Result<()> {
//!     loop {
//!         let line = reader.read_line().await?;
//!         if line.is_empty() {
//!             return Ok(());
//!         }
//!         writer.write(line).await?;
//!     }
//! }
//!
//! #[annulus::main]
//! async fn main() -> std::io::Result<()> {
//!     let server = start_server(echo, "127.0.0.1:7000").await?;
//!     server.serve_forever().await;
//!     Ok(())
//! }
//! ```
//!
//! # Where to begin
//!
//! | for                                   | see                                               |
//! |---------------------------------------|---------------------------------------------------|
//! | starting: [`run`], `#[annulus::main]` | [`Runtime`], [`Builder`]                          |
//! | all cores: [`Shards`]                 | [`shards`]                                        |
//! | tasks: [`spawn`]                      | [`task`]                                          |
//! | waiting for several things at once    | [`join`]                                          |
//! | servers and connections               | [`net`], and [`io`] for lines and records         |
//! | datagrams                             | [`net::UdpSocket`], [`net::UnixDatagram`]         |
//! | files, directories, watching them     | [`fs`]                                            |
//! | pipes, FIFOs, standard streams        | [`pipe`], [`io::stdin`], [`io::stdout`]           |
//! | child processes                       | [`process`]                                       |
//! | signals                               | [`signal`], and [`Shutdown`] for servers          |
//! | buffers and leases                    | [`buf`]                                           |
//! | sleeps, timeouts, intervals           | [`time`]                                          |
//! | locks, queues, channels               | [`sync`], and [`sync::remote`] between threads    |
//! | blocking code                         | [`blocking`]                                      |
//! | systemd, restarts without a gap       | [`service`]                                       |
//!
//! Each item has one path. The root has what belongs to no module: starting and configuring a
//! runtime, [`spawn`] and [`yield_now`], and the errors and counters of a runtime as a whole. All
//! else is in its module, as in asyncio's documentation: [`join::gather`](fn@join::gather),
//! [`time::sleep`], [`task::JoinHandle`], [`buf::BufResult`]. There is no prelude; the names are
//! chosen to be imported one by one.
//!
//! `select!`, `FutureExt` and `StreamExt` are in the crate `futures-util`.
//!
//! # The model
//!
//! One thread has one ring, one event loop and its tasks. [`run`] starts them; [`spawn`] starts a
//! task. Futures need not be `Send`, as they never leave their thread. [`Shards`] runs the same on
//! several cores, and a [`Handle`] reaches a runtime from other threads. Operations own their
//! buffers while they run and return them with the result ([`buf`]). Buffered streams ([`io`]) and
//! servers ([`net::start_server`]) are built on them.
//!
//! # Cancellation
//!
//! Dropping a future cancels it: by [`time::timeout`], a lost `select!`,
//! [`JoinHandle::cancel`](task::JoinHandle::cancel), or the end of the runtime. A drop never
//! blocks. A dropped read, accept, connect or wait loses no byte, no connection and no descriptor;
//! a dropped write may have sent a part of its bytes. [`net`] describes each. Memory that the
//! kernel may still touch is kept until the kernel has released it, even when a future is forgotten
//! or a runtime is dropped with operations in flight.
//!
//! # Errors
//!
//! Operations return [`io::Error`](std::io::Error)s that name the operation: `recv: Connection
//! reset by peer (os error 104)`. Their kind is that of the cause. The standard library's error
//! holds either a number or a text, so `error.raw_os_error()` is `None` for these;
//! [`raw_os_error`]`(&error)` returns the number. An error that no caller awaits, such as the panic
//! of a task that is never joined, is an [`Incident`].
//!
//! # Features
//!
//! They only add; what is off costs nothing.
//!
//! | feature              | what it adds                                                         |
//! |----------------------|----------------------------------------------------------------------|
//! | `macros` (default)   | the attributes `main` and `test`                                     |
//! | `futures-io`         | the I/O traits of futures, for [`net::Polled`]                       |
//! | `tokio-io`           | those of Tokio, without its runtime                                  |
//! | `codec`              | frames on buffered streams                                           |
//! | `tokio-util`         | `codec`, and the codecs of tokio-util                                |
//! | `tracing`            | spans and events for subscribers of the crate `tracing`, see below   |
//! | `console`            | tasks and their wakers in tokio-console                              |
//! | `metrics`            | `MetricsPublisher`, for exporters of the crate `metrics`             |
//! | `faults`             | for tests: what a kernel may do and seldom does, on purpose          |
//!
//! The spans and events of `tracing`, by their targets:
//!
//! | target                | level | what                                                        |
//! |-----------------------|-------|-------------------------------------------------------------|
//! | `annulus::task`       | DEBUG | span `task`: `id`, `name`, `parent`, `spawned_at`           |
//! | `annulus::connection` | DEBUG | span `connection`: `peer`; around the handler of a server   |
//! | `annulus::operation`  | TRACE | span `operation`: `opcode`; from an SQE to its completion   |
//! | `annulus::slow_poll`  | WARN  | event: a poll above `Builder::slow_poll_threshold`          |
//!
//! The span of a task is entered at each poll, and for the drop of the future. Multishot operations
//! and inline calls have no span.
//!
//! A subscriber that is limited to a level at compile time (`tracing`'s feature
//! `release_max_level_info`, for example) removes the spans below it.
//!
//! # What it needs
//!
//! Linux 6.1 or later for the full set, 5.13 for io_uring at all; see [`probe`](probe()). Where
//! io_uring is missing, switched off or forbidden, runtimes are on a portable ring on epoll (Linux
//! 4.18), and the first says so; see [`RingKind`].

#[cfg(not(target_os = "linux"))]
compile_error!("annulus is built on io_uring, which only Linux has");

// So that test support can be shared between the unit tests and those in `tests/`.
#[cfg(test)]
extern crate self as annulus;

#[forbid(unsafe_code)]
pub mod blocking;
pub mod buf;
#[cfg(feature = "codec")]
#[forbid(unsafe_code)]
pub mod codec;
mod driver;
#[forbid(unsafe_code)]
mod error;
#[cfg(feature = "faults")]
#[forbid(unsafe_code)]
pub mod faults;
#[forbid(unsafe_code)]
pub mod fs;
#[cfg(any(test, fuzzing))]
#[forbid(unsafe_code)]
mod fuzz_input;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
#[forbid(unsafe_code)]
pub mod fuzzing;
#[forbid(unsafe_code)]
pub mod io;
#[doc(alias = "select")]
#[forbid(unsafe_code)]
pub mod join;
#[forbid(unsafe_code)]
pub mod net;
mod op;
#[forbid(unsafe_code)]
pub mod pipe;
#[forbid(unsafe_code)]
pub mod process;
#[forbid(unsafe_code)]
mod runtime;
#[forbid(unsafe_code)]
pub mod service;
#[forbid(unsafe_code)]
pub mod shards;
#[forbid(unsafe_code)]
mod shutdown;
#[forbid(unsafe_code)]
pub mod signal;
#[forbid(unsafe_code)]
pub mod stream;
#[forbid(unsafe_code)]
pub mod sync;
mod sys;
pub mod task;
#[forbid(unsafe_code)]
pub mod time;
#[forbid(unsafe_code)]
mod trace;

#[cfg(feature = "macros")]
mod attributes;

#[cfg(feature = "macros")]
pub use attributes::{__run_main, __run_main_on_shards, __run_test, main, test};
pub use driver::Metrics;
#[cfg(feature = "metrics")]
pub use driver::MetricsPublisher;
pub use error::{Incident, OperationError, SetupError, raw_os_error};
pub use runtime::{
    Builder, Guest, Handle, Interrupted, NapiOptions, RemoteJoinHandle, Runtime, SpawnError, Turn,
    block_on, is_running, metrics, run, spawn, spawn_named, yield_now,
};
#[doc(inline)]
pub use shards::Shards;
pub use shutdown::Shutdown;
pub use sys::RingKind;
pub use sys::probe::{Facility, Probe, probe};

/// The examples of the README are tested with the others.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(doctest)]
#[doc = include_str!("../docs/tokio.md")]
struct DifferencesFromTokio;

#[cfg(doctest)]
#[doc = include_str!("../docs/thread-per-core.md")]
struct ThreadPerCore;

#[cfg(doctest)]
#[doc = include_str!("../docs/ecosystem.md")]
struct Ecosystem;
