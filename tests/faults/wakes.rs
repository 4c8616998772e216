//! Other threads, timers and events: no wake-up is lost, and none comes too early.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use annulus::io::AsyncFd;
use annulus::sync::remote;
use annulus::time::{kernel_sleep, sleep, timeout};
use annulus::{spawn, yield_now};

use crate::with_each_seed;

#[test]
fn messages_of_another_thread_all_come_in_order() {
    const MESSAGES: u32 = 100;
    with_each_seed(async |random| {
        let (sender, mut receiver) = remote::channel(random.usize(1..10));
        let mut sending = random.fork();
        let thread = thread::spawn(move || {
            for message in 0..MESSAGES {
                if sending.u8(0..8) == 0 {
                    thread::yield_now();
                }
                sender.send_blocking(message).unwrap();
            }
        });
        for expected in 0..MESSAGES {
            assert_eq!(receiver.recv().await, Some(expected));
            if random.u8(0..8) == 0 {
                yield_now().await;
            }
        }
        assert_eq!(receiver.recv().await, None);
        thread.join().unwrap();
    });
}

#[test]
fn each_timer_fires_once_and_none_early() {
    with_each_seed(async |random| {
        let mut sleeps = Vec::new();
        for _ in 0..20 {
            let duration = Duration::from_micros(random.u64(0..2000));
            let is_kernels = random.u8(0..4) == 0;
            sleeps.push(spawn(async move {
                let begin = Instant::now();
                if is_kernels {
                    kernel_sleep(duration).await.unwrap();
                } else {
                    sleep(duration).await;
                }
                assert!(begin.elapsed() >= duration);
            }));
        }
        for sleep in sleeps {
            sleep.await.unwrap();
        }
    });
}

#[test]
fn what_becomes_readable_is_noticed() {
    with_each_seed(async |random| {
        let (reader, mut writer) = UnixStream::pair().unwrap();
        let reader = AsyncFd::new(reader).unwrap();
        for _ in 0..10 {
            let limit = Duration::from_micros(random.u64(0..200));
            let _ = timeout(limit, reader.readable()).await;
            let waiting = async { reader.readable().await.map(drop) };
            let writing = async {
                for _ in 0..random.usize(0..3) {
                    yield_now().await;
                }
                writer.write_all(b"x").unwrap();
            };
            let (waited, ()) = annulus::join::gather((waiting, writing)).await;
            waited.unwrap();
            let mut byte = [0];
            std::io::Read::read_exact(&mut reader.get_ref(), &mut byte).unwrap();
        }
    });
}
