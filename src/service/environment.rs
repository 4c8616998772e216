//! The variables by which a process is given descriptors: those of systemd, and our own.
//!
//! systemd gives descriptors from number 3 on to the process whose id is in `LISTEN_PID`, so that
//! programs which that process starts do not take them for theirs. A process that starts its
//! successor cannot know the id that the successor will have, and may write no variable between
//! fork and exec. So ours names each descriptor with its number and its inode: a process that has
//! not inherited exactly these sockets is not meant.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::io;
use std::os::fd::RawFd;

use crate::sys::inherited::{self, Inheritance};

/// What a process hands over to its successor: for each descriptor `NUMBER:INODE:NAME`, joined by
/// colons. The first is the socket on which the successor reports that it is ready.
pub(super) const HAND_OVER: &str = "ANNULUS_HAND_OVER";

/// The variables that are meant for one process, and that a successor must not inherit from it.
pub(super) const OF_THIS_PROCESS: [&str; 5] =
    ["LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDS", "LISTEN_FDNAMES", "WATCHDOG_PID"];

/// The first descriptor of `LISTEN_FDS`.
const FIRST: RawFd = 3;

/// The name that systemd gives to descriptors of an environment without names.
const UNNAMED: &str = "unknown";

/// A descriptor that the environment gives to this process.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Given {
    pub(super) fd: RawFd,
    pub(super) name: String,
    /// What it must be open on, if that is known.
    pub(super) inode: Option<u64>,
}

/// The descriptors of `LISTEN_FDS`; none if there are none, or if they are another process's.
///
/// # Errors
///
/// `InvalidData` if a variable is not what systemd would have written.
pub(super) fn activation(
    this_process: u32,
    variable: impl Fn(&str) -> Option<OsString>,
) -> io::Result<Vec<Given>> {
    let number = |name: &str, what: &str| -> io::Result<Option<u32>> {
        let Some(text) = variable(name) else { return Ok(None) };
        let number = text.to_str().and_then(|text| text.parse().ok());
        number.map(Some).ok_or_else(|| wrong(format!("{name} is {text:?}, which is not {what}")))
    };
    let Some(process) = number("LISTEN_PID", "the id of a process")? else { return Ok(Vec::new()) };
    if process != this_process {
        return Ok(Vec::new());
    }
    let Some(count) = number("LISTEN_FDS", "a number of descriptors")? else {
        return Ok(Vec::new());
    };
    let names = match variable("LISTEN_FDNAMES") {
        None => None,
        Some(text) => {
            let Some(text) = text.to_str() else {
                return Err(wrong(format!("LISTEN_FDNAMES is {text:?}, which is not text")));
            };
            Some(text.split(':').map(str::to_owned).collect::<Vec<_>>())
        }
    };
    // Without descriptors the list of names is one empty name.
    if count == 0 {
        return Ok(Vec::new());
    }
    if let Some(names) = names.as_ref().filter(|names| names.len() != count as usize) {
        let given = names.len();
        return Err(wrong(format!("LISTEN_FDNAMES has {given} names for LISTEN_FDS={count}")));
    }
    let end = i32::try_from(count).ok().and_then(|count| FIRST.checked_add(count));
    let end = end.ok_or_else(|| wrong(format!("LISTEN_FDS is {count}, which is too many")))?;
    let mut names = names.into_iter().flatten();
    // Lazily: if the number is nonsense, the first descriptor that is not open ends the loop.
    (FIRST..end)
        .map(|fd| {
            if inherited::inheritance(fd) == Inheritance::Closed {
                return Err(wrong(format!("descriptor {fd} of LISTEN_FDS={count} is not open")));
            }
            let name = names.next().unwrap_or_else(|| UNNAMED.to_owned());
            Ok(Given { fd, name, inode: None })
        })
        .collect()
}

/// The descriptors of our own variable.
///
/// # Errors
///
/// `InvalidData` if it is not what [`handed_over_text`] writes.
pub(super) fn handed_over(text: &OsStr) -> io::Result<Vec<Given>> {
    let fault = || wrong(format!("{HAND_OVER} is {text:?}, which no annulus process has written"));
    let text = text.to_str().ok_or_else(fault)?;
    let fields: Vec<_> = text.split(':').collect();
    if fields.len() % 3 != 0 {
        return Err(fault());
    }
    let given = fields.chunks_exact(3).map(|field| {
        let (fd, inode) = (field[0].parse::<u32>().ok()?, field[1].parse().ok()?);
        Some(Given { fd: fd.try_into().ok()?, name: field[2].to_owned(), inode: Some(inode) })
    });
    given.collect::<Option<_>>().ok_or_else(fault)
}

