//! Leases in a process with little address space.

use std::io::Write;

use annulus::{Incident, Runtime};

use crate::common::child::{command, role};
use crate::common::incidents::Incidents;
use crate::common::net::connected;
use crate::common::pattern::{pattern, receive_all};
use crate::this_test;

/// With so little address space that the pools do not fit, fewer buffers serve, or none at all.
#[test]
fn a_process_with_little_address_space_serves_with_fewer_buffers_and_says_so() {
    let Some(role) = role() else {
        for megabytes in [24, 9, 5] {
            let output = command(this_test!(), &megabytes.to_string()).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "with {megabytes} MiB: {said}");
        }
        return;
    };
    let incidents = Incidents::default();
    let its = incidents.clone();
    let builder = Runtime::builder().on_incident(move |incident| its.report(incident));
    let runtime = builder.build().unwrap();
    runtime.block_on(async {
        let mut pairs: Vec<_> = (0..4).map(|_| connected()).collect();
        limit_address_space(role.parse::<u64>().unwrap() << 20);
        for round in 0..20 {
            for (seed, (stream, peer)) in pairs.iter_mut().enumerate() {
                let length = [10, 20_000][round % 2];
                peer.write_all(&pattern(seed as u8, length)).unwrap();
                assert_eq!(receive_all(stream, length).await, pattern(seed as u8, length));
            }
        }
    });
    let incidents = incidents.take();
    // With a little space there are some, with less there may be none.
    let fewest = u16::from(role == "24");
    let fewer = |incident: &_| match incident {
        Incident::FewerLeases { requested, granted, .. } => {
            granted < requested && *granted >= fewest
        }
        _ => false,
    };
    assert!(!incidents.is_empty() && incidents.iter().all(fewer), "{incidents:?}");
}

/// Lets this process map `more` bytes than it has.
fn limit_address_space(more: u64) {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = pages.split(' ').next().unwrap().parse().unwrap();
    let most = pages * 4096 + more;
    let limit = libc::rlimit { rlim_cur: most, rlim_max: most };
    // SAFETY: the call reads one limit.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &limit) }, 0);
}
