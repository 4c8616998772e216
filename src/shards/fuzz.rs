//! Random lists of CPUs, and files of control groups.

use super::cpu_list::CpuList;
use super::cpu_quota::quota;
use crate::fuzz_input::Input;

pub(crate) fn cpus(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let Ok(list) = std::str::from_utf8(input.bytes()) else { return };
    if let Ok(cpus) = list.parse::<CpuList>() {
        assert!(!cpus.as_slice().is_empty(), "{list:?} names no CPU");
        let again = cpus.to_string().parse::<CpuList>();
        assert_eq!(again.expect("it was written").as_slice(), cpus.as_slice());
    }
    let texts = [input.bytes(), input.bytes(), input.rest()].map(std::str::from_utf8);
    let [Ok(groups), Ok(mounts), Ok(file)] = texts else { return };
    let quota = quota(groups, mounts, |path| {
        // The kernel names no mount point so, but the path of a group is another namespace's.
        let leads_out = path.components().any(|part| part.as_os_str() == "..");
        assert!(!leads_out || mounts.contains(".."), "it leads out: {path:?}");
        Some(file.to_owned())
    });
    assert_ne!(quota, Some(0));
}
