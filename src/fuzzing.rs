//! What fuzzers feed: parsers, the buffered reader and the portable ring, under random bytes.
//!
//! Each target is a function of some bytes that panics if what it tests is wrong. Where it needs
//! what is private to a room, it is there, in a module `fuzz`; here are the list, which `fuzz/`
//! makes programs of, and the replay of the corpus, for stable compilers. Compiled only for tests
//! and by cargo-fuzz, which sets `cfg(fuzzing)`.

/// What is done with an input. It panics if it finds a fault.
pub type Target = fn(&[u8]);

/// The targets, by the name of their corpus.
pub const TARGETS: &[(&str, Target)] = &[
    ("reader", crate::io::fuzz::reader),
    #[cfg(feature = "codec")]
    ("codec", crate::codec::fuzz::codec),
    ("addresses", crate::net::fuzz::addresses),
    ("hosts", crate::net::fuzz_names::hosts),
    ("sockaddr", crate::sys::fuzz::sockaddr),
    ("control", crate::sys::fuzz::control),
    ("recvmsg", crate::sys::fuzz::recvmsg),
    ("inotify", crate::sys::fuzz::inotify),
    ("sqes", crate::sys::fuzz::sqes),
    ("environment", crate::service::fuzz::environment),
    ("cpus", crate::shards::fuzz::cpus),
];

/// Runs the target of this name.
///
/// # Panics
///
/// If there is none, and if what it tests is wrong.
pub fn run(name: &str, bytes: &[u8]) {
    let target = TARGETS.iter().find(|(of, _)| *of == name);
    target.unwrap_or_else(|| panic!("no target is called {name:?}")).1(bytes);
}

/// Each input also cut at the end and with a changed byte: several hundred inputs.
#[test]
#[cfg_attr(miri, ignore = "reads files, and takes long")]
fn the_corpus_of_every_target_passes() {
    let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let mut random = fastrand::Rng::with_seed(7);
    for (name, target) in TARGETS {
        let inputs = std::fs::read_dir(corpus.join(name));
        let inputs = inputs.unwrap_or_else(|error| panic!("the corpus of {name}: {error}"));
        for input in inputs {
            let path = input.unwrap().path();
            println!("{}", path.display());
            let bytes = std::fs::read(path).unwrap();
            target(&bytes);
            for _ in 0..20 {
                let mut changed = bytes[..random.usize(..=bytes.len())].to_vec();
                if !changed.is_empty() {
                    let place = random.usize(..changed.len());
                    changed[place] = random.u8(..);
                }
                target(&changed);
            }
        }
    }
}
