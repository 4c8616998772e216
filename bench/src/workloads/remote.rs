//! Waking across threads.

use std::sync::mpsc::sync_channel;
use std::thread;

use super::Measured;
use super::signal::Signal;

/// The task wakes a thread, which wakes the task. Both sleep in the kernel in between, so that this
/// is the price of a sleeping loop being woken.
pub(super) async fn round_trips(operations: u64) -> Measured {
    let (ask, asked) = sync_channel::<()>(1);
    let answer = Signal::default();
    let answered = answer.clone();
    let helper = thread::spawn(move || {
        while asked.recv().is_ok() {
            answer.raise();
        }
    });
    let measured = Measured::of_future(operations, async {
        for _ in 0..operations {
            ask.send(()).expect("the helper listens");
            answered.wait().await;
        }
    })
    .await;
    drop(ask);
    helper.join().expect("the helper does not panic");
    measured
}
