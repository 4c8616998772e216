//! `file`: reads, writes and syncs of a file, in a process of its own.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::{bytes_of_file, size_name};
use crate::compare::{Cell, Settings};
use crate::contenders::{Contender, lacks_job};
use crate::files::{Block, Contents, Job, Kind, Report, UNIT};
use crate::results::Sample;
use crate::server::{list, run_to_end};
use crate::summary::Better::{self, Higher, Lower};

const COLUMNS: &[(&str, Better)] = &[
    ("operations/s", Higher),
    ("MB/s", Higher),
    ("p50 us", Lower),
    ("p99 us", Lower),
    ("p99.9 us", Lower),
    ("max us", Lower),
    ("cpu us", Lower),
    ("user us", Lower),
    ("sys us", Lower),
];

/// What records of a log are measured by.
const LOG_COLUMNS: &[(&str, Better)] = &[
    ("records/s", Higher),
    ("syncs/record", Lower),
    ("p50 us", Lower),
    ("p99 us", Lower),
    ("p99.9 us", Lower),
    ("max us", Lower),
    ("cpu us", Lower),
    ("user us", Lower),
    ("sys us", Lower),
];

/// A measurement may take this much longer than was asked for: what was written is read back.
const ALLOWANCE: Duration = Duration::from_secs(60);

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Mode {
    Buffered,
    Direct,
}

/// Reads, writes and syncs of a file.
#[derive(Args, Clone, Debug)]
pub(crate) struct Files {
    /// What to do; all, if nothing is named.
    #[arg(long, value_delimiter = ',')]
    kinds: Vec<Kind>,
    /// Through the kernel's cache, or past it.
    #[arg(long, value_delimiter = ',', default_value = "buffered,direct")]
    modes: Vec<Mode>,
    /// Numbers of operations under way.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 32, 128])]
    depths: Vec<usize>,
    /// The size of each of the two files, like 128M.
    #[arg(long, value_parser = bytes_of_file, default_value = "128M")]
    file_size: u64,
    /// Where to put them; a folder for temporary files, if not given. They are removed afterwards.
    #[arg(long)]
    directory: Option<PathBuf>,
}

impl Files {
    /// Makes the files, and a cell for each combination.
    pub(crate) fn cells(&self) -> io::Result<(Place, Vec<Cell>)> {
        let place = Place::make(self.directory.as_deref(), self.file_size)?;
        let mut modes = self.modes.clone();
        if modes.contains(&Mode::Direct) {
            if let Err(error) = place.try_direct() {
                let folder = place.folder.display();
                eprintln!("O_DIRECT is left out: the file system of {folder} refuses it ({error})");
                modes.retain(|mode| *mode != Mode::Direct);
            }
        }
        let kinds = if self.kinds.is_empty() { Kind::value_variants() } else { &self.kinds };
        let mut cells = Vec::new();
        for &kind in kinds {
            for &mode in &modes {
                if kind == Kind::GroupCommit && mode == Mode::Direct {
                    // Records have any length.
                    continue;
                }
                cells.extend(self.depths.iter().map(|&depth| self.cell(&place, kind, mode, depth)));
            }
        }
        Ok((place, cells))
    }

    fn cell(&self, place: &Place, kind: Kind, mode: Mode, depth: usize) -> Cell {
        let direct = mode == Mode::Direct;
        let path = place.file(match kind {
            Kind::GroupCommit => LOG,
            kind if kind.reads() => READS,
            _ => WRITES,
        });
        let job =
            Job { kind, path, direct, depth, size: self.file_size, warm_up: 0.0, seconds: 0.0 };
        let asked = job.clone();
        let what = kind.name().replace('-', " ");
        let size = size_name(kind.block_size());
        let how = if direct { "O_DIRECT" } else { "buffered" };
        Cell {
            name: format!("{what} of {size}, {how}, depth {depth}"),
            columns: if kind == Kind::GroupCommit { LOG_COLUMNS } else { COLUMNS },
            objection: Box::new(move |one| lacks_job(one, &asked).map(str::to_owned)),
            measure: Box::new(move |contender: &dyn Contender, settings: &Settings| {
                measure(contender, &job, settings)
            }),
        }
    }
}

