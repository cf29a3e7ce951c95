//! A model: groups of equal layers, each a list of ops.

use crate::component::Component;
use crate::config::Config;
use crate::convention::Rule;
use crate::dtype::Dtype;
use crate::error::{Error, ErrorKind, Result, shown};
use crate::image::Processor;
use crate::op::{Op, Storage};
use crate::quantization::Quantization;
use crate::stack::{Reads, Stack};
use crate::sums::Sums;
use crate::weights::Wanted;
use crate::workload::Run;

/// The most layers that are believed; the deepest real models have under 200.
pub(crate) const MOST_LAYERS: u64 = 4096;

/// The most work of looking up how layers are stored, in bytes of expressions times layers. The longest
/// real list, 154 expressions for 78 layers, takes 500,000.
const MOST_LOOKING_UP: u128 = 1 << 21;

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
    /// Whether the reference implementation keeps anything from one pass to the next.
    keeps_cache: bool,
    pub(crate) stacks: Vec<Stack>,
    pub(crate) processor: Option<Processor>,
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
    pub(crate) sums: Sums,
}

/// Equal layers, or what stands before or after all of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// `embedding`, `layers 0–2`, `layers 3, 7, 11`, `head`.
    pub name: String,
    /// How many there are.
    pub repeat: u64,
    /// Which layers they are, counted from 0; empty for what stands outside them.
    pub layers: Vec<u64>,
    /// What one of them does, in order.
    pub ops: Vec<Op>,
}

/// Numbers of parameters. Weights that two ops share count once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameters {
    /// All of them.
    pub total: u128,
    /// Those that take part in one token's pass: of the experts, the routed ones only.
    pub active: u128,
    /// Those of look-up tables (token and position embeddings).
    pub embedding: u128,
}

impl Parameters {
    /// All but those of look-up tables.
    ///
    /// A tied head is its table, which is left out; a head of its own is a matrix product and stays in. Kaplan et
    /// al. (arXiv:2001.08361, section 2.1), whose heads are tied, leave out the same; Qwen's cards take an untied
    /// head out as well, and Hoffmann et al. (arXiv:2203.15556) leave nothing out, which is `total`.
    ///
    /// ```
    /// use flopmeter::Builtin;
    /// // A table and a head of 152,064 · 3584 each, of which the head stays.
    /// let qwen = Builtin::find("Qwen/Qwen2.5-7B")?.model()?.parameters();
    /// assert_eq!(qwen.non_embedding(), 7_615_616_512 - 152_064 * 3584);
    /// # Ok::<(), flopmeter::Error>(())
    /// ```
    pub fn non_embedding(&self) -> u128 {
        self.total - self.embedding
    }
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
        crate::arch::build(config)
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

