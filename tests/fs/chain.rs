//! Chains on the kernel: what they do to a file, what severs them, and what a dropped one leaves.

use std::fs;
use std::io::ErrorKind;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use annulus::Runtime;
use annulus::buf::BufResult;
use annulus::fs::chain::Reason;
use annulus::fs::{Chain, File, NotRun, OpenOptions};
use annulus::join::gather;

use crate::common::bounded::bounded;
use crate::common::directory::Directory;
use crate::common::memory::{LARGEST, Pool};
use crate::common::poll::{once, times};
use crate::common::skip::{build_or_skip, needs_kernel_ring, skip};
use crate::{STAGES, run, writable};

/// A file in memory that does not grow: writes are short at its end.
fn full_file(length: usize) -> File {
    // SAFETY: the name is a C string.
    let fd = unsafe { libc::memfd_create(c"full".as_ptr(), libc::MFD_ALLOW_SEALING) };
    assert!(fd >= 0);
    // SAFETY: the descriptor is new.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    let file = fs::File::from(fd);
    file.set_len(length as u64).unwrap();
    // SAFETY: a call without pointers.
    assert_eq!(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, libc::F_SEAL_GROW) }, 0);
    File::from_std(file)
}

pub(crate) fn reason(error: &std::io::Error) -> Option<(usize, Reason)> {
    NotRun::of(error).map(|not_run| (not_run.link(), not_run.reason()))
}

#[test]
fn a_write_and_its_synchronisation_are_one_result() {
    let directory = Directory::new();
    let path = directory.join("log");
    run(async || {
        let file = File::create(&path).await.unwrap();
        let BufResult(count, buffer) = file.write_at("0123", 0).then_sync_data().await;
        assert_eq!((count.unwrap(), buffer), (4, "0123"));
        let BufResult(written, buffer) = file.write_all_at("45", 4).then_sync_all().await;
        written.unwrap();
        assert_eq!(buffer, "45");
        file.append("67").then_sync_data().await.0.unwrap();
        file.append("").then_sync_data().await.0.unwrap();
    });
    assert_eq!(fs::read(&path).unwrap(), b"01234567");
}

#[test]
fn each_operation_of_a_chain_has_its_result() {
    let directory = Directory::new();
    let path = directory.file("file", "content");
    run(async || {
        let file = writable(&path);
        let chain = file.chain().write_at("C", 0).read_exact_at(vec![0; 7], 0).append("s");
        let chain = chain.sync_data().read_at(vec![0; 8], 0).write_all_at("!", 8).sync_all();
        let (first, BufResult(read, seen), appended, synced, again, last, all) = chain.run().await;
        assert_eq!(first.0.unwrap(), 1);
        read.unwrap();
        assert_eq!(seen, b"Content");
        appended.0.unwrap();
        synced.unwrap();
        assert_eq!((again.0.unwrap(), again.1), (8, b"Contents".to_vec()));
        last.0.unwrap();
        all.unwrap();
    });
    assert_eq!(fs::read(&path).unwrap(), b"Contents!");
}

#[test]
fn what_follows_a_failure_is_not_carried_out_and_keeps_its_buffer() {
    let directory = Directory::new();
    let path = directory.file("file", "content");
    run(async || {
        let file = File::open(&path).await.unwrap();
        let chain = file.chain().read_exact_at(vec![0; 7], 0).write_at("text", 0);
        let (read, written, BufResult(last, buffer)) = chain.read_at(vec![7; 3], 0).run().await;
        read.0.unwrap();
        assert_eq!(annulus::raw_os_error(&written.0.unwrap_err()), Some(9), "EBADF");
        let error = last.unwrap_err();
        assert_eq!(reason(&error), Some((1, Reason::Failed)));
        assert_eq!(error.to_string(), "not carried out: operation 1 of the chain failed");
        assert_eq!(buffer, [7; 3]);
        let BufResult(result, buffer) = file.write_at("text", 0).then_sync_data().await;
        assert_eq!(annulus::raw_os_error(&result.unwrap_err()), Some(9), "EBADF");
        assert_eq!(buffer, "text");
    });
}

#[test]
fn a_read_that_meets_the_end_of_the_file_severs_its_chain() {
    let directory = Directory::new();
    let path = directory.file("file", "content");
    run(async || {
        let file = writable(&path);
        let (read, written) = file.chain().read_at(vec![0; 99], 0).write_at("C", 0).run().await;
        assert_eq!(read.0.unwrap(), 7);
        assert_eq!(reason(&written.0.unwrap_err()), Some((0, Reason::Short)));
        let (read, written) = file.chain().read_exact_at(vec![0; 8], 0).append("C").run().await;
        assert_eq!(read.0.unwrap_err().kind(), ErrorKind::UnexpectedEof);
        assert_eq!(reason(&written.0.unwrap_err()), Some((0, Reason::Short)));
    });
    assert_eq!(fs::read(&path).unwrap(), b"content");
}

