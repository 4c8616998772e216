//! Regular files: reads, writes and what is done to their extent.

use std::fs::{self, File, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};

use super::{chain, compare};
use crate::sys::opcode;
use crate::sys::types::{Fd, FsyncFlags};

const AT_POSITION: u64 = u64::MAX;

fn read(file: &File, target: &mut [u8], offset: u64) -> crate::sys::Submission {
    let (start, length) = (target.as_mut_ptr(), target.len() as u32);
    opcode::Read::new(Fd(file.as_raw_fd()), start, length).offset(offset).build()
}

fn write(file: &File, bytes: &[u8], offset: u64) -> crate::sys::Submission {
    let (start, length) = (bytes.as_ptr(), bytes.len() as u32);
    opcode::Write::new(Fd(file.as_raw_fd()), start, length).offset(offset).build()
}

#[test]
fn reads_of_a_file_end_at_its_end_and_move_its_position_only_if_they_are_told() {
    compare(|bench| {
        let path = bench.path("file");
        fs::write(&path, b"0123456789").unwrap();
        let file = File::open(&path).unwrap();
        let mut buffers = [[0_u8; 6]; 6];
        let [a, b, c, d, e, f] = &mut buffers;
        let results = [
            bench.result(read(&file, a, 0)),
            bench.result(read(&file, b, 6)),
            bench.result(read(&file, c, 10)),
            bench.result(read(&file, d, AT_POSITION)),
            bench.result(read(&file, e, AT_POSITION)),
            bench.result(read(&file, f, AT_POSITION)),
        ];
        assert_eq!(results, [6, 4, 0, 6, 4, 0]);
        (results, buffers)
    });
}

#[test]
fn reads_and_writes_of_the_wrong_descriptors_fail_as_in_the_kernel() {
    compare(|bench| {
        let path = bench.path("file");
        let file = File::create(&path).unwrap();
        let directory = File::open(std::env::temp_dir()).unwrap();
        let only_path =
            OpenOptions::new().read(true).custom_flags(libc::O_PATH).open(&path).unwrap();
        let mut buffer = [0; 4];
        let mut none = |file: &File| bench.result(read(file, &mut buffer, 0));
        let reads = [none(&file), none(&directory), none(&only_path)];
        assert_eq!(reads, [-libc::EBADF, -libc::EISDIR, -libc::EBADF]);
        let reader = File::open(&path).unwrap();
        let writes = [&reader, &directory].map(|file| bench.result(write(file, b"x", 0)));
        assert_eq!(writes, [-libc::EBADF; 2]);
        let mut at = |fd| bench.result(opcode::Read::new(Fd(fd), std::ptr::null_mut(), 0).build());
        (reads, writes, at(-1), at(1 << 20))
    });
}

#[test]
fn writes_are_made_where_they_are_told_at_the_position_or_at_the_end() {
    compare(|bench| {
        let path = bench.path("file");
        let file = File::create(&path).unwrap();
        let append = OpenOptions::new().append(true).open(&path).unwrap();
        let results = [
            bench.result(write(&file, b"hello", 3)),
            bench.result(write(&file, b"ab", AT_POSITION)),
            bench.result(write(&file, b"c", AT_POSITION)),
            bench.result(write(&append, b" end", 0)),
            bench.result(write(&file, b"", 0)),
            bench.result({
                let write = opcode::Write::new(Fd(file.as_raw_fd()), b"!".as_ptr(), 1);
                write.offset(0).rw_flags(libc::RWF_DSYNC).build()
            }),
        ];
        assert_eq!(results, [5, 2, 1, 4, 0, 1]);
        let bytes = fs::read(&path).unwrap();
        assert_eq!(bytes, b"!bchello end");
        (results, bytes)
    });
}

#[test]
fn vectored_transfers_use_all_parts_in_order() {
    compare(|bench| {
        let path = bench.path("file");
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path).unwrap();
        let fd = Fd(file.as_raw_fd());
        let parts = [&b"one "[..], b"", b"two three"].map(|part| libc::iovec {
            iov_base: part.as_ptr().cast_mut().cast(),
            iov_len: part.len(),
        });
        let written = bench.result(opcode::Writev::new(fd, parts.as_ptr(), 3).offset(2).build());
        let (mut first, mut second) = ([0_u8; 5], [0_u8; 40]);
        let room = [&mut first[..], &mut second[..]]
            .map(|part| libc::iovec { iov_base: part.as_mut_ptr().cast(), iov_len: part.len() });
        let mut readv =
            |count| bench.result(opcode::Readv::new(fd, room.as_ptr(), count).offset(2).build());
        let read = [readv(2), readv(1), readv(0)];
        assert_eq!((written, read), (13, [13, 5, 0]));
        assert_eq!((&first, &second[..8]), (b"one t", &b"wo three"[..]));
        (written, read, first, second)
    });
}

