//! Adapter × model → the model with what the adapter adds.

use super::parameters;
use super::targets::{Lists, Names, Path, lists};
use super::{Adapter, error};
use crate::component::Component;
use crate::error::{Error, ErrorKind, Result, shown};
use crate::model::{Group, Model, too_large};
use crate::op::{Linear, Op, Rows, Table, Vector};
use crate::stack::Stack;
use std::collections::BTreeSet;

/// A model and an adapter of it.
#[derive(Debug, Clone)]
pub struct Adapted {
    /// The model with the adapter beside it: products and weights of its own, under the component `adapter`, and
    /// copies of the modules that are saved whole.
    ///
    /// Merged into the weights, the adapter leaves the model as it is.
    pub unmerged: Model,
    /// Parameters of the adapter: those that PEFT trains and stores.
    pub parameters: u128,
    /// How many matrices and tables are adapted.
    pub modules: u64,
    /// What a reader should know.
    pub notes: Vec<String>,
}

/// Why DoRA is not counted as PEFT runs it.
const REMADE: &str = "does not count DoRA: PEFT makes whole matrices of the adapter anew in every pass, for their norms";

/// The most work of looking names up: names times the modules of all layers.
const MOST_LOOKING_UP: usize = 1 << 22;

impl Model {
    /// The model with an adapter.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Adapter`](crate::ErrorKind::Adapter) if it means no module of the model, or one whose adapter
    /// is not counted; [`ErrorKind::Overflow`](crate::ErrorKind::Overflow) if a sum does not fit.
    pub fn with_adapter(self, adapter: &Adapter) -> Result<Adapted> {
        // Modules of a tower are called as the text part's often are, and a name means both.
        let of_stacks = || self.stacks().iter().flat_map(Stack::groups);
        let mut linear =
            of_stacks().flat_map(|group| &group.ops).filter(|op| matches!(op, Op::Linear(_)));
        let meant = |op: &Op| {
            let path = Path::new(&[], None, op.module());
            matches!(adapter.targets, Names::AllLinear) || adapter.targets.mean(&path)
        };
        if self.perceives() && linear.any(meant) {
            let fact = "means modules of a tower too, where it is not counted";
            return Err(Error::new(ErrorKind::Adapter, "adapter", fact));
        }
        let modules: usize = of_stacks()
            .chain(self.groups())
            .map(|group| group.ops.len() * group.layers.len().max(1))
            .sum();
        let names = 1
            + adapter.targets.list().len()
            + adapter.parameters.len()
            + adapter.ranks.patterns()
            + adapter.saved.len();
        if names.saturating_mul(modules) > MOST_LOOKING_UP {
            let fact = format!("has {names} names for {modules} modules, too many to look up");
            return Err(error("target_modules", &fact));
        }
        let mut work =
            Work { adapter, lists: &[], parameters: 0, modules: 0, met: BTreeSet::new() };
        let dtype = self.quantization().dtype;
        let [of_decoder, of_encoder] = [false, true].map(|encodes| lists(&self, encodes));
        let adapted = self.with_more(|encodes, layer, ops| {
            work.lists = if encodes { of_encoder } else { of_decoder };
            let mut more = Vec::new();
            for op in ops {
                work.adapt(op, layer, &mut more)?;
                work.adapt_parameter(op, layer, ops, &mut more)?;
            }
            more.iter_mut().for_each(|op| match adapter.storage {
                Some(storage) => {
                    op.store_as(storage);
                    op.store_bias_as(storage);
                }
                None => op.store(dtype),
            });
            Ok(more)
        })?;
        if work.modules == 0 && work.parameters == 0 {
            let fact = "names no module of this model";
            return Err(error("target_modules", fact)
                .hint(format!("linear ones are {}", linear_modules(&adapted).join(", "))));
        }
        let mut notes = Vec::new();
        for (key, names) in
            [("target_modules", adapter.targets.list()), ("target_parameters", &adapter.parameters)]
        {
            let missed = names.iter().filter(|name| !work.met.contains(*name));
            let missed: Vec<String> =
                missed.take(5).map(|name| format!("`{}`", shown(name))).collect();
            if !missed.is_empty() {
                let what = key.trim_start_matches("target_").trim_end_matches('s');
                notes.push(format!("`{key}` has names of no {what}: {}", missed.join(", ")));
            }
        }
        let of_parameters = adapter.parameters.iter().any(|name| work.met.contains(name));
        if adapter.dora {
            notes.push(
                "DoRA: the norms of adapted matrices are taken as kept, not made anew in every pass".into(),
            );
        }
        let Work { parameters, modules, .. } = work;
        let remade = adapter.dora.then_some(REMADE);
        let remade = remade.or(of_parameters.then_some(parameters::REMADE));
        let unmerged = match remade {
            Some(why) => adapted.uncounted_by_reference(why),
            None => adapted,
        };
        Ok(Adapted { unmerged, parameters, modules, notes })
    }
}

/// What was found so far.
pub(super) struct Work<'a> {
    pub adapter: &'a Adapter,
    /// In which lists the layers are.
    pub lists: Lists,
    parameters: u128,
    pub modules: u64,
    /// Names of the lists of targets that mean something.
    pub met: BTreeSet<&'a String>,
}

