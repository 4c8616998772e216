//! What machine this is.

use std::collections::BTreeMap;
use std::{fs, thread};

use serde::{Deserialize, Serialize};

use crate::os::clock::utc_now;

/// The machine of a run, as far as the kernel tells.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) when: String,
    pub(crate) kernel: String,
    pub(crate) processor: String,
    pub(crate) cores: usize,
    /// The clock governor of the first core.
    pub(crate) governor: Option<String>,
    /// The weaknesses of the processor that something is done about, and what.
    pub(crate) mitigations: BTreeMap<String, String>,
}

impl Machine {
    pub(crate) fn this() -> Self {
        let information = read("/proc/cpuinfo").unwrap_or_default();
        Self {
            when: utc_now(),
            kernel: read("/proc/sys/kernel/osrelease").unwrap_or_else(|| "unknown".to_owned()),
            processor: model(&information).unwrap_or("unknown").to_owned(),
            cores: thread::available_parallelism().map_or(1, usize::from),
            governor: read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
            mitigations: mitigations(),
        }
    }

    /// One line for the head of a table.
    pub(crate) fn line(&self) -> String {
        let mut names: Vec<_> = self.mitigations.keys().map(String::as_str).collect();
        names.sort_unstable();
        let mitigations = if names.is_empty() { "none known".to_owned() } else { names.join(", ") };
        let governor = self.governor.as_deref().unwrap_or("not known");
        let Self { when, kernel, processor, cores, .. } = self;
        format!(
            "{when}; Linux {kernel}; {processor}, {cores} cores; governor {governor}; mitigations: \
             {mitigations}"
        )
    }
}

/// How many processes ran or waited for a processor lately, on average over 1, 5 and 15 minutes.
pub(crate) fn load() -> String {
    let average = read("/proc/loadavg").unwrap_or_default();
    average.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

fn model(information: &str) -> Option<&str> {
    let line = information.lines().find(|line| line.starts_with("model name"))?;
    line.split_once(':').map(|(_, name)| name.trim())
}

fn mitigations() -> BTreeMap<String, String> {
    let Ok(files) = fs::read_dir("/sys/devices/system/cpu/vulnerabilities") else {
        return BTreeMap::new();
    };
    let named = files.flatten().filter_map(|file| {
        let text = read(file.path().to_str()?)?;
        let mitigation = text.strip_prefix("Mitigation: ")?;
        Some((file.file_name().into_string().ok()?, mitigation.to_owned()))
    });
    named.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_is_named_once_a_core() {
        let text = "processor\t: 0\nmodel name\t: Some Processor\nmodel name\t: Another\n";
        assert_eq!(model(text), Some("Some Processor"));
        assert_eq!(model("processor : 0"), None);
    }
}
