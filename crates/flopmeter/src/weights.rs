//! Tensors that files hold, by the module that they belong to: what a config's count is held against.
//!
//! Headers only: nothing here needs a weight.

pub mod gguf;
mod modules;
mod name;
pub mod ollama;
pub mod safetensors;

use crate::error::{Error, ErrorKind, Result};
use crate::op::{Op, Storage};
use foldhash::fast::RandomState;
pub(crate) use modules::Part;
use modules::{Module, Modules};
use name::{Key, Place};
use std::collections::{BTreeMap, HashSet};
use std::fmt::Write;
use std::hash::BuildHasher;

/// The most tensors that are believed; 60 layers of 384 experts have 69,120 matrices, each with
/// up to three scales.
const MOST_TENSORS: usize = 3 << 17;
/// The most modules that are believed: 128 layers of 96. What sees or hears has one for each of its tensors.
const MOST_MODULES: usize = 3 << 12;
/// How many tensors a note names.
const NAMED: usize = 3;

/// A tensor as a header describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tensor {
    /// Its name in the file.
    pub name: String,
    /// Its shape.
    pub shape: Vec<u64>,
    /// How its elements are stored.
    pub storage: Storage,
    /// The bytes that it takes.
    pub bytes: u64,
}

impl Tensor {
    /// The same, lent.
    pub fn lent(&self) -> TensorRef<'_> {
        TensorRef { name: &self.name, shape: &self.shape, storage: self.storage, bytes: self.bytes }
    }
}

/// A tensor of which name and shape are another's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TensorRef<'t> {
    /// Its name in the file.
    pub name: &'t str,
    /// Its shape.
    pub shape: &'t [u64],
    /// How its elements are stored.
    pub storage: Storage,
    /// The bytes that it takes.
    pub bytes: u64,
}

impl TensorRef<'_> {
    /// How many elements it has: the product of its shape, which parsers have checked to fit.
    pub fn elements(&self) -> u128 {
        self.shape.iter().fold(1, |product: u128, size| product.saturating_mul((*size).into()))
    }

    /// The same with name and shape of its own.
    pub fn to_owned(self) -> Tensor {
        let (name, shape) = (self.name.to_owned(), self.shape.to_vec());
        Tensor { name, shape, storage: self.storage, bytes: self.bytes }
    }
}

/// All tensors of a model.
///
/// # Example
///
/// ```
/// use flopmeter::op::Storage;
/// use flopmeter::weights::{Tensor, Weights};
/// use flopmeter::{Config, Dtype, Model, Workload};
///
/// let bf16 = Storage::plain(Dtype::Bf16);
/// let table = Tensor { name: "embed_tokens.weight".into(), shape: vec![10, 4], storage: bf16, bytes: 80 };
/// let weights = Weights::new(vec![table])?;
/// assert_eq!((weights.tensors(), weights.bytes()), (1, 80));
/// # Ok::<(), flopmeter::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct Weights {
    modules: Modules,
    tensors: usize,
    elements: u128,
    bytes: u128,
    /// How all tensors are stored, if they are all stored alike.
    common: Option<Storage>,
    /// Whether any is stored in blocks or packed, and whether any has integers in place of numbers.
    quantized: bool,
    packed: bool,
    /// How the files name modules, where they do not as checkpoints do.
    names: Option<gguf::names::Names>,
}

/// What one op of a model should find in the files.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'m> {
    pub layer: Option<u64>,
    pub op: &'m Op,
}

impl Weights {
    /// The tensors of all of a model's files.
    ///
    /// # Errors
    ///
    /// As [`Collector::add`].
    pub fn new(tensors: Vec<Tensor>) -> Result<Self> {
        Self::of(&tensors, None)
    }

    /// The same of files with other names.
    fn named(tensors: &[Tensor], names: gguf::names::Names) -> Result<Self> {
        Self::of(tensors, Some(names))
    }

