//! Files: SVG, whose text is the reader's font's, and PNG, whose text is strokes.

use super::Chart;
use super::figure::Figure;
use super::pen::FINE;
use super::strokes::Stroked;
use super::theme::Theme;
use flopmeter::{Error, ErrorKind, Result};
use plotters::backend::{BitMapBackend, SVGBackend};
use std::fmt::Display;

/// Pixels of a picture for each of a figure, so that it is sharp on screens that have more of them.
const SHARP: u32 = 2;

fn failed(error: impl Display) -> Error {
    Error::new(ErrorKind::Overflow, "plot", format!("cannot be drawn: {error}"))
}

/// As SVG, with every point in its description.
///
/// # Errors
///
/// If it cannot be drawn, or there is nothing to draw.
pub fn svg(chart: Chart, theme: &Theme) -> Result<String> {
    let chart = chart.drawable()?;
    let figure = Figure::new(&chart, theme);
    let (across, down) = figure.size();
    let fine = (across * FINE, down * FINE);
    let mut out = String::new();
    figure.draw(SVGBackend::with_string(&mut out, fine)).map_err(failed)?;
    // Coordinates are finer than pixels; and a figure says what it shows.
    let sizes = |(across, down): (u32, u32)| format!("width=\"{across}\" height=\"{down}\"");
    out = out.replacen(&sizes(fine), &sizes((across, down)), 1);
    let said = format!(
        "<title>{}</title>\n<desc>{}</desc>\n<rect width=\"100%\" height=\"100%\" fill=\"rgb{:?}\"/>\n",
        escaped(&chart.title),
        escaped(&chart.described()),
        theme.ground
    );
    let begin = out.find(">\n").map_or(0, |at| at + 2);
    out.insert_str(begin, &said);
    Ok(out)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// As PNG.
///
/// # Errors
///
/// If it cannot be drawn, or there is nothing to draw.
pub fn png(chart: Chart, theme: &Theme) -> Result<Vec<u8>> {
    let chart = chart.drawable()?;
    let figure = Figure::new(&chart, theme);
    let (across, down) = figure.size();
    let fine = (across * FINE, down * FINE);
    let (red, green, blue) = theme.ground;
    let mut pixels = [red, green, blue].repeat(fine.0 as usize * fine.1 as usize);
    let picture = BitMapBackend::with_buffer(&mut pixels, fine);
    figure.draw(Stroked(picture)).map_err(failed)?;
    let (size, pixels) = smaller(&pixels, fine, (FINE / SHARP) as usize);
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, size.0, size.1);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().map_err(failed)?;
    writer.write_image_data(&pixels).map_err(failed)?;
    writer.finish().map_err(failed)?;
    Ok(out)
}

/// A picture of the means of squares of pixels, which makes edges smooth.
fn smaller(pixels: &[u8], (across, down): (u32, u32), by: usize) -> ((u32, u32), Vec<u8>) {
    let row = across as usize * 3;
    let (wide, tall) = (across as usize / by, down as usize / by);
    let mut out = vec![0; wide * tall * 3];
    let mut sums = vec![0_usize; wide * 3];
    for (rows, line) in pixels.chunks_exact(row * by).zip(out.chunks_exact_mut(wide * 3)) {
        sums.fill(0);
        for row in rows.chunks_exact(row) {
            for (square, sum) in row.chunks_exact(3 * by).zip(sums.chunks_exact_mut(3)) {
                for pixel in square.chunks_exact(3) {
                    for (sum, part) in sum.iter_mut().zip(pixel) {
                        *sum += usize::from(*part);
                    }
                }
            }
        }
        for (part, sum) in line.iter_mut().zip(&sums) {
            *part = u8::try_from(sum / (by * by)).unwrap_or(u8::MAX);
        }
    }
    let by = u32::try_from(by).unwrap_or(1);
    ((across / by, down / by), out)
}
