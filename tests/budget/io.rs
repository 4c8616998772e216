//! Of `annulus::io`.
