//! What a request asks for of a file: all of it, a part, or whether it has changed (RFC 9110, 13
//! and 14).

use std::ops::Range;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::http::header::{
    IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE,
};
use axum::http::{HeaderMap, HeaderName, Method};

/// The state of a file, as clients are told it.
pub(crate) struct State {
    pub(crate) length: u64,
    /// In whole seconds, as HTTP has it.
    pub(crate) modified: Option<SystemTime>,
    /// With its quotes. Two states of a file have the same only if they were made within one tick
    /// of the file system's clock, and are of the same length.
    pub(crate) tag: String,
}

impl State {
    pub(crate) fn new(length: u64, modified: Option<SystemTime>, inode: u64) -> Self {
        let since = modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let nanoseconds = since.unwrap_or_default().as_nanos();
        let modified = since.map(|since| UNIX_EPOCH + Duration::from_secs(since.as_secs()));
        Self { length, modified, tag: format!("\"{nanoseconds:x}-{inode:x}-{length:x}\"") }
    }
}

/// What the response has.
pub(crate) enum Wanted {
    Whole,
    Part(Range<u64>),
    /// The client has this state already.
    Unmodified,
    /// A condition of the request does not hold.
    Refused,
    /// A range that the file does not have.
    Nothing,
}

/// Evaluates the conditions of a GET or HEAD in the order of RFC 9110, 13.2.2.
pub(crate) fn wanted(method: &Method, headers: &HeaderMap, state: &State) -> Wanted {
    let may = match (tags(headers, IF_MATCH), date(headers, IF_UNMODIFIED_SINCE)) {
        (Some(tags), _) => tags.matches(&state.tag, false),
        (None, Some(since)) => state.modified.is_some_and(|modified| modified <= since),
        (None, None) => true,
    };
    if !may {
        return Wanted::Refused;
    }
    let has = match (tags(headers, IF_NONE_MATCH), date(headers, IF_MODIFIED_SINCE)) {
        (Some(tags), _) => tags.matches(&state.tag, true),
        (None, Some(since)) => state.modified.is_some_and(|modified| modified <= since),
        (None, None) => false,
    };
    if has {
        return Wanted::Unmodified;
    }
    if method == Method::GET && is_same(headers, state) {
        part(headers, state)
    } else {
        Wanted::Whole
    }
}

/// Whether a range is of the state that the client has a part of. A part of another would be
/// appended to that.
fn is_same(headers: &HeaderMap, state: &State) -> bool {
    let Some(value) = headers.get(IF_RANGE) else { return true };
    let same_as = date(headers, IF_RANGE);
    value.as_bytes() == state.tag.as_bytes() || (same_as.is_some() && same_as == state.modified)
}

/// The range that is asked for. What is not understood is ignored (RFC 9110, 14.2), and so are
/// several ranges, which a server need not answer.
fn part(headers: &HeaderMap, state: &State) -> Wanted {
    let length = state.length;
    let text = headers.get(RANGE).and_then(|value| value.to_str().ok());
    let Some((first, last)) = text.and_then(|it| it.strip_prefix("bytes=")?.split_once('-')) else {
        return Wanted::Whole;
    };
    let number = |text: &str| {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| text.parse().unwrap_or(u64::MAX))
    };
    let range = match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => first..last.saturating_add(1).min(length),
        (Some(first), None) if last.is_empty() => first..length,
        (None, Some(last)) if first.is_empty() => length.saturating_sub(last)..length,
        _ => return Wanted::Whole,
    };
    if range.is_empty() { Wanted::Nothing } else { Wanted::Part(range) }
}

fn date(headers: &HeaderMap, name: HeaderName) -> Option<SystemTime> {
    headers.get(name)?.to_str().ok().and_then(|text| httpdate::parse_http_date(text).ok())
}

/// The entity tags of a header, of which there may be several.
struct Tags<'a>(Vec<&'a str>);

fn tags(headers: &HeaderMap, name: HeaderName) -> Option<Tags<'_>> {
    let values = headers.get_all(name);
    let tags: Vec<_> =
        values.iter().flat_map(|value| value.to_str().unwrap_or("").split(',')).collect();
    (!tags.is_empty()).then_some(Tags(tags))
}

impl Tags<'_> {
    /// Whether one of them is this one, or `*`; a weak one only if `weak` ones count.
    fn matches(&self, tag: &str, weak: bool) -> bool {
        self.0
            .iter()
            .map(|one| one.trim())
            .any(|one| one == "*" || one == tag || (weak && one.strip_prefix("W/") == Some(tag)))
    }
}