fn measure(contender: &dyn Contender, job: &Job, settings: &Settings) -> io::Result<Sample> {
    let job = Job {
        warm_up: settings.warm_up.as_secs_f64(),
        seconds: settings.window.as_secs_f64(),
        ..job.clone()
    };
    let mut arguments = vec!["work-file".to_owned(), contender.hosted_as().to_owned()];
    arguments.extend(job.arguments());
    arguments.extend(["--cores".to_owned(), list(settings.one_core())]);
    let limit = settings.warm_up + settings.window + ALLOWANCE;
    let output = run_to_end(contender, &[], &arguments, limit)?;
    Ok(sample(&job, &serde_json::from_str(&output.said)?))
}

fn sample(job: &Job, report: &Report) -> Sample {
    let mut sample = Sample::default();
    let rate = report.operations as f64 / report.elapsed.as_secs_f64();
    if job.kind == Kind::GroupCommit {
        sample.set("records/s", rate);
        sample.set("syncs/record", report.syncs as f64 / report.operations as f64);
    } else {
        sample.set("operations/s", rate);
        sample.set("MB/s", rate * job.kind.block_size() as f64 / 1e6);
    }
    let microseconds = |time: Duration| time.as_secs_f64() * 1e6;
    sample.set("p50 us", microseconds(report.latency.p50));
    sample.set("p99 us", microseconds(report.latency.p99));
    sample.set("p99.9 us", microseconds(report.latency.p999));
    sample.set("max us", microseconds(report.latency.max));
    let each = |time: Duration| microseconds(time) / report.operations as f64;
    sample.set("cpu us", each(report.user + report.system));
    sample.set("user us", each(report.user));
    sample.set("sys us", each(report.system));
    sample
}

const READS: &str = "reads";
const WRITES: &str = "writes";
/// Begins empty in each measurement.
const LOG: &str = "log";

/// The folder of the files, which is removed with this value.
pub(crate) struct Place {
    folder: PathBuf,
}

impl Place {
    fn make(directory: Option<&Path>, size: u64) -> io::Result<Self> {
        let above = directory.map_or_else(std::env::temp_dir, Path::to_path_buf);
        let folder = above.join(format!("annulus-bench-files-{}", process::id()));
        fs::create_dir(&folder).map_err(|error| {
            io::Error::new(error.kind(), format!("{}: {error}", folder.display()))
        })?;
        let place = Self { folder };
        for name in [READS, WRITES] {
            fill(&place.file(name), size)?;
        }
        Ok(place)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Reads a block past the kernel's cache. Some file systems refuse to open a file so, others to
    /// read it.
    fn try_direct(&self) -> io::Result<()> {
        let mut options = OpenOptions::new();
        let file = options.read(true).custom_flags(libc::O_DIRECT).open(self.file(READS))?;
        let mut block = Block::new(UNIT);
        file.read_exact_at(&mut block, 0)?;
        Contents::new().check(0, 0, &block)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Makes a file that is on the disk, and in the kernel's cache.
fn fill(path: &Path, size: u64) -> io::Result<()> {
    const CHUNK: usize = 256 * UNIT;
    let contents = Contents::new();
    let mut file = File::create_new(path)?;
    let mut chunk = vec![0; CHUNK];
    let mut offset = 0;
    while offset < size {
        let now = (size - offset).min(CHUNK as u64) as usize;
        contents.fill(offset, 0, &mut chunk[..now]);
        file.write_all(&chunk[..now])?;
        offset += now as u64;
    }
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_are_there_until_they_are_not_needed() {
        let size = 300 * UNIT as u64;
        let place = Place::make(None, size).unwrap();
        let (folder, contents) = (place.folder.clone(), Contents::new());
        let bytes = fs::read(place.file(WRITES)).unwrap();
        assert_eq!(bytes.len() as u64, size);
        contents.check(0, 0, &bytes).unwrap();
        drop(place);
        assert!(!folder.exists());
    }
}
