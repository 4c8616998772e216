//! Random numbers, with a seed that a failing test shows and that can be set to see it fail again.

/// A generator whose seed is printed, or taken from `ANNULUS_SEED`. What races with the kernel is
/// not repeated by it, only what the test asks for.
pub(crate) fn seeded() -> fastrand::Rng {
    let seed = match std::env::var("ANNULUS_SEED") {
        Ok(text) => text.parse().expect("ANNULUS_SEED is a number"),
        Err(_) => fastrand::u64(..),
    };
    println!("ANNULUS_SEED={seed}");
    fastrand::Rng::with_seed(seed)
}
