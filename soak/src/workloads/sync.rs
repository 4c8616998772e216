//! Queues, channels and locks between tasks: nothing is lost, repeated or held twice, whatever
//! waits are dropped.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::rc::Rc;

use annulus::join::gather;
use annulus::sync::{
    Barrier, Condition, Event, Lock, Queue, RwLock, Semaphore, broadcast, oneshot, watch,
};
use annulus::yield_now;

use super::Outcome;
use crate::cancel::insist;
use crate::chance::Chance;
use crate::failure::{Failure, expect};
use crate::site::{Owned, Site};
use crate::tally::Work;

/// Each item that is put is taken once.
pub(super) async fn queues(site: &Site, chance: &Chance) -> Outcome {
    let queue = Rc::new(Queue::bounded(chance.size(10)));
    let (announce, announced) = broadcast::channel(64);
    let (set, changed) = watch::channel(0);
    let producers = chance.size(6);
    let each = chance.size(100);

    let consumers: Vec<_> = (0..chance.size(6))
        .map(|_| {
            let (queue, chance) = (Rc::clone(&queue), chance.fork());
            let whose = chance.whose().to_owned();
            Owned::new(site.spawn(&whose, async move {
                let mut taken = Vec::new();
                while let Ok(item) = insist(&chance, async || queue.get().await).await {
                    taken.push(item);
                    queue.task_done();
                }
                taken
            }))
        })
        .collect();
    let listener = {
        let (chance, mut announced, mut changed) = (chance.fork(), announced, changed);
        let whose = chance.whose().to_owned();
        Owned::new(site.spawn(&whose, async move {
            let mut heard = 0;
            while let Ok(value) = insist(&chance, async || announced.recv().await).await {
                heard += 1;
                let latest = insist(&chance, async || {
                    changed.wait_for(|&set: &usize| set >= value).await.map(|_| ())
                });
                if latest.await.is_err() {
                    break;
                }
            }
            heard
        }))
    };
    let puts = (0..producers).map(|producer| {
        let (queue, chance) = (Rc::clone(&queue), chance.fork());
        async move {
            for number in 0..each {
                let permit = insist(&chance, async || queue.reserve().await).await;
                let permit = permit.map_err(|_| Failure::error("a queue is closed"))?;
                permit.put((producer, number)).map_err(|_| Failure::error("a permit failed"))?;
            }
            Ok::<_, Failure>(())
        }
    });
    for outcome in gather(puts.collect::<Vec<_>>()).await {
        outcome?;
    }
    let announcements = chance.size(50);
    for value in 1..=announcements {
        announce.send(value).map_err(|_| Failure::error("no receiver of a broadcast"))?;
        set.send(value).map_err(|_| Failure::error("no receiver of a watch"))?;
        if chance.one_in(4) {
            yield_now().await;
        }
    }
    insist(chance, async || queue.join().await).await;
    queue.close();
    drop(announce);

    let mut taken = BTreeSet::new();
    for consumer in consumers {
        for item in consumer.join().await? {
            if !taken.insert(item) {
                return Err(Failure::Corruption(format!("{item:?} was taken twice")));
            }
        }
    }
    expect("items that were taken", &taken.len(), &(producers * each))?;
    expect("broadcasts that were heard", &listener.join().await?, &announcements)?;
    drop(set);
    Ok(Work::new(2 * producers * each + announcements, 0))
}

/// No two tasks are in a section that one may be in.
pub(super) async fn locks(site: &Site, chance: &Chance) -> Outcome {
    let tasks = chance.between(2..12);
    let each = chance.size(60);
    let shared = Rc::new(Shared {
        lock: Lock::new(0),
        condition: Condition::new(),
        data: RwLock::new(0),
        permits: Semaphore::new(2),
        inside: Cell::new(0),
        begin: Event::new(),
        barrier: Barrier::new(tasks),
    });
    let handles: Vec<_> = (0..tasks)
        .map(|_| {
            let (shared, chance) = (Rc::clone(&shared), chance.fork());
            let whose = chance.whose().to_owned();
            Owned::new(site.spawn(&whose, async move { shared.visit(each, &chance).await }))
        })
        .collect();
    let (send, receive) = oneshot::channel();
    yield_now().await;
    shared.begin.set();
    let total = tasks * each;
    {
        let guard = shared.lock.lock().await;
        let guard = shared.condition.wait_for(guard, |count| *count == total).await;
        let _ = send.send(*guard);
    }
    for handle in handles {
        handle.join().await??;
    }
    expect("counted under a lock", &receive.await.ok(), &Some(total))?;
    expect("counted under a write lock", &*shared.data.read().await, &total)?;
    expect("permits at the end", &shared.permits.available_permits(), &2)?;
    Ok(Work::new(5 * total, 0))
}

struct Shared {
    lock: Lock<usize>,
    condition: Condition,
    data: RwLock<usize>,
    permits: Semaphore,
    /// Tasks with a permit.
    inside: Cell<usize>,
    begin: Event,
    barrier: Barrier,
}

impl Shared {
    async fn visit(&self, each: usize, chance: &Chance) -> Result<(), Failure> {
        insist(chance, async || self.begin.wait().await).await;
        chance.here();
        self.barrier.wait().await.map_err(Failure::error)?;
        for _ in 0..each {
            {
                let mut data = insist(chance, async || self.data.write().await).await;
                let before = *data;
                if chance.one_in(3) {
                    yield_now().await;
                }
                expect("data under a write lock", &*data, &before)?;
                *data += 1;
            }
            let seen = *insist(chance, async || self.data.read().await).await;
            expect("data that was written", &(seen > 0), &true)?;
            {
                let permit = insist(chance, async || self.permits.acquire().await).await;
                let _permit = permit.map_err(Failure::error)?;
                self.inside.set(self.inside.get() + 1);
                expect("more tasks than permits", &(self.inside.get() > 2), &false)?;
                yield_now().await;
                self.inside.set(self.inside.get() - 1);
            }
            let mut count = insist(chance, async || self.lock.lock().await).await;
            *count += 1;
            drop(count);
            self.condition.notify_all();
        }
        Ok(())
    }
}
