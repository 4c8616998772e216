//! Registered buffers: what an SQE names, on which ring, and how long the memory is registered.

use std::cell::RefCell;
use std::num::NonZeroUsize;
use std::sync::Mutex;

use super::*;
use crate::buf::{IoBuf, RegisteredBuf, RegisteredBuffers};
use crate::driver::RegisteredMemory;
use crate::op::{FileFd, ReadAt, WriteAt};
use crate::sys::errno::{EINVAL, ENOMEM};

const READ: u8 = opcode::Read::CODE;
const READ_FIXED: u8 = opcode::ReadFixed::CODE;
const WRITE_FIXED: u8 = opcode::WriteFixed::CODE;

const SIZE: usize = 4096;

fn file(bench: &Bench) -> Rc<FileFd> {
    Rc::new(FileFd::new(&bench.driver, some_fd()))
}

fn set(bench: &Bench, count: usize) -> RegisteredBuffers {
    let stride = NonZeroUsize::new(SIZE).unwrap();
    let length = NonZeroUsize::new(count * SIZE).unwrap();
    let memory = RegisteredMemory::new(&bench.driver, length, stride).unwrap();
    RegisteredBuffers::of(Box::new(memory), SIZE, SIZE)
}

fn buffer(set: &RegisteredBuffers) -> RegisteredBuf {
    set.try_get().expect("a buffer is free")
}

/// How many slots of the table have memory.
fn filled(bench: &Bench) -> usize {
    bench.ring.script().registered.iter().flatten().count()
}

#[test]
fn a_read_and_a_write_of_a_registered_buffer_name_its_slot() {
    let bench = Bench::new();
    let file = file(&bench);
    let sets = [set(&bench, 1), set(&bench, 3)];
    let (start, length) = bench.ring.script().registered[1].expect("the second set's");
    assert_eq!(length, 3 * SIZE);
    let _first = buffer(&sets[1]);
    let mut second = buffer(&sets[1]);
    second.extend_from_slice(b"0123456789");
    let mut write = Op::new(file.driver(), WriteAt::new(&file, second.slice(3..8), 7));
    bench.start(&mut write);
    let sqe = bench.taken(0);
    assert_eq!((bench.opcodes(), sqe.buffer_index(), sqe.offset()), (vec![WRITE_FIXED], 1, 7));
    assert_eq!((sqe.address() as usize, sqe.length()), (start + SIZE + 3, 5));
    bench.ring.complete(0, 5, false);
    let second = bench.end(&mut write).1.into_inner();
    let mut read = Op::new(file.driver(), ReadAt::new(&file, second, 0));
    bench.start(&mut read);
    let sqe = bench.taken(1);
    assert_eq!((sqe.opcode(), sqe.buffer_index()), (READ_FIXED, 1));
    bench.ring.receive(1, b"read");
    let (count, second) = split(bench.end(&mut read));
    assert_eq!((count.unwrap(), &*second), (4, &b"read"[..]));
}

/// There its index is of other memory, or of none.
#[test]
fn a_registered_buffer_is_ordinary_memory_on_another_ring() {
    let (home, away) = (Bench::new(), Bench::new());
    let (home_set, away_set) = (set(&home, 1), set(&away, 1));
    let file = file(&away);
    let mut read = Op::new(file.driver(), ReadAt::new(&file, buffer(&home_set), 0));
    away.start(&mut read);
    assert_eq!(away.opcodes(), [READ]);
    away.ring.receive(0, b"read");
    assert_eq!(&*away.end(&mut read).1, b"read");
    let mut read = Op::new(file.driver(), ReadAt::new(&file, buffer(&away_set), 0));
    away.start(&mut read);
    assert_eq!(away.opcodes()[1], READ_FIXED);
    away.complete(1, 0);
}

/// The race: the set and the read's future are dropped while the kernel fills the buffer.
#[test]
fn a_set_is_registered_until_its_last_buffer_has_left_the_kernel() {
    let bench = Bench::new();
    let file = file(&bench);
    let set = set(&bench, 2);
    let (used, unused) = (buffer(&set), buffer(&set));
    let mut read = Op::new(file.driver(), ReadAt::new(&file, used, 0));
    bench.start(&mut read);
    drop(set);
    drop(read);
    drop(unused);
    bench.turn();
    assert_eq!(filled(&bench), 1);
    // The memory is mapped still.
    bench.ring.receive(0, &[7; SIZE]);
    bench.turn();
    assert_eq!(filled(&bench), 0);
}

#[test]
fn a_buffer_of_a_dropped_read_returns_to_its_set_when_the_read_has_completed() {
    let bench = Bench::new();
    let file = file(&bench);
    let set = set(&bench, 1);
    let read = Op::new(file.driver(), ReadAt::new(&file, buffer(&set), 0));
    bench.start_and_drop(read);
    assert!(set.try_get().is_none());
    bench.complete(0, 5);
    assert_eq!(buffer(&set).len(), 0, "what it held is not to be seen");
}

#[test]
fn a_set_that_the_kernel_refuses_is_ordinary_memory_and_its_slot_stays_free() {
    let incidents = Arc::new(Mutex::new(Vec::new()));
    let reported = Arc::clone(&incidents);
    let hook = Arc::new(move |incident: &crate::error::Incident| {
        reported.lock().unwrap().push(incident.to_string());
    });
    let bench = Bench::with_hook(Bypasses::default(), hook);
    let file = file(&bench);
    bench.ring.script().registration_errors.extend([ENOMEM; 3]);
    let refused = set(&bench, 2);
    assert!(!refused.is_registered());
    let incident = incidents.lock().unwrap().pop().unwrap();
    for part in ["8192 bytes", "os error 12", "ulimit -l", "LimitMEMLOCK="] {
        assert!(incident.contains(part), "{incident}");
    }
    let mut read = Op::new(file.driver(), ReadAt::new(&file, buffer(&refused), 0));
    bench.start(&mut read);
    assert_eq!(bench.opcodes(), [READ]);
    bench.complete(0, 0);
    // What others have given back is credited after a while.
    bench.ring.script().registration_errors.extend([ENOMEM; 2]);
    let registered = set(&bench, 1);
    assert!(registered.is_registered() && bench.ring.script().registered[0].is_some());
    bench.ring.script().registration_errors.push_back(EINVAL);
    assert!(!set(&bench, 1).is_registered());
    assert_eq!(incidents.lock().unwrap().len(), 1);
}

#[test]
fn a_set_may_outlive_its_ring() {
    let bench = Bench::new();
    let set = set(&bench, 1);
    let mut kept = buffer(&set);
    bench.driver.close(std::time::Duration::ZERO);
    kept.extend_from_slice(b"memory still");
    drop(kept);
    let again = RefCell::new(buffer(&set));
    again.borrow_mut().extend_from_slice(b"and again");
    drop(set);
    assert_eq!(&**again.borrow(), b"and again");
}
