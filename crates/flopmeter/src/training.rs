//! One step of training: forward, the gradients of inputs and of weights apart, and what is computed once more.
//!
//! ```text
//! y = x · Wᵀ    forward 1    dx = dy · W     1, where what is before it learns    dW = dyᵀ · x   1, where W learns
//! s = q · kᵀ    forward 1    dq, dk          2: both factors are inputs
//! ```
//!
//! Backward is thus twice forward where everything is trained. What a step computes twice to save memory counts for HFU
//! alone.

mod explain;
mod parts;
mod step;

pub(crate) use parts::learns;
pub use step::{Frozen, Recompute, Step};

use crate::component::{Component, Counts};
use crate::convention::{Applied, Convention, Kind, Rule};
use crate::error::{Error, ErrorKind, Result, shown};
use crate::model::{Model, layer_count, too_large};
use crate::utilization::Hardware;
use crate::workload::Workload;
use parts::Parts;

/// FLOPs of one step, exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrainingFlops {
    /// How they were counted.
    pub convention: Convention,
    /// The forward pass, the head on every position.
    pub forward: Counts,
    /// Gradients of what products multiply that is no weight. A published formula, which has no gradients apart, says
    /// that either kind costs as much as the forward pass.
    pub input_gradients: Counts,
    /// Gradients of weights that are trained.
    pub weight_gradients: Counts,
    /// Passes without a gradient: the generation of answers, forward passes of a reference model.
    pub without_gradient: Counts,
    /// What is computed a second time because it was not kept. No part of the model FLOPs.
    pub recomputed: Counts,
    /// Model FLOPs: all but what is recomputed.
    pub total: u128,
    /// What the hardware executes: recomputed FLOPs too.
    pub executed: u128,
}

impl TrainingFlops {
    /// Model FLOPs by component. They fit: the total does.
    pub fn components(&self) -> Counts {
        let parts = [self.forward, self.input_gradients, self.weight_gradients];
        parts
            .iter()
            .fold(self.without_gradient, |sum, part| sum.checked_add(part).unwrap_or_default())
    }

    /// What one of some ranks has of it that share every sequence evenly: of pairs each has as many, or the heads are
    /// shared, so that nothing is left over.
    pub(crate) fn of_each(mut self, ranks: u64) -> Self {
        if ranks > 1 {
            for counts in self.parts_mut() {
                for component in Component::ALL {
                    counts[component] /= u128::from(ranks);
                }
            }
            self.total /= u128::from(ranks);
            self.executed /= u128::from(ranks);
        }
        self
    }

    /// MFU and HFU of a step that took `seconds`: model and executed FLOPs ÷ (time × dense peak × devices).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Measurement`] if the time is no positive number, [`ErrorKind::Overflow`] if a ratio is larger than
    /// a float can say.
    ///
    /// ```
    /// use flopmeter::units::FlopsPerSecond;
    /// use flopmeter::{Builtin, Convention, Hardware, Step};
    ///
    /// let llama = Builtin::find("meta-llama/Llama-2-7b-hf")?.model()?;
    /// let step = Step::new(2048, 1)?;
    /// let flops = llama.training(&step, &Convention::MODEL)?.flops(&step)?;
    /// let hardware = Hardware::new(FlopsPerSecond(312e12), None, 1)?;
    /// let [mfu, hfu] = flops.utilization(&hardware, 0.5)?;
    /// assert!(0.0 < mfu && mfu == hfu); // nothing is recomputed
    /// # Ok::<(), flopmeter::Error>(())
    /// ```
    pub fn utilization(&self, hardware: &Hardware, seconds: f64) -> Result<[f64; 2]> {
        Ok([
            hardware.flops_utilization(self.total, seconds)?,
            hardware.flops_utilization(self.executed, seconds)?,
        ])
    }
}

/// A model as a step trains it: what of it takes part in which product of the backward pass, ready to be counted.
///
/// Made of a step's settings; a step of other lengths may be counted by it as well.
#[derive(Debug, Clone)]
pub struct Training {
    model: Model,
    convention: Convention,
    parts: Counted,
    /// The layers that predict further tokens, if they are trained, and how many there are.
    further: Option<(Box<Self>, u64)>,
}

/// What is counted.
#[derive(Debug, Clone)]
enum Counted {
    Parts(Box<Parts>),
    Formula(Box<Applied>),
}

