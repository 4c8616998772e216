//! The shape of what tokio-console knows: spans called `runtime.spawn` and the events of wakers, as
//! the crate `console-subscriber` reads them.

use std::collections::HashMap;
use std::thread;

use annulus::sync::remote;
use annulus::{spawn_named, yield_now};
use tracing::dispatcher::{Dispatch, get_default, with_default};

use crate::recorder::{Recorded, Recorder};

/// The span of the task with this name.
fn task(recorder: &Recorder, name: &str) -> Recorded {
    let spans = recorder.spans("runtime.spawn");
    spans.into_iter().find(|span| span.fields["task.name"] == name).expect("the task has a span")
}

/// How often each operation was done with wakers of a span's task.
fn waker_ops(recorder: &Recorder, span: &Recorded) -> HashMap<String, usize> {
    let mut counts = HashMap::new();
    for event in recorder.events("tokio::task::waker") {
        if event.fields["task.id"] == span.id.to_string() {
            *counts.entry(event.fields["op"].clone()).or_default() += 1;
        }
    }
    counts
}

#[test]
fn a_task_has_the_span_that_the_console_reads() {
    let recorder = Recorder::default();
    recorder.watch(async {
        let task = spawn_named("shown", async { yield_now().await });
        task.await.unwrap();
    });
    let span = task(&recorder, "shown");
    assert_eq!(span.target, "tokio::task");
    assert_eq!(span.fields["kind"], "local");
    assert_eq!(span.fields["loc.file"], file!());
    assert!(span.fields["loc.line"].parse::<u32>().is_ok() && span.fields.contains_key("loc.col"));
    assert!(span.fields["size.bytes"].parse::<usize>().is_ok());
    assert_eq!(span.entered, 2);
    assert!(span.is_closed);
}

#[test]
fn as_many_wakers_are_dropped_or_consumed_as_are_made() {
    let recorder = Recorder::default();
    recorder.watch(async {
        let (sender, mut receiver) = remote::channel(1);
        let task = spawn_named("woken", async move { receiver.recv().await.unwrap() });
        yield_now().await;
        // The task waits, and a thread wakes it, which must be told of the subscriber.
        let subscriber = get_default(Dispatch::clone);
        let sending = thread::spawn(move || {
            with_default(&subscriber, || sender.send_blocking(7).unwrap());
        });
        assert_eq!(task.await.unwrap(), 7);
        sending.join().unwrap();
    });
    let ops = waker_ops(&recorder, &task(&recorder, "woken"));
    let count = |op: &str| ops.get(op).copied().unwrap_or(0);
    assert!(count("waker.wake") + count("waker.wake_by_ref") >= 1, "{ops:?}");
    assert_eq!(count("waker.clone"), count("waker.drop") + count("waker.wake"), "{ops:?}");
}
