//! Patterns, as `SCAN` and `CONFIG GET` take them: `*`, `?`, `[a-z]`, `[^a-z]`, and `\` before a
//! character that means itself.
//!
//! A pattern comes from the peer, so matching must not take exponential time: only the last `*` is
//! ever tried again, since an earlier one has already matched as little as it could.

/// Whether a text as a whole matches a pattern.
pub(crate) fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut rest, mut left) = (pattern, text);
    // What follows the last `*`, and what it has not matched yet.
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        if let Some(after) = rest.strip_prefix(b"*") {
            rest = after;
            retry = Some((after, left));
            continue;
        }
        match (step(rest, left.first().copied()), left) {
            (Step::End, []) => return true,
            (Step::Match(after), [_, others @ ..]) => {
                rest = after;
                left = others;
            }
            _ => {
                // The last `*` matches one character more, if there is one.
                let Some((after, [_, others @ ..])) = retry else { return false };
                retry = Some((after, others));
                (rest, left) = (after, others);
            }
        }
    }
}

enum Step<'a> {
    /// The pattern has ended.
    End,
    /// The first element matches the character; this is the rest of the pattern.
    Match(&'a [u8]),
    Mismatch,
}

/// Matches the first element of a pattern, which is not `*`, with a character.
fn step(pattern: &[u8], character: Option<u8>) -> Step<'_> {
    let (is_match, after) = match pattern {
        [] => return Step::End,
        [b'?', after @ ..] => (true, after),
        [b'[', set @ ..] => in_set(set, character),
        [b'\\', escaped, after @ ..] => (character == Some(*escaped), after),
        [byte, after @ ..] => (character == Some(*byte), after),
    };
    if is_match && character.is_some() { Step::Match(after) } else { Step::Mismatch }
}

/// Whether a character is in the set that begins here, and what follows the set.
fn in_set(set: &[u8], character: Option<u8>) -> (bool, &[u8]) {
    let (is_negated, mut set) = match set {
        [b'^', rest @ ..] => (true, rest),
        _ => (false, set),
    };
    let mut is_in = false;
    let rest = loop {
        let (low, high, after) = match set {
            [] => break set,
            [b']', after @ ..] => break after,
            [b'\\', byte, after @ ..] => (*byte, *byte, after),
            [low, b'-', high, after @ ..] => (*low.min(high), *low.max(high), after),
            [byte, after @ ..] => (*byte, *byte, after),
        };
        is_in |= character.is_some_and(|character| (low..=high).contains(&character));
        set = after;
    };
    (is_in != is_negated, rest)
}
