//! A web application: state, JSON, server-sent events, a WebSocket, and a graceful end.
//!
//! ```sh
//! cargo run -p annulus-axum --features ws --example axum_app
//! cargo run -p annulus-axum --features ws --example axum_app -- 127.0.0.1:8080
//! ```
//!
//! It listens on 127.0.0.1:3000 unless told otherwise. In another terminal:
//!
//! ```sh
//! curl http://127.0.0.1:3000/
//! curl http://127.0.0.1:3000/notes --json '{"text": "buy milk"}'
//! curl http://127.0.0.1:3000/notes
//! curl http://127.0.0.1:3000/notes/1
//! curl -N http://127.0.0.1:3000/events          # prints each note that is added, and ticks
//! curl http://127.0.0.1:3000/slow               # takes two seconds; ctrl-c waits for it
//! python3 -m websockets ws://127.0.0.1:3000/ws  # echoes what is typed
//! ```

#[path = "shared/arguments.rs"]
mod arguments;
#[path = "shared/outcome.rs"]
mod outcome;

use std::cell::RefCell;
use std::convert::Infallible;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use annulus::Shutdown;
use annulus::net::{ShutdownOptions, TcpListener};
use annulus::sync::broadcast::{self, RecvError};
use annulus::task::ThreadBound;
use annulus::time::{interval, sleep};
use annulus_axum::sse::{Event, KeepAlive, Sse};
use annulus_axum::ws::{Message, WebSocket, WebSocketUpgrade};
use annulus_axum::{local, serve};
use axum::extract::{ConnectInfo, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use axum::{Json, Router};
use futures_util::{StreamExt, stream};
use serde::{Deserialize, Serialize};

const USAGE: &str = "\
A web application: notes as JSON, server-sent events, and a WebSocket.

Usage: axum_app [ADDRESS]

ADDRESS is where to listen, like 127.0.0.1:3000 (the default), [::1]:3000 or localhost:3000.";

/// More notes than this are refused: a server bounds what its clients can make it hold.
const MAX_NOTES: usize = 1_000;

/// What the handlers share. It never leaves its thread, so it needs no lock: `ThreadBound` checks
/// that, and satisfies axum, whose state must be `Send`.
struct App {
    notes: RefCell<Vec<Note>>,
    news: broadcast::Sender<Note>,
    shutdown: Shutdown,
}

type Shared = Arc<ThreadBound<App>>;

#[derive(Clone, Serialize)]
struct Note {
    id: usize,
    text: String,
}

#[derive(Deserialize)]
struct NewNote {
    text: String,
}

fn main() -> ExitCode {
    match arguments::addresses("axum_app", USAGE, ["127.0.0.1:3000"]) {
        Err(code) => code,
        Ok([address]) => {
            let outcome = annulus::run(run(&address)).unwrap_or_else(|error| Err(error.into()));
            outcome::exit_code("axum_app", outcome)
        }
    }
}

async fn run(address: &str) -> io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    let here = listener.local_addr()?;
    let shutdown = Shutdown::on_signals()?;
    let (news, _) = broadcast::channel(64);
    let notes = RefCell::default();
    let app = Arc::new(ThreadBound::new(App { notes, news, shutdown: shutdown.clone() }));
    let router = Router::new()
        .route("/", get(hello))
        .route("/notes", get(list).post(add))
        .route("/notes/{id}", get(show))
        .route("/events", get(events))
        .route("/slow", get(local(slow)))
        .route("/ws", any(websocket))
        .with_state(app);
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let _ =
        writeln!(io::stdout(), "listening on {here}; try `curl http://{here}/`, ctrl-c to stop");
    let report = serve(listener, service).serve_until(&shutdown, &ShutdownOptions::new()).await?;
    let _ = writeln!(io::stdout(), "stopped: {report}");
    Ok(())
}

async fn hello(ConnectInfo(peer): ConnectInfo<SocketAddr>) -> String {
    format!("hello, {peer}\n")
}

async fn list(State(app): State<Shared>) -> Json<Vec<Note>> {
    Json(app.notes.borrow().clone())
}

async fn show(State(app): State<Shared>, Path(id): Path<usize>) -> Result<Json<Note>, StatusCode> {
    let note = app.notes.borrow().get(id.wrapping_sub(1)).cloned();
    note.map(Json).ok_or(StatusCode::NOT_FOUND)
}

async fn add(
    State(app): State<Shared>,
    Json(NewNote { text }): Json<NewNote>,
) -> Result<(StatusCode, Json<Note>), StatusCode> {
    let mut notes = app.notes.borrow_mut();
    if notes.len() == MAX_NOTES {
        return Err(StatusCode::INSUFFICIENT_STORAGE);
    }
    let note = Note { id: notes.len() + 1, text };
    notes.push(note.clone());
    // It fails if no one listens.
    let _ = app.news.send(note.clone());
    Ok((StatusCode::CREATED, Json(note)))
}

/// A tick a second and each note that is added, until the server ends.
async fn events(State(app): State<Shared>) -> impl IntoResponse {
    let ticks = stream::unfold(interval(Duration::from_secs(1)), async |mut ticks| {
        ticks.tick().await;
        Some((Event::default().event("tick").data(""), ticks))
    });
    let notes = stream::unfold(app.news.subscribe(), async |mut news| {
        let event = Event::default().event("note");
        let event = match news.recv().await {
            Ok(note) => event.json_data(note).expect("a note is JSON"),
            Err(RecvError::Lagged(missed)) => event.comment(format!("{missed} notes missed")),
            Err(_) => return None,
        };
        Some((event, news))
    });
    let shutdown = app.shutdown.clone();
    let events = stream::select(ticks, notes).take_until(async move { shutdown.requested().await });
    Sse::new(events.map(Ok::<_, Infallible>)).keep_alive(KeepAlive::new())
}

/// Sleeps on the runtime's timers. Such a future is not `Send`, for which `local` makes up.
async fn slow() -> &'static str {
    sleep(Duration::from_secs(1)).await;
    "at last\n"
}

async fn websocket(request: WebSocketUpgrade) -> Response {
    request.on_upgrade(echo)
}

/// Sends back what it receives. When the server ends, `recv` tells the client, and then returns
/// `None`.
async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if matches!(message, Message::Text(_) | Message::Binary(_))
            && socket.send(message).await.is_err()
        {
            break;
        }
    }
}
