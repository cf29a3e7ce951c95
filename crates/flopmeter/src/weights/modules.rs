//! Tensors by the module that they belong to.

use super::name::{Key, Place, Role};
use super::{TensorRef, gguf};
use crate::dtype::Dtype;
use crate::op::Storage;
use foldhash::fast::RandomState;
use std::collections::HashMap;
use std::sync::Arc;

/// All modules, in the order in which their first tensors came.
#[derive(Debug, Default)]
pub(super) struct Modules {
    all: Vec<Module>,
    /// Names below layers, each once, and their numbers.
    names: HashMap<Arc<str>, usize, RandomState>,
    /// Modules by their layer and the number of their name.
    places: HashMap<(Option<u64>, usize), usize, RandomState>,
    /// All ways in which tensors are stored.
    storages: Vec<Storage>,
}

/// Tensors of one module of one layer; those of all experts are one module's.
#[derive(Debug)]
pub(super) struct Module {
    pub key: Key,
    /// The first of its tensors, or the first that is no bias.
    pub name: Box<str>,
    pub shape: Box<[u64]>,
    /// Whether it is of what sees or hears.
    pub of_other_part: bool,
    pub elements: u128,
    pub bytes: u128,
    bias_elements: u128,
    /// How many weights there are, and whether they have one shape and one storage.
    weights: u32,
    uneven: bool,
    mixed: bool,
    /// Which storage the first weight has, and the last bias.
    storage: Option<u8>,
    bias: Option<u8>,
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

impl Modules {
    pub fn all(&self) -> std::slice::Iter<'_, Module> {
        self.all.iter()
    }

    pub fn at(&self, at: usize) -> &Module {
        &self.all[at]
    }

    /// Those outside layers, then layer by layer.
    pub fn in_order(&self) -> Vec<&Module> {
        let mut all: Vec<&Module> = self.all.iter().collect();
        all.sort_by(|a, b| a.key.cmp(&b.key));
        all
    }

    /// Where a module is.
    pub fn find(&self, layer: Option<u64>, module: &str) -> Option<usize> {
        let name = self.names.get(module)?;
        self.places.get(&(layer, *name)).copied()
    }

    /// Puts one of the tensors, of so many elements, to the others of its module.
    pub fn add(&mut self, place: &Place<'_>, tensor: TensorRef<'_>, elements: u128) {
        let next = self.names.len();
        let (module, name) = match self.names.get_key_value(place.module) {
            Some((module, name)) => (module.clone(), *name),
            None => (Arc::from(place.module), next),
        };
        if name == next {
            self.names.insert(module.clone(), name);
        }
        let next = self.all.len();
        let found = *self.places.entry((place.layer, name)).or_insert(next);
        if found == next {
            let key = Key { layer: place.layer, module };
            self.all.push(Module::new(key, place.of_other_part, tensor));
        }
        let storage = self.number(tensor.storage);
        self.all[found].add(place.role, tensor, elements, storage);
    }

    /// All ways in which tensors are stored, each once.
    pub fn storages(&self) -> &[Storage] {
        &self.storages
    }

    /// The number of a storage; formats have some thirty.
    pub fn number(&mut self, storage: Storage) -> u8 {
        let at = self.storages.iter().position(|other| *other == storage);
        let at = at.unwrap_or_else(|| {
            self.storages.push(storage);
            self.storages.len() - 1
        });
        u8::try_from(at).unwrap_or(u8::MAX)
    }

    /// How a module's weights are stored, if they are all stored alike.
    pub fn storage(&self, module: &Module) -> Option<Storage> {
        module.storage.filter(|_| !module.mixed).map(|at| self.storages[usize::from(at)])
    }

    pub fn bias_storage(&self, module: &Module) -> Option<Storage> {
        module.bias.map(|at| self.storages[usize::from(at)])
    }

    /// What a module holds.
    pub fn part<'w>(&'w self, module: &'w Module) -> Part<'w> {
        let bias = self.bias_storage(module);
        let first = module.storage.or(module.bias).map(|at| self.storages[usize::from(at)]);
        Part {
            layer: module.key.layer,
            name: &module.name,
            module: &module.key.module,
            shape: &module.shape,
            copies: u64::from(module.weights.max(1)),
            alike: !module.uneven,
            storage: first.unwrap_or(Storage::plain(Dtype::Fp32)),
            bias: if module.storage.is_some() { module.bias_elements } else { 0 },
            bias_bits: bias.map_or(0, |bias| u64::try_from(bias.matrix_bits(1, 1)).unwrap_or(0)),
        }
    }
}

impl Module {
    fn new(key: Key, of_other_part: bool, first: TensorRef<'_>) -> Self {
        Self {
            key,
            name: first.name.into(),
            shape: first.shape.into(),
            of_other_part,
            elements: 0,
            bytes: 0,
            bias_elements: 0,
            weights: 0,
            uneven: false,
            mixed: false,
            storage: None,
            bias: None,
        }
    }

    fn add(&mut self, role: Role, tensor: TensorRef<'_>, elements: u128, storage: u8) {
        self.elements = self.elements.saturating_add(elements);
        self.bytes += u128::from(tensor.bytes);
        match (role, self.storage) {
            (Role::Bias, _) => {
                self.bias = Some(storage);
                self.bias_elements = self.bias_elements.saturating_add(elements);
            }
            (Role::Weight, None) => {
                // A bias may have come before.
                if self.bias.is_some() {
                    (self.name, self.shape) = (tensor.name.into(), tensor.shape.into());
                }
                self.storage = Some(storage);
                self.weights = 1;
            }
            (Role::Weight, Some(first)) => {
                self.mixed |= first != storage;
                self.uneven |= *self.shape != *tensor.shape;
                self.weights += 1;
            }
        }
    }
}
