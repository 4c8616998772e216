//! Handlers whose futures are not `Send`.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use annulus::task::ThreadBound;
use annulus::time::sleep;
use annulus_axum::local;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::server::Server;

type Visits = Arc<ThreadBound<Rc<Cell<u64>>>>;

/// Holds an `Rc` and a sleep over an `await`.
async fn visit(
    State(visits): State<Visits>,
    Path((first, second)): Path<(String, String)>,
    Json(body): Json<Value>,
) -> Json<Value> {
    let visits = Rc::clone(&visits);
    visits.set(visits.get() + 1);
    sleep(Duration::from_millis(1)).await;
    Json(json!({ "path": [first, second], "body": body, "visits": visits.get() }))
}

fn router() -> Router {
    let visits: Visits = Arc::new(ThreadBound::new(Rc::default()));
    let nothing = async || {
        sleep(Duration::from_millis(1)).await;
        "nothing"
    };
    Router::new()
        .route("/{first}/{second}", post(local(visit)))
        .route("/", get(local(nothing)))
        .with_state(visits)
}

#[test]
fn a_handler_that_sleeps_and_shares_an_rc_is_served_with_its_extractors() {
    let server = Server::start(router);
    assert!(server.get("/").ends_with("\r\n\r\nnothing"));
    for visits in 1..=2 {
        let answer = server.exchange(
            "POST /a/b HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Content-Length: 2\r\n\r\n[]",
        );
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let body: Value = serde_json::from_str(body).unwrap();
        assert_eq!(body, json!({ "path": ["a", "b"], "body": [], "visits": visits }));
    }
}

#[test]
fn a_rejected_extractor_answers_in_place_of_a_local_handler() {
    let server = Server::start(router);
    let answer = server.exchange(
        "POST /a/b HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\n[]",
    );
    assert!(answer.starts_with("HTTP/1.1 415 "), "{answer}");
}
