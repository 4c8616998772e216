//! A run as a table in Markdown: what the first figure of each cell is to the reference's, and of
//! some pairs to each other's. Below one is better, since all of these figures are costs.

use crate::results::{Cell, Results};
use crate::summary::Spread;
use crate::table::number;

/// Who is compared with whom beside the reference, where both are there.
const PAIRS: [(&str, &str); 3] = [
    ("annulus-axum", "tokio-axum"),
    ("annulus-axum", "cyper-axum"),
    ("annulus-hyper", "monoio-hyper"),
];

/// What is ours among the contenders: a ratio above one is printed bold there.
const OURS: &str = "annulus";

pub(crate) fn markdown(results: &Results) -> String {
    let head: Vec<_> = results.cells.iter().map(heading).collect();
    let mut lines = vec![format!("| | {} |", head.join(" | "))];
    lines.push(format!("|---|{}", "---|".repeat(head.len())));
    let mut names: Vec<&str> = Vec::new();
    for entry in results.cells.iter().flat_map(|cell| &cell.entries) {
        if !names.contains(&&*entry.contender) {
            names.push(&entry.contender);
        }
    }
    for name in &names {
        let cells = results.cells.iter().map(|cell| {
            let reference = cell.reference.as_deref().unwrap_or_default();
            if *name == reference { base(cell, name) } else { ratio(cell, name, reference) }
        });
        lines.push(format!("| {name} | {} |", cells.collect::<Vec<_>>().join(" | ")));
    }
    for (one, other) in PAIRS {
        if names.contains(&one) && names.contains(&other) {
            let cells = results.cells.iter().map(|cell| ratio(cell, one, other));
            let cells = cells.collect::<Vec<_>>().join(" | ");
            lines.push(format!("| {one} to {other} | {cells} |"));
        }
    }
    lines.join("\n")
}

fn heading(cell: &Cell) -> String {
    let figure = cell.columns.first().map(|column| column.name.as_str()).unwrap_or_default();
    format!("{} ({figure})", cell.name)
}

/// The figures of a contender, one a round.
fn figures(cell: &Cell, name: &str) -> Option<Vec<Option<f64>>> {
    let column = &cell.columns.first()?.name;
    let entry = cell.entries.iter().find(|entry| entry.contender == name)?;
    Some(entry.samples.iter().map(|sample| sample.figures.get(column).copied()).collect())
}

/// The reference's own figure.
fn base(cell: &Cell, name: &str) -> String {
    let figures = figures(cell, name).unwrap_or_default();
    Spread::of(figures.into_iter().flatten()).map_or_else(String::new, |spread| {
        let Spread { median, minimum, maximum } = spread;
        format!("{} ({}..{})", number(median), number(minimum), number(maximum))
    })
}

/// A contender's figure to another's, round by round.
fn ratio(cell: &Cell, name: &str, other: &str) -> String {
    let (Some(own), Some(other)) = (figures(cell, name), figures(cell, other)) else {
        return String::new();
    };
    let pairs = own.iter().zip(&other).filter_map(|(own, other)| Some((*own)? / (*other)?));
    Spread::of(pairs.filter(|ratio| ratio.is_finite())).map_or_else(String::new, |spread| {
        let Spread { median, minimum, maximum } = spread;
        // What is printed as 1.00 is level.
        let mark = if name.starts_with(OURS) && median >= 1.005 { "**" } else { "" };
        format!("{mark}{median:.2}{mark} ({minimum:.2}..{maximum:.2})")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::{Column, Entry, Sample};
    use crate::summary::Better;

    fn entry(contender: &str, values: &[f64]) -> Entry {
        let sample = |value: &f64| {
            let mut sample = Sample::default();
            sample.set("cpu us", *value);
            sample
        };
        let samples = values.iter().map(sample).collect();
        Entry { contender: contender.to_owned(), samples, ..Entry::default() }
    }

    #[test]
    fn a_cell_that_is_lost_is_bold() {
        let cell = Cell {
            columns: vec![Column { name: "cpu us".to_owned(), better: Better::Lower }],
            entries: vec![
                entry("tokio-hyper", &[2.0, 4.0, 8.0]),
                entry("annulus-hyper", &[1.0, 6.0, 12.0]),
                entry("nginx", &[4.0, 8.0, 16.0]),
            ],
            ..Cell::default()
        };
        assert_eq!(base(&cell, "tokio-hyper"), "4.00 (2.00..8.00)");
        assert_eq!(ratio(&cell, "annulus-hyper", "tokio-hyper"), "**1.50** (0.50..1.50)");
        assert_eq!(ratio(&cell, "nginx", "tokio-hyper"), "2.00 (2.00..2.00)");
        assert_eq!(ratio(&cell, "nginx", "haproxy"), "");
    }
}
