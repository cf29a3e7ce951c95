//! Heads of grouped-query attention, as configs state them.

use super::projection;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::op::{Attention, Op};
use crate::passes::Mask;

/// What files call the number of query heads.
pub(crate) const QUERY_HEADS: [&str; 4] = ["num_attention_heads", "n_head", "num_heads", "n_heads"];
/// What they call the number of heads of keys and values.
pub(crate) const KV_HEADS: [&str; 2] = ["num_key_value_heads", "n_head_kv"];

/// The first of several spellings that the file has, or the first of all.
fn spelled(c: &Config, keys: &[&'static str]) -> &'static str {
    keys.iter().find(|key| c.has(key)).unwrap_or(&keys[0])
}

/// The error of KV heads, stated under `key` or taken for it, that do not divide the query heads.
fn uneven(c: &Config, key: &str, query: u64, kv: u64) -> Error {
    let fact = format!("{query} query heads cannot share {kv} key/value heads evenly");
    if c.has(key) {
        // A part states only the one number, what is around it the other.
        let other = QUERY_HEADS.iter().find(|key| c.has(key));
        let other = other.map_or("the number of query heads".into(), |key| format!("`{key}`"));
        return c.contradiction(key, &fact).hint(format!("check {other}"));
    }
    c.contradiction(spelled(c, &QUERY_HEADS), &fact).hint(format!(
        "{}, for which the reference implementation takes {kv}: state it",
        c.absence(key)
    ))
}

/// Heads of grouped-query attention, queries and values of one width.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heads {
    pub query: u64,
    pub kv: u64,
    pub dim: u64,
}

impl Heads {
    /// `num_attention_heads`, `num_key_value_heads`, `head_dim`.
    ///
    /// As in the reference implementation: absent KV heads mean one for each query head, an absent
    /// `head_dim` means that the heads share the model's width. Either is noted.
    pub fn read(c: &Config, hidden: u64) -> Result<Self> {
        let query = c.size_of(&QUERY_HEADS)?;
        let kv = c.size_or("num_key_value_heads", query)?;
        Self::checked(c, hidden, query, kv, c.maybe("head_dim")?)
    }

    /// The same of a class that has its own number of KV heads where the key is absent, and perhaps its
    /// own `head_dim`; null means what [`read`](Self::read) takes absence for.
    pub fn read_or(c: &Config, hidden: u64, kv: u64, dim: Option<u64>) -> Result<Self> {
        let query = c.size("num_attention_heads")?;
        let kv = match c.maybe_or("num_key_value_heads", kv)? {
            Some(kv) => kv,
            None => c.size_or("num_key_value_heads", query)?,
        };
        let dim = match dim {
            Some(default) => c.maybe_or("head_dim", default)?,
            None => c.maybe("head_dim")?,
        };
        Self::checked(c, hidden, query, kv, dim)
    }

    /// Heads of known numbers; `dim` is `hidden / query` if not given, which is noted.
    pub fn checked(c: &Config, hidden: u64, query: u64, kv: u64, dim: Option<u64>) -> Result<Self> {
        if !query.is_multiple_of(kv) {
            return Err(uneven(c, spelled(c, &KV_HEADS), query, kv));
        }
        let dim = match dim {
            Some(dim) => dim,
            None if hidden.is_multiple_of(query) => c.size_or("head_dim", hidden / query)?,
            None => {
                return Err(c
                    .contradiction(
                        spelled(c, &QUERY_HEADS),
                        &format!("{query} heads do not divide the width {hidden} evenly"),
                    )
                    .hint("give `head_dim` if the heads are not the width's share"));
            }
        };
        Ok(Self { query, kv, dim })
    }

    /// Heads that cut the width into equal shares, each with keys and values of its own.
    ///
    /// For the architectures in which no `head_dim` can say otherwise. `keys` are the spellings of
    /// the number of heads.
    pub fn equal(c: &Config, hidden: u64, keys: &[&'static str]) -> Result<Self> {
        let query = c.size_of(keys)?;
        if !hidden.is_multiple_of(query) {
            let fact = format!("{query} heads do not divide the width {hidden} evenly");
            return Err(c.contradiction(spelled(c, keys), &fact).hint("check the model's width"));
        }
        Ok(Self { query, kv: query, dim: hidden / query })
    }

    /// The same heads with `kv` of them for keys and values, as `key` states.
    pub fn sharing(self, c: &Config, key: &'static str, kv: u64) -> Result<Self> {
        if !self.query.is_multiple_of(kv) {
            return Err(uneven(c, key, self.query, kv));
        }
        Ok(Self { kv, ..self })
    }

    /// Width of all queries, and of all values after attention.
    pub fn query_width(&self) -> u64 {
        self.query * self.dim
    }

    /// Width of all keys, and of all values before attention.
    pub fn kv_width(&self) -> u64 {
        self.kv * self.dim
    }

    /// Width of a fused projection: queries, keys and values side by side.
    pub fn fused_width(&self) -> u64 {
        self.query_width() + 2 * self.kv_width()
    }

    /// Attention among these heads.
    pub fn attend(&self, mask: Mask) -> Op {
        self.attend_in("self_attn", mask)
    }

    /// Attention among these heads in a module that is not called `self_attn`.
    pub fn attend_in(&self, module: &'static str, mask: Mask) -> Op {
        Attention::new(module, self.query, self.kv, self.dim, self.dim, mask).into()
    }

    /// Attention of these heads to a source.
    pub fn attend_across(&self, module: &'static str) -> Op {
        Op::Cross(Attention::new(module, self.query, self.kv, self.dim, self.dim, Mask::Full))
    }

    /// `q_proj`, `k_proj`, `v_proj`, attention and `o_proj` under `self_attn`.
    pub fn attention(&self, hidden: u64, qkv_bias: bool, out_bias: bool, mask: Mask) -> Vec<Op> {
        let (q, kv) = (self.query_width(), self.kv_width());
        vec![
            projection("self_attn.q_proj", hidden, q).bias(qkv_bias).into(),
            projection("self_attn.k_proj", hidden, kv).bias(qkv_bias).into(),
            projection("self_attn.v_proj", hidden, kv).bias(qkv_bias).into(),
            self.attend(mask),
            projection("self_attn.o_proj", q, hidden).bias(out_bias).into(),
        ]
    }
}
