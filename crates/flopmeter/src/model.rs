//! A model: groups of equal layers, each a list of ops.

mod builder;
mod class;
mod group;
mod parameters;

pub use builder::Builder;
pub(crate) use builder::MOST_LAYERS;
pub(crate) use class::labels;
pub use group::Group;
use group::{add_layers, name_layers, ops, with_ops, with_ops_of_alike};
pub(crate) use group::{layer_count, layer_names};
pub use parameters::Parameters;

use crate::audio::Extractor;
use crate::component::Component;
use crate::config::Config;
use crate::convention::Rule;
use crate::dtype::Dtype;
use crate::error::{Error, ErrorKind, Result};
use crate::image::Processor;
use crate::op::{Op, Storage};
use crate::quantization::Quantization;
use crate::stack::Stack;
use crate::sums::Sums;
use crate::workload::Run;

/// A model as the sum of its ops, ready to be counted.
///
/// # Example
///
/// ```
/// use flopmeter::{Config, Model};
///
/// let config = Config::parse(
///     r#"{"model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 32,
///         "num_attention_heads": 32, "num_key_value_heads": 8, "intermediate_size": 14336,
///         "vocab_size": 128256, "tie_word_embeddings": false, "torch_dtype": "bfloat16"}"#,
/// )?;
/// let model = Model::from_config(&config)?;
/// assert_eq!(model.parameters().total, 8_030_261_248); // as published for Llama-3.1-8B
/// # Ok::<(), flopmeter::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Model {
    model_type: String,
    encodes_only: bool,
    generates: bool,
    /// Whether the reference implementation keeps anything from one pass to the next.
    keeps_cache: bool,
    /// Whether every token of a prompt sees all of it, and only what is generated sees what is before it alone.
    sees_prompt_whole: bool,
    pub(crate) stacks: Vec<Stack>,
    pub(crate) processor: Option<Processor>,
    pub(crate) extractor: Option<Extractor>,
    /// Whether the config has a part that hears and is not counted.
    pub(crate) hears_uncounted: bool,
    groups: Vec<Group>,
    quantization: Quantization,
    notes: Vec<String>,
    keys: Vec<(String, String)>,
    unread: Vec<String>,
    parameters: Parameters,
    nominal: Option<u128>,
    from_shapes: bool,
    /// One of the layers that predict further tokens, and how many there are.
    prediction: Option<(Box<Model>, u64)>,
    /// Why what the reference implementation multiplies is not counted, where it is not.
    uncounted_by_reference: Option<&'static str>,
    pub(crate) sums: Sums,
}

impl Model {
    /// Reads a config of any architecture that flopmeter counts.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Architecture`] for a `model_type` that is not counted,
    /// [`ErrorKind::Config`] for keys that are missing, out of range or contradict each other,
    /// [`ErrorKind::Quantization`] and [`ErrorKind::Dtype`] for widths that are not known.
    pub fn from_config(config: &Config) -> Result<Self> {
        let mut model = crate::arch::build(config)?;
        model.hears_uncounted = model.extractor.is_none() && config.hears();
        Ok(model)
    }

    /// The architecture that was built: the `model_type` of the part that is counted.
    pub fn model_type(&self) -> &str {
        &self.model_type
    }

    /// Groups of equal layers of the decoder, or of an encoder that is the whole model, in the order of a pass.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// Every op with how often it occurs, those that run before the prefill first.
    pub fn ops(&self) -> impl Iterator<Item = (&Op, u64)> {
        ops(self.all_groups())
    }

    fn all_groups(&self) -> impl Iterator<Item = &Group> {
        self.stacks.iter().flat_map(Stack::groups).chain(&self.groups)
    }

    fn all_ops_mut(&mut self) -> impl Iterator<Item = &mut Op> {
        let groups = self.stacks.iter_mut().flat_map(Stack::groups_mut).chain(&mut self.groups);
        groups.flat_map(|group| &mut group.ops)
    }