    /// Whether the whole model is an encoder: its tokens see what follows them, and it generates nothing.
    pub fn encodes_only(&self) -> bool {
        self.encodes_only
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

    /// The model with a tower before it, that `tower` describes and `whole` has around both.
    pub(crate) fn with_tower(
        mut self,
        mut stacks: Vec<Stack>,
        processor: Processor,
        whole: &Config,
        tower: &Config,
    ) -> Result<Self> {
        let seeing = Parameters::of(stacks.iter().flat_map(Stack::groups)).ok_or_else(too_large)?;
        let total = self.parameters.total.checked_add(seeing.total);
        self.parameters.total = total.ok_or_else(too_large)?;
        if let Some(weights) = whole.weights() {
            if let Some(storage) = weights.tower_storage() {
                let groups = stacks.iter_mut().flat_map(Stack::groups_mut);
                for op in groups.flat_map(|group| &mut group.ops) {
                    op.store_as(storage);
                    if let Op::Linear(op) = op {
                        let bits = storage.matrix_bits(1, 1);
                        op.bias_bits = u64::try_from(bits).unwrap_or(op.bias_bits);
                    }
                }
                stacks.iter_mut().for_each(Stack::add_up);
            }
            self.notes.extend(weights.check_tower(seeing.total));
        }
        whole.model_type().clone_into(&mut self.model_type);
        self.stacks = stacks;
        self.processor = Some(processor);
        Ok(self.part_of(tower).part_of(whole))
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

    /// The same model with more ops in each layer and in what stands outside, which `more` makes of those there.
    pub(crate) fn with_more(
        mut self,
        mut more: impl FnMut(Option<u64>, &[Op]) -> Result<Vec<Op>>,
    ) -> Result<Self> {
        let mut groups: Vec<Group> = Vec::new();
        for group in &self.groups {
            let mut with = |layer| {
                let added = more(layer, &group.ops)?;
                Ok(group.ops.iter().cloned().chain(added).collect())
            };
            if group.layers.is_empty() {
                groups.push(Group { ops: with(None)?, ..group.clone() });
            }
            let from = groups.len();
            for index in &group.layers {
                add_layer(&mut groups, from, *index, with(Some(*index))?);
            }
        }
        name_layers(&mut groups);
        let all = self.stacks.iter().flat_map(Stack::groups).chain(&groups);
        self.parameters = Parameters::of(all).ok_or_else(too_large)?;
        if self.processor.is_some() {
            // No token of text passes through a tower.
            let text = Parameters::of(groups.iter()).ok_or_else(too_large)?;
            self.parameters = Parameters { total: self.parameters.total, ..text };
        }
        self.sums = Sums::of(&groups).ok_or_else(too_large)?;
        self.groups = groups;
        Ok(self)
    }

    /// The same model with layers that predict further tokens, all as this one.
    pub(crate) fn with_prediction(mut self, one: Self, count: u64) -> Self {
        self.prediction = Some((Box::new(one), count));
        self
    }

    /// One of the layers that predict further tokens, as a model of its own, and how many there are; `None` if
    /// there is none, or of this type none is counted.
    pub fn prediction_layers(&self) -> Option<(&Self, u64)> {
        self.prediction.as_ref().map(|(one, count)| (&**one, *count))
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

/// Every op of some groups with how often it occurs.
fn ops<'g>(groups: impl Iterator<Item = &'g Group>) -> impl Iterator<Item = (&'g Op, u64)> {
    groups.flat_map(|group| group.ops.iter().map(|op| (op, group.repeat)))
}

impl From<Dtype> for Storage {
    fn from(dtype: Dtype) -> Self {
        Self::plain(dtype)
    }
}

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
        Ok(Self { looks_up: false, ..Self::new(config)? })
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
        for index in 0..count {
            let mut ops = layer(index)?;
            ops.iter_mut().for_each(|op| self.store(op, Some(index)));
            add_layer(&mut self.groups, from, index, ops);
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
        add_layer(&mut self.groups, from, index, ops);
        name_layers(&mut self.groups[from..]);
    }

    /// A part of a model, of which neither the quantisation nor the files need say everything.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Overflow`] if a sum does not fit 128 bits.
    pub(crate) fn part(self) -> Result<Model> {
        let sums = Sums::of(&self.groups).ok_or_else(too_large)?;
        let stacks = self.stacks;
        let all = stacks.iter().flat_map(Stack::groups).chain(&self.groups);
        let parameters = Parameters::of(all).ok_or_else(too_large)?;
        let sees_what_follows =
            |(op, _): (&Op, u64)| matches!(op, Op::Attention(op) if !op.mask.keeps_cache());
        let encodes_only = ops(self.groups.iter()).any(sees_what_follows);
        let mut unread = self.config.unread();
        unread.extend_from_slice(self.quantization.unread());
        Ok(Model {
            model_type: self.config.model_type().to_owned(),
            encodes_only,
            keeps_cache: self.keeps_cache,
            stacks,
            processor: None,
            groups: self.groups,
            quantization: self.quantization,
            notes: self.config.notes(),
            keys: self.config.keys(),
            unread,
            parameters,
            nominal: None,
            from_shapes: self.as_stored,
            prediction: None,
            sums,
        })
    }

    /// Holds the tensors at hand against the ops. A scheme packs its weights into other shapes.
    fn check_weights(&self) {
        let Some(weights) = self.config.weights().filter(|_| !self.as_stored) else { return };
        if self.quantization.has_scheme() {
            let stacks = self.stacks.iter().flat_map(Stack::groups);
            let bits = ops(stacks.chain(&self.groups))
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
        let groups = self.stacks.iter().flat_map(Stack::groups).chain(&self.groups);
        let wanted = groups.flat_map(|group| {
            let outside = group.layers.is_empty().then_some(None);
            let layers = group.layers.iter().map(|index| Some(*index)).chain(outside);
            layers.flat_map(|layer| group.ops.iter().map(move |op| Wanted { layer, op }))
        });
        if let Some(note) = weights.check(wanted) {
            self.config.note(note);
        }
    }

    fn store(&mut self, op: &mut Op, layer: Option<u64>) {
        if self.as_stored {
            match op {
                Op::Attention(op) => op.cache = self.quantization.cache,
                Op::Latent(op) => op.cache = self.quantization.cache,
                _ => {}
            }
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
            Op::Attention(op) | Op::Cross(op) => op.cache = self.quantization.cache,
            Op::Indexer(op) => op.cache = self.quantization.cache,
            Op::Recurrent(op) => op.state = self.quantization.cache,
            Op::Latent(op) => {
                op.cache = self.quantization.cache;
                op.storage = self.linear_storage(layer, op.module, ".kv_b_proj");
            }
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
            Op::Linear(_) | Op::Product(_) | Op::Table(_) | Op::Vector(_) => {}
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

impl Parameters {
    fn of<'g>(groups: impl Iterator<Item = &'g Group>) -> Option<Self> {
        let mut sum = Self { total: 0, active: 0, embedding: 0 };
        for (op, repeat) in ops(groups) {
            let times = |count: u128| count.checked_mul(repeat.into());
            sum.total = sum.total.checked_add(times(op.parameters())?)?;
            sum.active = sum.active.checked_add(times(op.active_parameters())?)?;
            if let Op::Table(_) = op {
                sum.embedding = sum.embedding.checked_add(times(op.parameters())?)?;
            }
        }
        Some(sum)
    }
}

/// Adds a layer to the groups from `from` on; equal ones are kept once.
fn add_layer(groups: &mut Vec<Group>, from: usize, index: u64, ops: Vec<Op>) {
    match groups[from..].iter_mut().find(|group| group.ops == ops) {
        Some(group) => {
            group.repeat += 1;
            group.layers.push(index);
        }
        None => groups.push(Group { name: String::new(), repeat: 1, layers: vec![index], ops }),
    }
}

/// Names groups of layers by which they are.
fn name_layers(groups: &mut [Group]) {
    for group in groups.iter_mut().filter(|group| !group.layers.is_empty()) {
        group.name = layer_names(&group.layers);
    }
}

/// `layers 0–2, 5` for [0, 1, 2, 5]; of many runs the first few, and how many layers there are.
fn layer_names(members: &[u64]) -> String {
    const SHOWN: usize = 3;
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for &index in members {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == index => *last = index,
            _ => runs.push((index, index)),
        }
    }
    let run = |(first, last): &(u64, u64)| {
        if first == last { first.to_string() } else { format!("{first}–{last}") }
    };
    let named: Vec<String> = runs.iter().take(SHOWN).map(run).collect();
    match (members, runs.len()) {
        ([only], _) => format!("layer {only}"),
        (_, count) if count <= SHOWN => format!("layers {}", named.join(", ")),
        _ => format!("{} layers {}, …", members.len(), named.join(", ")),
    }
}

pub(crate) fn too_large() -> Error {
    Error::new(ErrorKind::Overflow, "count", "does not fit 128 bits")
        .hint("check the sizes of the config and of the request")
}
