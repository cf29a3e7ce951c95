//! A model by a few sizes of a row, as the smallest config that has them.

use super::cells::Cells;
use super::column::Column;
use crate::config::Config;
use crate::error::Result;
use crate::model::Model;
use serde_json::{Value, json};

/// Kind of a feed-forward layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeedForward {
    /// Two matrices: up and down.
    Plain,
    /// Three: gate, up and down.
    Gated,
}

/// Sizes of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModelShape {
    /// Layers.
    pub layers: u64,
    /// Width.
    pub hidden: u64,
    /// Query heads, key and value heads, and how wide one is.
    pub heads: [u64; 3],
    /// Width of the feed-forward layer, or of one expert.
    pub ffn: u64,
    /// Its kind.
    pub kind: FeedForward,
    /// Tokens that are told apart.
    pub vocabulary: u64,
    /// Experts of a layer, and how many a token passes.
    pub experts: Option<(u64, u64)>,
    /// Whether the head is the token table, if that is known.
    pub tied: Option<bool>,
}

impl ModelShape {
    /// The shape that a row gives, or what of it is missing.
    pub(super) fn read(row: &Cells<'_>) -> Result<std::result::Result<Self, String>> {
        let [layers, hidden, ffn, vocabulary] =
            [Column::Layers, Column::Hidden, Column::Ffn, Column::Vocab].map(|it| row.whole(it));
        let (layers, hidden, ffn, vocabulary) = (layers?, hidden?, ffn?, vocabulary?);
        let [heads, kv_heads, head_dim] =
            [Column::Heads, Column::KvHeads, Column::HeadDim].map(|it| row.whole(it));
        let (heads, kv_heads, head_dim) = (heads?, kv_heads?, head_dim?);
        let [experts, active] = [Column::Experts, Column::ActiveExperts].map(|it| row.whole(it));
        let (experts, active) = (experts?, active?);
        let tied = row.flag(Column::Tied)?;
        let kind = match row.text(Column::FfnType).map(str::to_ascii_lowercase).as_deref() {
            None => None,
            Some("gelu" | "relu" | "relu2" | "squared_relu" | "plain") => Some(FeedForward::Plain),
            Some("swiglu" | "silu" | "geglu" | "reglu" | "glu" | "gated") => {
                Some(FeedForward::Gated)
            }
            Some(_) => {
                return Err(row.wrong(
                    Column::FfnType,
                    "is no kind of feed-forward layer that is known",
                    "known: gelu, relu, squared_relu (two matrices), swiglu, geglu, glu (three)",
                ));
            }
        };
        let needed = [
            (Column::Layers, layers.is_some()),
            (Column::Hidden, hidden.is_some()),
            (Column::Ffn, ffn.is_some()),
            (Column::FfnType, kind.is_some()),
            (Column::Vocab, vocabulary.is_some()),
        ];
        let missing = |columns: &[&str]| format!("has no `{}`", columns.join("`, `"));
        let (Some(layers), Some(hidden), Some(ffn), Some(kind), Some(vocabulary)) =
            (layers, hidden, ffn, kind, vocabulary)
        else {
            let lacking = needed.iter().filter(|(_, there)| !there).map(|(it, _)| it.name());
            return Ok(Err(missing(&lacking.collect::<Vec<_>>())));
        };
        let experts = match (experts, active) {
            (None, _) => None,
            (Some(_), _) if kind == FeedForward::Plain => {
                return Ok(Err("has experts of two matrices, which no shape stands for".into()));
            }
            (Some(experts), Some(active)) => Some((experts, active)),
            (Some(_), None) => return Ok(Err(missing(&[Column::ActiveExperts.name()]))),
        };
        // Without heads, one as wide as the model: they cost the same together.
        let query = heads.unwrap_or(1);
        let width = match head_dim {
            Some(width) => width,
            None if hidden.is_multiple_of(query) => hidden / query,
            None => {
                return Ok(Err(format!(
                    "has no `head_dim`, and {query} heads do not divide {hidden}"
                )));
            }
        };
        let heads = [query, kv_heads.unwrap_or(query), width];
        Ok(Ok(Self { layers, hidden, heads, ffn, kind, vocabulary, experts, tied }))
    }

    /// A model of this shape: a GPT with a learned table of `positions` where the feed-forward layers have two matrices
    /// and heads are as wide as the model together, a Llama where they have three, a Mixtral where there are experts.
    ///
    /// Where the shape does not say whether the head is the token table, it is in a GPT, and elsewhere it is if that
    /// comes nearer to the number of parameters that the source states.
    ///
    /// # Errors
    ///
    /// As for any config.
    pub fn model(&self, positions: u64, stated: Option<f64>) -> Result<Model> {
        if let Some(tied) = self.tied {
            return self.built(positions, tied);
        }
        if self.is_gpt() {
            return self.built(positions, true);
        }
        let apart = self.built(positions, false)?;
        let Some(stated) = stated else { return Ok(apart) };
        let tied = self.built(positions, true)?;
        let off = |model: &Model| (model.parameters().total as f64 - stated).abs();
        Ok(if off(&tied) < off(&apart) { tied } else { apart })
    }

    fn is_gpt(&self) -> bool {
        let [query, kv_heads, width] = self.heads;
        self.kind == FeedForward::Plain
            && self.experts.is_none()
            && query == kv_heads
            && query.checked_mul(width) == Some(self.hidden)
    }

    fn built(&self, positions: u64, tied: bool) -> Result<Model> {
        let config = self.config(positions, tied).to_string();
        Model::from_config(&Config::parse(&config)?)
    }

    fn config(&self, positions: u64, tied: bool) -> Value {
        let Self { layers, hidden, heads, ffn, kind, vocabulary, experts, .. } = *self;
        let [query, kv_heads, width] = heads;
        if self.is_gpt() {
            return json!({
                "model_type": "gpt2", "n_layer": layers, "n_embd": hidden, "n_head": query, "n_inner": ffn,
                "n_positions": positions, "vocab_size": vocabulary, "tie_word_embeddings": tied,
                "torch_dtype": "bfloat16",
            });
        }
        let model_type = match (experts, kind) {
            (Some(_), _) => "mixtral",
            (None, FeedForward::Gated) => "llama",
            (None, FeedForward::Plain) => "nemotron",
        };
        let mut config = json!({
            "model_type": model_type, "num_hidden_layers": layers, "hidden_size": hidden,
            "num_attention_heads": query, "num_key_value_heads": kv_heads, "head_dim": width,
            "intermediate_size": ffn, "vocab_size": vocabulary, "tie_word_embeddings": tied,
            "torch_dtype": "bfloat16",
        });
        if let Some((experts, active)) = experts {
            config["num_local_experts"] = experts.into();
            config["num_experts_per_tok"] = active.into();
        }
        config
    }
}
