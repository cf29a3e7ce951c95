//! What puts a model together and assigns to each weight how it is stored.

use super::class::{Ending, samples};
use super::{Group, Model, Parameters, add_layers, name_layers, ops, too_large};
use crate::audio::Extractor;
use crate::component::Component;
use crate::config::Config;
use crate::error::{Error, ErrorKind, Result, shown};
use crate::op::{Op, Storage};
use crate::quantization::Quantization;
use crate::stack::{Reads, Stack};
use crate::sums::Sums;
use crate::weights::Wanted;

/// The most layers that are believed; the deepest real models have under 200.
pub(crate) const MOST_LAYERS: u64 = 4096;

/// The most work of looking up how layers are stored, in bytes of expressions times layers. The longest
/// real list, 154 expressions for 78 layers, takes 500,000.
const MOST_LOOKING_UP: u128 = 1 << 21;

/// Puts a model together: an embedding, layers, a head. Assigns to each weight how it is stored.
#[derive(Debug)]
pub struct Builder<'c> {
    config: &'c Config,
    quantization: Quantization,
    /// The stacks that are done.
    stacks: Vec<Stack>,
    groups: Vec<Group>,
    /// Where the layers' modules are.
    path: &'static str,
    /// Whether the ops say already how they are stored.
    as_stored: bool,
    /// Whether the tensors at hand are looked up: they are not for a tower, whose modules are called as the text part's.
    looks_up: bool,
    /// Whether the reference implementation keeps anything from one pass to the next.
    keeps_cache: bool,
    /// How it makes frames of sound, where an encoder reads a window of them.
    extractor: Option<Extractor>,
    /// Whether its head tells tokens apart.
    generates: bool,
}

impl<'c> Builder<'c> {
    /// A model of a config, with nothing in it yet.
    ///
    /// # Errors
    ///
    /// As [`Quantization::read`].
    pub fn new(config: &'c Config) -> Result<Self> {
        let quantization = Quantization::read(config)?;
        Ok(Self {
            config,
            quantization,
            stacks: vec![],
            groups: vec![],
            path: "model.layers",
            as_stored: false,
            looks_up: true,
            keeps_cache: true,
            extractor: None,
            generates: false,
        })
    }

    /// The same for ops that were made from tensors, and say how they are stored.
    ///
    /// # Errors
    ///
    /// As [`Quantization::read`].
    pub fn as_stored(config: &'c Config) -> Result<Self> {
        Ok(Self { as_stored: true, ..Self::new(config)? })
    }

    /// The same for a tower beside a text part that has its own.
    pub(crate) fn apart(config: &'c Config) -> Result<Self> {
        let whole = Self::new(config)?;
        let quantization = whole.quantization.clone().of_tower();
        Ok(Self { looks_up: false, quantization, ..whole })
    }

    /// Says how a window of sound that an encoder reads becomes frames.
    pub(crate) fn hear(&mut self, extractor: Extractor) {
        self.extractor = Some(extractor);
    }

    /// Says that the reference implementation keeps no cache, which is noted: every pass of the convention `torch`
    /// computes anew what is before it.
    pub fn keep_no_cache(&mut self) {
        let class = shown(self.config.model_type());
        self.config.note(format!(
            "the reference implementation of `{class}` keeps no cache: in `torch` every pass computes anew what is before it"
        ));
        self.keeps_cache = false;
    }

