//! Inline calls, which never wait: they save SQEs, move the same bytes, and hold the loop no longer
//! than the turn's budget.

use std::io::{Read, Write};
use std::thread;

use annulus::buf::BufResult;
use annulus::sync::Semaphore;
use annulus::{metrics, spawn, yield_now};

use crate::common::net::connected;
use crate::common::poll::{once, until, until_bell_is_polled};
use crate::common::watchdog::run;

#[test]
fn a_send_that_would_be_alone_in_its_enter_is_an_inline_call() {
    run(async {
        let (mut stream, mut peer) = connected();
        let before = metrics();
        stream.write_all("alone").await.0.unwrap();
        let after = metrics();
        assert_eq!(after.inline_calls, before.inline_calls + 1);
        assert_eq!((after.submitted, after.queued), (before.submitted, before.queued));
        let mut received = [0; 5];
        peer.read_exact(&mut received).unwrap();
        assert_eq!(&received, b"alone");
    });
}

#[test]
fn a_send_beside_others_goes_with_them() {
    run(async {
        let (mut first, _first_peer) = connected();
        let (mut second, _second_peer) = connected();
        let before = metrics();
        let reading = spawn(async move { first.read(vec![0; 8]).await.0 });
        yield_now().await;
        // The read's SQE may have been submitted with the yield; queue another in this turn.
        let (mut third, _third_peer) = connected();
        let mut waiting = Box::pin(third.read(vec![0; 8]));
        assert!(once(waiting.as_mut()).await.is_pending());
        second.write_all("together").await.0.unwrap();
        assert_eq!(metrics().inline_calls, before.inline_calls);
        reading.cancel();
    });
}

#[test]
fn bytes_that_are_known_to_be_there_are_received_at_once_and_in_order() {
    run(async {
        let (mut stream, mut peer) = connected();
        let sent: Vec<u8> = (0..64 * 1024_u32).map(|n| (n % 251) as u8).collect();
        peer.write_all(&sent).unwrap();
        let before = metrics();
        let mut received = Vec::new();
        let mut buffer = Vec::with_capacity(4096);
        while received.len() < sent.len() {
            let BufResult(count, filled) = stream.read(buffer).await;
            assert!(count.unwrap() > 0);
            received.extend_from_slice(&filled);
            buffer = filled;
        }
        assert_eq!(received, sent);
        let after = metrics();
        assert!(
            after.inline_calls > before.inline_calls + 8,
            "{} direct",
            after.inline_calls - before.inline_calls
        );
        // The first receive could not know, and went to the ring.
        assert!(after.submitted > before.submitted);
    });
}

#[test]
fn an_inline_receive_that_finds_nothing_waits_in_the_ring() {
    run(async {
        let (mut stream, mut peer) = connected();
        peer.write_all(&[1; 8192]).unwrap();
        for _ in 0..2 {
            stream.read_exact(Box::new([0; 4096])).await.0.unwrap();
        }
        // The second has filled its buffer, so the third takes it that there may be more.
        let before = metrics();
        let mut third = Box::pin(stream.read(vec![0; 4096]));
        assert!(once(third.as_mut()).await.is_pending());
        assert_eq!(metrics().queued, before.queued + 1);
        peer.write_all(b"more").unwrap();
        let BufResult(count, buffer) = third.await;
        assert_eq!(&buffer[..count.unwrap()], b"more");
    });
}

#[test]
fn inline_receives_report_eof_and_errors() {
    run(async {
        let (mut stream, mut peer) = connected();
        peer.write_all(&[1; 8192]).unwrap();
        peer.shutdown(std::net::Shutdown::Write).unwrap();
        for _ in 0..2 {
            stream.read_exact(Box::new([0; 4096])).await.0.unwrap();
        }
        assert_eq!(stream.read(vec![0; 16]).await.0.unwrap(), 0);
        drop(peer);
        // The socket takes some until it has heard the reset that answers the first.
        let error = loop {
            if let Err(error) = stream.write_all("never received").await.0 {
                break error;
            }
        };
        assert!(error.to_string().contains("send"), "{error}");
    });
}

