//! Dory: a normalized transformer (nGPT, arXiv:2410.01131) some of whose layers run several times.
//!
//! ```text
//! embed → input layers → norm → loops × recurrent layers → output layers → norm → head
//! layer  [ norm → q, k, v → norms of q, k → attend → · gate → norm → out → norm ]
//!        [ norm → gate, up → norm → down → norm ]
//! ```
//!
//! Norms have no parameters; queries, gates, the feed-forward layer, the residuals and the logits have learned scales.
//! A layer that runs again reads its weights again, and keeps keys and values of each loop; with `last_loop` only those
//! of the last, which the loops before read. Published files list attention and feed-forward layers apart, so that
//! every number of layers is twice what it is here.

use super::parts::{
    Heads, again, gated_mlp, head, layer_masks_of, projection, table, tied, vector,
};
use crate::config::Config;
use crate::error::Result;
use crate::model::{Builder, Model};
use crate::op::Op;

pub(super) const MODEL_TYPES: &[&str] = &["dory"];

pub(super) fn build(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let f = c.size("intermediate_size")?;
    let heads = Heads::read_or(c, d, 4, Some(256))?;
    let bias = c.flag("attention_bias", false)?;
    let mlp_bias = c.flag("mlp_bias", false)?;
    let vocab = c.size("vocab_size")?;
    let layers = Layers::read(c)?;
    let window = c.size_or("sliding_window", 1024)?;
    let kinds = kinds(c)?;
    let masks = layer_masks_of(c, layers.count, kinds, Some(window), |layer| {
        !(layer + 1).is_multiple_of(4)
    })?;
    let keeps_last = keeps_last(c)?;

    let mut model = Builder::new(c)?;
    model.once("embedding", [table("model.embed_tokens", vocab, d)]);
    let q = heads.query_width();
    let ops = |layer: u64| {
        let mut ops: Vec<Op> = heads.attention(d, bias, bias, masks(layer));
        ops.push(projection("self_attn.gate_proj", d, q).into());
        ops.extend(["self_attn.sqk", "self_attn.s_gate"].map(|scale| vector(scale, q)));
        ops.extend(gated_mlp(d, f, mlp_bias));
        ops.extend(["mlp.suv_gate", "mlp.suv_up"].map(|scale| vector(scale, f)));
        ops.extend(["lambda_1", "lambda_2"].map(|rate| vector(rate, d)));
        ops
    };
    model.layers(layers.runs(), |run| {
        let (layer, first, last) = layers.run(run);
        let mut ops = ops(layer);
        if !first {
            ops = again(ops);
        }
        if keeps_last && !last {
            for op in &mut ops {
                if let Op::Attention(attention) = op {
                    attention.shares_cache = true;
                }
            }
        }
        Ok(ops)
    })?;
    model.head([head(d, vocab, tied(c, false)?).into(), vector("lm_head.logit_scale", vocab)])?;
    model.finish()
}

/// How many layers there are, and how often they run.
struct Layers {
    count: u64,
    input: u64,
    recurrent: u64,
    loops: u64,
}

impl Layers {
    fn read(c: &Config) -> Result<Self> {
        // Attention and feed-forward layers are listed apart.
        let apart = c.texts("layer_types")?.is_some_and(|kinds| kinds.contains(&"mlp"));
        let halved = |count: u64| if apart { count / 2 } else { count };
        let count = halved(c.size("num_hidden_layers")?);
        let input = halved(c.count_or("n_input_layers", 16)?);
        let output = halved(c.count_or("n_output_layers", 16)?);
        let Some(rest) = count.checked_sub(input + output) else {
            let fact = format!("is {input}, with {output} output layers more than all {count}");
            return Err(c.contradiction("n_input_layers", &fact));
        };
        let recurrent = c.count("n_recurrent_layers")?.map_or(rest, halved);
        if recurrent != rest {
            let fact = format!(
                "is {recurrent}, but of {count} layers {rest} are neither input nor output"
            );
            return Err(c.contradiction("n_recurrent_layers", &fact));
        }
        Ok(Self { count, input, recurrent, loops: c.size_or("n_recurrent_loops", 2)? })
    }

    /// Runs of a layer in a pass. Both factors are at most 2^24.
    fn runs(&self) -> u64 {
        self.count + self.recurrent * (self.loops - 1)
    }

