//! Calls with the value of another shard, or of all.

use std::future::Future;
use std::sync::Arc;

use super::Sharded;
use crate::join::gather;
use crate::shards::Shard;
use crate::task::JoinError;

/// Calls with the values, each on its own shard.
impl<T: 'static> Sharded<T> {
    /// Runs a closure with the value of a shard, on that shard, and returns what it returns.
    ///
    /// This is [`Shard::run_on`] in all other respects. If the value is not made yet, the closure
    /// is run once it is; until then, calls may overtake each other.
    ///
    /// # Errors
    ///
    /// Those of [`Shard::run_on`], and of [`get`](Self::get) on that shard.
    ///
    /// # Panics
    ///
    /// If there is no shard of this index, or this thread is not that of a shard.
    ///
    /// # Cancel safety
    ///
    /// That of [`Shard::run_on`].
    #[track_caller]
    pub fn run_on<R, F>(
        &self,
        shard: usize,
        closure: F,
    ) -> impl Future<Output = Result<R, JoinError>> + use<'_, T, R, F>
    where
        F: FnOnce(&T) -> R + Send + 'static,
        R: Send + 'static,
    {
        let first = Shard::current().run_on(shard, self.with_local(closure));
        async move {
            let mut attempt = first.await?;
            loop {
                match attempt {
                    Ok(result) => return Ok(result),
                    Err(closure) => {
                        self.make_on(shard).await?;
                        let again = self.with_local(closure);
                        attempt = Shard::current().run_on(shard, again).await?;
                    }
                }
            }
        }
    }

    /// A closure that runs another with the value of the shard that it is on, and returns it if
    /// there is no value yet. It has no reference to the handle, which all shards would count.
    fn with_local<R, F>(&self, closure: F) -> impl FnOnce() -> Result<R, F> + use<T, R, F>
    where
        F: FnOnce(&T) -> R,
    {
        let id = self.inner.id;
        move || match Shard::current().port().values().get::<T>(id) {
            Some(value) => Ok(closure(&value)),
            None => Err(closure),
        }
    }

    /// Runs a closure with the value of every shard, on each at the same time.
    ///
    /// Returns the results by index.
    ///
    /// # Errors
    ///
    /// The first error of a shard, in the order of their indices; the closure was run on the others
    /// nonetheless.
    ///
    /// # Panics
    ///
    /// If this thread is not that of a shard.
    ///
    /// # Cancel safety
    ///
    /// That of [`Shard::run_on`], for each shard.
    pub fn run_on_all<R, F>(
        &self,
        closure: F,
    ) -> impl Future<Output = Result<Vec<R>, JoinError>> + use<'_, T, R, F>
    where
        F: Fn(&T) -> R + Send + Sync + 'static,
        R: Send + 'static,
    {
        let closure = Arc::new(closure);
        let calls = (0..Shard::current().count()).map(|index| {
            let closure = Arc::clone(&closure);
            self.run_on(index, move |value: &T| closure(value))
        });
        let calls = gather(calls.collect::<Vec<_>>());
        async move { calls.await.into_iter().collect() }
    }

    /// Runs `map` with the value of every shard, and reduces the results to one.
    ///
    /// The shards run it at the same time. The results are reduced in the order of the shards.
    ///
    /// `reduce` is run on the calling shard.
    ///
    /// # Errors
    ///
    /// Those of [`run_on_all`](Self::run_on_all).
    ///
    /// # Panics
    ///
    /// If this thread is not that of a shard.
    ///
    /// # Cancel safety
    ///
    /// That of [`Shard::run_on`], for each shard.
    pub async fn map_reduce<R, A, M, F>(&self, map: M, init: A, reduce: F) -> Result<A, JoinError>
    where
        M: Fn(&T) -> R + Send + Sync + 'static,
        R: Send + 'static,
        F: FnMut(A, R) -> A,
    {
        Ok(self.run_on_all(map).await?.into_iter().fold(init, reduce))
    }
}
