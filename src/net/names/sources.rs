//! The files that answer without a thread.
//!
//! They are read each time, as they may change at any time: an open and a read by the ring, which
//! never block the event loop, however slow the disk is.

use std::ffi::CString;
use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::hosts::{self, HostAddress};
use super::order;
use crate::buf::BufResult;
use crate::op::{FileFd, Op, Open, ReadAt};
use crate::runtime::context;
use crate::sys::address::interface_index;
use crate::sys::fs::O_RDONLY;

/// What is larger is left to a thread: the event loop would be busy with it for too long.
const MAX_FILE: usize = 64 * 1024;
/// More addresses of one name are left to a thread, too: the order of each takes a socket.
const MAX_ADDRESSES: usize = 32;

/// Where names are looked for before a thread is asked.
pub(super) struct Sources {
    hosts: PathBuf,
    nsswitch: PathBuf,
    gai: PathBuf,
}

impl Sources {
    /// The system's.
    pub(super) fn system() -> Self {
        Self {
            hosts: "/etc/hosts".into(),
            nsswitch: "/etc/nsswitch.conf".into(),
            gai: "/etc/gai.conf".into(),
        }
    }

    /// The addresses of a name, the best first; `None` if a thread must be asked.
    pub(super) async fn addresses(&self, name: &str, port: u16) -> Option<Vec<SocketAddr>> {
        let found = hosts::addresses(&self.hosts().await?, name);
        let found = found.into_iter().filter_map(|address| with_port(address, port));
        let mut found: Vec<SocketAddr> = found.collect();
        match found.len() {
            0 => None,
            1 => Some(found),
            2..=MAX_ADDRESSES if self.has_default_order().await => {
                order::sort(&mut found);
                Some(found)
            }
            _ => None,
        }
    }

    /// The name of an address; `None` if a thread must be asked.
    pub(super) async fn name(&self, ip: IpAddr) -> Option<String> {
        hosts::name(&self.hosts().await?, ip)
    }

    /// The file of hosts, if it comes first.
    async fn hosts(&self) -> Option<Vec<u8>> {
        let nsswitch = read(&self.nsswitch).await.ok()?;
        if hosts::come_first(&nsswitch) { read(&self.hosts).await.ok() } else { None }
    }

    /// Whether the machine's configuration (gai.conf(5)) leaves the order of addresses as it is.
    async fn has_default_order(&self) -> bool {
        match read(&self.gai).await {
            Ok(text) => hosts::is_blank(&text),
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        }
    }
}

fn with_port((ip, scope): HostAddress, port: u16) -> Option<SocketAddr> {
    match (ip, scope) {
        (IpAddr::V6(ip), Some(scope)) => {
            let scope = scope.parse().ok().or_else(|| interface_index(&scope))?;
            Some(SocketAddrV6::new(ip, port, 0, scope).into())
        }
        (IpAddr::V4(_), Some(_)) => None,
        (ip, None) => Some(SocketAddr::new(ip, port)),
    }
}

