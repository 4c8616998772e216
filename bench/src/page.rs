//! A folder of results as one page, with nothing outside of it.

use std::error::Error;
use std::fmt::Write;

use crate::plot;
use crate::results::{Cell, Results};
use crate::table::{self, Width};
use crate::verdict;

const STYLE: &str = "\
body { font: 15px/1.5 sans-serif; margin: 2em auto; max-width: 75em; padding: 0 1em; color: #222 }
h1, h2, h3 { line-height: 1.2 }
h2 { margin-top: 2.5em; border-bottom: 1px solid #ccc }
pre, code { background: #f4f4f4; padding: .2em .4em; white-space: pre-wrap }
.wide { overflow-x: auto }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 13px }
th, td { padding: .25em .7em; text-align: right; border-bottom: 1px solid #ddd; white-space: nowrap }
th:first-child, td:first-child { text-align: left }
tr.annulus { font-weight: bold; background: #fdf0e4 }
svg { max-width: 100%; height: auto }";

/// Makes the page of several runs.
pub(crate) fn html(runs: &[Results]) -> Result<String, Box<dyn Error>> {
    let mut page = String::new();
    writeln!(page, "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">")?;
    writeln!(page, "<title>Annulus: measured</title>\n<style>\n{STYLE}\n</style>")?;
    writeln!(page, "<h1>Annulus: measured</h1>")?;
    writeln!(
        page,
        "<p>Medians over rounds in which all contenders took turns. A ratio above one is better \
         than the reference, whichever way the figure counts; ratios are taken round by round.</p>"
    )?;
    for results in runs {
        section(&mut page, results)?;
    }
    writeln!(page, "</html>")?;
    Ok(page)
}

fn section(page: &mut String, results: &Results) -> Result<(), Box<dyn Error>> {
    writeln!(page, "<h2>{}</h2>", escape(&results.scenario))?;
    writeln!(page, "<p><code>annulus-bench {}</code></p>", escape(&results.command))?;
    writeln!(page, "<pre>{}</pre>", escape(&table::head(results)))?;
    writeln!(page, "{}", plot::svg(results)?)?;
    for cell in &results.cells {
        one(page, cell)?;
    }
    Ok(())
}

fn one(page: &mut String, cell: &Cell) -> Result<(), Box<dyn Error>> {
    writeln!(page, "<h3>{}</h3>", escape(&cell.name))?;
    for line in verdict::lines(cell) {
        writeln!(page, "<p>{}</p>", escape(&line))?;
    }
    if let Some((header, rows)) = table::rows(cell, Width::Wide) {
        writeln!(page, "<div class=\"wide\"><table>")?;
        row(page, "th", "", &header)?;
        for (entry, cells) in cell.entries.iter().zip(&rows) {
            let ours = entry.contender == "annulus";
            row(page, "td", if ours { " class=\"annulus\"" } else { "" }, cells)?;
        }
        writeln!(page, "</table></div>")?;
    }
    let remarks = table::remarks(cell);
    if !remarks.is_empty() {
        let items = remarks.iter().map(|remark| format!("<li>{}</li>", escape(remark)));
        writeln!(page, "<ul>{}</ul>", items.collect::<String>())?;
    }
    Ok(())
}

fn row(page: &mut String, tag: &str, class: &str, cells: &[String]) -> Result<(), Box<dyn Error>> {
    let cells = cells.iter().map(|cell| format!("<{tag}>{}</{tag}>", escape(cell)));
    writeln!(page, "<tr{class}>{}</tr>", cells.collect::<String>())?;
    Ok(())
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_become_markup() {
        assert_eq!(escape("<a & b>"), "&lt;a &amp; b&gt;");
    }
}
