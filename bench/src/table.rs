//! Results as tables.

use std::collections::BTreeSet;

use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{CellAlignment, Table};

use crate::results::{Cell, Entry, Results, Skipped};
use crate::server::list;
use crate::summary::{Score, Spread};
use crate::verdict;

/// The machine and how it was measured.
pub(crate) fn head(results: &Results) -> String {
    let Results { scenario, machine, server_cores, load_cores, rounds, window, .. } = results;
    let how = format!(
        "{rounds} rounds of {window} s, interleaved; server on {}, load on {}",
        cores(server_cores),
        cores(load_cores)
    );
    let mut lines = vec![format!("{scenario}: {how}"), machine.line()];
    if !results.versions.is_empty() {
        lines.push(versions(results));
    }
    lines.join("\n")
}

/// The versions of the peers, like `tokio 1.2.3, smol 2.0.0`.
pub(crate) fn versions(results: &Results) -> String {
    let pairs = results.versions.iter().map(|(name, version)| format!("{name} {version}"));
    pairs.collect::<Vec<_>>().join(", ")
}

fn cores(cores: &[usize]) -> String {
    format!("core{} {}", if cores.len() == 1 { "" } else { "s" }, list(cores))
}

/// How many columns a table has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Width {
    /// As many as a terminal shows.
    Narrow,
    /// All.
    Wide,
}

/// A cell: the verdict, a table, and what there is to say about it.
pub(crate) fn cell(cell: &Cell, width: Width) -> String {
    let mut lines = vec![format!("\n{}", cell.name)];
    lines.extend(verdict::lines(cell));
    if let Some((header, rows)) = rows(cell, width) {
        let mut table = Table::new();
        table.load_preset(ASCII_MARKDOWN).set_header(header).add_rows(rows);
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        lines.push(table.to_string());
    }
    let remarks = match width {
        Width::Narrow => brief_remarks(cell),
        Width::Wide => remarks(cell),
    };
    lines.extend(remarks.into_iter().map(|remark| format!("  {remark}")));
    lines.join("\n")
}

/// The header of a cell's table, and a row for each entry; `None` if no contender was measured.
pub(crate) fn rows(cell: &Cell, width: Width) -> Option<(Vec<String>, Vec<Vec<String>>)> {
    let (first, others) = cell.columns.split_first()?;
    if cell.entries.is_empty() {
        return None;
    }
    // A figure that no contender has needs no column.
    let mut others: Vec<_> = others
        .iter()
        .filter(|column| cell.entries.iter().any(|one| one.summary.contains_key(&column.name)))
        .collect();
    let mut comparisons = comparisons(cell);
    if width == Width::Narrow {
        // Eight at most: these three, the ratio with its range and score, and two figures.
        comparisons.retain(|(name, _)| !WIDE.iter().any(|wide| name.contains(wide)));
        others.sort_by_key(|column| !NARROW.contains(&column.name.as_str()));
        others.truncate(2);
    }
    let mut header = vec!["contender".to_owned(), first.name.clone(), "min..max".to_owned()];
    header.extend(comparisons.iter().map(|(name, _)| name.clone()));
    header.extend(others.iter().map(|column| column.name.clone()));
    let rows = cell.entries.iter().map(|entry| {
        let mark = if entry.is_load_bound() { " *" } else { "" };
        let mut row = vec![format!("{}{mark}", entry.contender)];
        row.extend(spread(entry.summary.get(&first.name)));
        row.extend(comparisons.iter().map(|(_, show)| show(entry)));
        row.extend(others.iter().map(|column| {
            entry.summary.get(&column.name).map_or_else(String::new, |one| number(one.median))
        }));
        row
    });
    Some((header, rows.collect()))
}

/// The figures that a narrow table prefers.
const NARROW: [&str; 2] = ["cpu us", "p99 us"];

/// What marks a comparison that a narrow table does without.
const WIDE: [&str; 2] = ["to limit", "cpu"];

/// A column that says how an entry compares with another.
type Comparison = (String, fn(&Entry) -> String);