    /// Whether its tokens see what follows them: it is an encoder, or an encoder and a decoder that label a text.
    pub fn encodes_only(&self) -> bool {
        self.encodes_only
    }

    /// Whether it has a head that tells tokens apart: an encoder has none, nor has a decoder that embeds or labels a text.
    pub fn generates(&self) -> bool {
        self.generates
    }

    /// Tokens that its head tells apart, `None` for a model without a head.
    pub fn vocabulary(&self) -> Option<u64> {
        self.ops().find_map(|(op, _)| match op {
            Op::Linear(op) if op.component == Component::Head => Some(op.to),
            _ => None,
        })
    }

    /// Numbers of parameters.
    pub fn parameters(&self) -> Parameters {
        self.parameters
    }

    /// How the weights are stored.
    pub fn quantization(&self) -> &Quantization {
        &self.quantization
    }

    /// What a reader of an estimate should know: defaults that stood in, parts that are not counted.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Keys of the config that were read, with their values.
    pub fn keys(&self) -> &[(String, String)] {
        &self.keys
    }

    /// Keys of the config that look like shapes and that nobody read.
    pub fn unread(&self) -> &[String] {
        &self.unread
    }

    /// Whether no architecture is known and the shapes of the weights were counted.
    pub fn is_counted_from_shapes(&self) -> bool {
        self.from_shapes
    }

    /// The width of what passes from layer to layer: that of the first table, the tokens' embedding.
    pub(crate) fn width(&self) -> u64 {
        let table =
            |(op, _): (&Op, u64)| if let Op::Table(table) = op { Some(table.width) } else { None };
        ops(self.groups.iter()).find_map(table).unwrap_or_default()
    }

    /// The model with towers before it, which `whole` has around all of them.
    pub(crate) fn with_towers(
        mut self,
        mut stacks: Vec<Stack>,
        processor: Option<Processor>,
        extractor: Option<Extractor>,
        whole: &Config,
    ) -> Result<Self> {
        let towers = Parameters::of(stacks.iter().flat_map(Stack::groups)).ok_or_else(too_large)?;
        let total = self.parameters.total.checked_add(towers.total);
        self.parameters.total = total.ok_or_else(too_large)?;
        if let Some(weights) = whole.weights() {
            if let Some(storage) = weights.tower_storage() {
                let groups = stacks.iter_mut().flat_map(Stack::groups_mut);
                for op in groups.flat_map(|group| &mut group.ops) {
                    op.store_as(storage);
                    op.store_bias_as(storage);
                }
                stacks.iter_mut().for_each(Stack::add_up);
            }
            self.notes.extend(weights.check_tower(towers.total));
        }
        whole.model_type().clone_into(&mut self.model_type);
        self.stacks = stacks;
        self.processor = processor;
        self.extractor = extractor;
        Ok(self)
    }

    /// The same model as one that is what sees or hears and nothing beside it: all of it runs for an image or a clip, and
    /// it generates nothing.
    pub(crate) fn with_tower_alone(
        mut self,
        stacks: Vec<Stack>,
        processor: Option<Processor>,
    ) -> Result<Self> {
        self.parameters =
            Parameters::of(stacks.iter().flat_map(Stack::groups)).ok_or_else(too_large)?;
        (self.encodes_only, self.generates) = (true, false);
        self.stacks = stacks;
        self.processor = processor;
        Ok(self)
    }

    /// The same model as one in which every token of a prompt sees all of it.
    pub(crate) fn seeing_prompt_whole(mut self) -> Self {
        self.sees_prompt_whole = true;
        self
    }

    /// Whether every token of a prompt sees all of it, those after it too; what is generated sees what is before it.
    ///
    /// ```
    /// use flopmeter::Builtin;
    ///
    /// assert!(!Builtin::find("meta-llama/Llama-3.1-8B")?.model()?.sees_prompt_whole());
    /// # Ok::<(), flopmeter::Error>(())
    /// ```
    pub fn sees_prompt_whole(&self) -> bool {
        self.sees_prompt_whole
    }

