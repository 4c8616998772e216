//! Once a connection is established and everything has grown to its size, nothing is allocated.
//!
//! The allocator counts for each thread. A test runs on a thread of its own, with both ends of its
//! connections on one loop, so it counts its own allocations and no others.

use std::future::{pending, poll_fn};
use std::io::{IoSlice, Read, Write};
use std::mem::{self, MaybeUninit};
use std::net::{self, Shutdown};
use std::os::unix::net::UnixStream;
use std::pin::pin;
use std::rc::Rc;
use std::sync::mpsc;
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

use annulus::buf::BufResult;
use annulus::io::{AsyncFd, Interest};
use annulus::net::{
    Polled, SendOptions, TcpListener, TcpStream, UdpSocket, UnixSeqpacket, UnixSeqpacketListener,
};
use annulus::pipe::pipe;
use annulus::sync::{Condition, Event, Lock, Queue, Semaphore, broadcast, remote, watch};
use annulus::time::{interval, kernel_sleep, sleep, timeout};
use annulus::{Runtime, metrics, spawn, yield_now};
use futures_util::StreamExt;

use crate::allocator;
use crate::common::conditions::until;
use crate::common::net::connected;
use crate::common::pair::{echo, pair};
use crate::common::poll::once;
use crate::common::polled::{read, sent, write_all};
use crate::common::skip::{build_or_skip, needs_kernel_ring};
use crate::common::watchdog::{block_on, run};

/// How often this thread allocates while it does something once, after it has done it a few times.
pub(crate) async fn allocations_of(something: impl AsyncFnMut()) -> u64 {
    let allocations = allocations_of_a_hundred(something).await;
    assert_eq!(allocations % 100, 0, "the same each time");
    allocations / 100
}

/// How often this thread allocates while it does something a hundred times, after it has done it a
/// few times.
pub(crate) async fn allocations_of_a_hundred(mut something: impl AsyncFnMut()) -> u64 {
    for _ in 0..20 {
        something().await;
    }
    let before = allocator::allocations();
    for _ in 0..100 {
        something().await;
    }
    allocator::allocations() - before
}

/// A connection whose far end echoes, and a buffer for it.
async fn connection() -> (TcpStream, Vec<u8>) {
    let (near, far) = pair().await;
    spawn(echo(far));
    (near, b"a message of some length".to_vec())
}

/// Sends a buffer, and reads the echo into it.
async fn ask(stream: &mut TcpStream, message: &mut Vec<u8>) {
    let BufResult(result, sent) = stream.write_all(mem::take(message)).await;
    result.unwrap();
    let BufResult(result, reply) = stream.read_exact(sent).await;
    result.unwrap();
    *message = reply;
}

#[cfg(feature = "codec")]
#[test]
fn sending_and_reading_frames_allocates_nothing() {
    use annulus::codec::{Framed, LengthDelimited};

    run(async {
        let (near, far) = pair().await;
        let framed = |stream: TcpStream| {
            let (reader, writer) = stream.into_buffered();
            Framed::new(reader, writer, LengthDelimited::new())
        };
        let (mut near, mut far) = (framed(near), framed(far));
        let allocations = allocations_of(async || {
            near.send("a question").await.unwrap();
            let question = far.next().await.unwrap().unwrap();
            far.send(question).await.unwrap();
            assert_eq!(&*near.next().await.unwrap().unwrap(), b"a question");
        });
        assert_eq!(allocations.await, 0);
    });
}

#[test]
fn waiting_for_a_descriptor_allocates_nothing() {
    run(async {
        let (near, mut far) = UnixStream::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        let near = AsyncFd::new(near).unwrap();
        let allocations = allocations_of(async || {
            let waiting = async { near.readable().await.unwrap().ready() };
            let writing = async { far.write_all(b"x").unwrap() };
            assert!(futures_util::join!(waiting, writing).0.is_readable());
            let read = |mut near: &UnixStream| near.read(&mut [0]);
            near.async_io(Interest::READABLE, read).await.unwrap();
            poll_fn(|context| near.poll_write_ready(context).map_ok(drop)).await.unwrap();
        });
        assert_eq!(allocations.await, 0);
    });
}

