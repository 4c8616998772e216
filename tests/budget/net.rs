//! Of `annulus::net`.
