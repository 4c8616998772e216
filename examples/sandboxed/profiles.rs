//! What the runtimes of containers refuse, as they publish it.
//!
//! Each list is of what is *refused* to a process that has the capabilities which its runtime gives
//! by default: it is short, and says at a glance what a program has to do without. What is newer
//! than the list is refused too, since a profile allows only what it names.

use std::collections::{BTreeMap, BTreeSet};
use std::env::consts::ARCH;

use libc::{EOPNOTSUPP, EPERM, c_int, c_long};
use seccompiler::SeccompCmpArgLen::{Dword, Qword};
use seccompiler::SeccompCmpOp::{Eq, MaskedEq, Ne};
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};

/// The system calls that a runtime refuses.
pub(crate) struct Profile {
    pub(crate) name: &'static str,
    /// Where it was published, and which version this is.
    pub(crate) source: &'static str,
    /// The calls that it knows: numbers from each first to each last.
    known: &'static [(c_long, c_long)],
    /// How it answers a call that it does not know.
    unknown: c_int,
    refused: &'static [Refused],
}

/// Calls that are answered with an error.
struct Refused {
    errno: c_int,
    calls: &'static [c_long],
    /// With which arguments, if not with all: where all of one list hold.
    when: &'static [&'static [Condition]],
}

/// A condition on the argument of this index.
type Condition = (u8, SeccompCmpOp, u64);

/// The last call of a table that all architectures share: `removexattrat` (Linux 6.13).
const REMOVEXATTRAT: c_long = 466;

// libc has no names for these.
const LSM_GET_SELF_ATTR: c_long = 459;
const LSM_SET_SELF_ATTR: c_long = 460;
const LSM_LIST_MODULES: c_long = 461;
#[cfg(target_arch = "x86_64")]
const IO_PGETEVENTS: c_long = 333;

const fn always(errno: c_int, calls: &'static [c_long]) -> Refused {
    Refused { errno, calls, when: &[] }
}

/// What moby and containerd refuse alike.
const NOT_IN_CONTAINERS: &[c_long] = &[
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    // Namespaces and mounts.
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    // Other processes.
    libc::SYS_kcmp,
    libc::SYS_pidfd_getfd,
    libc::SYS_process_madvise,
    libc::SYS_move_pages,
    libc::SYS_migrate_pages,
    // Memory of certain nodes.
    libc::SYS_mbind,
    libc::SYS_get_mempolicy,
    libc::SYS_set_mempolicy,
    libc::SYS_set_mempolicy_home_node,
    // What the kernel has for itself, or for administrators.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_fanotify_init,
    libc::SYS_open_by_handle_at,
    libc::SYS_lookup_dcookie,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_syslog,
    libc::SYS_vhangup,
    libc::SYS_acct,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_reboot,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_nfsservctl,
];

/// The same, of what only x86-64 has.
#[cfg(target_arch = "x86_64")]
const NOT_IN_CONTAINERS_HERE: &[c_long] = &[
    libc::SYS_uselib,
    libc::SYS_ustat,
    libc::SYS_sysfs,
    libc::SYS__sysctl,
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_kexec_file_load,
];
#[cfg(not(target_arch = "x86_64"))]
const NOT_IN_CONTAINERS_HERE: &[c_long] = &[];

/// A process that was refused `clone3` as missing uses `clone`, whose flags a filter can see.
const CLONE3: Refused = always(libc::ENOSYS, &[libc::SYS_clone3]);

/// Sockets to the host: AF_VSOCK of virtual machines, and AF_ALG for kernel cryptography.
const SOCKETS: Refused = Refused {
    errno: EPERM,
    calls: &[libc::SYS_socket],
    when: &[&[(0, Eq, libc::AF_VSOCK as u64)], &[(0, Eq, libc::AF_ALG as u64)]],
};

const NAMESPACES: Refused = Refused {
    errno: EPERM,
    calls: &[libc::SYS_clone],
    when: &[
        &[new(libc::CLONE_NEWNS)],
        &[new(libc::CLONE_NEWCGROUP)],
        &[new(libc::CLONE_NEWUTS)],
        &[new(libc::CLONE_NEWIPC)],
        &[new(libc::CLONE_NEWUSER)],
        &[new(libc::CLONE_NEWPID)],
        &[new(libc::CLONE_NEWNET)],
    ],
};

/// The flags of `clone` have this one.
const fn new(namespace: c_int) -> Condition {
    (0, MaskedEq(namespace as u64), namespace as u64)
}

/// Linux, with or without the features of two older ones, or a query.
const PERSONALITIES: Refused = Refused {
    errno: EPERM,
    calls: &[libc::SYS_personality],
    when: &[&[
        (0, Ne, 0),
        (0, Ne, 0x8),
        (0, Ne, 0x2_0000),
        (0, Ne, 0x2_0008),
        (0, Ne, 0xffff_ffff),
    ]],
};

const DOCKER: Profile = Profile {
    name: "docker",
    source: "Docker 29.7: github.com/moby/profiles, seccomp v0.2.3",
    known: &[(0, REMOVEXATTRAT)],
    unknown: EPERM,
    refused: &[
        always(EPERM, NOT_IN_CONTAINERS),
        always(EPERM, NOT_IN_CONTAINERS_HERE),
        always(EPERM, &[LSM_GET_SELF_ATTR, LSM_SET_SELF_ATTR, LSM_LIST_MODULES]),
        CLONE3,
        SOCKETS,
        NAMESPACES,
        PERSONALITIES,
    ],
};

