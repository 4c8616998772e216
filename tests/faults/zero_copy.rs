//! Zero-copy sends: a send is over with its result, and its buffer is free with the notification,
//! which may come much later.

use annulus::faults::{FaultKind, Faults};
use annulus::net::TcpStream;
use annulus::{Builder, metrics, yield_now};
use bytes::Bytes;

use crate::common::bounded::bounded;
use crate::common::descriptors::alone;
use crate::common::poll::{times, until_bell_is_polled};
use crate::common::skip::lacks;
use crate::{PrintedIfPanicking, SEEDS, SEEDS_WANTED, quick_pair};

/// Has each of some connections send something from a buffer, with each seed, and then waits until
/// the buffer is free, which it must be with the notification. Asserts that it was not free yet
/// after some of the sends.
fn assert_kept_beyond(send: &impl AsyncFn(&mut TcpStream, Bytes)) {
    let _alone = alone();
    if lacks(&["zero-copy send"]) {
        return;
    }
    let mut kept = 0;
    for seed in SEEDS_WANTED.clone() {
        let _seed = PrintedIfPanicking(seed);
        // Nothing else is late: what is in the kernel is a send, from its result on.
        let faults = Faults::from_seed(seed).only(&[FaultKind::LateNotifications]);
        let runtime = Builder::new().faults(faults).max_polls_per_turn(1).build().unwrap();
        bounded(|| {
            runtime.block_on(async {
                until_bell_is_polled().await;
                let before = metrics().in_kernel;
                for _ in 0..4 {
                    let (mut near, _far) = quick_pair().await;
                    let buffer = Bytes::from(vec![7; 50_000]);
                    send(&mut near, buffer.clone()).await;
                    kept += usize::from(!buffer.is_unique());
                    while metrics().in_kernel > before {
                        assert!(!buffer.is_unique(), "it is freed before the notification");
                        yield_now().await;
                    }
                    assert!(buffer.is_unique(), "it is kept after the notification");
                }
            });
        });
    }
    let is_one_of_few = SEEDS_WANTED.clone().count() < SEEDS as usize;
    assert!(kept > 0 || is_one_of_few, "no send was over before its notification");
}

#[test]
fn a_zero_copy_send_is_over_with_its_result_and_its_buffer_free_with_the_notification() {
    assert_kept_beyond(&async |stream, buffer| stream.write_all_zero_copy(buffer).await.unwrap());
}

#[test]
fn a_write_behind_a_dropped_zero_copy_send_waits_for_its_result_and_not_for_the_notification() {
    assert_kept_beyond(&async |stream, buffer| {
        assert!(times(1, stream.write_all_zero_copy(buffer)).await.is_none());
        stream.write_all("behind").await.0.unwrap();
    });
}
