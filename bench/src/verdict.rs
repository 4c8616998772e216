//! What a cell says, in a line: ahead of whom, behind whom, and how sure that is.

use std::cmp::Ordering;

use crate::results::{Cell, Entry, Results};
use crate::summary::{Score, Spread};

/// A lead counts if a coin would show it, or more, less often than this.
const SURE: f64 = 0.1;

/// The fewest rounds that can show a lead: with four, a coin is as one-sided once in eight runs.
const ROUNDS: usize = 5;

/// A line by what the cell compares, and one by processor time where that is not all the same.
pub(crate) fn lines(cell: &Cell) -> Vec<String> {
    let Some(name) = &cell.against else { return Vec::new() };
    let Some(own) = cell.entries.iter().find(|entry| entry.contender == *name) else {
        return Vec::new();
    };
    let by_figure = line(cell, |entry| Some((entry.lead?, entry.behind?)));
    let mut lines: Vec<_> = by_figure.map(|line| format!("{name}: {line}")).into_iter().collect();
    // Where the load is the bottleneck, all contenders are as fast as the load.
    if own.is_load_bound() {
        let by_cpu = line(cell, |entry| Some((entry.cpu_lead?, entry.cpu_behind?)));
        lines.extend(by_cpu.map(|line| format!("{name}, by processor time: {line}")));
    }
    lines
}

/// A comparison of two, in the end: where the first was faster and slower, if that is sure, and the
/// least and the middle ratio.
pub(crate) fn summary(results: &Results) -> String {
    let pairs = results.cells.iter().filter_map(|cell| {
        let other = cell.entries.iter().find(|entry| entry.lead.is_some())?;
        Some((cell.name.as_str(), other.lead?, other.behind))
    });
    let pairs: Vec<_> = pairs.collect();
    let least =
        pairs.iter().min_by(|(_, one, _), (_, other, _)| one.median.total_cmp(&other.median));
    let (Some((where_least, least, _)), Some(middle)) =
        (least, Spread::of(pairs.iter().map(|(_, lead, _)| lead.median)))
    else {
        return "nothing was measured by both".to_owned();
    };
    let sure = |wanted: Ordering| {
        let cells = pairs.iter().filter(|(_, _, score)| score.map(side) == Some(wanted));
        let cells: Vec<_> =
            cells.map(|(name, lead, _)| format!("{name} {:.2}", lead.median)).collect();
        if cells.is_empty() { "nowhere".to_owned() } else { cells.join("; ") }
    };
    format!(
        "to the other build: {:.3} in the middle of {} cells, least {:.2} ({where_least})\n\
         slower: {}\nfaster: {}",
        middle.median,
        pairs.len(),
        least.median,
        sure(Ordering::Less),
        sure(Ordering::Greater),
    )
}

/// `None` if there is no other to compare with.
fn line(cell: &Cell, leads: impl Fn(&Entry) -> Option<(Spread, Score)>) -> Option<String> {
    let (mut ahead, mut level, mut behind) = (Vec::new(), Vec::new(), Vec::new());
    let mut most_rounds = 0;
    for entry in &cell.entries {
        let Some((lead, score)) = leads(entry) else { continue };
        most_rounds = most_rounds.max(score.rounds);
        let group = match side(score) {
            Ordering::Greater => &mut ahead,
            Ordering::Equal => &mut level,
            Ordering::Less => &mut behind,
        };
        group.push((lead, score, entry.contender.as_str()));
    }
    let groups = [("ahead of", ahead), ("not told apart from", level), ("behind", behind)];
    let parts = groups.into_iter().filter_map(|(what, group)| named(what, group));
    let mut parts: Vec<_> = parts.collect();
    if parts.is_empty() {
        return None;
    }
    if most_rounds < ROUNDS {
        parts.push(format!("{ROUNDS} rounds or more can tell"));
    }
    Some(parts.join("; "))
}

/// Which side was ahead, if that was no coin's doing.
fn side(score: Score) -> Ordering {
    if score.chance() > SURE { Ordering::Equal } else { (2 * score.ahead).cmp(&score.rounds) }
}

/// The contenders of a group, the greatest lead first.
fn named(what: &str, mut group: Vec<(Spread, Score, &str)>) -> Option<String> {
    group.sort_by(|(one, ..), (other, ..)| other.median.total_cmp(&one.median));
    let names = group.iter().map(|(lead, score, name)| {
        let Score { ahead, rounds } = score;
        format!("{name} {:.2} ({ahead}/{rounds})", lead.median)
    });
    let names: Vec<_> = names.collect();
    (!names.is_empty()).then(|| format!("{what} {}", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::{Column, Sample, Wanted};
    use crate::summary::Better;

    fn entry(contender: &str, values: &[f64]) -> Entry {
        let sample = |value: &f64| {
            let mut sample = Sample::default();
            sample.set("messages/s", *value);
            sample.set("cpu us", 1.0 / value);
            sample
        };
        Entry {
            contender: contender.to_owned(),
            samples: values.iter().map(sample).collect(),
            ..Entry::default()
        }
    }

    fn cell(entries: Vec<Entry>) -> Cell {
        let column = |name: &str, better| Column { name: name.to_owned(), better };
        let columns = vec![column("messages/s", Better::Higher), column("cpu us", Better::Lower)];
        let mut cell = Cell { columns, entries, ..Cell::default() };
        cell.summarise(&Wanted::default());
        cell
    }

    #[test]
    fn a_verdict_names_leads_losses_and_what_cannot_be_told() {
        let cell = cell(vec![
            entry("annulus", &[12.0, 12.0, 12.0, 12.0, 12.0]),
            entry("slow", &[10.0, 10.0, 10.0, 10.0, 10.0]),
            entry("slower", &[6.0, 6.0, 6.0, 6.0, 6.0]),
            entry("fast", &[16.0, 16.0, 16.0, 16.0, 16.0]),
            entry("alike", &[11.0, 13.0, 13.0, 11.0, 13.0]),
        ]);
        let expected = "annulus: ahead of slower 2.00 (5/5), slow 1.20 (5/5); not told apart from \
                        alike 0.92 (2/5); behind fast 0.75 (0/5)";
        assert_eq!(lines(&cell), [expected]);
    }

    #[test]
    fn few_rounds_tell_nothing() {
        let cell = cell(vec![entry("annulus", &[2.0, 2.0]), entry("slow", &[1.0, 1.0])]);
        let expected = "annulus: not told apart from slow 2.00 (2/2); 5 rounds or more can tell";
        assert_eq!(lines(&cell), [expected]);
    }

    #[test]
    fn where_the_load_is_the_bottleneck_processor_time_is_compared_too() {
        let mut own = entry("annulus", &[2.0; 5]);
        own.samples.iter_mut().for_each(|sample| sample.load_bound = true);
        let cell = cell(vec![own, entry("slow", &[1.0; 5])]);
        let expected = "annulus, by processor time: ahead of slow 2.00 (5/5)";
        assert_eq!(lines(&cell).last().unwrap(), expected);
    }

    #[test]
    fn one_alone_has_no_verdict() {
        assert!(lines(&cell(vec![entry("annulus", &[1.0])])).is_empty());
        assert!(lines(&cell(vec![entry("tokio", &[1.0])])).is_empty());
    }
}
