//! Calling other shards.

use std::future::{Future, poll_fn};
use std::marker::PhantomData;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use super::port::{Credit, Port};
use super::work::{Closure, Work, call};
use crate::join::gather;
use crate::shards::Shard;
use crate::task::{JoinError, coop};

impl Shard {
    /// Runs a closure on another shard, and returns what it returns.
    ///
    /// The closure is run between the tasks of that shard and inside of its runtime, so that it may
    /// [`spawn`](crate::spawn). It must not block: it delays everything there. Await something on
    /// another shard with [`handle`](Self::handle) instead. On the shard's own index it is run at
    /// once, in the calling task.
    ///
    /// Calls of one shard to another are run in the order in which their futures are first polled.
    /// They are sent when the event loop next enters the kernel, all of that turn together: many
    /// calls at once ([`gather`]) cost the other shard one wake-up.
    ///
    /// At most [`queue_capacity`](crate::shards::ShardsBuilder::queue_capacity) calls of one shard
    /// to another may be under way. Further ones wait, first in, first out.
    ///
    /// # Errors
    ///
    /// [`JoinError::Panicked`] if the closure panics. [`JoinError::Ended`] if the shard has ended,
    /// or ends before it has answered: then the closure may have been run or not.
    ///
    /// # Panics
    ///
    /// If there is no shard of this index.
    ///
    /// # Cancel safety
    ///
    /// Dropped while it waits for its place in the queue, it has no effect. Dropped later, the
    /// closure is run all the same, and what it returns is dropped on the calling shard.
    ///
    /// # Example
    ///
    /// ```
    /// use annulus::Shards;
    ///
    /// Shards::builder().count(2).run(async |shard| {
    ///     let next = (shard.index() + 1) % shard.count();
    ///     let name = shard.run_on(next, || std::thread::current().name().map(str::to_owned));
    ///     assert_eq!(name.await.unwrap(), Some(format!("shard-{next}")));
    /// })?;
    /// # Ok::<(), annulus::shards::ShardsError>(())
    /// ```
    #[doc(alias = "submit_to")]
    #[doc(alias = "smp_submit_to")]
    #[track_caller]
    pub fn run_on<T, F>(
        &self,
        shard: usize,
        closure: F,
    ) -> impl Future<Output = Result<T, JoinError>> + use<T, F>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        assert!(
            shard < self.count(),
            "`run_on` for shard {shard}: there are {} shards",
            self.count()
        );
        run_on(self.port(), shard, closure)
    }

    /// Runs a closure on every shard at the same time, and returns the results by index.
    ///
    /// The closure is given the shard that it runs on. [`run_on`](Self::run_on) says how it is run.
    ///
    /// # Errors
    ///
    /// The first error of a shard, in the order of their indices; the closure was run on the others
    /// nonetheless.
    ///
    /// # Cancel safety
    ///
    /// As for [`run_on`](Self::run_on), for each shard.
    ///
    /// # Example
    ///
    /// ```
    /// use annulus::Shards;
    ///
    /// Shards::builder().count(3).run(async |shard| {
    ///     let squares = shard.run_on_all(|shard| shard.index() * shard.index());
    ///     assert_eq!(squares.await.unwrap(), [0, 1, 4]);
    /// })?;
    /// # Ok::<(), annulus::shards::ShardsError>(())
    /// ```
    #[doc(alias = "invoke_on_all")]
    #[doc(alias = "broadcast")]
    pub fn run_on_all<T, F>(
        &self,
        closure: F,
    ) -> impl Future<Output = Result<Vec<T>, JoinError>> + use<T, F>
    where
        F: Fn(&Shard) -> T + Send + Sync + 'static,
        T: Send + 'static,
    {
        let closure = Arc::new(closure);
        let calls = (0..self.count()).map(|index| {
            let closure = Arc::clone(&closure);
            self.run_on(index, move || closure(&Shard::current()))
        });
        let results = gather(calls.collect::<Vec<_>>());
        async move { results.await.into_iter().collect() }
    }

    /// Runs `map` on every shard at the same time, and reduces the results to one, by index.
    ///
    /// `reduce` is run on the calling shard.
    ///
    /// # Errors
    ///
    /// Those of [`run_on_all`](Self::run_on_all).
    ///
    /// # Cancel safety
    ///
    /// As for [`run_on`](Self::run_on), for each shard.
    ///
    /// # Example
    ///
    /// ```
    /// use annulus::Shards;
    ///
    /// Shards::builder().count(4).run(async |shard| {
    ///     let sum = shard.map_reduce(|shard| shard.index(), 0, |sum, index| sum + index);
    ///     assert_eq!(sum.await.unwrap(), 6);
    /// })?;
    /// # Ok::<(), annulus::shards::ShardsError>(())
    /// ```
    pub async fn map_reduce<T, A, M, R>(&self, map: M, init: A, reduce: R) -> Result<A, JoinError>
    where
        M: Fn(&Shard) -> T + Send + Sync + 'static,
        T: Send + 'static,
        R: FnMut(A, T) -> A,
    {
        Ok(self.run_on_all(map).await?.into_iter().fold(init, reduce))
    }
}

pub(super) async fn run_on<T, F>(port: Rc<Port>, shard: usize, closure: F) -> Result<T, JoinError>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    if shard == port.index() {
        poll_fn(coop_spend).await;
        return call(closure);
    }
    let credit = port.acquire(shard).await?;
    let work = Box::new(Closure::Waiting(closure));
    let state = State::Unsent(Some((credit, work)));
    Answer { port, shard, state, _types: PhantomData::<(F, T)> }.await
}

fn coop_spend(context: &mut Context<'_>) -> Poll<()> {
    coop::poll_spend(context)
}

/// A call that has a credit.
struct Answer<F, T> {
    port: Rc<Port>,
    shard: usize,
    state: State,
    _types: PhantomData<(F, T)>,
}

enum State {
    /// `None` only while it is being sent.
    Unsent(Option<(Credit, Box<dyn Work>)>),
    Sent(usize),
    Done,
}

impl<F, T> Unpin for Answer<F, T> {}

impl<F, T> Future for Answer<F, T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let State::Unsent(unsent) = &mut self.state {
            let (credit, work) = unsent.take().expect("it is sent once");
            match self.port.send(self.shard, credit, work, context) {
                Ok(call) => {
                    self.state = State::Sent(call);
                    return Poll::Pending;
                }
                Err(_unsent) => {
                    self.state = State::Done;
                    return Poll::Ready(Err(JoinError::Ended));
                }
            }
        }
        let State::Sent(call) = self.state else { panic!("a call polled after its completion") };
        let answer = ready!(self.port.poll_answer(call, context));
        self.state = State::Done;
        Poll::Ready(match answer {
            Some(work) => Closure::<F, T>::outcome(work),
            None => Err(JoinError::Ended),
        })
    }
}

impl<F, T> Drop for Answer<F, T> {
    fn drop(&mut self) {
        if let State::Sent(call) = self.state {
            self.port.abandon(call);
        }
    }
}
