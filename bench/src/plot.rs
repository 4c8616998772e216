//! Plots: for each cell a bar a contender, with the range over rounds.

use std::error::Error;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::results::{Cell, Results};
use crate::summary::{Better, Spread};
use crate::table::number;

const WIDTH: u32 = 900;
const TITLE: u32 = 34;
const BAR: u32 = 22;
const MARGIN: u32 = 14;
/// Where bars begin, and how long the longest is.
const BARS_FROM: i32 = 190;
const LONGEST: f64 = 560.0;

const OURS: RGBColor = RGBColor(0xd9, 0x5f, 0x02);
const RAW: RGBColor = RGBColor(0x75, 0x70, 0xb3);
const PEER: RGBColor = RGBColor(0x1b, 0x9e, 0x77);

/// Draws all cells of a run below each other, as SVG.
pub(crate) fn svg(results: &Results) -> Result<String, Box<dyn Error>> {
    let heights: Vec<u32> = results.cells.iter().map(height).collect();
    let size = (WIDTH, heights.iter().sum::<u32>().max(1));
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, size).into_drawing_area();
        area.fill(&WHITE)?;
        let mut top = 0;
        for (cell, height) in results.cells.iter().zip(heights) {
            draw(results, cell, &area, top)?;
            top += height as i32;
        }
        area.present()?;
    }
    Ok(text)
}

fn height(cell: &Cell) -> u32 {
    TITLE + BAR * cell.entries.len() as u32 + MARGIN
}

fn draw<B>(
    results: &Results,
    cell: &Cell,
    area: &DrawingArea<B, plotters::coord::Shift>,
    top: i32,
) -> Result<(), Box<dyn Error>>
where
    B: DrawingBackend<ErrorType: 'static>,
{
    let Some(column) = cell.columns.first() else { return Ok(()) };
    let better = match column.better {
        Better::Higher => "longer is better",
        Better::Lower => "shorter is better",
    };
    let title = format!("{}: {} ({}, {better})", results.scenario, cell.name, column.name);
    let bold = ("sans-serif", 15).into_font().style(FontStyle::Bold).into_text_style(area);
    area.draw_text(&title, &bold, (8, top + 10))?;

    let entries = cell.entries.iter();
    let measured = entries.filter_map(|entry| Some((entry, *entry.summary.get(&column.name)?)));
    let measured: Vec<_> = measured.collect();
    let most = measured.iter().map(|(_, spread)| spread.maximum).fold(f64::MIN_POSITIVE, f64::max);
    let x = |value: f64| BARS_FROM + (value / most * LONGEST) as i32;
    let plain = ("sans-serif", 13).into_font().into_text_style(area);
    let right = plain.pos(Pos::new(HPos::Right, VPos::Center));
    let left = plain.pos(Pos::new(HPos::Left, VPos::Center));
    for (row, (entry, spread)) in measured.into_iter().enumerate() {
        let y = top + TITLE as i32 + BAR as i32 * row as i32;
        let (middle, bottom) = (y + BAR as i32 / 2, y + BAR as i32 - 4);
        let Spread { median, minimum, maximum } = spread;
        let bar = [(BARS_FROM, y + 4), (x(median), bottom)];
        area.draw(&Rectangle::new(bar, colour(&entry.contender).filled()))?;
        let range = vec![(x(minimum), middle), (x(maximum), middle)];
        area.draw(&PathElement::new(range, BLACK.stroke_width(1)))?;
        for end in [minimum, maximum] {
            let tick = vec![(x(end), middle - 4), (x(end), middle + 4)];
            area.draw(&PathElement::new(tick, BLACK.stroke_width(1)))?;
        }
        area.draw_text(&entry.contender, &right, (BARS_FROM - 8, middle))?;
        area.draw_text(&number(median), &left, (x(maximum) + 8, middle))?;
    }
    Ok(())
}

fn colour(contender: &str) -> RGBColor {
    match contender {
        "annulus" => OURS,
        name if name.starts_with("raw-") => RAW,
        _ => PEER,
    }
}
