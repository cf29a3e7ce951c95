//! `flopmeter plot`: a picture of a model on hardware, in a file or in the terminal.

use super::side_by_side;
use crate::args::{Plot, PlotArgs, ThemeName};
use crate::request::machine;
use flopmeter::{Error, ErrorKind, Result};
use flopmeter_report::Asked;
use flopmeter_report::plot::{self, Subject, Theme};
use flopmeter_report::sweep::Values;
use flopmeter_source as source;
use flopmeter_source::visible::shortened;
use std::fs;
use std::path::Path;
use std::sync::Arc;

/// The most points of a line.
const MOST: u128 = 4096;

pub fn run(args: &PlotArgs) -> Result<String> {
    let subject = subject(args)?;
    let batches = |known: &str| match &args.batch {
        Some(batches) => Ok(batches.clone()),
        None => {
            Values::parse(known).map_err(|fact| Error::new(ErrorKind::Workload, "--batch", fact))
        }
    };
    let chart = match args.plot {
        Plot::Roofline => plot::roofline(&subject, &few(&batches("1")?, "batch")?)?,
        Plot::Context => plot::context(&subject, &few(&args.context, "context")?)?,
        Plot::Batch => plot::batch(&subject, &few(&batches("1..256x2")?, "batch")?)?,
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

fn subject(args: &PlotArgs) -> Result<Subject> {
    side_by_side::one_at_a_time(&args.convention)?;
    let mut source = source::find(&args.model)?;
    let (dtype, kv_dtype) = (args.dtype.as_deref(), args.kv_dtype.as_deref());
    source.model = Asked { dtype, kv_dtype, ..Asked::default() }.in_dtypes(source.model)?;
    let machine = machine(&args.hardware, None, source.model.quantization().compute)?;
    // What only reads generates nothing.
    let most = if source.model.generates() { 256 } else { 1 };
    Ok(Subject {
        source: Arc::new(source),
        convention: args.convention.parse()?,
        prompt: args.prompt,
        generate: args.generate.unwrap_or(most),
        machine,
    })
}

/// Numbers, few enough to be drawn.
fn few(values: &Values, of: &str) -> Result<Vec<u64>> {
    if values.count() > MOST {
        let fact = format!("is {} values; at most {MOST} are drawn", values.count());
        return Err(Error::new(ErrorKind::Workload, of, fact)
            .hint("take larger steps, or a range that multiplies: 1..65536x2"));
    }
    let mut few: Vec<u64> = (0..).map_while(|at| values.get(at)).collect();
    few.sort_unstable();
    few.dedup();
    Ok(few)
}

fn write(path: &Path, picture: &[u8]) -> Result<()> {
    fs::write(path, picture).map_err(|error| {
        let place = shortened(&path.display().to_string());
        Error::new(ErrorKind::Place, place, format!("cannot be written: {error}"))
    })
}