const CONTAINERD: Profile = Profile {
    name: "containerd",
    source: "Kubernetes' RuntimeDefault: github.com/containerd/containerd 301026e, contrib/seccomp",
    known: &[(0, REMOVEXATTRAT)],
    unknown: EPERM,
    refused: &[
        always(EPERM, NOT_IN_CONTAINERS),
        always(EPERM, NOT_IN_CONTAINERS_HERE),
        CLONE3,
        SOCKETS,
        NAMESPACES,
        PERSONALITIES,
    ],
};

const GVISOR: Profile = Profile {
    name: "gvisor",
    source: "gVisor's calls of amd64: github.com/google/gvisor 3c5eee1, \
             pkg/sentry/syscalls/linux/linux64.go",
    known: GVISOR_KNOWN,
    unknown: libc::ENOSYS,
    refused: &[
        always(libc::ENOSYS, NOT_IN_GVISOR),
        always(libc::ENOSYS, NOT_IN_GVISOR_HERE),
        always(EOPNOTSUPP, &[libc::SYS_name_to_handle_at, libc::SYS_open_by_handle_at]),
        // Neither flags of a read or write, nor holes and the like.
        Refused {
            errno: EOPNOTSUPP,
            calls: &[libc::SYS_preadv2, libc::SYS_pwritev2],
            when: &[&[(5, Ne, 0)]],
        },
        Refused { errno: EOPNOTSUPP, calls: &[libc::SYS_fallocate], when: &[&[(1, Ne, 0)]] },
    ],
};

/// The last call before the table that all architectures share, and that table to `epoll_pwait2`.
#[cfg(target_arch = "x86_64")]
const GVISOR_KNOWN: &[(c_long, c_long)] =
    &[(0, libc::SYS_rseq), (libc::SYS_pidfd_send_signal, libc::SYS_epoll_pwait2)];
#[cfg(not(target_arch = "x86_64"))]
const GVISOR_KNOWN: &[(c_long, c_long)] = &[(0, libc::SYS_epoll_pwait2)];

const NOT_IN_GVISOR: &[c_long] = &[
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_openat2,
    libc::SYS_copy_file_range,
    libc::SYS_vmsplice,
    libc::SYS_process_madvise,
    libc::SYS_pkey_mprotect,
    libc::SYS_pkey_alloc,
    libc::SYS_pkey_free,
    libc::SYS_userfaultfd,
    libc::SYS_fanotify_init,
    libc::SYS_fanotify_mark,
    libc::SYS_fspick,
    libc::SYS_mq_timedsend,
    libc::SYS_mq_timedreceive,
    libc::SYS_mq_notify,
    libc::SYS_mq_getsetattr,
    libc::SYS_remap_file_pages,
    libc::SYS_setfsuid,
    libc::SYS_setfsgid,
    libc::SYS_nfsservctl,
];

#[cfg(target_arch = "x86_64")]
const NOT_IN_GVISOR_HERE: &[c_long] = &[
    IO_PGETEVENTS,
    libc::SYS_uselib,
    libc::SYS_ustat,
    libc::SYS_sysfs,
    libc::SYS_set_thread_area,
    libc::SYS_get_thread_area,
    libc::SYS_epoll_ctl_old,
    libc::SYS_epoll_wait_old,
];
#[cfg(not(target_arch = "x86_64"))]
const NOT_IN_GVISOR_HERE: &[c_long] = &[];

pub(crate) const ALL: [&Profile; 3] = [&DOCKER, &CONTAINERD, &GVISOR];

pub(crate) fn named(name: &str) -> Option<&'static Profile> {
    ALL.into_iter().find(|profile| profile.name == name)
}

impl Profile {
    /// The filters that together are this profile.
    pub(crate) fn filters(&self) -> Result<Vec<BpfProgram>, BackendError> {
        let known = self.known.iter().flat_map(|&(first, last)| first..=last);
        let known = known.map(|call| (call, Vec::new())).collect();
        let mut filters = vec![compile(known, errno(self.unknown), SeccompAction::Allow)?];
        for answer in self.refused.iter().map(|refused| refused.errno).collect::<BTreeSet<_>>() {
            let mut rules = BTreeMap::new();
            for refused in self.refused.iter().filter(|refused| refused.errno == answer) {
                for &call in refused.calls {
                    rules.insert(call, refused.rules()?);
                }
            }
            filters.push(compile(rules, SeccompAction::Allow, errno(answer))?);
        }
        Ok(filters)
    }
}

impl Refused {
    fn rules(&self) -> Result<Vec<SeccompRule>, BackendError> {
        let condition = |(index, operator, value): &Condition| {
            // The kernel itself takes 32 bits of a domain and of a personality.
            let length = if *index == 0 { Dword } else { Qword };
            SeccompCondition::new(*index, length, operator.clone(), *value)
        };
        let rule = |conditions: &&[Condition]| {
            SeccompRule::new(conditions.iter().map(condition).collect::<Result<_, _>>()?)
        };
        self.when.iter().map(rule).collect()
    }
}

fn errno(errno: c_int) -> SeccompAction {
    SeccompAction::Errno(errno as u32)
}

fn compile(
    rules: BTreeMap<c_long, Vec<SeccompRule>>,
    otherwise: SeccompAction,
    matched: SeccompAction,
) -> Result<BpfProgram, BackendError> {
    let here = ARCH.try_into()?;
    SeccompFilter::new(rules, otherwise, matched, here)?.try_into()
}
