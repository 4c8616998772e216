//! Values that belong to a task and go on to the tasks that it spawns.
//!
//! A task's values are a short list behind an [`Rc`], which a task shares with those that it spawns
//! until one of them changes its own: so spawning costs a reference, and nothing if there are no
//! values. The list is in the task's header and is let go of when the task ends, on the owner's thread;
//! a task that has ended takes none.

use std::any::Any;
use std::fmt;
use std::marker::PhantomData;
use std::mem;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::current::with_current;
use super::{TaskId, current_id};

/// Names the variables that have been used.
static LAST_ID: AtomicU64 = AtomicU64::new(0);

/// The values of a task.
pub(super) type Values = Rc<Vec<Value>>;

#[derive(Clone)]
pub(super) struct Value {
    variable: u64,
    value: Rc<dyn Any>,
}

/// A variable of which each task has a value of its own: a request's number, who is logged in.
///
/// A task begins with the values of the task that spawned it, as they are then. What it changes it
/// changes for itself, and for tasks that it spawns afterwards. Futures that are polled together in
/// one task (by [`gather`](fn@crate::join::gather), a [`task_group`](fn@crate::join::task_group) or
/// `select!`) share its values, where asyncio would make tasks of them. Closures in
/// [`to_thread`](fn@crate::blocking::to_thread) have none: values need not be `Send`.
///
/// The future of each [`block_on`](crate::Runtime::block_on) is a task of its own, which begins without
/// values: what one call has set is not there in the next, unlike in an `asyncio.Runner`. Set it at the
/// beginning of each. Tasks that go on in later calls keep their values.
///
/// # Example
///
/// ```
/// use annulus::task::ContextVar;
///
/// static REQUEST: ContextVar<u32> = ContextVar::new();
///
/// annulus::run(async {
///     REQUEST.set(1);
///     let child = annulus::spawn(async {
///         let seen = REQUEST.get();
///         REQUEST.set(2);
///         seen
///     });
///     assert_eq!(child.await.unwrap(), Some(1));
///     assert_eq!(REQUEST.get(), Some(1));
/// })?;
/// # Ok::<(), annulus::SetupError>(())
/// ```
#[doc(alias = "contextvars.ContextVar")]
#[doc(alias = "task_local")]
pub struct ContextVar<T: 'static> {
    /// Zero until it is first used.
    id: AtomicU64,
    _value: PhantomData<fn() -> T>,
}

impl<T: 'static> ContextVar<T> {
    /// A variable without a value.
    #[must_use]
    pub const fn new() -> Self {
        Self { id: AtomicU64::new(0), _value: PhantomData }
    }

    /// The value that this task has, if it has one. Outside of a task there is none.
    pub fn get(&self) -> Option<T>
    where
        T: Clone,
    {
        self.find()?.downcast_ref().cloned()
    }

    /// Calls a function with the value that this task has, if it has one.
    pub fn with<R>(&self, look: impl FnOnce(Option<&T>) -> R) -> R {
        // Kept during the call, which may change the variable.
        let value = self.find();
        look(value.as_ref().and_then(|value| value.downcast_ref()))
    }

    /// Gives this task a value.
    ///
    /// # Panics
    ///
    /// Outside of a task.
    #[track_caller]
    pub fn set(&self, value: T) {
        drop(self.exchange(Some(Rc::new(value))));
    }

    /// Takes this task's value away.
    ///
    /// # Panics
    ///
    /// Outside of a task.
    #[track_caller]
    pub fn clear(&self) {
        drop(self.exchange(None));
    }

    /// Gives this task a value until the guard is dropped; then it has what it had before, whatever
    /// was set meanwhile. Dropped in another task, the guard does nothing.
    ///
    /// # Panics
    ///
    /// Outside of a task.
    ///
    /// # Example
    ///
    /// ```
    /// use annulus::task::ContextVar;
    ///
    /// static USER: ContextVar<&str> = ContextVar::new();
    ///
    /// annulus::run(async {
    ///     {
    ///         let _as_root = USER.bind("root");
    ///         annulus::yield_now().await;
    ///         assert_eq!(USER.get(), Some("root"));
    ///     }
    ///     assert_eq!(USER.get(), None);
    /// })?;
    /// # Ok::<(), annulus::SetupError>(())
    /// ```
    #[doc(alias = "contextvars.ContextVar.reset")]
    #[track_caller]
    pub fn bind(&self, value: T) -> ContextGuard<'_, T> {
        let former = self.exchange(Some(Rc::new(value)));
        ContextGuard { variable: self, task: current_id(), former }
    }

    fn id(&self) -> u64 {
        let id = self.id.load(Ordering::Relaxed);
        if id != 0 {
            return id;
        }
        let fresh = LAST_ID.fetch_add(1, Ordering::Relaxed) + 1;
        // Another thread may have been faster.
        match self.id.compare_exchange(0, fresh, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => fresh,
            Err(id) => id,
        }
    }

    fn find(&self) -> Option<Rc<dyn Any>> {
        let (values, id) = (inherited()?, self.id());
        let found = values.iter().find(|value| value.variable == id)?;
        Some(Rc::clone(&found.value))
    }

    /// Puts a value, or none, in the place of the one that this task has. Runs no foreign code.
    #[track_caller]
    fn exchange(&self, value: Option<Rc<dyn Any>>) -> Option<Rc<dyn Any>> {
        let id = self.id();
        let exchanged = with_current(|header| {
            if header.has_ended() {
                return value;
            }
            let mut values = header.values.take().unwrap_or_default();
            let former = exchange(Rc::make_mut(&mut values), id, value);
            header.values.set(Some(values).filter(|values| !values.is_empty()));
            former
        });
        exchanged.expect("a context variable is set inside of a task")
    }
}

/// Puts a value, or none, in the place of another.
fn exchange(
    values: &mut Vec<Value>,
    variable: u64,
    value: Option<Rc<dyn Any>>,
) -> Option<Rc<dyn Any>> {
    let place = values.iter().position(|value| value.variable == variable);
    match (place, value) {
        (Some(place), Some(value)) => Some(mem::replace(&mut values[place].value, value)),
        (Some(place), None) => Some(values.swap_remove(place).value),
        (None, Some(value)) => {
            values.push(Value { variable, value });
            None
        }
        (None, None) => None,
    }
}

/// The values of the running task, for one that it spawns.
pub(super) fn inherited() -> Option<Values> {
    with_current(|header| {
        let values = header.values.take();
        header.values.set(values.clone());
        values
    })
    .flatten()
}

impl<T: 'static> Default for ContextVar<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: 'static> fmt::Debug for ContextVar<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContextVar").finish_non_exhaustive()
    }
}

/// Restores what a task had before. Made by [`ContextVar::bind`].
#[must_use = "dropped at once it restores at once"]
pub struct ContextGuard<'a, T: 'static> {
    variable: &'a ContextVar<T>,
    task: Option<TaskId>,
    former: Option<Rc<dyn Any>>,
}

impl<T: 'static> Drop for ContextGuard<'_, T> {
    fn drop(&mut self) {
        if self.task.is_some() && self.task == current_id() {
            drop(self.variable.exchange(self.former.take()));
        }
    }
}

impl<T: 'static> fmt::Debug for ContextGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContextGuard").field("task", &self.task).finish_non_exhaustive()
    }
}
