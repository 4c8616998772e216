//! Doing several things at once, and ending them together.
//!
//! | to                                                    | use                                |
//! |-------------------------------------------------------|------------------------------------|
//! | have all outcomes, in order                           | [`gather`](fn@gather)              |
//! | have all values, or the first error                   | [`try_gather`](fn@try_gather)      |
//! | wait for the first, or for a while, and go on with all | [`wait`](fn@wait)                  |
//! | take outcomes as they come                            | [`as_completed`](fn@as_completed)  |
//! | own tasks whose outcomes come in any order            | [`TaskSet`]                        |
//! | have children that borrow, and end with the first failure | [`task_group`](fn@task_group)  |
//! | go on also if nobody waits any more                   | [`shield`](fn@shield)              |
//! | ask for an end instead of dropping                    | [`CancelToken`]                    |
//!
//! A time limit is put on any of them by [`time`](crate::time).
//!
//! # What becomes of the others
//!
//! What a combinator *owns* (futures, and tasks by their handles) is cancelled when it is dropped;
//! what it only *borrowed* (`&mut` handles) goes on. So nothing is left running that nobody knows of.
//!
//! # Cost
//!
//! Linear in the number of children: each has a waker of its own, and a wake has only that child
//! polled again.
//!
//! # Which comes first
//!
//! `futures_util::select!` awaits several things that differ and goes on with the first. What it has
//! not chosen is not lost: reads, accepts, receives, `tick`, `join_next` and `cancelled` may be dropped
//! and asked again, and a handle is borrowed: `&mut handle` is a future.
//!
//! ```
//! use std::time::Duration;
//! use annulus::time::{interval, sleep};
//! use futures_util::{FutureExt, select};
//!
//! annulus::run(async {
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
//! A [`TaskSet`] holds the tasks, so none of them outlives it, and their panics are seen. In `select!`
//! it is asked by `select_next_some`, which waits while the set is empty. (`join_next` of an empty set
//! is ready at once, as `None`, so that a loop over it would never wait for anything else.)
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
//! async fn accept_until(stop: &CancelToken, mut listener: TcpListener) -> io::Result<()> {
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
//!     // No more is accepted; those that are served are served to their end.
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
//! #     let read = annulus::to_thread(move || peer.read_to_string(&mut text).map(|_| text)).await;
//! #     assert_eq!(read.unwrap()?, "hello");
//! #     stop.cancel();
//! #     server.await.unwrap()
//! # })??;
//! # Ok::<(), io::Error>(())
//! ```
//!
//! # What `async with` does elsewhere
//!
//! A guard is a value whose destructor ends what making it began: a connection is closed when its
//! stream is dropped, a token cancelled by [`CancelOnDrop`], a value restored by
//! [`ContextGuard`](crate::task::ContextGuard), tasks cancelled by the drop of their [`TaskSet`]. Destructors cannot
//! await. Where the end has to be awaited, the body is an async closure and the call awaits the end
//! after it: [`task_group`](fn@task_group), [`timeout_scope`](crate::time::timeout_scope).

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
pub use wait::{Handle, ReturnWhen, Wait, wait};

/// What the compiler finds by itself: by which way something can be waited for.
#[doc(hidden)]
pub mod kind {
    pub use crate::join::gather::{Array, Borrowed, GatherFutures, Iterated, Vector};
    pub use crate::join::joinable::{Joined, Polled};
    pub use crate::join::outcomes::GatherTasks;
    pub use crate::join::tuple::Tuple;
}
