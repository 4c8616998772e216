//! Children that may borrow, none of which outlives the group.
//!
//! The group polls its children itself: they are part of its future, as is the body, which is the
//! first of them. So a child may borrow what the group's future may. If that future is forgotten,
//! so are the children, which is sound. Each has its own waker ([`FutureSet`]).
//!
//! A child or the body that spawns is being polled, so the set of children is in use. Therefore
//! what is spawned waits in the group's *incoming* list until the group's poll takes it from there.

mod error;
mod member;

use std::cell::{Cell, OnceCell, RefCell};
use std::fmt;
use std::future::{Future, poll_fn};
use std::mem;
use std::rc::Rc;
use std::task::{Context, Poll};

pub use error::GroupError;
pub use member::GroupHandle;

use member::Member;

use super::CancelToken;
use super::future_set::FutureSet;
use crate::error::catch_panic;
use crate::task::WakeSlot;

/// Runs `body` and the children that it spawns, until all of them have ended.
///
/// The body spawns children into the [`TaskGroup`] that it is given. If one fails, the others and
/// the body are cancelled, and the errors are returned together.
///
/// Children are futures of results. They may borrow whatever lives longer than the group, since the
/// task that awaits the group polls them. For work that should be a separate task, spawn one and
/// await its handle in a child, which then owns it.
///
/// # Failure
///
/// After the first error the group takes no more children. Children that have been woken by then,
/// even by the one that failed, are polled once more, and if they fail, too, their errors are kept.
/// Then the body and the children are dropped at the await where they are. A child that has to
/// clean up with awaits is spawned by [`spawn_graceful`](TaskGroup::spawn_graceful): the group's
/// [`token`](TaskGroup::token) tells it, the group waits for it, and its error is kept.
///
/// asyncio tells every child in that way, by an exception thrown into it, and a child can refuse.
///
/// # Borrowing
///
/// The body is an async closure. It captures what it gives to its children: by reference, which
/// lasts for the group if it is a shared reference, or by moving it into them (`async move`). A
/// child cannot borrow a variable *of the body*: declare it before the group. A child cannot borrow
/// the group that the body is given, either: to spawn, it needs a clone of it.
///
/// # Children are not tasks
///
/// The task that awaits the group polls them, and they share what belongs to the task: its name and
/// id ([`current_task`](crate::task::current_task)), its budget, and its
/// [`ContextVar`](crate::task::ContextVar)s, which a child should therefore not set across an
/// await. asyncio's children are tasks with their own names and contexts; spawn tasks for that.
///
/// # Types
///
/// The error type can be given once, by `task_group::<_, io::Error>(..)`: then `Ok` needs no
/// annotation in the body and the children. The compiler cannot find the value type of a child that
/// only fails: write `Err::<(), _>(..)`.
///
/// # Errors
///
/// All errors, in a [`GroupError`]. It is empty if the group was [cancelled](TaskGroup::cancel)
/// before the body had ended, so that there is no output. (In asyncio such a group ends normally;
/// its body has no output.)
///
/// # Panics
///
/// If the body or a child panics; then the others are dropped.
///
/// # Cancel safety
///
/// Dropped, it drops the body and the children.
///
/// # Example
///
/// ```
/// use std::cell::Cell;
/// use annulus::join::task_group;
///
/// annulus::run(async {
///     let sum = Cell::new(0);
///     let last = task_group(async |group| {
///         for n in 1..=3 {
///             let sum = &sum;
///             group.spawn(async move {
///                 annulus::yield_now().await;
///                 sum.set(sum.get() + n);
///                 Ok::<_, std::io::Error>(())
///             });
///         }
///         let last = group.spawn(async { Ok("the last") });
///         Ok(last.await?)
///     });
///     assert_eq!(last.await?, "the last");
///     assert_eq!(sum.get(), 6);
///     Ok::<_, std::io::Error>(())
/// })??;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// With the error type given once:
///
/// ```
/// use std::io;
/// use annulus::join::task_group;
/// use annulus::net::lookup;
///
/// annulus::run(async {
///     let found = task_group::<_, io::Error>(async |group| {
///         let near = group.spawn(lookup("127.0.0.1:80"));
///         group.spawn(async { Ok(annulus::yield_now().await) });
///         Ok(near.await?.len())
///     });
///     assert_eq!(found.await.unwrap(), 1);
/// })?;
/// # Ok::<(), annulus::SetupError>(())
/// ```
///
/// The first failure ends the others:
///
/// ```
/// use annulus::join::task_group;
///
/// annulus::run(async {
///     let outcome = task_group(async |group| {
///         group.spawn(async { std::future::pending::<Result<(), _>>().await });
///         group.spawn(async { Err::<(), _>("of a child") });
///         std::future::pending::<Result<(), _>>().await
///     });
///     assert_eq!(outcome.await.unwrap_err().errors(), ["of a child"]);
/// })?;
/// # Ok::<(), annulus::SetupError>(())
/// ```
#[doc(alias = "asyncio.TaskGroup")]
pub async fn task_group<'env, T, E: 'env>(
    body: impl AsyncFnOnce(&TaskGroup<'env, E>) -> Result<T, E>,
) -> Result<T, GroupError<E>> {
    let group = TaskGroup { shared: Rc::new(Shared::new()) };
    let output = Cell::new(None);
    // Declared after the group, so that it and the children are dropped before the group.
    let mut running = Running::new(&group.shared);
    running.children.push(Member::body(async {
        output.set(Some(body(&group).await?));
        Ok(())
    }));
    poll_fn(|context| running.poll(context)).await;
    let errors = mem::take(&mut running.errors);
    match output.take() {
        Some(output) if errors.is_empty() => Ok(output),
        _ => Err(GroupError::new(errors)),
    }
}

/// Spawns children into a group.
///
/// The body of a [`task_group`](fn@task_group) is given one.
///
/// A clone is the same group. After the group's end it takes no more children.
pub struct TaskGroup<'env, E> {
    shared: Rc<Shared<'env, E>>,
}