#[test]
fn a_short_write_says_how_much_is_durable_and_an_exact_one_goes_on() {
    run(async || {
        let file = full_file(4096);
        let BufResult(count, buffer) = file.write_at(vec![1; 8192], 0).then_sync_data().await;
        assert_eq!((count.unwrap(), buffer.len()), (4096, 8192));
        let (written, synced) = file.chain().write_at(vec![1; 8192], 0).sync_data().run().await;
        assert_eq!(written.0.unwrap(), 4096);
        assert_eq!(reason(&synced.unwrap_err()), Some((0, Reason::Short)));
        // The rest is tried, and fails by itself.
        let written = file.write_all_at(vec![1; 8192], 0).then_sync_data().await;
        assert_eq!(written.0.unwrap_err().kind(), ErrorKind::PermissionDenied);
    });
}

#[test]
fn several_buffers_are_one_operation_of_a_chain() {
    let directory = Directory::new();
    let path = directory.file("file", "");
    run(async || {
        let file = writable(&path);
        let chain = file.chain().write_all_vectored_at(vec!["head, ", "", "body"], 0);
        let chain = chain.write_vectored_at(vec!["!", "?"], 10).sync_data();
        let (all, some, synced) = chain.run().await;
        all.0.unwrap();
        assert_eq!(some.0.unwrap(), 2);
        synced.unwrap();
    });
    assert_eq!(fs::read(&path).unwrap(), b"head, body!?");
}

/// More buffers than one SQE takes: the kernel sees a whole write, and would go on with the next
/// operation.
#[test]
fn more_buffers_than_one_submission_takes_are_written_before_what_follows_or_sever_the_chain() {
    const MANY: usize = 1500;
    let directory = Directory::new();
    let path = directory.file("file", "");
    run(async || {
        let file = writable(&path);
        let chain = file.chain().write_all_vectored_at(vec!["ab"; MANY], 0);
        let (written, read) = chain.read_exact_at(vec![0; 2 * MANY], 0).run().await;
        written.0.unwrap();
        read.0.unwrap();
        assert_eq!(read.1, b"ab".repeat(MANY));
        let chain = file.chain().write_vectored_at(vec!["xy"; MANY], 0).write_at("not", 0);
        let (written, BufResult(next, buffer)) = chain.run().await;
        assert_eq!((written.0.unwrap(), written.1.len()), (2048, MANY));
        assert_eq!((reason(&next.unwrap_err()), buffer), (Some((0, Reason::Short)), "not"));
    });
    assert_eq!(
        fs::read(&path).unwrap(),
        ["xy".repeat(1024), "ab".repeat(MANY - 1024)].concat().as_bytes()
    );
    run(async || {
        let file = full_file(4096);
        let chain = file.chain().write_vectored_at(vec![vec![1; 4096]; 2], 0).sync_data();
        let (written, synced) = chain.run().await;
        assert_eq!(written.0.unwrap(), 4096);
        assert_eq!(reason(&synced.unwrap_err()), Some((0, Reason::Short)));
        let chain = file.chain().write_at("x", 1 << 63).write_all_vectored_at(vec!["a", "b"], 0);
        let (refused, BufResult(written, buffers)) = chain.run().await;
        assert!(refused.0.is_err());
        assert_eq!(reason(&written.unwrap_err()), Some((0, Reason::Failed)));
        assert_eq!(buffers, ["a", "b"]);
        let chain = file.chain().write_all_vectored_at(vec!["a", "b"], 1 << 63);
        let BufResult(written, buffers) = chain.run().await.0;
        assert!(written.is_err());
        assert_eq!(buffers, ["a", "b"]);
    });
}

/// A FIFO cannot be synchronised, and the kernel does not sever a chain for that.
#[test]
fn nothing_is_written_behind_a_synchronisation_that_fails() {
    let directory = Directory::new();
    let path = directory.join("fifo");
    let name = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
    // SAFETY: the name is a C string.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    run(async || {
        let file = writable(&path);
        let chain = file.chain().append("first").sync_data().append("second");
        let (first, synced, BufResult(second, buffer)) = chain.run().await;
        first.0.unwrap();
        assert_eq!(synced.unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(reason(&second.unwrap_err()), Some((1, Reason::Failed)));
        assert_eq!(buffer, "second");
        let BufResult(count, _) = file.read_at(Vec::with_capacity(99), 0).await;
        assert_eq!(count.unwrap(), 5);
        // With a close at its end, which is not held back.
        let chain = Chain::open(&path, OpenOptions::new().read(true).write(true));
        let chain = chain.append("third").sync_all();
        let (opened, third, synced, closed) = chain.close().await;
        opened.and(third.0).and(closed).unwrap();
        assert_eq!(synced.unwrap_err().kind(), ErrorKind::InvalidInput);
        let BufResult(count, _) = file.read_at(Vec::with_capacity(99), 0).await;
        assert_eq!(count.unwrap(), 5);
    });
}

