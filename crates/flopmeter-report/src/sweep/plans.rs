//! Parallel sizes → how a model is cut, and which combinations are left out because none can be.

use super::axes::{At, Axes, Of};
use super::{Ranges, Values};
use flopmeter::{Error, Model, Parallelism, Result, Split, Step, StepSplit};
use std::collections::BTreeMap;

/// The sizes that are gone through, if any is.
pub struct Plans {
    /// Whether tensor ranks share the tokens.
    sequence: bool,
    /// Numbers of devices that are kept, if not all.
    pub devices: Option<Values>,
}

impl Plans {
    /// Adds the axes of the sizes that are given.
    pub fn read(ranges: &Ranges, axes: &mut Axes) -> Option<Self> {
        let given = &ranges.sizes;
        let sizes = [
            (Of::Tensor, &given.tensor),
            (Of::Pipeline, &given.pipeline),
            (Of::Data, &given.data),
            (Of::Context, &given.context),
            (Of::DecodeContext, &given.decode_context),
            (Of::Expert, &given.expert),
            (Of::ExpertTensor, &given.expert_tensor),
            (Of::VirtualStages, &given.virtual_stages),
            (Of::Zero, &given.zero),
        ];
        let mut any = false;
        for (of, values) in sizes {
            if let Some(values) = values {
                axes.numbers(of, values);
                any = true;
            }
        }
        any.then(|| Self { sequence: given.sequence, devices: ranges.counts.clone() })
    }

    /// The plan at a point.
    pub fn plan(&self, axes: &Axes, at: &At) -> Parallelism {
        let size = |of| axes.number(of, at);
        let tensor = size(Of::Tensor).unwrap_or(1);
        Parallelism {
            tensor,
            sequence: self.sequence && tensor > 1,
            pipeline: size(Of::Pipeline).unwrap_or(1),
            data: size(Of::Data).unwrap_or(1),
            context: size(Of::Context).unwrap_or(1),
            decode_context: size(Of::DecodeContext).unwrap_or(1),
            expert: size(Of::Expert).unwrap_or(1),
            expert_tensor: size(Of::ExpertTensor),
            virtual_stages: size(Of::VirtualStages).unwrap_or(1),
            zero: size(Of::Zero).unwrap_or(0),
        }
    }

    /// Whether a plan takes a number of devices that is asked for.
    pub fn takes(&self, devices: u64) -> bool {
        let Some(kept) = &self.devices else { return true };
        (0..).map_while(|at| kept.get(at)).any(|kept| kept == devices)
    }
}

/// The cut that was made last: points that follow each other mostly share it.
#[derive(Default)]
pub struct Last {
    requests: Option<(Key, Result<Split>)>,
    steps: Option<(Key, Result<StepSplit>)>,
}

/// The place of the dtype, that of what is computed again, and the plan.
type Key = (usize, usize, Parallelism);

impl Last {
    pub fn requests(&mut self, key: Key, model: &Model) -> Result<&Split> {
        last(&mut self.requests, key, || model.split(&key.2))
    }

    pub fn steps(&mut self, key: Key, model: &Model, step: &Step) -> Result<&StepSplit> {
        let convention = flopmeter::Convention::MODEL;
        last(&mut self.steps, key, || model.split_step(&key.2, step, &convention))
    }
}

fn last<T>(
    kept: &mut Option<(Key, Result<T>)>,
    key: Key,
    cut: impl FnOnce() -> Result<T>,
) -> Result<&T> {
    if kept.as_ref().is_none_or(|(of, _)| *of != key) {
        *kept = None;
    }
    let (_, cut) = kept.get_or_insert_with(|| (key, cut()));
    cut.as_ref().map_err(Clone::clone)
}

/// Combinations without a row, and why they have none.
#[derive(Default)]
pub struct LeftOut {
    /// By the size that cannot be cut: how many, and what was said of the first.
    uncut: BTreeMap<String, (usize, String)>,
    /// Those that take another number of devices than is asked for.
    others: usize,
}

impl LeftOut {
    /// Adds a combination, and why it has no row; nothing if it takes another number of devices.
    pub(super) fn add(&mut self, why: Option<&Error>) {
        let Some(error) = why else {
            self.others += 1;
            return;
        };
        let said = || (0, error.fact().to_owned());
        self.uncut.entry(error.place().to_owned()).or_insert_with(said).0 += 1;
    }

    /// Adds more of them.
    pub fn and(&mut self, more: Self) {
        self.others += more.others;
        for (place, (count, said)) in more.uncut {
            self.uncut.entry(place).or_insert((0, said)).0 += count;
        }
    }

    /// What a reader should know of them.
    pub fn notes(&self, points: usize) -> Vec<String> {
        let mut notes = Vec::new();
        if self.others > 0 {
            notes.push(format!(
                "{} of {points} combinations take another number of devices and are left out",
                self.others
            ));
        }
        for (place, (count, said)) in &self.uncut {
            let example = if *count > 1 { ", for one" } else { "" };
            notes.push(format!(
                "{count} of {points} combinations cannot be cut and are left out: {place}: {said}{example}"
            ));
        }
        notes
    }
}