    /// What runs once before the prefill, `path` being where the modules of its layers are: `fill` puts its groups into
    /// the builder that it is given.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Overflow`] if a sum does not fit 128 bits, and whatever `fill` returns.
    pub fn stack(
        &mut self,
        (name, path): (&'static str, &'static str),
        component: Component,
        reads: Reads,
        fill: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<()> {
        let around = (std::mem::take(&mut self.groups), self.path);
        self.path = path;
        let filled = fill(self);
        let groups = std::mem::replace(&mut self.groups, around.0);
        self.path = around.1;
        filled?;
        self.stacks.push(Stack::new(name, component, reads, groups).ok_or_else(too_large)?);
        Ok(())
    }

    /// Modules that checkpoints of this type store whole whatever the scheme, and whose files do not say so.
    ///
    /// # Errors
    ///
    /// None for names that are no expressions.
    pub(crate) fn keep(&mut self, modules: &[&str]) -> Result<()> {
        self.quantization.keep(modules)
    }

    /// What stands behind the layers. A decoder's head is that of the class that the config names, which may label a text
    /// or have none; what a class with an encoder ends with is its family's to say.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] for a class whose head is not known.
    pub fn head(&mut self, ops: impl IntoIterator<Item = Op>) -> Result<()> {
        let mut ops: Vec<Op> = ops.into_iter().collect();
        self.generates = ops.iter().any(samples);
        if self.generates && self.stacks.is_empty() {
            let ending = Ending::of(self.config)?;
            self.generates = ending == Ending::Tokens;
            ops = ending.of_class(self.config, ops);
        }
        self.once("head", ops);
        Ok(())
    }

    /// Ops that occur once, before or after the layers.
    pub fn once(&mut self, name: &str, ops: impl IntoIterator<Item = Op>) {
        let mut ops: Vec<Op> = ops.into_iter().collect();
        ops.iter_mut().for_each(|op| self.store(op, None));
        self.groups.push(Group { name: name.into(), repeat: 1, layers: vec![], ops });
    }

    /// `count` layers; equal ones are kept once.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] for more layers than are believed, and whatever `layer` returns.
    pub fn layers(
        &mut self,
        count: u64,
        mut layer: impl FnMut(u64) -> Result<Vec<Op>>,
    ) -> Result<()> {
        if count > MOST_LAYERS {
            return Err(Error::new(
                ErrorKind::Config,
                "`num_hidden_layers`",
                format!("is {count}; the most that is believed is {MOST_LAYERS}"),
            ));
        }
        let expressions = self.quantization.expressions();
        if expressions as u128 * u128::from(count) > MOST_LOOKING_UP {
            return Err(Error::new(
                ErrorKind::Quantization,
                "`quantization_config`",
                format!(
                    "has {expressions} bytes of expressions for {count} layers, too many to look up"
                ),
            )
            .hint("name the modules that are not quantised instead of describing them"));
        }
        let from = self.groups.len();
        let differ = self.quantization.tells_layers_apart() || self.config.weights().is_some();
        // Layers before it was said how they are stored, and the group that they are of.
        let mut stored: Vec<(Vec<Op>, usize)> = Vec::new();
        for index in 0..count {
            let mut ops = layer(index)?;
            // The last kind of layer is the likeliest.
            if let Some((_, group)) = stored.iter().rev().find(|(like, _)| *like == ops) {
                self.groups[*group].add(&[index]);
                continue;
            }
            let like = (!differ).then(|| ops.clone());
            ops.iter_mut().for_each(|op| self.store(op, Some(index)));
            let group = add_layers(&mut self.groups, from, &[index], ops);
            stored.extend(like.map(|like| (like, group)));
        }
        name_layers(&mut self.groups[from..]);
        Ok(())
    }

    /// The stacks alone, of a tower that is put before a finished model.
    pub(crate) fn into_stacks(self) -> Vec<Stack> {
        self.stacks
    }

    /// The finished model.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Overflow`] if a sum does not fit 128 bits; [`ErrorKind::Quantization`] if the
    /// quantisation names modules that are not there, or one of them twice.
    pub fn finish(self) -> Result<Model> {
        self.quantization.check()?;
        self.check_weights();
        self.part()
    }

    /// A layer by its number alone.
    pub(crate) fn layer(&mut self, index: u64, mut ops: Vec<Op>) {
        ops.iter_mut().for_each(|op| self.store(op, Some(index)));
        let from = self.groups.len();
        add_layers(&mut self.groups, from, &[index], ops);
        name_layers(&mut self.groups[from..]);
    }

    /// A part of a model, of which neither the quantisation nor the files need say everything.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Overflow`] if a sum does not fit 128 bits.
    pub(crate) fn part(self) -> Result<Model> {
        let sums = Sums::of(&self.groups).ok_or_else(too_large)?;
        let parameters = Parameters::of(self.all_groups()).ok_or_else(too_large)?;
        let sees_what_follows = |(op, _): (&Op, u64)| match op {
            Op::Attention(op) => !op.mask.keeps_cache(),
            Op::Local(_) => true,
            _ => false,
        };
        let encodes_only = ops(self.groups.iter()).any(sees_what_follows);
        let mut unread = self.config.unread();
        unread.extend_from_slice(self.quantization.unread());
        Ok(Model {
            model_type: self.config.model_type().to_owned(),
            encodes_only,
            generates: self.generates,
            keeps_cache: self.keeps_cache,
            sees_prompt_whole: false,
            stacks: self.stacks,
            processor: None,
            extractor: self.extractor,
            hears_uncounted: false,
            groups: self.groups,
            quantization: self.quantization,
            notes: self.config.notes(),
            keys: self.config.keys(),
            unread,
            parameters,
            nominal: None,
            from_shapes: self.as_stored,
            prediction: None,
            uncounted_by_reference: None,
            sums,
        })
    }

    fn all_groups(&self) -> impl Iterator<Item = &Group> {
        self.stacks.iter().flat_map(Stack::groups).chain(&self.groups)
    }

    /// Holds the tensors at hand against the ops. A scheme packs its weights into other shapes.
    fn check_weights(&self) {
        let Some(weights) = self.config.weights().filter(|_| !self.as_stored) else { return };
        if self.quantization.has_scheme() {
            let bits = ops(self.all_groups())
                .map(|(op, repeat)| op.stored_bits().saturating_mul(repeat.into()));
            let bytes = bits.fold(0_u128, u128::saturating_add).div_ceil(8);
            // What a tower takes is compared with the tower.
            let stored = weights.bytes() - weights.tower_bytes();
            if bytes != stored {
                self.config.note(format!(
                    "the files hold {stored} bytes of tensors, the config gives {bytes} bytes of weights"
                ));
            }
            return;
        }
        let wanted = self.all_groups().flat_map(|group| {
            let outside = group.layers.is_empty().then_some(None);
            let layers = group.layers.iter().map(|index| Some(*index)).chain(outside);
            layers.flat_map(|layer| group.ops.iter().map(move |op| Wanted { layer, op }))
        });
        if let Some(note) = weights.check(wanted) {
            self.config.note(note);
        }
    }

    fn store(&mut self, op: &mut Op, layer: Option<u64>) {
        op.cache_in(self.quantization.cache);
        if self.as_stored {
            return;
        }
        self.store_by_config(op, layer);
        if let Some(weights) = self.config.weights()
            && self.looks_up
            && !self.quantization.has_scheme()
        {
            weights.store(op, layer);
        }
    }

    fn store_by_config(&mut self, op: &mut Op, layer: Option<u64>) {
        op.store(self.quantization.dtype);
        match op {
            Op::Latent(op) => op.storage = self.linear_storage(layer, op.module, ".kv_b_proj"),
            Op::Linear(op) if op.component == Component::Head && !op.shared_weights => {
                op.storage = self.quantization.assign_head(op.module);
            }
            // Routers and hyper-connections are kept whole by every scheme, and so is the rest of what stands
            // outside the layers.
            Op::Linear(op)
                if layer.is_some()
                    && !matches!(op.component, Component::MoeRouter | Component::Connections) =>
            {
                op.storage = self.linear_storage(layer, op.module, "");
            }
            Op::Idle(op) => self.store(op, layer),
            Op::Attention(_)
            | Op::Cross(_)
            | Op::DistanceScores(_)
            | Op::Indexer(_)
            | Op::Linear(_)
            | Op::Local(_)
            | Op::Product(_)
            | Op::Recurrent(_)
            | Op::Table(_)
            | Op::Vector(_) => {}
        }
    }

    fn linear_storage(&mut self, layer: Option<u64>, module: &str, end: &str) -> Storage {
        if let Some(storage) = self.quantization.every_linear() {
            return storage;
        }
        self.quantization.assign(&match layer {
            Some(index) => format!("{}.{index}.{module}{end}", self.path),
            None => format!("{module}{end}"),
        })
    }
}
