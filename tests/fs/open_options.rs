//! How a file is opened: each option, and the combinations that are refused.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use annulus::buf::BufResult;
use annulus::fs::{File, OpenOptions};

use crate::common::directory::Directory;
use crate::run;

#[test]
fn options_that_contradict_each_other_are_refused_as_by_the_standard_library() {
    let directory = Directory::new();
    let path = directory.join("never");
    run(async || {
        // Each bit is an option.
        for bits in 0..1 << 6 {
            let is = |bit: u32| bits >> bit & 1 == 1;
            let ours = OpenOptions::new()
                .read(is(0))
                .write(is(1))
                .append(is(2))
                .truncate(is(3))
                .create(is(4))
                .create_new(is(5))
                .open(&path)
                .await;
            let existed = fs::remove_file(&path).is_ok();
            let theirs = fs::OpenOptions::new()
                .read(is(0))
                .write(is(1))
                .append(is(2))
                .truncate(is(3))
                .create(is(4))
                .create_new(is(5))
                .open(&path);
            let kind = |error: std::io::Error| error.kind();
            assert_eq!(ours.map(drop).map_err(kind), theirs.map(drop).map_err(kind), "{bits:06b}");
            assert_eq!(existed, fs::remove_file(&path).is_ok(), "{bits:06b}");
        }
    });
}

#[test]
fn a_file_is_created_with_its_mode_less_the_umask() {
    let directory = Directory::new();
    run(async || {
        for mode in [0o600, 0o640, 0o666] {
            let [ours, theirs] = ["ours", "theirs"].map(|name| directory.join(name));
            drop(OpenOptions::new().write(true).create_new(true).mode(mode).open(&ours).await);
            std::os::unix::fs::OpenOptionsExt::mode(
                fs::OpenOptions::new().write(true).create_new(true),
                mode,
            )
            .open(&theirs)
            .unwrap();
            let [ours, theirs] = [ours, theirs].map(|path| {
                let mode = fs::metadata(&path).unwrap().permissions().mode();
                fs::remove_file(path).unwrap();
                mode
            });
            assert_eq!(ours, theirs);
        }
    });
}

#[test]
fn a_new_file_is_not_created_over_one_that_exists() {
    let directory = Directory::new();
    let path = directory.file("file", "content");
    let link = directory.join("link");
    symlink(directory.join("nowhere"), &link).unwrap();
    run(async || {
        for path in [&path, &link] {
            let error = File::create_new(path).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        }
        File::create_new(directory.join("new")).await.unwrap().append("new").await.0.unwrap();
    });
    assert_eq!(fs::read(path).unwrap(), b"content");
    assert_eq!(fs::read(directory.join("new")).unwrap(), b"new");
}

/// The flags as the kernel has them, of /proc/self/fdinfo.
fn flags_of(file: &File) -> i32 {
    let fd = std::os::fd::AsRawFd::as_raw_fd(file);
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).unwrap();
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap();
    i32::from_str_radix(flags.trim(), 8).unwrap()
}

#[test]
fn each_flag_reaches_the_kernel_and_files_are_not_inherited() {
    let directory = Directory::new();
    let path = directory.file("file", "");
    run(async || {
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        let plain = flags_of(&options.open(&path).await.unwrap());
        assert_ne!(plain & libc::O_CLOEXEC, 0);
        let added =
            async |options: &OpenOptions| flags_of(&options.open(&path).await.unwrap()) & !plain;
        assert_eq!(added(options.clone().sync(true)).await, libc::O_SYNC & !plain);
        assert_eq!(added(options.clone().data_sync(true)).await, libc::O_DSYNC);
        assert_eq!(added(options.clone().append(true)).await, libc::O_APPEND);
        assert_eq!(added(options.clone().custom_flags(libc::O_NOATIME)).await, libc::O_NOATIME);
        let taken_back = options.clone().sync(true).sync(false).direct(true).direct(false).clone();
        assert_eq!(added(&taken_back).await, 0);
    });
}

#[test]
fn a_temporary_file_has_no_name() {
    let directory = Directory::new();
    run(async || {
        let mut options = OpenOptions::new();
        options.read(true).write(true).temporary(true);
        let file = match options.open(directory.path()).await {
            Err(error) if error.kind() == ErrorKind::Unsupported => {
                return crate::common::skip::skip("the file system has no files without a name");
            }
            opened => opened.unwrap(),
        };
        file.append("content").await.0.unwrap();
        let BufResult(read, content) = file.read_exact_at(vec![0; 7], 0).await;
        read.unwrap();
        assert_eq!(content, b"content");
        let metadata =
            fs::metadata(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file)));
        assert_eq!(metadata.unwrap().nlink(), 0);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
        for refused in [options.clone().create(true), options.clone().truncate(true)] {
            let error = refused.open(directory.path()).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
        }
    });
}