    /// Which layer a run is of, and whether it is that layer's first and its last one. The runs that are no layer's
    /// first come behind all layers.
    fn run(&self, run: u64) -> (u64, bool, bool) {
        match run.checked_sub(self.count) {
            None => {
                let loops = (self.input..self.input + self.recurrent).contains(&run);
                (run, true, !loops || self.loops == 1)
            }
            Some(more) => {
                let last = more / self.recurrent + 2 == self.loops;
                (self.input + more % self.recurrent, false, last)
            }
        }
    }
}

/// The kind of attention of each layer, where they are listed.
fn kinds(c: &Config) -> Result<Option<Vec<&str>>> {
    let Some(listed) = c.texts("layer_types")? else { return Ok(None) };
    if !listed.contains(&"mlp") {
        return Ok(Some(listed));
    }
    if listed.chunks(2).any(|pair| !matches!(pair, [_, "mlp"])) {
        return Err(c.contradiction("layer_types", "has layers that do not end with an \"mlp\""));
    }
    Ok(Some(listed.into_iter().step_by(2).collect()))
}

/// Whether the cache has only what the last loop makes.
fn keeps_last(c: &Config) -> Result<bool> {
    const KEY: &str = "recurrent_kv_cache_mode";
    match c.text(KEY)? {
        None | Some("per_loop") => Ok(false),
        Some("last_loop") => Ok(true),
        Some(other) => {
            let other = crate::error::shown(other);
            let fact = format!("is \"{other}\"; \"per_loop\" and \"last_loop\" are counted");
            Err(c.contradiction(KEY, &fact))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fact, model};
    use crate::{Convention, Workload};

    fn small(more: &str) -> String {
        format!(
            r#"{{"model_type": "dory", "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 5,
                "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "vocab_size": 100,
                "n_input_layers": 1, "n_output_layers": 1, "sliding_window": 8, "dtype": "bfloat16",
                "tie_word_embeddings": false{more}}}"#
        )
    }

    #[test]
    fn loops_cost_work_and_cache_and_no_parameters() {
        let of = |loops: u64| {
            let model = model(&small(&format!(r#", "n_recurrent_loops": {loops}"#)));
            let request = Workload::request(4, 1);
            let flops = model.flops(&request, &Convention::MODEL).expect("a count").total;
            let bytes = model.bytes(&request).expect("bytes");
            (model.parameters().total, flops, bytes.kv_cache_per_token, bytes.weights)
        };
        let (one, three) = (of(1), of(3));
        assert_eq!(one.0, three.0);
        assert_eq!(one.3, three.3);
        // Six layers more: q, gate, o 3·64·64 and k, v 2·64·32, mlp 3·64·96; ten pairs of 2·64 twice over.
        let weights = 3 * 64 * 64 + 2 * 64 * 32 + 3 * 64 * 96;
        assert_eq!(three.1 - one.1, 6 * (4 * 2 * weights + 10 * 4 * 64));
        // A key and a value of 2·16 each, two bytes.
        assert_eq!(three.2 - one.2, 6 * 2 * 2 * 16 * 2);
        let last =
            model(&small(r#", "n_recurrent_loops": 3, "recurrent_kv_cache_mode": "last_loop""#));
        assert_eq!(last.bytes(&Workload::request(4, 1)).expect("bytes").kv_cache_per_token, one.2);
    }

    #[test]
    fn numbers_of_layers_agree() {
        assert_eq!(
            fact(&small(r#", "n_recurrent_layers": 2"#)),
            "`n_recurrent_layers`: is 2, but of 5 layers 3 are neither input nor output"
        );
        assert_eq!(
            fact(&small("").replace("\"n_input_layers\": 1", "\"n_input_layers\": 5")),
            "`n_input_layers`: is 5, with 1 output layers more than all 5"
        );
        assert_eq!(
            fact(&small(r#", "layer_types": ["mlp", "full_attention"]"#).replace(": 5,", ": 10,")),
            "`layer_types`: has layers that do not end with an \"mlp\""
        );
        assert!(
            fact(&small(r#", "n_recurrent_loops": 16777216"#)).contains("most that is believed")
        );
    }
}
