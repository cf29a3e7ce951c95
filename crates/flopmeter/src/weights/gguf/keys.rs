//! What a key of config.json is in a GGUF file: a key of the metadata, or what the tensors show.

use super::file::File;
use crate::error::Result;
use serde_json::{Map, Value};

/// A key of config.json, named first, and where its value is.
///
/// Keys of the metadata are named without the architecture before them, tensors without their layer
/// and, if it is `.weight`, without their end.
#[derive(Debug, Clone, Copy)]
pub(super) enum Key {
    /// A number of the metadata; of a list, one a layer, the one that all layers have which have any.
    Number(&'static str, &'static str),
    /// The least number of a list.
    Least(&'static str, &'static str),
    /// A number of the metadata divided by another.
    Quotient(&'static str, &'static str, &'static str),
    /// A size that is null where the metadata have none or zero.
    OrNull(&'static str, &'static str),
    /// The number of rows of a matrix, in the first layer that has it.
    Rows(&'static str, &'static str),
    /// Its number of columns.
    Columns(&'static str, &'static str),
    /// Its number of columns in every layer.
    EveryColumns(&'static str, &'static str),
    /// How many layers come before the first that has a tensor.
    Before(&'static str, &'static str),
    /// The last layer that has a tensor.
    Last(&'static str, &'static str),
    /// All layers that have a tensor.
    Layers(&'static str, &'static str),
    /// Its number of columns, or a number of the metadata where no layer has it.
    Width(&'static str, &'static str, &'static str),
    /// How many times wider one matrix is than another.
    Times(&'static str, &'static str, &'static str),
    /// Whether there is such a tensor.
    Has(&'static str, &'static str),
    /// Whether there is none.
    Lacks(&'static str, &'static str),
    /// What is so in every file of the architecture.
    Always(&'static str, bool),
    /// A size that is so in every file of the architecture.
    Fixed(&'static str, u64),
    /// One size where there is such a tensor, another where there is none.
    Either(&'static str, &'static str, u64, u64),
    /// Whether queries, keys and values in one matrix are not equally wide.
    Shares(&'static str, &'static str),
    /// Kinds of layers, each by the first of the tensors that it has, and the kind of the rest.
    Kinds(&'static str, &'static [(&'static str, &'static str)], &'static str),
    /// `layer_types` by the list of layers that slide, if there is one.
    Sliding,
    /// Every how many layers one has a tensor, and which of them it is.
    Period(&'static str, &'static str, &'static str),
    /// `num_key_value_heads`: as wide as the keys are.
    KvHeads,
    /// `head_dim`, which is the width's share where the metadata do not state it.
    HeadDim,
    /// Heads of layers that slide and, under keys of their own, of the others (Gemma-4).
    LocalHeads,
    /// Whether a layer that has the one tensor lacks the other.
    LacksBeside(&'static str, &'static str, &'static str),
    /// Whether a matrix is wider in the last layer than in the first.
    Grows(&'static str, &'static str),
    /// Ranks and widths of latent attention.
    Latent,
}

impl File<'_> {
    /// Writes the keys of a config.
    pub fn write(&self, keys: &[Key], config: &mut Map<String, Value>) -> Result<()> {
        for key in keys {
            self.write_one(*key, config)?;
        }
        Ok(())
    }

    fn write_one(&self, key: Key, config: &mut Map<String, Value>) -> Result<()> {
        let mut set = |key: &str, value: Option<u64>| put(config, key, value.map(Value::from));
        match key {
            Key::Number(key, from) => set(key, self.number(from)?),
            Key::Least(key, from) => {
                set(key, self.numbers(from).iter().copied().filter(|n| *n > 0).min())
            }
            Key::Quotient(key, of, by) => {
                let by = self.number(by)?.filter(|by| *by > 0);
                let of = self.number(of)?;
                set(key, of.zip(by).filter(|(of, by)| of % by == 0).map(|(of, by)| of / by));
            }
            Key::OrNull(key, from) => {
                let size = self.number(from)?.filter(|size| *size > 0);
                config.insert(key.into(), size.into());
            }
            Key::Rows(key, tensor) => set(key, self.rows(tensor)),
            Key::Columns(key, tensor) => set(key, self.columns(tensor)),
            Key::EveryColumns(key, tensor) => {
                let columns = |layer| Some(*self.layers.get(&layer)?.get(tensor)?.shape.last()?);
                let all: Option<Vec<u64>> = (0..self.count_believed()).map(columns).collect();
                put(config, key, all.map(Value::from));
            }
            Key::Width(key, tensor, from) => {
                let width = match self.columns(tensor) {
                    Some(width) => Some(width),
                    None => self.number(from)?,
                };
                set(key, width);
            }
            Key::Times(key, of, by) => {
                let by = self.columns(by).filter(|by| *by > 0);
                set(key, Some(self.columns(of).zip(by).map_or(0, |(of, by)| of / by)));
            }
            Key::Has(key, tensor) => put(config, key, Some(self.has(tensor).into())),
            Key::Lacks(key, tensor) => put(config, key, Some((!self.has(tensor)).into())),
            Key::Always(key, flag) => put(config, key, Some(flag.into())),
            Key::Fixed(key, size) => set(key, Some(size)),
            Key::Either(key, tensor, with, without) => {
                set(key, Some(if self.has(tensor) { with } else { without }));
            }
            Key::Kinds(key, kinds, rest) => {
                let kind = |layer| {
                    let has =
                        |tensor| self.layers.get(&layer).is_some_and(|it| it.contains_key(tensor));
                    kinds.iter().find(|(tensor, _)| has(*tensor)).map_or(rest, |(_, kind)| kind)
                };
                let all: Vec<&str> = (0..self.count_believed()).map(kind).collect();
                put(config, key, Some(all.into()));
            }
            Key::Sliding => {
                let slides = self.numbers("attention.sliding_window_pattern");
                if slides.len() as u64 >= self.count.max(2) {
                    let kind =
                        |slides| if slides > 0 { "sliding_attention" } else { "full_attention" };
                    let count = usize::try_from(self.count).unwrap_or(usize::MAX);
                    let all: Vec<&str> =
                        slides.iter().take(count).map(|slides| kind(*slides)).collect();
                    put(config, "layer_types", Some(all.into()));
                }
            }
            Key::Period(period, offset, tensor) => {
                let mut with = self.with(tensor);
                let (first, next) = (with.next(), with.next());
                // A period that is longer than the model has at most one.
                let offset_is = first.unwrap_or(self.count);
                set(period, Some(next.unwrap_or(offset_is + self.count + 1) - offset_is));
                set(offset, Some(offset_is));
            }
            Key::Before(key, tensor) => {
                set(key, Some(self.with(tensor).next().unwrap_or(self.count)));
            }
            Key::Last(key, tensor) => set(key, self.with(tensor).last()),
            Key::Layers(key, tensor) => {
                put(config, key, Some(self.with(tensor).collect::<Vec<u64>>().into()));
            }
            Key::Shares(key, tensor) => {
                let thrice = self.columns(tensor).and_then(|columns| columns.checked_mul(3));
                put(config, key, Some((self.rows(tensor) != thrice).into()));
            }
            Key::KvHeads => {
                let dim = self.head_dim()?.filter(|dim| *dim > 0);
                let stated = self.number("attention.head_count_kv")?;
                let shown = self.rows("attn_k").zip(dim).filter(|(rows, dim)| rows % dim == 0);
                let heads = match (shown, stated) {
                    (Some((rows, dim)), _) => Some(rows / dim),
                    (None, Some(stated)) => Some(stated),
                    (None, None) => self.number("attention.head_count")?,
                };
                set("num_key_value_heads", heads);
            }
            Key::HeadDim => set("head_dim", self.head_dim()?),
            Key::LocalHeads => self.local_heads(config)?,
            Key::LacksBeside(key, with, without) => {
                let mut layers = self.layers.values();
                let lacks = layers.any(|it| it.contains_key(with) && !it.contains_key(without));
                put(config, key, Some(lacks.into()));
            }
            Key::Grows(key, tensor) => {
                let last =
                    self.layers.values().rev().find_map(|layer| layer.get(tensor)?.shape.last());
                put(config, key, Some((last.copied() > self.columns(tensor)).into()));
            }
            Key::Latent => self.latent(config)?,
        }
        Ok(())
    }

    /// Keys are wide in a part of their own and in one for positions; files that keep keys and values
    /// apart state both widths under other names.
    fn latent(&self, config: &mut Map<String, Value>) -> Result<()> {
        let heads = self.number("attention.head_count")?;
        let either = |new: &str, old: &str| Ok(self.number(new)?.or(self.number(old)?));
        let positions = self.number("rope.dimension_count")?;
        let key: Option<u64> = either("attention.key_length_mla", "attention.key_length")?;
        let own = key.zip(positions).and_then(|(key, positions)| key.checked_sub(positions));
        let value = match either("attention.value_length_mla", "attention.value_length")? {
            Some(value) => Some(value),
            None => self
                .rows("attn_kv_b")
                .zip(heads.filter(|heads| *heads > 0))
                .zip(own)
                .and_then(|((rows, heads), own)| (rows / heads).checked_sub(own)),
        };
        let query = self.number("attention.q_lora_rank")?.filter(|rank| *rank > 0);
        for (key, value) in [
            ("num_attention_heads", heads),
            ("num_key_value_heads", heads),
            ("kv_lora_rank", self.number("attention.kv_lora_rank")?),
            ("qk_rope_head_dim", positions),
            ("qk_nope_head_dim", own),
            ("v_head_dim", value),
        ] {
            put(config, key, value.map(Value::from));
        }
        config.insert("q_lora_rank".into(), query.into());
        Ok(())
    }

    fn local_heads(&self, config: &mut Map<String, Value>) -> Result<()> {
        let slides = self.numbers("attention.sliding_window_pattern");
        let of_kind = |slide: bool, dim: Option<u64>| {
            let dim = dim.filter(|dim| *dim > 0)?;
            let mut layers = self.layers.iter().filter(|(layer, _)| {
                usize::try_from(**layer)
                    .ok()
                    .and_then(|at| slides.get(at))
                    .is_some_and(|it| (*it > 0) == slide)
            });
            let rows = layers.find_map(|(_, tensors)| tensors.get("attn_k")?.shape.first())?;
            Some(rows / dim)
        };
        let (local, global) =
            (self.number("attention.key_length_swa")?, self.number("attention.key_length")?);
        for (key, value) in [
            ("num_attention_heads", self.number("attention.head_count")?),
            ("head_dim", local),
            ("global_head_dim", global),
            ("num_key_value_heads", of_kind(true, local)),
            ("num_global_key_value_heads", of_kind(false, global)),
        ] {
            put(config, key, value.map(Value::from));
        }
        Ok(())
    }
}

/// Puts a value under a key; `a.b` is `b` of the object `a`.
fn put(config: &mut Map<String, Value>, key: &str, value: Option<Value>) {
    let Some(value) = value else { return };
    match key.split_once('.') {
        None => {
            config.insert(key.into(), value);
        }
        Some((outer, inner)) => {
            let nested = config.entry(outer).or_insert_with(|| Map::new().into());
            if let Value::Object(nested) = nested {
                nested.insert(inner.into(), value);
            }
        }
    }
}
