//! Requests in any pieces, and requests that are none.

use super::store::session::Progress;
use super::*;

#[test]
fn a_request_may_arrive_in_any_pieces() {
    let mut script = request(&[b"SET", b"key", b"va\r\nlue"]);
    script.extend(b"GET key\r\n\r\nset 'a b' \"\\x41\\n\\\"\"\n");
    script.extend(request(&[b"MGET", b"key", b"a b", b""]));
    script.extend(b"*0\r\n*-1\r\n");
    script.extend(request(&[b"ECHO", b""]));
    script.extend(request(&[b"PING"]));
    let expected: &[u8] =
        b"+OK\r\n$7\r\nva\r\nlue\r\n+OK\r\n*3\r\n$7\r\nva\r\nlue\r\n$3\r\nA\n\"\r\n\
        $-1\r\n$0\r\n\r\n+PONG\r\n";
    for cut in 0..=script.len() {
        let mut talk = Talk::new();
        let (mut replies, _) = talk.send(&script[..cut]);
        replies.extend(talk.send(&script[cut..]).0);
        assert_eq!(
            replies.escape_ascii().to_string(),
            expected.escape_ascii().to_string(),
            "{cut}"
        );
    }
    let mut talk = Talk::new();
    let replies: Vec<u8> = script.chunks(1).flat_map(|byte| talk.send(byte).0).collect();
    assert_eq!(replies, expected);
}

/// If each piece were parsed from the start of its request, this would take hours.
#[test]
fn a_request_in_small_pieces_costs_no_more_than_its_bytes() {
    let mut talk = Talk::new();
    let mut pieces = Vec::new();
    for _ in 0..5 {
        let words: Vec<&[u8]> = vec![b"0123456789012345678901234567890123456789"; 999];
        pieces.extend(request(&[&[b"DEL".as_slice()], &*words].concat()));
    }
    let replies: Vec<u8> = pieces.chunks(1).flat_map(|byte| talk.send(byte).0).collect();
    assert_eq!(replies, b":0\r\n".repeat(5));
}

#[test]
fn what_is_no_request_is_answered_and_ends_the_connection() {
    let long_line = vec![b'x'; 1001];
    let faults: [(&[u8], &str); 16] = [
        (b"*x\r\n", "invalid multibulk length"),
        (b"*1001\r\n", "invalid multibulk length"),
        (b"*99999999999999999999\r\n", "invalid multibulk length"),
        (b"*1\rx", "invalid multibulk length"),
        (b"*00000000000000000000000000000000001\r\n", "too big mbulk count string"),
        (b"*1\r\n+PING\r\n", "expected '$', got '+'"),
        (b"*1\r\n\xff", "expected '$', got '\\xff'"),
        (b"*1\r\n$-1\r\n", "invalid bulk length"),
        (b"*1\r\n$x\r\n", "invalid bulk length"),
        (b"*1\r\n$100001\r\n", "invalid bulk length"),
        (b"*2\r\n$3\r\nGET\r\n$99990\r\n", "too big request"),
        (b"*1\r\n$00000000000000000000000000000000001\r\n", "too big bulk count string"),
        (b"*1\r\n$4\r\nPINGPONG", "expected CRLF after a bulk string"),
        (&long_line, "too big inline request"),
        (b"get \"open\r\n", "unbalanced quotes in request"),
        (b"get 'a'b\r\n", "unbalanced quotes in request"),
    ];
    for (bytes, text) in faults {
        let mut talk = Talk::new();
        let before = b"PING\r\n".as_slice();
        let (replies, goes_on) = talk.send(&[before, bytes].concat());
        let expected = format!("+PONG\r\n-ERR Protocol error: {text}\r\n");
        assert_eq!(String::from_utf8_lossy(&replies), expected);
        assert!(!goes_on, "{text}");
    }
}

#[test]
fn a_line_end_in_a_name_does_not_end_the_error() {
    let mut talk = Talk::new();
    let (reply, goes_on) = talk.send(&request(&[b"no\r\n+OK", b"\n"]));
    assert!(reply.starts_with(b"-ERR unknown command 'no  +OK'"), "{}", reply.escape_ascii());
    assert_eq!(reply.iter().filter(|&&byte| byte == b'\n').count(), 1);
    assert!(goes_on);
}

/// A client that sends and never reads makes the server hold one step's replies.
#[test]
fn replies_are_sent_before_they_become_many() {
    let mut talk = Talk::new();
    talk.send(&request(&[b"SET", b"k", &[b'x'; 50_000]]));
    let requests = request(&[b"GET", b"k"]).repeat(1000);
    let (mut input, mut steps, mut bytes) = (&*requests, 0, 0);
    loop {
        let mut out = Vec::new();
        let progress = talk.session.advance(&mut input, &mut Local::new(&talk.node, &mut out));
        assert!(out.len() < store::node::MAX_REPLIES + 50_100, "{}", out.len());
        bytes += out.len();
        steps += 1;
        if progress == Progress::NeedsInput {
            break;
        }
    }
    assert_eq!((steps, bytes), (501, 1000 * 50_010));
}

#[test]
fn nothing_is_executed_after_quit() {
    let mut talk = Talk::new();
    let (reply, goes_on) = talk.send(b"SET a 1\r\nQUIT\r\nSET a 2\r\n");
    assert_eq!((&*reply, goes_on), (b"+OK\r\n+OK\r\n".as_slice(), false));
    let node = talk.node;
    assert_eq!(node.store().get(b"a"), Some(b"1".as_slice()));
}
