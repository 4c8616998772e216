//! The file of hosts: an address a line, then its names; hosts(5).
//!
//! It is read as the C library reads it: by bytes, the name as it is written but for its case. An
//! address may have a scope besides, as in `fe80::1%eth0`.

use std::net::IpAddr;

/// An address, and the scope of one that is local to a link: an interface's name or number.
pub(super) type HostAddress = (IpAddr, Option<String>);

/// The addresses of a name, in the order of the file, each once.
pub(super) fn addresses(text: &[u8], name: &str) -> Vec<HostAddress> {
    let mut found: Vec<HostAddress> = Vec::new();
    for mut words in lines(text) {
        let Some(address) = words.next() else { continue };
        // Most lines are of other names.
        if !words.any(|word| word.eq_ignore_ascii_case(name.as_bytes())) {
            continue;
        }
        if let Some(address) = parse(address).filter(|address| !found.contains(address)) {
            found.push(address);
        }
    }
    found
}

/// The first name of an address.
pub(super) fn name(text: &[u8], ip: IpAddr) -> Option<String> {
    let name = lines(text).find_map(|mut words| {
        let (address, _) = parse(words.next()?)?;
        words.next().filter(|_| address == ip)
    });
    String::from_utf8(name?.to_vec()).ok()
}

/// Whether nsswitch.conf(5) says that what the file of hosts has is the answer.
///
/// An action behind `files` may say otherwise, so there must be none; and each line must say it, as
/// C libraries differ in which of several they take.
pub(super) fn come_first(nsswitch: &[u8]) -> bool {
    let mut of_hosts = lines(nsswitch)
        .filter_map(|mut words| {
            let database = words.next()?;
            let is_first = database == b"hosts:"
                && words.next() == Some(b"files")
                && words.next().is_none_or(|word| !word.starts_with(b"["));
            database.starts_with(b"hosts").then_some(is_first)
        })
        .peekable();
    of_hosts.peek().is_some() && of_hosts.all(|is_first| is_first)
}

/// Whether a file says nothing.
pub(super) fn is_blank(text: &[u8]) -> bool {
    lines(text).all(|mut words| words.next().is_none())
}

/// The words of each line, without comments.
fn lines(text: &[u8]) -> impl Iterator<Item = impl Iterator<Item = &[u8]>> {
    text.split(|&byte| byte == b'\n').map(|line| {
        let line = line.split(|&byte| byte == b'#').next().unwrap_or_default();
        line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty())
    })
}

fn parse(address: &[u8]) -> Option<HostAddress> {
    let address = std::str::from_utf8(address).ok()?;
    match address.split_once('%') {
        Some((ip, scope)) => Some((ip.parse().ok()?, Some(scope.to_owned()))),
        None => Some((address.parse().ok()?, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTS: &[u8] = b"\
# A comment, 192.0.2.9 comment\n\
127.0.0.1\tlocalhost\n\
::1  localhost ip6-localhost\n\
\n\
192.0.2.1 Server.Example.org server alias # 192.0.2.2 behind\n\
192.0.2.1 server\n\
not-an-address server\n\
\xff\xfe server\n\
2001:db8::1 \xff server\r\n\
fe80::1%lo linked\n\
192.0.2.7\n\
192.0.2.8 \xff\n\
192.0.2.3 last";

    fn texts(name: &str) -> Vec<String> {
        addresses(HOSTS, name).into_iter().map(|(ip, _)| ip.to_string()).collect()
    }

    #[test]
    fn a_name_has_the_addresses_of_all_its_lines_once() {
        assert_eq!(texts("server"), ["192.0.2.1", "2001:db8::1"]);
        assert_eq!(texts("localhost"), ["127.0.0.1", "::1"]);
        assert_eq!(texts("last"), ["192.0.2.3"]);
    }

    #[test]
    fn the_case_of_a_name_makes_no_difference() {
        assert_eq!(texts("SERVER.example.ORG"), ["192.0.2.1"]);
        assert_eq!(texts("LocalHost"), ["127.0.0.1", "::1"]);
    }

    #[test]
    fn comments_addresses_and_parts_are_no_names() {
        for name in ["comment", "behind", "192.0.2.1", "serv", "example.org", "server.", "#", ""] {
            assert!(texts(name).is_empty(), "{name}");
        }
    }

    #[test]
    fn an_address_of_a_link_keeps_its_interface() {
        let linked = ("fe80::1".parse().unwrap(), Some("lo".to_owned()));
        assert_eq!(addresses(HOSTS, "linked"), [linked]);
    }

    #[test]
    fn an_address_has_its_first_name() {
        let of = |ip: &str| name(HOSTS, ip.parse().unwrap());
        assert_eq!(of("192.0.2.1").as_deref(), Some("Server.Example.org"));
        assert_eq!(of("::1").as_deref(), Some("localhost"));
        assert_eq!(of("192.0.2.7"), None, "it has none");
        assert_eq!(of("192.0.2.8"), None, "its name is no text");
        assert_eq!(of("192.0.2.9"), None, "it is in a comment");
    }

    #[test]
    fn the_file_of_hosts_comes_first_only_if_the_configuration_says_so() {
        for (text, expected) in [
            (&b"passwd: files\nhosts:  files dns\n"[..], true),
            (b"hosts: files mdns4_minimal [NOTFOUND=return] dns # comment", true),
            (b"hosts: files", true),
            (b"hosts: dns files\n", false),
            (b"hosts: mymachines resolve [!UNAVAIL=return] files\n", false),
            (b"hosts: files [SUCCESS=merge] dns\n", false),
            (b"hosts: files\nhosts: dns\n", false),
            (b"hosts:dns\nhosts: files\n", false),
            (b"# hosts: files\npasswd: files\n", false),
            (b"hosts:\n", false),
            (b"", false),
        ] {
            assert_eq!(come_first(text), expected, "{}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn a_file_of_comments_is_blank() {
        assert!(is_blank(b"") && is_blank(b"# label ::1/128 0\n\n  \n"));
        assert!(!is_blank(b"# a comment\nprecedence ::ffff:0:0/96 100\n"));
    }
}
