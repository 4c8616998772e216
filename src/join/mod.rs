//! Running several futures or tasks at once, and ending them together.
//!
//! | to                                                    | use                                |
//! |-------------------------------------------------------|------------------------------------|
//! | have all outputs, in order                            | [`gather`](fn@gather)              |
//! | have all values, or the first error                   | [`try_gather`](fn@try_gather)      |
//! | wait for the first, or for a while, and keep the rest | [`wait`](fn@wait)                  |
//! | take outputs in the order in which they come          | [`as_completed`](fn@as_completed)  |
//! | own tasks whose outcomes come in any order            | [`TaskSet`]                        |
//! | have children that borrow, and end with the first failure | [`task_group`](fn@task_group)  |
//! | continue although the await is dropped                | [`shield`](fn@shield)              |
//! | request an end instead of dropping                    | [`CancelToken`]                    |
//!
//! [`time`](crate::time) puts a limit on any of them.
//!
//! # What is cancelled
//!
//! What a combinator *owns* (futures, and tasks by their handles) is cancelled when the combinator
//! is dropped. What it only *borrows* (`&mut` handles) continues. So no task is left running
//! unseen.
//!
//! # Cost
//!
//! Linear in the number of futures: each has its own waker, and a wake has only that one polled.
//!
//! # Waiting for the first of several
//!
//! `futures_util::select!` awaits futures of different types and continues with the first. What the
//! others had done is not lost: reads, accepts, receives, `tick`, `join_next` and `cancelled` may
//! be dropped and called again, and a handle can be borrowed: `&mut handle` is a future.
//!
//! ```
//! use std::time::Duration;
//! use annulus::time::{interval, sleep};
//! use futures_util::{FutureExt, select};
//!
//! annulus::run(async {
//!     # annulus::time::pause();
//!     let mut work = annulus::spawn(sleep(Duration::from_millis(20)));
//!     let mut ticks = interval(Duration::from_millis(1));
//!     let mut seen = 0;
//!     loop {
//!         select! {
//!             outcome = &mut work => break outcome.unwrap(),
//!             _ = ticks.tick().fuse() => seen += 1,
//!         }
//!     }
//!     assert!(seen > 1);
//! })?;
//! # Ok::<(), annulus::SetupError>(())
//! ```
//!
//! # A server that owns its connections
//!
//! A [`TaskSet`] holds the tasks, so none of them outlives it, and their panics are seen. In
//! `select!`, use `select_next_some`, which waits while the set is empty. (`join_next` of an empty
//! set returns `None` at once, so that a loop over it would never wait for the other branches.)
//!
//! ```
//! use std::io;
//! use annulus::join::{CancelToken, TaskSet};
//! use annulus::net::{TcpListener, TcpStream};
//! use futures_util::{FutureExt, StreamExt, select};
//!
//! async fn serve(mut stream: TcpStream) -> io::Result<()> {
//!     stream.write_all("hello").await.0
//! }
//!
//! async fn accept_until(stop: &CancelToken, listener: TcpListener) -> io::Result<()> {
//!     let mut connections = TaskSet::new();
//!     loop {
//!         select! {
//!             accepted = listener.accept().fuse() => {
//!                 connections.spawn(serve(accepted?.0));
//!             }
//!             ended = connections.select_next_some() => match ended {
//!                 Ok(Ok(())) => {}
//!                 Ok(Err(error)) => eprintln!("a connection failed: {error}"),
//!                 Err(panicked) => eprintln!("a connection's task: {panicked}"),
//!             },
//!             () = stop.cancelled().fuse() => break,
//!         }
//!     }
//!     // Accepts no more, and serves the open connections to their end.
//!     drop(listener);
//!     while connections.join_next().await.is_some() {}
//!     Ok(())
//! }
//!
//! # use std::io::Read;
//! # annulus::run(async {
//! #     let listener = TcpListener::bind("127.0.0.1:0").await?;
//! #     let mut peer = std::net::TcpStream::connect(listener.local_addr()?)?;
//! #     let stop = CancelToken::new();
//! #     let its = stop.clone();
//! #     let server = annulus::spawn(async move { accept_until(&its, listener).await });
//! #     let mut text = String::new();
//! #     let read = move || peer.read_to_string(&mut text).map(|_| text);
//! #     let read = annulus::blocking::to_thread(read).await;
//! #     assert_eq!(read.unwrap()?, "hello");
//! #     stop.cancel();
//! #     server.await.unwrap()
//! # })??;
//! # Ok::<(), io::Error>(())
//! ```
//!
//! # Instead of `async with`
//!
//! A guard's destructor ends what the guard began: the drop of a stream closes its connection,
//! [`CancelOnDrop`] cancels a token, [`ContextGuard`](crate::task::ContextGuard) restores a value,
//! the drop of a [`TaskSet`] cancels its tasks. Destructors cannot await. Where the end has to be
//! awaited, the body is an async closure, and the call awaits the end after it:
//! [`task_group`](fn@task_group), [`timeout_scope`](crate::time::timeout_scope).

mod all;
mod as_completed;
mod cancel_token;
mod future_set;
mod gather;
mod joinable;
mod outcomes;
mod shield;
mod task_group;
mod task_set;
mod try_gather;
mod tuple;
mod wait;

pub use as_completed::{AsCompleted, AsCompletedWithin, as_completed};
pub use cancel_token::{CancelOnDrop, CancelToken, Cancelled, cancel_gracefully};
pub use gather::{Gather, gather};
pub use joinable::Joinable;
pub use outcomes::Outcomes;
pub use shield::{Shield, shield};
pub use task_group::{GroupError, GroupHandle, TaskGroup, task_group};
pub use task_set::TaskSet;
pub use try_gather::{TryGather, try_gather};
pub use wait::{ReturnWhen, Wait, Waitable, wait};

/// Types that only the compiler names: how something is waited for.
#[doc(hidden)]
pub mod kind {
    pub use crate::join::all::GatherFutures;
    pub use crate::join::gather::{Array, Borrowed, Iterated, Vector};
    pub use crate::join::joinable::{Joined, Polled};
    pub use crate::join::outcomes::GatherTasks;
    pub use crate::join::tuple::Tuple;
}
