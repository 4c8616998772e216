//! Results as tables.

use std::collections::BTreeSet;

use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{CellAlignment, Table};

use crate::results::{Cell, Entry, Results, Skipped};
use crate::server::list;
use crate::summary::Spread;

/// The machine and how it was measured.
pub(crate) fn head(results: &Results) -> String {
    let Results { scenario, machine, server_cores, load_cores, rounds, window, .. } = results;
    let how = format!(
        "{rounds} rounds of {window} s, interleaved; server on {}, load on {}",
        cores(server_cores),
        cores(load_cores)
    );
    format!("{scenario}: {how}\n{}", machine.line())
}

fn cores(cores: &[usize]) -> String {
    format!("core{} {}", if cores.len() == 1 { "" } else { "s" }, list(cores))
}

/// A cell as a table, with what there is to say about it.
pub(crate) fn cell(cell: &Cell) -> String {
    let mut lines = vec![format!("\n{}", cell.name)];
    if let Some((header, rows)) = rows(cell) {
        let mut table = Table::new();
        table.load_preset(ASCII_MARKDOWN).set_header(header).add_rows(rows);
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        lines.push(table.to_string());
    }
    lines.extend(remarks(cell).into_iter().map(|remark| format!("  {remark}")));
    lines.join("\n")
}

/// The header of a cell's table, and a row for each entry; `None` if nobody was measured.
pub(crate) fn rows(cell: &Cell) -> Option<(Vec<String>, Vec<Vec<String>>)> {
    let (first, others) = cell.columns.split_first()?;
    if cell.entries.is_empty() {
        return None;
    }
    // A figure that nobody has needs no column.
    let others: Vec<_> = others
        .iter()
        .filter(|column| cell.entries.iter().any(|one| one.summary.contains_key(&column.name)))
        .collect();
    let ratio = cell.reference.as_ref().map(|name| format!("to {name}"));
    let mut header = vec!["contender".to_owned(), first.name.clone(), "min..max".to_owned()];
    header.extend([ratio.unwrap_or_else(|| "ratio".to_owned()), "min..max".to_owned()]);
    header.extend(others.iter().map(|column| column.name.clone()));
    let rows = cell.entries.iter().map(|entry| {
        let mark = if entry.is_load_bound() { " *" } else { "" };
        let mut row = vec![format!("{}{mark}", entry.contender)];
        row.extend(spread(entry.summary.get(&first.name)));
        row.extend(ratio_of(entry));
        row.extend(others.iter().map(|column| {
            entry.summary.get(&column.name).map_or_else(String::new, |one| number(one.median))
        }));
        row
    });
    Some((header, rows.collect()))
}

/// What stands below a table: the limit, what the marks mean, and who is missing.
pub(crate) fn remarks(cell: &Cell) -> Vec<String> {
    let mut remarks = Vec::new();
    if let Some(limit) = cell.limit() {
        remarks.push(format!("the limit: {}, {}", limit.contender, limit.form));
    }
    if cell.entries.iter().any(Entry::is_load_bound) {
        remarks.push("* the load was the bottleneck, not the server: compare its CPU".to_owned());
    }
    for entry in &cell.entries {
        let notes: BTreeSet<_> = entry.samples.iter().flat_map(|sample| &sample.notes).collect();
        remarks.extend(notes.into_iter().map(|note| format!("{}: {note}", entry.contender)));
    }
    remarks.extend(absent(&cell.skipped));
    remarks
}

/// Who is missing, and why: a line for each reason.
fn absent(skipped: &[Skipped]) -> Vec<String> {
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

fn ratio_of(entry: &Entry) -> [String; 2] {
    entry.ratio.map_or_else(Default::default, |ratio| {
        let Spread { median, minimum, maximum } = ratio;
        // Where the reference is far ahead, two decimals would leave nothing.
        let decimals = if minimum < 0.1 { 3 } else { 2 };
        [format!("{median:.decimals$}"), format!("{minimum:.decimals$}..{maximum:.decimals$}")]
    })
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

    #[test]
    fn the_absent_share_a_line_if_they_share_the_reason() {
        let skip = |contender: &str, reason: &str| Skipped {
            contender: contender.to_owned(),
            reason: reason.to_owned(),
        };
        let lines = absent(&[skip("a", "late"), skip("b", "ill"), skip("c", "late")]);
        assert_eq!(lines, ["without a, c: late", "without b: ill"]);
    }

    #[test]
    fn numbers_have_about_three_digits() {
        let shown = [0.0, 0.00123, 0.123, 3.456, 34.56, 345.6, 234_567.8].map(number);
        assert_eq!(shown, ["0", "0.0012", "0.12", "3.46", "34.6", "346", "234568"]);
    }
}
