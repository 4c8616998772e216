//! The spans and events of the feature `tracing`.

use std::panic::Location;
use std::thread;
use std::time::Duration;

use annulus::net::{TcpStream, start_server};
use annulus::{Builder, spawn, spawn_named, yield_now};
use tracing::{Level, event};

use crate::recorder::Recorder;

#[test]
fn a_task_has_a_span_with_its_id_name_parent_and_place() {
    let recorder = Recorder::default();
    let line = Location::caller().line() + 2;
    let (parent, child) = recorder.watch(async {
        let task = spawn_named("worker", async { yield_now().await });
        let child = task.id();
        task.await.unwrap();
        (annulus::task::current_task().unwrap().id(), child)
    });
    let spans = recorder.spans("task");
    let span = spans.iter().find(|span| span.fields["id"] == child.to_string()).unwrap();
    assert_eq!(span.target, "annulus::task");
    assert_eq!(span.fields["name"], "worker");
    assert_eq!(span.fields["parent"], parent.to_string());
    assert!(span.fields["spawned_at"].starts_with(&format!("{}:{line}:", file!())), "{span:?}");
    assert_eq!(span.entered, 2, "once for each poll");
    let of_parent = spans.iter().find(|span| span.fields["id"] == parent.to_string()).unwrap();
    assert_eq!(of_parent.fields["name"], "main");
    assert!(!of_parent.fields.contains_key("parent"), "{of_parent:?}");
    assert!(spans.iter().all(|span| span.is_closed), "{spans:?}");
}

/// Emits an event when it is dropped.
struct Witness;

impl Drop for Witness {
    fn drop(&mut self) {
        event!(target: "test", Level::INFO, "dropped");
    }
}

#[test]
fn the_future_of_a_cancelled_task_is_dropped_inside_of_its_span() {
    let recorder = Recorder::default();
    recorder.watch(async {
        let witness = Witness;
        let task = spawn_named("cancelled", async move {
            let _witness = witness;
            std::future::pending::<()>().await;
        });
        yield_now().await;
        task.cancel();
        task.await.unwrap_err();
    });
    let spans = recorder.spans("task");
    let span =
        spans.iter().find(|span| span.fields.get("name").is_some_and(|it| it == "cancelled"));
    assert_eq!(recorder.events("test")[0].inside_of, Some(span.unwrap().id));
}

#[test]
fn the_span_of_a_task_closes_when_it_ends_although_its_handle_is_kept() {
    let recorder = Recorder::default();
    recorder.watch(async {
        let task = spawn_named("ended", async {});
        yield_now().await;
        let spans = recorder.spans("task");
        let span =
            spans.iter().find(|span| span.fields.get("name").is_some_and(|it| it == "ended"));
        assert!(span.unwrap().is_closed);
        task.await.unwrap();
    });
}

#[test]
fn a_connection_of_a_server_has_a_span_with_its_peer() {
    let recorder = Recorder::default();
    let address = recorder.watch(async {
        let server = start_server(
            async |mut reader: annulus::net::StreamReader, writer: annulus::net::StreamWriter| {
                event!(target: "test", Level::INFO, "handled");
                reader.read_line().await.map(|_| drop(writer))
            },
            "127.0.0.1:0",
        );
        let server = server.await.unwrap();
        let mut client = TcpStream::connect(server.local_addrs()[0]).await.unwrap();
        let address = client.local_addr().unwrap();
        client.write_all("hello\n").await.into_result().unwrap();
        assert!(client.recv().await.unwrap().is_empty());
        address
    });
    let connections = recorder.spans("connection");
    assert_eq!(connections.len(), 1);
    assert_eq!(connections[0].fields["peer"], address.to_string());
    assert_eq!(recorder.events("test")[0].inside_of, Some(connections[0].id));
    assert!(connections[0].is_closed && connections[0].entered >= 2);
    let operations = recorder.spans("operation");
    assert!(operations.iter().any(|span| span.fields["opcode"] == "CONNECT"), "{operations:?}");
    assert!(operations.iter().all(|span| span.is_closed), "{operations:?}");
}

#[test]
fn a_poll_above_the_threshold_is_reported_and_others_are_not() {
    let recorder = Recorder::default();
    tracing::subscriber::with_default(recorder.clone(), || {
        let runtime =
            Builder::new().slow_poll_threshold(Duration::from_millis(30)).build().unwrap();
        runtime.block_on(async {
            let slow = async { thread::sleep(Duration::from_millis(31)) };
            spawn_named("slow", slow).await.unwrap();
            spawn(async {}).await.unwrap();
        });
    });
    let reports = recorder.events("annulus::slow_poll");
    assert!(reports.iter().any(|report| report.fields["name"] == "slow"), "{reports:?}");
    let slow = reports.iter().find(|report| report.fields["name"] == "slow").unwrap();
    assert!(slow.fields["elapsed_us"].parse::<u64>().unwrap() >= 31_000, "{slow:?}");
    // Without a threshold no clock is read, and nothing is slow.
    let unwatched = Recorder::default();
    unwatched.watch(async { thread::sleep(Duration::from_millis(31)) });
    assert!(unwatched.events("annulus::slow_poll").is_empty());
}