#[test]
fn a_socket_that_is_full_is_waited_for_in_the_ring() {
    run(async {
        let (mut stream, mut peer) = connected();
        let sent: Vec<u8> = (0..8 << 20_u32).map(|n| (n % 253) as u8).collect();
        let expected = sent.clone();
        let reader = thread::spawn(move || {
            let mut received = Vec::new();
            peer.read_to_end(&mut received).unwrap();
            received
        });
        stream.write_all(sent).await.0.unwrap();
        drop(stream);
        assert!(reader.join().unwrap() == expected, "what was received is what was sent");
    });
}

/// The bytes of a dropped receive are copied to the next one's buffer, and then the socket has more
/// to give, but the task no budget to take it: dropped there, nothing may be lost.
#[test]
fn a_read_that_is_dropped_when_the_budget_is_used_up_loses_nothing() {
    for spent in 120..=132 {
        run(async {
            let (mut stream, mut peer) = connected();
            peer.write_all(&[7; 100]).unwrap();
            // The socket has more, as it says; with the budget used up, the next goes to the ring.
            assert_eq!(stream.read(Vec::with_capacity(10)).await.0.unwrap(), 10);
            until_bell_is_polled().await;
            let before = metrics().in_kernel;
            yield_now().await;
            let semaphore = Semaphore::new(1);
            for _ in 0..128 {
                drop(semaphore.acquire().await.unwrap());
            }
            let mut dropped = Box::pin(stream.read(Vec::with_capacity(10)));
            assert!(once(dropped.as_mut()).await.is_pending());
            drop(dropped);
            yield_now().await;
            until(|| metrics().queued == 0 && metrics().in_kernel <= before).await;
            yield_now().await;
            for _ in 0..spent {
                drop(semaphore.acquire().await.unwrap());
            }
            let mut exact = Box::pin(stream.read_exact(vec![0; 200].into_boxed_slice()));
            assert!(once(exact.as_mut()).await.is_pending());
            drop(exact);
            let BufResult(result, rest) = stream.read_exact(vec![0; 90].into_boxed_slice()).await;
            result.unwrap();
            assert_eq!(*rest, [7; 90], "after {spent} units");
        });
    }
}

/// No end of what is there to be received, by one task, in one turn: what is left goes through the
/// ring.
#[test]
fn a_turn_receives_no_more_than_its_budget_inline() {
    const STREAMS: usize = 100;
    const EACH: usize = 63 << 10;
    const ALLOWANCE: usize = 4 << 20;
    run(async {
        let mut pairs: Vec<_> = (0..STREAMS).map(|_| connected()).collect();
        for (stream, peer) in &mut pairs {
            peer.write_all(&[7; 1024 + EACH]).unwrap();
            // From now on it is known that there is more.
            stream.read_exact(vec![0; 1024].into_boxed_slice()).await.0.unwrap();
        }
        yield_now().await;
        let before = metrics().inline_calls;
        let mut reading = Box::pin(async {
            for (stream, _) in &mut pairs {
                stream.read_exact(vec![0; EACH].into_boxed_slice()).await.0.unwrap();
            }
        });
        assert!(once(reading.as_mut()).await.is_pending());
        let received = (metrics().inline_calls - before) as usize * EACH;
        let most = ALLOWANCE + EACH;
        assert!((ALLOWANCE / 2..=most).contains(&received), "{received} bytes at most in one turn");
        reading.await;
    });
}

/// A connection that always has bytes to give, read by a task that wants no more than that: the
/// kernel is still entered, and timers fire, after every few megabytes.
#[test]
fn a_busy_connection_lets_the_loop_go_on() {
    /// As in `driver::direct`, and what one task may do beyond it.
    const A_TURN: u64 = (4 << 20) + 128 * 64 * 1024;
    const LENGTH: u64 = 256 << 20;
    run(async {
        let (mut stream, mut peer) = connected();
        let flood = thread::spawn(move || {
            let block = vec![0; 1 << 20];
            while peer.write_all(&block).is_ok() {}
        });
        let before = metrics();
        let (mut received, mut buffer) = (0, Vec::with_capacity(64 * 1024));
        while received < LENGTH {
            let BufResult(count, filled) = stream.read(buffer).await;
            received += count.unwrap() as u64;
            buffer = filled;
        }
        let after = metrics();
        drop(stream);
        flood.join().unwrap();
        let turns = after.enter_calls - before.enter_calls;
        assert!(turns >= LENGTH / A_TURN, "{turns} turns for {LENGTH} bytes");
    });
}
