//! Server-sent events.

use std::convert::Infallible;
use std::io::Write;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use annulus::time::{advance, now, pause, sleep};
use annulus_axum::sse::{Event, KeepAlive, Sse};
use axum::Router;
use axum::response::IntoResponse;
use axum::routing::get;
use futures_util::{StreamExt, stream};

use crate::common::bounded::bounded;
use crate::server::{Server, read_until};

#[test]
fn events_are_sent_as_they_come_and_a_silent_stream_is_kept_alive() {
    let server = Server::start(|| {
        let events = async || {
            // Not `Send`.
            let greeting = Rc::new("hello");
            let events = stream::once(async move { Event::default().data(*greeting) });
            let events = events.chain(stream::pending()).map(Ok::<_, Infallible>);
            let keep_alive = KeepAlive::new().interval(Duration::from_millis(5)).text("alive");
            Sse::new(events).keep_alive(keep_alive)
        };
        Router::new().route("/", get(events))
    });
    let mut stream = server.connect();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let head = read_until(&mut stream, "\r\n\r\n");
    assert!(head.contains("content-type: text/event-stream\r\n"), "{head}");
    assert!(head.contains("cache-control: no-cache\r\n"), "{head}");
    read_until(&mut stream, "data: hello\n\n\r\n");
    for _ in 0..3 {
        assert!(read_until(&mut stream, ": alive\n\n\r\n").ends_with("\r\n: alive\n\n\r\n"));
    }
}

/// Two events 8 s apart, with 10 s of silence before the stream may be kept alive: none between
/// them, although 10 s after the beginning are over; then one every 10 s.
#[test]
fn a_stream_is_kept_alive_only_after_the_full_silence() {
    bounded(|| {
        annulus::run(async {
            pause();
            let start = now();
            let events = stream::iter([8, 8]).then(async |seconds| {
                sleep(Duration::from_secs(seconds)).await;
                Ok::<_, Infallible>(Event::default().data("event"))
            });
            let keep_alive = KeepAlive::new().interval(Duration::from_secs(10)).text("alive");
            let sse = Sse::new(events.chain(stream::pending())).keep_alive(keep_alive);
            let mut body = sse.into_response().into_body().into_data_stream();
            let mut seen = Vec::new();
            let mut clock = pin!(async {
                for _ in 0..40 {
                    advance(Duration::from_secs(1)).await;
                }
            });
            loop {
                let next = pin!(body.next());
                match futures_util::future::select(next, clock.as_mut()).await {
                    futures_util::future::Either::Left((data, _)) => {
                        let data = String::from_utf8(data.unwrap().unwrap().to_vec()).unwrap();
                        seen.push(((now() - start).as_secs(), data.trim_end().to_owned()));
                    }
                    futures_util::future::Either::Right(_) => break,
                }
            }
            let wanted =
                [(8, "data: event"), (16, "data: event"), (26, ": alive"), (36, ": alive")];
            assert_eq!(seen, wanted.map(|(second, text)| (second, text.to_owned())));
        })
        .unwrap();
    });
}
