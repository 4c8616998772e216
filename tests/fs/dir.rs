//! Paths relative to a `Dir`, and that they do not leave it.

use std::fs as std_fs;
use std::future::Future;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use annulus::buf::BufResult;
use annulus::fs::{Dir, OpenOptions, Permissions, RenameOptions, Resolve};
use futures_util::TryStreamExt;

use crate::common::directory::Directory;
use crate::common::drops::OnDrop;
use crate::remove_dir_all::exchange;
use crate::run;

/// A root with a file outside and links of all kinds that lead there.
struct Site {
    directory: Directory,
}

impl Site {
    fn new() -> Self {
        let directory = Directory::new();
        std_fs::create_dir_all(directory.join("root/below")).unwrap();
        std_fs::create_dir(directory.join("outside")).unwrap();
        std_fs::write(directory.join("outside/secret"), "secret").unwrap();
        std_fs::write(directory.join("root/file"), "inside").unwrap();
        std_fs::write(directory.join("root/below/file"), "below").unwrap();
        let site = Self { directory };
        symlink("../outside", site.root().join("relative")).unwrap();
        symlink(site.directory.join("outside"), site.root().join("absolute")).unwrap();
        symlink("../outside/secret", site.root().join("secret")).unwrap();
        symlink("below/../file", site.root().join("inside")).unwrap();
        symlink("inside", site.root().join("chain")).unwrap();
        site
    }

    fn root(&self) -> PathBuf {
        self.directory.join("root")
    }

    async fn dir(&self) -> Dir {
        Dir::open(self.root()).await.unwrap()
    }

    /// Nothing outside was changed.
    fn check(&self) {
        let outside = std_fs::read_dir(self.directory.join("outside")).unwrap();
        let names: Vec<_> = outside.map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["secret"]);
        assert_eq!(std_fs::read(self.directory.join("outside/secret")).unwrap(), b"secret");
        let mut names: Vec<_> = std_fs::read_dir(self.directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        assert_eq!(names, ["outside", "root"]);
    }
}

/// A server may share one among its shards.
const _: fn() = || {
    fn is_shared<T: Send + Sync + Clone>() {}
    is_shared::<Dir>();
};

/// Paths that lead to a directory outside.
const OUTSIDE: [&str; 5] = ["..", "below/../../outside", "relative", "absolute", "/"];

#[test]
fn what_is_inside_is_opened_and_read_also_through_links_that_stay_inside() {
    let site = Site::new();
    run(async || {
        let dir = site.dir().await;
        for path in ["file", "./file", "below/../file", "inside", "chain", "below//../chain"] {
            assert_eq!(dir.read_to_string(path).await.unwrap(), "inside", "{path}");
            assert!(dir.metadata(path).await.unwrap().is_file());
        }
        let below = dir.open_dir("below").await.unwrap();
        assert_eq!(below.read("file").await.unwrap(), b"below");
        // The new directory is what must not be left.
        let error = below.read("../file").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::CrossesDevices);
        assert!(dir.symlink_metadata("secret").await.unwrap().is_symlink());
        assert_eq!(dir.read_link("secret").await.unwrap().to_str(), Some("../outside/secret"));
        let error = dir.read_link("file").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(dir.try_exists("chain").await.unwrap());
        assert!(!dir.try_exists("missing").await.unwrap());
        let entries: Vec<_> = dir.read_dir("below").await.unwrap().try_collect().await.unwrap();
        assert_eq!(entries[0].path().to_str(), Some("below/file"));
        assert_eq!(entries[0].metadata().await.unwrap().len(), 5);
    });
}

