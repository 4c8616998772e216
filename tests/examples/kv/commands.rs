//! What the commands reply, in the words of Redis.

use super::*;
use crate::common::program::until;

#[track_caller]
fn assert_talk(talk: &mut Talk, lines: &[(&str, &str)]) {
    for (line, reply) in lines {
        assert_eq!(talk.say(line), reply.escape_default().to_string(), "to {line:?}");
    }
}

#[test]
fn values_are_set_under_their_conditions() {
    assert_talk(
        &mut Talk::new(),
        &[
            ("GET a", "$-1\r\n"),
            ("SET a 1", "+OK\r\n"),
            ("get A", "$-1\r\n"),
            ("SET a 2 NX", "$-1\r\n"),
            ("SET b 2 XX", "$-1\r\n"),
            ("SET a 2 XX GET", "$1\r\n1\r\n"),
            ("SET a 3 NX GET", "$1\r\n2\r\n"),
            ("GETSET a 4", "$1\r\n2\r\n"),
            ("SETNX a 5", ":0\r\n"),
            ("STRLEN a", ":1\r\n"),
            ("GETDEL a", "$1\r\n4\r\n"),
            ("SETNX a 5", ":1\r\n"),
            ("SET a 1 NX XX", "-ERR syntax error\r\n"),
            ("SET a 1 EX", "-ERR syntax error\r\n"),
            ("SET a 1 EX 1 PX 1", "-ERR syntax error\r\n"),
            ("SET a 1 EX 1 KEEPTTL", "-ERR syntax error\r\n"),
            ("SET a 1 EX x", "-ERR value is not an integer or out of range\r\n"),
            ("SET a 1 EX 0", "-ERR invalid expire time in 'set' command\r\n"),
            ("SET a 1 PX 9223372036854775807", "-ERR invalid expire time in 'set' command\r\n"),
            ("SETEX a -1 1", "-ERR invalid expire time in 'setex' command\r\n"),
            ("SET a 1 nonsense", "-ERR syntax error\r\n"),
            ("SET a", "-ERR wrong number of arguments for 'set' command\r\n"),
            ("GET a", "$1\r\n5\r\n"),
        ],
    );
}

#[test]
fn numbers_are_counted_and_refused() {
    assert_talk(
        &mut Talk::new(),
        &[
            ("INCR n", ":1\r\n"),
            ("INCRBY n 41", ":42\r\n"),
            ("DECR n", ":41\r\n"),
            ("DECRBY n 50", ":-9\r\n"),
            ("GET n", "$2\r\n-9\r\n"),
            ("APPEND n 9", ":3\r\n"),
            ("INCR n", ":-98\r\n"),
            ("SET n 9223372036854775807", "+OK\r\n"),
            ("INCR n", "-ERR increment or decrement would overflow\r\n"),
            ("DECRBY n -9223372036854775808", "-ERR decrement would overflow\r\n"),
            ("SET n 01", "+OK\r\n"),
            ("INCR n", "-ERR value is not an integer or out of range\r\n"),
            ("SET n +1", "+OK\r\n"),
            ("INCR n", "-ERR value is not an integer or out of range\r\n"),
            ("SET n -0", "+OK\r\n"),
            ("INCR n", "-ERR value is not an integer or out of range\r\n"),
            ("INCRBY n 1.5", "-ERR value is not an integer or out of range\r\n"),
            ("APPEND new abc", ":3\r\n"),
        ],
    );
}

#[test]
fn many_keys_are_set_read_and_removed_at_once() {
    assert_talk(
        &mut Talk::new(),
        &[
            ("MSET a 1 b 2 a 3", "+OK\r\n"),
            ("MSET a 1 b", "-ERR wrong number of arguments for 'mset' command\r\n"),
            ("MGET a x b", "*3\r\n$1\r\n3\r\n$-1\r\n$1\r\n2\r\n"),
            ("EXISTS a a x", ":2\r\n"),
            ("TYPE a", "+string\r\n"),
            ("TYPE x", "+none\r\n"),
            ("DBSIZE", ":2\r\n"),
            ("DEL a a x", ":1\r\n"),
            ("FLUSHALL nonsense", "-ERR syntax error\r\n"),
            ("FLUSHALL ASYNC", "+OK\r\n"),
            ("DBSIZE", ":0\r\n"),
        ],
    );
}