    fn of(tensors: &[Tensor], names: Option<gguf::names::Names>) -> Result<Self> {
        let mut collector = Collector::default();
        collector.weights.names = names;
        tensors.iter().try_for_each(|tensor| collector.add(tensor.lent()))?;
        Ok(collector.done())
    }

    /// How many there are.
    pub fn tensors(&self) -> usize {
        self.tensors
    }

    /// How many modules they are of; all experts of a layer are one's.
    pub(crate) fn modules(&self) -> usize {
        self.modules.all().len()
    }

    /// The elements that they have.
    pub fn elements(&self) -> u128 {
        self.elements
    }

    /// The bytes that they take.
    pub fn bytes(&self) -> u128 {
        self.bytes
    }

    /// How all tensors are stored, `None` if they are not all stored alike.
    pub fn storage(&self) -> Option<Storage> {
        self.common
    }

    /// The modules of what sees or hears, and of what leads from there to the text part.
    fn towers(&self) -> impl Iterator<Item = &Module> {
        self.modules.all().filter(|module| module.of_other_part)
    }

    /// The bytes that they take.
    pub(crate) fn tower_bytes(&self) -> u128 {
        self.towers().map(|module| module.bytes).sum()
    }

    /// How all their weights are stored, if they are stored alike.
    pub(crate) fn tower_storage(&self) -> Option<Storage> {
        let mut all = self.towers().map(|module| {
            let storage = self.modules.storage(module);
            storage.or_else(|| self.modules.bias_storage(module))
        });
        let first = all.next()??;
        all.all(|storage| storage == Some(first)).then_some(first)
    }

    /// Holds the elements of all of a tower's tensors against its parameters; what differs, as a note. Files that have
    /// no tower say nothing of it.
    pub(crate) fn check_tower(&self, parameters: u128) -> Option<String> {
        let stored: u128 = self.towers().map(|module| module.elements).sum();
        (stored > 0 && stored != parameters).then(|| {
            format!(
                "shapes of the tower's tensors give {stored} parameters, the config {parameters}"
            )
        })
    }

    /// Whether any is stored in blocks or packed, so that no dtype says its width.
    pub(crate) fn is_quantized(&self) -> bool {
        self.quantized
    }

    /// Whether any is packed so that its shape is not that of the matrix: integers in place of numbers.
    pub(crate) fn is_packed(&self) -> bool {
        self.names.is_none() && self.packed
    }