/// At once, and after a wait: of bytes, and of room.
#[test]
fn reads_writes_and_splices_of_pipes_allocate_nothing() {
    run(async {
        let (mut sender, mut receiver) = pipe().unwrap();
        let (mut output, mut copies) = pipe().unwrap();
        let capacity = sender.capacity().unwrap();
        let (mut message, mut buffer) = (vec![7; capacity + 1], Vec::with_capacity(capacity));
        let transferring = async || {
            let writing = async {
                let BufResult(result, sent) = sender.write_all(mem::take(&mut message)).await;
                result.unwrap();
                message = sent;
            };
            let reading = async {
                let mut left = capacity + 1;
                while left > 0 {
                    let BufResult(count, read) = receiver.read(mem::take(&mut buffer)).await;
                    left -= count.unwrap();
                    buffer = read;
                    buffer.clear();
                }
            };
            futures_util::join!(reading, writing);
            let leasing = async { receiver.recv().await.unwrap().len() };
            let writing = async { sender.write("lent").await.0.unwrap() };
            assert_eq!(futures_util::join!(leasing, writing), (4, 4));
            let splicing = async {
                assert_eq!(receiver.tee_to(&mut output, 10).await.unwrap(), 7);
                receiver.splice_to(&mut output, 10).await.unwrap()
            };
            let writing = async { sender.write("spliced").await.0.unwrap() };
            assert_eq!(futures_util::join!(splicing, writing), (7, 7));
            assert_eq!(copies.recv().await.unwrap().len(), 14);
        };
        assert_eq!(allocations_of(transferring).await, 0);
    });
}

#[test]
fn the_allocator_counts() {
    let before = allocator::allocations();
    drop(std::hint::black_box(vec![1]));
    assert_eq!(allocator::allocations() - before, 1);
}

#[test]
fn an_established_connection_allocates_nothing() {
    run(async {
        let (mut stream, mut message) = connection().await;
        assert_eq!(allocations_of(async || ask(&mut stream, &mut message).await).await, 0);
    });
}

#[test]
fn lines_through_a_reader_and_a_writer_allocate_nothing() {
    run(async {
        let (near, far) = pair().await;
        spawn(async move {
            let (mut reader, mut writer) = far.into_buffered();
            loop {
                let line = reader.read_line().await.unwrap();
                writer.write(line).await.unwrap();
            }
        });
        let (mut reader, mut writer) = near.into_buffered();
        let asking = async || {
            writer.write("a line\n").await.unwrap();
            assert_eq!(&*reader.read_line().await.unwrap(), b"a line\n");
        };
        assert_eq!(allocations_of(asking).await, 0);
    });
}

#[test]
fn receiving_on_lease_and_sending_the_lease_allocates_nothing() {
    run(leases_allocate_nothing());
}

#[test]
fn receiving_on_lease_allocates_nothing_with_direct_descriptors() {
    let Some(runtime) = build_or_skip(Runtime::builder().direct_descriptors(8)) else { return };
    block_on(&runtime, leases_allocate_nothing());
}

#[test]
fn receiving_on_lease_allocates_nothing_with_a_submission_thread() {
    if needs_kernel_ring("only the kernel has a submission thread") {
        return;
    }
    let runtime = Runtime::builder().sqpoll(Duration::from_millis(1)).build().unwrap();
    block_on(&runtime, leases_allocate_nothing());
}

/// Small messages, and large ones, which are waited for and received in another way.
async fn leases_allocate_nothing() {
    for size in [64, 32 * 1024] {
        let (mut near, mut far) = pair().await;
        spawn(async move {
            loop {
                let lease = far.recv().await.unwrap();
                if lease.is_empty() {
                    return;
                }
                far.write_all(lease).await.0.unwrap();
            }
        });
        let mut message = vec![7; size];
        let asking = async || {
            let BufResult(result, sent) = near.write_all(mem::take(&mut message)).await;
            result.unwrap();
            message = sent;
            let mut left = size;
            while left > 0 {
                left -= near.recv().await.unwrap().len();
            }
        };
        assert_eq!(allocations_of(asking).await, 0, "{size} bytes");
    }
    assert_eq!(metrics().buffer_misses, 0);
}

#[test]
fn poll_forms_allocate_nothing() {
    run(polls_allocate(0));
}

#[test]
fn poll_forms_allocate_nothing_with_direct_descriptors() {
    let Some(runtime) = build_or_skip(Runtime::builder().direct_descriptors(8)) else { return };
    block_on(&runtime, polls_allocate(0));
}

