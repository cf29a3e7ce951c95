//! `flopmeter plot`: a picture of a model on hardware, in a file or in the terminal.

use crate::args::{Plot, PlotArgs, ThemeName, Values};
use crate::plot::{self, Subject, Theme};
use crate::visible::shortened;
use flopmeter::{Error, ErrorKind, Result};
use std::fs;
use std::path::Path;

pub fn run(args: &PlotArgs) -> Result<String> {
    let subject = Subject::read(args)?;
    let batches = |known: &str| match &args.batch {
        Some(batches) => Ok(batches.clone()),
        None => {
            Values::parse(known).map_err(|fact| Error::new(ErrorKind::Workload, "--batch", fact))
        }
    };
    let chart = match args.plot {
        Plot::Roofline => plot::roofline(&subject, &batches("1")?)?,
        Plot::Context => plot::context(&subject, &args.context)?,
        Plot::Batch => plot::batch(&subject, &batches("1..256x2")?)?,
    };
    let theme = match args.theme {
        ThemeName::Light => &Theme::LIGHT,
        ThemeName::Dark => &Theme::DARK,
    };
    let Some(path) = &args.output else {
        let columns = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
        return plot::terminal(chart, theme, columns.unwrap_or(80));
    };
    let is_svg = path.extension().is_some_and(|end| end.eq_ignore_ascii_case("svg"));
    let picture =
        if is_svg { plot::svg(chart, theme)?.into_bytes() } else { plot::png(chart, theme)? };
    write(path, &picture)?;
    Ok(String::new())
}

fn write(path: &Path, picture: &[u8]) -> Result<()> {
    fs::write(path, picture).map_err(|error| {
        let place = shortened(&path.display().to_string());
        Error::new(ErrorKind::Place, place, format!("cannot be written: {error}"))
    })
}