#[test]
fn an_offset_that_no_file_has_severs_the_chain_before_the_kernel_sees_it() {
    let directory = Directory::new();
    let path = directory.file("file", "content");
    run(async || {
        let file = writable(&path);
        let written = file.write_at("text", u64::MAX).then_sync_data().await;
        assert_eq!(written.0.unwrap_err().kind(), ErrorKind::InvalidInput);
        let chain = file.chain().write_at("C", 0).write_all_at("text", 1 << 63).sync_all();
        let (first, second, synced) = chain.run().await;
        assert_eq!(first.0.unwrap(), 1);
        assert_eq!(second.0.unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(reason(&synced.unwrap_err()), Some((1, Reason::Failed)));
    });
    assert_eq!(fs::read(&path).unwrap(), b"Content");
}

#[test]
#[should_panic(expected = "link what follows before the future is polled")]
fn a_synchronisation_is_not_linked_to_a_write_that_has_begun() {
    let directory = Directory::new();
    let path = directory.file("file", "content");
    run(async || {
        let file = writable(&path);
        let mut write = file.write_at("text", 0);
        assert!(once(std::pin::Pin::new(&mut write)).await.is_pending());
        drop(write.then_sync_data());
    });
}

/// Each record names its place: one that is overwritten, lost or torn is found.
fn chains_write_their_records(runtime: &Runtime, path: &Path) {
    const RECORDS: usize = 64;
    runtime.block_on(async {
        let file = File::create(path).await.unwrap();
        let chains = (0..RECORDS).map(|at| {
            let record = |part| format!("{at:03}{part}").into_bytes();
            let (head, tail) = ((8 * at) as u64, (8 * at + 4) as u64);
            file.chain().write_at(record('a'), head).write_at(record('b'), tail).sync_data().run()
        });
        for (head, tail, synced) in gather(chains.collect::<Vec<_>>()).await {
            assert_eq!((head.0.unwrap(), tail.0.unwrap()), (4, 4));
            synced.unwrap();
        }
    });
    let expected: String = (0..RECORDS).map(|at| format!("{at:03}a{at:03}b")).collect();
    assert_eq!(fs::read_to_string(path).unwrap(), expected);
}

#[test]
fn more_chains_than_the_submission_queue_holds_are_all_carried_out() {
    let directory = Directory::new();
    bounded(|| {
        // The first is longer than the queue, and no number of them fills the others.
        for entries in [2, 4, 16] {
            let runtime = Runtime::builder().sq_entries(entries).build().unwrap();
            chains_write_their_records(&runtime, &directory.join(entries.to_string()));
        }
    });
}

#[test]
fn a_kernel_thread_that_submits_carries_chains_out_whole() {
    if needs_kernel_ring("only the kernel has a submission thread") {
        return;
    }
    let directory = Directory::new();
    bounded(|| {
        let builder = Runtime::builder().sqpoll(Duration::from_millis(5)).sq_entries(16);
        chains_write_their_records(&builder.build().unwrap(), &directory.join("file"));
    });
}

#[test]
fn a_dropped_chain_keeps_its_buffers_and_later_synchronisations_wait_for_all_of_it() {
    let directory = Directory::new();
    let path = directory.file("file", vec![0; 2 * LARGEST]);
    let pool = Pool::new(64);
    run(async || {
        let file = writable(&path);
        for polls in STAGES {
            for _ in 0..8 {
                let chain = file.chain().write_all_at(pool.filled(LARGEST, 0x5a), 0).sync_data();
                let chain = chain.write_all_at(pool.filled(LARGEST, 0xa5), LARGEST as u64);
                drop(times(polls, chain.sync_data().run()).await);
                pool.verify();
            }
            file.sync_all().await.unwrap();
            assert_eq!(pool.alive(), 0, "no write is in the kernel any more, or will be");
            let content = fs::read(&path).unwrap();
            let (first, second) = content.split_at(LARGEST);
            let is_written = second.contains(&0xa5);
            assert!(!is_written || first.iter().all(|&byte| byte == 0x5a), "out of order");
        }
    });
    pool.verify();
}

#[test]
fn a_runtime_that_ends_over_chains_waits_for_the_kernel_to_release_their_buffers() {
    let directory = Directory::new();
    let path = directory.file("file", "");
    let pool = Pool::new(64);
    for polls in STAGES {
        run(async || {
            let file = writable(&path);
            for at in 0..4 {
                let chain = file.chain().write_all_at(pool.filled(LARGEST, 1), at).sync_data();
                annulus::spawn(chain.append(pool.filled(LARGEST, 2)).run());
            }
            annulus::spawn(file.write_at(pool.filled(LARGEST, 3), 0).then_sync_all());
            for _ in 0..polls {
                annulus::yield_now().await;
            }
        });
        assert_eq!(pool.alive(), 0);
        pool.verify();
    }
}

/// With direct descriptors, and without.
fn on_both(test: &impl AsyncFn(&Directory)) {
    bounded(|| {
        for slots in [0, 2] {
            let builder = Runtime::builder().direct_descriptors(slots);
            let Some(runtime) = build_or_skip(builder) else { continue };
            let directory = Directory::new();
            runtime.block_on(test(&directory));
            let open = runtime.block_on(async { annulus::metrics().direct_descriptors });
            assert_eq!(open > 0, slots > 0);
        }
    });
}

#[test]
fn a_file_is_opened_read_and_closed_by_a_chain_as_often_as_is_wished() {
    on_both(&async |directory: &Directory| {
        let path = directory.file("file", "content");
        // More often than there are slots.
        for _ in 0..5 {
            let chain = Chain::open(&path, OpenOptions::new().read(true));
            let reading = chain.read_at(Vec::with_capacity(64), 0).close();
            let (opened, BufResult(count, content), closed) = reading.await;
            opened.unwrap();
            assert_eq!((count.unwrap(), content), (7, b"content".to_vec()));
            closed.unwrap();
        }
    });
}

#[test]
fn a_file_is_created_written_synchronised_and_closed_by_a_chain() {
    on_both(&async |directory: &Directory| {
        let path = directory.join("new");
        let chain = Chain::open(&path, OpenOptions::new().write(true).create_new(true));
        let chain = chain.write_all_at("head", 0).write_all_at("body", 4).sync_all();
        let (opened, head, body, synced, closed) = chain.close().await;
        opened.and(head.0).and(body.0).and(synced).and(closed).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"headbody");
    });
}

