//! A chat over WebSockets, with a page to chat in.
//!
//! ```sh
//! cargo run -p annulus-axum --features ws --example websocket_chat
//! cargo run -p annulus-axum --features ws --example websocket_chat -- 0.0.0.0:8080
//! ```
//!
//! It listens on 127.0.0.1:3000 unless told otherwise. Open `http://127.0.0.1:3000` in two windows,
//! or type `python3 -m websockets ws://127.0.0.1:3000/chat/alice` in two terminals. Ctrl-c says
//! good-bye to all.
//!
//! It shows a connection in two halves, a channel that bounds what a slow client can hold back, and
//! limits on what a client may send.

#[path = "shared/arguments.rs"]
mod arguments;
#[path = "shared/outcome.rs"]
mod outcome;

use std::io::{self, Write};
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;

use annulus::Shutdown;
use annulus::net::{ShutdownOptions, TcpListener};
use annulus::sync::broadcast::{self, RecvError};
use annulus::task::ThreadBound;
use annulus_axum::serve;
use annulus_axum::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::Router;
use axum::extract::{Path, State};
use axum::response::{Html, Response};
use axum::routing::{any, get};
use futures_util::{SinkExt, StreamExt};

const USAGE: &str = "\
A chat over WebSockets, with a page to chat in.

Usage: websocket_chat [ADDRESS]

ADDRESS is where to listen, like 127.0.0.1:3000 (the default), [::1]:3000 or localhost:3000.";

/// How many lines a client may be behind. One that is further behind misses the oldest, and is
/// told.
const BACKLOG: usize = 256;

/// How many bytes a line may have.
const MAX_LINE: usize = 4 << 10;

/// The room: what is sent to it reaches all.
type Room = broadcast::Sender<Rc<str>>;

fn main() -> ExitCode {
    match arguments::addresses("websocket_chat", USAGE, ["127.0.0.1:3000"]) {
        Err(code) => code,
        Ok([address]) => {
            let outcome = annulus::run(run(&address)).unwrap_or_else(|error| Err(error.into()));
            outcome::exit_code("websocket_chat", outcome)
        }
    }
}

async fn run(address: &str) -> io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    let here = listener.local_addr()?;
    let shutdown = Shutdown::on_signals()?;
    let (room, _) = broadcast::channel::<Rc<str>>(BACKLOG);
    let app = Router::new()
        .route("/", get(Html(include_str!("shared/chat.html"))))
        .route("/chat/{name}", any(join))
        .with_state(Arc::new(ThreadBound::new(room)));
    let _ = writeln!(io::stdout(), "listening on {here}; open http://{here}, ctrl-c to stop");
    let report = serve(listener, app).serve_until(&shutdown, &ShutdownOptions::new()).await?;
    let _ = writeln!(io::stdout(), "stopped: {report}");
    Ok(())
}

async fn join(
    request: WebSocketUpgrade,
    Path(name): Path<String>,
    State(room): State<Arc<ThreadBound<Room>>>,
) -> Response {
    let room = Room::clone(&room);
    // The callback holds an `Rc`, and need not be `Send`.
    request.max_message_size(MAX_LINE).on_upgrade(|socket| chat(socket, name, room))
}

async fn chat(socket: WebSocket, name: String, room: Room) {
    let mut lines = room.subscribe();
    let (mut to_client, mut from_client) = socket.split();
    // Ends when `listening` is dropped, or the client is gone.
    let listening = annulus::spawn(async move {
        loop {
            let line = match lines.recv().await {
                Ok(line) => Message::text(&*line),
                Err(RecvError::Lagged(missed)) => Message::text(format!("({missed} lines missed)")),
                Err(_) => return,
            };
            if to_client.send(line).await.is_err() {
                return;
            }
        }
    });
    // Sending fails only if no one is in the room, and this client is.
    let _ = room.send(format!("{name} has joined").into());
    while let Some(Ok(message)) = from_client.next().await {
        if let Message::Text(line) = message {
            let _ = room.send(format!("{name}: {line}").into());
        }
    }
    listening.cancel();
    let _ = room.send(format!("{name} has left").into());
}
