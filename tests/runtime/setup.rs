//! Where io_uring is missing, forbidden, short of memory or old, set-up of the kernel's ring says
//! so, and what to do. Which ring is set up: `ring_kind.rs`.
//!
//! The kernels are simulated by seccomp filters, which hold for one thread only.

use std::future::{pending, poll_fn};
use std::io::{self, ErrorKind};
use std::net;
use std::process;
use std::task::Poll;
use std::thread;
use std::time::Duration;

use annulus::fs;
use annulus::net::TcpListener;
use annulus::time::{sleep, timeout};
use annulus::{
    Builder, Probe, RingKind, Runtime, SetupError, metrics, probe, raw_os_error, spawn, yield_now,
};

use crate::common::child::isolated;
use crate::common::conditions::until;
use crate::common::directory::Directory;
use crate::common::drops::Drops;
use crate::common::pair::{ask, echo, pair};
use crate::common::seccomp::{
    Calls, Lacking, REGISTER_PROBE, REGISTER_RING_FDS, lacking, refuse_from_now_on, refusing,
};
use crate::common::watchdog::{block_on, run};
use crate::this_test;

const SETUP: libc::c_long = libc::SYS_io_uring_setup;
const ENTER: libc::c_long = libc::SYS_io_uring_enter;
const REGISTER: libc::c_long = libc::SYS_io_uring_register;

fn on_the_kernels_ring() -> Builder {
    Runtime::builder().ring(RingKind::Kernel)
}

/// What set-up says of a kernel that refuses some calls.
fn error_when_refused(calls: impl Into<Calls>, errno: i32) -> SetupError {
    let calls = calls.into();
    refusing(calls, errno, || on_the_kernels_ring().build().expect_err("a refusal"))
}

/// Checks that an error is one line, names all of `remedies`, and is of the right kind.
fn assert_helpful(error: SetupError, kind: ErrorKind, remedies: &[&str]) {
    let message = error.to_string();
    assert!(!message.contains('\n'), "one line: {message}");
    assert_eq!(format!("{error:?}"), message, "what a `main` that fails shows");
    for remedy in remedies {
        assert!(message.contains(remedy), "{remedy} is missing in: {message}");
    }
    let error = io::Error::from(error);
    assert_eq!((error.kind(), error.to_string()), (kind, message));
}

// Refusals

#[test]
fn a_kernel_without_io_uring_is_explained() {
    let error = error_when_refused(SETUP, libc::ENOSYS);
    assert!(matches!(error, SetupError::NotInKernel), "{error}");
    let remedies = ["ENOSYS", "Linux 6.1", "CONFIG_IO_URING", "sysctl kernel.io_uring_disabled=0"];
    assert_helpful(error, ErrorKind::Unsupported, &remedies);
}

#[test]
fn a_seccomp_profile_that_forbids_io_uring_is_explained() {
    let error = error_when_refused(SETUP, libc::EPERM);
    assert!(matches!(error, SetupError::Forbidden), "{error}");
    let calls = ["io_uring_setup", "io_uring_enter", "io_uring_register"];
    let remedies = [&calls[..], &["EPERM", "RingKind::Portable"]].concat();
    assert_helpful(error, ErrorKind::PermissionDenied, &remedies);
}

// A profile may allow to set up a ring and forbid what comes next.
#[test]
fn a_seccomp_profile_that_forbids_io_uring_register_is_explained() {
    let error = error_when_refused(REGISTER, libc::EPERM);
    assert!(matches!(error, SetupError::Forbidden), "{error}");
}

#[test]
fn a_seccomp_profile_that_forbids_io_uring_enter_is_explained() {
    let error = error_when_refused(ENTER, libc::EPERM);
    assert!(matches!(error, SetupError::Forbidden), "{error}");
}

#[test]
fn a_sysctl_that_switches_io_uring_off_is_explained() {
    let remedies = ["kernel.io_uring_disabled = 1", "sysctl kernel.io_uring_disabled=0", "group"];
    assert_helpful(SetupError::Disabled { level: 1 }, ErrorKind::PermissionDenied, &remedies);
    let remedies = ["kernel.io_uring_disabled = 2", "sysctl kernel.io_uring_disabled=0"];
    assert_helpful(SetupError::Disabled { level: 2 }, ErrorKind::PermissionDenied, &remedies);
}

