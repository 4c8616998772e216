//! A chat server: each line that a guest sends goes to all other guests.
//!
//! It shows servers on buffered streams, a queue between tasks, guards that undo what they began,
//! and a graceful shutdown.
//!
//! ```sh
//! cargo run --example chat                    # on 127.0.0.1:7002
//! cargo run --example chat -- '[::1]:7002'    # on another address
//! ```
//!
//! In two other terminals type `nc 127.0.0.1 7002`, a name, and then some lines. Ctrl-c stops the
//! server.

#[path = "shared/arguments.rs"]
mod arguments;
#[path = "shared/outcome.rs"]
mod outcome;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::pin::pin;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use annulus::net::{StreamReader, StreamWriter, start_server};
use annulus::signal::ctrl_c;
use annulus::sync::Queue;
use futures_util::future::{Either, select};

const USAGE: &str = "\
A chat server: each line that a guest sends goes to all other guests.

Usage: chat [ADDRESS]

ADDRESS is where to listen, like 127.0.0.1:7002 (the default), [::1]:7002 or localhost:7002.";

/// How many unread messages a guest may have.
const BEHIND: usize = 1000;

/// How long guests have to read their last messages when the server stops.
const GRACE: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    match arguments::addresses("chat", USAGE, ["127.0.0.1:7002"]) {
        Err(code) => code,
        Ok([address]) => {
            let outcome = annulus::run(serve(&address)).unwrap_or_else(|error| Err(error.into()));
            outcome::exit_code("chat", outcome)
        }
    }
}

async fn serve(address: &str) -> io::Result<()> {
    let room = Rc::new(Room::default());
    let its = Rc::clone(&room);
    let handler = async move |reader: StreamReader, writer: StreamWriter| {
        receive_guest(&its, reader, writer).await
    };
    let server = start_server(handler, address).await?;
    let _ = writeln!(io::stdout(), "listening on {}; ctrl-c to stop", server.local_addrs()[0]);
    ctrl_c().await?;
    room.say_to_all("* the room is closed");
    server.close_clients();
    let outcome = server.shutdown(GRACE).await;
    let _ = writeln!(io::stdout(), "{} left, {} were cut", outcome.completed, outcome.aborted);
    Ok(())
}

async fn receive_guest(
    room: &Room,
    mut reader: StreamReader,
    mut writer: StreamWriter,
) -> io::Result<()> {
    writer.write("Who are you?\n").await?;
    let Some(name) = text_line(&mut reader).await? else { return Ok(()) };
    let Some(guest) = room.enter(&name) else {
        return writer.write("* that name is taken, or none\n").await;
    };
    let speaking = pin!(speak(room, &guest, &mut reader));
    let hearing = pin!(hear(&guest, &mut writer));
    match select(speaking, hearing).await {
        Either::Left((spoken, hearing)) => {
            // The guest still receives what was queued before.
            guest.messages.close();
            hearing.await?;
            spoken
        }
        Either::Right((heard, _)) => heard,
    }
}

/// Passes the lines of a guest to all others, until EOF.
async fn speak(room: &Room, guest: &Guest<'_>, reader: &mut StreamReader) -> io::Result<()> {
    while let Some(line) = text_line(reader).await? {
        room.say_to_others(&guest.name, &format!("{}: {line}", guest.name));
    }
    Ok(())
}

/// Writes queued messages to the guest, until the queue is closed.
async fn hear(guest: &Guest<'_>, writer: &mut StreamWriter) -> io::Result<()> {
    while let Ok(message) = guest.messages.get().await {
        writer.write_lines([&*message, "\n"]).await?;
    }
    Ok(())
}

/// The next line, without its end and without blanks around it; `None` at EOF.
async fn text_line(reader: &mut StreamReader) -> io::Result<Option<String>> {
    let line = reader.read_line().await?;
    Ok((!line.is_empty()).then(|| String::from_utf8_lossy(&line).trim().to_owned()))
}

type Messages = Rc<Queue<Rc<str>>>;

/// The guests, by their names.
#[derive(Default)]
struct Room {
    guests: RefCell<BTreeMap<String, Messages>>,
}

impl Room {
    /// Adds a guest. `None` if the name is empty or taken.
    fn enter(&self, name: &str) -> Option<Guest<'_>> {
        if name.is_empty() || self.guests.borrow().contains_key(name) {
            return None;
        }
        let names = self.guests.borrow().keys().cloned().collect::<Vec<_>>().join(", ");
        self.say_to_all(&format!("* {name} has come"));
        let messages = Rc::new(Queue::bounded(BEHIND));
        let welcome = if names.is_empty() { "no other guest".into() } else { names };
        let _ = messages.try_put(format!("* here is {welcome}").into());
        self.guests.borrow_mut().insert(name.to_owned(), Rc::clone(&messages));
        Some(Guest { room: self, name: name.to_owned(), messages })
    }

    fn say_to_all(&self, message: &str) {
        self.say_to_others("", message);
    }

    /// A guest with too many unread messages gets no more, and leaves.
    fn say_to_others(&self, speaker: &str, message: &str) {
        let message: Rc<str> = message.into();
        let guests = self.guests.borrow();
        for (_, messages) in guests.iter().filter(|(name, _)| *name != speaker) {
            if messages.try_put(Rc::clone(&message)).is_err() {
                messages.close();
            }
        }
    }
}

/// A guest in the room, until this is dropped.
struct Guest<'a> {
    room: &'a Room,
    name: String,
    messages: Messages,
}

impl Drop for Guest<'_> {
    fn drop(&mut self) {
        self.room.guests.borrow_mut().remove(&self.name);
        self.room.say_to_all(&format!("* {} has left", self.name));
    }
}
