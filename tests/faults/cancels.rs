//! Everything is cancelled, or dropped with the runtime: nothing stays in the kernel.

use std::net::TcpListener as StdListener;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use annulus::io::AsyncFd;
use annulus::net::{TcpListener, TcpStream, UdpSocket};
use annulus::pipe::pipe;
use annulus::task::JoinHandle;
use annulus::time::{kernel_sleep, sleep};
use annulus::{spawn, yield_now};

use crate::common::pair::pair;
use crate::common::poll::yield_times;
use crate::{Random, with_each_runtime, with_each_seed};

const HOUR: Duration = Duration::from_secs(3600);

/// Starts a task that waits for ever, or for an hour.
fn start(random: &mut Random) -> JoinHandle<()> {
    let turns = random.usize(0..4);
    match random.u8(0..9) {
        0 => spawn(async {
            let (mut near, _far) = pair().await;
            let _ = near.read(vec![0; 100]).await;
        }),
        1 => spawn(async {
            let (mut near, _far) = pair().await;
            let _ = near.recv().await;
        }),
        2 => spawn(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let _ = listener.accept().await;
        }),
        3 => spawn(async {
            let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let _ = socket.recv_msg().await;
        }),
        4 => spawn(async {
            // It fills what there is, and waits, as the peer does not read.
            let (mut near, _far) = pair().await;
            let _ = near.write_all(vec![0; 8 << 20]).await;
            let _ = near.write_all_zero_copy(vec![0; 8 << 20]).await;
        }),
        5 => spawn(async {
            let (_sender, mut receiver) = pipe().unwrap();
            let _ = receiver.recv().await;
        }),
        6 => spawn(async {
            let _ = kernel_sleep(HOUR).await;
        }),
        7 => spawn(async {
            let (reader, _writer) = UnixStream::pair().unwrap();
            let reader = AsyncFd::new(reader).unwrap();
            let _ = reader.readable().await;
        }),
        _ => spawn(async move {
            let listener = StdListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            loop {
                let _ = TcpStream::connect(address).await;
                yield_times(turns).await;
                drop(listener.accept());
            }
        }),
    }
}

#[test]
fn nothing_stays_in_the_kernel_when_every_task_is_cancelled() {
    with_each_seed(async |random| {
        let mut tasks = Vec::new();
        for _ in 0..30 {
            tasks.push(start(random));
            yield_times(random.usize(0..3)).await;
            if random.bool() {
                let task = tasks.swap_remove(random.usize(0..tasks.len()));
                task.cancel();
                if random.bool() {
                    assert!(task.await.is_err(), "it waits until it is cancelled");
                }
            }
        }
        for task in &tasks {
            task.cancel();
        }
        for task in tasks {
            assert!(task.await.is_err(), "it waits until it is cancelled");
        }
    });
}

#[test]
fn a_runtime_ends_with_whatever_is_in_flight_and_leaks_nothing() {
    with_each_runtime(|runtime, random| {
        runtime.block_on(async {
            for _ in 0..random.usize(1..20) {
                drop(start(random));
                yield_times(random.usize(0..3)).await;
            }
            if random.bool() {
                yield_now().await;
            } else {
                sleep(Duration::from_micros(random.u64(0..500))).await;
            }
        });
    });
}