    /// The model as the part of a whole whose config had more to say.
    pub(crate) fn part_of(mut self, whole: &Config) -> Self {
        self.notes.extend(new_to(&self.notes, whole.notes()));
        self.keys.extend(new_to(&self.keys, whole.keys()));
        self.unread.extend(new_to(&self.unread, whole.unread()));
        self
    }

    /// A run of passes as a rule of counting has it done.
    pub(crate) fn run_by(&self, rule: Rule, run: Run) -> Run {
        match rule {
            Rule::ByReference if !self.keeps_cache => Run { passes: run.passes.anew(), ..run },
            _ => run,
        }
    }

    /// The number of parameters that the model's name states, or the exact total if it states none.
    pub fn nominal_parameters(&self) -> u128 {
        self.nominal.unwrap_or(self.parameters.total)
    }

    /// The same model under a name that states a size in billions of parameters.
    #[must_use]
    pub fn with_nominal_billions(mut self, billions: f64) -> Self {
        // Names state at most three decimals, so a whole number of millions.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let millions = (billions * 1e3).round() as u128;
        self.nominal = Some(millions * 1_000_000);
        self
    }

    /// The same model run in another dtype.
    ///
    /// Its matrix products take that dtype's peak. Weights that no quantisation fixes are stored in it,
    /// and so is the cache if it is 16 bits or wider: engines that run narrower weights keep the cache
    /// at 16 bits unless told (see [`with_cache_dtype`](Self::with_cache_dtype)). FLOPs never move.
    #[must_use]
    pub fn with_dtype(mut self, dtype: Dtype) -> Self {
        self.quantization.compute = dtype;
        if self.quantization.is_quantized() {
            return self;
        }
        self.all_ops_mut().for_each(|op| op.store(dtype));
        self.prediction =
            self.prediction.map(|(one, count)| (Box::new(one.with_dtype(dtype)), count));
        self.quantization.dtype = dtype;
        let cache = if dtype.bits() < 16 { self.quantization.cache } else { dtype.into() };
        self.with_cache(cache)
    }

    /// The same model with another KV cache.
    #[must_use]
    pub fn with_cache_dtype(self, dtype: Dtype) -> Self {
        self.with_cache(dtype.into())
    }

    /// The same model with more ops in each layer and in what stands outside, which `more` makes of those there. Its
    /// first argument is whether they are an encoder's that a decoder attends to; towers stay as they are.
    pub(crate) fn with_more(
        mut self,
        mut more: impl FnMut(bool, Option<u64>, &[Op]) -> Result<Vec<Op>>,
    ) -> Result<Self> {
        let mut with = |encodes, layer, ops: &[Op]| {
            Ok(ops.iter().cloned().chain(more(encodes, layer, ops)?).collect())
        };
        if !self.perceives() {
            for stack in &mut self.stacks {
                let groups = with_ops(stack.groups(), &mut |layer, ops| with(true, layer, ops))?;
                *stack = stack.with_groups(groups).ok_or_else(too_large)?;
            }
        }
        self.with_ops(|layer, ops| with(false, layer, ops))
    }

    /// The same model with other ops in each layer and in what stands outside, which `other` makes of those there.
    pub(crate) fn with_ops(
        self,
        mut other: impl FnMut(Option<u64>, &[Op]) -> Result<Vec<Op>>,
    ) -> Result<Self> {
        let groups = with_ops(&self.groups, &mut other)?;
        self.with_groups(groups)
    }

    fn with_groups(mut self, groups: Vec<Group>) -> Result<Self> {
        let all = self.stacks.iter().flat_map(Stack::groups).chain(&groups);
        self.parameters = Parameters::of(all).ok_or_else(too_large)?;
        if self.perceives() {
            // No token of text passes through a tower.
            let text = Parameters::of(groups.iter()).ok_or_else(too_large)?;
            self.parameters = Parameters { total: self.parameters.total, ..text };
        }
        self.sums = Sums::of(&groups).ok_or_else(too_large)?;
        self.groups = groups;
        Ok(self)
    }

