//! Dropped receives of datagrams lose none, whichever form they have, and keep the order.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use annulus::net::UdpSocket;
use annulus::{metrics, raw_os_error, spawn, yield_now};
use futures_util::StreamExt;

use super::udp::{connected, two};
use crate::common::bounded::bounded;
use crate::common::poll::{once, times, until, yield_times};
use crate::common::random::seeded;
use crate::common::seccomp::{Calls, REGISTER_BUFFER_RING, refusing};
use crate::common::skip::needs_kernel_ring;
use crate::common::watchdog::run;

/// The forms of receiving that may be dropped.
const FORMS: u8 = 7;

/// Receives one datagram by a form, or gives up after some polls.
async fn receive(socket: &UdpSocket, form: u8, polls: usize) -> Option<Vec<u8>> {
    let cut = |(count, buffer): (usize, Vec<u8>)| buffer[..count].to_vec();
    match form {
        0 => times(polls, socket.recv(vec![0; 100])).await.map(|done| cut(done.unwrap())),
        1 => {
            let done = times(polls, socket.recv_from(vec![0; 100])).await?;
            let ((count, from), buffer) = done.unwrap();
            assert_eq!(from, socket.peer_addr().unwrap());
            Some(cut((count, buffer)))
        }
        2 => {
            let datagram = times(polls, socket.recv_msg()).await?.unwrap();
            assert_eq!(*datagram.address(), socket.peer_addr().unwrap());
            Some(datagram.to_vec())
        }
        3 => {
            let (meta, buffer) = times(polls, socket.recv_msg_into(vec![0; 100])).await?.unwrap();
            assert_eq!(meta.address, socket.peer_addr().unwrap());
            Some(cut((meta.len, buffer)))
        }
        4 => {
            let mut stream = pin!(socket.recv_many());
            times(polls, stream.next()).await.map(|next| next.unwrap().unwrap().to_vec())
        }
        5 => {
            let mut memory = [0; 100];
            let polled = times(polls, poll_fn(|context| socket.poll_recv(context, &mut memory)));
            let count = polled.await?.unwrap();
            Some(memory[..count].to_vec())
        }
        _ => {
            // Looks at it, which takes nothing.
            let _ = times(polls, socket.peek(vec![0; 10])).await;
            None
        }
    }
}

/// Sends numbered datagrams, a few at a time so that the kernel drops none, while receives of all
/// forms are dropped at random moments. Each datagram must arrive once, in order.
async fn every_datagram_arrives_once() {
    const DATAGRAMS: u32 = 1000;
    let mut random = seeded();
    let (near, far) = connected().await;
    let received = Rc::new(Cell::new(0_u32));
    let sender = spawn({
        let received = Rc::clone(&received);
        let mut random = fastrand::Rng::with_seed(random.u64(..));
        async move {
            for number in 0..DATAGRAMS {
                until(|| number < received.get() + 20).await;
                far.send(number.to_ne_bytes().to_vec()).await.0.unwrap();
                yield_times(random.usize(..4)).await;
            }
        }
    });
    while received.get() < DATAGRAMS {
        let polls = random.usize(1..5);
        if let Some(bytes) = receive(&near, random.u8(..FORMS), polls).await {
            let number = u32::from_ne_bytes(bytes.try_into().unwrap());
            assert_eq!(number, received.get());
            received.set(number + 1);
        }
        if random.u8(..4) == 0 {
            yield_now().await;
        }
    }
    sender.await.unwrap();
    assert!(times(3, near.recv(vec![0; 10])).await.is_none(), "and none twice");
}

#[test]
fn no_datagram_is_lost_or_doubled_by_dropped_receives_of_any_form() {
    run(every_datagram_arrives_once());
}

#[test]
fn no_datagram_is_lost_by_dropped_receives_where_the_loop_enters_between_polls() {
    bounded(|| {
        let runtime = annulus::Runtime::builder().max_polls_per_turn(1).build().unwrap();
        runtime.block_on(every_datagram_arrives_once());
    });
}

#[test]
fn no_datagram_is_lost_by_dropped_receives_without_provided_buffers() {
    if needs_kernel_ring("it lets io_uring_register fail") {
        return;
    }
    let calls =
        Calls { number: libc::SYS_io_uring_register, second_argument: Some(REGISTER_BUFFER_RING) };
    refusing(calls, libc::EINVAL, || run(every_datagram_arrives_once()));
}

/// One task's receive is dropped when its datagram has come; another task waits. Were both receives
/// in the kernel, the datagram would lie where the other does not look.
#[test]
fn a_datagram_that_a_dropped_receive_had_goes_to_the_task_that_waits() {
    run(async {
        let (near, far) = two().await;
        let address = near.local_addr().unwrap();
        let near = Rc::new(near);
        let mut first = Box::pin(near.recv_from(vec![0; 10]));
        assert!(once(first.as_mut()).await.is_pending());
        let second = spawn({
            let near = Rc::clone(&near);
            async move { near.recv_from(vec![0; 10]).await.unwrap().0 }
        });
        yield_times(3).await;
        let completed = metrics().completed;
        far.send_to("only", address).await.0.unwrap();
        until(|| metrics().completed > completed).await;
        drop(first);
        assert_eq!(second.await.unwrap(), (4, far.local_addr().unwrap()));
    });
}

/// As above, with a task that polls without a future and is not woken by the kernel.
#[test]
fn a_datagram_that_a_dropped_receive_had_goes_to_the_task_that_polls() {
    run(async {
        let (near, far) = two().await;
        let address = near.local_addr().unwrap();
        let near = Rc::new(near);
        let mut first = Box::pin(near.recv_from(vec![0; 10]));
        assert!(once(first.as_mut()).await.is_pending());
        let polls = spawn({
            let near = Rc::clone(&near);
            async move {
                let mut memory = [0; 10];
                poll_fn(|context| near.poll_recv(context, &mut memory)).await.unwrap()
            }
        });
        yield_times(3).await;
        far.send_to("only", address).await.0.unwrap();
        yield_times(3).await;
        drop(first);
        assert_eq!(polls.await.unwrap(), 4);
    });
}

