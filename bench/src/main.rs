//! The benchmark harness: not built yet. It only says so, so that nobody takes silence for a result.

fn main() {
    eprintln!("annulus-bench has no scenarios yet");
    std::process::exit(2);
}
