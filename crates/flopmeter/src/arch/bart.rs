//! BART and its kin as decoders on their own (`…ForCausalLM`), without the encoder.
//!
//! ```text
//! embed + positions (→ norm) → L × [ q, k, v → attend → out, norm ] [ fc1 → fc2, norm ] (→ norm) → head
//! ```
//!
//! Whether a norm stands before its half or behind it changes no count. Layers hold cross-attention as well, which
//! nothing passes where there is no encoder: its weights are stored, and take part in nothing. Configs of the whole
//! encoder-decoder are refused.

use super::parts::{Heads, head, layer_norm, mlp, projection, table, tied};
use crate::config::Config;
use crate::error::Result;
use crate::model::{Builder, Model};
use crate::op::Op;
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] = &[
    "bart",
    "bigbird_pegasus",
    "blenderbot",
    "blenderbot-small",
    "marian",
    "mbart",
    "mvp",
    "pegasus",
    "plbart",
    "trocr",
    "whisper",
];

/// What sets one apart from another.
struct Kind {
    /// Positions of the table where the key is absent.
    positions: u64,
    /// Rows that stand before the first position.
    offset: u64,
    /// Whether the embedding is normed.
    norm_first: bool,
    /// Whether what comes out of the layers is normed.
    norm_last: bool,
}

impl Kind {
    fn of(c: &Config) -> Result<Self> {
        let kind = |positions, offset, norm_first, norm_last| Self {
            positions,
            offset,
            norm_first,
            norm_last,
        };
        Ok(match c.model_type() {
            "bigbird_pegasus" => kind(4096, 0, true, false),
            "blenderbot" => kind(128, 0, false, true),
            "blenderbot-small" => kind(512, 0, true, false),
            "marian" => kind(1024, 0, false, false),
            "mbart" => kind(1024, 2, true, true),
            "pegasus" => kind(1024, 0, false, true),
            "trocr" => kind(512, 2, c.flag("layernorm_embedding", true)?, false),
            "whisper" => kind(448, 0, false, true),
            _ => kind(1024, 2, true, false),
        })
    }
}

pub(super) fn build(c: &Config) -> Result<Model> {
    alone(c)?;
    let kind = Kind::of(c)?;
    let d = c.size_of(&["d_model", "hidden_size"])?;
    let heads = Heads::equal(c, d, &["decoder_attention_heads"])?;
    let f = c.size("decoder_ffn_dim")?;
    let layers = c.size("decoder_layers")?;
    let vocab = c.size("vocab_size")?;
    let rows = match c.model_type() {
        "marian" => c.maybe("decoder_vocab_size")?.unwrap_or(vocab),
        _ => vocab,
    };
    let key = match c.model_type() {
        "whisper" => "max_target_positions",
        _ => "max_position_embeddings",
    };
    let learned = c.model_type() != "trocr" || c.flag("use_learned_position_embeddings", true)?;
    // Of the encoder's sizes none is the decoder's.
    for key in [
        "classifier_proj_size",
        "encoder_attention_heads",
        "encoder_ffn_dim",
        "encoder_layers",
        "max_source_positions",
        "num_mel_bins",
    ] {
        c.raw(key);
    }

    let mut model = Builder::new(c)?;
    let mut first = vec![table("model.decoder.embed_tokens", rows, d)];
    if learned {
        let positions = c.size_or(key, kind.positions)? + kind.offset;
        first.push(table("model.decoder.embed_positions", positions, d));
    }
    if kind.norm_first {
        first.push(layer_norm("model.decoder.layernorm_embedding", d, true));
    }
    model.once("embedding", first);
    let bias = Biases::of(c)?;
    model.layers(layers, |_| {
        let [q, k, v, out] = matrices(d, bias, SELF);
        let mut ops = vec![q, k, v, heads.attend(Mask::Causal), out];
        ops.push(layer_norm("self_attn_layer_norm", d, true));
        let norm = layer_norm("encoder_attn_layer_norm", d, true);
        let cross = matrices(d, bias, CROSS).into_iter().chain([norm]);
        ops.extend(cross.map(|op| Op::Idle(Box::new(op))));
        ops.extend([
            mlp("fc1", d, f).bias(true).into(),
            mlp("fc2", f, d).bias(true).into(),
            layer_norm("final_layer_norm", d, true),
        ]);
        Ok(ops)
    })?;
    let mut last = Vec::new();
    if kind.norm_last {
        last.push(layer_norm("model.decoder.layer_norm", d, true));
    }
    // This one's decoder has an embedding that no head shares, whatever the config says.
    let tied = tied(c, true)? && c.model_type() != "bigbird_pegasus";
    last.push(head(d, vocab, tied).into());
    model.once("head", last);
    model.finish()
}

