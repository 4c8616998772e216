//! Commands on keys: whether there are some, when they expire, which there are.

use super::super::cursor::Cursor;
use super::super::glob;
use super::super::protocol::{Reply, Request};
use super::super::store::{Deadline, Store, integer};
use super::{NO_INTEGER, SYNTAX};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Seconds,
    Milliseconds,
}

impl Unit {
    fn milliseconds(self, number: i64) -> Option<i64> {
        number.checked_mul(if self == Self::Seconds { 1000 } else { 1 })
    }
}

/// How a deadline is given.
#[derive(Clone, Copy)]
pub(super) enum Clock {
    /// From now on.
    In(Unit),
    /// Since 1970.
    At(Unit),
}

impl Clock {
    /// The deadline, which may have passed; `None` if no clock has such a time.
    fn deadline(self, store: &Store, number: i64) -> Option<Deadline> {
        let milliseconds = match self {
            Self::In(unit) => {
                let now = i64::try_from(store.now()).ok()?;
                unit.milliseconds(number)?.checked_add(now)?
            }
            Self::At(unit) => unit.milliseconds(number)?,
        };
        // What is before 1970 has passed, too.
        Deadline::new(u64::try_from(milliseconds.max(1)).ok()?)
    }

    /// The same for a number that must be positive.
    pub(super) fn deadline_in_future(self, store: &Store, number: i64) -> Option<Deadline> {
        self.deadline(store, number).filter(|_| number > 0)
    }
}

pub(super) fn del(store: &mut Store, request: Request<'_>, reply: &mut Reply<'_>) {
    reply.count(request.from(1).filter(|key| store.remove(key)).count());
}

pub(super) fn exists(store: &mut Store, request: Request<'_>, reply: &mut Reply<'_>) {
    reply.count(request.from(1).filter(|key| store.contains(key)).count());
}

pub(super) fn kind(store: &mut Store, request: Request<'_>, reply: &mut Reply<'_>) {
    reply.simple(if store.contains(request.get(1)) { "string" } else { "none" });
}

pub(super) fn dbsize(store: &mut Store, _request: Request<'_>, reply: &mut Reply<'_>) {
    reply.count(store.len());
}

pub(super) fn flush(store: &mut Store, request: Request<'_>, reply: &mut Reply<'_>) {
    let is_known =
        |how: &[u8]| how.eq_ignore_ascii_case(b"sync") || how.eq_ignore_ascii_case(b"async");
    if request.len() > 2 || request.from(1).any(|how| !is_known(how)) {
        return reply.error(SYNTAX);
    }
    store.clear();
    reply.ok();
}

pub(super) fn expire(store: &mut Store, request: Request<'_>, reply: &mut Reply<'_>) {
    expire_by(store, request, reply, Clock::In(Unit::Seconds));
}

pub(super) fn pexpire(store: &mut Store, request: Request<'_>, reply: &mut Reply<'_>) {
    expire_by(store, request, reply, Clock::In(Unit::Milliseconds));
}

pub(super) fn expireat(store: &mut Store, request: Request<'_>, reply: &mut Reply<'_>) {
    expire_by(store, request, reply, Clock::At(Unit::Seconds));
}

pub(super) fn pexpireat(store: &mut Store, request: Request<'_>, reply: &mut Reply<'_>) {
    expire_by(store, request, reply, Clock::At(Unit::Milliseconds));
}

fn expire_by(store: &mut Store, request: Request<'_>, reply: &mut Reply<'_>, clock: Clock) {
    let Some(number) = integer(request.get(2)) else { return reply.error(NO_INTEGER) };
    let Some(deadline) = clock.deadline(store, number) else {
        let command = String::from_utf8_lossy(request.get(0)).to_ascii_lowercase();
        return reply.error(&format!("ERR invalid expire time in '{command}' command"));
    };
    let key = request.get(1);
    let before = store.deadline(key);
    let mut may = true;
    for condition in request.from(3) {
        let is = |name: &[u8]| condition.eq_ignore_ascii_case(name);
        // A key that does not expire has a deadline after all others.
        let earlier = before.flatten();
        may &= match () {
            () if is(b"nx") => earlier.is_none(),
            () if is(b"xx") => earlier.is_some(),
            () if is(b"gt") => earlier.is_some_and(|earlier| deadline > earlier),
            () if is(b"lt") => earlier.is_none_or(|earlier| deadline < earlier),
            () => {
                let option = String::from_utf8_lossy(condition);
                return reply.error(&format!("ERR Unsupported option {option}"));
            }
        };
    }
    reply.integer(i64::from(may && store.expire(key, Some(deadline))));
}

pub(super) fn persist(store: &mut Store, request: Request<'_>, reply: &mut Reply<'_>) {
    let key = request.get(1);
    let expires = store.deadline(key).flatten().is_some();
    reply.integer(i64::from(expires && store.expire(key, None)));
}

pub(super) fn ttl(store: &mut Store, request: Request<'_>, reply: &mut Reply<'_>) {
    let left = milliseconds_left(store, request.get(1));
    reply.integer(if left < 0 { left } else { (left + 500) / 1000 });
}

pub(super) fn pttl(store: &mut Store, request: Request<'_>, reply: &mut Reply<'_>) {
    reply.integer(milliseconds_left(store, request.get(1)));
}

/// How long a key lives; -1 if it does not expire, -2 if there is none.
fn milliseconds_left(store: &mut Store, key: &[u8]) -> i64 {
    match store.deadline(key) {
        None => -2,
        Some(None) => -1,
        Some(Some(deadline)) => {
            i64::try_from(deadline.get().saturating_sub(store.now())).unwrap_or(i64::MAX)
        }
    }
}

pub(super) fn scan(store: &mut Store, request: Request<'_>, reply: &mut Reply<'_>) {
    const DEFAULT_COUNT: usize = 10;
    // The count is a hint; a large one would stop all other connections for as long.
    const MAX_COUNT: usize = 10_000;
    let Some(cursor) = Cursor::parse(request.get(1)) else {
        return reply.error("ERR invalid cursor");
    };
    let (mut pattern, mut count, mut kind): (Option<&[u8]>, _, Option<&[u8]>) =
        (None, DEFAULT_COUNT, None);
    let mut options = request.from(2);
    while let Some(option) = options.next() {
        let Some(value) = options.next() else { return reply.error(SYNTAX) };
        if option.eq_ignore_ascii_case(b"match") {
            pattern = Some(value);
        } else if option.eq_ignore_ascii_case(b"type") {
            kind = Some(value);
        } else if option.eq_ignore_ascii_case(b"count") {
            match integer(value).map(usize::try_from) {
                Some(Ok(0)) => return reply.error(SYNTAX),
                Some(Ok(number)) => count = number,
                Some(Err(_)) => return reply.error(SYNTAX),
                None => return reply.error(NO_INTEGER),
            }
        } else {
            return reply.error(SYNTAX);
        }
    }
    let is_string = kind.is_none_or(|kind| kind.eq_ignore_ascii_case(b"string"));
    let shows = |key: &[u8]| is_string && pattern.is_none_or(|pattern| glob::matches(pattern, key));
    let mut found = Vec::new();
    let below = store.scan(cursor.below, count.min(MAX_COUNT), |key| {
        if shows(key) {
            found.push(key);
        }
    });
    reply.array(2);
    reply.bulk(cursor.then(below, store.is_last_shard()).to_string().as_bytes());
    reply.array(found.len());
    found.into_iter().for_each(|key| reply.bulk(key));
}
