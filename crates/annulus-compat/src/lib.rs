#![forbid(unsafe_code)]
//! Libraries of the Tokio ecosystem on the annulus runtime.
//!
//! Many libraries use Tokio's own sockets, timers or tasks. Without a Tokio runtime they panic:
//! `there is no reactor running, must be called from the context of a Tokio 1.x runtime`. This
//! crate runs one on a thread beside, and lets annulus tasks await what it completes.
//!
//! - [`tokio::beside`] is one line of `main`, after which reqwest, sqlx, redis, tonic's channel and
//!   `tokio::time` work in every task of the thread.
//! - [`Compat`] does the same for one future, without a guard. Around a reader or writer it
//!   converts between the I/O traits of Tokio and of futures.
//!
//! ```no_run
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let _tokio = annulus_compat::tokio::beside();
//!     annulus::run(async {
//!         let page = reqwest::get("http://127.0.0.1:8080/").await?.text().await?;
//!         println!("{page}");
//!         Ok(())
//!     })?
//! }
//! ```
//!
//! # Features
//!
//! - `tokio` (default): all of the above.

#[cfg(feature = "tokio")]
mod compat;
#[cfg(feature = "tokio")]
pub mod tokio;

#[cfg(feature = "tokio")]
pub use compat::Compat;

/// The examples of the README are tested with the others.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/tokio-beside.md")]
struct TokioBeside;
