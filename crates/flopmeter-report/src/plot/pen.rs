//! Lines, marks and texts in pixels, drawn on whatever can draw, with a coordinate for each quarter of one.

use super::scale::{nearest, nearest_size};
use super::theme::Colour;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, FontStyle, FontTransform, IntoFont, RGBColor, ShapeStyle, TextStyle};
use plotters_backend::{DrawingBackend, DrawingErrorKind};

/// Coordinates a pixel.
pub const FINE: u32 = 4;

/// The size of most texts.
pub const SMALL: f64 = 13.0;

/// Left, top, right, bottom.
#[derive(Debug, Clone, Copy)]
pub struct Frame(pub f64, pub f64, pub f64, pub f64);

impl Frame {
    pub fn meets(&self, other: &Self) -> bool {
        self.0 < other.2 && other.0 < self.2 && self.1 < other.3 && other.1 < self.3
    }

    pub fn holds(&self, other: &Self) -> bool {
        self.0 <= other.0 && other.2 <= self.2 && self.1 <= other.1 && other.3 <= self.3
    }
}

/// Whether whatever draws could.
pub type Drawn<B> = Result<(), DrawingErrorKind<<B as DrawingBackend>::ErrorType>>;

/// How a text is written, and which of its points is given.
#[derive(Clone, Copy)]
pub struct Text {
    pub size: f64,
    pub colour: Colour,
    pub bold: bool,
    pub turned: bool,
    pub across: HPos,
    pub down: VPos,
}

impl Default for Text {
    fn default() -> Self {
        Self {
            size: SMALL,
            colour: (0, 0, 0),
            bold: false,
            turned: false,
            across: HPos::Left,
            down: VPos::Top,
        }
    }
}

/// Draws in pixels.
pub struct Pen<B> {
    pub on: B,
}

fn fine((x, y): (f64, f64)) -> (i32, i32) {
    let fine = |at: f64| nearest(at * f64::from(FINE));
    (fine(x), fine(y))
}

fn style(colour: Colour, thick: f64) -> ShapeStyle {
    let (red, green, blue) = colour;
    let thick = nearest_size(thick * f64::from(FINE));
    ShapeStyle { color: RGBColor(red, green, blue).to_rgba(), filled: true, stroke_width: thick }
}

impl<B: DrawingBackend> Pen<B> {
    fn rectangle(&mut self, Frame(left, top, right, bottom): Frame, colour: Colour) -> Drawn<B> {
        self.on.draw_rect(fine((left, top)), fine((right, bottom)), &style(colour, 1.0), true)
    }

    pub fn line(&mut self, points: &[(f64, f64)], colour: Colour, thick: f64) -> Drawn<B> {
        let mut path: Vec<(i32, i32)> = points.iter().copied().map(fine).collect();
        path.dedup();
        if path.len() < 2 {
            return Ok(());
        }
        self.on.draw_path(path, &style(colour, thick))
    }

    /// Dashes of 9 pixels with 6 between them, along the whole of a line.
    pub fn dashes(&mut self, points: &[(f64, f64)], colour: Colour, thick: f64) -> Drawn<B> {
        let (mut dash, mut drawing, mut left) = (Vec::new(), true, 9.0);
        for pair in points.windows(2) {
            let [mut from, to] = [pair[0], pair[1]];
            dash.push(from);
            loop {
                let length = (to.0 - from.0).hypot(to.1 - from.1);
                if length <= left {
                    left -= length;
                    dash.push(to);
                    break;
                }
                let share = left / length;
                from = (from.0 + share * (to.0 - from.0), from.1 + share * (to.1 - from.1));
                dash.push(from);
                if drawing {
                    self.line(&dash, colour, thick)?;
                }
                dash = vec![from];
                drawing = !drawing;
                left = if drawing { 9.0 } else { 6.0 };
            }
        }
        if drawing { self.line(&dash, colour, thick) } else { Ok(()) }
    }

    /// A mark of a shape for each colour: disc, square, diamond, triangle, ring.
    pub fn mark(
        &mut self,
        (x, y): (f64, f64),
        size: f64,
        shape: usize,
        colour: Colour,
        ground: Colour,
    ) -> Drawn<B> {
        let radius = |size: f64| nearest_size(size * f64::from(FINE));
        let filled = style(colour, 1.0);
        let corners: &[(f64, f64)] = match shape % 5 {
            0 => return self.on.draw_circle(fine((x, y)), radius(size), &filled, true),
            1 => {
                let half = size * 0.9;
                return self.rectangle(Frame(x - half, y - half, x + half, y + half), colour);
            }
            2 => &[(0.0, -1.25), (1.25, 0.0), (0.0, 1.25), (-1.25, 0.0)],
            3 => &[(0.0, -1.2), (1.1, 0.8), (-1.1, 0.8)],
            _ => {
                self.on.draw_circle(fine((x, y)), radius(size), &filled, true)?;
                let hole = style(ground, 1.0);
                return self.on.draw_circle(fine((x, y)), radius(size * 0.5), &hole, true);
            }
        };
        let corners = corners.iter().map(|(dx, dy)| fine((x + dx * size, y + dy * size)));
        self.on.fill_polygon(corners.collect::<Vec<_>>(), &filled.color.to_backend_color())
    }

    pub fn text(&mut self, text: &str, at: (f64, f64), how: &Text) -> Drawn<B> {
        let (red, green, blue) = how.colour;
        // plotters takes the size of a line for that of its letters.
        let size = how.size * 1.24 * f64::from(FINE);
        let mut font = ("sans-serif", size).into_font();
        if how.bold {
            font = font.style(FontStyle::Bold);
        }
        if how.turned {
            font = font.transform(FontTransform::Rotate270);
        }
        let colour = RGBColor(red, green, blue);
        let font = TextStyle::from(font).color(&colour);
        let font = font.pos(Pos::new(how.across, how.down));
        self.on.draw_text(text, &font, fine(at))
    }
}
