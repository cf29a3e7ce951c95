//! A formula applied to a model: whether it can be, and what it gives of a step or of a request.

use super::counting::{Stated, Subject, Work};
use super::formula::{Formula, Norms, Projections, Recomputed, Recurrence, Windows};
use super::shape::Shape;
use super::{Convention, Kind, Rule};
use crate::component::{Component, Counts};
use crate::cost::Flops;
use crate::error::{Result, shown};
use crate::explain::Line;
use crate::model::{Model, too_large};
use crate::passes::Passes;
use crate::training::{Recompute, Step};
use crate::workload::{Phase, Workload};

/// What a formula says of a step: a backward pass costs twice what the forward pass does.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct StepCount {
    pub forward: Counts,
    /// What it counts as computed a second time.
    pub recomputed: Counts,
}

/// Keys by which files state the width of feed-forward layers, and a number of shared experts.
const FEED_FORWARD: [&str; 4] =
    ["intermediate_size", "ffn_embed_dim", "ffn_hidden_size", "ffn_dim"];
const SHARED: [&str; 2] = ["n_shared_experts", "num_shared_experts"];

/// A formula as it is for a model, with the sizes that it takes of that.
#[derive(Debug, Clone)]
pub(crate) struct Applied {
    convention: Convention,
    formula: Formula,
    subject: Subject,
}

impl Convention {
    /// The formula of a convention as it is for a model.
    pub(crate) fn formula_of(&self, model: &Model) -> Result<Formula> {
        match &self.kind {
            Kind::Rule(_) => Ok(self.formula()),
            Kind::Published(formula) => Ok(self.applied(formula, model)?.formula),
        }
    }

    /// The same as it is for layers that predict further tokens.
    pub(crate) fn of_further_layers(&self, model: &Model) -> Result<Self> {
        let Kind::Published(formula) = self.kind else { return Ok(*self) };
        if formula.knows.recurrence == Recurrence::DualAndDelta && Shape::of(model)?.recurrences > 0
        {
            // Its pattern of layers goes on through them, whatever they are.
            return Err(self.error(
                "does not apply: it is not followed to layers of a hybrid that predict further tokens",
            ));
        }
        let further = formula.knows.further.formula(formula).ok_or_else(|| {
            self.error("does not apply: it counts no layers that predict further tokens")
                .hint("leave --mtp out, or take another: `megatron`, `nemo`, `maxtext` count them")
        })?;
        Ok(Self { kind: Kind::Published(further), ..*self })
    }

    /// A formula applied to a model, if it can be.
    pub(crate) fn applied(&self, formula: &Formula, model: &Model) -> Result<Applied> {
        let subject = Subject { shape: Shape::of(model)?, stated: Stated::of(model) };
        let shape = &subject.shape;
        let no = |why: &str| Err(self.error(&format!("does not apply: {why}")));
        let (knows, kind) = (formula.knows, model.model_type());
        if let Some((_, why)) = knows.types.filter(|(types, _)| !types.contains(&kind)) {
            return no(&format!("{why}: `{}`", shown(kind)));
        }
        let dual = shape.dual > 0 && shape.dual == shape.recurrences;
        let delta = shape.dual + shape.delta == shape.recurrences;
        let experts = shape.matrices[Component::MoeExperts] > 0;
        match knows.recurrence {
            _ if shape.recurrences == 0 => {}
            Recurrence::Any => {}
            Recurrence::DualAndDelta if delta => {}
            Recurrence::Dual if dual && !experts => {}
            Recurrence::DualAndDelta => {
                return no("of recurrent layers it knows Mamba-2's and gated delta nets");
            }
            Recurrence::Dual => {
                return no("of recurrent layers it knows Mamba-2's, in models without experts");
            }
            Recurrence::None => {
                return no("it knows no recurrent layers, and this model has some");
            }
            Recurrence::NotFollowed => {
                return no("what it counts of recurrent layers is not followed");
            }
        }
        if !model.stacks().is_empty() && model.processor().is_none() && !knows.encoders {
            return no(
                "it knows one stack of layers, and this model has an encoder beside its decoder",
            );
        }
        if shape.attends_otherwise && !knows.other_attention {
            return no(
                "this model attends by distances, to a source or by an indexer's choice, of which it says nothing",
            );
        }
        if shape.has_latents() && !knows.latents {
            return no("it knows no latent attention");
        }
        let takes_width = formula.feed_forward.takes_the_configs_width();
        if takes_width && subject.stated.feed_forward.is_none() {
            return no(
                "it takes one feed-forward width for every layer, and none was read from this config",
            );
        }
        if formula.projections == Projections::Grouped
            && !shape.has_latents()
            && shape.groups().is_none()
        {
            return no("it knows heads that are as many in each layer");
        }
        let known = knows.windows.is_empty() || knows.windows.contains(&kind);
        let mut formula = *formula;
        if !known {
            formula.windows = Windows::Ignored;
        }
        // What this model has none of.
        let lacks = match formula.norms {
            Norms::Latents => shape.latent_norms == 0,
            Norms::Apertus => kind != "apertus",
            Norms::Left | Norms::Counted | Norms::LatentsAndThree => false,
        };
        if lacks {
            formula.norms = Norms::Left;
        }
        Ok(Applied { convention: *self, formula, subject })
    }
}

