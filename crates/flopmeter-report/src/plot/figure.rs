//! Where the parts of a chart stand in its figure: panels with their axes, series and names.

use super::pen::{Drawn, Frame, Pen, SMALL, Text};
use super::scale::nearest_size;
use super::strokes::width;
use super::theme::Theme;
use super::{Chart, Look, Panel};
use plotters::style::text_anchor::{HPos, VPos};
use plotters_backend::DrawingBackend;

/// Pixels across, and those that a figure has beside its panels.
const WIDTH: f64 = 960.0;
const LEFT: f64 = 138.0;
const RIGHT: f64 = 32.0;
const BOTTOM: f64 = 62.0;
const TITLE: f64 = 22.0;
const SAID: f64 = 13.0;
/// Above a panel, for its legend.
const LEGEND: f64 = 34.0;

/// A figure, measured.
pub struct Figure<'c> {
    chart: &'c Chart,
    theme: &'c Theme,
    title: String,
    said: Vec<String>,
}

impl<'c> Figure<'c> {
    pub fn new(chart: &'c Chart, theme: &'c Theme) -> Self {
        let room = WIDTH - LEFT - RIGHT;
        let title = cut(&chart.title, TITLE, room + LEFT - 24.0);
        let said = chart.said.iter().map(|line| cut(line, SAID, room + LEFT - 24.0)).collect();
        Self { chart, theme, title, said }
    }

    /// Pixels across and down.
    pub fn size(&self) -> (u32, u32) {
        let down = self.head() + self.chart.panels.len() as f64 * (LEGEND + self.tall()) + BOTTOM;
        (nearest_size(WIDTH), nearest_size(down))
    }

    fn head(&self) -> f64 {
        52.0 + self.said.len() as f64 * 19.0
    }

    fn tall(&self) -> f64 {
        if self.chart.panels.len() == 1 { 430.0 } else { 280.0 }
    }

    /// Draws it on its ground, which is there already.
    pub fn draw<B: DrawingBackend>(&self, on: B) -> Drawn<B> {
        let theme = self.theme;
        let mut pen = Pen { on };
        let title = Text { size: TITLE, colour: theme.ink, bold: true, ..Text::default() };
        pen.text(&self.title, (24.0, 22.0), &title)?;
        for (at, line) in self.said.iter().enumerate() {
            let said = Text { size: SAID, colour: theme.pale, ..Text::default() };
            pen.text(line, (24.0, 54.0 + at as f64 * 19.0), &said)?;
        }
        let mut top = self.head();
        for (at, panel) in self.chart.panels.iter().enumerate() {
            top += LEGEND;
            let frame = Frame(LEFT, top, WIDTH - RIGHT, top + self.tall());
            self.panel(&mut pen, panel, frame, at + 1 == self.chart.panels.len())?;
            top = frame.3;
        }
        pen.on.present()
    }