/// What the body, the children and the group's future share.
struct Shared<'env, E> {
    incoming: RefCell<Vec<Incoming<'env, E>>>,
    /// Whether more children are taken.
    open: Cell<bool>,
    token: OnceCell<CancelToken>,
    /// Wakes the task that awaits the group.
    waker: WakeSlot,
}

struct Incoming<'env, E> {
    member: Member<'env, E>,
    graceful: bool,
}

impl<'env, E> TaskGroup<'env, E> {
    /// Adds a child, which the group's next poll polls for the first time.
    ///
    /// If a child or the body has failed, or the group was cancelled or is over, the child is
    /// dropped instead, and its handle returns [`Cancelled`](crate::task::JoinError::Cancelled).
    #[doc(alias = "asyncio.TaskGroup.create_task")]
    pub fn spawn<T: 'env>(
        &self,
        child: impl Future<Output = Result<T, E>> + 'env,
    ) -> GroupHandle<T> {
        self.add(child, false)
    }

    /// Adds a child that the group awaits even when it ends early.
    ///
    /// The group's [`token`](Self::token) tells the child to end.
    ///
    /// # Example
    ///
    /// ```
    /// use annulus::join::task_group;
    ///
    /// annulus::run(async {
    ///     let outcome = task_group(async |group| {
    ///         let token = group.token();
    ///         group.spawn_graceful(async move {
    ///             token.cancelled().await;
    ///             annulus::yield_now().await; // cleans up
    ///             Err::<(), _>("while cleaning up")
    ///         });
    ///         Err::<(), _>("of the body")
    ///     });
    ///     assert_eq!(outcome.await.unwrap_err().errors(), ["of the body", "while cleaning up"]);
    /// })?;
    /// # Ok::<(), annulus::SetupError>(())
    /// ```
    pub fn spawn_graceful<T: 'env>(
        &self,
        child: impl Future<Output = Result<T, E>> + 'env,
    ) -> GroupHandle<T> {
        self.add(child, true)
    }

    fn add<T: 'env>(
        &self,
        child: impl Future<Output = Result<T, E>> + 'env,
        graceful: bool,
    ) -> GroupHandle<T> {
        let (member, handle) = Member::new(child);
        if self.shared.open.get() {
            self.shared.incoming.borrow_mut().push(Incoming { member, graceful });
            self.shared.wake();
        }
        handle
    }

    /// Returns a token that is cancelled with the group.
    ///
    /// It is cancelled when the group fails, is cancelled or is dropped, at the latest when it
    /// ends.
    pub fn token(&self) -> CancelToken {
        let token = self.shared.token.get_or_init(CancelToken::new).clone();
        if !self.shared.open.get() {
            token.cancel();
        }
        token
    }

    /// Cancels the group.
    ///
    /// Its next poll drops the children, and the body if it has not ended.
    ///
    /// This is no failure: if the body has ended, its output is the group's.
    #[doc(alias = "asyncio.TaskGroup.cancel")]
    pub fn cancel(&self) {
        self.shared.close();
        self.shared.wake();
    }
}

