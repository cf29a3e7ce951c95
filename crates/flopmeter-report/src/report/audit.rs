//! What the command says of a table of published figures, as values.

use flopmeter::audit::{Audit, Entry, Figure, Fit, Rates, Table, Verdict};
use flopmeter::{Convention, Model};
use flopmeter_source as source;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use std::collections::HashMap;

/// The JSON of `audit`.
#[derive(Debug, Serialize)]
pub struct AuditReport {
    pub verdicts: VerdictsReport,
    /// How many rows each convention reproduces.
    pub conventions: Vec<ConventionReport>,
    pub rows: Vec<RowReport>,
    pub notes: Vec<String>,
}

#[derive(Debug, Default, Serialize)]
pub struct VerdictsReport {
    pub reproduces: usize,
    pub within_rounding: usize,
    pub differs: usize,
    pub unknown: usize,
}

#[derive(Debug, Serialize)]
pub struct ConventionReport {
    pub id: &'static str,
    pub reproduces: usize,
    /// Rows that it could be held against.
    pub rows: usize,
}

/// Ratios are fractions, rates those of one device.
#[derive(Debug, Serialize)]
pub struct RowReport {
    pub line: u64,
    pub row: String,
    pub claimed: ClaimsReport,
    pub verdict: &'static str,
    /// The conventions that come nearest.
    pub best: Vec<&'static str>,
    /// The recomputed over the claimed figure, less 1.
    pub deviation: Option<f64>,
    /// Claimed TFLOP/s ÷ peak against the claimed ratio.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub division: Option<FitReport>,
    pub figures: Figures,
    pub notes: Vec<String>,
}

#[derive(Debug, Serialize)]
pub struct ClaimsReport {
    pub tflops: Option<f64>,
    pub mfu: Option<f64>,
    pub hfu: Option<f64>,
}

#[derive(Debug, Clone, Copy, Serialize)]
pub struct FitReport {
    pub deviation: f64,
    pub verdict: &'static str,
}

/// By convention.
#[derive(Debug)]
pub struct Figures(pub Vec<(&'static str, Result<FigureReport, String>)>);

#[derive(Debug, Serialize)]
pub struct FigureReport {
    pub tflops: f64,
    pub executed_tflops: f64,
    pub mfu: Option<f64>,
    pub hfu: Option<f64>,
    pub deviation: Option<f64>,
    pub verdict: &'static str,
}

impl Serialize for Figures {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (convention, figure) in &self.0 {
            match figure {
                Ok(figure) => map.serialize_entry(convention, figure)?,
                Err(why) => {
                    map.serialize_entry(convention, &serde_json::json!({ "error": why }))?;
                }
            }
        }
        map.end()
    }
}

impl AuditReport {
    /// Recomputes every row of a table by every convention that counts steps.
    pub fn of(table: &Table) -> Self {
        let steps = Convention::ALL.iter().filter(|convention| convention.counts_steps());
        let mut report = Self {
            verdicts: VerdictsReport::default(),
            conventions: steps
                .map(|convention| ConventionReport { id: convention.id, reproduces: 0, rows: 0 })
                .collect(),
            rows: Vec::with_capacity(table.entries().len()),
            notes: table.notes().to_vec(),
        };
        // A table names few models, each of them often.
        let mut models: HashMap<String, flopmeter::Result<Model>> = HashMap::new();
        for entry in table.entries() {
            let audit = entry.audit(|name| {
                let found = || source::find(name).map(|source| source.model);
                models.entry(name.to_owned()).or_insert_with(found).clone()
            });
            for figure in &audit.figures {
                let Some(fit) = figure.fit() else { continue };
                let counted =
                    report.conventions.iter_mut().find(|it| it.id == figure.convention.id);
                if let Some(counted) = counted {
                    counted.rows += 1;
                    counted.reproduces += usize::from(fit.verdict == Verdict::Reproduces);
                }
            }
            report.verdicts.add(audit.verdict());
            report.rows.push(RowReport::of(entry, &audit));
        }
        if !table.unread().is_empty() {
            report.notes.push(format!("columns not read: `{}`", table.unread().join("`, `")));
        }
        report
    }
}

impl RowReport {
    fn of(entry: &Entry, audit: &Audit) -> Self {
        let claims = entry.claims;
        let value = |claim: Option<flopmeter::audit::Printed>| claim.map(|printed| printed.value);
        let best: Vec<&Figure> = audit.best().collect();
        let fit = best.first().and_then(|figure| figure.fit()).or(audit.division);
        let notes = audit.unknown.iter().map(|why| match audit.division {
            Some(_) => {
                format!("{why}: only claimed TFLOP/s ÷ peak is held against the claimed ratio")
            }
            None => why.clone(),
        });
        Self {
            line: entry.line,
            row: entry.name.clone(),
            claimed: ClaimsReport {
                tflops: value(claims.tflops),
                mfu: value(claims.mfu),
                hfu: value(claims.hfu),
            },
            verdict: audit.verdict().name(),
            best: best.iter().map(|figure| figure.convention.id).collect(),
            deviation: fit.map(|fit| fit.deviation),
            division: audit.division.map(FitReport::of),
            figures: Figures(audit.figures.iter().map(FigureReport::of).collect()),
            notes: notes.chain(audit.remarks.iter().cloned()).collect(),
        }
    }
}

impl FitReport {
    fn of(fit: Fit) -> Self {
        Self { deviation: fit.deviation, verdict: fit.verdict.name() }
    }
}

impl FigureReport {
    fn of(figure: &Figure) -> (&'static str, Result<Self, String>) {
        let of = |rates: &Rates| Self {
            tflops: rates.model / 1e12,
            executed_tflops: rates.executed / 1e12,
            mfu: rates.utilization.map(|[mfu, _]| mfu),
            hfu: rates.utilization.map(|[_, hfu]| hfu),
            deviation: rates.fit.map(|fit| fit.deviation),
            verdict: rates.fit.map_or(Verdict::Unknown, |fit| fit.verdict).name(),
        };
        (figure.convention.id, figure.rates.as_ref().map(of).map_err(String::clone))
    }
}

impl VerdictsReport {
    fn add(&mut self, verdict: Verdict) {
        let count = match verdict {
            Verdict::Reproduces => &mut self.reproduces,
            Verdict::WithinRounding => &mut self.within_rounding,
            Verdict::Differs => &mut self.differs,
            Verdict::Unknown => &mut self.unknown,
        };
        *count += 1;
    }
}