/// A submission thread receives while this one does something else. What has come several at a time
/// when it looks is kept in memory that is allocated for it: the list and its first items.
#[test]
fn poll_forms_allocate_only_for_messages_that_come_together_with_a_submission_thread() {
    if needs_kernel_ring("only the kernel has a submission thread") {
        return;
    }
    let runtime = Runtime::builder().sqpoll(Duration::from_millis(1)).build().unwrap();
    block_on(&runtime, polls_allocate(2 * 2 * 100));
}

/// Writes that are staged, of which there are several in a turn, and writes from the caller's
/// memory behind a staged one.
///
/// Asserts that a hundred exchanges, each of two messages, allocate at most so often.
async fn polls_allocate(most: u64) {
    async fn transfer(stream: &mut Polled<TcpStream>, buffer: &mut [MaybeUninit<u8>], size: usize) {
        let mut left = size;
        while left > 0 {
            left -= poll_fn(|context| stream.poll_read(context, buffer)).await.unwrap();
        }
    }
    for size in [64, 4000, 32 * 1024] {
        let (near, far) = pair().await;
        let (mut near, mut far) = (Polled::new(near), Polled::new(far));
        let message = vec![7; size];
        let its = message.clone();
        spawn(async move {
            let mut buffer = vec![MaybeUninit::uninit(); 20_000];
            loop {
                transfer(&mut far, &mut buffer, 10 + size).await;
                write_all(&mut far, &its[..10]).await.unwrap();
                write_all(&mut far, &its).await.unwrap();
            }
        });
        let mut buffer = vec![MaybeUninit::uninit(); 20_000];
        let asking = async || {
            let parts = [IoSlice::new(&message[..5]), IoSlice::new(&message[5..10])];
            let count = poll_fn(|context| near.poll_write_vectored(context, &parts)).await;
            assert_eq!(count.unwrap(), 10);
            write_all(&mut near, &message).await.unwrap();
            transfer(&mut near, &mut buffer, 10 + size).await;
        };
        let allocations = allocations_of_a_hundred(asking).await;
        assert!(allocations <= most, "{size} bytes: {allocations}");
    }
}

#[test]
fn an_idle_polled_connection_holds_no_buffer() {
    // Fewer than there are connections.
    let builder = Runtime::builder().small_buffers(4, 4096).large_buffers(4, 1 << 16);
    let runtime = builder.build().unwrap();
    block_on(&runtime, async {
        let (near, far) = pair().await;
        let (mut near, mut far) = (Polled::new(near), Polled::new(far));
        let message = vec![7; 5000];
        // What the spare buffers of the runtime keep, and the message header.
        for _ in 0..3 {
            write_all(&mut near, &message).await.unwrap();
            sent(&mut near).await.unwrap();
            read(&mut far, 5000).await.unwrap();
        }
        let held = allocator::held();
        let mut idle = Vec::new();
        // One after another: for those that send at once, the runtime keeps spare buffers.
        for _ in 0..40 {
            let (near, far) = pair().await;
            let (mut near, mut far) = (Polled::new(near), Polled::new(far));
            write_all(&mut near, &message).await.unwrap();
            sent(&mut near).await.unwrap();
            let mut left = message.len();
            while left > 0 {
                left -= read(&mut far, left).await.unwrap().len();
            }
            // A read waits.
            assert!(once(pin!(read(&mut far, 100))).await.is_pending());
            idle.push((near, far));
        }
        assert_eq!(metrics().buffer_misses, 0, "the buffers suffice for all");
        let each = (allocator::held() - held) / idle.len() as isize;
        println!("two ends of a connection: {each} bytes");
        assert!(each < 2500, "{each} bytes: a buffer has more than that");
    });
}

#[test]
fn many_established_connections_allocate_nothing() {
    const CONNECTIONS: usize = 50;
    run(async {
        for _ in 0..CONNECTIONS {
            let (mut stream, mut message) = connection().await;
            spawn(async move {
                loop {
                    ask(&mut stream, &mut message).await;
                }
            });
        }
        // Each operation is one completion.
        let completed = metrics().completed;
        until(|| metrics().completed - completed >= 100 * 4 * CONNECTIONS as u64).await;
        let (before, completed) = (allocator::allocations(), metrics().completed);
        until(|| metrics().completed - completed >= 100 * 4 * CONNECTIONS as u64).await;
        assert_eq!(allocator::allocations() - before, 0);
    });
}