impl Model {
    /// The model as a step trains it, counted by a convention.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Convention`] for what a convention cannot say, [`ErrorKind::Workload`] for a model without what
    /// the step trains, [`ErrorKind::Overflow`] if a sum does not fit.
    ///
    /// # Example
    ///
    /// ```
    /// use flopmeter::{Config, Convention, Model, Step};
    ///
    /// // One layer, one head of 4: of a token 272 FLOPs with weights and a head of 80; of a pair 16.
    /// let config = Config::parse(
    ///     r#"{"model_type": "llama", "hidden_size": 4, "num_hidden_layers": 1, "vocab_size": 10,
    ///         "num_attention_heads": 1, "intermediate_size": 6, "torch_dtype": "bfloat16"}"#,
    /// )?;
    /// let model = Model::from_config(&config)?;
    /// let step = Step::new(3, 1)?;
    /// let flops = model.training(&step, &Convention::MODEL)?.flops(&step)?;
    /// // 1 + 2 + 3 = 6 pairs. The head runs for every token: each has a loss.
    /// let (weights, pairs) = (3 * (272 + 80), 6 * 16);
    /// assert_eq!(flops.forward.total(), Some(weights + pairs));
    /// assert_eq!(flops.weight_gradients.total(), Some(weights));
    /// assert_eq!(flops.input_gradients.total(), Some(weights + 2 * pairs));
    /// assert_eq!(flops.total, 3 * (weights + pairs));
    /// # Ok::<(), flopmeter::Error>(())
    /// ```
    pub fn training(&self, step: &Step, convention: &Convention) -> Result<Training> {
        self.has_layers(step)?;
        self.part_training(step, convention)
    }

    /// The same of a part of a model, whose layers are numbered as the model's are.
    pub(crate) fn part_training(&self, step: &Step, convention: &Convention) -> Result<Training> {
        self.can_be_trained(step, convention)?;
        let further = match (step.predicts_further(), self.prediction_layers()) {
            (false, _) => None,
            (true, Some((one, count))) => {
                let convention = convention.of_further_layers(self)?;
                let step = step.clone().of_further_layers(self);
                Some((Box::new(one.part_training(&step, &convention)?), count))
            }
            (true, None) => {
                return Err(Error::new(
                    ErrorKind::Workload,
                    "mtp",
                    format!(
                        "is asked for, and no layer that predicts further tokens is counted for `{}`",
                        shown(self.model_type())
                    ),
                ));
            }
        };
        let parts = match convention.kind {
            Kind::Rule(rule) => Counted::Parts(Box::new(Parts::of(self, step, rule)?)),
            Kind::Published(formula) => {
                Counted::Formula(Box::new(convention.applied(&formula, self)?))
            }
        };
        Ok(Training { model: self.clone(), convention: *convention, parts, further })
    }

    /// Whether a LoRA adapter stands beside its weights, not merged into them.
    pub fn has_adapter(&self) -> bool {
        self.ops().any(|(op, _)| parts::is_adapter(op))
    }

    /// Whether it has the layers that a step names by their number.
    fn has_layers(&self, step: &Step) -> Result<()> {
        let stacks = self.stacks.iter().map(|stack| layer_count(stack.groups()));
        let most = stacks.chain([layer_count(self.groups())]).max().unwrap_or(0);
        let frozen = match step.frozen() {
            Frozen::Below(layers) => Some(("freeze", layers)),
            Frozen::Nothing | Frozen::Base => None,
        };
        let recomputed = match step.recompute() {
            Recompute::Layers(layers) => Some(("recompute", layers)),
            Recompute::Nothing | Recompute::Selective | Recompute::Full => None,
        };
        match frozen.into_iter().chain(recomputed).find(|(_, layers)| *layers > most) {
            Some((place, layers)) => {
                let fact = format!("is {layers} layers, and the model has {most}");
                Err(Error::new(ErrorKind::Workload, place, fact))
            }
            None => Ok(()),
        }
    }

    fn can_be_trained(&self, step: &Step, convention: &Convention) -> Result<()> {
        let wrong = |kind, place: &str, fact: String| Err(Error::new(kind, place, fact));
        if !convention.counts_steps() {
            return Err(convention
                .error("does not apply: it counts requests, and no steps of training")
                .hint("`flopmeter conventions` says which count steps"));
        }
        match step.frozen() {
            Frozen::Below(_) if !self.stacks.is_empty() => {
                let fact =
                    "layers are counted from the bottom of one stack, and this model has several";
                return wrong(ErrorKind::Workload, "freeze", fact.into());
            }
            Frozen::Base if !self.has_adapter() => {
                return wrong(
                    ErrorKind::Workload,
                    "freeze",
                    "leaves nothing to train: there is no adapter".into(),
                );
            }
            _ => {}
        }
        if let Kind::Rule(rule) = convention.kind {
            self.check_rule(rule)?;
        }
        let knows_parts = matches!(convention.kind, Kind::Rule(Rule::Needed | Rule::ByReference));
        if !knows_parts && step.frozen() != Frozen::Nothing {
            let fact = "knows no parts of a model that could be frozen";
            return wrong(ErrorKind::Convention, convention.id, fact.into());
        }
        let whole_layers = matches!(step.recompute(), Recompute::Full | Recompute::Layers(_));
        let recomputed = parts::RECOMPUTED_UNLIKE.iter().filter(|_| whole_layers);
        let unlike = parts::UNLIKE.iter().chain(recomputed).find(|unlike| unlike.is(self));
        if let (Kind::Rule(Rule::ByReference), Some(unlike)) = (convention.kind, unlike) {
            let kind = self.model_type();
            let fact = format!("is not known for the backward pass of `{kind}`: {}", unlike.why);
            return Err(
                Error::new(ErrorKind::Convention, convention.id, fact).hint("`model` counts it")
            );
        }
        Ok(())
    }
}

