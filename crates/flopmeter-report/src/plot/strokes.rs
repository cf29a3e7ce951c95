//! Text as strokes: a picture needs no font, and no machine has to have one.
//!
//! A letter is drawn on a grid whose baseline is its sixth row, with lines from point to point; a point is its column
//! and its row.

use super::scale::{nearest, nearest_size};
use plotters::style::text_anchor::{HPos, VPos};
use plotters_backend::{
    BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingBackend, DrawingErrorKind,
    FontTransform,
};

/// The lines of a character. Of one that is not there, a box.
fn lines(character: char) -> &'static str {
    match character {
        ' ' => "",
        '0' | 'O' => "10 01 05 16 36 45 41 30 10",
        '1' => "11 20 26,16 36",
        '2' => "01 10 30 41 42 06 46",
        '3' => "01 10 30 41 42 33 44 45 36 16 05,13 33",
        '4' => "36 30 04 44",
        '5' => "40 00 02 32 43 45 36 16 05",
        '6' => "41 30 10 01 05 16 36 45 44 33 13 04",
        '7' => "00 40 16",
        '8' => "10 01 02 13 33 42 41 30 10,13 04 05 16 36 45 44 33",
        '9' => "05 16 36 45 41 30 10 01 02 13 33 42",
        'A' => "06 20 46,14 34",
        'B' => "00 06 36 45 44 33 03,00 30 41 42 33",
        'C' => "41 30 10 01 05 16 36 45",
        'D' => "00 06 36 45 41 30 00",
        'E' => "40 00 06 46,03 33",
        'F' => "40 00 06,03 33",
        'G' => "41 30 10 01 05 16 36 45 43 23",
        'H' => "00 06,40 46,03 43",
        'I' => "00 20,10 16,06 26",
        'J' => "30 35 26 16 05",
        'K' => "00 06,40 03 46",
        'L' => "00 06 46",
        'M' => "06 00 23 40 46",
        'N' => "06 00 46 40",
        'P' => "06 00 30 41 42 33 03",
        'Q' => "10 01 05 16 36 45 41 30 10,24 46",
        'R' => "06 00 30 41 42 33 03,23 46",
        'S' => "41 30 10 01 02 13 33 44 45 36 16 05",
        'T' => "00 40,20 26",
        'U' => "00 05 16 36 45 40",
        'V' => "00 26 40",
        'W' => "00 16 22 36 40",
        'X' => "00 46,40 06",
        'Y' => "00 23 40,23 26",
        'Z' => "00 40 06 46",
        'a' => "02 22 33 36,34 14 05 16 26 35",
        'b' => "00 06,03 12 22 33 35 26 16 05",
        'c' => "33 22 12 03 05 16 26 35",
        'd' => "30 36,33 22 12 03 05 16 26 35",
        'e' => "04 34 33 22 12 03 05 16 26 35",
        'f' => "20 11 16,02 22",
        'g' => "32 37 28 18 07,33 22 12 03 05 16 26 35",
        'h' => "00 06,03 12 22 33 36",
        'i' => "02 06,00 01",
        'j' => "12 17 08,10 11",
        'k' => "00 06,32 04 36",
        'l' => "00 05 16",
        'm' => "02 06,03 12 23 26,23 32 43 46",
        'n' => "02 06,03 12 22 33 36",
        'o' => "12 03 05 16 26 35 33 22 12",
        'p' => "02 08,03 12 22 33 35 26 16 05",
        'q' => "32 38,33 22 12 03 05 16 26 35",
        'r' => "02 06,03 12 22",
        's' => "32 12 03 14 24 35 26 06",
        't' => "10 15 26,02 22",
        'u' => "02 05 16 26 35,32 36",
        'v' => "02 26 42",
        'w' => "02 16 23 36 42",
        'x' => "02 36,32 06",
        'y' => "02 05 16 26 35,32 37 28 18 07",
        'z' => "02 32 06 36",
        '.' => "05 06",
        ',' => "15 07",
        ':' => "02 03,05 06",
        ';' => "12 13,15 07",
        '-' => "04 24",
        '–' | '−' => "04 44",
        '_' => "07 47",
        '+' => "04 44,22 26",
        '=' => "03 43,05 45",
        '/' => "07 30",
        '\\' => "00 37",
        '(' => "10 01 05 16",
        ')' => "00 11 15 06",
        '[' => "20 00 06 26",
        ']' => "00 20 26 06",
        '{' => "20 10 12 03 14 16 26",
        '}' => "00 10 12 23 14 16 06",
        '<' => "31 03 35",
        '>' => "01 33 05",
        '%' => "40 06,00 10 11 01 00,35 45 46 36 35",
        '×' => "03 36,33 06",
        '·' => "03 04",
        '*' => "21 25,02 44,42 04",
        '\'' => "00 01",
        '"' => "00 01,20 21",
        '!' => "00 04,05 06",
        '?' => "01 10 30 41 42 23 24,25 26",
        '|' => "00 07",
        '~' => "04 13 34 43",
        '^' => "02 10 22",
        '@' => "44 33 13 04 15 35 44 41 30 10 01 06 17 47",
        '#' => "10 06,40 36,02 42,04 44",
        '&' => "46 12 11 20 31 04 05 16 26 44",
        '$' => "41 30 10 01 02 13 33 44 45 36 16 05,20 27",
        'µ' => "02 08,05 16 26 35,32 36",
        '…' => "05 06,25 26,45 46",
        _ => "00 40 46 06 00",
    }
}

