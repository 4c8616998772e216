//! The numbers of signals, their names, and which of them can be caught.

use std::io;

pub(crate) use libc::{
    SIGALRM, SIGCHLD, SIGHUP, SIGINT, SIGIO, SIGKILL, SIGPIPE, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2,
    SIGWINCH,
};
use libc::{SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSTOP, c_int};

/// Signals have numbers below this.
pub(super) const SIGNALS_END: usize = 65;

/// The first number of a real-time signal to the kernel. The C library uses the first ones itself.
const FIRST_REAL_TIME: c_int = 32;

/// The number of a real-time signal, counted from `SIGRTMIN`. It may be above all signals.
pub(crate) fn real_time(offset: u8) -> c_int {
    libc::SIGRTMIN() + c_int::from(offset)
}

/// The name of a signal, such as `SIGHUP` or `SIGRTMIN+1`.
pub(crate) fn name(signal: c_int) -> String {
    const NAMES: [&str; 31] = [
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2",
        "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG",
        "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
    ];
    let position = usize::try_from(signal).ok().and_then(|number| number.checked_sub(1));
    // MIPS and SPARC have other numbers.
    let has_usual_numbers = SIGUSR1 == 10 && SIGCHLD == 17 && SIGIO == 29;
    match position.and_then(|index| NAMES.get(index)).filter(|_| has_usual_numbers) {
        Some(name) => format!("SIG{name}"),
        None if signal == libc::SIGRTMIN() => "SIGRTMIN".to_owned(),
        None if signal > libc::SIGRTMIN() && signal <= libc::SIGRTMAX() => {
            format!("SIGRTMIN+{}", signal - libc::SIGRTMIN())
        }
        None => format!("signal {signal}"),
    }
}

/// Refuses a number that no listener can have.
///
/// # Errors
///
/// `InvalidInput`.
pub(crate) fn expect_catchable(signal: c_int) -> io::Result<()> {
    let reason = match signal {
        SIGKILL | SIGSTOP => "the kernel lets no process catch it",
        SIGSEGV | SIGBUS | SIGFPE | SIGILL => {
            "it reports a fault of the running thread, which would fault again after the handler"
        }
        _ if (FIRST_REAL_TIME..libc::SIGRTMIN()).contains(&signal) => {
            "the C library uses it itself; SIGRTMIN is the first real-time signal for programs"
        }
        _ if signal < 1 || signal > libc::SIGRTMAX() => "there is no such signal",
        _ => return Ok(()),
    };
    let text = format!("cannot listen for {}: {reason}", name(signal));
    Err(io::Error::new(io::ErrorKind::InvalidInput, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_signal_that_the_kernel_lets_a_process_catch_is_taken_but_faults() {
        let refused: Vec<_> = (0..=66).filter(|&one| expect_catchable(one).is_err()).collect();
        assert_eq!(refused, [0, SIGILL, SIGBUS, SIGFPE, SIGKILL, SIGSEGV, SIGSTOP, 32, 33, 65, 66]);
    }

    #[test]
    fn signals_have_the_names_of_the_manual() {
        let named = [SIGHUP, SIGCHLD, SIGWINCH, libc::SIGSYS, real_time(0), real_time(30), 33];
        let names = ["SIGHUP", "SIGCHLD", "SIGWINCH", "SIGSYS", "SIGRTMIN", "SIGRTMIN+30"];
        assert_eq!(named.map(name)[..6], names);
        assert_eq!(name(33), "signal 33");
    }
}
