//! Reads into several buffers as operations of a chain.

use std::fs;
use std::io::ErrorKind;

use annulus::buf::{BufResult, IoBuf, Slice};
use annulus::fs::File;
use annulus::fs::chain::Reason;

use crate::chain::reason;
use crate::common::directory::Directory;
use crate::common::memory::{LARGEST, Pool};
use crate::common::poll::times;
use crate::{STAGES, run, writable};

#[test]
fn a_read_into_several_buffers_is_one_operation_of_a_chain() {
    let directory = Directory::new();
    let path = directory.file("file", "0123456789");
    run(async || {
        let file = writable(&path);
        let room = |bytes: usize| b"....".to_vec().slice(1..1 + bytes);
        let chain = file.chain().write_at("ab", 2);
        let chain = chain.read_vectored_at(vec![room(1), room(0), room(3)], 1);
        let chain = chain.read_exact_vectored_at(vec![vec![0; 4], vec![], vec![0; 2]], 4);
        let (written, some, BufResult(all, last), next) = chain.write_at("!", 0).run().await;
        assert_eq!((written.0.unwrap(), next.0.unwrap()), (2, 1));
        let BufResult(count, parts) = some;
        let parts: Vec<_> = parts.into_iter().map(Slice::into_inner).collect();
        assert_eq!((count.unwrap(), parts.concat()), (4, b".1.......ab4".to_vec()));
        all.unwrap();
        assert_eq!(last, [&b"4567"[..], b"", b"89"]);
        // No room is no reason to sever the chain.
        let chain = file.chain().read_vectored_at(vec![Vec::new(); 2], 0);
        let chain = chain.read_exact_vectored_at(Vec::<Vec<u8>>::new(), 0).sync_data();
        let (BufResult(count, _), BufResult(read, _), synced) = chain.run().await;
        assert_eq!(count.unwrap(), 0);
        read.and(synced).unwrap();
    });
    assert_eq!(fs::read(&path).unwrap(), b"!1ab456789");
}

#[test]
fn a_read_into_several_buffers_that_meets_the_end_of_the_file_severs_its_chain() {
    let directory = Directory::new();
    let path = directory.file("file", "content");
    run(async || {
        let file = writable(&path);
        let chain = file.chain().read_vectored_at(vec![vec![7; 4]; 3], 0).append("C");
        let (BufResult(count, parts), appended) = chain.run().await;
        assert_eq!((count.unwrap(), parts), (7, vec![b"cont".to_vec(), b"ent".into(), vec![]]));
        assert_eq!(reason(&appended.0.unwrap_err()), Some((0, Reason::Short)));
        let chain = file.chain().read_exact_vectored_at(vec![vec![0; 4]; 2], 0).append("C");
        let (BufResult(read, parts), appended) = chain.run().await;
        let error = read.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
        assert!(error.to_string().contains("1 bytes before the end"), "{error}");
        assert_eq!(parts, [&b"cont"[..], b"ent"]);
        assert_eq!(reason(&appended.0.unwrap_err()), Some((0, Reason::Short)));
    });
    assert_eq!(fs::read(&path).unwrap(), b"content");
}

#[test]
fn a_read_into_several_buffers_behind_a_failure_is_not_carried_out_and_keeps_them() {
    let directory = Directory::new();
    let path = directory.file("file", "content");
    run(async || {
        let file = File::from_std(fs::OpenOptions::new().write(true).open(&path).unwrap());
        let parts = || vec![vec![7; 3], vec![8]];
        let chain = file.chain().write_at("C", 0).read_vectored_at(parts(), 0);
        let chain = chain.read_exact_vectored_at(parts(), 0).read_vectored_at(parts(), 0);
        let (written, BufResult(failed, first), BufResult(second, kept), last) = chain.run().await;
        assert_eq!(written.0.unwrap(), 1);
        assert_eq!(annulus::raw_os_error(&failed.unwrap_err()), Some(9), "EBADF");
        assert_eq!(reason(&second.unwrap_err()), Some((1, Reason::Failed)));
        assert_eq!(reason(&last.0.unwrap_err()), Some((1, Reason::Failed)));
        assert_eq!([first, kept, last.1], [parts(), parts(), parts()]);
        // Refused without the kernel.
        let chain = file.chain().read_vectored_at(parts(), 1 << 63).write_at("X", 0);
        let (BufResult(refused, kept), written) = chain.run().await;
        assert_eq!((refused.unwrap_err().kind(), kept), (ErrorKind::InvalidInput, parts()));
        assert_eq!(reason(&written.0.unwrap_err()), Some((0, Reason::Failed)));
        let (refused,) = file.chain().read_exact_vectored_at(parts(), u64::MAX).run().await;
        assert_eq!((refused.0.unwrap_err().kind(), refused.1), (ErrorKind::InvalidInput, parts()));
    });
    assert_eq!(fs::read(&path).unwrap(), b"Content");
}

/// More buffers than one SQE takes: the kernel sees a whole read, and would go on with the next
/// operation.
#[test]
fn more_buffers_than_one_submission_takes_are_read_before_what_follows_or_sever_the_chain() {
    const MANY: usize = 1500;
    let directory = Directory::new();
    let path = directory.file("file", "ab".repeat(MANY));
    run(async || {
        let file = writable(&path);
        let room = || vec![vec![0; 2]; MANY];
        let chain = file.chain().read_vectored_at(room(), 0).write_at("not", 0);
        let (BufResult(count, parts), BufResult(next, buffer)) = chain.run().await;
        assert_eq!((count.unwrap(), parts.concat().len()), (2048, 2048));
        assert_eq!((reason(&next.unwrap_err()), buffer), (Some((0, Reason::Short)), "not"));
        // Its second step would see the write behind it.
        let end = 2 * MANY as u64 - 2;
        let chain = file.chain().read_exact_vectored_at(room(), 0).write_at("xy", end);
        let (BufResult(read, parts), written) = chain.run().await;
        read.unwrap();
        assert_eq!(written.0.unwrap(), 2);
        assert!(parts.concat() == b"ab".repeat(MANY));
    });
    let expected = ["ab".repeat(MANY - 1), "xy".to_owned()].concat();
    assert_eq!(fs::read_to_string(&path).unwrap(), expected);
}

#[test]
fn a_dropped_chain_of_vectored_reads_keeps_their_buffers_and_loses_no_bytes() {
    let directory = Directory::new();
    let path = directory.file("file", vec![0x5a; 3 * LARGEST]);
    let pool = Pool::new(128);
    run(async || {
        let file = writable(&path);
        for polls in STAGES {
            for _ in 0..4 {
                let parts = (0..3).map(|_| pool.take(LARGEST)).collect();
                let chain = file.chain().read_vectored_at(parts, 0);
                let chain = chain.read_exact_vectored_at(vec![pool.take(LARGEST)], 0);
                let chain = chain.write_all_at(pool.filled(LARGEST, 0x5a), 0);
                drop(times(polls, chain.run()).await);
                pool.verify();
            }
            let BufResult(read, bytes) = file.read_exact_at(vec![0; 3 * LARGEST], 0).await;
            read.unwrap();
            assert!(bytes.iter().all(|&byte| byte == 0x5a));
        }
    });
    assert_eq!(pool.alive(), 0);
    pool.verify();
}