/// The columns of ratios and scores that a cell has.
fn comparisons(cell: &Cell) -> Vec<Comparison> {
    let mut columns: Vec<Comparison> = Vec::new();
    if let Some(name) = &cell.reference {
        columns.push((format!("to {name}"), |entry| median(entry.ratio)));
        columns.push(("min..max".to_owned(), |entry| range(entry.ratio)));
    }
    if cell.limit.is_some() && cell.limit != cell.reference {
        columns.push(("to limit".to_owned(), |entry| median(entry.to_limit)));
    }
    if let Some(name) = &cell.against {
        columns.push((format!("{name} ahead"), |entry| odds(entry.behind)));
    }
    if cell.entries.iter().any(|entry| entry.cpu_ratio.is_some()) {
        let name = cell.reference.as_deref().unwrap_or_default();
        columns.push((format!("cpu to {name}"), |entry| median(entry.cpu_ratio)));
    }
    if let Some(name) = &cell.against {
        if cell.entries.iter().any(|entry| entry.cpu_behind.is_some()) {
            columns.push((format!("{name} ahead by cpu"), |entry| odds(entry.cpu_behind)));
        }
    }
    columns
}

/// The rounds, and how likely a coin would be so one-sided.
fn odds(score: Option<Score>) -> String {
    score.map_or_else(String::new, |score| {
        let percent = score.chance() * 100.0;
        let percent = if percent < 0.1 { "<0.1".to_owned() } else { number(percent) };
        format!("{}/{} ({percent} %)", score.ahead, score.rounds)
    })
}

/// The remarks below a narrow table: what the mark means, which contenders failed, and in one line
/// which others are missing.
fn brief_remarks(cell: &Cell) -> Vec<String> {
    let mut remarks = warnings(cell);
    let (failed, absent): (Vec<_>, Vec<_>) =
        cell.skipped.iter().cloned().partition(|one| one.failed && !is_not_installed(one));
    remarks.extend(self::absent(&failed));
    if !absent.is_empty() {
        let names: Vec<_> = absent.iter().map(|one| one.contender.as_str()).collect();
        remarks.push(format!("not here: {} (--wide says why)", names.join(", ")));
    }
    remarks
}

/// Whether a contender is missing because an optional program is not installed.
fn is_not_installed(one: &Skipped) -> bool {
    one.reason.contains("No such file or directory") || one.reason.contains("ModuleNotFoundError")
}

/// What is said below a table of either width: what the mark means, and who failed to answer.
fn warnings(cell: &Cell) -> Vec<String> {
    let mark = "* the load was the bottleneck, not the server: compare its CPU";
    let is_marked = cell.entries.iter().any(Entry::is_load_bound);
    let failures = cell.entries.iter().filter_map(|entry| {
        let most = entry.summary.get("failed")?.maximum;
        let name = &entry.contender;
        (most > 0.0).then(|| format!("{name}: {most} requests failed in its worst round"))
    });
    is_marked.then(|| mark.to_owned()).into_iter().chain(failures).collect()
}

/// The remarks below a wide table: the limit, what the mark means, and which contenders are
/// missing, with the reason.
pub(crate) fn remarks(cell: &Cell) -> Vec<String> {
    let mut remarks = Vec::new();
    if let Some(limit) = cell.limit() {
        remarks.push(format!("the limit: {}, {}", limit.contender, limit.form));
    }
    remarks.extend(warnings(cell));
    for entry in &cell.entries {
        let notes: BTreeSet<_> = entry.samples.iter().flat_map(|sample| &sample.notes).collect();
        remarks.extend(notes.into_iter().map(|note| format!("{}: {note}", entry.contender)));
    }
    remarks.extend(absent(&cell.skipped));
    remarks
}

/// Who is missing, and why: a line for each reason.
pub(crate) fn absent(skipped: &[Skipped]) -> Vec<String> {
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    for one in skipped {
        match reasons.iter_mut().find(|(reason, _)| *reason == one.reason) {
            Some((_, names)) => names.push(&one.contender),
            None => reasons.push((&one.reason, vec![&one.contender])),
        }
    }
    let line =
        |(reason, names): &(&str, Vec<&str>)| format!("without {}: {reason}", names.join(", "));
    reasons.iter().map(line).collect()
}

fn spread(spread: Option<&Spread>) -> [String; 2] {
    spread.map_or_else(Default::default, |spread| {
        let (low, high) = (number(spread.minimum), number(spread.maximum));
        [number(spread.median), format!("{low}..{high}")]
    })
}

