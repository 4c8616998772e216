//! What shards leave behind when they have ended: nothing.

use std::sync::atomic::{AtomicUsize, Ordering};

use annulus::Shards;
use annulus::join::gather;
use annulus::net::{StreamReader, StreamWriter, open_connection, start_server};
use annulus::shards::{Shard, Sharded};

use crate::allocator;
use crate::common::child::isolated;
use crate::common::descriptors;
use crate::this_test;

const SHARDS: usize = 3;

async fn echo(mut reader: StreamReader, mut writer: StreamWriter) -> std::io::Result<()> {
    let line = reader.read_line().await?;
    writer.write(line).await
}

/// Shards that call each other, also in vain, have values, and serve connections.
fn run_once() {
    let values = Sharded::new(async |shard: Shard| vec![shard.index(); 1000]);
    let arrived = AtomicUsize::new(0);
    let run = async |shard: Shard| {
        let next = (shard.index() + 1) % shard.count();
        let calls = (0..100).map(|number| shard.run_on(next, move || vec![number; 10]));
        let sum = gather(calls.collect::<Vec<_>>()).await.into_iter().map(|it| it.unwrap()[0]);
        assert_eq!(sum.sum::<usize>(), 99 * 50);
        assert_eq!(values.run_on(next, |value| value[0]).await.unwrap(), next);
        let remote = shard.handle(next).spawn(|| async { Shard::current().index() }).unwrap();
        assert_eq!(remote.await.unwrap(), next);

        let server = start_server(echo, "127.0.0.1:0").await.unwrap();
        let (mut reader, mut writer) = open_connection(server.local_addrs()[0]).await.unwrap();
        writer.write("hello\n").await.unwrap();
        assert_eq!(&*reader.read_line().await.unwrap(), b"hello\n");
        arrived.fetch_add(1, Ordering::Relaxed);
        // What is still open, and a call whose answer no future takes, end with the shard.
        let mut call = Box::pin(shard.run_on(next, || vec![0; 1000]));
        assert!(futures_util::poll!(&mut call).is_pending());
        drop(spawn_waiting((server, reader, writer)));
    };
    Shards::builder().count(SHARDS).pin(false).run(run).unwrap();
    assert_eq!(arrived.load(Ordering::Relaxed), SHARDS);
}

/// A task that keeps what it is given until the end of its runtime.
fn spawn_waiting<T: 'static>(kept: T) -> annulus::task::JoinHandle<()> {
    annulus::spawn(async move {
        std::future::pending::<()>().await;
        drop(kept);
    })
}

/// In a process of its own, as both are counted for all threads.
#[test]
fn shards_that_have_ended_leave_neither_memory_nor_descriptors() {
    isolated(this_test!(), || {
        // What the process has once: names of hosts, the pool of threads, the hooks of signals.
        for _ in 0..3 {
            run_once();
        }
        let before = (allocator::held_by_all(), descriptors::open());
        for _ in 0..20 {
            run_once();
        }
        assert_eq!((allocator::held_by_all(), descriptors::open()), before);
    });
}
