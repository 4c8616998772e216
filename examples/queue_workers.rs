//! Workers that share a queue, a lock and a semaphore, and end when the work is done.
//!
//! ```sh
//! cargo run --example queue_workers
//! ```

use std::time::Duration;

use annulus::join::task_group;
use annulus::sync::{Lock, Queue, Semaphore};
use annulus::time::{now, sleep};

const WORKERS: usize = 3;

#[annulus::main]
async fn main() {
    let queue = Queue::bounded(8);
    let done = Lock::new([0; WORKERS]);
    // At most two workers work at the same time.
    let tools = Semaphore::new(2);
    let began = now();

    let outcome = task_group(async |group| {
        for worker in 0..WORKERS {
            // Tasks of a group may borrow.
            let (queue, done, tools) = (&queue, &done, &tools);
            group.spawn(async move {
                // After the queue has been closed, the items left in it are still returned.
                while let Ok(milliseconds) = queue.get().await {
                    let _tool = tools.acquire().await.expect("the semaphore is never closed");
                    sleep(Duration::from_millis(milliseconds)).await;
                    done.lock().await[worker] += 1;
                    queue.task_done();
                }
                Ok::<(), std::convert::Infallible>(())
            });
        }
        for milliseconds in (1..=4).cycle().take(20) {
            queue.put(milliseconds).await.expect("the queue is open");
        }
        queue.join().await;
        queue.close();
        Ok(())
    });
    outcome.await.expect("no worker fails");

    let done = *done.lock().await;
    assert_eq!(done.iter().sum::<usize>(), 20);
    println!("{WORKERS} workers have done 20 pieces of work, of 50 ms together");
    println!("it took {} ms", (now() - began).as_millis());
}
