//! The same closure on every core: what a shard knows, and tasks that stay where they are started.
//!
//! ```sh
//! cargo run --example shards_hello
//! ```

use annulus::Shards;
use annulus::shards::{Shard, ShardsError};

fn main() -> Result<(), ShardsError> {
    // Without `count`, one for each CPU that this process may use.
    let squares = Shards::builder().count(2).run(async |shard| {
        let cpu = shard.cpu().map_or("no CPU of its own".into(), |cpu| format!("CPU {cpu}"));
        println!("shard {} of {} has {cpu}", shard.index(), shard.count());

        // A task is polled on the thread that spawned it, so it may use `Rc` and `RefCell`.
        let here = annulus::spawn(async { Shard::current().index() }).await.unwrap();
        assert_eq!(here, shard.index());

        // On another shard, the closure makes the future there: only the closure must be `Send`.
        let next = (shard.index() + 1) % shard.count();
        let task = shard.handle(next).spawn(|| async { Shard::current().index() }).unwrap();
        let there = task.await.unwrap();
        println!("shard {} started a task on shard {there}", shard.index());

        shard.index() * shard.index()
    })?;
    println!("the shards returned {squares:?}");
    Ok(())
}
