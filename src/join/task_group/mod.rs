//! Children that may borrow, none of which outlives the group.
//!
//! The group polls its children itself: they are part of its future, as is the body, which is the
//! first of them. So a child may borrow what the group's future may, and if that is forgotten, so are
//! they, which is sound. Each has a waker of its own ([`FutureSet`]).
//!
//! What is spawned stands in the group's *incoming* list until the group's poll takes it from there,
//! since a child or the body that spawns is being polled, and with it the set of children is in use.

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

/// Runs `body`, and the children that it spawns into the group it is given, and ends when all of them
/// have ended. If one fails the others are cancelled, the body too, and the errors come back together.
///
/// Children are futures of results. They may borrow whatever lives longer than the group, since they
/// are polled by whoever awaits the group, in the same task; for work that should be a task of its
/// own, spawn one and await its handle in a child, which so owns it.
///
/// # Failure
///
/// With the first error the group takes no more children. Those that were woken before that, also by
/// the one that failed, are polled once more, and their errors, if they fail too, are kept. Then body
/// and children are dropped where they are. A child that has to clean up with awaits is spawned by
/// [`spawn_graceful`](TaskGroup::spawn_graceful): it is asked by the group's
/// [`token`](TaskGroup::token) and awaited to its end, and its error is kept too.
///
/// In asyncio every child is asked in that way, by an exception thrown into it, and can refuse.
///
/// # Borrowing
///
/// The body is an async closure. What it gives to its children it captures by reference, which lasts
/// for the group if it is a shared reference, or moves into them (`async move`). A variable *of the
/// body* cannot be borrowed by a child: declare it before the group. Nor can the group that a body is
/// given: a child that spawns gets a clone of it.
///
/// # Children are no tasks
///
/// They are polled by the task that awaits the group, and share what is the task's: its name and
/// number ([`current_task`](crate::task::current_task)), its budget, and its
/// [`ContextVar`](crate::task::ContextVar)s, which a child therefore should not set across an await.
/// asyncio's children are tasks with names and contexts of their own; spawn tasks for that.
///
/// # Types
///
/// The error's type can be given once, by `task_group::<_, io::Error>(..)`: then `Ok` needs no
/// annotation in body and children. The value's type of a child that only fails cannot be found by
/// the compiler: write `Err::<(), _>(..)`.
///
/// # Errors
///
/// All errors, in a [`GroupError`]. An empty one says that the group was
/// [cancelled](TaskGroup::cancel) before the body had ended, so that there is no output. (In asyncio
/// such a group ends normally; its body has no output.)
///
/// # Panics
///
/// If the body or a child panics; then the others are dropped.
///
/// # Cancel safety
///
/// Dropped, it drops body and children.
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
/// With the error's type given once:
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
    // After the group, so that it is dropped before, as are the children with it.
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

/// Where children are spawned: what the body of a [`task_group`](fn@task_group) is given.
///
/// A clone is the same group. It may be kept beyond the group's end, and then takes nothing.
pub struct TaskGroup<'env, E> {
    shared: Rc<Shared<'env, E>>,
}

/// What the body, the children and the group's future share.
struct Shared<'env, E> {
    incoming: RefCell<Vec<Incoming<'env, E>>>,
    /// Whether children are taken.
    open: Cell<bool>,
    token: OnceCell<CancelToken>,
    /// That of whoever awaits the group.
    waker: WakeSlot,
}

struct Incoming<'env, E> {
    member: Member<'env, E>,
    graceful: bool,
}

impl<'env, E> TaskGroup<'env, E> {
    /// Adds a child, which has its first poll when the group has its next turn.
    ///
    /// If something has failed, or the group was cancelled or is over, the child is dropped instead,
    /// and its handle says [`Cancelled`](crate::task::JoinError::Cancelled).
    #[doc(alias = "asyncio.TaskGroup.create_task")]
    pub fn spawn<T: 'env>(
        &self,
        child: impl Future<Output = Result<T, E>> + 'env,
    ) -> GroupHandle<T> {
        self.add(child, false)
    }

    /// Adds a child that is not dropped when the group ends early, but awaited; it learns of that by
    /// the group's [`token`](Self::token).
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

    /// A token that is cancelled when the group fails, is cancelled or dropped, and at the latest when
    /// it is over.
    pub fn token(&self) -> CancelToken {
        let token = self.shared.token.get_or_init(CancelToken::new).clone();
        if !self.shared.open.get() {
            token.cancel();
        }
        token
    }

    /// Drops the children, and the body if it has not ended, when the group has its next turn. This
    /// is no failure: if the body has ended, its output is the group's.
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

    /// Takes no more children, and asks those that want to be asked.
    fn close(&self) {
        self.open.set(false);
        if let Some(token) = self.token.get() {
            token.cancel();
        }
    }

    /// Sees to it that the group has a turn.
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
        // Taken while children are polled: they need not wake who is awake.
        drop(self.shared.waker.take());
        // After a failure, those that are left of a batch have their turn and nobody else: should
        // others be woken all the time, there would be no end of it.
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

    /// Whether something is to be done before the next wake: until the group's waker is in its place,
    /// nobody is woken by a spawn or a cancel.
    fn is_due(&self) -> bool {
        let has_ended = !self.shared.open.get() && self.children.len() > 0;
        !self.is_amid_batch() && (has_ended || !self.shared.incoming.borrow().is_empty())
    }

    /// Polls who was woken, and who comes in meanwhile.
    fn advance(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            self.admit();
            if let Poll::Ready(Some((_, outcome))) = self.children.advance(context) {
                self.note(outcome, context);
            } else if let Poll::Ready(Some((_, outcome))) = self.graceful.advance(context) {
                self.note(outcome, context);
            } else if self.is_amid_batch() || self.shared.incoming.borrow().is_empty() {
                // In the middle, the allowance is used up: who has come in waits for the next poll.
                break;
            }
        }
        // Those that were woken before the first failure are polled before.
        if !self.shared.open.get() && !self.children.is_amid_batch() {
            self.children.clear();
        }
        let left = self.children.len() + self.graceful.len();
        if left == 0 { Poll::Ready(()) } else { Poll::Pending }
    }

    fn is_amid_batch(&self) -> bool {
        self.children.is_amid_batch() || self.graceful.is_amid_batch()
    }

    /// Takes in what has been spawned. What the group has failed before is not begun, unless it is to
    /// be asked.
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
                // With those that were woken in this poll. Whom the token wakes comes later.
                self.children.begin(context);
            }
            self.errors.push(error);
            self.shared.close();
        }
    }
}

impl<E> Drop for Running<'_, '_, E> {
    fn drop(&mut self) {
        // A panic of whoever is woken is the affair of others, and there may be one already.
        let _ = catch_panic(|| self.shared.close());
        // Children may hold the group: what it holds of them must go.
        let (waker, incoming) = (self.shared.waker.take(), self.shared.incoming.take());
        drop((waker, incoming));
    }
}