impl Training {
    /// FLOPs of a step of these settings.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Overflow`] if a count does not fit 128 bits, [`ErrorKind::Workload`] for what a model with an
    /// encoder cannot do.
    pub fn flops(&self, step: &Step) -> Result<TrainingFlops> {
        let mut flops = self.of(step)?;
        if let Some(rollout) = step.rollout() {
            let rollout = counts(&self.model, &rollout, &self.convention)?;
            flops.without_gradient = sum(&flops.without_gradient, &rollout)?;
        }
        let reference = scaled(&flops.forward, step.reference_forwards())?;
        flops.without_gradient = sum(&flops.without_gradient, &reference)?;
        if let Some((one, count)) = &self.further {
            let further = one.of(step)?;
            for (all, more) in flops.parts_mut().into_iter().zip(further.parts()) {
                *all = sum(all, &scaled(&more, *count)?)?;
            }
        }
        flops.add_up().ok_or_else(too_large)?;
        Ok(flops)
    }

    /// Forward and backward.
    fn of(&self, step: &Step) -> Result<TrainingFlops> {
        let mut flops = TrainingFlops {
            convention: self.convention,
            forward: Counts::default(),
            input_gradients: Counts::default(),
            weight_gradients: Counts::default(),
            without_gradient: Counts::default(),
            recomputed: Counts::default(),
            total: 0,
            executed: 0,
        };
        let parts = match &self.parts {
            Counted::Formula(formula) => {
                let count = formula.step(&self.model, step)?;
                flops.forward = count.forward;
                [flops.input_gradients, flops.weight_gradients] = [count.forward; 2];
                flops.recomputed = count.recomputed;
                return Ok(flops);
            }
            Counted::Parts(parts) => parts,
        };
        let rule = self.convention.rule()?;
        // An implementation that masks one document from another multiplies them all the same.
        let workload = &step.forward(rule == Rule::ByReference).ok_or_else(too_large)?;
        let count = |part: &Model| counts(part, workload, &self.convention);
        flops.forward = count(&self.model)?;
        if rule == Rule::PerParameter {
            [flops.input_gradients, flops.weight_gradients] = [flops.forward; 2];
            return Ok(flops);
        }
        let both = count(&parts.both)?;
        let inputs = count(&parts.inputs)?;
        // Latent attention has products of two inputs beside those of its weights.
        let latent = only(&inputs, &ATTENDED);
        flops.input_gradients = sum(&sum(&inputs, &latent)?, &scaled(&both, 2)?)?;
        let recurrences = parts.recurrences(workload).ok_or_else(too_large)?;
        flops.input_gradients = sum(&flops.input_gradients, &recurrences)?;
        flops.weight_gradients = without(&count(&parts.weights)?, &ATTENDED);
        if let Some(part) = &parts.recomputed {
            flops.recomputed = count(part)?;
        }
        if let Some(part) = &parts.attention {
            flops.recomputed = without(&count(part)?, &[Component::AttentionProjections]);
        }
        if let Some(part) = &parts.scores {
            let rest = [Component::AttentionProjections, Component::AttentionValues];
            flops.recomputed = sum(&flops.recomputed, &without(&count(part)?, &rest))?;
        }
        Ok(flops)
    }
}

const ATTENDED: [Component; 2] = [Component::AttentionScores, Component::AttentionValues];

impl TrainingFlops {
    fn parts(&self) -> [Counts; 5] {
        [
            self.forward,
            self.input_gradients,
            self.weight_gradients,
            self.without_gradient,
            self.recomputed,
        ]
    }

    fn parts_mut(&mut self) -> [&mut Counts; 5] {
        [
            &mut self.forward,
            &mut self.input_gradients,
            &mut self.weight_gradients,
            &mut self.without_gradient,
            &mut self.recomputed,
        ]
    }

    fn add_up(&mut self) -> Option<()> {
        let [model @ .., recomputed] = self.parts();
        self.total = model.iter().try_fold(0_u128, |sum, part| sum.checked_add(part.total()?))?;
        self.executed = self.total.checked_add(recomputed.total()?)?;
        Some(())
    }
}

fn counts(model: &Model, workload: &Workload, convention: &Convention) -> Result<Counts> {
    Ok(model.flops(workload, &convention.of_passes())?.components())
}

fn sum(counts: &Counts, more: &Counts) -> Result<Counts> {
    counts.checked_add(more).ok_or_else(too_large)
}

fn scaled(counts: &Counts, times: u64) -> Result<Counts> {
    let mut scaled = *counts;
    for (component, count) in counts.present() {
        scaled[component] = count.checked_mul(times.into()).ok_or_else(too_large)?;
    }
    Ok(scaled)
}

fn without(counts: &Counts, left_out: &[Component]) -> Counts {
    let mut rest = *counts;
    left_out.iter().for_each(|component| rest[*component] = 0);
    rest
}

fn only(counts: &Counts, kept: &[Component]) -> Counts {
    let mut some = Counts::default();
    kept.iter().for_each(|component| some[*component] = counts[*component]);
    some
}
