//! Vectored transfers of files: what a step that follows a short one is, and what waits.

use super::*;
use crate::op::{FileFd, Fsync, ReadVectoredAt, WriteVectoredAt};
use crate::sys::errno::EINTR;

const READV: u8 = opcode::Readv::CODE;
const WRITEV: u8 = opcode::Writev::CODE;
const FSYNC: u8 = opcode::Fsync::CODE;

fn file(bench: &Bench) -> Rc<FileFd> {
    Rc::new(FileFd::new(&bench.driver, some_fd()))
}

#[test]
fn a_vectored_write_goes_on_within_the_buffer_where_a_short_step_has_ended() {
    let bench = Bench::new();
    let file = file(&bench);
    let parts = vec!["one", "", "two", "three"];
    let mut write = Op::new(file.driver(), WriteVectoredAt::all(&file, parts, 100));
    bench.start(&mut write);
    let expected = [vec![&b"one"[..], b"two", b"three"], vec![b"o", b"three"], vec![b"three"]];
    for (nth, (parts, written)) in expected.into_iter().zip([5, 1, 5]).enumerate() {
        assert_eq!(bench.ring.listed_segments(nth), parts);
        let offset = [100, 105, 106][nth];
        assert_eq!((bench.taken(nth).opcode(), bench.taken(nth).offset()), (WRITEV, offset));
        bench.ring.complete(nth, written, false);
        if nth < 2 {
            bench.turn();
            bench.start(&mut write);
        }
    }
    let (count, parts) = split(bench.end(&mut write));
    assert_eq!((count.unwrap(), parts), (11, vec!["one", "", "two", "three"]));
}

#[test]
fn a_vectored_read_that_is_interrupted_or_short_is_repeated_for_the_rest_alone() {
    let bench = Bench::new();
    let file = file(&bench);
    let parts = vec![vec![0; 2].into_boxed_slice(), vec![0; 3].into_boxed_slice()];
    let mut read = Op::new(file.driver(), ReadVectoredAt::exact(&file, parts, 0));
    bench.start(&mut read);
    bench.advance(&mut read, 0, -EINTR);
    assert_eq!(bench.ring.listed_segments(1), [&[0; 2][..], &[0; 3]]);
    bench.advance(&mut read, 1, 3);
    assert_eq!(bench.ring.listed_segments(2), [[0; 2]]);
    assert_eq!((bench.opcodes(), bench.taken(2).offset()), (vec![READV; 3], 3));
    bench.ring.complete(2, 0, false);
    let (result, parts) = split(bench.end(&mut read));
    assert_eq!(result.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    assert_eq!(parts.len(), 2);
}

#[test]
fn a_synchronisation_waits_for_a_dropped_vectored_write() {
    let bench = Bench::new();
    let file = file(&bench);
    bench.start_and_drop(Op::new(file.driver(), WriteVectoredAt::new(&file, vec!["text"], 0)));
    let mut sync = Op::new(file.driver(), Fsync::all(&file));
    bench.start(&mut sync);
    assert_eq!(bench.opcodes(), [WRITEV, CANCEL]);
    bench.advance(&mut sync, 0, 4);
    assert_eq!(bench.opcodes()[2..], [FSYNC]);
    bench.ring.complete(2, 0, false);
    bench.end(&mut sync).unwrap();
}
