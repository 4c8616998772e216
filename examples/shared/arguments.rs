//! The arguments of the examples: addresses, and `--help`.

use std::env;
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

/// As many addresses as there are defaults, which stand for those that are not given. If the program is to
/// end at once instead, having said why, the code to exit with.
pub(crate) fn addresses<const N: usize>(
    name: &str,
    usage: &str,
    defaults: [&str; N],
) -> Result<[String; N], ExitCode> {
    // What is no text is no address either.
    let text = |argument: OsString| argument.into_string().unwrap_or_default();
    let given: Vec<_> = env::args_os().skip(1).map(text).collect();
    if let [help] = given.as_slice() {
        if help == "-h" || help == "--help" {
            let _ = writeln!(io::stdout(), "{usage}");
            return Err(ExitCode::SUCCESS);
        }
    }
    if given.len() > N || !given.iter().all(|text| is_address(text)) {
        let (count, plural) = if N == 1 { ("one", "") } else { ("two", "es") };
        let like = defaults.join(" ");
        let text =
            format!("{name}: expected {count} address{plural}, like {like}; --help says more");
        let _ = writeln!(io::stderr(), "{text}");
        return Err(ExitCode::from(2));
    }
    let mut addresses = defaults.map(str::to_owned);
    addresses.iter_mut().zip(given).for_each(|(address, given)| *address = given);
    Ok(addresses)
}

/// Whether the text has the form `host:port`.
fn is_address(text: &str) -> bool {
    let parts = text.rsplit_once(':');
    parts.is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
}

/// The exit code of a program's outcome. An error is told in one line.
pub(crate) fn exit_code(name: &str, outcome: io::Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "{name}: {error}");
            ExitCode::FAILURE
        }
    }
}
