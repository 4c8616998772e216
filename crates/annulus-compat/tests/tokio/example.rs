//! The example `reqwest_beside`: what it fetches, and what it says when it cannot.

use std::env;
use std::path::Path;
use std::process::{Command, Output};

use crate::common::bounded::bounded;

fn fetch(urls: &[&str]) -> Output {
    let test = env::current_exe().expect("the path of this test");
    // PROFILE/deps/TEST and PROFILE/examples/NAME
    let profile = test.parent().and_then(Path::parent).expect("the directory of the profile");
    let path = profile.join("examples/reqwest_beside");
    assert!(path.exists(), "`cargo build -p annulus-compat --examples` makes {}", path.display());
    bounded(|| Command::new(path).args(urls).output().expect("it runs"))
}

#[test]
fn the_example_fetches_pages_from_its_own_server() {
    let output = fetch(&[]);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let mut pages: Vec<_> = text.lines().map(|line| line.rsplit_once('/').unwrap().1).collect();
    pages.sort_unstable();
    assert_eq!(pages, ["1: 200 OK, 22 bytes", "2: 200 OK, 22 bytes"]);
}

#[test]
fn the_example_says_in_one_line_what_it_cannot_fetch() {
    // No service has the lowest port of all.
    let refused = "http://127.0.0.1:1/";
    for (url, part) in [("nonsense", "relative URL"), (refused, "Connection refused")] {
        let output = fetch(&[url]);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.starts_with(&format!("reqwest_beside: {url}: ")), "{text}");
        assert!(text.contains(part) && text.lines().count() == 1, "{text}");
    }
}