#[test]
fn a_file_is_synced_allocated_advised_and_cut() {
    compare(|bench| {
        let path = bench.path("file");
        let file = File::create(&path).unwrap();
        let fd = Fd(file.as_raw_fd());
        let results = bench.results(&chain([
            write(&file, &[7; 5000], 0),
            opcode::Fsync::new(fd).build(),
            opcode::Fsync::new(fd).flags(FsyncFlags::DATASYNC).build(),
            opcode::Fallocate::new(fd, 3000).offset(7000).build(),
            opcode::Fadvise::new(fd, 4096, libc::POSIX_FADV_DONTNEED).offset(0).build(),
            opcode::Ftruncate::new(fd, 9000).build(),
        ]));
        assert_eq!(results, [5000, 0, 0, 0, 0, 0]);
        assert_eq!(fs::metadata(&path).unwrap().len(), 9000);
        let wrong = [
            bench.result(opcode::Fsync::new(Fd(-1)).build()),
            bench.result(opcode::Fallocate::new(fd, 0).build()),
            bench.result(opcode::Fadvise::new(fd, 1, 99).build()),
            bench.result(opcode::Ftruncate::new(fd, u64::MAX).build()),
        ];
        assert_eq!(wrong, [-libc::EBADF, -libc::EINVAL, -libc::EINVAL, -libc::EINVAL]);
        (results, wrong)
    });
}

/// A link that reads less than it was to read, or fails, ends its chain.
#[test]
fn chains_of_writes_and_syncs_end_at_a_short_or_failing_link() {
    compare(|bench| {
        let path = bench.path("file");
        fs::write(&path, b"0123456789").unwrap();
        let file = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let sync = || opcode::Fsync::new(Fd(file.as_raw_fd())).build();
        let mut buffers = [[0_u8; 8]; 3];
        let [a, b, c] = &mut buffers;
        let whole = bench.results(&chain([read(&file, a, 0), sync(), write(&file, b"ab", 8)]));
        let short = bench.results(&chain([read(&file, b, 4), sync(), sync()]));
        let reader = File::open(&path).unwrap();
        let failing = bench.results(&chain([write(&reader, b"x", 0), sync(), read(&file, c, 0)]));
        assert_eq!(whole, [8, 0, 2]);
        assert_eq!(short, [6, -libc::ECANCELED, -libc::ECANCELED]);
        assert_eq!(failing, [-libc::EBADF, -libc::ECANCELED, -libc::ECANCELED]);
        (whole, short, failing, buffers)
    });
}

/// More than an enter reads itself, in one read and in many.
#[test]
fn large_reads_and_many_are_complete() {
    compare(|bench| {
        let path = bench.path("file");
        let bytes: Vec<u8> = (0..3 << 20_u32).map(|at: u32| (at % 251) as u8).collect();
        fs::write(&path, &bytes).unwrap();
        let file = File::open(&path).unwrap();
        let mut whole = vec![0; bytes.len() + 10];
        let one = bench.result(read(&file, &mut whole, 0));
        assert!(whole[..bytes.len()] == bytes);
        let mut parts = vec![0; bytes.len()];
        let step = bytes.len() / 48;
        let reads = parts.chunks_mut(step).zip(0_u64..);
        let reads: Vec<_> = reads.map(|(part, at)| read(&file, part, at * step as u64)).collect();
        let many = bench.results(&reads);
        assert!(parts == bytes);
        (one, many)
    });
}

/// The second half was written past the page cache, so that only the first is in memory.
#[test]
fn a_read_of_which_a_part_is_in_memory_is_complete() {
    compare(|bench| {
        const HALF: usize = 512 << 10;
        let path = bench.path("file");
        fs::write(&path, vec![7; HALF]).unwrap();
        let memory = vec![8; HALF + 4096];
        let second = &memory[memory.as_ptr().align_offset(4096)..][..HALF];
        let direct = OpenOptions::new().write(true).custom_flags(libc::O_DIRECT).open(&path);
        let Ok(direct) = direct else {
            println!("skipped: this file system has no direct I/O");
            return 0;
        };
        direct.write_all_at(second, HALF as u64).unwrap();
        let mut bytes = vec![0; 2 * HALF + 1];
        let count = bench.result(read(&File::open(&path).unwrap(), &mut bytes, 0));
        assert_eq!(count as usize, 2 * HALF);
        assert!(bytes[..HALF].iter().all(|&byte| byte == 7));
        assert!(bytes[HALF..2 * HALF].iter().all(|&byte| byte == 8));
        count
    });
}
