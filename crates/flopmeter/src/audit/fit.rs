//! What a row's figures come to, and how near that is to what is claimed.

use super::entry::{Claims, Entry};
use super::printed::Printed;
use crate::convention::Convention;
use crate::error::Result;
use crate::model::Model;
use crate::training::{Step, TrainingFlops};

/// How far an MFU or HFU may be from a claimed one: a tenth of a percentage point.
const RATIO_TOLERANCE: f64 = 0.001;
/// How far a rate may be from a claimed one, as a share of it.
const RATE_TOLERANCE: f64 = 0.002;

/// A row, recomputed.
#[derive(Debug, Clone)]
pub struct Audit {
    /// By every convention, in the order of [`Convention::ALL`].
    pub figures: Vec<Figure>,
    /// Claimed TFLOP/s ÷ peak against the claimed ratio, where both are claimed: what no convention changes.
    pub division: Option<Fit>,
    /// Why nothing is recomputed, if nothing is.
    pub unknown: Option<String>,
    /// Claims that have nothing to be held against, and such as contradict each other.
    pub remarks: Vec<String>,
}

/// A row by one convention.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// How it is counted.
    pub convention: Convention,
    /// What comes out, or why the convention does not apply.
    pub rates: std::result::Result<Rates, String>,
}

/// What a device does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rates {
    /// Model FLOPs a second of a device.
    pub model: f64,
    /// Executed FLOPs a second of a device: recomputed ones too.
    pub executed: f64,
    /// MFU and HFU, where the peak is known.
    pub utilization: Option<[f64; 2]>,
    /// How near it is to what is claimed, where anything is that can be recomputed.
    pub fit: Option<Fit>,
}

/// How near figures are to claimed ones.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fit {
    /// A recomputed over a claimed figure, less 1: the one that is printed most precisely where all hold, or else the
    /// farthest off.
    pub deviation: f64,
    /// Whether all are equal within tolerance or as printed.
    pub verdict: Verdict,
}

/// Whether claimed figures come out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Within 0.1 percentage points (MFU, HFU) and 0.2 % (TFLOP/s), or equal as printed, rounded or cut.
    Reproduces,
    /// Equal at the printed digits of the throughput: one that is printed so gives figures that are printed so.
    WithinRounding,
    /// Not so by any convention.
    Differs,
    /// The row says too little.
    Unknown,
}

impl Verdict {
    /// The word in every output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reproduces => "reproduces",
            Self::WithinRounding => "within rounding",
            Self::Differs => "differs",
            Self::Unknown => "unknown",
        }
    }
}

impl Audit {
    /// The best that any convention does; where no throughput is printed, what the division does.
    pub fn verdict(&self) -> Verdict {
        let fits = self.figures.iter().filter_map(Figure::fit).map(|fit| fit.verdict);
        fits.min().or(self.division.map(|fit| fit.verdict)).unwrap_or(Verdict::Unknown)
    }

    /// The conventions that come nearest, several where they give the same.
    pub fn best(&self) -> impl Iterator<Item = &Figure> {
        let off = |figure: &Figure| figure.fit().map(|fit| (fit.verdict, fit.deviation.abs()));
        let least = self
            .figures
            .iter()
            .filter_map(off)
            .min_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
        self.figures.iter().filter(move |figure| {
            off(figure).zip(least).is_some_and(|((verdict, off), (best, least))| {
                verdict == best && off - least <= 1e-6
            })
        })
    }
}

impl Figure {
    /// How near it is to what is claimed.
    pub fn fit(&self) -> Option<Fit> {
        self.rates.as_ref().ok()?.fit
    }
}

impl Entry {
    /// Recomputes it by every convention. A model that has no shape is one that `named` knows.
    pub fn audit(&self, named: impl FnOnce(&str) -> Result<Model>) -> Audit {
        let division = self.division();
        let remarks = self.remarks(division);
        let mut audit = Audit { figures: Vec::new(), division, unknown: None, remarks };
        if self.claims == Claims::default() {
            audit.unknown = Some("claims nothing".into());
            return audit;
        }
        let ready = self.step().and_then(|(step, rows)| Ok((self.find(named)?, step, rows)));
        match ready {
            Err(why) => audit.unknown = Some(why),
            Ok((model, step, rows)) => {
                audit.figures = Convention::ALL
                    .iter()
                    .filter(|convention| convention.counts_steps())
                    .map(|convention| Figure {
                        convention: *convention,
                        rates: self.rates(&model, &step, rows, convention),
                    })
                    .collect();
            }
        }
        audit
    }

