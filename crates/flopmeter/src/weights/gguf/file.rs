//! A file's metadata and its tensors, as they are asked for.

use super::Header;
use crate::error::Result;
use crate::weights::Tensor;
use std::collections::BTreeMap;

/// A file's metadata and its tensors by layer.
pub(super) struct File<'f> {
    header: &'f Header,
    architecture: &'f str,
    /// Tensors outside layers.
    outside: BTreeMap<&'f str, &'f Tensor>,
    /// Those of each layer, without what names the layer.
    pub layers: BTreeMap<u64, BTreeMap<&'f str, &'f Tensor>>,
    /// How many layers a pass runs through.
    pub count: u64,
}

impl<'f> File<'f> {
    pub fn new(header: &'f Header, architecture: &'f str, tensors: &'f [Tensor]) -> Result<Self> {
        let mut file = Self {
            header,
            architecture,
            outside: BTreeMap::new(),
            layers: BTreeMap::new(),
            count: 0,
        };
        let blocks = file.number("block_count")?.unwrap_or(0);
        file.count = blocks.saturating_sub(file.number("nextn_predict_layers")?.unwrap_or(0));
        for tensor in tensors {
            let name = tensor.name.strip_suffix(".weight").unwrap_or(&tensor.name);
            let inside = name.strip_prefix("blk.").and_then(|rest| rest.split_once('.'));
            match inside.and_then(|(layer, name)| Some((layer.parse::<u64>().ok()?, name))) {
                None => {
                    file.outside.insert(name, tensor);
                }
                Some((layer, name)) if layer < file.count => {
                    file.layers.entry(layer).or_default().insert(name, tensor);
                }
                Some(_) => {}
            }
        }
        Ok(file)
    }

    /// As stated, or as wide as the queries are, or the width's share.
    pub fn head_dim(&self) -> Result<Option<u64>> {
        if let Some(stated) = self.number("attention.key_length")? {
            return Ok(Some(stated));
        }
        let heads = self.number("attention.head_count")?.filter(|heads| *heads > 0);
        let width = self.rows("attn_q").or(self.number("embedding_length")?);
        Ok(width
            .zip(heads)
            .filter(|(width, heads)| width % heads == 0)
            .map(|(width, heads)| width / heads))
    }

    /// Layers that have a tensor, in their order.
    pub fn with<'s>(&'s self, tensor: &'static str) -> impl Iterator<Item = u64> + 's {
        let has = move |(layer, tensors): (&u64, &BTreeMap<&str, _>)| {
            tensors.contains_key(tensor).then_some(*layer)
        };
        self.layers.iter().filter_map(has)
    }

    /// Whether any layer, or what stands outside them, has a tensor.
    pub fn has(&self, tensor: &str) -> bool {
        self.outside.contains_key(tensor) || self.first(tensor).is_some()
    }

    /// A tensor outside layers, or in the first layer that has it.
    pub fn first(&self, tensor: &str) -> Option<&'f Tensor> {
        let inside = || self.layers.values().find_map(|layer| layer.get(tensor));
        self.outside.get(tensor).or_else(inside).copied()
    }

    /// The rows of a matrix, or of each matrix of several; elements of a vector.
    pub fn rows(&self, tensor: &str) -> Option<u64> {
        let shape = &self.first(tensor)?.shape;
        shape.len().checked_sub(2).map_or(shape.first(), |at| shape.get(at)).copied()
    }

    pub fn columns(&self, tensor: &str) -> Option<u64> {
        self.first(tensor)?.shape.last().copied()
    }

    /// Layers as far as tensors tell of them, so that a number without layers costs nothing.
    pub fn count_believed(&self) -> u64 {
        self.layers
            .keys()
            .next_back()
            .map_or(0, |last| last + 1)
            .max(self.count.min(1 << 12))
            .min(1 << 12)
    }

    /// A size, also where it is a list of equal ones, one a layer that has any.
    pub fn number(&self, key: &str) -> Result<Option<u64>> {
        let key = format!("{}.{key}", self.architecture);
        self.header.size(&key)
    }

    pub fn numbers(&self, key: &str) -> &[u64] {
        self.header.list(&format!("{}.{key}", self.architecture))
    }
}