    /// What each module holds; what sees or hears is left out.
    pub(crate) fn parts(&self) -> impl Iterator<Item = Part<'_>> {
        let modules = self.modules.in_order().into_iter().filter(|module| !module.of_other_part);
        modules.map(|module| self.modules.part(module))
    }

    /// The module that has an op's weights, or where it would be.
    fn find(&self, layer: Option<u64>, op: &Op) -> std::result::Result<usize, Key> {
        let inside;
        let module = match op {
            Op::Latent(op) => {
                inside = format!("{}.kv_b_proj", op.module);
                &inside
            }
            _ => op.module(),
        };
        let key = match &self.names {
            Some(names) => names.of_op(layer, module),
            None => Key::new(layer, module),
        };
        let find = |key: &Key| self.modules.find(key.layer, &key.module);
        let alias = || match self.names {
            Some(_) => None,
            None => key.aliases().find_map(|alias| find(&alias)),
        };
        find(&key).or_else(alias).ok_or(key)
    }

    /// Stores an op as the file stores it, if the file has it.
    pub(crate) fn store(&self, op: &mut Op, layer: Option<u64>) {
        let module = self.find(layer, op).ok().map(|at| self.modules.at(at));
        // Under another name it is stored as all are.
        let buffer = matches!(op, Op::Vector(op) if op.buffer);
        let common = self.common.filter(|_| !buffer);
        let bias = module.and_then(|module| self.modules.bias_storage(module));
        // What acts element by element may go by the name of a bias.
        let alone = bias.filter(|_| matches!(op, Op::Vector(_)));
        let weight = module.and_then(|module| self.modules.storage(module)).or(alone).or(common);
        if let Some(storage) = weight {
            op.store_as(storage);
        }
        if let Some(bias) = bias.or(common) {
            op.store_bias_as(bias);
        }
    }

    /// Holds the shapes against a model's ops; what differs, as a note.
    pub(crate) fn check<'m>(&self, wanted: impl Iterator<Item = Wanted<'m>>) -> Option<String> {
        let mut expected: Vec<Option<Expected>> = vec![None; self.modules.all().len()];
        let mut absent: BTreeMap<Key, Expected> = BTreeMap::new();
        for Wanted { layer, op } in wanted {
            let shared = match op {
                Op::Linear(op) => op.shared_weights,
                Op::Table(op) => op.shared,
                _ => false,
            };
            let buffer = matches!(op, Op::Vector(op) if op.buffer);
            if matches!(op, Op::Attention(_) | Op::Cross(_)) {
                continue;
            }
            let entry = match self.find(layer, op) {
                Ok(at) => expected[at].get_or_insert_default(),
                Err(key) if key.is_in_metadata() => continue,
                Err(key) => absent.entry(key).or_default(),
            };
            entry.parameters += op.parameters();
            entry.apart |= shared || buffer;
        }
        // A tied head may be stored once more, and buffers are no parameters.
        let (mut stored, mut total, mut others) = (0, 0, Vec::new());
        for (module, expected) in self.modules.all().zip(&expected) {
            match expected {
                Some(Expected { apart: true, .. }) => {}
                None if module.of_other_part => {}
                _ => {
                    let count = expected.map(|expected| expected.parameters);
                    stored += module.elements;
                    total += count.unwrap_or(0);
                    if count != Some(module.elements) {
                        others.push((module, count));
                    }
                }
            }
        }
        absent.retain(|_, expected| !expected.apart && expected.parameters > 0);
        total += absent.values().map(|expected| expected.parameters).sum::<u128>();
        if stored == total {
            return None;
        }
        let mut note =
            format!("shapes of the tensors give {stored} parameters, the config {total}");
        let count = others.len() + absent.len();
        if others.len() > NAMED {
            others.select_nth_unstable_by(NAMED, |(a, _), (b, _)| a.key.cmp(&b.key));
            others.truncate(NAMED);
        }
        others.sort_by(|(a, _), (b, _)| a.key.cmp(&b.key));
        let others = others.into_iter().map(|(module, count)| {
            let named = format!("`{}` {:?}", crate::error::shown(&module.name), module.shape);
            match count {
                None => format!("{named} is in no count"),
                Some(count) => format!("{named} where the config gives {count} parameters"),
            }
        });
        let absent = absent.keys().map(|key| format!("`{key}` is in no file"));
        for what in others.chain(absent).take(NAMED) {
            let _ = write!(note, "; {what}");
        }
        if count > NAMED {
            let _ = write!(note, "; and {} more", count - NAMED);
        }
        Some(note)
    }
}

/// Puts tensors together as they come, file by file; names are looked at, and few of them kept.
///
/// # Example
///
/// ```
/// use flopmeter::weights::{Collector, safetensors};
///
/// let json = r#"{"a.weight": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [0, 12]}}"#;
/// let mut collector = Collector::default();
/// safetensors::each(&json, 8 + json.len() as u64 + 12, |tensor| collector.add(tensor))?;
/// let weights = collector.done();
/// assert_eq!((weights.elements(), weights.bytes()), (6, 12));
/// # Ok::<(), flopmeter::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct Collector {
    weights: Weights,
    /// A hash of every name: that by chance two of the most tensors have one happens once in 200 million models.
    seen: HashSet<u64, RandomState>,
    hasher: RandomState,
    /// Room for the name of a module.
    kept: String,
}

impl Collector {
    /// Makes room for a header of so many bytes at once, which costs less than bit by bit.
    pub fn reserve(&mut self, header_bytes: u64) {
        // What an entry takes in published files.
        let tensors = usize::try_from(header_bytes / 128).unwrap_or(MOST_TENSORS);
        self.seen.reserve(tensors.min(MOST_TENSORS));
    }