/// Reads a file by the ring.
///
/// # Errors
///
/// The system's, and `FileTooLarge`.
async fn read(path: &Path) -> io::Result<Vec<u8>> {
    let driver = context::driver();
    // A paused clock must not jump to the end of the look-up while a kernel worker reads.
    let _reading = driver.timers().external_work();
    let path = CString::new(path.as_os_str().as_bytes())?;
    let file = Op::new(&driver, Open::new(path, O_RDONLY, 0)).await?;
    let file = Rc::new(FileFd::new(&driver, file));
    // The end of the file must come before that of the buffer.
    let buffer = Vec::with_capacity(MAX_FILE + 1);
    let BufResult(filled, text) = Op::new(&driver, ReadAt::exact(&file, buffer, 0)).await;
    match filled {
        Ok(_) => Err(io::ErrorKind::FileTooLarge.into()),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(text),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::Duration;
    use std::{fs, thread};

    use super::*;

    /// Files in a directory of their own, which is removed at the end.
    struct Files(PathBuf);

    impl Files {
        fn new(name: &str, hosts: &str, nsswitch: &str) -> (Self, Sources) {
            let name = format!("annulus-names-{name}-{}", std::process::id());
            let directory = std::env::temp_dir().join(name);
            fs::create_dir_all(&directory).unwrap();
            let sources = Sources {
                hosts: directory.join("hosts"),
                nsswitch: directory.join("nsswitch.conf"),
                gai: directory.join("gai.conf"),
            };
            fs::write(&sources.hosts, hosts).unwrap();
            fs::write(&sources.nsswitch, nsswitch).unwrap();
            (Self(directory), sources)
        }
    }

    impl Drop for Files {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn addresses(sources: &Sources, name: &str) -> Option<Vec<String>> {
        let found = crate::runtime::run(sources.addresses(name, 80)).unwrap();
        Some(found?.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_name_of_the_file_is_found_by_the_ring() {
        let hosts = "192.0.2.1 server\n2001:db8::1 SERVER\nfe80::1%7 linked\nfe80::1%none far\n";
        let (_files, sources) = Files::new("found", hosts, "hosts: files dns\n");
        let mut found = addresses(&sources, "server").unwrap();
        // Their order is that of the machine's routes.
        found.sort();
        assert_eq!(found, ["192.0.2.1:80", "[2001:db8::1]:80"]);
        assert_eq!(addresses(&sources, "linked").unwrap(), ["[fe80::1%7]:80"]);
        assert_eq!(addresses(&sources, "far"), None, "there is no such interface");
        assert_eq!(addresses(&sources, "other"), None);
        let name = crate::runtime::run(sources.name("2001:db8::1".parse().unwrap())).unwrap();
        assert_eq!(name.as_deref(), Some("SERVER"));
    }

    #[test]
    fn a_change_of_the_file_is_seen_at_once() {
        let (_files, sources) = Files::new("change", "192.0.2.1 server\n", "hosts: files\n");
        assert_eq!(addresses(&sources, "server").unwrap(), ["192.0.2.1:80"]);
        fs::write(&sources.hosts, "192.0.2.2 server\n").unwrap();
        assert_eq!(addresses(&sources, "server").unwrap(), ["192.0.2.2:80"]);
    }

    #[test]
    fn a_thread_is_asked_where_the_file_of_hosts_is_not_first_large_or_missing() {
        let (_files, sources) = Files::new("later", "192.0.2.1 server\n", "hosts: dns files\n");
        assert_eq!(addresses(&sources, "server"), None, "not first");
        fs::remove_file(&sources.nsswitch).unwrap();
        assert_eq!(addresses(&sources, "server"), None, "not configured");
        fs::write(&sources.nsswitch, "hosts: files\n").unwrap();
        assert!(addresses(&sources, "server").is_some());
        for (size, is_read) in [(MAX_FILE, true), (MAX_FILE + 1, false), (1 << 20, false)] {
            let mut text = "192.0.2.1 server\n".to_owned();
            text.extend(std::iter::repeat_n('#', size - text.len()));
            fs::write(&sources.hosts, text).unwrap();
            assert_eq!(addresses(&sources, "server").is_some(), is_read, "{size}");
        }
        fs::remove_file(&sources.hosts).unwrap();
        assert_eq!(addresses(&sources, "server"), None, "missing");
    }

    #[test]
    fn a_thread_is_asked_for_the_order_where_it_is_configured_or_long() {
        let hosts = "192.0.2.1 server\n192.0.2.2 server single\n";
        let (_files, sources) = Files::new("order", hosts, "hosts: files\n");
        assert!(addresses(&sources, "server").is_some(), "there is no gai.conf");
        fs::write(&sources.gai, "# precedence ::ffff:0:0/96 100\n").unwrap();
        assert!(addresses(&sources, "server").is_some(), "it is blank");
        fs::write(&sources.gai, "precedence ::ffff:0:0/96 100\n").unwrap();
        assert_eq!(addresses(&sources, "server"), None);
        assert!(addresses(&sources, "single").is_some(), "one has no order");
        fs::remove_file(&sources.gai).unwrap();
        let many: Vec<_> = (0..=MAX_ADDRESSES).map(|n| format!("192.0.2.{n} server\n")).collect();
        fs::write(&sources.hosts, many.concat()).unwrap();
        assert_eq!(addresses(&sources, "server"), None);
    }

    /// A pipe without a writer holds up a read as a slow disk does.
    #[test]
    fn a_paused_clock_does_not_end_a_look_up_that_reads() {
        let (_files, sources) = Files::new("paused", "192.0.2.1 server\n", "");
        fs::remove_file(&sources.nsswitch).unwrap();
        let made = Command::new("mkfifo").arg(&sources.nsswitch).status();
        assert!(made.expect("mkfifo is installed").success());
        crate::runtime::run(async {
            crate::time::pause();
            let path = sources.nsswitch.clone();
            let writer = thread::spawn(move || {
                thread::sleep(Duration::from_millis(50));
                fs::write(path, "hosts: files\n").unwrap();
            });
            let limit = Duration::from_secs(3600);
            let found = crate::time::timeout(limit, sources.addresses("server", 80)).await;
            assert!(found.is_ok(), "the clock has jumped");
            writer.join().unwrap();
        })
        .unwrap();
    }
}
