//! Scans, while keys come and go; and patterns.

use std::collections::{BTreeSet, HashSet};

use super::store::glob::matches;
use super::*;

/// The keys of a scan's step, and the cursor to go on with.
fn step(talk: &mut Talk, cursor: &str, options: &str) -> (String, Vec<String>) {
    let (reply, _) = talk.send(format!("SCAN {cursor} {options}\r\n").as_bytes());
    let reply = String::from_utf8(reply).unwrap();
    let mut lines = reply.lines().filter(|line| !line.starts_with(['*', '$']));
    let next = lines.next().unwrap().to_owned();
    (next, lines.map(str::to_owned).collect())
}

#[test]
fn a_scan_shows_each_key_that_is_there_all_the_time() {
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..20 {
        let mut talk = Talk::new();
        let staying: BTreeSet<_> = (0..200).map(|n| format!("staying:{n}")).collect();
        let mut passing = Vec::new();
        for key in &staying {
            talk.say(&format!("SET {key} 1"));
            talk.say(&format!("SET passing:{key} 1"));
            passing.push(format!("passing:{key}"));
        }
        let (mut seen, mut cursor, mut steps) = (BTreeSet::new(), "0".to_owned(), 0);
        loop {
            let (next, keys) = step(&mut talk, &cursor, "COUNT 7");
            seen.extend(keys);
            steps += 1;
            if next == "0" {
                break;
            }
            cursor = next;
            for _ in 0..random.usize(0..12) {
                if random.bool() && !passing.is_empty() {
                    let key = passing.swap_remove(random.usize(..passing.len()));
                    assert_eq!(talk.say(&format!("DEL {key}")), ":1\\r\\n");
                } else {
                    let key = format!("passing:{}", random.u64(..));
                    talk.say(&format!("SET {key} 1"));
                    passing.push(key);
                }
            }
        }
        assert!(steps > 20, "{steps}");
        assert!(staying.is_subset(&seen), "{:?}", staying.difference(&seen).collect::<Vec<_>>());
    }
}

#[test]
fn a_scan_of_keys_that_stay_shows_each_once() {
    let mut talk = Talk::new();
    let all: HashSet<_> = (0..1000).map(|n| format!("{n}")).collect();
    all.iter().for_each(|key| drop(talk.say(&format!("SET {key} 1"))));
    let (mut seen, mut cursor) = (Vec::new(), "0".to_owned());
    while cursor != "0" || seen.is_empty() {
        let (next, keys) = step(&mut talk, &cursor, "");
        assert_eq!(keys.len(), 10);
        seen.extend(keys);
        cursor = next;
    }
    assert_eq!(seen.len(), 1000);
    assert_eq!(seen.into_iter().collect::<HashSet<_>>(), all);
    assert_eq!(step(&mut talk, "0", "MATCH 99[5-7] COUNT 1000").1.len(), 3);
    assert_eq!(step(&mut talk, "0", "TYPE list COUNT 1000").1.len(), 0);
    assert_eq!(step(&mut talk, "0", "TYPE string COUNT 1000").1.len(), 1000);
}

#[test]
fn options_and_cursors_that_are_none_are_refused() {
    let mut talk = Talk::new();
    for (line, reply) in [
        ("SCAN x", "-ERR invalid cursor\\r\\n"),
        ("SCAN 0 COUNT", "-ERR syntax error\\r\\n"),
        ("SCAN 0 COUNT 0", "-ERR syntax error\\r\\n"),
        ("SCAN 0 COUNT x", "-ERR value is not an integer or out of range\\r\\n"),
        ("SCAN 0 NONSENSE 1", "-ERR syntax error\\r\\n"),
        ("SCAN 0", "*2\\r\\n$1\\r\\n0\\r\\n*0\\r\\n"),
        ("SCAN 18446744073709551615", "*2\\r\\n$1\\r\\n0\\r\\n*0\\r\\n"),
    ] {
        assert_eq!(talk.say(line), reply, "to {line}");
    }
}

#[test]
fn patterns_match_as_in_redis() {
    for (pattern, text, is_match) in [
        ("", "", true),
        ("", "a", false),
        ("*", "", true),
        ("a*b*c", "aXbYbZc", true),
        ("a*b*c", "aXbYbZ", false),
        ("h?llo", "hello", true),
        ("h?llo", "hllo", false),
        ("h[ae]llo", "hallo", true),
        ("h[^e]llo", "hello", false),
        ("h[^e]llo", "hallo", true),
        ("h[a-c]llo", "hbllo", true),
        ("h[c-a]llo", "hbllo", true),
        ("h[\\]]llo", "h]llo", true),
        ("h\\?llo", "h?llo", true),
        ("h\\?llo", "hello", false),
        ("[", "a", false),
        ("[a", "a", true),
        ("a\\", "a\\", true),
        ("**a", "xa", true),
        ("[^", "", false),
    ] {
        let found = matches(pattern.as_bytes(), text.as_bytes());
        assert_eq!(found, is_match, "{pattern:?} and {text:?}");
    }
}

/// With a new attempt for each `*`, this would take longer than the world has been there.
#[test]
fn a_hostile_pattern_takes_no_exponential_time() {
    let (pattern, text) = ("a*".repeat(2000) + "b", "a".repeat(20_000));
    assert!(!matches(pattern.as_bytes(), text.as_bytes()));
}
