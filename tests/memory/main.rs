//! Memory: what the kernel may touch and when, what is allocated, and what is kept.
//!
//! The binary's allocator counts for each thread what it allocates and holds.

#[path = "../common/mod.rs"]
mod common;

mod allocations;
mod allocator;
mod file_allocations;
mod guard_pages;
mod panicking_buffers;
mod pinned_memory;
mod shards;
mod shrinking;
