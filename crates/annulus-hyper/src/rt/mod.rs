//! hyper's traits of a runtime: I/O, an executor and a timer.

mod executor;
mod io;
mod timer;

pub use executor::Executor;
pub use io::Io;
pub use timer::Timer;
