//! Plots: what they show. matplotlib draws it if it is installed.

use crate::arguments::some_whole;
use crate::error::Result;
use crate::request::Maybe;
use crate::shown;
use flopmeter::{Error, ErrorKind};
use flopmeter_report::Request;
use flopmeter_report::plot::{self, Chart as Drawable, Subject, Theme};
use pyo3::prelude::*;
use std::sync::Arc;

/// Series over axes.
#[pyclass(frozen, module = "flopmeter")]
pub struct Chart(Drawable);

/// Lengths over which the cost of a context is drawn, and as many batches: powers of two.
const LENGTHS: std::ops::RangeInclusive<u32> = 7..=17;

impl Chart {
    pub fn context(request: &Request, lengths: Maybe<'_, '_>) -> Result<Self> {
        let lengths = match lengths {
            Some(lengths) => some_whole("lengths", lengths)?,
            None => LENGTHS.map(|power| 1 << power).collect(),
        };
        Ok(Self(plot::context(&subject(request)?, &lengths)?))
    }

    pub fn roofline(request: &Request, batches: Maybe<'_, '_>) -> Result<Self> {
        let batches = match batches {
            Some(batches) => some_whole("batches", batches)?,
            None => request.workload.sequences().iter().map(|it| it.count).collect(),
        };
        Ok(Self(plot::roofline(&subject(request)?, &batches)?))
    }

    /// By matplotlib if it is installed, else the chart itself, which a notebook shows as SVG.
    pub fn drawn<'py>(
        self,
        py: Python<'py>,
        theme: &str,
        ax: Option<Bound<'py, PyAny>>,
    ) -> Result<Bound<'py, PyAny>> {
        named(theme)?;
        Ok(py.import("flopmeter._plot")?.call_method1("draw", (self, theme, ax))?)
    }
}

/// One request, whose lengths a plot may vary.
fn subject(request: &Request) -> Result<Subject> {
    let sequence = request.workload.sequences()[0];
    Ok(Subject {
        source: Arc::clone(&request.source),
        convention: request.convention,
        prompt: sequence.prompt,
        generate: sequence.generate,
        machine: request.machine.clone(),
    })
}

fn named(theme: &str) -> Result<&'static Theme> {
    match theme {
        "light" => Ok(&Theme::LIGHT),
        "dark" => Ok(&Theme::DARK),
        _ => Err(Error::new(ErrorKind::Workload, "`theme`", "is neither light nor dark").into()),
    }
}

#[pymethods]
impl Chart {
    /// As SVG.
    #[pyo3(signature = (theme = "light"))]
    fn svg(&self, theme: &str) -> Result<String> {
        Ok(plot::svg(self.0.clone(), named(theme)?)?)
    }

    /// As PNG.
    #[pyo3(signature = (theme = "light"))]
    fn png(&self, theme: &str) -> Result<Vec<u8>> {
        Ok(plot::png(self.0.clone(), named(theme)?)?)
    }

    /// Title, axes and series.
    fn to_dict<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyAny>> {
        shown::dict(py, &self.0)
    }

    fn _repr_svg_(&self) -> Result<String> {
        self.svg("light")
    }

    fn __str__(&self) -> Result<String> {
        Ok(plot::terminal(self.0.clone(), &Theme::LIGHT, 80)?)
    }

    fn __repr__(&self) -> String {
        format!("<flopmeter.Chart {}>", self.0.title)
    }
}
