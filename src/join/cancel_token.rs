//! Cooperative cancellation: a tree of tokens.
//!
//! Cancelling a token's node cancels all nodes below it. A node has a strong reference to its
//! parent, which has a weak one back, so a token leaves the tree with its last clone. A cancelled
//! node has neither waiters nor children, and gets none.
//!
//! No waker (foreign code) is called, cloned or dropped while a lock is held, and no two locks are
//! held at once.

use std::fmt;
use std::future::{Future, IntoFuture, poll_fn};
use std::mem;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use slab::Slab;

use crate::task::{JoinError, JoinHandle, Shrink, coop, wake};
use crate::time::timeout;

/// A request to stop, made once and from any thread.
///
/// Every clone of the token and every [`child`](Self::child) sees it. A task's
/// [`cancel`](JoinHandle::cancel) drops its future at the await where it is; a token only requests
/// the end, so that the task can clean up with awaits. [`cancel_gracefully`] does the second and,
/// after a while, the first. asyncio throws `CancelledError` into a task for this; here a task that
/// never looks at its token is not disturbed.
///
/// # Example
///
/// ```
/// use annulus::join::CancelToken;
///
/// annulus::run(async {
///     let token = CancelToken::new();
///     let its = token.child();
///     let task = annulus::spawn(async move {
///         let work = std::future::pending::<()>();
///         if its.run_until_cancelled(work).await.is_none() {
///             annulus::yield_now().await; // cleans up
///         }
///         "cleaned up"
///     });
///     annulus::yield_now().await;
///     token.cancel();
///     assert_eq!(task.await.unwrap(), "cleaned up");
/// })?;
/// # Ok::<(), annulus::SetupError>(())
/// ```
#[doc(alias = "asyncio.Task.cancel")]
#[derive(Clone)]
#[doc(alias = "CancellationToken")]
pub struct CancelToken {
    node: Arc<Node>,
}

struct Node {
    cancelled: AtomicBool,
    state: Mutex<State>,
    /// The node above, and this node's key in its `children`.
    parent: Option<(Arc<Node>, usize)>,
}

#[derive(Default)]
struct State {
    waiters: Slab<Waker>,
    children: Slab<Weak<Node>>,
}

impl State {
    // The lists of a cancelled node are empty, so a key may be vacant.

    fn forget_waiter(&mut self, key: usize) -> Option<Waker> {
        let waiter = self.waiters.try_remove(key);
        self.waiters.shrink();
        waiter
    }

    fn forget_child(&mut self, key: usize) -> Option<Weak<Node>> {
        let child = self.children.try_remove(key);
        self.children.shrink();
        child
    }
}

impl CancelToken {
    /// Creates a token that is not cancelled.
    pub fn new() -> Self {
        Self { node: Arc::new(Node::new(false, None)) }
    }

    /// Creates a token that is cancelled with this one, and can be cancelled alone.
    #[must_use]
    pub fn child(&self) -> Self {
        let mut state = self.node.lock();
        if self.is_cancelled() {
            return Self { node: Arc::new(Node::new(true, None)) };
        }
        let entry = state.children.vacant_entry();
        let node = Arc::new(Node::new(false, Some((Arc::clone(&self.node), entry.key()))));
        entry.insert(Arc::downgrade(&node));
        Self { node }
    }

    /// Cancels this token and all children of it, and wakes their waiters.
    ///
    /// A second call does nothing.
    pub fn cancel(&self) {
        let mut wakers = Vec::new();
        let mut nodes = vec![Arc::clone(&self.node)];
        while let Some(node) = nodes.pop() {
            let State { waiters, children } = node.cancel();
            wakers.extend(waiters.into_iter().map(|(_, waker)| waker));
            nodes.extend(children.into_iter().filter_map(|(_, child)| child.upgrade()));
        }
        wakers.into_iter().for_each(wake);
    }