/// Columns of a character, and of what is between two.
const GAP: f64 = 1.9;

fn columns(character: char) -> f64 {
    let widest = lines(character).bytes().filter(u8::is_ascii_digit).step_by(2).max();
    match widest {
        None => 1.5,
        Some(column) => f64::from(column - b'0'),
    }
}

/// The height of a line of the grid at a size of text.
fn unit(size: f64) -> f64 {
    size * 0.12
}

/// How wide a text is at a size, with strokes or about so in a font.
pub fn width(text: &str, size: f64) -> f64 {
    let columns: f64 = text.chars().map(|character| columns(character) + GAP).sum();
    (columns - GAP).max(0.0) * unit(size)
}

/// A picture in which text is drawn as strokes.
pub struct Stroked<B>(pub B);

impl<B: DrawingBackend> DrawingBackend for Stroked<B> {
    type ErrorType = B::ErrorType;

    fn get_size(&self) -> (u32, u32) {
        self.0.get_size()
    }

    fn ensure_prepared(&mut self) -> Result<(), DrawingErrorKind<Self::ErrorType>> {
        self.0.ensure_prepared()
    }

    fn present(&mut self) -> Result<(), DrawingErrorKind<Self::ErrorType>> {
        self.0.present()
    }

    fn draw_pixel(
        &mut self,
        point: BackendCoord,
        color: BackendColor,
    ) -> Result<(), DrawingErrorKind<Self::ErrorType>> {
        self.0.draw_pixel(point, color)
    }

    fn draw_text<S: BackendTextStyle>(
        &mut self,
        text: &str,
        style: &S,
        pos: BackendCoord,
    ) -> Result<(), DrawingErrorKind<Self::ErrorType>> {
        // As fonts are measured there, a size is that of a line and not of its letters.
        let size = style.size() / 1.24;
        let (unit, whole) = (unit(size), width(text, size));
        let mut left = match style.anchor().h_pos {
            HPos::Left => 0.0,
            HPos::Center => -whole / 2.0,
            HPos::Right => -whole,
        };
        let top = match style.anchor().v_pos {
            VPos::Top => 0.0,
            VPos::Center => -3.2 * unit,
            VPos::Bottom => -6.4 * unit,
        };
        let transform = match style.transform() {
            FontTransform::None => |x: f64, y: f64| (x, y),
            FontTransform::Rotate90 => |x: f64, y: f64| (-y, x),
            FontTransform::Rotate180 => |x: f64, y: f64| (-x, -y),
            FontTransform::Rotate270 => |x: f64, y: f64| (y, -x),
        };
        let bold = matches!(style.style(), plotters_backend::FontStyle::Bold);
        let stroke = Stroke {
            color: style.color(),
            width: nearest_size(size * if bold { 0.125 } else { 0.09 }).max(1),
        };
        for character in text.chars() {
            for line in lines(character).split(',').filter(|line| !line.is_empty()) {
                let points = line.split(' ').filter_map(|point| {
                    let [column, row] = *point.as_bytes() else { return None };
                    let [column, row] = [column, row].map(|at| f64::from(at - b'0'));
                    let (x, y) = transform(left + column * unit, top + row * unit);
                    Some((pos.0 + nearest(x), pos.1 + nearest(y)))
                });
                self.0.draw_path(points, &stroke)?;
            }
            left += (columns(character) + GAP) * unit;
        }
        Ok(())
    }
}

struct Stroke {
    color: BackendColor,
    width: u32,
}

impl BackendStyle for Stroke {
    fn color(&self) -> BackendColor {
        self.color
    }

    fn stroke_width(&self) -> u32 {
        self.width
    }
}

#[cfg(test)]
mod tests {
    use super::{lines, width};

    #[test]
    fn every_character_has_lines_of_points() {
        for character in (' '..='~').chain("–−×·µ…é模\u{202e}".chars()) {
            for line in lines(character).split(',').filter(|line| !line.is_empty()) {
                let points: Vec<&str> = line.split(' ').collect();
                assert!(points.len() > 1, "{character}");
                let on_grid = |point: &&str| {
                    let digits = point.as_bytes();
                    digits.len() == 2 && digits[0] <= b'4' && digits[1] <= b'8'
                };
                assert!(points.iter().all(on_grid), "{character}: {points:?}");
            }
        }
        let plain = |character: &char| lines(*character) == lines('é');
        assert_eq!((' '..='~').filter(plain).collect::<String>(), "`");
    }

    #[test]
    fn a_text_is_as_wide_as_its_letters() {
        assert_eq!(width("", 10.0), 0.0);
        assert!(width("ii", 10.0) < width("MM", 10.0));
        assert!((width("MM", 20.0) / width("MM", 10.0) - 2.0).abs() < 1e-12);
    }
}