#[test]
fn a_chain_whose_open_fails_says_so_and_does_nothing_else() {
    on_both(&async |directory: &Directory| {
        let chain = Chain::open(directory.join("none"), OpenOptions::new().read(true));
        let (opened, BufResult(read, buffer), closed) = chain.read_at(vec![7], 0).close().await;
        let error = opened.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.to_string().contains("none"), "{error}");
        assert_eq!(reason(&read.unwrap_err()), Some((0, Reason::Failed)));
        assert_eq!((buffer, reason(&closed.unwrap_err())), (vec![7], Some((0, Reason::Failed))));
        // What the kernel is not asked at all.
        for chain in [
            Chain::open("zero\0byte", OpenOptions::new().read(true)),
            Chain::open(directory.path(), &OpenOptions::new()),
        ] {
            let (opened, closed) = chain.close().await;
            assert_eq!(opened.unwrap_err().kind(), ErrorKind::InvalidInput);
            assert_eq!(reason(&closed.unwrap_err()), Some((0, Reason::Failed)));
        }
        // A write to a file that was opened to read: the close is carried out all the same.
        let path = directory.file("file", "content");
        for _ in 0..5 {
            let chain = Chain::open(&path, OpenOptions::new().read(true));
            let (_, written, synced, closed) = chain.write_at("text", 0).sync_all().close().await;
            assert_eq!(annulus::raw_os_error(&written.0.unwrap_err()), Some(9), "EBADF");
            assert_eq!(reason(&synced.unwrap_err()), Some((1, Reason::Failed)));
            closed.unwrap();
        }
    });
}

/// The explanation of a misaligned transfer needs a descriptor of the process, which is installed
/// beside the slot that the chain closes.
#[test]
fn a_chain_whose_direct_read_is_misaligned_leaves_no_descriptor_open() {
    on_both(&async |directory: &Directory| {
        let path = directory.file("file", [7; 8192]);
        if !is_strict(&path).await {
            return skip("direct I/O of this file system takes any length");
        }
        let opened = OpenOptions::new().read(true).direct(true).clone();
        let chain = Chain::open(&path, &opened).read_exact_at(vec![0; 100], 0);
        let (_, BufResult(read, _), closed) = chain.close().await;
        let error = read.unwrap_err();
        assert!(error.to_string().contains("direct I/O on this file asks for"), "{error}");
        closed.unwrap();
        let descriptors = fs::read_dir("/proc/self/fd").unwrap();
        let of_file = descriptors.filter(|entry| {
            fs::read_link(entry.as_ref().unwrap().path()).is_ok_and(|target| target == path)
        });
        assert_eq!(of_file.count(), 0);
    });
}

/// Whether a direct read that is not aligned is refused.
async fn is_strict(path: &Path) -> bool {
    let Ok(file) = OpenOptions::new().read(true).direct(true).open(path).await else {
        return false;
    };
    file.read_at(vec![0; 100], 0).await.0.is_err()
}