#[test]
fn a_timeout_around_a_read_that_ends_in_time_allocates_nothing() {
    run(async {
        let (mut stream, mut message) = connection().await;
        let asking = async || {
            let asked = timeout(Duration::from_secs(3600), ask(&mut stream, &mut message));
            asked.await.unwrap();
        };
        assert_eq!(allocations_of(asking).await, 0);
    });
}

#[test]
fn a_vectored_write_of_a_vector_that_is_used_again_allocates_nothing() {
    run(async {
        let (mut stream, mut reply) = connection().await;
        let (head, tail) = reply.split_at(9);
        let mut parts = vec![head.to_vec(), tail.to_vec()];
        let asking = async || {
            let BufResult(result, sent) = stream.write_vectored(mem::take(&mut parts)).await;
            assert_eq!(result.unwrap(), reply.len());
            parts = sent;
            let BufResult(result, filled) = stream.read_exact(mem::take(&mut reply)).await;
            result.unwrap();
            reply = filled;
        };
        assert_eq!(allocations_of(asking).await, 0);
    });
}

/// The peer reads only when the connection is full, and may have ended its own direction.
#[test]
fn a_write_that_waits_for_room_allocates_nothing() {
    for is_half_closed in [false, true] {
        run(async {
            let (mut stream, peer) = connected();
            stream.set_send_buffer_size(256 << 10).unwrap();
            if is_half_closed {
                peer.shutdown(Shutdown::Write).unwrap();
            }
            peer.set_nonblocking(true).unwrap();
            let mut message = vec![7; 2 << 20];
            let mut piece = vec![0; 1 << 20];
            let mut writing = async || {
                let before = metrics().send_stalls;
                let write = stream.write_all(mem::take(&mut message));
                let mut write = pin!(write);
                message = loop {
                    match once(write.as_mut()).await {
                        Poll::Ready(BufResult(result, sent)) => {
                            result.unwrap();
                            break sent;
                        }
                        Poll::Pending => {
                            while (&peer).read(&mut piece).is_ok() {}
                            yield_now().await;
                        }
                    }
                };
                assert!(metrics().send_stalls > before, "it waits for room");
            };
            assert_eq!(allocations_of(&mut writing).await, 0);
        });
    }
}

#[test]
fn a_peek_and_a_write_of_a_part_allocate_nothing() {
    run(async {
        let (mut stream, mut message) = connection().await;
        let asking = async || {
            let BufResult(result, sent) = stream.write(mem::take(&mut message)).await;
            assert_eq!(result.unwrap(), sent.len());
            let BufResult(result, peeked) = stream.peek(sent).await;
            result.unwrap();
            message = stream.read(peeked).await.1;
        };
        assert_eq!(allocations_of(asking).await, 0);
    });
}

#[test]
fn sleeping_and_yielding_allocate_nothing() {
    run(async {
        assert_eq!(allocations_of(async || yield_now().await).await, 0);
        assert_eq!(allocations_of(async || sleep(Duration::from_micros(10)).await).await, 0);
        let elapses = async || {
            timeout(Duration::from_micros(10), pending::<()>()).await.unwrap_err();
        };
        assert_eq!(allocations_of(elapses).await, 0);
        let mut interval = interval(Duration::from_micros(10));
        let tick = async || {
            interval.tick().await;
        };
        assert_eq!(allocations_of(tick).await, 0);
    });
}

#[test]
fn a_small_task_takes_the_memory_of_an_ended_one() {
    // With the address sanitizer each has its own.
    let expected = if cfg!(annulus_unpooled) { 1 } else { 0 };
    run(async {
        let joined = async || spawn(async {}).await.unwrap();
        assert_eq!(allocations_of(joined).await, expected);
        let detached = async || {
            drop(spawn(async {}));
            yield_now().await;
        };
        assert_eq!(allocations_of(detached).await, expected);
    });
}

#[test]
fn a_large_task_is_one_allocation() {
    run(async {
        // However large it is, and whatever it does.
        let large = async || {
            let content = [7_u8; 4096];
            let task = spawn(async move {
                yield_now().await;
                content
            });
            assert_eq!(task.await.unwrap(), content);
        };
        assert_eq!(allocations_of(large).await, 1);
    });
}

