"""The parts of ci/kernels: what is booted, and what comes of it."""
