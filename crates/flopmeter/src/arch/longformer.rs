//! Longformer (arXiv:2004.05150), and LED: its encoder before BART's decoder. Each token sees a window on either side.
//!
//! ```text
//! Longformer  embed + positions + segments → norm → L × [ q, k, v → attend near → out → norm ] [ up → down → norm ]
//!             (→ pool or head)
//! LED         the same without segments, and BART's decoder attends to what it gives
//! ```
//!
//! Tokens may be global: they see all and are seen by all, through queries, keys and values of their own, whose weights
//! every layer has. The class that labels a sequence makes one of the first token; otherwise a request has none. `torch`
//! counts a sequence that is filled up to whole windows, and the pieces that it is multiplied in.

use super::bart::layer::Layer as BartLayer;
use super::bert::{decoder_head, embeddings, transform};
use super::parts::{Heads, head, layer_norm, mlp, one_each, projection, shared_table, table, tied};
use super::task::{Task, classify, everywhere, for_each_token, for_sequence};
use crate::component::Component;
use crate::config::Config;
use crate::error::Result;
use crate::model::{Builder, Model};
use crate::op::{Linear, Local, Op, Pieces};
use crate::passes::Mask;
use crate::stack::Reads;

pub(super) const MODEL_TYPES: &[&str] = &["led", "longformer"];

pub(super) fn build(c: &Config) -> Result<Model> {
    if c.model_type() == "led" { led(c) } else { longformer(c) }
}

fn longformer(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let vocab = c.size("vocab_size")?;
    let embeddings = embeddings(c, vocab, 512, d)?;
    let layers = c.size("num_hidden_layers")?;
    let task = Task::of(c)?;
    if c.texts("architectures")?
        .is_some_and(|it| it.iter().any(|class| class.ends_with("ForQuestionAnswering")))
    {
        let fact = "names a class whose question sees the whole text, and how long that is a request does not state";
        return Err(c.contradiction("architectures", fact));
    }
    let global = u64::from(matches!(task, Task::ClassifySequence(_)));
    let names: Names = [
        "attention.self.query",
        "attention.self.key",
        "attention.self.value",
        "attention.self.query_global",
        "attention.self.key_global",
        "attention.self.value_global",
        "attention.self",
        "attention.output.dense",
        "attention.output.LayerNorm",
        "intermediate.dense",
        "output.dense",
        "output.LayerNorm",
    ];
    let layer = Layer::read(c, d, layers, &["num_attention_heads"], "intermediate_size", global)?;
    let mut model = Builder::new(c)?;
    model.once("embedding", embeddings);
    model.layers(layers, |at| Ok(layer.ops(names, at)))?;
    let last: Vec<Op> = match task {
        Task::Embed => vec![for_sequence("pooler.dense", d, d).into()],
        Task::Predict => {
            let head = decoder_head(d, vocab, tied(c, true)?);
            everywhere(transform(d, d).into_iter().chain(head)).collect()
        }
        Task::ClassifySequence(labels) => {
            classify("classifier.dense", "classifier.out_proj", d, labels).into()
        }
        Task::ClassifyTokens(labels) => vec![for_each_token("classifier", d, labels).into()],
        Task::PreTrain => return task.unknown(c),
    };
    model.head(last)?;
    model.finish()
}

fn led(c: &Config) -> Result<Model> {
    if !super::bart::is_whole(c)? {
        return Err(c.contradiction("architectures", "names no class of an encoder and a decoder"));
    }
    let d = c.size("d_model")?;
    let vocab = c.size("vocab_size")?;
    let layers = c.size("encoder_layers")?;
    let names: Names = [
        "self_attn.longformer_self_attn.query",
        "self_attn.longformer_self_attn.key",
        "self_attn.longformer_self_attn.value",
        "self_attn.longformer_self_attn.query_global",
        "self_attn.longformer_self_attn.key_global",
        "self_attn.longformer_self_attn.value_global",
        "self_attn.longformer_self_attn",
        "self_attn.output",
        "self_attn_layer_norm",
        "fc1",
        "fc2",
        "final_layer_norm",
    ];
    let layer = Layer::read(c, d, layers, &["encoder_attention_heads"], "encoder_ffn_dim", 0)?;
    let first = |tokens, positions: &'static str, default| -> Result<Vec<Op>> {
        let positions = table("embed_positions", c.size_or(positions, default)?, d);
        Ok(vec![tokens, positions, layer_norm("layernorm_embedding", d, true)])
    };
    let decoder = BartLayer::read(c, d, "decoder_attention_heads", "decoder_ffn_dim")?;
    let mut model = Builder::new(c)?;
    c.note(
        "no token of the encoder is global, which would see all others and be seen by them".into(),
    );
    let encoder = ("encoder", "led.encoder.layers");
    model.stack(encoder, Component::Encoder, Reads::Prompt, |model| {
        model.once(
            "embedding",
            first(table("shared", vocab, d), "max_encoder_position_embeddings", 16384)?,
        );
        model.layers(layers, |at| Ok(layer.ops(names, at)))
    })?;
    let tokens = shared_table("embed_tokens", vocab, d);
    model.once("embedding", first(tokens, "max_decoder_position_embeddings", 1024)?);
    model.layers(c.size("decoder_layers")?, |_| Ok(decoder.decoding(Mask::Causal, None)))?;
    model.head([head(d, vocab, tied(c, true)?).into()])?;
    model.finish()
}