#[test]
fn a_wake_from_another_thread_allocates_nothing() {
    run(async {
        let (sender, wakers) = mpsc::sync_channel(1);
        let waking = thread::spawn(move || wakers.iter().for_each(Waker::wake));
        let asking = async || {
            let mut asked = false;
            poll_fn(|context| {
                if asked {
                    return Poll::Ready(());
                }
                asked = true;
                sender.send(context.waker().clone()).unwrap();
                Poll::Pending
            })
            .await;
        };
        assert_eq!(allocations_of(asking).await, 0);
        drop(sender);
        waking.join().unwrap();
    });
}

// What is kept for each connection, and nothing for having accepted it.
#[test]
fn an_accepted_connection_is_one_allocation() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        // The clients' thread connects when it is told to.
        let (tell, told) = mpsc::sync_channel::<()>(1);
        let connecting = thread::spawn(move || {
            let connect = |()| net::TcpStream::connect(address).unwrap();
            told.iter().map(connect).for_each(drop);
        });
        let accepting = async || {
            tell.send(()).unwrap();
            drop(listener.accept().await.unwrap());
        };
        assert_eq!(allocations_of(accepting).await, 1);
        drop(tell);
        connecting.join().unwrap();
    });
}

// It leaves its buffer and its bookkeeping until its last completion.
#[test]
fn a_dropped_read_is_a_few_allocations() {
    run(async {
        let (mut stream, _far) = pair().await;
        let dropping = async || {
            let buffer = Vec::with_capacity(64);
            timeout(Duration::from_nanos(1), stream.read(buffer)).await.unwrap_err();
            until(|| metrics().in_kernel <= 1).await;
        };
        // One of them is the buffer.
        let allocations = allocations_of(dropping).await;
        assert!(allocations <= 5, "{allocations} allocations");
    });
}

#[test]
fn a_sleep_in_the_kernel_is_one_allocation() {
    run(async {
        let sleeping = async || kernel_sleep(Duration::from_micros(10)).await.unwrap();
        assert_eq!(allocations_of(sleeping).await, 1);
    });
}

#[test]
fn waiting_for_a_lock_or_a_permit_that_another_task_has_allocates_nothing() {
    run(async {
        let shared = Rc::new((Lock::new(0), Semaphore::new(1)));
        let its = Rc::clone(&shared);
        spawn(async move {
            loop {
                let held = (its.0.lock().await, its.1.acquire().await);
                yield_now().await;
                drop(held);
            }
        });
        let locking = async || *shared.0.lock().await += 1;
        assert_eq!(allocations_of(locking).await, 0);
        let acquiring = async || drop(shared.1.acquire().await.unwrap());
        assert_eq!(allocations_of(acquiring).await, 0);
    });
}

#[test]
fn items_that_go_back_and_forth_allocate_nothing() {
    run(async {
        let shared = Rc::new((Queue::bounded(1), Queue::bounded(1)));
        let its = Rc::clone(&shared);
        spawn(async move {
            loop {
                its.1.put(its.0.get().await.unwrap()).await.unwrap();
            }
        });
        let asking = async || {
            shared.0.put(1).await.unwrap();
            assert_eq!(shared.1.get().await, Ok(1));
        };
        assert_eq!(allocations_of(asking).await, 0);
        let (sender, mut asked) = remote::channel(1);
        let (answering, mut receiver) = remote::channel(1);
        spawn(async move {
            while let Some(item) = asked.recv().await {
                answering.send(item).await.unwrap();
            }
        });
        let asking = async || {
            sender.send(1).await.unwrap();
            assert_eq!(receiver.recv().await, Some(1));
        };
        assert_eq!(allocations_of(asking).await, 0);
    });
}

#[test]
fn waiting_for_an_event_or_a_condition_allocates_nothing() {
    run(async {
        let shared = Rc::new((Event::new(), Lock::new(0), Condition::new()));
        let its = Rc::clone(&shared);
        spawn(async move {
            loop {
                yield_now().await;
                its.0.set();
                its.0.clear();
                *its.1.lock().await += 1;
                its.2.notify_all();
            }
        });
        assert_eq!(allocations_of(async || shared.0.wait().await).await, 0);
        let waiting = async || drop(shared.2.wait(shared.1.lock().await).await);
        assert_eq!(allocations_of(waiting).await, 0);
    });
}