impl<E> Clone for TaskGroup<'_, E> {
    fn clone(&self) -> Self {
        Self { shared: Rc::clone(&self.shared) }
    }
}

impl<E> fmt::Debug for TaskGroup<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskGroup").field("open", &self.shared.open.get()).finish_non_exhaustive()
    }
}

impl<E> Shared<'_, E> {
    fn new() -> Self {
        Self {
            incoming: RefCell::default(),
            open: Cell::new(true),
            token: OnceCell::new(),
            waker: WakeSlot::default(),
        }
    }

    /// Takes no more children, and tells the graceful ones to end.
    fn close(&self) {
        self.open.set(false);
        if let Some(token) = self.token.get() {
            token.cancel();
        }
    }

    /// Has the group polled.
    fn wake(&self) {
        self.waker.wake();
    }
}

/// The body and the children, as they are polled.
struct Running<'group, 'env, E> {
    shared: &'group Shared<'env, E>,
    children: FutureSet<Member<'group, E>>,
    graceful: FutureSet<Member<'group, E>>,
    errors: Vec<E>,
}

impl<'group, 'env: 'group, E> Running<'group, 'env, E> {
    fn new(shared: &'group Shared<'env, E>) -> Self {
        let (children, graceful) = (FutureSet::with_capacity(1), FutureSet::with_capacity(0));
        Self { shared, children, graceful, errors: Vec::new() }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        // While children are polled, they need not wake the task that is polling them.
        drop(self.shared.waker.take());
        // After a failure only the rest of the batch is polled: children that keep waking each
        // other must not delay the end.
        if self.shared.open.get() || !self.children.is_amid_batch() {
            self.children.begin(context);
        }
        self.graceful.begin(context);
        while self.advance(context).is_pending() {
            let waker = &self.shared.waker;
            if waker.poll_until(context, || self.is_due().then_some(())).is_pending() {
                return Poll::Pending;
            }
        }
        Poll::Ready(())
    }

    /// Whether there is work that no wake announces: a spawn or a cancel wakes no task before the
    /// group's waker is stored.
    fn is_due(&self) -> bool {
        let has_ended = !self.shared.open.get() && self.children.len() > 0;
        !self.is_amid_batch() && (has_ended || !self.shared.incoming.borrow().is_empty())
    }

    /// Polls the children that were woken, and those that are spawned meanwhile.
    fn advance(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            self.admit();
            if let Poll::Ready(Some((_, outcome))) = self.children.advance(context) {
                self.note(outcome, context);
            } else if let Poll::Ready(Some((_, outcome))) = self.graceful.advance(context) {
                self.note(outcome, context);
            } else if self.is_amid_batch() || self.shared.incoming.borrow().is_empty() {
                // Amid a batch, the budget is used up: the incoming wait for the next poll.
                break;
            }
        }
        // Children that were woken before the first failure are polled first.
        if !self.shared.open.get() && !self.children.is_amid_batch() {
            self.children.clear();
        }
        let left = self.children.len() + self.graceful.len();
        if left == 0 { Poll::Ready(()) } else { Poll::Pending }
    }

    fn is_amid_batch(&self) -> bool {
        self.children.is_amid_batch() || self.graceful.is_amid_batch()
    }

    /// Takes in what has been spawned. After a failure only graceful children are begun.
    fn admit(&mut self) {
        for Incoming { member, graceful } in self.shared.incoming.take() {
            if graceful {
                self.graceful.push(member);
            } else if self.shared.open.get() {
                self.children.push(member);
            }
        }
    }

    fn note(&mut self, outcome: Result<(), E>, context: &Context<'_>) {
        if let Err(error) = outcome {
            if self.shared.open.get() {
                // Includes those woken in this poll, but not those that the token is about to wake.
                self.children.begin(context);
            }
            self.errors.push(error);
            self.shared.close();
        }
    }
}

impl<E> Drop for Running<'_, '_, E> {
    fn drop(&mut self) {
        // A waker's panic must not become a second panic here: this may run during one.
        let _ = catch_panic(|| self.shared.close());
        // Children may hold the group, so what the group holds of them must be dropped here.
        let (waker, incoming) = (self.shared.waker.take(), self.shared.incoming.take());
        drop((waker, incoming));
    }
}
