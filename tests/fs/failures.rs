//! What a disk or the permissions refuse: each error arrives as what it is.

use std::fs as std_fs;
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::thread;

use annulus::fs::{self, Dir, File, Resolve};
use annulus::raw_os_error;

use crate::common::child::isolated;
use crate::common::directory::Directory;
use crate::common::skip::skip;
use crate::{run, this_test};

#[test]
fn a_path_that_is_too_long_or_turns_in_a_circle_is_refused() {
    let directory = Directory::new();
    run(async || {
        let long = directory.join("n".repeat(256));
        let (one, other) = (directory.join("one"), directory.join("other"));
        symlink("other", &one).unwrap();
        symlink("one", &other).unwrap();
        for (path, errno) in [(&long, libc::ENAMETOOLONG), (&one, libc::ELOOP)] {
            let errors = [
                fs::metadata(path).await.unwrap_err(),
                File::open(path).await.unwrap_err(),
                fs::read_dir(path).await.unwrap_err(),
                fs::copy(path, "target").await.unwrap_err(),
                fs::canonicalize(path).await.unwrap_err(),
                fs::create_dir(path.join("below")).await.unwrap_err(),
                fs::rename(path.join("below"), "target").await.unwrap_err(),
            ];
            for error in errors {
                assert_eq!(raw_os_error(&error), Some(errno), "{error}");
            }
        }
    });
}

/// In a process of its own, which gives up its privileges.
#[test]
fn another_user_is_refused_what_it_may_not_do() {
    isolated(this_test!(), || {
        let directory = Directory::new();
        let private = directory.join("private");
        std_fs::create_dir(&private).unwrap();
        std_fs::write(private.join("file"), "text").unwrap();
        let file = directory.file("file", "text");
        std_fs::set_permissions(&file, PermissionsExt::from_mode(0o0)).unwrap();
        std_fs::set_permissions(&private, PermissionsExt::from_mode(0o0)).unwrap();
        // SAFETY: the calls touch no memory.
        unsafe {
            if libc::geteuid() == 0 {
                // The directory must be reached, and not be written to.
                std_fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o755))
                    .unwrap();
                assert_eq!(libc::seteuid(65_534), 0, "root may become another user");
            } else {
                let mode = PermissionsExt::from_mode(0o555);
                std_fs::set_permissions(directory.path(), mode).unwrap();
            }
        }
        run(async || {
            let errors = [
                File::open(&file).await.unwrap_err(),
                fs::read(&file).await.unwrap_err(),
                fs::write(&file, "").await.unwrap_err(),
                fs::copy(&file, "/dev/null").await.unwrap_err(),
                fs::read_dir(&private).await.unwrap_err(),
                fs::metadata(private.join("file")).await.unwrap_err(),
                fs::try_exists(private.join("file")).await.map(drop).unwrap_err(),
                fs::create_dir(directory.join("new")).await.unwrap_err(),
                fs::create_dir_all(directory.join("new/below")).await.unwrap_err(),
                fs::remove_file(&file).await.unwrap_err(),
                fs::remove_dir_all(&private).await.unwrap_err(),
                fs::rename(&file, directory.join("new")).await.unwrap_err(),
                fs::symlink("file", directory.join("new")).await.unwrap_err(),
                Dir::open(&private).await.unwrap().read("file").await.unwrap_err(),
            ];
            for error in errors {
                assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
            }
        });
        // SAFETY: the call touches no memory. As root, to be able to remove the directory.
        unsafe { libc::seteuid(0) };
        for path in [directory.path(), &private] {
            std_fs::set_permissions(path, PermissionsExt::from_mode(0o700)).unwrap();
        }
    });
}

