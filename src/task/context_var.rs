//! Context variables: values that belong to a task and are inherited by the tasks that it spawns.
//!
//! The values are in the task's header (see `values`), which drops them when the task ends, on the
//! owner's thread; a task that has ended takes none.

use std::any::Any;
use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::current::{current_id, inherited_values, with_current};
use super::id::TaskId;
use super::values;

/// The newest id of a variable. Variables get theirs when they are first used.
static LAST_ID: AtomicU64 = AtomicU64::new(0);

/// A variable of which each task has a value of its own: a request id, the user of a session.
///
/// A task begins with the values that the task which spawned it has at that time. A change is seen
/// by the task that makes it, and by tasks that it spawns afterwards. Futures that are polled
/// together in one task (by [`gather`](fn@crate::join::gather), a
/// [`task_group`](fn@crate::join::task_group) or `select!`) share its values, where asyncio would
/// make tasks of them. Closures in [`to_thread`](fn@crate::blocking::to_thread) have none: values
/// need not be `Send`.
///
/// The future of each [`block_on`](crate::Runtime::block_on) is a task of its own, which begins
/// without values: what one call sets does not exist in the next, unlike in an `asyncio.Runner`.
/// Set it at the beginning of each call. Tasks that outlive a call keep their values.
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
    /// Zero until first used.
    id: AtomicU64,
    _value: PhantomData<fn() -> T>,
}

impl<T: 'static> ContextVar<T> {
    /// Creates a variable without a value.
    #[must_use]
    pub const fn new() -> Self {
        Self { id: AtomicU64::new(0), _value: PhantomData }
    }

    /// Returns the current task's value, if it has one. Outside of a task there is none.
    pub fn get(&self) -> Option<T>
    where
        T: Clone,
    {
        self.find()?.downcast_ref().cloned()
    }

    /// Calls a function with the current task's value, if it has one.
    pub fn with<R>(&self, look: impl FnOnce(Option<&T>) -> R) -> R {
        // Kept alive during the call, which may change the variable.
        let value = self.find();
        look(value.as_ref().and_then(|value| value.downcast_ref()))
    }

    /// Sets the current task's value.
    ///
    /// # Panics
    ///
    /// Outside of a task.
    #[track_caller]
    pub fn set(&self, value: T) {
        drop(self.exchange(Some(Rc::new(value))));
    }

    /// Removes the current task's value.
    ///
    /// # Panics
    ///
    /// Outside of a task.
    #[track_caller]
    pub fn clear(&self) {
        drop(self.exchange(None));
    }

    /// Sets the current task's value until the guard is dropped.
    ///
    /// The guard restores the value from before, whatever was set meanwhile. Dropped in another
    /// task, it does nothing.
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
        // Another thread may have set it first.
        match self.id.compare_exchange(0, fresh, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => fresh,
            Err(id) => id,
        }
    }

    fn find(&self) -> Option<Rc<dyn Any>> {
        values::find(&inherited_values()?, self.id())
    }

    /// Replaces the current task's value, or removes it. Runs no foreign code.
    #[track_caller]
    fn exchange(&self, value: Option<Rc<dyn Any>>) -> Option<Rc<dyn Any>> {
        let id = self.id();
        let exchanged = with_current(|header| {
            if header.has_ended() {
                return value;
            }
            let mut values = header.values.take().unwrap_or_default();
            let former = values::replace(Rc::make_mut(&mut values), id, value);
            header.values.set(Some(values).filter(|values| !values.is_empty()));
            former
        });
        exchanged.expect("a context variable was set outside of a task: spawn one for it")
    }
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

/// Restores the former value of a context variable when dropped. Returned by [`ContextVar::bind`].
#[must_use = "a guard that is dropped at once restores at once"]
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
