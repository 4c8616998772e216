//! Four ways to share state between shards, in the order in which to try them.
//!
//! ```sh
//! cargo run --example shards_state
//! ```

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex};

use annulus::Shards;
use annulus::shards::{Shard, Sharded, ShardsError};
use annulus::task::JoinError;

const WORDS: [&str; 6] = ["ring", "shard", "lease", "slot", "turn", "waker"];

fn main() -> Result<(), ShardsError> {
    // One value for each shard. It is made and dropped on its shard, and never leaves it.
    let served = Sharded::new(async |_| Cell::new(0));
    let greeting = Sharded::new(async |_| RefCell::new("hello".to_owned()));
    let lengths = Sharded::new(async |_| RefCell::new(BTreeMap::new()));
    let log = Mutex::new(Vec::new());

    Shards::builder().count(2).run(async |shard| {
        own(&shard, &served).await?;
        copies(&shard, &greeting).await?;
        parts(&shard, &lengths).await?;
        log.lock().unwrap().push(shard.index());
        Ok::<_, JoinError>(())
    })?;

    // 4. One value that all lock, for what happens seldom.
    println!("{} shards wrote to the log", log.into_inner().unwrap().len());
    Ok(())
}

/// 1. Each shard has its own; what all have done is the sum.
async fn own(shard: &Shard, served: &Sharded<Cell<u64>>) -> Result<(), JoinError> {
    let mine = served.get().await?;
    for _ in 0..100 {
        mine.set(mine.get() + 1);
    }
    if shard.index() == 0 {
        let sum = served.map_reduce(Cell::get, 0, |sum, one| sum + one).await?;
        println!("shard 0 has served {}, and all together {sum} so far", mine.get());
    }
    Ok(())
}

/// 2. Each shard has a copy, which is read without a message, and replaced everywhere.
async fn copies(shard: &Shard, greeting: &Sharded<RefCell<String>>) -> Result<(), JoinError> {
    if shard.index() == 0 {
        let new: Arc<str> = "good morning".into();
        greeting.run_on_all(move |copy| *copy.borrow_mut() = new.to_string()).await?;
        println!("shard 0 says {:?}", greeting.local().borrow());
    }
    Ok(())
}

/// 3. Each part has one owner: the shard that its key says. The closure goes to the value.
async fn parts(
    shard: &Shard,
    lengths: &Sharded<RefCell<BTreeMap<&'static str, usize>>>,
) -> Result<(), JoinError> {
    let owner = |word: &str| {
        let mut hasher = DefaultHasher::new();
        word.hash(&mut hasher);
        hasher.finish() as usize % shard.count()
    };
    if shard.index() == 0 {
        for word in WORDS {
            let insert = move |part: &RefCell<BTreeMap<_, _>>| {
                part.borrow_mut().insert(word, word.len());
            };
            lengths.run_on(owner(word), insert).await?;
        }
        let found = lengths.run_on(owner("lease"), |part| part.borrow().get("lease").copied());
        println!("the length of \"lease\" is {:?}", found.await?);
        let parts = lengths.run_on_all(|part| part.borrow().len()).await?;
        println!("the shards own {parts:?} of {} words", WORDS.len());
    }
    Ok(())
}
