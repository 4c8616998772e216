//! Removing directories with all that is in them.

use std::fs as std_fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use annulus::fs::{self, Dir};

use crate::common::directory::Directory;
use crate::common::drops::OnDrop;
use crate::run;

/// Fills a directory with files and directories, some of them deep.
fn fill(path: &std::path::Path) {
    let mut deep = path.to_owned();
    for level in 0..40 {
        deep.push(format!("level {level}"));
        std_fs::create_dir_all(&deep).unwrap();
        for n in 0..5 {
            std_fs::write(deep.join(n.to_string()), "text").unwrap();
        }
        symlink("..", deep.join("up")).unwrap();
    }
    for n in 0..1500 {
        std_fs::write(path.join(format!("one of many files {n:030}")), "").unwrap();
    }
}

#[test]
fn a_directory_is_removed_with_all_that_is_in_it() {
    let directory = Directory::new();
    directory.file("kept", "");
    run(async || {
        let path = directory.join("tree");
        fill(&path);
        fs::remove_dir_all(&path).await.unwrap();
        assert!(!path.exists());
        fill(&path);
        let dir = Dir::open(directory.path()).await.unwrap();
        dir.remove_dir_all("tree/level 0/level 1/").await.unwrap();
        assert!(path.join("level 0").exists() && !path.join("level 0/level 1").exists());
        dir.remove_dir_all("tree").await.unwrap();
        assert_eq!(std_fs::read_dir(directory.path()).unwrap().count(), 1);
    });
}

#[test]
fn a_symbolic_link_is_removed_and_not_what_it_leads_to() {
    let directory = Directory::new();
    std_fs::create_dir_all(directory.join("outside/below")).unwrap();
    let target = directory.join("outside/file");
    std_fs::write(&target, "kept").unwrap();
    run(async || {
        let tree = directory.join("tree");
        for link in ["link", "link/"] {
            symlink("outside", directory.join("link")).unwrap();
            fs::remove_dir_all(directory.join(link)).await.unwrap();
            symlink("outside", directory.join("link")).unwrap();
            let dir = Dir::open(directory.path()).await.unwrap();
            dir.remove_dir_all(link).await.unwrap();
            assert!(std_fs::symlink_metadata(directory.join("link")).is_err());
        }
        std_fs::create_dir(&tree).unwrap();
        symlink("../outside", tree.join("link")).unwrap();
        symlink("../outside/file", tree.join("file")).unwrap();
        fs::remove_dir_all(&tree).await.unwrap();
        assert!(!tree.exists());
        let error = fs::remove_dir_all(&target).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotADirectory);
        let error = fs::remove_dir_all(&tree).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    });
    assert_eq!(std_fs::read(&target).unwrap(), b"kept");
    assert!(directory.join("outside/below").exists());
}

/// Another thread exchanges directories in the tree and links that lead outside, as an attacker
/// would that waits for root to clean `/tmp`: between the look at an entry and its removal. There
/// are many, so that the look at most of them is old when they are removed.
#[test]
fn a_directory_that_becomes_a_link_meanwhile_leads_nothing_outside_to_be_removed() {
    const PAIRS: usize = 40;
    let directory = Directory::new();
    std_fs::create_dir(directory.join("outside")).unwrap();
    for n in 0..20 {
        std_fs::write(directory.join(format!("outside/{n}")), "kept").unwrap();
    }
    let stop = AtomicBool::new(false);
    let tree = directory.join("tree");
    let pair = |n: usize| (tree.join(format!("below {n}")), tree.join(format!("link {n}")));
    thread::scope(|scope| {
        scope.spawn(|| {
            for n in (0..PAIRS).rev().cycle() {
                let (below, link) = pair(n);
                exchange(&below, &link);
                if stop.load(Relaxed) {
                    return;
                }
            }
        });
        let _stop = OnDrop(|| stop.store(true, Relaxed));
        run(async || {
            for _ in 0..5 {
                for (below, link) in (0..PAIRS).map(pair) {
                    // What the last round has left may be there.
                    let _ = std_fs::create_dir_all(&below);
                    let _ = symlink("../outside", &link);
                }
                if let Err(error) = fs::remove_dir_all(&tree).await {
                    let expected = [
                        ErrorKind::NotFound,
                        ErrorKind::NotADirectory,
                        ErrorKind::DirectoryNotEmpty,
                    ];
                    assert!(expected.contains(&error.kind()), "{error}");
                }
            }
        });
    });
    assert_eq!(std_fs::read_dir(directory.join("outside")).unwrap().count(), 20);
}

/// Two names change places, if both are there.
pub(crate) fn exchange(one: &std::path::Path, other: &std::path::Path) {
    use std::os::unix::ffi::OsStrExt;
    let [one, other] =
        [one, other].map(|path| std::ffi::CString::new(path.as_os_str().as_bytes()).unwrap());
    let (here, exchange) = (libc::AT_FDCWD, libc::RENAME_EXCHANGE);
    // SAFETY: the call reads two paths.
    unsafe { libc::renameat2(here, one.as_ptr(), here, other.as_ptr(), exchange) };
}
