//! Random variables of the environment.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use super::environment::{activation, handed_over, handed_over_text};
use crate::fuzz_input::Input;

pub(crate) fn environment(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let process = 77;
    let mut values: Vec<(&str, OsString)> = Vec::new();
    for name in ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"] {
        if input.flag() {
            values.push((name, OsStr::from_bytes(input.bytes()).to_owned()));
        }
    }
    let value = |name: &str| values.iter().find(|(of, _)| *of == name).map(|(_, it)| it.clone());
    let given = activation(process, value);
    if value("LISTEN_PID").is_none_or(|it| it.to_str() != Some("77") && it.to_str() != Some("+77"))
    {
        let is_other = given.as_ref().map_or(true, Vec::is_empty);
        // With zeros before it, it is the same number.
        let is_number = value("LISTEN_PID").is_some_and(|it| it.as_bytes().ends_with(b"77"));
        assert!(is_other || is_number, "descriptors of another process: {given:?}");
    }

    let text = OsStr::from_bytes(input.rest());
    if let Ok(given) = handed_over(text) {
        let written =
            given.iter().map(|it| (it.fd, it.inode.expect("each has an inode"), it.name.as_str()));
        let written = handed_over_text(written);
        assert_eq!(handed_over(OsStr::new(&written)).expect("it was written"), given);
    }
}
