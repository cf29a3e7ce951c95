//! `--convention all`: the same work by every convention that counts such.

use crate::args::Format;
use crate::output;
use flopmeter::{Convention, Error, ErrorKind, Result};
use flopmeter_report::render::{Block, Column, Document, grouped, percent};
use flopmeter_report::report::parallel::ParallelismReport;
use flopmeter_report::report::{AdapterReport, DeviceReport, ModelReport};
use flopmeter_report::{ALL, ONE_AT_A_TIME};
use serde::Serialize;

/// The JSON of a command that was asked for all conventions; `W` is the workload or the step, `R` what a rank does.
#[derive(Debug, Serialize)]
pub struct SideBySide<W: Serialize, R: Serialize> {
    pub model: ModelReport,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adapter: Option<AdapterReport>,
    #[serde(flatten)]
    pub work: W,
    pub conventions: Vec<Row>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parallelism: Option<ParallelismReport>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ranks: Vec<R>,
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
    pub executed: Option<u128>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mfu: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hfu: Option<f64>,
}

/// What is counted by one convention: model FLOPs; of a step what is executed, too; with a time, the ratios of both.
#[derive(Debug, Clone, Copy)]
pub struct Counted {
    pub flops: u128,
    pub executed: Option<u128>,
    pub mfu: Option<f64>,
    pub hfu: Option<f64>,
}

/// Counts by each convention; what does not apply says so, and any other error is one of the work.
pub fn rows(
    conventions: impl Iterator<Item = &'static Convention>,
    count: impl Fn(&Convention) -> Result<Counted>,
) -> Result<Vec<Row>> {
    let model = count(&Convention::MODEL)?.flops;
    conventions
        .map(|convention| {
            let said = match count(convention) {
                Ok(Counted { flops, executed, mfu, hfu }) => Said::Flops(Figures {
                    flops,
                    of_model: (model > 0).then(|| flops as f64 / model as f64),
                    executed,
                    mfu,
                    hfu,
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
        ALL => Err(Error::new(ErrorKind::Convention, "`all`", ONE_AT_A_TIME)
            .hint("`estimate`, `utilization`, `train` and `sweep` take all")),
        _ => Ok(()),
    }
}

impl<W: Serialize, R: Serialize> SideBySide<W, R> {
    /// As text, with a line that says what was counted, and the tables of the ranks.
    pub fn text(&self, work: String, ranks: Vec<Block>, format: Format) -> Result<String> {
        let mut head = self.model.head(self.adapter.as_ref());
        head.push(format!("{work}; all conventions"));
        let title = match &self.device {
            Some(device) => format!("{} × {}, {} dense", device.count, device.name, device.dtype),
            None => String::new(),
        };
        let mut blocks = vec![self.block(title)];
        blocks.extend(ranks);
        output::document(&Document { head, blocks, notes: self.notes.clone() }, self, format)
    }

    /// A row for each convention; what is executed has columns where it is more than the model FLOPs.
    fn block(&self, title: String) -> Block {
        let figures = || self.conventions.iter().filter_map(|row| row.said.figures());
        let timed = figures().any(|it| it.mfu.is_some());
        let again = figures().any(|it| it.executed.is_some_and(|executed| executed != it.flops));
        let ratio = |value: Option<f64>| value.map_or("–".into(), percent);
        let shown: [Shown<'_>; 5] = [
            (true, "FLOPs", &|it| grouped(it.flops)),
            (true, "of model", &|it| {
                it.of_model.map_or("–".into(), |ratio| format!("{ratio:.4}"))
            }),
            (again, "executed", &|it| it.executed.map_or("–".into(), grouped)),
            (timed, "MFU", &|it| ratio(it.mfu)),
            (timed && again, "HFU", &|it| ratio(it.hfu)),
        ];
        let shown: Vec<_> = shown.into_iter().filter(|(shown, ..)| *shown).collect();
        let row = |row: &Row| {
            let mut cells = vec![row.id.to_owned()];
            let figures = row.said.figures();
            cells.extend(shown.iter().map(|(.., of)| figures.map_or("–".into(), of)));
            cells.push(match &row.said {
                Said::Flops(_) => String::new(),
                Said::Not { does_not_apply } => format!("does not apply: {does_not_apply}"),
            });
            cells
        };
        let mut columns = vec![Column::text("convention")];
        columns.extend(shown.iter().map(|(_, name, _)| Column::number(name)));
        columns.push(Column::text(""));
        Block { title, columns, rows: self.conventions.iter().map(row).collect() }
    }
}

/// Whether a column is shown, its name, and its cell.
type Shown<'f> = (bool, &'static str, &'f dyn Fn(&Figures) -> String);

impl Said {
    fn figures(&self) -> Option<&Figures> {
        match self {
            Self::Flops(figures) => Some(figures),
            Self::Not { .. } => None,
        }
    }
}
