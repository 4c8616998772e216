//! A lease of each kind of memory, and how buffers return.

use std::thread;

use super::*;

fn returned(memory: &LeaseMemory) -> Vec<u16> {
    let mut numbers = Vec::new();
    memory.take_returned(|buffer| numbers.push(buffer));
    numbers
}

/// Buffers in memory of the allocator.
fn buffers(count: u16, size: usize) -> Arc<LeaseMemory> {
    let mut owner = vec![0_u8; usize::from(count) * size];
    let start = NonNull::new(owner.as_mut_ptr()).unwrap();
    // SAFETY: the vector owns the memory, and is not used otherwise.
    Arc::new(unsafe { LeaseMemory::new(start, count, size, Box::new(owner)) })
}

fn lend(memory: &Arc<LeaseMemory>, buffer: u16, content: &[u8]) -> Lease {
    let start = memory.address(buffer).as_ptr();
    // SAFETY: the tests lend each buffer only when it has no lease, and it is large enough.
    unsafe {
        start.copy_from_nonoverlapping(content.as_ptr(), content.len());
        memory.lend(buffer, content.len())
    }
}

#[test]
fn a_buffer_comes_back_with_its_last_lease() {
    let memory = buffers(4, 64);
    let mut rest = lend(&memory, 2, b"head body");
    let head = rest.split_to(5);
    let again = head.clone();
    drop((head, rest));
    assert!(!memory.has_returned());
    assert_eq!(&*again, b"head ");
    drop(again);
    assert!(memory.has_returned());
    assert_eq!(returned(&memory), [2]);
    assert!(returned(&memory).is_empty());
}

#[test]
fn bytes_are_the_same_memory_and_outlive_the_owner() {
    let memory = buffers(1, 64);
    let lease = lend(&memory, 0, b"kept");
    let start = lease.as_ptr();
    let bytes = Bytes::from(lease);
    let part = Bytes::slice(&bytes, 1..3);
    drop((bytes, memory));
    assert_eq!(&part[..], b"ep");
    assert_eq!(part.as_ptr(), start.wrapping_add(1));
}

#[test]
fn buffers_come_back_from_many_threads_at_once() {
    const BUFFERS: u16 = 64;
    let memory = buffers(BUFFERS, 64);
    for _ in 0..if cfg!(miri) { 2 } else { 50 } {
        let leases: Vec<_> = (0..BUFFERS).map(|n| lend(&memory, n, &[n as u8; 8])).collect();
        let halves = leases.clone();
        thread::scope(|scope| {
            for part in [leases, halves] {
                scope.spawn(move || {
                    for (n, lease) in part.into_iter().enumerate() {
                        assert_eq!(&*lease, [n as u8; 8]);
                    }
                });
            }
        });
        let mut numbers = returned(&memory);
        numbers.sort_unstable();
        assert_eq!(numbers, (0..BUFFERS).collect::<Vec<_>>());
    }
}

#[test]
fn the_bytes_of_the_only_lease_of_a_buffer_can_be_changed() {
    let memory = buffers(2, 64);
    let leases = [lend(&memory, 1, b"head BODY"), Lease::from(b"head BODY".to_vec())];
    for mut lease in leases {
        let head = lease.split_to(5);
        assert!(lease.get_mut().is_none());
        drop(thread::spawn(move || drop(head)).join());
        lease.get_mut().unwrap().make_ascii_lowercase();
        assert_eq!(&*lease, b"body");
        let clone = lease.clone();
        assert!(lease.get_mut().is_none());
        assert_eq!(&*clone, b"body");
    }
    assert!(Lease::from(Bytes::from_static(b"constant")).get_mut().is_none());
}

#[test]
fn a_lease_can_be_cut_from_both_ends() {
    let mut lease = Lease::from(b"0123456789".to_vec());
    lease.advance(2);
    lease.truncate(5);
    assert_eq!(&*lease, b"23456");
    lease.truncate(9);
    assert_eq!(lease.len(), 5);
    assert!(Lease::default().is_empty());
}

#[test]
#[should_panic(expected = "cannot split a lease of 3 bytes at 4")]
fn a_split_behind_the_end_panics() {
    let _ = Lease::from(vec![0; 3]).split_to(4);
}