    fn panel<B: DrawingBackend>(
        &self,
        pen: &mut Pen<B>,
        panel: &Panel,
        frame: Frame,
        last: bool,
    ) -> Drawn<B> {
        let theme = self.theme;
        let Frame(left, top, right, bottom) = frame;
        let (x, y) = (&self.chart.x, &panel.y);
        let (x_range, y_range) = (self.chart.x_range(), panel.y_range());
        let across = |value: f64| left + x.scale.place(value, x_range) * (right - left);
        let up = |value: f64| bottom - y.scale.place(value, y_range) * (bottom - top);
        let pale = Text { size: SMALL, colour: theme.pale, ..Text::default() };
        let mut free_from = f64::NEG_INFINITY;
        for tick in x.scale.ticks(x_range) {
            let at = across(tick);
            pen.line(&[(at, top), (at, bottom)], theme.grid, 1.0)?;
            let label = x.scale.label(tick, x.unit);
            let half = width(&label, SMALL) / 2.0;
            if last && at - half > free_from {
                pen.text(&label, (at, bottom + 8.0), &Text { across: HPos::Center, ..pale })?;
                free_from = at + half + 8.0;
            }
        }
        for tick in y.scale.ticks(y_range) {
            let at = up(tick);
            pen.line(&[(left, at), (right, at)], theme.grid, 1.0)?;
            let label = y.scale.label(tick, y.unit);
            let style = Text { across: HPos::Right, down: VPos::Center, ..pale };
            pen.text(&label, (left - 8.0, at), &style)?;
        }
        let corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)];
        pen.line(&corners, theme.pale, 1.0)?;
        if last {
            let style = Text { across: HPos::Center, colour: theme.ink, ..pale };
            pen.text(x.label, ((left + right) / 2.0, bottom + 32.0), &style)?;
        }
        let style = Text { across: HPos::Center, colour: theme.ink, turned: true, ..pale };
        pen.text(y.label, (14.0, (top + bottom) / 2.0), &style)?;
        if let Some((from, _)) = &panel.from {
            let at = across(*from);
            pen.dashes(&[(at, top), (at, bottom)], theme.pale, 1.5)?;
        }
        let mut taken = Vec::new();
        for series in &panel.series {
            let points: Vec<(f64, f64)> =
                series.points.iter().map(|point| (across(point.0), up(point.1))).collect();
            let colour = theme.colour(series.colour);
            match series.look {
                Look::Line | Look::Bare => pen.line(&points, colour, 2.5)?,
                Look::Dashes => pen.dashes(&points, colour, 2.5)?,
                Look::Point => {}
            }
            if series.look == Look::Bare {
                taken.extend(along(&points));
            }
            // A line of few points shows them.
            if series.is_marked() {
                let size = if series.look == Look::Point { 7.0 } else { 3.5 };
                for point in &points {
                    pen.mark(*point, size, series.colour, colour, theme.ground)?;
                    taken.push(Frame(point.0 - 9.0, point.1 - 9.0, point.0 + 9.0, point.1 + 9.0));
                }
            }
        }
        self.names(pen, panel, frame, (&across, &up), &mut taken)?;
        self.legend(pen, panel, frame)
    }

    /// Single points have their names beside them, where nothing is in the way.
    fn names<B: DrawingBackend>(
        &self,
        pen: &mut Pen<B>,
        panel: &Panel,
        frame: Frame,
        (across, up): (&impl Fn(f64) -> f64, &impl Fn(f64) -> f64),
        taken: &mut Vec<Frame>,
    ) -> Drawn<B> {
        for series in panel.series.iter().filter(|series| series.look == Look::Point) {
            for point in &series.points {
                let (x, y) = (across(point.0), up(point.1));
                let wide = width(&series.name, SMALL);
                let beside = |dy: f64| [(x + 14.0, y + dy), (x - 14.0 - wide, y + dy)];
                let below = |dy: f64| [(x - wide / 2.0, y + dy), (x - wide / 2.0, y - dy)];
                let places = beside(14.0)
                    .into_iter()
                    .chain(below(22.0))
                    .chain(beside(-14.0))
                    .chain([34.0, 54.0].into_iter().flat_map(below))
                    .chain([34.0, -34.0, 54.0, -54.0].into_iter().flat_map(beside))
                    .map(|(x, y)| Frame(x - 2.0, y - 8.0, x + wide + 2.0, y + 8.0));
                let free = |place: &Frame| {
                    frame.holds(place) && !taken.iter().any(|other| other.meets(place))
                };
                // A crowd of points leaves some without a name beside them; the description has them all.
                let Some(place) = places.clone().find(free) else { continue };
                let style = Text {
                    size: SMALL,
                    colour: self.theme.ink,
                    down: VPos::Center,
                    ..Text::default()
                };
                pen.text(&series.name, (place.0 + 2.0, place.1 + 8.0), &style)?;
                taken.push(place);
            }
        }
        Ok(())
    }

    /// Lines have their names above the panel.
    fn legend<B: DrawingBackend>(&self, pen: &mut Pen<B>, panel: &Panel, frame: Frame) -> Drawn<B> {
        let (mut at, line) = (frame.0, frame.1 - 14.0);
        for series in panel.series.iter().filter(|series| series.look != Look::Point) {
            let colour = self.theme.colour(series.colour);
            let sample = [(at, line), (at + 30.0, line)];
            match series.look {
                Look::Dashes => pen.dashes(&sample, colour, 2.5)?,
                Look::Line | Look::Bare | Look::Point => pen.line(&sample, colour, 2.5)?,
            }
            if series.is_marked() {
                let middle = (at + 15.0, line);
                pen.mark(middle, 3.5, series.colour, colour, self.theme.ground)?;
            }
            let style =
                Text { size: SMALL, colour: self.theme.ink, down: VPos::Center, ..Text::default() };
            pen.text(&series.name, (at + 38.0, line), &style)?;
            at += 38.0 + width(&series.name, SMALL) + 26.0;
        }
        if let Some((_, what)) = &panel.from {
            let pale = self.theme.pale;
            pen.dashes(&[(at + 2.0, line - 9.0), (at + 2.0, line + 9.0)], pale, 1.5)?;
            let style = Text { size: SMALL, colour: pale, down: VPos::Center, ..Text::default() };
            pen.text(what, (at + 12.0, line), &style)?;
        }
        Ok(())
    }
}

/// Frames along a line, which no name is to be written over.
fn along(points: &[(f64, f64)]) -> impl Iterator<Item = Frame> {
    const STEPS: u32 = 128;
    points.windows(2).flat_map(|pair| {
        let [from, to] = [pair[0], pair[1]];
        (0..=STEPS).map(move |step| {
            let share = f64::from(step) / f64::from(STEPS);
            let (x, y) = (from.0 + share * (to.0 - from.0), from.1 + share * (to.1 - from.1));
            Frame(x - 2.0, y - 2.0, x + 2.0, y + 2.0)
        })
    })
}

/// A text as far as there is room for it.
fn cut(text: &str, size: f64, room: f64) -> String {
    if width(text, size) <= room {
        return text.to_owned();
    }
    let mut cut = String::new();
    for character in text.chars() {
        cut.push(character);
        if width(&cut, size) + width("…", size) > room {
            cut.pop();
            break;
        }
    }
    cut + "…"
}