    /// Whether the token has been cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.node.is_cancelled()
    }

    /// Waits until the token is cancelled.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it leaves nothing behind.
    pub fn cancelled(&self) -> Cancelled<'_> {
        Cancelled { node: &self.node, waiter: None }
    }

    /// Awaits a future, or returns `None` when the token is cancelled.
    ///
    /// Then the future is dropped.
    ///
    /// If the token is already cancelled, the future is not polled. If both are ready in the same
    /// poll, the output is returned.
    ///
    /// # Cancel safety
    ///
    /// That of the future.
    pub async fn run_until_cancelled<F: Future>(&self, future: F) -> Option<F::Output> {
        poll_fn(|context| coop::poll_spend(context)).await;
        if self.is_cancelled() {
            return None;
        }
        let (mut future, mut cancelled) = (pin!(future), self.cancelled());
        poll_fn(|context| match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => Pin::new(&mut cancelled).poll(context).map(|()| None),
        })
        .await
    }

    /// Returns a guard that cancels the token when it is dropped.
    #[doc(alias = "drop_guard")]
    pub fn cancel_on_drop(&self) -> CancelOnDrop {
        CancelOnDrop(self.clone())
    }
}

impl Default for CancelToken {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for CancelToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelToken").field("cancelled", &self.is_cancelled()).finish()
    }
}

/// Cancels its token when it is dropped. Made by [`CancelToken::cancel_on_drop`].
#[derive(Debug)]
#[must_use = "dropped at once, it cancels at once"]
pub struct CancelOnDrop(CancelToken);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

impl Node {
    fn new(cancelled: bool, parent: Option<(Arc<Self>, usize)>) -> Self {
        Self { cancelled: AtomicBool::new(cancelled), state: Mutex::default(), parent }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no code that may panic runs under this lock")
    }

    fn is_cancelled(&self) -> bool {
        // Acquire: a thread that sees the request sees what was done before it.
        self.cancelled.load(Ordering::Acquire)
    }

    /// Marks the node as cancelled, and takes the waiters and children to be told.
    fn cancel(&self) -> State {
        let mut state = self.lock();
        self.cancelled.store(true, Ordering::Release);
        mem::take(&mut state)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // A loop: recursive destructors of a long chain would overflow the stack.
        let mut above = self.parent.take();
        while let Some((parent, key)) = above {
            let known = parent.lock().forget_child(key);
            drop(known);
            above = Arc::into_inner(parent).and_then(|mut node| node.parent.take());
        }
    }
}

/// The future of [`CancelToken::cancelled`].
#[must_use = "futures do nothing unless awaited"]
pub struct Cancelled<'a> {
    node: &'a Node,
    waiter: Option<usize>,
}

impl Future for Cancelled<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.node.is_cancelled() {
            return coop::poll_spend(context);
        }
        let waker = context.waker().clone();
        let mut state = self.node.lock();
        // Under the lock: a cancel has either set the flag, or has yet to take the list of waiters.
        if self.node.is_cancelled() {
            drop(state);
            return coop::poll_spend(context);
        }
        let old = match self.waiter {
            Some(key) => Some(mem::replace(&mut state.waiters[key], waker)),
            None => {
                self.waiter = Some(state.waiters.insert(waker));
                None
            }
        };
        drop(state);
        drop(old);
        Poll::Pending
    }
}

impl Drop for Cancelled<'_> {
    fn drop(&mut self) {
        let Some(key) = self.waiter else { return };
        let waker = self.node.lock().forget_waiter(key);
        drop(waker);
    }
}

impl fmt::Debug for Cancelled<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cancelled").field("cancelled", &self.node.is_cancelled()).finish()
    }
}

/// Cancels a task's token, and cancels the task if it has not ended within `grace`.
///
/// This call cancels the token; the returned future waits, and cancels the task.
///
/// # Errors
///
/// [`JoinError::Cancelled`] if the task had to be cancelled, and the panic of the task.
///
/// # Cancel safety
///
/// Dropped before it is ready, it cancels the task.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use annulus::join::{CancelToken, cancel_gracefully};
///
/// annulus::run(async {
///     let token = CancelToken::new();
///     let its = token.clone();
///     let polite = annulus::spawn(async move { its.cancelled().await });
///     let deaf = annulus::spawn(std::future::pending::<()>());
///     let grace = Duration::from_millis(5);
///     assert!(cancel_gracefully(polite, &token, grace).await.is_ok());
///     assert!(cancel_gracefully(deaf, &token, grace).await.unwrap_err().is_cancelled());
/// })?;
/// # Ok::<(), annulus::SetupError>(())
/// ```
pub fn cancel_gracefully<T>(
    task: JoinHandle<T>,
    token: &CancelToken,
    grace: Duration,
) -> impl Future<Output = Result<T, JoinError>> + use<T> {
    let mut join = task.into_future();
    token.cancel();
    async move {
        if let Ok(outcome) = timeout(grace, &mut join).await {
            return outcome;
        }
        join.handle().cancel();
        join.await
    }
}