/// Runs `test` on a thread for which `path` is a file system in memory, of 256 KiB. The mount
/// belongs to that thread, and ends with it. Skips the test where it may not be made.
pub(crate) fn on_small_disk(path: &Path, flags: libc::c_ulong, test: impl FnOnce() + Send) {
    let mount = |target: &Path, kind: &std::ffi::CStr, flags, data: &std::ffi::CStr| {
        let target = std::ffi::CString::new(target.as_os_str().as_bytes()).unwrap();
        let (source, data) = (c"none".as_ptr(), data.as_ptr().cast());
        // SAFETY: the call reads its strings.
        match unsafe { libc::mount(source, target.as_ptr(), kind.as_ptr(), flags, data) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    };
    let run = move || {
        // SAFETY: the call touches no memory.
        if unsafe { libc::unshare(libc::CLONE_NEWNS) } != 0 {
            return Err(io::Error::last_os_error());
        }
        mount(Path::new("/"), c"", libc::MS_REC | libc::MS_PRIVATE, c"")?;
        mount(path, c"tmpfs", flags, c"size=256k")?;
        test();
        Ok(())
    };
    let result: io::Result<()> = thread::scope(|scope| {
        scope.spawn(run).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    if let Err(error) = result {
        skip(&format!("a file system cannot be mounted here: {error}"));
    }
}

#[test]
fn a_full_disk_says_so_and_what_was_written_before_is_there() {
    let directory = Directory::new();
    let source = Directory::new();
    let source = source.file("source", vec![7; 1_000_000]);
    on_small_disk(directory.path(), 0, || {
        run(async || {
            let path = directory.join("file");
            let error = fs::write(&path, vec![7; 1_000_000]).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::StorageFull);
            let length = fs::metadata(&path).await.unwrap().len();
            assert!(length > 100_000 && length < 300_000, "{length} bytes were written");
            fs::remove_file(&path).await.unwrap();
            let target = directory.join("copy");
            let error = fs::copy(&source, &target).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::StorageFull);
            assert!(error.to_string().contains("copy /"), "{error}");
            let file = File::options().write(true).open(&target).await.unwrap();
            let error = file.write_all_at(vec![7; 100_000], 1 << 20).await.0.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::StorageFull);
            // Another file system.
            let error = fs::rename(&source, directory.join("new")).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::CrossesDevices);
            let error = fs::hard_link(&source, directory.join("new")).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::CrossesDevices);
        });
    });
}

#[test]
fn a_disk_that_is_read_only_says_so() {
    let directory = Directory::new();
    on_small_disk(directory.path(), libc::MS_RDONLY, || {
        run(async || {
            let new = directory.join("new");
            let errors = [
                fs::write(&new, "").await.unwrap_err(),
                fs::create_dir(&new).await.unwrap_err(),
                fs::symlink("target", &new).await.unwrap_err(),
                Dir::open(directory.path()).await.unwrap().create_dir("new").await.unwrap_err(),
            ];
            for error in errors {
                assert_eq!(error.kind(), ErrorKind::ReadOnlyFilesystem, "{error}");
            }
        });
    });
}

#[test]
fn a_removal_that_is_told_so_does_not_enter_another_file_system() {
    let directory = Directory::new();
    let mounted = directory.join("tree/below/mounted");
    std_fs::create_dir_all(&mounted).unwrap();
    on_small_disk(&mounted, 0, || {
        run(async || {
            std_fs::create_dir(mounted.join("directory")).unwrap();
            let dir = Dir::open(directory.path()).await.unwrap();
            let strict = dir.with_resolve(Resolve::beneath().no_xdev());
            for path in ["tree", "tree/below/mounted"] {
                let error = strict.remove_dir_all(path).await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::CrossesDevices, "{error}");
            }
            assert!(mounted.join("directory").exists());
            // It depends on where the thread was started whether this is a mount point to it.
            if let Err(error) = dir.remove_dir_all("tree").await {
                assert_eq!(error.kind(), ErrorKind::ResourceBusy, "{error}");
            }
            assert!(!mounted.join("directory").exists());
        });
    });
}
