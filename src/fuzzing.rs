//! Parsers and the buffered reader, under a corpus of inputs and random changes of them.
//!
//! Each target is a function of some bytes that panics if what it tests is wrong, as fuzzers call
//! it. Where it needs what is private to a room, it is there, in a module `fuzz`. The corpus is in
//! `fuzz/corpus/`.

use std::fs;
use std::path::Path;

/// The targets, by the name of their corpus.
const TARGETS: &[(&str, fn(&[u8]))] = &[
    ("reader", crate::io::fuzz::reader),
    #[cfg(feature = "codec")]
    ("codec", crate::codec::fuzz::codec),
    ("addresses", crate::net::fuzz::addresses),
    ("hosts", crate::net::fuzz_names::hosts),
    ("sockaddr", crate::sys::fuzz::sockaddr),
    ("control", crate::sys::fuzz::control),
    ("recvmsg", crate::sys::fuzz::recvmsg),
    ("inotify", crate::sys::fuzz::inotify),
    ("environment", crate::service::fuzz::environment),
    ("cpus", crate::shards::fuzz::cpus),
];

/// Each input also cut at the end and with a changed byte: several hundred inputs.
#[test]
#[cfg_attr(miri, ignore = "reads files, and takes long")]
fn the_corpus_of_every_target_passes() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let mut random = fastrand::Rng::with_seed(7);
    for (name, target) in TARGETS {
        let inputs = fs::read_dir(corpus.join(name));
        let inputs = inputs.unwrap_or_else(|error| panic!("the corpus of {name}: {error}"));
        for input in inputs {
            let path = input.unwrap().path();
            println!("{}", path.display());
            let bytes = fs::read(path).unwrap();
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
