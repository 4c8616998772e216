//! Which versions of the peers this program was built with.

use std::collections::BTreeMap;

/// What cargo resolved when this program was built.
const LOCK: &str = include_str!("../../Cargo.lock");

/// The contenders that are crates, by the crate's name.
const CRATES: [&str; 6] = ["tokio", "monoio", "glommio", "compio", "tokio-uring", "smol"];

/// The crates of which servers of HTTP are made, by the server's name.
const WEB: [(&str, &[&str]); 5] = [
    ("tokio-hyper", &["tokio", "hyper", "tokio-rustls", "rustls"]),
    ("tokio-axum", &["tokio", "hyper", "axum"]),
    ("cyper-axum", &["compio", "hyper", "axum", "cyper-axum"]),
    ("monoio-hyper", &["monoio", "hyper", "monoio-compat"]),
    ("epoll-httparse", &["httparse"]),
];

/// The versions of those peers of which one of these contenders is a form, as `tokio-multi` is of
/// tokio.
pub(crate) fn of<'a>(contenders: impl Iterator<Item = &'a str>) -> BTreeMap<String, String> {
    let crates = contenders.flat_map(|contender| {
        let parts = WEB.into_iter().find(|(name, _)| *name == contender).map(|(_, parts)| parts);
        crate_of(contender).into_iter().chain(parts.into_iter().flatten().copied())
    });
    crates.filter_map(|name| Some((name.to_owned(), version(LOCK, name)?.to_owned()))).collect()
}

/// The crate that a contender is a form of.
pub(crate) fn crate_of(contender: &str) -> Option<&'static str> {
    let plain = contender.split('@').next().unwrap_or_default();
    let plain = plain.strip_suffix("-multi").unwrap_or(plain);
    CRATES.into_iter().find(|name| *name == plain)
}

/// A package's version in a lock file; that of the last, if there are several.
fn version<'a>(lock: &'a str, name: &str) -> Option<&'a str> {
    let packages = lock.split("[[package]]");
    let package = packages.filter(|one| field(one, "name") == Some(name)).last()?;
    field(package, "version")
}

fn field<'a>(package: &'a str, name: &str) -> Option<&'a str> {
    let mut fields = package.lines().filter_map(|line| line.split_once(" = "));
    fields.find(|(field, _)| *field == name).map(|(_, value)| value.trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_those_of_the_lock_file() {
        let lock =
            "[[package]]\nname = \"tokio\"\nversion = \"1.2.3\"\n\n[[package]]\nname = \"x\"\n";
        assert_eq!(version(lock, "tokio"), Some("1.2.3"));
        assert_eq!(version(lock, "x"), None);
        assert_eq!(version(lock, "tok"), None);
        assert!(version(LOCK, "io-uring").is_some());
    }

    #[test]
    fn forms_belong_to_their_crate() {
        assert_eq!(crate_of("tokio@256k"), Some("tokio"));
        assert_eq!(crate_of("tokio-multi"), Some("tokio"));
        assert_eq!(crate_of("tokio-uring"), Some("tokio-uring"));
        assert_eq!(crate_of("raw-epoll"), None);
    }
}