    /// Claims that have nothing to be held against, and such as contradict each other.
    fn remarks(&self, division: Option<Fit>) -> Vec<String> {
        let mut remarks = Vec::new();
        let claims = &self.claims;
        if let (Err(peak), true) = (&self.peak, claims.mfu.or(claims.hfu).is_some()) {
            remarks.push(format!("MFU and HFU are not held against anything: the row {peak}"));
        }
        if self.recompute.is_none() && claims.hfu.is_some() {
            remarks.push("HFU is not held against recomputed FLOPs: the row does not say what `recompute` is".into());
        }
        let apart = division.filter(|fit| fit.verdict == Verdict::Differs);
        if let (Some(fit), true) = (apart, self.throughput.is_ok()) {
            remarks.push(format!(
                "the claims contradict each other: the TFLOP/s make {:+.1} % of the ratio",
                100.0 * fit.deviation
            ));
        }
        remarks
    }

    fn division(&self) -> Option<Fit> {
        let peak = *self.peak.as_ref().ok()?;
        let rate = self.claims.tflops?;
        let ratio = self.claims.mfu.or(self.claims.hfu)?;
        let share = rate.value * 1e12 / peak;
        // A rate that is rounded may be all that the ratio was not.
        let verdict = if near_ratio(ratio, share) || rate.prints(ratio.value * peak / 1e12) {
            Verdict::Reproduces
        } else {
            Verdict::Differs
        };
        Some(Fit { deviation: share / ratio.value - 1.0, verdict })
    }

    fn rates(
        &self,
        model: &Model,
        step: &Step,
        rows: f64,
        convention: &Convention,
    ) -> std::result::Result<Rates, String> {
        let flops: TrainingFlops = model
            .training(step, convention)
            .and_then(|training| training.flops(step))
            .map_err(|error| error.to_string())?;
        let [model, executed] = [flops.total, flops.executed].map(|flops| flops as f64 * rows);
        let mut rates = Rates { model, executed, utilization: None, fit: None };
        if let Ok(peak) = self.peak {
            rates.utilization = Some([model / peak, executed / peak]);
        }
        rates.fit = self.fit(&rates);
        Ok(rates)
    }

    /// How near rates are to what is claimed. A claimed TFLOP/s may be of model or of executed FLOPs.
    fn fit(&self, rates: &Rates) -> Option<Fit> {
        let rate = |printed: Printed| {
            let [model, executed] = [rates.model, rates.executed].map(|rate| rate / 1e12);
            let off = |rate: f64| (rate / printed.value - 1.0).abs();
            (printed, if off(executed) < off(model) { executed } else { model })
        };
        let [mfu, hfu] = [0, 1].map(|at| rates.utilization.map(|ratios| ratios[at]));
        let of_ratio = |claim: Option<Printed>, value: Option<f64>| claim.zip(value);
        let hfu = if self.recompute.is_some() { hfu } else { None };
        let rates = self.claims.tflops.map(rate);
        let ratios = [of_ratio(self.claims.mfu, mfu), of_ratio(self.claims.hfu, hfu)];
        let rate = rates.map(|(printed, value)| (printed, self.held(printed, value, near_rate)));
        let ratios = ratios
            .into_iter()
            .flatten()
            .map(|(printed, value)| (printed, self.held(printed, value, near_ratio)));
        let held: Vec<(Printed, Fit)> = rate.into_iter().chain(ratios).collect();
        let verdict = held.iter().map(|(_, fit)| fit.verdict).max()?;
        let coarse = |printed: &Printed| printed.unit / printed.value;
        let telling = match verdict {
            Verdict::Reproduces => {
                held.iter().min_by(|(a, _), (b, _)| coarse(a).total_cmp(&coarse(b)))
            }
            _ => {
                held.iter().max_by(|(_, a), (_, b)| a.deviation.abs().total_cmp(&b.deviation.abs()))
            }
        };
        Some(Fit { deviation: telling?.1.deviation, verdict })
    }

    fn held(&self, printed: Printed, value: f64, near: fn(Printed, f64) -> bool) -> Fit {
        let verdict = if near(printed, value) {
            Verdict::Reproduces
        } else if self.throughput.as_ref().is_ok_and(|throughput| {
            // The share by which the printed throughput may be off, and so the figure.
            let share = throughput.figure.unit / 2.0 / throughput.figure.value;
            printed.prints(printed.value.clamp(value * (1.0 - share), value * (1.0 + share)))
        }) {
            Verdict::WithinRounding
        } else {
            Verdict::Differs
        };
        Fit { deviation: value / printed.value - 1.0, verdict }
    }
}

fn near_ratio(printed: Printed, value: f64) -> bool {
    printed.prints(value) || (value - printed.value).abs() <= RATIO_TOLERANCE
}

fn near_rate(printed: Printed, value: f64) -> bool {
    printed.prints(value) || (value / printed.value - 1.0).abs() <= RATE_TOLERANCE
}
