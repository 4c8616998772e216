//! Of `annulus::time`.
