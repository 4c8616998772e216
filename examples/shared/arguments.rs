//! The arguments of the examples: addresses, and `--help`.

use std::env;
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

/// The addresses given on the command line, with `defaults` for those that were not given.
/// Otherwise the code to exit with, after printing the usage or what is wrong.
pub(crate) fn addresses<const N: usize>(
    name: &str,
    usage: &str,
    defaults: [&str; N],
) -> Result<[String; N], ExitCode> {
    // An argument that is not Unicode is not an address either.
    let text = |argument: OsString| argument.into_string().unwrap_or_default();
    let given: Vec<_> = env::args_os().skip(1).map(text).collect();
    if let [help] = given.as_slice() {
        if help == "-h" || help == "--help" {
            let _ = writeln!(io::stdout(), "{usage}");
            return Err(ExitCode::SUCCESS);
        }
    }
    let fault = if given.len() > N {
        let (count, plural) = if N == 1 { ("one", "") } else { ("two", "es") };
        Some(format!("expected {count} address{plural} at most, like {}", defaults.join(" ")))
    } else {
        given.iter().find_map(|text| fault_of(text, defaults[0]))
    };
    if let Some(fault) = fault {
        let _ = writeln!(io::stderr(), "{name}: {fault}; --help says more");
        return Err(ExitCode::from(2));
    }
    let mut addresses = defaults.map(str::to_owned);
    addresses.iter_mut().zip(given).for_each(|(address, given)| *address = given);
    Ok(addresses)
}

/// Why a text does not have the form `host:port`, if it does not.
fn fault_of(text: &str, like: &str) -> Option<String> {
    match text.rsplit_once(':') {
        None => Some(format!("{text:?} is not an address with a port, like {like}")),
        Some(("", _)) => Some(format!("{text:?} has no host; an address is like {like}")),
        Some((host, _)) if host.contains(':') && !host.starts_with('[') => {
            Some(format!("{text:?}: an IPv6 address needs brackets, like [::1]:7000"))
        }
        Some((_, port)) if port.parse::<u16>().is_err() => {
            Some(format!("{port:?} in {text:?} is not a port, which is a number up to 65535"))
        }
        Some(_) => None,
    }
}
