//! Plots: what they show, apart from where they are drawn.

#![allow(missing_docs, reason = "the fields are the parts of a chart, and named so")]

mod batch;
mod context;
mod figure;
mod file;
mod pen;
mod roofline;
mod scale;
mod strokes;
mod subject;
mod terminal;
mod theme;

pub use batch::batch;
pub use context::context;
pub use file::{png, svg};
pub use roofline::roofline;
pub use subject::Subject;
pub use terminal::render as terminal;
pub use theme::Theme;

use flopmeter::{Error, ErrorKind, Result};
pub use scale::Scale;
use serde::Serialize;

/// Panels above each other that share their horizontal axis.
#[derive(Debug, Clone, Serialize)]
pub struct Chart {
    pub title: String,
    /// Model, device, request and convention: what the figures are of.
    pub said: Vec<String>,
    pub x: Axis,
    pub panels: Vec<Panel>,
}

/// Some series over an axis of their own.
#[derive(Debug, Clone, Serialize)]
pub struct Panel {
    pub y: Axis,
    pub series: Vec<Series>,
    /// A place on the horizontal axis from which on something holds, and what.
    pub from: Option<(f64, String)>,
}

/// An axis.
#[derive(Debug, Clone, Serialize)]
pub struct Axis {
    pub label: &'static str,
    /// The unit of its ticks, which get SI prefixes.
    pub unit: &'static str,
    pub scale: Scale,
}

/// Points, or a line through them.
#[derive(Debug, Clone, Serialize)]
pub struct Series {
    pub name: String,
    pub points: Vec<(f64, f64)>,
    pub look: Look,
    /// The place of its colour in a theme, and of its mark.
    pub colour: usize,
}

/// How points are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Look {
    /// A line, its points marked if they are few.
    Line,
    /// The same in dashes.
    Dashes,
    /// A line without marks.
    Bare,
    /// Single points, each of them named on the spot.
    Point,
}

impl Chart {
    /// The same without points that its axes have no place for, which is what is not above zero on a logarithmic one.
    fn drawable(mut self) -> Result<Self> {
        let x = self.x.scale;
        for panel in &mut self.panels {
            let y = panel.y.scale;
            for series in &mut panel.series {
                series.points.retain(|point| x.has(point.0) && y.has(point.1));
            }
            panel.series.retain(|series| !series.points.is_empty());
            panel.from.take_if(|(at, _)| !x.has(*at));
        }
        self.panels.retain(|panel| !panel.series.is_empty());
        if self.panels.is_empty() {
            return Err(Error::new(ErrorKind::Workload, "plot", "has nothing to show")
                .hint("what is asked for costs nothing"));
        }
        Ok(self)
    }

    /// From the least to the largest place on the horizontal axis.
    fn x_range(&self) -> (f64, f64) {
        let all = self.panels.iter().flat_map(|panel| &panel.series);
        self.x.scale.range(all.flat_map(|series| &series.points).map(|point| point.0))
    }

    /// What it says to those who do not see it: every point.
    fn described(&self) -> String {
        let mut out = self.said.join("; ");
        for panel in &self.panels {
            for Series { name, points, .. } in &panel.series {
                let points = points.iter().map(|(x, y)| format!("({x}, {y})"));
                let points = points.collect::<Vec<_>>().join(" ");
                out += &format!("\n{name} ({} over {}): {points}", panel.y.label, self.x.label);
            }
        }
        out
    }
}

impl Series {
    /// Whether its points are marked, by a shape that tells them from another's.
    fn is_marked(&self) -> bool {
        const FEW: usize = 24;
        match self.look {
            Look::Point => true,
            Look::Line | Look::Dashes => self.points.len() <= FEW,
            Look::Bare => false,
        }
    }
}

impl Panel {
    fn y_range(&self) -> (f64, f64) {
        let all = self.series.iter().flat_map(|series| &series.points);
        self.y.scale.range(all.map(|point| point.1))
    }
}