/// The text of our own variable.
pub(super) fn handed_over_text<'a>(
    descriptors: impl IntoIterator<Item = (RawFd, u64, &'a str)>,
) -> String {
    let mut text = String::new();
    for (fd, inode, name) in descriptors {
        let colon = if text.is_empty() { "" } else { ":" };
        let _ = write!(text, "{colon}{fd}:{inode}:{name}");
    }
    text
}

/// Whether a name can be in such a variable: that is systemd's rule.
pub(super) fn is_name(name: &str) -> bool {
    let is_allowed = |byte: u8| (b' '..=b'~').contains(&byte) && byte != b':';
    !name.is_empty() && name.len() < 256 && name.bytes().all(is_allowed)
}

pub(super) fn wrong(fault: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, fault)
}

#[cfg(test)]
mod tests {
    use super::*;

    const THIS: u32 = 4242;

    fn given(variables: &[(&str, &str)]) -> io::Result<Vec<Given>> {
        activation(THIS, |wanted| {
            let found = variables.iter().find(|(name, _)| *name == wanted);
            found.map(|(_, value)| OsString::from(value))
        })
    }

    fn fault(variables: &[(&str, &str)]) -> String {
        let error = given(variables).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        error.to_string()
    }

    #[test]
    fn an_environment_for_another_process_or_for_none_gives_nothing() {
        for variables in [
            &[][..],
            &[("LISTEN_FDS", "1")],
            &[("LISTEN_PID", "4242")],
            &[("LISTEN_PID", "4241"), ("LISTEN_FDS", "1")],
            &[("LISTEN_PID", "4241"), ("LISTEN_FDS", "nonsense")],
            &[("LISTEN_PID", "4242"), ("LISTEN_FDS", "0"), ("LISTEN_FDNAMES", "")],
        ] {
            assert_eq!(given(variables).unwrap(), [], "{variables:?}");
        }
    }

    #[test]
    fn each_wrong_variable_is_named_with_its_value() {
        assert_eq!(
            fault(&[("LISTEN_PID", "me")]),
            "LISTEN_PID is \"me\", which is not the id of a process"
        );
        let pid = ("LISTEN_PID", "4242");
        for number in ["two", "-1", "", "4294967296"] {
            assert_eq!(
                fault(&[pid, ("LISTEN_FDS", number)]),
                format!("LISTEN_FDS is {number:?}, which is not a number of descriptors")
            );
        }
        assert_eq!(
            fault(&[pid, ("LISTEN_FDS", "2147483647")]),
            "LISTEN_FDS is 2147483647, which is too many"
        );
        for names in ["a", "a:b:c"] {
            let count = names.split(':').count();
            assert_eq!(
                fault(&[pid, ("LISTEN_FDS", "2"), ("LISTEN_FDNAMES", names)]),
                format!("LISTEN_FDNAMES has {count} names for LISTEN_FDS=2")
            );
        }
        // This process has fewer descriptors.
        assert!(fault(&[pid, ("LISTEN_FDS", "2000000000")]).ends_with("is not open"));
    }

    #[test]
    fn descriptors_that_are_handed_over_survive_the_round_trip() {
        let text = handed_over_text([(7, 4_000_000_000, "ready"), (9, 12, "http over TLS")]);
        let given = handed_over(text.as_ref()).unwrap();
        let expected = |fd, inode, name: &str| Given { fd, name: name.into(), inode: Some(inode) };
        assert_eq!(given, [expected(7, 4_000_000_000, "ready"), expected(9, 12, "http over TLS")]);
    }

    #[test]
    fn a_variable_that_no_process_of_ours_has_written_is_an_error() {
        for text in ["", "7", "7:12", "7:12:a:9", "x:12:a", "7:x:a", "-1:12:a", "7:12:a:b:c:d"] {
            let error = handed_over(text.as_ref()).unwrap_err();
            assert!(error.to_string().starts_with("ANNULUS_HAND_OVER is "), "{error}");
        }
    }

    #[test]
    fn a_name_that_would_break_the_list_is_refused() {
        assert!(is_name("http") && is_name("http over TLS") && is_name(&"n".repeat(255)));
        for name in ["", "a:b", "a\nb", "ä", &"n".repeat(256)] {
            assert!(!is_name(name), "{name:?}");
        }
    }
}
