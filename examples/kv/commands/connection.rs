//! Commands about the connection.

use super::super::protocol::{Reply, Request, Resp};
use super::super::session::{Client, Connection};
use super::super::store::integer;
use super::SYNTAX;

/// The version of Redis whose behaviour this server follows.
pub(super) const VERSION: &str = "7.0.15";

pub(super) fn ping(_: &mut Connection<'_>, request: Request<'_>, reply: &mut Reply<'_>) {
    match request.len() {
        1 => reply.simple("PONG"),
        2 => reply.bulk(request.get(1)),
        _ => reply.error("ERR wrong number of arguments for 'ping' command"),
    }
}

pub(super) fn echo(_: &mut Connection<'_>, request: Request<'_>, reply: &mut Reply<'_>) {
    reply.bulk(request.get(1));
}

pub(super) fn quit(connection: &mut Connection<'_>, _: Request<'_>, reply: &mut Reply<'_>) {
    connection.client.is_closing = true;
    reply.ok();
}

pub(super) fn reset(connection: &mut Connection<'_>, _: Request<'_>, reply: &mut Reply<'_>) {
    let id = connection.client.id;
    *connection.client = Client { id, ..Client::default() };
    reply.resp = Resp::Two;
    reply.simple("RESET");
}

pub(super) fn select(_: &mut Connection<'_>, request: Request<'_>, reply: &mut Reply<'_>) {
    match integer(request.get(1)) {
        Some(0) => reply.ok(),
        Some(_) => reply.error("ERR DB index is out of range"),
        None => reply.error(super::NO_INTEGER),
    }
}

pub(super) fn hello(connection: &mut Connection<'_>, request: Request<'_>, reply: &mut Reply<'_>) {
    let client = &mut *connection.client;
    let mut arguments = request.from(1);
    let resp = match arguments.next().map(integer) {
        None => client.resp,
        Some(Some(2)) => Resp::Two,
        Some(Some(3)) => Resp::Three,
        Some(Some(_)) => return reply.error("NOPROTO unsupported protocol version"),
        Some(None) => {
            return reply.error("ERR Protocol version is not an integer or out of range");
        }
    };
    let mut name = None;
    while let Some(option) = arguments.next() {
        if option.eq_ignore_ascii_case(b"auth") && arguments.len() >= 2 {
            // There are no passwords here: the default user may always come in, no other can.
            let user = arguments.next();
            arguments.next();
            if user != Some(b"default".as_slice()) {
                let text = "WRONGPASS invalid username-password pair or user is disabled.";
                return reply.error(text);
            }
        } else if option.eq_ignore_ascii_case(b"setname") && arguments.len() >= 1 {
            name = arguments.next();
            if name.is_some_and(|name| !is_name(name)) {
                return reply.error(BAD_NAME);
            }
        } else {
            let option = String::from_utf8_lossy(option);
            return reply.error(&format!("ERR Syntax error in HELLO option '{option}'"));
        }
    }
    client.resp = resp;
    reply.resp = resp;
    if let Some(name) = name {
        client.name = name.to_vec();
    }
    reply.map(7);
    for (key, value) in [("server", "redis"), ("version", VERSION)] {
        reply.bulk(key.as_bytes());
        reply.bulk(value.as_bytes());
    }
    reply.bulk(b"proto");
    reply.integer(if resp == Resp::Three { 3 } else { 2 });
    reply.bulk(b"id");
    reply.integer(client.id as i64);
    for (key, value) in [("mode", "standalone"), ("role", "master")] {
        reply.bulk(key.as_bytes());
        reply.bulk(value.as_bytes());
    }
    reply.bulk(b"modules");
    reply.array(0);
}

const BAD_NAME: &str = "ERR Client names cannot contain spaces, newlines or special characters.";

/// Whether a client may have this name: printable characters without blanks.
fn is_name(name: &[u8]) -> bool {
    name.iter().all(u8::is_ascii_graphic)
}

pub(super) fn client(connection: &mut Connection<'_>, request: Request<'_>, reply: &mut Reply<'_>) {
    let client = &mut *connection.client;
    let subcommand = request.get(1);
    let is = |name: &str, arguments: usize| {
        subcommand.eq_ignore_ascii_case(name.as_bytes()) && request.len() == arguments
    };
    if is("id", 2) {
        reply.integer(client.id as i64);
    } else if is("getname", 2) {
        reply.optional(Some(&*client.name).filter(|name| !name.is_empty()));
    } else if is("setname", 3) {
        let name = request.get(2);
        if !is_name(name) {
            return reply.error(BAD_NAME);
        }
        client.name = name.to_vec();
        reply.ok();
    } else if is("setinfo", 4) {
        let attribute = request.get(2);
        let is_known = [b"lib-name".as_slice(), b"lib-ver"]
            .iter()
            .any(|known| attribute.eq_ignore_ascii_case(known));
        if is_known { reply.ok() } else { reply.error(SYNTAX) }
    } else if is("info", 2) {
        let resp = if client.resp == Resp::Three { 3 } else { 2 };
        let name = String::from_utf8_lossy(&client.name);
        reply.verbatim(&format!("id={} name={name} db=0 resp={resp}\n", client.id));
    } else {
        super::refuse_subcommand("CLIENT", subcommand, reply);
    }
}
