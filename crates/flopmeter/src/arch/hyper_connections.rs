//! Hyper-connections: a residual of several streams instead of one (arXiv:2409.19606).
//!
//! ```text
//! weights   all streams side by side → a weight for each to be read with, one to be written with, and,
//!           where streams are mixed, one for each two
//! read      Σ streams · weights → the layer
//! write     streams (mixed) + the layer's output · weights
//! ```
//!
//! The products that make the weights and that mix the streams count under `connections`. Reading and
//! writing are element by element: like gates, neither convention counts them.

use super::parts::{rms_norm, vector};
use crate::component::Component;
use crate::config::Config;
use crate::error::Result;
use crate::op::{Linear, Op, Product};

/// The streams of a residual.
#[derive(Debug, Clone, Copy)]
pub(super) struct Streams {
    hidden: u64,
    count: u64,
    /// Whether a layer mixes them with each other (mHC, arXiv:2512.24880).
    mixed: bool,
}

impl Streams {
    /// `hc_mult` streams.
    pub fn read(c: &Config, hidden: u64, mixed: bool) -> Result<Self> {
        let count = c.size_or("hc_mult", 4)?;
        super::recurrent::width(c, "hc_mult", count * count + 2 * count, hidden)?;
        Ok(Self { hidden, count, mixed })
    }

    /// A layer whose attention and feed-forward part are both connected to them.
    pub fn layer(&self, attention: Vec<Op>, ffn: Vec<Op>) -> Vec<Op> {
        let mut ops = self.connection(["attn_hc.fn", "attn_hc.base", "attn_hc.scale"]);
        ops.push(rms_norm("input_layernorm", self.hidden));
        ops.extend(attention);
        ops.extend(self.connection(["ffn_hc.fn", "ffn_hc.base", "ffn_hc.scale"]));
        ops.push(rms_norm("post_attention_layernorm", self.hidden));
        ops.extend(ffn);
        ops
    }

    fn connection(&self, [weights, base, scale]: [&'static str; 3]) -> Vec<Op> {
        let Self { hidden, count, mixed } = *self;
        let made = count * (2 + if mixed { count } else { 0 });
        let mut ops = vec![
            Linear::new(weights, Component::Connections, count * hidden, made).into(),
            vector(base, made),
            vector(scale, if mixed { 3 } else { 2 }),
        ];
        if mixed {
            ops.push(Op::Product(Product {
                module: weights,
                component: Component::Connections,
                from: count,
                to: count * hidden,
            }));
        }
        ops
    }

    /// The product that one stream has, once more for every other one.
    pub fn others(&self, product: Product) -> Option<Op> {
        let others = self.count - 1;
        (others > 0).then(|| Op::Product(Product { to: product.to * others, ..product }))
    }

    /// What makes one stream of them all, before the last norm.
    pub fn head(&self) -> [Op; 3] {
        let Self { hidden, count, .. } = *self;
        [
            Linear::new("model.hc_head.hc_fn", Component::Connections, count * hidden, count)
                .into(),
            vector("model.hc_head.hc_base", count),
            vector("model.hc_head.hc_scale", 1),
        ]
    }
}
