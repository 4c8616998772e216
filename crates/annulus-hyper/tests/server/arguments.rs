//! What the examples say of arguments that are no use.

use std::net::TcpListener;
use std::process::{Command, Stdio};

#[test]
fn a_port_in_use_and_a_wrong_argument_are_explained_in_one_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    for name in ["http_hello", "graceful"] {
        for (arguments, status, words) in [
            (&[taken.as_str()][..], 1, taken.as_str()),
            (&["192.0.2.1:1"], 1, "192.0.2.1:1"),
            (&["nonsense"], 2, "\"nonsense\" is not an address with a port"),
            (&["--unknown"], 2, "\"--unknown\" is not an address with a port"),
            (&["127.0.0.1:99999"], 2, "\"99999\" in \"127.0.0.1:99999\" is not a port"),
            (&["127.0.0.1:0", "127.0.0.1:0"], 2, "expected one address at most"),
        ] {
            let mut command = Command::new(crate::common::example(name));
            let ended = command.args(arguments).stdin(Stdio::null()).output().unwrap();
            let stderr = String::from_utf8(ended.stderr).unwrap();
            assert_eq!(ended.status.code(), Some(status), "{name} {arguments:?}: {stderr}");
            let line = stderr.strip_suffix('\n').unwrap();
            assert!(!line.contains('\n') && line.starts_with(&format!("{name}: ")), "{stderr}");
            assert!(line.contains(words), "{stderr}");
            assert!(ended.stdout.is_empty());
        }
        let help =
            crate::common::output(crate::common::example(name).to_str().unwrap(), &["--help"]);
        assert!(help.unwrap().contains(&format!("Usage: {name} [ADDRESS]")));
    }
}
