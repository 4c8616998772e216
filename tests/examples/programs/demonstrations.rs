//! The programs without arguments, which show what they do and end.

use super::run;

/// What a program prints that succeeds.
pub(crate) fn lines(name: &str) -> Vec<String> {
    let ended = run::<&str>(name, &[]);
    assert!(ended.status.success() && ended.stderr.is_empty(), "{ended:?}");
    ended.stdout
}

#[test]
fn hello_says_it_in_order() {
    let lines = lines("hello");
    assert_eq!(&lines[..2], ["hello", "... world!"]);
    assert!(lines[2].starts_with("one after the other: "), "{lines:?}");
}

#[test]
fn factorials_take_turns() {
    let lines = lines("factorials");
    assert_eq!(&lines[..3], ["A: 1 times 2", "B: 1 times 2", "C: 1 times 2"]);
    assert!(lines.contains(&"all: (2, 6, 24)".to_owned()));
    let first = lines.iter().position(|line| line == "number 1 returned 2").unwrap();
    let second = lines.iter().position(|line| line == "number 0 returned 24").unwrap();
    assert!(first < second);
    assert_eq!(lines[lines.len() - 2..], ["endless: cleaned up", "endless: deadline elapsed"]);
}

#[test]
fn queue_workers_do_all_the_work() {
    let lines = lines("queue_workers");
    assert_eq!(lines[0], "3 workers have done 20 pieces of work, of 50 ms together");
}

#[test]
fn cleanup_happens_in_all_ways() {
    let expected = [
        "by a destructor: cleaned up",
        "by a destructor: task was cancelled",
        "with awaits: cleaned up",
        "with awaits: done",
        "main: the end",
        "shielded: done",
    ];
    assert_eq!(lines("cleanup"), expected);
}

#[test]
fn streams_go_there_and_back() {
    let lines = lines("streams");
    assert_eq!(&lines[..2], ["send: Hello", "received: Hello"]);
    assert_eq!(lines.last().unwrap(), "1 completed, 0 aborted");
}
