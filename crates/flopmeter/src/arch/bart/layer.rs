//! A layer of BART's, of either side.

use super::super::big_bird::{Sparse, attend, filled};
use super::super::experts;
use super::super::parts::{Heads, layer_norm, mlp, projection};
use crate::config::Config;
use crate::error::Result;
use crate::op::{Experts, Linear, Op};
use crate::passes::Mask;

/// Modules of queries, keys, values and of what comes out.
type Names = [&'static str; 4];

const SELF: Names =
    ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.out_proj"];

/// Where they look at blocks.
const IN_BLOCKS: Names =
    ["self_attn.self.query", "self_attn.self.key", "self_attn.self.value", "self_attn.output"];

const CROSS: Names =
    ["encoder_attn.q_proj", "encoder_attn.k_proj", "encoder_attn.v_proj", "encoder_attn.out_proj"];

/// The sizes of a layer of either side.
#[derive(Clone, Copy)]
pub(in crate::arch) struct Layer {
    d: u64,
    heads: Heads,
    f: u64,
    bias: bool,
    key_bias: bool,
    router_bias: bool,
}

impl Layer {
    pub fn read(c: &Config, d: u64, heads: &'static str, f: &'static str) -> Result<Self> {
        let bias = match c.model_type() {
            "bigbird_pegasus" => c.flag("use_bias", false)?,
            "pegasus_x" => false,
            _ => true,
        };
        let key_bias = bias && c.model_type() != "whisper";
        let heads = Heads::equal(c, d, &[heads])?;
        let router_bias = c.flag("router_bias", false)?;
        Ok(Self { d, heads, f: c.size(f)?, bias, key_bias, router_bias })
    }

    /// The four projections of an attention.
    fn matrices(&self, names: Names) -> [Linear; 4] {
        let [q, k, v, out] = names;
        let square = |name, bias| projection(name, self.d, self.d).bias(bias);
        [
            square(q, self.bias),
            square(k, self.key_bias),
            square(v, self.bias),
            square(out, self.bias),
        ]
    }

    /// Attention to the side's own tokens.
    fn self_attention(&self, names: Names, attend: Op) -> Vec<Op> {
        let [q, k, v, out] = self.matrices(names).map(Op::from);
        let norm = layer_norm("self_attn_layer_norm", self.d, true);
        vec![q, k, v, attend, out, norm]
    }

    /// The same to those that a mask lets a token see.
    fn masked(&self, mask: Mask) -> Vec<Op> {
        self.self_attention(SELF, self.heads.attend(mask))
    }

    /// Attention of a decoder to what the encoder gives.
    fn cross_attention(&self) -> [Op; 6] {
        let [q, k, v, out] = self.matrices(CROSS);
        let norm = layer_norm("encoder_attn_layer_norm", self.d, true);
        let attend = self.heads.attend_across("encoder_attn");
        let (k, v) = (k.of_source(), v.of_source());
        [q.into(), k.into(), v.into(), attend, out.into(), norm]
    }

    /// The feed-forward half, routed to experts where the layer has some.
    fn feed_forward(&self, sparse: Option<Experts>) -> Vec<Op> {
        let norm = layer_norm("final_layer_norm", self.d, true);
        let Some(experts) = sparse else {
            let up = mlp("fc1", self.d, self.f).bias(true);
            return vec![up.into(), mlp("fc2", self.f, self.d).bias(true).into(), norm];
        };
        let expert = |module, from, to| -> Op {
            experts::expert(module, from, to, experts).bias(true).into()
        };
        vec![
            experts::router("ffn.router.classifier", self.d, experts).bias(self.router_bias).into(),
            expert("ffn.experts.fc1", self.d, self.f),
            expert("ffn.experts.fc2", self.f, self.d),
            norm,
        ]
    }

    /// A layer of the encoder.
    pub fn encoding(&self, sparse: Option<Experts>) -> Vec<Op> {
        [self.masked(Mask::Full), self.feed_forward(sparse)].concat()
    }

    /// A layer of BigBird-Pegasus's encoder, whose attention is BigBird's.
    pub fn encoding_in_blocks(&self, sparse: Option<Sparse>) -> Vec<Op> {
        let attend = attend("self_attn.self", self.heads, sparse);
        let ops = [self.self_attention(IN_BLOCKS, attend), self.feed_forward(None)].concat();
        let filled = |op| match op {
            Op::Linear(linear) => filled(linear, sparse),
            other => other,
        };
        ops.into_iter().map(filled).collect()
    }

    /// A layer of a decoder beside an encoder.
    pub fn decoding(&self, mask: Mask, sparse: Option<Experts>) -> Vec<Op> {
        let cross = self.cross_attention().into();
        [self.masked(mask), cross, self.feed_forward(sparse)].concat()
    }

    /// A layer of a decoder on its own, which holds the weights of cross-attention that nothing passes.
    pub fn decoding_alone(&self, sparse: Option<Experts>) -> Vec<Op> {
        let weights = self.cross_attention().into_iter().filter(|op| !matches!(op, Op::Cross(_)));
        let idle = weights.map(|op| Op::Idle(Box::new(op))).collect();
        [self.masked(Mask::Causal), idle, self.feed_forward(sparse)].concat()
    }
}