#[test]
fn no_function_follows_a_path_outside() {
    let site = Site::new();
    run(async || {
        let dir = site.dir().await;
        let mut checks = 0;
        let mut refused = async |outside: &str, result: &dyn Fn() -> Try| {
            checks += 1;
            let error = result().await.unwrap_err();
            let is_refused = [ErrorKind::CrossesDevices, ErrorKind::InvalidInput];
            assert!(is_refused.contains(&error.kind()), "{outside}: {error}");
            site.check();
        };
        for outside in OUTSIDE {
            let secret = format!("{outside}/secret");
            let new = format!("{outside}/new");
            let [old, secret, new] = [outside.to_owned(), secret, new].map(PathBuf::from);
            let functions: Vec<Box<dyn Fn() -> Try>> = vec![
                call(&dir, &secret, async |dir, path| dir.open_file(path).await.map(drop)),
                call(&dir, &secret, async |dir, path| dir.read(path).await.map(drop)),
                call(&dir, &secret, async |dir, path| dir.write(path, "text").await),
                call(&dir, &secret, async |dir, path| dir.metadata(path).await.map(drop)),
                call(&dir, &secret, async |dir, path| dir.symlink_metadata(path).await.map(drop)),
                call(&dir, &secret, async |dir, path| dir.try_exists(path).await.map(drop)),
                call(&dir, &secret, async |dir, path| dir.read_link(path).await.map(drop)),
                call(&dir, &secret, async |dir, path| dir.remove_file(path).await),
                call(&dir, &secret, async |dir, path| dir.remove_dir_all(path).await),
                call(&dir, &secret, async |dir, path| dir.rename(path, &dir, "new").await),
                call(&dir, &secret, async |dir, path| dir.rename("file", &dir, path).await),
                call(&dir, &secret, async |dir, path| dir.hard_link(path, &dir, "new").await),
                call(&dir, &secret, async |dir, path| {
                    dir.set_permissions(path, Permissions::from_mode(0o0)).await
                }),
                call(&dir, &secret, async |dir, path| {
                    dir.rename_with("file", &dir, path, RenameOptions::exchange()).await
                }),
                call(&dir, &new, async |dir, path| {
                    let mut options = OpenOptions::new();
                    options.write(true).create_new(true);
                    dir.open_file_with(path, &options).await.map(drop)
                }),
                call(&dir, &new, async |dir, path| dir.write(path, "text").await),
                call(&dir, &new, async |dir, path| dir.create_dir(path).await),
                call(&dir, &new, async |dir, path| dir.create_dir_all(path).await),
                call(&dir, &new, async |dir, path| dir.symlink("target", path).await),
                call(&dir, &new, async |dir, path| dir.hard_link("file", &dir, path).await),
                call(&dir, &old, async |dir, path| dir.read_dir(path).await.map(drop)),
                call(&dir, &old, async |dir, path| dir.open_dir(path).await.map(drop)),
            ];
            for function in &functions {
                refused(outside, function).await;
            }
        }
        assert_eq!(checks, 22 * OUTSIDE.len());
        // What is inside was not renamed either.
        assert_eq!(dir.read("file").await.unwrap(), b"inside");
    });
}

type Try = std::pin::Pin<Box<dyn Future<Output = io::Result<()>>>>;

/// A call of a function of `dir` with a path, to be made later.
fn call<F: AsyncFn(Dir, PathBuf) -> io::Result<()> + Copy + 'static>(
    dir: &Dir,
    path: &std::path::Path,
    function: F,
) -> Box<dyn Fn() -> Try> {
    let (dir, path) = (dir.clone(), path.to_owned());
    Box::new(move || {
        let (dir, path) = (dir.clone(), path.clone());
        Box::pin(async move { function(dir, path).await })
    })
}

#[test]
fn a_link_at_the_end_is_replaced_and_not_followed_where_a_name_is_meant() {
    let site = Site::new();
    run(async || {
        let dir = site.dir().await;
        for path in ["secret", "secret/"] {
            dir.rename("file", &dir, path).await.unwrap();
            assert_eq!(dir.read("secret").await.unwrap(), b"inside");
            dir.rename("secret", &dir, "file").await.unwrap();
            symlink("../outside/secret", site.root().join("secret")).unwrap();
        }
        dir.hard_link("relative/", &dir, "second").await.unwrap();
        assert!(dir.symlink_metadata("second").await.unwrap().is_symlink());
        let error = dir.create_dir("relative/").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        dir.remove_file("relative/").await.unwrap();
        // A file that the link would lead to is not created.
        symlink("../outside/new", site.root().join("dangling")).unwrap();
        assert!(dir.write("dangling", "text").await.is_err());
        site.check();
    });
}

#[test]
fn every_change_works_inside() {
    let site = Site::new();
    run(async || {
        let dir = site.dir().await;
        dir.create_dir_all("a/b/c").await.unwrap();
        dir.create_dir_all("a/b/c").await.unwrap();
        let error = dir.create_dir_all("file").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotADirectory);
        dir.write("a/b/file", "text").await.unwrap();
        dir.hard_link("a/b/file", &dir, "a/second").await.unwrap();
        assert_eq!(dir.metadata("a/second").await.unwrap().nlink(), 2);
        dir.symlink("b/file", "a/link").await.unwrap();
        assert_eq!(dir.read("a/link").await.unwrap(), b"text");
        let other = dir.open_dir("a/b").await.unwrap();
        other.rename("file", &dir, "moved").await.unwrap();
        assert_eq!(dir.read("moved").await.unwrap(), b"text");
        dir.set_permissions("moved", Permissions::from_mode(0o604)).await.unwrap();
        assert_eq!(dir.metadata("moved").await.unwrap().mode() & 0o7777, 0o604);
        dir.sync_all().await.unwrap();
        dir.remove_dir("a/b/c/").await.unwrap();
        dir.remove_file("moved").await.unwrap();
        dir.remove_dir_all("a").await.unwrap();
        assert!(!dir.try_exists("a").await.unwrap());
        for nameless in ["", ".", "..", "below/..", "/"] {
            let error = dir.create_dir(nameless).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{nameless}: {error}");
        }
    });
}

