//! Lists of CPUs, as the kernel and `taskset` write them.

use std::ops::{Range, RangeInclusive};
use std::str::FromStr;
use std::{error, fmt, io, vec};

use crate::sys::affinity;

/// A list of CPUs, in the order of the shards that run on them.
///
/// It is made from numbers, from a range, or from text: `0-3,8`.
///
/// # Example
///
/// ```
/// use annulus::shards::CpuList;
///
/// let list: CpuList = "0-2,8".parse()?;
/// assert_eq!(list.as_slice(), [0, 1, 2, 8]);
/// assert_eq!(CpuList::from(0..4).to_string(), "0-3");
/// # Ok::<(), annulus::shards::ParseCpuListError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CpuList(Vec<usize>);

impl CpuList {
    /// Returns the CPUs that the calling thread may run on, by its affinity and its cpuset.
    ///
    /// # Errors
    ///
    /// If the system refuses to tell, as in a sandbox.
    pub fn allowed() -> io::Result<Self> {
        affinity::allowed_cpus().map(Self)
    }

    /// Returns the numbers of the CPUs.
    pub fn as_slice(&self) -> &[usize] {
        &self.0
    }
}

impl From<Vec<usize>> for CpuList {
    fn from(cpus: Vec<usize>) -> Self {
        Self(cpus)
    }
}

impl<const N: usize> From<[usize; N]> for CpuList {
    fn from(cpus: [usize; N]) -> Self {
        Self(cpus.into())
    }
}

impl From<Range<usize>> for CpuList {
    fn from(cpus: Range<usize>) -> Self {
        Self(cpus.collect())
    }
}

impl From<RangeInclusive<usize>> for CpuList {
    fn from(cpus: RangeInclusive<usize>) -> Self {
        Self(cpus.collect())
    }
}

impl FromIterator<usize> for CpuList {
    fn from_iter<I: IntoIterator<Item = usize>>(cpus: I) -> Self {
        Self(cpus.into_iter().collect())
    }
}

impl IntoIterator for CpuList {
    type Item = usize;
    type IntoIter = vec::IntoIter<usize>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// Numbers and ranges, separated by commas; spaces and a line's end are ignored.
impl FromStr for CpuList {
    type Err = ParseCpuListError;

    fn from_str(text: &str) -> Result<Self, ParseCpuListError> {
        let parts = text.split(',').map(|part| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            Some(number(first)?..=number(last)?).filter(|range| !range.is_empty())
        });
        let ranges: Option<Vec<_>> = parts.collect();
        let ranges = ranges.ok_or_else(|| ParseCpuListError(text.to_owned()))?;
        Ok(Self(ranges.into_iter().flatten().collect()))
    }
}

/// The number of a CPU. No kernel has one of more digits, and a range must not fill the memory.
fn number(text: &str) -> Option<usize> {
    let digits = text.trim();
    let is_number = (1..=5).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| digits.parse().ok()).flatten()
}

/// As text: ascending neighbours are a range.
impl fmt::Display for CpuList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ranges = self.0.chunk_by(|before, next| before.checked_add(1) == Some(*next));
        for (place, range) in ranges.enumerate() {
            let comma = if place == 0 { "" } else { "," };
            match range {
                [only] => write!(f, "{comma}{only}")?,
                [first, .., last] => write!(f, "{comma}{first}-{last}")?,
                [] => {}
            }
        }
        Ok(())
    }
}

/// A text is not a list of CPUs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseCpuListError(String);

impl fmt::Display for ParseCpuListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = &self.0;
        write!(f, "{text:?} is not a list of CPUs: expected numbers and ranges, such as `0-3,8`")
    }
}

impl error::Error for ParseCpuListError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_ranges_are_a_list_in_the_given_order() {
        let parsed = |text: &str| text.parse::<CpuList>().unwrap().0;
        assert_eq!(parsed("0"), [0]);
        assert_eq!(parsed("0-3,8"), [0, 1, 2, 3, 8]);
        assert_eq!(parsed("8, 1-2 ,5-5\n"), [8, 1, 2, 5]);
        assert_eq!(parsed("0-65535").len(), 65_536);
    }

    #[test]
    fn what_is_no_list_is_refused_with_an_example() {
        for text in ["", ",", "0,", "a", "0-", "-1", "3-1", "0-1-2", "+1", "0x1", "0-999999999"] {
            let error = text.parse::<CpuList>().unwrap_err();
            assert!(error.to_string().starts_with(&format!("{text:?} is not a list")), "{error}");
        }
    }

    #[test]
    fn a_list_is_printed_as_it_is_parsed() {
        for text in ["0", "0-3,8", "8,1-2,5", "1,1", "3,2"] {
            assert_eq!(text.parse::<CpuList>().unwrap().to_string(), text);
        }
    }
}