#[test]
fn too_little_locked_memory_for_the_smallest_ring_is_explained() {
    let error = error_when_refused(SETUP, libc::ENOMEM);
    assert!(matches!(error, SetupError::LockedMemory { .. }), "{error}");
    assert_helpful(error, ErrorKind::OutOfMemory, &["ENOMEM", "ulimit -l", "LimitMEMLOCK="]);
    let error = SetupError::LockedMemory { limit: Some(65_536) };
    assert_helpful(error, ErrorKind::OutOfMemory, &["limit of 64 KiB", "ulimit -l"]);
}

#[test]
fn a_kernel_that_knows_none_of_the_set_up_flags_is_explained() {
    let error = error_when_refused(SETUP, libc::EINVAL);
    assert!(matches!(error, SetupError::TooOld { since: "5.5", .. }), "{error}");
    assert_helpful(error, ErrorKind::Unsupported, &["Linux 5.5", "use Linux 6.1 or later"]);
}

#[test]
fn a_kernel_that_cannot_be_probed_is_explained() {
    let probe = Calls { number: REGISTER, second_argument: Some(REGISTER_PROBE) };
    let error = error_when_refused(probe, libc::EINVAL);
    // What the ring can do says that it is new enough.
    assert!(matches!(error, SetupError::Other(_)), "{error}");
    let remedies = ["probe", "Invalid argument", "sandbox", "io_uring_register"];
    assert_helpful(error, ErrorKind::InvalidInput, &remedies);
}

#[test]
fn a_security_module_that_forbids_io_uring_is_explained() {
    let error = error_when_refused(SETUP, libc::EACCES);
    assert!(matches!(error, SetupError::Forbidden), "{error}");
    assert_helpful(error, ErrorKind::PermissionDenied, &["EACCES", "security module"]);
}

#[test]
#[cfg_attr(annulus_unpooled, ignore = "a sanitizer's allocator maps memory at any time")]
fn too_little_address_space_for_the_smallest_ring_is_explained() {
    let error = error_when_refused(libc::SYS_mmap, libc::ENOMEM);
    assert!(matches!(error, SetupError::AddressSpace { .. }), "{error}");
    assert_helpful(error, ErrorKind::OutOfMemory, &["ENOMEM", "map"]);
    let error = SetupError::AddressSpace { limit: Some(65_536) };
    assert_helpful(error, ErrorKind::OutOfMemory, &["limited to 64 KiB", "ulimit -v", "LimitAS="]);
    let error = SetupError::AddressSpace { limit: None };
    assert_helpful(error, ErrorKind::OutOfMemory, &["vm.max_map_count"]);
}

#[test]
fn a_machine_without_open_files_left_is_explained() {
    let error = error_when_refused(SETUP, libc::ENFILE);
    let kind = io::Error::from_raw_os_error(libc::ENFILE).kind();
    assert_helpful(error, kind, &["Too many open files in system", "fs.file-max"]);
}

/// A process that enters a sandbox when its runtime runs already.
#[test]
#[should_panic(expected = "a sandbox that a process enters while a runtime is there")]
fn a_sandbox_that_is_entered_late_is_named_when_it_refuses() {
    let sandboxed = thread::spawn(|| {
        let runtime = on_the_kernels_ring().build().unwrap();
        block_on(&runtime, sleep(Duration::from_millis(1)));
        refuse_from_now_on(ENTER, libc::EPERM);
        // So long that the loop must wait for it.
        block_on(&runtime, sleep(Duration::from_secs(10)));
    });
    sandboxed.join().unwrap_or_else(|payload| std::panic::resume_unwind(payload));
}

#[test]
fn an_error_of_set_up_keeps_the_number_of_what_has_failed() {
    for errno in [libc::EPERM, libc::ENOMEM, libc::EMFILE, libc::ENFILE, libc::EBUSY] {
        let error = io::Error::from(error_when_refused(SETUP, errno));
        assert_eq!(raw_os_error(&error), Some(errno), "{error}");
    }
}

