//! Random files of hosts.

use std::net::IpAddr;

use super::hosts;
use crate::fuzz_input::Input;

pub(crate) fn hosts(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let wanted = input.bytes();
    let text = input.rest();
    let Ok(name) = std::str::from_utf8(wanted) else { return };

    let found = hosts::addresses(text, name);
    for (place, address) in found.iter().enumerate() {
        assert!(!found[..place].contains(address), "{address:?} is there twice");
        let first = hosts::name(text, address.0);
        assert!(first.is_some() || std::str::from_utf8(text).is_err(), "no name of {address:?}");
    }
    if hosts::is_blank(text) {
        assert!(found.is_empty() && !hosts::come_first(text));
    }
    // Whatever comes before it, a line of its own counts.
    let ip = IpAddr::from([192, 0, 2, 77]);
    let is_word = !name.is_empty()
        && !name.contains('#')
        && !name.bytes().any(|byte| byte.is_ascii_whitespace());
    let mut more = [text, b"\n192.0.2.77 "].concat();
    more.extend_from_slice(wanted);
    assert_eq!(hosts::addresses(&more, name).contains(&(ip, None)), is_word, "{name:?}");
    // Only the first line of the database may be missing: with another one that says so, none does.
    let refused = [text, b"\nhosts: dns files"].concat();
    assert!(!hosts::come_first(&refused));
}
