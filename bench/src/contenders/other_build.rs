//! A contender of another build of this program, as of another commit.

use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Contender, Service};
use crate::server::Calls;
use crate::workloads::Workload;

/// What the other build's contender is called here.
pub(crate) const NAME: &str = "other";

pub(crate) struct OtherBuild {
    program: PathBuf,
    hosted_as: String,
    form: &'static str,
}

impl OtherBuild {
    /// The other build's contender that is like `contender`: of the same form, whatever its name.
    ///
    /// # Errors
    ///
    /// If the program cannot be run, or has none like it.
    pub(crate) fn of(program: &Path, contender: &dyn Contender) -> io::Result<Self> {
        let named = |error: io::Error| {
            io::Error::new(error.kind(), format!("{}: {error}", program.display()))
        };
        let program = program.canonicalize().map_err(named)?;
        let output = Command::new(&program).arg("list").output().map_err(named)?;
        let listed = String::from_utf8_lossy(&output.stdout);
        let form = contender.form();
        let Some(hosted_as) = name_of(&listed, form) else {
            let text = format!("it lists no contender of the form \"{form}\"");
            return Err(named(io::Error::new(io::ErrorKind::NotFound, text)));
        };
        Ok(Self { program, hosted_as: hosted_as.to_owned(), form })
    }
}

/// Who has this form among the contenders that `list` prints.
fn name_of<'a>(listed: &'a str, form: &str) -> Option<&'a str> {
    let pairs = listed.lines().filter_map(|line| line.trim().split_once(' '));
    pairs.into_iter().find(|(_, other)| other.trim() == form).map(|(name, _)| name)
}

impl Contender for OtherBuild {
    fn name(&self) -> &'static str {
        NAME
    }

    fn form(&self) -> &'static str {
        self.form
    }

    fn program(&self) -> Option<&Path> {
        Some(&self.program)
    }

    fn hosted_as(&self) -> &str {
        &self.hosted_as
    }

    fn serves(&self, _service: Service) -> bool {
        true
    }

    fn serve(&self, _: Service, _: TcpListener, _: &'static Calls) -> io::Result<()> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "another program serves"))
    }

    fn lacks_work(&self, _workload: Workload) -> Option<&'static str> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_other_builds_name_is_found_by_the_form() {
        let listed =
            "contenders:\n  annulus               owned buffers\n  annulus-lease         leases\n";
        assert_eq!(name_of(listed, "leases"), Some("annulus-lease"));
        assert_eq!(name_of(listed, "direct descriptors"), None);
    }
}