    /// A part of the model: of its ops, stacks' included, what `keep` makes of them. A layer has a number, and what is
    /// made of equal layers changes only at those of `bounds`.
    pub(crate) fn part(
        &self,
        bounds: &[u64],
        keep: impl Fn(Option<u64>, &Op) -> Option<Op>,
    ) -> Result<Self> {
        let alike = |one, next| !bounds.iter().any(|bound| one < *bound && *bound <= next);
        let kept = |groups: &[Group]| {
            with_ops_of_alike(groups, alike, &mut |layer, ops| {
                Ok(ops.iter().filter_map(|op| keep(layer, op)).collect())
            })
        };
        self.with_stack_groups(kept)?.with_groups(kept(&self.groups)?)
    }

    /// The same model with other ops in its stacks.
    pub(crate) fn with_stacks(
        &self,
        mut other: impl FnMut(Option<u64>, &[Op]) -> Result<Vec<Op>>,
    ) -> Result<Self> {
        self.with_stack_groups(|groups| with_ops(groups, &mut other))
    }

    fn with_stack_groups(
        &self,
        mut groups: impl FnMut(&[Group]) -> Result<Vec<Group>>,
    ) -> Result<Self> {
        let mut with = self.clone();
        for stack in &mut with.stacks {
            *stack = stack.with_groups(groups(stack.groups())?).ok_or_else(too_large)?;
        }
        Ok(with)
    }

    /// The same model with layers that predict further tokens, all as this one.
    pub(crate) fn with_prediction(mut self, one: Self, count: u64) -> Self {
        self.prediction = Some((Box::new(one), count));
        self
    }

    /// The same model without them.
    pub(crate) fn without_prediction(mut self) -> Self {
        self.prediction = None;
        self
    }

    /// One of the layers that predict further tokens, as a model of its own, and how many there are; `None` if
    /// there is none, or of this type none is counted.
    pub fn prediction_layers(&self) -> Option<(&Self, u64)> {
        self.prediction.as_ref().map(|(one, count)| (&**one, *count))
    }

    /// The same model where the convention `torch` is an error, for this reason.
    pub(crate) fn uncounted_by_reference(mut self, why: &'static str) -> Self {
        self.uncounted_by_reference = Some(why);
        self
    }

    /// An error under a rule by which this model is not counted.
    pub(crate) fn check_rule(&self, rule: Rule) -> Result<()> {
        match self.uncounted_by_reference {
            Some(why) if rule == Rule::ByReference => {
                Err(Error::new(ErrorKind::Convention, "`torch`", why).hint("count it with `model`"))
            }
            _ => Ok(()),
        }
    }

    fn with_cache(mut self, cache: Storage) -> Self {
        self.prediction =
            self.prediction.map(|(one, count)| (Box::new(one.with_cache(cache)), count));
        self.quantization.cache = cache;
        for op in self.all_ops_mut() {
            op.cache_in(cache);
        }
        self.sums = Sums::of(&self.groups).unwrap_or(self.sums);
        for stack in &mut self.stacks {
            stack.add_up();
        }
        self
    }
}

/// Those of some that are not known yet: a part may be the whole's own keys.
fn new_to<T: PartialEq>(known: &[T], more: Vec<T>) -> Vec<T> {
    more.into_iter().filter(|one| !known.contains(one)).collect()
}

impl From<Dtype> for Storage {
    fn from(dtype: Dtype) -> Self {
        Self::plain(dtype)
    }
}

#[cold]
pub(crate) fn too_large() -> Error {
    Error::new(ErrorKind::Overflow, "count", "does not fit 128 bits")
        .hint("check the sizes of the config and of the request")
}