    /// Puts one more tensor to the others.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Weights`] for a name that two tensors have, for more than 393,216 tensors, and for more than 12,288
    /// modules, where all experts of a layer are one.
    pub fn add(&mut self, tensor: TensorRef<'_>) -> Result<()> {
        let weights = &mut self.weights;
        if weights.tensors == MOST_TENSORS {
            return Err(too_many("tensors", MOST_TENSORS));
        }
        if !self.seen.insert(self.hasher.hash_one(tensor.name)) {
            return Err(at_tensor(tensor.name, "is there twice"));
        }
        let elements = tensor.elements();
        weights.tensors += 1;
        weights.elements = weights.elements.saturating_add(elements);
        weights.bytes += u128::from(tensor.bytes);
        let place = match &weights.names {
            Some(names) => names.of_tensor(tensor.name),
            None => Place::of(tensor.name, &mut self.kept),
        };
        let Some(place) = place else {
            weights.modules.number(tensor.storage);
            return Ok(());
        };
        weights.modules.add(&place, tensor, elements);
        if weights.modules.all().len() > MOST_MODULES {
            return Err(too_many("modules of tensors", MOST_MODULES));
        }
        Ok(())
    }

    /// What all of them are.
    pub fn done(mut self) -> Weights {
        let storages = self.weights.modules.storages();
        let packed = |storage: &Storage| ["int8", "int32", "int64"].contains(&storage.name());
        self.weights.common = match storages {
            [only] => Some(*only),
            _ => None,
        };
        self.weights.quantized = storages.iter().any(Storage::is_scaled);
        self.weights.packed = storages.iter().any(packed);
        self.weights
    }
}

fn too_many(what: &str, most: usize) -> Error {
    let fact = format!("are more than {most}, the most that are believed");
    Error::new(ErrorKind::Weights, what, fact).hint("give the model's config.json alone")
}

/// What ops should find in a module.
#[derive(Debug, Clone, Copy, Default)]
struct Expected {
    parameters: u128,
    /// Whether it is no parameters, or those of another module.
    apart: bool,
}

pub(crate) fn at_tensor(name: &str, fact: impl Into<String>) -> Error {
    Error::new(ErrorKind::Weights, format!("tensor `{}`", crate::error::shown(name)), fact)
}

#[cfg(test)]
mod tests {
    use super::{Tensor, Weights};
    use crate::op::Storage;
    use crate::{Config, Dtype, Model, Workload};
    use std::sync::Arc;