/// The receive that was dropped had a short buffer, and the next has a long one: what it returns is
/// not the whole datagram.
#[test]
fn a_datagram_that_a_dropped_receive_has_cut_is_reported_by_the_next() {
    run(async {
        for form in 0..5 {
            let (near, far) = connected().await;
            let mut memory = [0; 100];
            let mut attempts = 0;
            // Until the dropped receive has the datagram: the cancel may come first.
            loop {
                attempts += 1;
                assert!(attempts < 1000, "no dropped receive was completed");
                let mut short = Box::pin(near.recv(vec![0; 4]));
                assert!(once(short.as_mut()).await.is_pending());
                far.send("0123456789").await.0.unwrap();
                if attempts % 2 == 0 {
                    yield_times(3).await;
                }
                drop(short);
                match near.peek(vec![0; 100]).await.unwrap().0 {
                    4 => break,
                    whole => assert_eq!(whole, 10),
                }
                assert_eq!(near.recv(vec![0; 100]).await.0.unwrap(), 10);
            }
            let result = match form {
                0 => near.recv(vec![0; 100]).await.0.map(drop),
                1 => near.recv_from(vec![0; 100]).await.0.map(drop),
                2 => near.recv_msg_into(vec![0; 100]).await.0.map(drop),
                3 => near.recv_msg().await.map(drop),
                _ => poll_fn(|context| near.poll_recv_from(context, &mut memory)).await.map(drop),
            };
            let error = result.unwrap_err();
            assert_eq!(raw_os_error(&error), Some(libc::EMSGSIZE), "form {form}: {error}");
        }
    });
}

#[test]
fn tasks_that_receive_are_served_in_order() {
    run(async {
        let (near, far) = two().await;
        let address = near.local_addr().unwrap();
        let near = Rc::new(near);
        let tasks: Vec<_> = (0..5)
            .map(|_| {
                let near = Rc::clone(&near);
                spawn(async move { near.recv(vec![0; 1]).await.unwrap().1[0] })
            })
            .collect();
        yield_times(2).await;
        for number in 0..5_u8 {
            far.send_to(vec![number], address).await.0.unwrap();
        }
        for (number, task) in (0..5_u8).zip(tasks) {
            assert_eq!(task.await.unwrap(), number);
        }
    });
}

/// A peer sends without end, and no task receives: what the process holds is bounded, and the
/// kernel drops the rest, which is counted.
#[test]
fn a_flood_that_no_task_receives_is_held_up_to_a_bound() {
    run(async {
        let (near, far) = two().await;
        let address = near.local_addr().unwrap();
        let mut stream = near.recv_many();
        assert!(times(2, stream.recv()).await.is_none());
        for _ in 0..3000 {
            far.send_to(vec![7; 1200], address).await.0.unwrap();
        }
        yield_times(5).await;
        let in_use = metrics().datagram_buffers_in_use;
        assert!(in_use <= 400, "{in_use} buffers hold what no task has taken");
        let dropped = near.dropped().unwrap();
        assert!(dropped > 0, "the kernel has dropped what it had no room for");
        for _ in dropped..3000 {
            assert_eq!(*stream.recv().await.unwrap(), [7; 1200]);
        }
        far.send_to("last", address).await.0.unwrap();
        assert_eq!(*stream.recv().await.unwrap(), *b"last");
    });
}

/// A program that keeps its leases gets further datagrams all the same, from memory of their size,
/// and the provided buffers again once it has dropped them.
#[test]
fn datagrams_arrive_while_all_buffers_are_lent() {
    bounded(|| {
        let runtime = annulus::Runtime::builder().datagram_buffers(4, 4096).build().unwrap();
        runtime.block_on(async {
            let (near, far) = connected().await;
            for _ in 0..2 {
                let mut kept = Vec::new();
                for number in 0..20_u8 {
                    far.send(vec![number; 3000]).await.0.unwrap();
                    kept.push(near.recv_msg().await.unwrap());
                }
                for (number, datagram) in (0..20).zip(&kept) {
                    assert_eq!(**datagram, [number; 3000]);
                }
                assert!(metrics().fallback_buffer_bytes >= 16 * 3000);
            }
            assert_eq!(metrics().fallback_buffer_bytes, 0);
        });
    });
}

#[test]
fn a_pending_receive_does_not_keep_a_dropped_socket_from_closing() {
    run(async {
        for form in 0..FORMS - 1 {
            let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let address = socket.local_addr().unwrap();
            socket.connect(address).await.unwrap();
            assert!(receive(&socket, form, 2).await.is_none());
            drop(socket);
            // The kernel releases the port when it has completed the receive.
            let mut again = UdpSocket::bind(address).await;
            while again.is_err() {
                yield_now().await;
                again = UdpSocket::bind(address).await;
            }
        }
    });
}

#[test]
fn a_runtime_ends_with_receives_and_sends_in_flight() {
    for form in 0..FORMS - 1 {
        run(async move {
            let (near, far) = connected().await;
            spawn(async move { while receive(&near, form, usize::MAX).await.is_some() {} });
            far.send("one").await.0.unwrap();
            yield_times(2).await;
            let mut send = Box::pin(far.send_many([("two", far.peer_addr().unwrap())]));
            assert!(matches!(once(send.as_mut()).await, Poll::Pending | Poll::Ready(_)));
        });
    }
}