#[test]
fn a_watched_value_allocates_nothing_and_a_broadcast_one_once() {
    run(async {
        let (sender, mut receiver) = watch::channel(0);
        let changing = async || {
            sender.send(1).unwrap();
            receiver.changed().await.unwrap();
        };
        assert_eq!(allocations_of(changing).await, 0);
        let (sender, mut receiver) = broadcast::channel(4);
        let mut second = receiver.clone();
        let sending = async || {
            sender.send(1).unwrap();
            assert_eq!((receiver.recv().await, second.recv().await), (Ok(1), Ok(1)));
        };
        assert_eq!(allocations_of(sending).await, 1);
    });
}

#[test]
fn sending_and_receiving_datagrams_allocates_nothing() {
    run(async {
        let near = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let far = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let to = near.local_addr().unwrap();
        far.connect(to).await.unwrap();
        let mut buffer = vec![7; 1200];
        let mut stream = near.recv_many();
        let mut memory = [0; 1500];
        let allocations = allocations_of(async || {
            let BufResult(result, sent) = far.send(mem::take(&mut buffer)).await;
            result.unwrap();
            let BufResult(result, received) = near.recv_from(sent).await;
            result.unwrap();
            let BufResult(result, sent) = far.send_to(received, to).await;
            result.unwrap();
            buffer = sent;
            let datagram = near.recv_msg().await.unwrap();
            far.send_msg(datagram.into_lease(), &SendOptions::to(to)).await.0.unwrap();
            drop(stream.recv().await.unwrap());
            far.try_send(b"by attempts").unwrap();
            poll_fn(|context| near.poll_recv(context, &mut memory)).await.unwrap();
        });
        assert_eq!(allocations.await, 0);
    });
}

#[test]
fn sending_and_receiving_messages_of_a_connection_allocates_nothing() {
    run(async {
        let name = format!("\0annulus-messages-{}", std::process::id());
        let listener = UnixSeqpacketListener::bind(&name).unwrap();
        let near = UnixSeqpacket::connect(&name).await.unwrap();
        let (far, _) = listener.accept().await.unwrap();
        let mut buffer = vec![7; 1200];
        let mut stream = near.recv_many();
        let mut memory = [0; 1500];
        let allocations = allocations_of(async || {
            let BufResult(result, sent) = far.send(mem::take(&mut buffer)).await;
            result.unwrap();
            let BufResult(result, received) = near.recv(sent).await;
            assert_eq!(result.unwrap(), Some(1200));
            let BufResult(result, sent) = far.send(received).await;
            result.unwrap();
            buffer = sent;
            let message = near.recv_msg().await.unwrap().unwrap();
            far.send(message).await.0.unwrap();
            drop(stream.next().await.unwrap().unwrap());
            far.try_send(b"by attempts").unwrap();
            poll_fn(|context| near.poll_recv(context, &mut memory)).await.unwrap();
        });
        assert_eq!(allocations.await, 0);
    });
}

#[test]
fn reading_and_writing_a_file_allocates_nothing() {
    let path = std::env::temp_dir().join(format!("annulus-allocations-{}", std::process::id()));
    let options =
        || std::fs::OpenOptions::new().read(true).write(true).create_new(true).open(&path);
    let std = options().unwrap();
    std::fs::remove_file(&path).unwrap();
    run(async {
        let mut file = annulus::fs::File::from_std(std);
        let mut buffer = vec![7; 4096];
        let allocations = allocations_of(async || {
            for offset in [0, 4096] {
                let BufResult(result, written) =
                    file.write_all_at(mem::take(&mut buffer), offset).await;
                result.unwrap();
                let BufResult(result, read) = file.read_exact_at(written, offset).await;
                result.unwrap();
                buffer = read;
            }
            file.set_len(8192).await.unwrap();
            file.sync_data().await.unwrap();
            // The same from the cursor on, and into a buffer of the runtime.
            file.rewind().unwrap();
            let BufResult(result, written) = file.write_all(mem::take(&mut buffer)).await;
            result.unwrap();
            let BufResult(result, read) = file.read_exact(written).await;
            result.unwrap();
            buffer = read;
            file.rewind().unwrap();
            assert_eq!(file.recv().await.unwrap().len(), 8192);
            assert_eq!(file.recv().await.unwrap().len(), 0);
        });
        assert_eq!(allocations.await, 0);
    });
}
