//! A chart in a terminal: dots of Braille for lines, a letter for each series at its points.

use super::scale::nearest_size;
use super::theme::Theme;
use super::{Chart, Look, Panel};
use crate::paint::TITLE;
use anstyle::{RgbColor, Style};
use flopmeter::Result;

/// Columns of the labels to the left.
const LABELS: usize = 14;
const LEAST: usize = 40;
const MOST: usize = 160;

/// As text of so many columns.
///
/// # Errors
///
/// If there is nothing to draw.
pub fn render(chart: Chart, theme: &Theme, columns: usize) -> Result<String> {
    let chart = chart.drawable()?;
    let wide = columns.clamp(LEAST, MOST) - LABELS - 2;
    let mut out = format!("{}\n", TITLE.apply(&chart.title));
    for line in &chart.said {
        out += &format!("{line}\n");
    }
    let mut letters = ('a'..='z').cycle();
    for (at, panel) in chart.panels.iter().enumerate() {
        out += &format!("\n{}\n", panel.y.label);
        let tall = if chart.panels.len() == 1 { 20 } else { 12 };
        let letters: Vec<char> = letters.by_ref().take(panel.series.len()).collect();
        let canvas = drawn(&chart, panel, wide, tall, &letters);
        out += &canvas.lines(&labels(panel, tall), theme);
        if at + 1 == chart.panels.len() {
            out += &foot(&chart, wide);
        }
        for (series, letter) in panel.series.iter().zip(&letters) {
            let style = painted(theme, series.colour);
            out += &format!(" {style}{letter}{style:#} {}\n", series.name);
        }
        if let Some((_, what)) = &panel.from {
            out += &format!(" ┊ {what}\n");
        }
    }
    Ok(out)
}

fn painted(theme: &Theme, colour: usize) -> Style {
    let (red, green, blue) = theme.colour(colour);
    Style::new().fg_color(Some(RgbColor(red, green, blue).into()))
}

/// Cells of two by four dots each.
struct Canvas {
    wide: usize,
    cells: Vec<Cell>,
}

#[derive(Clone, Copy, Default)]
struct Cell {
    dots: u8,
    letter: Option<char>,
    colour: Option<usize>,
}

impl Canvas {
    fn cell(&mut self, x: usize, y: usize) -> Option<&mut Cell> {
        (x < self.wide).then(|| self.cells.get_mut(y * self.wide + x)).flatten()
    }

    fn dot(&mut self, x: usize, y: usize, colour: usize) {
        // As Unicode numbers them: three rows of the left column, three of the right, then the fourth row.
        const BITS: [[u8; 2]; 4] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];
        if let Some(cell) = self.cell(x / 2, y / 4) {
            cell.dots |= BITS[y % 4][x % 2];
            cell.colour = Some(colour);
        }
    }

    fn lines(&self, labels: &[String], theme: &Theme) -> String {
        let mut out = String::new();
        for (row, label) in self.cells.chunks(self.wide).zip(labels) {
            out += &format!("{label:>LABELS$} │");
            let mut line = String::new();
            for cell in row {
                let shown = match cell.letter {
                    Some(letter) => letter,
                    None if cell.dots == 0 => ' ',
                    None => char::from_u32(0x2800 + u32::from(cell.dots)).unwrap_or(' '),
                };
                match cell.colour {
                    Some(colour) => {
                        let style = painted(theme, colour);
                        line += &format!("{style}{shown}{style:#}");
                    }
                    None => line.push(shown),
                }
            }
            out += line.trim_end();
            out.push('\n');
        }
        out
    }
}

/// The nearest of so many places.
fn place(share: f64, count: usize) -> usize {
    nearest_size(share * (count - 1) as f64) as usize
}

fn drawn(chart: &Chart, panel: &Panel, wide: usize, tall: usize, letters: &[char]) -> Canvas {
    let mut canvas = Canvas { wide, cells: vec![Cell::default(); wide * tall] };
    let (x_range, y_range) = (chart.x_range(), panel.y_range());
    let across = |x: f64| chart.x.scale.place(x, x_range);
    let down = |y: f64| 1.0 - panel.y.scale.place(y, y_range);
    if let Some((from, _)) = &panel.from {
        let x = place(across(*from), wide);
        for y in 0..tall {
            if let Some(cell) = canvas.cell(x, y) {
                cell.letter = Some('┊');
            }
        }
    }
    for series in panel.series.iter().filter(|series| series.look != Look::Point) {
        for pair in series.points.windows(2) {
            let [from, to] = [pair[0], pair[1]].map(|(x, y)| (across(x), down(y)));
            let steps = 2 * wide + 4 * tall;
            for step in 0..=steps {
                // Dashes of eight dots.
                if series.look == Look::Dashes && (step / 8) % 2 == 1 {
                    continue;
                }
                let share = step as f64 / steps as f64;
                let x = from.0 + share * (to.0 - from.0);
                let y = from.1 + share * (to.1 - from.1);
                canvas.dot(place(x, 2 * wide), place(y, 4 * tall), series.colour);
            }
        }
    }
    // Letters last, for they tell one from another where nothing has a colour.
    for (series, letter) in panel.series.iter().zip(letters) {
        let every = (series.points.len() / 6).max(1);
        for (x, y) in series.points.iter().step_by(every) {
            let (x, y) = (place(across(*x), 2 * wide) / 2, place(down(*y), 4 * tall) / 4);
            if let Some(cell) = canvas.cell(x, y) {
                (cell.letter, cell.colour) = (Some(*letter), Some(series.colour));
            }
        }
    }
    canvas
}

/// Ticks to the left, a row each.
fn labels(panel: &Panel, tall: usize) -> Vec<String> {
    let mut labels = vec![String::new(); tall];
    let range = panel.y_range();
    for tick in panel.y.scale.ticks(range) {
        let row = place(1.0 - panel.y.scale.place(tick, range), 4 * tall) / 4;
        if let Some(label) = labels.get_mut(row) {
            *label = panel.y.scale.label(tick, panel.y.unit);
        }
    }
    labels
}

/// The horizontal axis, with as many of its ticks as there is room for.
fn foot(chart: &Chart, wide: usize) -> String {
    let mut rule: Vec<char> = vec!['─'; wide];
    let mut text: Vec<char> = vec![' '; wide];
    let mut free = 0;
    let range = chart.x_range();
    for tick in chart.x.scale.ticks(range) {
        let at = place(chart.x.scale.place(tick, range), wide);
        let label: Vec<char> = chart.x.scale.label(tick, chart.x.unit).chars().collect();
        let from = at.saturating_sub(label.len() / 2).min(wide.saturating_sub(label.len()));
        if from < free || label.len() > wide {
            continue;
        }
        rule[at] = '┬';
        text[from..from + label.len()].copy_from_slice(&label);
        free = from + label.len() + 2;
    }
    let (rule, text) = (rule.into_iter().collect::<String>(), text.into_iter().collect::<String>());
    let blank = " ".repeat(LABELS + 1);
    let text = text.trim_end();
    format!("{blank}└{rule}\n{blank} {text}\n{blank} {}\n", chart.x.label)
}