#[test]
fn a_process_without_descriptors_left_is_explained() {
    let error = error_when_refused(SETUP, libc::EMFILE);
    assert!(matches!(error, SetupError::Other(_)), "{error}");
    let kind = io::Error::from_raw_os_error(libc::EMFILE).kind();
    assert_helpful(error, kind, &["Too many open files", "ulimit -n"]);
}

#[test]
fn a_probe_says_the_same_as_a_runtime() {
    for errno in [libc::ENOSYS, libc::EPERM, libc::ENOMEM, libc::EINVAL, libc::EMFILE] {
        let runtime = error_when_refused(SETUP, errno).to_string();
        let probe = refusing(SETUP, errno, || probe().unwrap_err().to_string());
        assert_eq!(probe, runtime);
    }
}

// What can be done without

/// Everything that depends on how a ring was set up: connections, cancels, wake-ups, teardown.
fn use_everything() {
    let drops = Drops::default();
    let runtime = on_the_kernels_ring().build().unwrap();
    block_on(&runtime, async {
        let (mut near, far) = pair().await;
        let server = spawn(echo(far));
        for _ in 0..10 {
            ask(&mut near, b"message").await;
        }
        timeout(Duration::from_millis(1), near.read(Vec::with_capacity(16))).await.unwrap_err();
        ask(&mut near, b"and on").await;

        let mut woken = false;
        poll_fn(|context| {
            if woken {
                return Poll::Ready(());
            }
            woken = true;
            let waker = context.waker().clone();
            // Woken while the loop sleeps, as well as that can be known.
            thread::spawn(move || {
                thread::sleep(Duration::from_millis(2));
                waker.wake();
            });
            Poll::Pending
        })
        .await;

        drop(near);
        server.await.unwrap();
        until(|| metrics().in_kernel <= 1 && metrics().queued == 0).await;
        let ((mut near, far), guard) = (pair().await, drops.guard());
        spawn(async move {
            let _held = (guard, far);
            let _ = near.read(Vec::with_capacity(16)).await;
            pending::<()>().await;
        });
        yield_now().await;
        sleep(Duration::from_micros(100)).await;
    });
    drop(runtime);
    assert_eq!(drops.count(), 1);
}

#[test]
fn a_ring_whose_descriptor_cannot_be_registered_works() {
    let ring_fds = Calls { number: REGISTER, second_argument: Some(REGISTER_RING_FDS) };
    for errno in [libc::EINVAL, libc::EBUSY] {
        refusing(ring_fds, errno, use_everything);
    }
}

const SUBMIT_ALL: u32 = 1 << 7;
const COOP_TASKRUN: u32 = 1 << 8;
const TASKRUN_FLAG: u32 = 1 << 9;
const SINGLE_ISSUER: u32 = 1 << 12;
const DEFER_TASKRUN: u32 = 1 << 13;
const NO_SUBMISSION_ARRAY: u32 = 1 << 16;
/// The operation that tells 5.19.
const SOCKET: u8 = 45;

/// The names of what a probe does not find.
fn missing(probe: &Probe) -> Vec<&'static str> {
    let missing = probe.facilities().iter().filter(|facility| !facility.supported);
    missing.map(|facility| facility.name).collect()
}

#[test]
fn older_kernels_serve_with_fewer_flags_and_a_probe_says_which() {
    let mut lacks = Lacking { flags: 0, operation: None };
    // What this machine's own kernel lacks is missing in every row.
    let present = missing(&probe().unwrap());
    let mut expected = present.clone();
    for (flags, operation, names) in [
        (0, None, &[][..]),
        (NO_SUBMISSION_ARRAY, None, &["submission without an array"]),
        (DEFER_TASKRUN, None, &["deferred task-run"]),
        (SINGLE_ISSUER, None, &["single issuer"]),
        (
            COOP_TASKRUN | TASKRUN_FLAG,
            Some(SOCKET),
            &["task-run flag", "multishot accept", "cancel everything at once", "provided buffers"],
        ),
        (SUBMIT_ALL, Some(SOCKET), &["submit all"]),
    ] {
        lacks = Lacking { flags: lacks.flags | flags, operation };
        expected.extend(names.iter().filter(|name| !present.contains(name)));
        let mut found = lacking(lacks, || {
            use_everything();
            let probe = probe().unwrap();
            assert!(probe.is_sufficient());
            assert_eq!(probe.is_full(), missing(&probe).is_empty());
            missing(&probe)
        });
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected);
    }
}