impl Applied {
    /// What the formula gives for a step of the model.
    pub fn step(&self, model: &Model, step: &Step) -> Result<StepCount> {
        let Self { formula, subject, .. } = self;
        let work = work(model, step)?;
        let counts = subject.count(formula, &work).ok_or_else(too_large)?;
        recomputed(formula, counts, step, subject.shape.layers).ok_or_else(too_large)
    }

    /// Its forward pass in a step, with the numbers put in.
    pub fn explain_step(&self, model: &Model, step: &Step) -> Result<Vec<Line>> {
        self.subject.lines(&self.formula, &work(model, step)?).ok_or_else(too_large)
    }

    /// What the formula gives for requests to the model.
    pub fn request(&self, model: &Model, workload: &Workload) -> Result<Flops> {
        let Self { convention, formula, subject } = self;
        if !workload.kv_cache() && !formula.knows.encoders {
            return Err(convention.error("does not apply: it counts passes that keep a KV cache"));
        }
        let own = model.flops(workload, &Convention::MODEL)?;
        let requests = model.requests(workload, Rule::Needed)?;
        let of_phase = |phase| {
            let passes: Vec<(Passes, u128)> = requests
                .sequences()
                .iter()
                .map(|it| (requests.passes(it, phase), it.count.into()))
                .collect();
            let tokens = passes.iter().try_fold(0_u128, |sum, (pass, count)| {
                sum.checked_add(pass.tokens()?.checked_mul(*count)?)
            })?;
            let work =
                Work { own: *own.phase(phase), tokens, apart: passes.clone(), joined: passes };
            subject.count(formula, &work)
        };
        let [prefill, decode] = [of_phase(Phase::Prefill), of_phase(Phase::Decode)];
        let [prefill, decode] = [prefill.ok_or_else(too_large)?, decode.ok_or_else(too_large)?];
        let sum = prefill.checked_add(&decode).and_then(|sum| sum.total());
        Ok(Flops { convention: *convention, prefill, decode, total: sum.ok_or_else(too_large)? })
    }
}

/// The forward pass of a step.
fn work(model: &Model, step: &Step) -> Result<Work> {
    let once = |of: Workload| {
        let sequences = of.sequences().iter();
        sequences.map(|it| (of.passes(it, Phase::Prefill), it.count.into())).collect()
    };
    let forward = |rows_whole| step.forward(rows_whole).ok_or_else(too_large);
    let own = model.flops(&forward(false)?, &Convention::MODEL)?;
    Ok(Work {
        own: own.components(),
        tokens: step.tokens().ok_or_else(too_large)?.into(),
        apart: once(forward(false)?),
        joined: once(forward(true)?),
    })
}

impl Stated {
    fn of(model: &Model) -> Self {
        let stated = |key: &str| {
            let (_, value) = model
                .keys()
                .iter()
                .find(|(known, _)| known == key || known.ends_with(&format!(".{key}")))?;
            value.parse::<u128>().ok()
        };
        Self {
            feed_forward: FEED_FORWARD.iter().find_map(|key| stated(key)),
            numbers_shared: SHARED.iter().any(|key| stated(key).is_some()),
        }
    }
}

/// A forward pass and, of it, what is computed again: layers whole but not the head, or attention.
fn recomputed(formula: &Formula, forward: Counts, step: &Step, layers: u128) -> Option<StepCount> {
    let attended = [Component::AttentionScores, Component::AttentionValues];
    let mut recomputed = forward;
    recomputed[Component::Head] = 0;
    let recompute = match formula.recomputed {
        Recomputed::Always => Recompute::Full,
        _ => step.recompute(),
    };
    match recompute {
        Recompute::Nothing => recomputed = Counts::default(),
        Recompute::Full => {}
        Recompute::Selective => {
            recomputed = Counts::default();
            attended.iter().for_each(|&component| recomputed[component] = forward[component]);
        }
        Recompute::Layers(count) => {
            for component in Component::ALL {
                let some = recomputed[component].checked_mul(u128::from(count).min(layers))?;
                recomputed[component] = some.checked_div(layers)?;
            }
        }
    }
    match (formula.recomputed, recompute) {
        (
            Recomputed::WithTheHead,
            Recompute::Full | Recompute::Layers(_) | Recompute::Selective,
        ) => {
            recomputed = forward;
        }
        // S/3h for S/6h is as much again as attention costs in all: three times its forward pass, where computing it
        // again is one.
        (Recomputed::ScoresThrice, Recompute::Selective) => {
            for component in attended {
                recomputed[component] = recomputed[component].checked_mul(3)?;
            }
        }
        _ => {}
    }
    Some(StepCount { forward, recomputed })
}