impl Work<'_> {
    /// Adds to `more` what an adapter adds to an op of a layer.
    fn adapt(&mut self, op: &Op, layer: Option<u64>, more: &mut Vec<Op>) -> Result<()> {
        let path = Path::new(self.lists, layer, op.module());
        if self.adapter.saved.iter().any(|name| path.is_in(name)) {
            let copy = whole_copy(op);
            self.add(copy.parameters())?;
            if copy.parameters() > 0 {
                more.push(Op::Idle(Box::new(copy)));
            }
            return Ok(());
        }
        if self.adapter.excluded.as_ref().is_some_and(|names| names.mean(&path)) {
            return Ok(());
        }
        // A projection of a latent cache is a module of its own, which the op has in it.
        if let Op::Latent(latent) = op {
            let path = Path::new(self.lists, layer, &format!("{}.kv_b_proj", latent.module));
            if self.means(&path) || self.all_linear() {
                return Err(not_counted(
                    &path_of(layer, latent.module),
                    "projects a cache of latents",
                ));
            }
            return Ok(());
        }
        let is_head = matches!(op, Op::Linear(op) if op.component == Component::Head);
        let linear = matches!(op, Op::Linear(_)) && !is_head;
        let meant = self.means(&path) || (self.all_linear() && linear);
        if !meant {
            return Ok(());
        }
        let rank = self.adapter.ranks.of(&path)?;
        match op {
            Op::Linear(op) if op.experts.is_some() => {
                Err(not_counted(&path_of(layer, op.module), "are experts"))
            }
            Op::Linear(op) if op.component == Component::MoeRouter => {
                Err(not_counted(&path_of(layer, op.module), "is a router"))
            }
            Op::Linear(linear) => {
                for op in self.of_linear(linear, rank) {
                    self.add(op.parameters())?;
                    more.push(op);
                }
                if self.adapter.biases {
                    self.add(linear.bias.into())?;
                }
                self.modules += 1;
                Ok(())
            }
            Op::Table(table) => {
                for op in of_table(table, rank) {
                    self.add(op.parameters())?;
                    more.push(op);
                }
                self.modules += 1;
                Ok(())
            }
            Op::Idle(inner) => {
                let at = more.len();
                self.adapt(inner, layer, more)?;
                let idle = more.split_off(at).into_iter().map(|op| Op::Idle(Box::new(op)));
                more.extend(idle);
                Ok(())
            }
            Op::Recurrent(op) => Err(not_counted(&path_of(layer, op.module), "is a convolution")),
            Op::Attention(_)
            | Op::Cross(_)
            | Op::Indexer(_)
            | Op::Latent(_)
            | Op::Local(_)
            | Op::Product(_)
            | Op::DistanceScores(_)
            | Op::Vector(_) => Ok(()),
        }
    }

    /// `A`, `B` and what DoRA scales by.
    fn of_linear(&self, linear: &Linear, rank: u64) -> Vec<Op> {
        let part = |from, to| Linear {
            rows: linear.rows,
            ..Linear::new(linear.module, Component::Adapter, from, to)
        };
        let up = part(rank, linear.to).bias(self.adapter.lora_bias);
        let mut ops: Vec<Op> = vec![part(linear.from, rank).into(), up.into()];
        if self.adapter.dora {
            ops.push(magnitudes(linear.module, linear.to));
        }
        ops
    }

    pub fn means(&mut self, path: &Path) -> bool {
        let list = self.adapter.targets.list();
        let named = list.iter().filter(|name| path.ends_with(name));
        self.met.extend(named);
        let in_layer = self.adapter.layers.as_ref().is_none_or(|layers| layers.have(path));
        in_layer && self.adapter.targets.mean(path)
    }

    fn all_linear(&self) -> bool {
        matches!(self.adapter.targets, super::Names::AllLinear)
    }

    pub fn add(&mut self, parameters: u128) -> Result<()> {
        self.parameters = self.parameters.checked_add(parameters).ok_or_else(too_large)?;
        Ok(())
    }
}

/// The adapter of a look-up table: a narrow table, and what widens its rows.
fn of_table(table: &Table, rank: u64) -> [Op; 2] {
    let narrow = Table { width: rank, ..table.clone() };
    let widen = Linear::new(table.module, Component::Adapter, rank, table.width);
    [Op::Table(narrow), Op::Linear(Linear { rows: Rows::All, ..widen })]
}

fn magnitudes(module: &'static str, elements: u64) -> Op {
    let storage = crate::op::Storage::plain(crate::Dtype::Bf16);
    Op::Vector(Vector { module, elements, storage, buffer: false })
}

/// A module's copy that an adapter stores, with weights of its own.
fn whole_copy(op: &Op) -> Op {
    match op {
        Op::Linear(linear) => Op::Linear(Linear { shared_weights: false, ..*linear }),
        Op::Idle(inner) => whole_copy(inner),
        other => other.clone(),
    }
}

pub(super) fn path_of(layer: Option<u64>, module: &str) -> String {
    layer.map_or_else(|| module.to_owned(), |layer| format!("layers.{layer}.{module}"))
}

fn not_counted(path: &str, what: &str) -> Error {
    error(
        "target_modules",
        &format!("means `{path}`, which {what}: such an adapter is not counted"),
    )
    .hint("name the matrices of attention and of dense layers")
}

/// The names of a model's linear modules that can be adapted, each once.
fn linear_modules(model: &Model) -> Vec<String> {
    let mut names = BTreeSet::new();
    for op in model.groups().iter().flat_map(|group: &Group| &group.ops) {
        if let Op::Linear(op) = op
            && op.experts.is_none()
        {
            let name = op.module.rsplit('.').next().unwrap_or(op.module);
            names.insert(format!("`{name}`"));
        }
    }
    names.into_iter().collect()
}
