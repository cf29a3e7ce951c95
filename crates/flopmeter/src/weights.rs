//! Tensors that files hold, by the module that they belong to: what a config's count is held against.
//!
//! Headers only: nothing here needs a weight.

pub mod gguf;
mod name;
pub mod ollama;
pub mod safetensors;

use crate::error::{Error, ErrorKind, Result};
use crate::op::{Op, Storage};
use name::Key;
use std::collections::BTreeMap;
use std::fmt::Write;

/// The most tensors that are believed; 60 layers of 384 experts have 69,120 matrices, each with
/// up to three scales.
const MOST_TENSORS: usize = 3 << 17;
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
    /// How many elements it has: the product of its shape, which parsers have checked to fit.
    pub fn elements(&self) -> u128 {
        self.shape.iter().fold(1, |product: u128, size| product.saturating_mul((*size).into()))
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
#[derive(Debug)]
pub struct Weights {
    tensors: Vec<Tensor>,
    modules: BTreeMap<Key, Module>,
    /// How all tensors are stored, if they are all stored alike.
    common: Option<Storage>,
    /// How the files name modules, where they do not as checkpoints do.
    names: Option<gguf::names::Names>,
    bytes: u128,
}

/// Tensors of one module of one layer; those of all experts are one module's.
#[derive(Debug, Default)]
struct Module {
    elements: u128,
    /// The weights' storage, if all are stored alike.
    storage: Option<Storage>,
    mixed: bool,
    bias: Option<Storage>,
    bias_elements: u128,
    /// The first tensor, and the first that is no bias.
    first: usize,
    weight: Option<usize>,
    /// How many weights there are, and whether they have one shape.
    weights: u64,
    uneven: bool,
    bytes: u128,
}

/// What a module holds, for a model that only its weights tell of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part<'w> {
    pub layer: Option<u64>,
    /// The first of its tensors.
    pub name: &'w str,
    /// Its name below the layer.
    pub module: &'w str,
    /// The shape of its weight, or of one of its weights; of its bias if it has none.
    pub shape: &'w [u64],
    /// How many weights it has: one for each expert.
    pub copies: u64,
    /// Whether they have one shape.
    pub alike: bool,
    pub storage: Storage,
    /// Elements of all biases, unless they are all that there is.
    pub bias: u128,
    pub bias_bits: u64,
}