/// The whole has an encoder, whose share in a request no count here knows.
fn alone(c: &Config) -> Result<()> {
    let named = c.texts("architectures")?.unwrap_or_default();
    let causal = named.iter().any(|name| name.ends_with("ForCausalLM"));
    let whole = c.flag("is_encoder_decoder", c.model_type() != "trocr")?;
    if whole && !causal {
        let fact = "is that of an encoder-decoder; only its decoder on its own is counted";
        return Err(c
            .contradiction("model_type", fact)
            .hint("a decoder alone names a class that ends with ForCausalLM in `architectures`"));
    }
    Ok(())
}

/// Modules of queries, keys, values and of what comes out.
type Names = [&'static str; 4];

const SELF: Names =
    ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.out_proj"];

const CROSS: Names = [
    "encoder_attn.q_proj",
    "encoder_attn.k_proj",
    "encoder_attn.v_proj",
    "encoder_attn.out_proj",
];

/// Which projections of attention have one.
#[derive(Clone, Copy)]
struct Biases {
    all: bool,
    keys: bool,
}

impl Biases {
    fn of(c: &Config) -> Result<Self> {
        let all = c.model_type() != "bigbird_pegasus" || c.flag("use_bias", false)?;
        Ok(Self { all, keys: all && c.model_type() != "whisper" })
    }
}

/// The four projections of an attention.
fn matrices(d: u64, bias: Biases, names: Names) -> [Op; 4] {
    let [q, k, v, out] = names;
    let square = |name, bias| projection(name, d, d).bias(bias).into();
    [square(q, bias.all), square(k, bias.keys), square(v, bias.all), square(out, bias.all)]
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fact, model};

    const SMALL: &str = r#"{"model_type": "bart", "d_model": 60, "decoder_layers": 3,
        "decoder_attention_heads": 6, "decoder_ffn_dim": 92, "vocab_size": 131,
        "max_position_embeddings": 64, "architectures": ["BartForCausalLM"]}"#;

    #[test]
    fn weights_of_cross_attention_are_stored_and_take_part_in_nothing() {
        let bart = model(SMALL);
        // Embedding 131·60, positions 66·60, a norm of 120. A layer: attention 4·(60² + 60), mlp
        // 2·60·92 + 92 + 60, two norms of 120.
        let active: u128 = 197 * 60 + 120 + 3 * (4 * 3660 + 11_192 + 240);
        assert_eq!(bart.parameters().active, active);
        assert_eq!(bart.parameters().total, active + 3 * (4 * 3660 + 120));
    }

    #[test]
    fn a_whole_encoder_decoder_is_refused() {
        let whole = SMALL.replace("ForCausalLM", "ForConditionalGeneration");
        assert_eq!(
            fact(&whole),
            "`model_type`: is that of an encoder-decoder; only its decoder on its own is counted"
        );
        let told = whole.replacen('{', r#"{"is_encoder_decoder": false, "#, 1);
        assert_eq!(model(&told).parameters(), model(SMALL).parameters());
    }
}