#[test]
fn deadlines_are_set_kept_and_removed() {
    assert_talk(
        &mut Talk::new(),
        &[
            ("TTL a", ":-2\r\n"),
            ("EXPIRE a 100", ":0\r\n"),
            ("SET a 1", "+OK\r\n"),
            ("TTL a", ":-1\r\n"),
            ("EXPIRE a 100", ":1\r\n"),
            ("TTL a", ":100\r\n"),
            ("SET a 2 KEEPTTL", "+OK\r\n"),
            ("APPEND a 3", ":2\r\n"),
            ("INCR a", ":24\r\n"),
            ("TTL a", ":100\r\n"),
            ("EXPIRE a 50 GT", ":0\r\n"),
            ("EXPIRE a 200 GT", ":1\r\n"),
            ("EXPIRE a 50 LT", ":1\r\n"),
            ("EXPIRE a 50 NX", ":0\r\n"),
            ("EXPIRE a 70 XX", ":1\r\n"),
            ("EXPIRE a 70 QQ", "-ERR Unsupported option QQ\r\n"),
            ("EXPIRE a 9223372036854775807", "-ERR invalid expire time in 'expire' command\r\n"),
            ("TTL a", ":70\r\n"),
            ("PERSIST a", ":1\r\n"),
            ("PERSIST a", ":0\r\n"),
            ("TTL a", ":-1\r\n"),
            ("SET a 1 EX 100", "+OK\r\n"),
            ("SET a 1", "+OK\r\n"),
            ("PTTL a", ":-1\r\n"),
            ("PEXPIREAT a 1", ":1\r\n"),
            ("EXISTS a", ":0\r\n"),
            ("SET a 1", "+OK\r\n"),
            ("EXPIRE a -1", ":1\r\n"),
            ("DBSIZE", ":0\r\n"),
        ],
    );
}

#[test]
fn an_expired_key_is_gone_for_each_command_and_removed_without_one() {
    let mut talk = Talk::new();
    for round in 0..2 {
        for key in 0..5 {
            talk.say(&format!("SET {key} 1 PX 5"));
        }
        talk.say("SET stays 1 EX 1000");
        // The store's clock is the system's, of which it has taken the present.
        let due = talk.node.store().now() + 5;
        until("the keys have expired", || talk.node.store().now() > due);
        if round == 0 {
            for (line, reply) in [
                ("GET 0", "$-1\r\n"),
                ("INCR 1", ":1\r\n"),
                ("SET 2 x XX", "$-1\r\n"),
                ("PERSIST 3", ":0\r\n"),
                ("DEL 4", ":0\r\n"),
            ] {
                assert_talk(&mut talk, &[(line, reply)]);
            }
            assert_talk(&mut talk, &[("DBSIZE", ":2\r\n"), ("FLUSHDB", "+OK\r\n")]);
        } else {
            assert!(!talk.node.remove_expired());
            assert_talk(&mut talk, &[("DBSIZE", ":1\r\n"), ("GET stays", "$1\r\n1\r\n")]);
        }
    }
}

#[test]
fn replies_differ_in_resp3_where_redis_has_it_so() {
    let mut talk = Talk::new();
    let hello = talk.say("HELLO 3 AUTH default x SETNAME me");
    assert!(hello.starts_with("%7\\r\\n$6\\r\\nserver\\r\\n$5\\r\\nredis\\r\\n"), "{hello}");
    assert!(hello.contains("$5\\r\\nproto\\r\\n:3\\r\\n"), "{hello}");
    assert_talk(
        &mut talk,
        &[
            ("GET a", "_\r\n"),
            ("MGET a", "*1\r\n_\r\n"),
            ("CONFIG GET save", "%1\r\n$4\r\nsave\r\n$0\r\n\r\n"),
            ("CLIENT GETNAME", "$2\r\nme\r\n"),
            ("HELLO 4", "-NOPROTO unsupported protocol version\r\n"),
            ("GET a", "_\r\n"),
            ("RESET", "+RESET\r\n"),
            ("GET a", "$-1\r\n"),
            ("CLIENT GETNAME", "$-1\r\n"),
            ("CONFIG GET SA*", "*2\r\n$4\r\nsave\r\n$0\r\n\r\n"),
        ],
    );
    assert!(talk.say("HELLO").starts_with("*14\\r\\n"));
    assert!(talk.say("HELLO 2 AUTH other x").starts_with("-WRONGPASS "));
}

#[test]
fn the_server_and_the_connection_say_what_they_are() {
    let mut talk = Talk::new();
    assert_talk(
        &mut talk,
        &[
            ("PING", "+PONG\r\n"),
            ("PING hi", "$2\r\nhi\r\n"),
            ("ECHO hi", "$2\r\nhi\r\n"),
            ("SELECT 0", "+OK\r\n"),
            ("SELECT 1", "-ERR DB index is out of range\r\n"),
            ("CLIENT SETINFO lib-name x", "+OK\r\n"),
            (
                "CLIENT SETNAME \"a b\"",
                "-ERR Client names cannot contain spaces, newlines or special \
            characters.\r\n",
            ),
            (
                "COMMAND INFO get nothing",
                "*2\r\n*6\r\n$3\r\nget\r\n:2\r\n*2\r\n+readonly\r\n+fast\r\n\
            :1\r\n:1\r\n:1\r\n$-1\r\n",
            ),
            (
                "nothing a b",
                "-ERR unknown command 'nothing', with args beginning with: 'a' 'b' \r\n",
            ),
            ("SET k v EX 100", "+OK\r\n"),
        ],
    );
    let info = talk.say("INFO keyspace");
    assert!(info.contains("db0:keys=1,expires=1"), "{info}");
    assert!(!info.contains("redis_version"), "{info}");
    assert!(talk.say("INFO").contains("redis_version:"));
}
