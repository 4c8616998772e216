//! Commands about the server.

use super::super::glob;
use super::super::node::{Counter, Counters, Server};
use super::super::protocol::{Reply, Request};
use super::super::session::Connection;
use super::super::store::MAX_VALUE;
use super::connection::VERSION;
use super::{Command, Keys, TABLE, find};

pub(super) fn info(connection: &mut Connection<'_>, request: Request<'_>, reply: &mut Reply<'_>) {
    let server = &*connection.node.server;
    let is_wanted = |section: &str| {
        request.len() == 1
            || request.from(1).any(|wanted| {
                [section, "all", "default", "everything"]
                    .iter()
                    .any(|name| wanted.eq_ignore_ascii_case(name.as_bytes()))
            })
    };
    let sections: Vec<_> = SECTIONS
        .iter()
        .filter(|(name, _)| is_wanted(name))
        .map(|(name, lines)| {
            let title = name[..1].to_ascii_uppercase() + &name[1..];
            format!("# {title}\r\n{}", lines(server))
        })
        .collect();
    reply.verbatim(&sections.join("\r\n"));
}

type Section = (&'static str, fn(&Server) -> String);

const SECTIONS: &[Section] = &[
    ("server", |server| {
        let process = std::process::id();
        let uptime = server.started.elapsed().as_secs();
        format!(
            "redis_version:{VERSION}\r\nredis_mode:standalone\r\nannulus_shards:{}\r\n\
             process_id:{process}\r\ntcp_port:{}\r\nuptime_in_seconds:{uptime}\r\n",
            server.shards.len(),
            server.port(),
        )
    }),
    ("clients", |server| {
        let accepted = sum(server, |shard| &shard.accepted);
        let connected = accepted.saturating_sub(sum(server, |shard| &shard.ended));
        format!("connected_clients:{connected}\r\n")
    }),
    ("stats", |server| {
        format!(
            "total_connections_received:{}\r\ntotal_commands_processed:{}\r\nexpired_keys:{}\r\n",
            sum(server, |shard| &shard.accepted),
            sum(server, |shard| &shard.commands),
            sum(server, |shard| &shard.expired),
        )
    }),
    ("replication", |_| "role:master\r\nconnected_slaves:0\r\n".to_owned()),
    ("keyspace", |server| match sum(server, |shard| &shard.keys) {
        0 => String::new(),
        keys => format!("db0:keys={keys},expires={}\r\n", sum(server, |shard| &shard.expiring)),
    }),
];

fn sum(server: &Server, counter: fn(&Counters) -> &Counter) -> u64 {
    server.shards.iter().map(|shard| counter(shard).get()).sum()
}

pub(super) fn config(connection: &mut Connection<'_>, request: Request<'_>, reply: &mut Reply<'_>) {
    let subcommand = request.get(1);
    if !subcommand.eq_ignore_ascii_case(b"get") {
        return super::refuse_subcommand("CONFIG", subcommand, reply);
    }
    if request.len() < 3 {
        return reply.error("ERR wrong number of arguments for 'config|get' command");
    }
    let settings = [
        ("appendonly", "no".to_owned()),
        ("databases", "1".to_owned()),
        ("maxmemory", "0".to_owned()),
        ("port", connection.node.server.port().to_string()),
        ("proto-max-bulk-len", connection.node.limits().request.min(MAX_VALUE).to_string()),
        ("save", String::new()),
        ("timeout", "0".to_owned()),
    ];
    let is_wanted = |name: &str| {
        let mut patterns = request.from(2).map(<[u8]>::to_ascii_lowercase);
        patterns.any(|pattern| glob::matches(&pattern, name.as_bytes()))
    };
    let wanted: Vec<_> = settings.iter().filter(|(name, _)| is_wanted(name)).collect();
    reply.map(wanted.len());
    for (name, value) in wanted {
        reply.bulk(name.as_bytes());
        reply.bulk(value.as_bytes());
    }
}

pub(super) fn command(_: &mut Connection<'_>, request: Request<'_>, reply: &mut Reply<'_>) {
    if request.len() == 1 {
        reply.array(TABLE.len());
        return TABLE.iter().for_each(|command| describe(command, reply));
    }
    let subcommand = request.get(1);
    let is = |name: &str| subcommand.eq_ignore_ascii_case(name.as_bytes());
    if is("count") && request.len() == 2 {
        reply.count(TABLE.len());
    } else if is("list") && request.len() == 2 {
        reply.array(TABLE.len());
        TABLE.iter().for_each(|command| reply.bulk(command.name.as_bytes()));
    } else if is("info") {
        let named = request.from(2).map(find);
        reply.array(named.len());
        named.for_each(|command| match command {
            Some(command) => describe(command, reply),
            None => reply.null(),
        });
    } else if is("docs") {
        // There are none; a client then shows a command without its arguments.
        reply.map(0);
    } else {
        super::refuse_subcommand("COMMAND", subcommand, reply);
    }
}

fn describe(command: &Command, reply: &mut Reply<'_>) {
    let (first, last, step) = command.key_places();
    reply.array(6);
    reply.bulk(command.name.as_bytes());
    reply.integer(i64::from(command.arity));
    let access = match (command.keys, command.writes) {
        (Keys::None, _) => None,
        (_, true) => Some("write"),
        (_, false) => Some("readonly"),
    };
    reply.array(access.iter().count() + 1);
    access.iter().for_each(|access| reply.simple(access));
    reply.simple("fast");
    [first, last, step].into_iter().for_each(|place| reply.integer(place));
}