fn median(ratio: Option<Spread>) -> String {
    ratio.map_or_else(String::new, |Spread { median, minimum, .. }| {
        let decimals = decimals(minimum);
        format!("{median:.decimals$}")
    })
}

fn range(ratio: Option<Spread>) -> String {
    ratio.map_or_else(String::new, |Spread { minimum, maximum, .. }| {
        let decimals = decimals(minimum);
        format!("{minimum:.decimals$}..{maximum:.decimals$}")
    })
}

/// Where the reference is far ahead, two decimals would leave nothing.
fn decimals(minimum: f64) -> usize {
    if minimum < 0.1 { 3 } else { 2 }
}

/// Three digits or more, and no more than tell something.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if size < 0.01 => format!("{value:.4}"),
        size if size < 10.0 => format!("{value:.2}"),
        size if size < 100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::{Column, Sample, Wanted};
    use crate::summary::Better;

    #[test]
    fn the_absent_share_a_line_if_they_share_the_reason() {
        let skip = |contender: &str, reason: &str| Skipped {
            contender: contender.to_owned(),
            reason: reason.to_owned(),
            failed: false,
        };
        let lines = absent(&[skip("a", "late"), skip("b", "ill"), skip("c", "late")]);
        assert_eq!(lines, ["without a, c: late", "without b: ill"]);
    }

    /// A cell of annulus and one other, with all the columns of an echo.
    fn echo() -> Cell {
        let names = ["messages/s", "p50 us", "p99 us", "p99.9 us", "cpu us", "calls", "server %"];
        let column = |name: &str| Column { name: name.to_owned(), better: Better::Higher };
        let mut sample = Sample::default();
        names.iter().for_each(|name| sample.set(name, 1.0));
        let entry = |contender: &str, is_limit| Entry {
            contender: contender.to_owned(),
            is_limit,
            samples: vec![sample.clone()],
            ..Entry::default()
        };
        let mut cell = Cell {
            columns: names.map(column).to_vec(),
            entries: vec![entry("annulus", false), entry("raw-epoll", true), entry("tokio", false)],
            ..Cell::default()
        };
        let reference = Some("tokio".to_owned());
        cell.summarise(&Wanted { reference, against: None });
        cell
    }

    #[test]
    fn a_narrow_table_has_eight_columns_and_a_wide_one_has_all() {
        let cell = echo();
        let (narrow, rows) = rows(&cell, Width::Narrow).unwrap();
        let expected = [
            "contender",
            "messages/s",
            "min..max",
            "to tokio",
            "min..max",
            "annulus ahead",
            "p99 us",
            "cpu us",
        ];
        assert_eq!(narrow, expected);
        assert!(rows.iter().all(|row| row.len() == expected.len()));
        let (wide, _) = super::rows(&cell, Width::Wide).unwrap();
        for name in ["to limit", "cpu to tokio", "p50 us", "calls"] {
            assert!(wide.iter().any(|column| column == name), "{name} is not among {wide:?}");
        }
    }

    #[test]
    fn the_missing_are_one_line_and_failures_are_told() {
        let mut cell = echo();
        let skip = |contender: &str, reason: &str, failed| Skipped {
            contender: contender.to_owned(),
            reason: reason.to_owned(),
            failed,
        };
        cell.skipped = vec![
            skip("fio", "it has no server", false),
            skip("uvloop", "did not start: ModuleNotFoundError: No module", true),
            skip("smol", "the server closed a connection", true),
        ];
        let expected = [
            "without smol: the server closed a connection",
            "not here: fio, uvloop (--wide says why)",
        ];
        assert_eq!(brief_remarks(&cell), expected);
    }

    #[test]
    fn a_score_says_how_sure_it_is() {
        let odds = |ahead, rounds| odds(Some(Score { ahead, rounds }));
        assert_eq!(odds(5, 5), "5/5 (6.25 %)");
        assert_eq!(odds(2, 4), "2/4 (100 %)");
        assert_eq!(odds(20, 20), "20/20 (<0.1 %)");
    }

    #[test]
    fn numbers_have_about_three_digits() {
        let shown = [0.0, 0.00123, 0.123, 3.456, 34.56, 345.6, 234_567.8].map(number);
        assert_eq!(shown, ["0", "0.0012", "0.12", "3.46", "34.6", "346", "234568"]);
    }
}
