//! Mixtures of experts: how many there are, what they are called, which layers have them.

use super::parts::{buffer, gated_mlp};
use crate::component::Component;
use crate::config::Config;
use crate::error::Result;
use crate::op::{Experts, Linear, Op};

/// Names of the router and of the experts' gate, up and down matrices.
pub(super) type Names = [&'static str; 4];

/// What most checkpoints call them.
pub(super) const IN_MLP: Names =
    ["mlp.gate", "mlp.experts.gate_proj", "mlp.experts.up_proj", "mlp.experts.down_proj"];

/// The experts that `total` and `active` state, or any of these keys' other spellings.
///
/// Published files and those that newer libraries save spell them differently for one type.
pub(super) fn read(c: &Config, total: &'static str, active: &'static str) -> Result<Experts> {
    let totals = [total, "num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts"];
    let actives = [
        active,
        "num_experts_per_tok",
        "num_experts_per_token",
        "experts_per_token",
        "moe_topk",
        "moe_k",
    ];
    routed(c, active, c.size_of(&actives)?, c.size_of(&totals)?)
}

/// `active` of `total` experts; `key` states the former.
pub(super) fn routed(c: &Config, key: &str, active: u64, total: u64) -> Result<Experts> {
    if active > total {
        return Err(c
            .contradiction(key, &format!("is {active}, but there are {total} experts"))
            .hint("check the number of experts"));
    }
    Ok(Experts::routed(active, total))
}

/// A router, and gated experts of which each token runs through some.
pub(super) fn mixture(names: Names, hidden: u64, inner: u64, experts: Experts) -> Vec<Op> {
    let [router, gate, up, down] = names;
    let expert = |module, from, to| expert(module, from, to, experts).into();
    vec![
        self::router(router, hidden, experts).into(),
        expert(gate, hidden, inner),
        expert(up, hidden, inner),
        expert(down, inner, hidden),
    ]
}

/// What scores the experts for each token.
pub(super) fn router(module: &'static str, hidden: u64, experts: Experts) -> Linear {
    Linear::new(module, Component::MoeRouter, hidden, experts.total)
}

/// What balances the load of the experts: added to the router's scores before the best are taken.
///
/// A buffer in fp32: of the 41,555,600 fp32 numbers that DeepSeek-V3's files hold, 41,540,496 scale
/// blocks and 59·256 are these.
pub(super) fn correction(module: &'static str, experts: Experts) -> Op {
    buffer(module, experts.total)
}

/// One matrix of every expert.
pub(super) fn expert(module: &'static str, from: u64, to: u64, experts: Experts) -> Linear {
    Linear::new(module, Component::MoeExperts, from, to).experts(experts)
}

/// A gated expert that every token runs through: its gate, up and down matrices.
pub(super) fn shared(names: [&'static str; 3], hidden: u64, inner: u64, bias: bool) -> Vec<Op> {
    let [gate, up, down] = names;
    let matrix =
        |module, from, to| Linear::new(module, Component::MoeShared, from, to).bias(bias).into();
    vec![matrix(gate, hidden, inner), matrix(up, hidden, inner), matrix(down, inner, hidden)]
}

/// What most checkpoints call the shared experts, which are stored as one wide one.
pub(super) const SHARED_IN_MLP: [&str; 3] =
    ["mlp.shared_experts.gate_proj", "mlp.shared_experts.up_proj", "mlp.shared_experts.down_proj"];

/// What a file calls the number of shared experts.
fn shared_key(c: &Config) -> &'static str {
    if c.has("num_shared_experts") { "num_shared_experts" } else { "n_shared_experts" }
}

/// DeepSeek's feed-forward layers: the first are dense, the others routed and shared experts.
#[derive(Debug, Clone, Copy)]
pub(super) struct DenseFirst {
    experts: Experts,
    dense_layers: u64,
    dense_inner: u64,
    expert_inner: u64,
    shared: u64,
    corrected: bool,
}

impl DenseFirst {
    /// Reads them; `dense_layers` and `shared` are what the class takes for absent keys.
    pub fn read(c: &Config, dense_layers: u64, shared: u64) -> Result<Self> {
        // The checkpoint's own code has dense layers between those with experts; no published
        // config uses that, and the reference implementation does not read the key.
        if let Some(every) = c.maybe("moe_layer_freq")?.filter(|every| *every != 1) {
            return Err(
                c.contradiction("moe_layer_freq", &format!("is {every}; only 1 is counted"))
            );
        }
        Ok(Self {
            experts: read(c, "n_routed_experts", "num_experts_per_tok")?,
            dense_layers: c.count_or("first_k_dense_replace", dense_layers)?,
            dense_inner: c.size("intermediate_size")?,
            expert_inner: c.size("moe_intermediate_size")?,
            shared: c.count_or(shared_key(c), shared)?,
            corrected: false,
        })
    }

    /// With a correction for each expert beside the router.
    pub fn corrected(mut self) -> Self {
        self.corrected = true;
        self
    }

    /// The feed-forward layer of one layer; `bias` is that of dense and shared matrices.
    pub fn layer(&self, index: u64, hidden: u64, bias: bool) -> Vec<Op> {
        if index < self.dense_layers {
            return gated_mlp(hidden, self.dense_inner, bias);
        }
        let mut ops = mixture(IN_MLP, hidden, self.expert_inner, self.experts);
        if self.corrected {
            ops.push(correction("mlp.gate.e_score_correction_bias", self.experts));
        }
        if self.shared > 0 {
            ops.extend(shared(SHARED_IN_MLP, hidden, self.shared * self.expert_inner, bias));
        }
        ops
    }
}