/// The operation by which a directory is created.
const MKDIRAT: u8 = 37;

/// Linux 5.13 and 5.14 can remove and rename on the ring, but not create. In a process of its own,
/// whose end does not wait for threads that are idle under the filter.
#[test]
fn directories_and_links_are_created_where_the_ring_cannot() {
    isolated(this_test!(), || {
        let name = "creating directories and links";
        let is_missing = move || missing(&probe().unwrap()).contains(&name);
        let on_ring = entries_for_five_names();
        let is_missing_here = is_missing();
        let lacks = Lacking { flags: DEFER_TASKRUN | SINGLE_ISSUER, operation: Some(MKDIRAT) };
        lacking(lacks, move || {
            assert!(is_missing());
            let expected = if is_missing_here { on_ring } else { on_ring - 5 };
            assert_eq!(entries_for_five_names(), expected, "not an SQE for each name");
            process::exit(0);
        });
    });
}

/// Creates five names, one of which is there already. Returns how many SQEs the ring has taken.
fn entries_for_five_names() -> u64 {
    block_on(&on_the_kernels_ring().build().unwrap(), async {
        let directory = Directory::new();
        let before = metrics().submitted;
        let created = directory.join("created");
        fs::create_dir(&created).await.unwrap();
        let error = fs::create_dir(&created).await.unwrap_err();
        assert!(error.to_string().contains("create directory /"), "{error}");
        let (file, link) = (directory.file("file", "text"), directory.join("link"));
        fs::hard_link(&file, &link).await.unwrap();
        fs::symlink("link", directory.join("second")).await.unwrap();
        let dir = fs::Dir::open(directory.path()).await.unwrap();
        dir.create_dir("created/below").await.unwrap();
        assert_eq!(fs::read(directory.join("second")).await.unwrap(), b"text");
        fs::rename(&link, directory.join("third")).await.unwrap();
        fs::remove_dir_all(&created).await.unwrap();
        metrics().submitted - before
    })
}

/// How many SQEs the ring takes to accept ten connections.
fn entries_for_ten_connections() -> u64 {
    block_on(&on_the_kernels_ring().build().unwrap(), async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let before = metrics().submitted;
        for _ in 0..10 {
            let client = net::TcpStream::connect(address).unwrap();
            let (stream, peer) = listener.accept().await.unwrap();
            assert_eq!(peer, client.local_addr().unwrap());
            drop(stream);
        }
        metrics().submitted - before
    })
}

#[test]
fn one_entry_accepts_many_connections_where_the_kernel_can_and_else_one_each() {
    let flags = DEFER_TASKRUN | SINGLE_ISSUER;
    let linux_5_18 = Lacking { flags, operation: Some(SOCKET) };
    assert!(lacking(linux_5_18, entries_for_ten_connections) >= 10);
    if probe().unwrap().is_full() {
        assert!(entries_for_ten_connections() <= 2, "one accept, and the poll of the bell");
    }
}

// This kernel

#[test]
fn a_probe_lists_what_is_there_and_what_the_lack_of_the_rest_means() {
    let probe = probe().unwrap();
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    assert_eq!(probe.kernel(), release.trim());
    assert!(probe.is_sufficient());
    assert_eq!(probe.is_full(), missing(&probe).is_empty());
    for facility in probe.facilities() {
        assert!(!facility.name.is_empty() && facility.since.contains('.'), "{facility:?}");
        if !facility.supported {
            println!("this kernel lacks {}: {:?}", facility.name, facility.without);
        }
    }
    // What cannot be done without comes first.
    let optional = probe.facilities().iter().map(|facility| facility.without.is_some());
    assert!(optional.is_sorted());
}

#[test]
fn a_probe_needs_no_runtime_and_disturbs_none() {
    run(async {
        let before = metrics();
        assert!(probe().unwrap().is_sufficient());
        assert_eq!(metrics(), before);
    });
}
