//! Commands on values.

use super::super::protocol::{Reply, Request};
use super::super::store::{Lifetime, Refusal, Store, integer};
use super::keys::{Clock, Unit};
use super::{NO_INTEGER, SYNTAX};

pub(super) fn get(store: &mut Store, request: Request<'_>, reply: &mut Reply<'_>) {
    reply.optional(store.get(request.get(1)));
}

pub(super) fn mget(store: &mut Store, request: Request<'_>, reply: &mut Reply<'_>) {
    reply.array(request.len() - 1);
    for key in request.from(1) {
        reply.optional(store.get(key));
    }
}

pub(super) fn getdel(store: &mut Store, request: Request<'_>, reply: &mut Reply<'_>) {
    let key = request.get(1);
    reply.optional(store.get(key));
    store.remove(key);
}

pub(super) fn getset(store: &mut Store, request: Request<'_>, reply: &mut Reply<'_>) {
    let key = request.get(1);
    reply.optional(store.get(key));
    store.set(key, request.get(2), Lifetime::Unlimited);
}

pub(super) fn strlen(store: &mut Store, request: Request<'_>, reply: &mut Reply<'_>) {
    reply.count(store.get(request.get(1)).map_or(0, <[u8]>::len));
}

/// What `SET` was asked for beside the value.
#[derive(Default)]
struct SetOptions {
    lifetime: Option<Lifetime>,
    /// Whether the key must exist, or must not.
    must_exist: Option<bool>,
    returns_old: bool,
}

impl SetOptions {
    /// # Errors
    ///
    /// The text of the error reply.
    fn of(store: &Store, request: Request<'_>) -> Result<Self, &'static str> {
        let mut options = Self::default();
        let mut arguments = request.from(3);
        while let Some(argument) = arguments.next() {
            let is = |name: &str| argument.eq_ignore_ascii_case(name.as_bytes());
            if is("nx") || is("xx") {
                if options.must_exist.replace(is("xx")).is_some() {
                    return Err(SYNTAX);
                }
            } else if is("get") {
                options.returns_old = true;
            } else if options.lifetime.is_some() {
                return Err(SYNTAX);
            } else if is("keepttl") {
                options.lifetime = Some(Lifetime::Kept);
            } else {
                let clock = match () {
                    () if is("ex") => Clock::In(Unit::Seconds),
                    () if is("px") => Clock::In(Unit::Milliseconds),
                    () if is("exat") => Clock::At(Unit::Seconds),
                    () if is("pxat") => Clock::At(Unit::Milliseconds),
                    () => return Err(SYNTAX),
                };
                let number = integer(arguments.next().ok_or(SYNTAX)?).ok_or(NO_INTEGER)?;
                let deadline = clock.deadline_in_future(store, number);
                let deadline = deadline.ok_or("ERR invalid expire time in 'set' command")?;
                options.lifetime = Some(Lifetime::Until(deadline));
            }
        }
        Ok(options)
    }
}

#[inline]
pub(super) fn set(store: &mut Store, request: Request<'_>, reply: &mut Reply<'_>) {
    let (key, value) = (request.get(1), request.get(2));
    if request.len() == 3 {
        store.set(key, value, Lifetime::Unlimited);
        return reply.ok();
    }
    let options = match SetOptions::of(store, request) {
        Ok(options) => options,
        Err(text) => return reply.error(text),
    };
    let may = options.must_exist.is_none_or(|must| must == store.contains(key));
    if options.returns_old {
        reply.optional(store.get(key));
    } else if may {
        reply.ok();
    } else {
        reply.null();
    }
    if may {
        store.set(key, value, options.lifetime.unwrap_or_default());
        if matches!(options.lifetime, Some(Lifetime::Until(deadline)) if deadline.get() <= store.now())
        {
            store.remove(key);
        }
    }
}

pub(super) fn mset(store: &mut Store, request: Request<'_>, reply: &mut Reply<'_>) {
    if request.len() % 2 == 0 {
        return reply.error("ERR wrong number of arguments for 'mset' command");
    }
    let mut arguments = request.from(1);
    while let (Some(key), Some(value)) = (arguments.next(), arguments.next()) {
        store.set(key, value, Lifetime::Unlimited);
    }
    reply.ok();
}

pub(super) fn setnx(store: &mut Store, request: Request<'_>, reply: &mut Reply<'_>) {
    let key = request.get(1);
    let is_new = !store.contains(key);
    if is_new {
        store.set(key, request.get(2), Lifetime::Unlimited);
    }
    reply.integer(i64::from(is_new));
}

pub(super) fn setex(store: &mut Store, request: Request<'_>, reply: &mut Reply<'_>) {
    set_for(store, request, reply, Unit::Seconds, "setex");
}

pub(super) fn psetex(store: &mut Store, request: Request<'_>, reply: &mut Reply<'_>) {
    set_for(store, request, reply, Unit::Milliseconds, "psetex");
}

fn set_for(
    store: &mut Store,
    request: Request<'_>,
    reply: &mut Reply<'_>,
    unit: Unit,
    command: &str,
) {
    let Some(number) = integer(request.get(2)) else { return reply.error(NO_INTEGER) };
    let Some(deadline) = Clock::In(unit).deadline_in_future(store, number) else {
        return reply.error(&format!("ERR invalid expire time in '{command}' command"));
    };
    store.set(request.get(1), request.get(3), Lifetime::Until(deadline));
    reply.ok();
}

pub(super) fn incr(store: &mut Store, request: Request<'_>, reply: &mut Reply<'_>) {
    add(store, request, reply, Some(1));
}

pub(super) fn decr(store: &mut Store, request: Request<'_>, reply: &mut Reply<'_>) {
    add(store, request, reply, Some(-1));
}

pub(super) fn incrby(store: &mut Store, request: Request<'_>, reply: &mut Reply<'_>) {
    add(store, request, reply, integer(request.get(2)));
}

pub(super) fn decrby(store: &mut Store, request: Request<'_>, reply: &mut Reply<'_>) {
    match integer(request.get(2)) {
        Some(i64::MIN) => reply.error("ERR decrement would overflow"),
        amount => add(store, request, reply, amount.map(|amount| -amount)),
    }
}

fn add(store: &mut Store, request: Request<'_>, reply: &mut Reply<'_>, amount: Option<i64>) {
    let Some(amount) = amount else { return reply.error(NO_INTEGER) };
    match store.add(request.get(1), amount) {
        Ok(sum) => reply.integer(sum),
        Err(refusal) => refused(refusal, reply),
    }
}

pub(super) fn append(store: &mut Store, request: Request<'_>, reply: &mut Reply<'_>) {
    match store.append(request.get(1), request.get(2)) {
        Ok(length) => reply.count(length),
        Err(refusal) => refused(refusal, reply),
    }
}

fn refused(refusal: Refusal, reply: &mut Reply<'_>) {
    reply.error(match refusal {
        Refusal::NoInteger => NO_INTEGER,
        Refusal::Overflow => "ERR increment or decrement would overflow",
        Refusal::TooLong => "ERR string exceeds maximum allowed size (proto-max-bulk-len)",
    });
}