/// Modules of a layer: queries, keys and values, those of global tokens, attention, what comes out, its norm, and the
/// feed-forward half.
type Names = [&'static str; 12];

struct Layer {
    d: u64,
    heads: Heads,
    f: u64,
    /// Positions on one side of a token that it sees, of each layer.
    reaches: Vec<u64>,
    /// What a sequence is filled up to.
    filled: u64,
    global: u64,
}

impl Layer {
    fn read(
        c: &Config,
        d: u64,
        layers: u64,
        heads: &[&'static str],
        f: &'static str,
        global: u64,
    ) -> Result<Self> {
        const KEY: &str = "attention_window";
        let windows = match c.raw(KEY) {
            Some(serde_json::Value::Array(_)) => c.counts(KEY)?.unwrap_or_default(),
            _ => {
                let window = c.size_or(KEY, 512)?;
                (0..layers.min(1 << 12)).map(|_| window).collect()
            }
        };
        one_each(c, KEY, &windows, layers)?;
        let filled = windows.iter().copied().max().unwrap_or(2);
        if let Some(other) =
            windows.iter().find(|it| **it == 0 || **it % 2 > 0 || filled % **it > 0)
        {
            let fact =
                format!("is {other} in a layer: it is even, and divides the largest, {filled}");
            return Err(c.contradiction(KEY, &fact));
        }
        Ok(Self {
            d,
            heads: Heads::equal(c, d, heads)?,
            f: c.size(f)?,
            reaches: windows.into_iter().map(|window| window / 2).collect(),
            filled,
            global,
        })
    }

    fn ops(&self, names: Names, layer: u64) -> Vec<Op> {
        let [q, k, v, q_global, k_global, v_global, attention, out, norm, up, down, last] = names;
        let Self { d, heads, f, filled, global, .. } = *self;
        let square = |name| projection(name, d, d).bias(true);
        let everywhere = |linear: Linear| Op::from(linear.filled(filled, 0));
        let mut ops = vec![everywhere(square(q)), everywhere(square(k)), everywhere(square(v))];
        let of_global = [
            Op::from(square(q_global).once_a_pass()),
            everywhere(square(k_global)),
            everywhere(square(v_global)),
        ];
        ops.extend(of_global.map(|op| if global > 0 { op } else { Op::Idle(Box::new(op)) }));
        let reach = usize::try_from(layer).ok().and_then(|at| self.reaches.get(at));
        let pieces = Pieces::Band { reach: reach.copied().unwrap_or(1), global, filled };
        ops.extend([
            Local { module: attention, heads: heads.query, dim: heads.dim, pieces }.into(),
            everywhere(square(out)),
            layer_norm(norm, d, true),
            everywhere(mlp(up, d, f).bias(true)),
            everywhere(mlp(down, f, d).bias(true)),
            layer_norm(last, d, true),
        ]);
        ops
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fact, model, parameters};
    use crate::{Component, Convention, Workload};

    const BASE: &str = r#"{"model_type": "longformer", "hidden_size": 768, "num_hidden_layers": 12,
        "num_attention_heads": 12, "intermediate_size": 3072, "vocab_size": 50265, "type_vocab_size": 1,
        "max_position_embeddings": 4098, "attention_window": [512, 512, 512, 512, 512, 512, 512, 512, 512, 512, 512, 512],
        "architectures": ["LongformerForMaskedLM"]}"#;

    #[test]
    fn longformer_base_has_the_parameters_of_its_sizes() {
        // Tables of 50,265, 4098 and 1, a norm; layers of seven squares, 2·768·3072 + 3072 + 768, two norms; a head of
        // 768² + 768, a norm and a bias.
        let square: u128 = 768 * 768 + 768;
        let layer = 7 * square + 4_722_432 + 2 * 1536;
        let total = 54_364 * 768 + 1536 + 12 * layer + square + 1536 + 50_265;
        assert_eq!(parameters(BASE), total);
        // "149M" in its card.
        assert_eq!((total + 500_000) / 1_000_000, 149);
    }

    #[test]
    fn a_token_sees_a_window_however_long_the_text() {
        let base = model(BASE);
        let scores = |tokens: u64| {
            let request = Workload::request(tokens, 1);
            base.flops(&request, &Convention::MODEL).unwrap().prefill[Component::AttentionScores]
        };
        // 513 keys of a token in the middle; the first and the last 256 have fewer.
        assert_eq!(scores(4097) - scores(4096), 12 * 513 * 2 * 768);
        assert_eq!(scores(4096), 12 * (4096 * 513 - 256 * 257) * 2 * 768);
    }

    #[test]
    fn windows_divide_the_largest() {
        assert_eq!(
            fact(&BASE.replacen("[512", "[300", 1)),
            "`attention_window`: is 300 in a layer: it is even, and divides the largest, 512"
        );
    }
}