    const LLAMA: &str = r#"{"model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 96, "vocab_size": 100,
        "head_dim": 16, "tie_word_embeddings": false, "torch_dtype": "bfloat16"}"#;

    fn tensors(dtype: Dtype) -> Vec<Tensor> {
        let mut all = vec![
            ("model.embed_tokens".to_owned(), vec![100, 64]),
            ("model.norm".to_owned(), vec![64]),
            ("lm_head".to_owned(), vec![100, 64]),
        ];
        for layer in 0..2 {
            let mut add = |module: &str, shape: &[u64]| {
                all.push((format!("model.layers.{layer}.{module}"), shape.to_vec()));
            };
            add("input_layernorm", &[64]);
            add("post_attention_layernorm", &[64]);
            for (module, to) in [("q", 64), ("k", 32), ("v", 32), ("o", 64)] {
                add(&format!("self_attn.{module}_proj"), &[to, 64]);
            }
            add("mlp.gate_proj", &[96, 64]);
            add("mlp.up_proj", &[96, 64]);
            add("mlp.down_proj", &[64, 96]);
        }
        let tensor = |(name, shape): (String, Vec<u64>)| Tensor {
            name: format!("{name}.weight"),
            bytes: shape.iter().product::<u64>() * dtype.bits() / 8,
            shape,
            storage: Storage::plain(dtype),
        };
        all.into_iter().map(tensor).collect()
    }

    fn model(tensors: Vec<Tensor>) -> Model {
        let weights = Arc::new(Weights::new(tensors).expect("weights"));
        let config = Config::parse(LLAMA).expect("a config").with_weights(weights);
        Model::from_config(&config).expect("a model")
    }

    #[test]
    fn tensors_that_are_what_the_config_says_give_no_note_and_their_own_bytes() {
        let model = model(tensors(Dtype::Fp32));
        assert!(model.notes().is_empty(), "{:?}", model.notes());
        let bytes = model.bytes(&Workload::request(1, 1)).expect("bytes");
        assert_eq!(bytes.weights, 4 * 74_560);
    }

    #[test]
    fn one_tensor_of_another_dtype_moves_the_bytes_by_its_own() {
        let mut all = tensors(Dtype::Bf16);
        let norm = all.iter_mut().find(|tensor| tensor.name == "model.layers.1.mlp.up_proj.weight");
        norm.expect("a tensor").storage = Storage::plain(Dtype::Fp32);
        let bytes = model(all).bytes(&Workload::request(1, 1)).expect("bytes");
        assert_eq!(bytes.weights, 2 * 74_560 + 2 * 96 * 64);
    }

    #[test]
    fn what_differs_is_named() {
        let mut all = tensors(Dtype::Bf16);
        all.retain(|tensor| tensor.name != "model.layers.1.self_attn.o_proj.weight");
        all[0].shape = vec![101, 64];
        all.push(Tensor { name: "model.layers.2.mlp.up_proj.weight".into(), ..all[1].clone() });
        // 74,560 − 64·64 + 64 + 64
        assert_eq!(
            model(all).notes(),
            ["shapes of the tensors give 70592 parameters, the config 74560; \
              `model.embed_tokens.weight` [101, 64] where the config gives 6400 parameters; \
              `model.layers.2.mlp.up_proj.weight` [64] is in no count; \
              `layers.1.self_attn.o_proj` is in no file"]
        );
    }

    #[test]
    fn more_modules_than_are_believed() {
        let norm = &tensors(Dtype::Bf16)[1];
        let named = |name: String| Tensor { name, ..norm.clone() };
        let modules = |count: usize| {
            let all = (0..count).map(|at| named(format!("layers.{at}.norm.weight"))).collect();
            Weights::new(all).map(|weights| weights.tensors())
        };
        assert_eq!(modules(12_288), Ok(12_288));
        let error = modules(12_289).expect_err("too many").to_string();
        assert_eq!(
            error,
            "modules of tensors: are more than 12288, the most that are believed; give the model's config.json alone"
        );
        // All experts of a layer are one.
        let experts = (0..20_000).map(|at| named(format!("layers.0.mlp.experts.{at}.w1.weight")));
        assert_eq!(Weights::new(experts.collect()).map(|weights| weights.tensors()), Ok(20_000));
        // Switch-C has 2048 in every second of 30 layers.
        let switch = (0..30 * 2048).map(|at| {
            let (layer, expert) = (at / 2048, at % 2048);
            named(format!("encoder.block.{layer}.layer.1.mlp.experts.expert_{expert}.wi.weight"))
        });
        let switch = Weights::new(switch.collect());
        assert_eq!(switch.map(|weights| (weights.tensors(), weights.modules())), Ok((61_440, 30)));
    }

    #[test]
    fn the_first_weight_stands_for_a_module_whose_bias_comes_first() {
        let mut all = tensors(Dtype::Bf16);
        let bias = Tensor { name: "model.layers.0.mlp.up_proj.bias".into(), ..all[1].clone() };
        all.insert(0, bias);
        let note = model(all).notes().join("\n");
        // 74,560 + 64
        assert!(note.contains("give 74624 parameters, the config 74560"), "{note}");
        let named = "`model.layers.0.mlp.up_proj.weight` [96, 64] where the config gives 6144";
        assert!(note.contains(named), "{note}");
    }

    #[test]
    fn a_name_that_two_tensors_have() {
        let mut all = tensors(Dtype::Bf16);
        all.push(all[0].clone());
        let error = Weights::new(all).expect_err("twice").to_string();
        assert_eq!(error, "tensor `model.embed_tokens.weight`: is there twice");
    }
}