impl Part<'_> {
    /// Whether it has no two sizes above one.
    pub fn is_vector(&self) -> bool {
        self.shape.iter().filter(|size| **size > 1).count() < 2 && !self.is_row()
    }

    /// A matrix of one row is one all the same.
    fn is_row(&self) -> bool {
        matches!(*self.shape, [1, columns] if columns > 1) && self.module.contains("gate")
    }

    pub fn rows(&self) -> u64 {
        let before = self.shape.len().saturating_sub(1);
        self.shape[..before].iter().fold(1, |rows: u64, size| rows.saturating_mul(*size))
    }

    pub fn columns(&self) -> u64 {
        self.shape.last().copied().unwrap_or(1)
    }

    /// Elements of all its weights.
    pub fn elements(&self) -> u128 {
        u128::from(self.rows()) * u128::from(self.columns()) * u128::from(self.copies)
    }

    /// Elements of one of so many experts.
    pub fn elements_of_copy(&self, copies: u64) -> u128 {
        self.elements() / u128::from(copies.max(1))
    }

    /// The name that a checkpoint has for it, if it is one that is known, or this one.
    pub fn known_as(&self, otherwise: &'static str) -> &'static str {
        gguf::names::known(self.module).unwrap_or(otherwise)
    }
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
    /// [`ErrorKind::Weights`] for a name that two tensors have, or for more than 393,216 tensors.
    pub fn new(tensors: Vec<Tensor>) -> Result<Self> {
        Self::of(tensors, None)
    }

    /// The same of files with other names.
    fn named(tensors: Vec<Tensor>, names: gguf::names::Names) -> Result<Self> {
        Self::of(tensors, Some(names))
    }

    fn of(mut tensors: Vec<Tensor>, names: Option<gguf::names::Names>) -> Result<Self> {
        if tensors.len() > MOST_TENSORS {
            let fact =
                format!("are {}; the most that are believed is {MOST_TENSORS}", tensors.len());
            return Err(Error::new(ErrorKind::Weights, "tensors", fact));
        }
        tensors.sort_by(|a, b| a.name.cmp(&b.name));
        if let Some(twice) = tensors.windows(2).find(|pair| pair[0].name == pair[1].name) {
            return Err(at_tensor(&twice[0].name, "is there twice"));
        }
        let mut modules: BTreeMap<Key, Module> = BTreeMap::new();
        for (at, tensor) in tensors.iter().enumerate() {
            let named = match &names {
                Some(names) => names.of_tensor(&tensor.name),
                None => Key::of(&tensor.name),
            };
            let Some((key, role)) = named else { continue };
            let module = modules.entry(key).or_insert(Module { first: at, ..Module::default() });
            module.add(at, &tensors, role);
        }
        let bytes = tensors.iter().map(|tensor| u128::from(tensor.bytes)).sum();
        let first = tensors.first().map(|tensor| tensor.storage);
        let common = first.filter(|first| tensors.iter().all(|tensor| tensor.storage == *first));
        Ok(Self { tensors, modules, common, names, bytes })
    }

    /// How many there are.
    pub fn tensors(&self) -> usize {
        self.tensors.len()
    }

    /// The elements that they have.
    pub fn elements(&self) -> u128 {
        self.tensors.iter().fold(0, |sum: u128, tensor| sum.saturating_add(tensor.elements()))
    }

    /// The bytes that they take.
    pub fn bytes(&self) -> u128 {
        self.bytes
    }

    /// The modules of what sees or hears, and of what leads from there to the text part.
    fn towers(&self) -> impl Iterator<Item = &Module> {
        self.modules.iter().filter(|(key, _)| key.is_other_part()).map(|(_, module)| module)
    }

    /// The bytes that they take.
    /// How all tensors are stored, `None` if they are not all stored alike.
    pub fn storage(&self) -> Option<Storage> {
        self.common
    }

    pub(crate) fn tower_bytes(&self) -> u128 {
        self.towers().map(|module| module.bytes).sum()
    }

    /// How all their weights are stored, if they are stored alike.
    pub(crate) fn tower_storage(&self) -> Option<Storage> {
        let mut all = self.towers().map(|module| module.storage.or(module.bias));
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
        self.tensors.iter().any(|tensor| tensor.storage.is_scaled())
    }

    /// Whether any is packed so that its shape is not that of the matrix: integers in place of numbers.
    pub(crate) fn is_packed(&self) -> bool {
        let packed = |tensor: &Tensor| ["int8", "int32", "int64"].contains(&tensor.storage.name());
        self.names.is_none() && self.tensors.iter().any(packed)
    }

    /// What each module holds; what sees or hears is left out.
    pub(crate) fn parts(&self) -> impl Iterator<Item = Part<'_>> {
        let modules = self.modules.iter().filter(|(key, _)| !key.is_other_part());
        modules.map(|(key, module)| {
            let first = &self.tensors[module.weight.unwrap_or(module.first)];
            let bias = if module.weight.is_some() { module.bias_elements } else { 0 };
            let bias_bits = module.bias.map_or(0, |bias| bias.matrix_bits(1, 1));
            Part {
                layer: key.layer(),
                name: &first.name,
                module: key.module(),
                shape: &first.shape,
                copies: module.weights.max(1),
                alike: !module.uneven,
                storage: module.storage.unwrap_or(first.storage),
                bias,
                bias_bits: u64::try_from(bias_bits).unwrap_or(0),
            }
        })
    }

    /// Where an op's weights are.
    fn key(&self, layer: Option<u64>, op: &Op) -> Key {
        let inside;
        let module = match op {
            Op::Latent(op) => {
                inside = format!("{}.kv_b_proj", op.module);
                &inside
            }
            _ => op.module(),
        };
        match &self.names {
            Some(names) => names.of_op(layer, module),
            None => {
                let key = Key::new(layer, module);
                if self.modules.contains_key(&key) {
                    return key;
                }
                let alias = key.aliases().find(|alias| self.modules.contains_key(alias));
                alias.unwrap_or(key)
            }
        }
    }

    /// Stores an op as the file stores it, if the file has it.
    pub(crate) fn store(&self, op: &mut Op, layer: Option<u64>) {
        let module = self.modules.get(&self.key(layer, op));
        // Under another name it is stored as all are.
        let buffer = matches!(op, Op::Vector(op) if op.buffer);
        let common = self.common.filter(|_| !buffer);
        let bias = module.and_then(|module| module.bias);
        // What acts element by element may go by the name of a bias.
        let alone = bias.filter(|_| matches!(op, Op::Vector(_)));
        let weight = module.and_then(|module| module.storage).or(alone).or(common);
        if let Some(storage) = weight {
            op.store_as(storage);
        }
        if let Some(bias) = bias.or(common) {
            op.store_bias_as(bias);
        }
    }

    /// Holds the shapes against a model's ops; what differs, as a note.
    pub(crate) fn check<'m>(&self, wanted: impl Iterator<Item = Wanted<'m>>) -> Option<String> {
        let mut expected: BTreeMap<Key, (u128, bool)> = BTreeMap::new();
        for Wanted { layer, op } in wanted {
            let shared = match op {
                Op::Linear(op) => op.shared_weights,
                Op::Table(op) => op.shared,
                _ => false,
            };
            let buffer = matches!(op, Op::Vector(op) if op.buffer);
            let key = self.key(layer, op);
            if !matches!(op, Op::Attention(_) | Op::Cross(_)) && !key.is_in_metadata() {
                let entry = expected.entry(key).or_default();
                entry.0 += op.parameters();
                entry.1 |= shared || buffer;
            }
        }
        // A tied head may be stored once more, and buffers are no parameters.
        let counts = |key: &Key| match expected.get(key) {
            Some((_, apart)) => !apart,
            None => !key.is_other_part(),
        };
        let stored: u128 = self
            .modules
            .iter()
            .filter(|(key, _)| counts(key))
            .map(|(_, module)| module.elements)
            .sum();
        let total: u128 =
            expected.iter().filter(|(key, _)| counts(key)).map(|(_, (count, _))| count).sum();
        if stored == total {
            return None;
        }
        let mut note =
            format!("shapes of the tensors give {stored} parameters, the config {total}");
        let mut more = 0_usize;
        let mut name = |what: &dyn Fn() -> String| {
            if more < NAMED {
                let _ = write!(note, "; {}", what());
            }
            more += 1;
        };
        for (key, module) in self.modules.iter().filter(|(key, _)| counts(key)) {
            let tensor = &self.tensors[module.first];
            let (shown, shape) = (|| crate::error::shown(&tensor.name), &tensor.shape);
            match expected.get(key) {
                None => name(&|| format!("`{}` {shape:?} is in no count", shown())),
                Some((count, _)) if *count != module.elements => name(&|| {
                    format!("`{}` {shape:?} where the config gives {count} parameters", shown())
                }),
                Some(_) => {}
            }
        }
        let absent = expected.iter().filter(|(key, (count, _))| {
            counts(key) && *count > 0 && !self.modules.contains_key(key)
        });
        absent.for_each(|(key, _)| name(&|| format!("`{key}` is in no file")));
        if more > NAMED {
            let _ = write!(note, "; and {} more", more - NAMED);
        }
        Some(note)
    }
}

impl Module {
    fn add(&mut self, at: usize, tensors: &[Tensor], role: name::Role) {
        let tensor = &tensors[at];
        self.elements += tensor.elements();
        self.bytes += u128::from(tensor.bytes);
        match role {
            name::Role::Bias => {
                self.bias = Some(tensor.storage);
                self.bias_elements += tensor.elements();
            }
            name::Role::Weight => {
                self.mixed |= self.storage.is_some_and(|other| other != tensor.storage);
                self.storage = (!self.mixed).then_some(tensor.storage);
                let first = *self.weight.get_or_insert(at);
                self.uneven |= tensors[first].shape != tensor.shape;
                self.weights += 1;
            }
        }
    }
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
    fn a_name_that_two_tensors_have() {
        let mut all = tensors(Dtype::Bf16);
        all.push(all[0].clone());
        let error = Weights::new(all).expect_err("twice").to_string();
        assert_eq!(error, "tensor `model.embed_tokens.weight`: is there twice");
    }
}
