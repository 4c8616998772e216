//! The commands: a table, which also answers `COMMAND`, and their functions.
//!
//! A command either works on keys, and then needs no more than the [`Store`] that has them, or it
//! is about the connection and the server. That is what makes the first kind fit for any shard.

mod connection;
mod keys;
mod server;
mod strings;

use super::protocol::{Reply, Request};
use super::session::Connection;
use super::store::Store;

/// A command.
pub(crate) struct Command {
    pub(crate) name: &'static str,
    /// How many arguments it has, with its name; a negative number is the least.
    pub(crate) arity: i32,
    pub(crate) keys: Keys,
    /// Whether it changes keys.
    pub(crate) writes: bool,
    pub(crate) run: Run,
}

/// Where a command's keys are, and what makes one reply of those that several shards give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keys {
    /// It has none.
    None,
    /// The first argument.
    First,
    /// All arguments; the reply is the sum.
    EachSummed,
    /// All arguments; the reply is the array of those of this command, one for each key.
    EachListed(&'static str),
    /// Every other argument, and its value behind it; the reply is `OK`. Each pair is set by this
    /// command.
    Pairs(&'static str),
    /// It is about all keys; the reply is the sum.
    AllSummed,
    /// It is about all keys; the reply is `OK`.
    All,
    /// A scan, on the shard that its cursor names.
    Cursor,
}

/// The function of a command. The number of arguments has been checked.
#[derive(Clone, Copy)]
pub(crate) enum Run {
    Keyed(fn(&mut Store, Request<'_>, &mut Reply<'_>)),
    Connection(fn(&mut Connection<'_>, Request<'_>, &mut Reply<'_>)),
}

/// The command of this name, in any case.
#[inline]
pub(crate) fn find(name: &[u8]) -> Option<&'static Command> {
    TABLE.iter().find(|command| command.name.as_bytes().eq_ignore_ascii_case(name))
}

impl Command {
    #[inline]
    pub(crate) fn takes(&self, arguments: usize) -> bool {
        let arity = self.arity.unsigned_abs() as usize;
        if self.arity < 0 { arguments >= arity } else { arguments == arity }
    }

    /// The first key, the last, and the step between keys, as `COMMAND` reports them.
    fn key_places(&self) -> (i64, i64, i64) {
        match self.keys {
            Keys::First => (1, 1, 1),
            Keys::EachSummed | Keys::EachListed(_) => (1, -1, 1),
            Keys::Pairs(_) => (1, -1, 2),
            Keys::None | Keys::AllSummed | Keys::All | Keys::Cursor => (0, 0, 0),
        }
    }
}

/// Replies that a request has no command, or the wrong number of arguments.
pub(crate) fn refuse(request: Request<'_>, command: Option<&Command>, reply: &mut Reply<'_>) {
    if let Some(command) = command {
        return reply
            .error(&format!("ERR wrong number of arguments for '{}' command", command.name));
    }
    const SHOWN: usize = 128;
    let shown =
        |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN)]).into_owned();
    let mut text =
        format!("ERR unknown command '{}', with args beginning with: ", shown(request.get(0)));
    for argument in request.from(1) {
        if text.len() > 2 * SHOWN {
            break;
        }
        text.push_str(&format!("'{}' ", shown(argument)));
    }
    reply.error(&text);
}

/// Replies that a command has no such subcommand, or not with this number of arguments.
fn refuse_subcommand(command: &str, subcommand: &[u8], reply: &mut Reply<'_>) {
    let shown = String::from_utf8_lossy(&subcommand[..subcommand.len().min(128)]);
    reply.error(&format!(
        "ERR unknown subcommand or wrong number of arguments for '{shown}'. Try {command} HELP."
    ));
}

const SYNTAX: &str = "ERR syntax error";
const NO_INTEGER: &str = "ERR value is not an integer or out of range";

const fn read(name: &'static str, arity: i32, keys: Keys, run: Run) -> Command {
    Command { name, arity, keys, writes: false, run }
}

const fn write(name: &'static str, arity: i32, keys: Keys, run: Run) -> Command {
    Command { name, arity, keys, writes: true, run }
}

/// All commands. The most frequent are first, as this is searched from the front.
pub(crate) static TABLE: &[Command] = &[
    read("get", 2, Keys::First, Run::Keyed(strings::get)),
    write("set", -3, Keys::First, Run::Keyed(strings::set)),
    write("incr", 2, Keys::First, Run::Keyed(strings::incr)),
    write("del", -2, Keys::EachSummed, Run::Keyed(keys::del)),
    read("mget", -2, Keys::EachListed("get"), Run::Keyed(strings::mget)),
    write("mset", -3, Keys::Pairs("set"), Run::Keyed(strings::mset)),
    read("exists", -2, Keys::EachSummed, Run::Keyed(keys::exists)),
    write("expire", -3, Keys::First, Run::Keyed(keys::expire)),
    read("ttl", 2, Keys::First, Run::Keyed(keys::ttl)),
    read("ping", -1, Keys::None, Run::Connection(connection::ping)),
    write("append", 3, Keys::First, Run::Keyed(strings::append)),
    write("decr", 2, Keys::First, Run::Keyed(strings::decr)),
    write("decrby", 3, Keys::First, Run::Keyed(strings::decrby)),
    write("incrby", 3, Keys::First, Run::Keyed(strings::incrby)),
    write("getdel", 2, Keys::First, Run::Keyed(strings::getdel)),
    write("getset", 3, Keys::First, Run::Keyed(strings::getset)),
    write("setex", 4, Keys::First, Run::Keyed(strings::setex)),
    write("psetex", 4, Keys::First, Run::Keyed(strings::psetex)),
    write("setnx", 3, Keys::First, Run::Keyed(strings::setnx)),
    read("strlen", 2, Keys::First, Run::Keyed(strings::strlen)),
    write("expireat", -3, Keys::First, Run::Keyed(keys::expireat)),
    write("pexpire", -3, Keys::First, Run::Keyed(keys::pexpire)),
    write("pexpireat", -3, Keys::First, Run::Keyed(keys::pexpireat)),
    write("persist", 2, Keys::First, Run::Keyed(keys::persist)),
    read("pttl", 2, Keys::First, Run::Keyed(keys::pttl)),
    read("type", 2, Keys::First, Run::Keyed(keys::kind)),
    read("touch", -2, Keys::EachSummed, Run::Keyed(keys::exists)),
    write("unlink", -2, Keys::EachSummed, Run::Keyed(keys::del)),
    read("scan", -2, Keys::Cursor, Run::Keyed(keys::scan)),
    read("dbsize", 1, Keys::AllSummed, Run::Keyed(keys::dbsize)),
    write("flushall", -1, Keys::All, Run::Keyed(keys::flush)),
    write("flushdb", -1, Keys::All, Run::Keyed(keys::flush)),
    read("echo", 2, Keys::None, Run::Connection(connection::echo)),
    read("hello", -1, Keys::None, Run::Connection(connection::hello)),
    read("client", -2, Keys::None, Run::Connection(connection::client)),
    read("select", 2, Keys::None, Run::Connection(connection::select)),
    read("quit", -1, Keys::None, Run::Connection(connection::quit)),
    read("reset", 1, Keys::None, Run::Connection(connection::reset)),
    read("info", -1, Keys::None, Run::Connection(server::info)),
    read("config", -2, Keys::None, Run::Connection(server::config)),
    read("command", -1, Keys::None, Run::Connection(server::command)),
];
