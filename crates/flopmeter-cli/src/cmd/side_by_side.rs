//! `--convention all`: the same work by every convention that counts such.

use crate::args::Format;
use crate::output;
use flopmeter::{Convention, Error, ErrorKind, Result};
use flopmeter_report::render::{Block, Column, Document, grouped, percent};
use flopmeter_report::report::{AdapterReport, DeviceReport, ModelReport};
use serde::Serialize;

/// The name that stands for all conventions.
pub const ALL: &str = "all";

/// The JSON of a command that was asked for all conventions; `W` is the workload or the step.
#[derive(Debug, Serialize)]
pub struct SideBySide<W: Serialize> {
    pub model: ModelReport,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adapter: Option<AdapterReport>,
    #[serde(flatten)]
    pub work: W,
    pub conventions: Vec<Row>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceReport>,
    pub notes: Vec<String>,
}

/// What one convention says.
#[derive(Debug, Serialize)]
pub struct Row {
    pub id: &'static str,
    #[serde(flatten)]
    pub said: Said,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Said {
    Flops(Figures),
    Not { does_not_apply: String },
}

#[derive(Debug, Serialize)]
pub struct Figures {
    pub flops: u128,
    /// Of those of `model`; null if that counts none.
    pub of_model: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mfu: Option<f64>,
}

/// Counts by each convention; what does not apply says so, and any other error is one of the work.
pub fn rows(
    conventions: impl Iterator<Item = &'static Convention>,
    count: impl Fn(&Convention) -> Result<(u128, Option<f64>)>,
) -> Result<Vec<Row>> {
    let (model, _) = count(&Convention::MODEL)?;
    conventions
        .map(|convention| {
            let said = match count(convention) {
                Ok((flops, mfu)) => Said::Flops(Figures {
                    flops,
                    of_model: (model > 0).then(|| flops as f64 / model as f64),
                    mfu,
                }),
                Err(error) if error.kind() == ErrorKind::Convention => {
                    let fact = error.fact();
                    let why = fact.strip_prefix("does not apply: ").unwrap_or(fact);
                    Said::Not { does_not_apply: why.to_owned() }
                }
                Err(error) => return Err(error),
            };
            Ok(Row { id: convention.id, said })
        })
        .collect()
}

/// An error for a command that takes one convention at a time.
pub fn one_at_a_time(name: &str) -> Result<()> {
    match name {
        ALL => Err(Error::new(
            ErrorKind::Convention,
            "`all`",
            "is every convention, and one is taken at a time",
        )
        .hint("`estimate`, `utilization` and `train` print all side by side")),
        _ => Ok(()),
    }
}

impl<W: Serialize> SideBySide<W> {
    /// As text, with a line that says what was counted.
    pub fn text(&self, work: String, format: Format) -> Result<String> {
        let mut head = self.model.head(self.adapter.as_ref());
        head.push(format!("{work}; all conventions"));
        let timed = self
            .conventions
            .iter()
            .any(|row| matches!(&row.said, Said::Flops(Figures { mfu: Some(_), .. })));
        let mut columns =
            vec![Column::text("convention"), Column::number("FLOPs"), Column::number("of model")];
        if timed {
            columns.push(Column::number("MFU"));
        }
        columns.push(Column::text(""));
        let cells = |row: &Row| {
            let mut cells = vec![row.id.to_owned()];
            match &row.said {
                Said::Flops(figures) => {
                    cells.push(grouped(figures.flops));
                    cells.push(figures.of_model.map_or("–".into(), |ratio| format!("{ratio:.4}")));
                    cells.extend(timed.then(|| figures.mfu.map_or("–".into(), percent)));
                    cells.push(String::new());
                }
                Said::Not { does_not_apply } => {
                    cells.extend(vec!["–".to_owned(); if timed { 3 } else { 2 }]);
                    cells.push(format!("does not apply: {does_not_apply}"));
                }
            }
            cells
        };
        let title = match &self.device {
            Some(device) => format!("{} × {}, {} dense", device.count, device.name, device.dtype),
            None => String::new(),
        };
        let rows = self.conventions.iter().map(cells).collect();
        let blocks = vec![Block { title, columns, rows }];
        output::document(&Document { head, blocks, notes: self.notes.clone() }, self, format)
    }
}