/// `/proc` has links that lead to a file without a path: no `..` and no absolute path is seen.
#[test]
fn a_magic_link_is_not_followed() {
    run(async || {
        let dir = Dir::open("/proc/self").await.unwrap();
        for resolve in [Resolve::beneath(), Resolve::in_root()] {
            let dir = dir.with_resolve(resolve);
            for path in ["root/etc/passwd", "cwd/Cargo.toml", "exe", "fd/0"] {
                let error = dir.open_file(path).await.unwrap_err();
                let is_refused = error.kind() == ErrorKind::CrossesDevices
                    || annulus::raw_os_error(&error) == Some(libc::ELOOP);
                assert!(is_refused, "{path}: {error}");
            }
        }
        assert!(!dir.read("status").await.unwrap().is_empty());
    });
}

#[test]
fn each_way_to_resolve_does_what_it_says() {
    let site = Site::new();
    run(async || {
        let dir = site.dir().await;
        let root = dir.with_resolve(Resolve::in_root());
        for path in ["/file", "../file", "/../../below/../file", "/inside"] {
            assert_eq!(root.read(path).await.unwrap(), b"inside", "{path}");
        }
        // The links that lead outside lead to something that there is not.
        for path in ["secret", "relative/secret", "absolute/secret", "/etc/passwd"] {
            assert_eq!(root.read(path).await.unwrap_err().kind(), ErrorKind::NotFound, "{path}");
        }
        root.create_dir("/../new").await.unwrap();
        assert!(site.root().join("new").exists());
        let strict = dir.with_resolve(Resolve::beneath().no_symlinks());
        let error = strict.read("chain").await.unwrap_err();
        assert_eq!(annulus::raw_os_error(&error), Some(libc::ELOOP));
        assert_eq!(strict.read("below/../file").await.unwrap(), b"inside");
        // Found a moment ago.
        let cached = dir.with_resolve(Resolve::beneath().cached());
        // Another test renames something at any time, and the kernel must ask again.
        while let Err(error) = cached.read("below/../file").await {
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
            dir.read("below/../file").await.unwrap();
        }
        let error = cached.read("never looked up/file").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        assert!(error.to_string().contains("open never looked up/file"), "{error}");
        let real = Dir::open("/").await.unwrap();
        let error = real.with_resolve(Resolve::beneath().no_xdev()).read("proc/version").await;
        assert_eq!(error.unwrap_err().kind(), ErrorKind::CrossesDevices);
        assert!(real.read("proc/version").await.is_ok());
        site.check();
    });
}

/// Another thread exchanges a directory and a link that leads outside, as fast as it can: between
/// the kernel's look at the name and its step into it, a check by user space would be wrong.
#[test]
fn a_directory_that_becomes_a_link_again_and_again_never_leads_outside() {
    let site = Site::new();
    std_fs::create_dir(site.root().join("swapped")).unwrap();
    std_fs::write(site.root().join("swapped/secret"), "inside").unwrap();
    let stop = AtomicBool::new(false);
    let (mut opened, mut refused) = (0, 0);
    thread::scope(|scope| {
        scope.spawn(|| {
            let (one, other) = (site.root().join("swapped"), site.root().join("relative"));
            while !stop.load(Relaxed) {
                exchange(&one, &other);
            }
        });
        let _stop = OnDrop(|| stop.store(true, Relaxed));
        run(async || {
            let dir = site.dir().await;
            for round in 0..20_000 {
                let path = ["swapped/secret", "swapped/../swapped/secret"][round % 2];
                match dir.open_file(path).await {
                    Ok(file) => {
                        opened += 1;
                        let BufResult(count, bytes) = file.read_at(vec![0; 6], 0).await;
                        assert_eq!((count.unwrap(), &*bytes), (6, &b"inside"[..]));
                    }
                    Err(error) => {
                        refused += 1;
                        let expected = [ErrorKind::CrossesDevices, ErrorKind::WouldBlock];
                        assert!(expected.contains(&error.kind()), "{error}");
                    }
                }
                if round % 20 == 0 {
                    let _ = dir.create_dir("swapped/new").await;
                    let _ = dir.write("swapped/file", "text").await;
                    let _ = dir.rename("swapped/file", &dir, "swapped/other").await;
                    let _ = dir.remove_dir_all("swapped/new").await;
                }
            }
        });
    });
    assert!(opened > 100 && refused > 100, "{opened} opened, {refused} refused");
    site.check();
}
