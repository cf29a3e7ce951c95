//! Feed-forward layers of two kinds by turns: dense ones, and routed experts with shared ones beside them.

use super::experts::{self, IN_MLP, Names, SHARED_IN_MLP};
use super::parts::{gated_mlp, one_each};
use crate::config::Config;
use crate::error::{Result, shown};
use crate::op::{Experts, Op};

/// The widths and names of both kinds. No biases but where [`layer`](Self::layer) is told so.
#[derive(Debug, Clone)]
pub(super) struct FeedForward {
    pub experts: Experts,
    /// Width of a dense layer.
    pub dense: u64,
    /// Width of a routed expert.
    pub expert: u64,
    /// Width of what every token runs through, 0 if there is nothing.
    pub shared: u64,
    /// What is added to the router's scores before the best are taken.
    pub correction: Option<Op>,
    pub names: Names,
    pub shared_names: [&'static str; 3],
}

impl FeedForward {
    /// `moe_intermediate_size` wide experts of the usual names, `intermediate_size` wide dense layers,
    /// nothing shared and no correction.
    pub fn read(c: &Config, total: &'static str) -> Result<Self> {
        let dense = c.size("intermediate_size")?;
        Self::all_sparse(c, total).map(|sparse| Self { dense, ..sparse })
    }

    /// The same where no layer is dense.
    pub fn all_sparse(c: &Config, total: &'static str) -> Result<Self> {
        Ok(Self {
            experts: experts::read(c, total, "num_experts_per_tok")?,
            dense: 0,
            expert: c.size("moe_intermediate_size")?,
            shared: 0,
            correction: None,
            names: IN_MLP,
            shared_names: SHARED_IN_MLP,
        })
    }

    /// With as many shared experts as `key` states, stored as one; `default` is the class's.
    pub fn sharing(mut self, c: &Config, key: &'static str, default: u64) -> Result<Self> {
        self.shared = c.count_or(key, default)? * self.expert;
        Ok(self)
    }

    /// With a correction for each expert, a buffer of this name.
    pub fn corrected(mut self, module: &'static str) -> Self {
        self.correction = Some(experts::correction(module, self.experts));
        self
    }

    /// The feed-forward layer of one layer; `bias` is that of dense and shared matrices.
    pub fn layer(&self, sparse: bool, hidden: u64, bias: bool) -> Vec<Op> {
        if !sparse {
            return gated_mlp(hidden, self.dense, bias);
        }
        let mut ops = experts::mixture(self.names, hidden, self.expert, self.experts);
        ops.extend(self.correction.clone());
        if self.shared > 0 {
            ops.extend(experts::shared(self.shared_names, hidden, self.shared, bias));
        }
        ops
    }
}

/// Where a router's correction is in most checkpoints.
pub(super) const CORRECTION: &str = "mlp.gate.e_score_correction_bias";

/// Which layers have experts: those that `mlp_layer_types` calls sparse, or the rule's where it is absent.
pub(super) fn sparse_layers(
    c: &Config,
    rule: impl Fn(u64) -> bool,
) -> Result<impl Fn(u64) -> bool> {
    const KEY: &str = "mlp_layer_types";
    let layers = c.size("num_hidden_layers")?;
    let listed = c.texts(KEY)?;
    if let Some(kinds) = &listed {
        one_each(c, KEY, kinds, layers)?;
    }
    let listed = listed.map(|kinds| {
        let sparse = |kind: &str| match kind {
            "sparse" => Ok(true),
            "dense" => Ok(false),
            other => {
                let fact =
                    format!("has a layer that is neither dense nor sparse: \"{}\"", shown(other));
                Err(c.contradiction(KEY, &fact))
            }
        };
        kinds.into_iter().map(sparse).collect::<Result<Vec<bool>>>()
    });
    let listed = listed.transpose()?;
    Ok(move |layer: u64| match &listed {
        Some(sparse) => usize::try_from(layer).is_ok_and(|at| sparse.get(at) == Some(&true)),
        None => rule(layer),
    })
}

/// The number of first layers that are dense, `first_k_dense_replace`, for a class that has `default`.
///
/// Newer files list every layer in `mlp_layer_types` instead, and then the number may be absent.
pub(super) fn dense_first(c: &Config, default: u64) -> Result<u64> {
    const KEY: &str = "first_k_dense_replace";
    if c.has("mlp_layer_types") {
        Ok(c.count(KEY)?.unwrap_or(default))
    } else {
        c.count_or(KEY, default)
    }
}

/// Refuses another number of dense first layers than one, for the classes that do not read the number:
/// one is, unless `mlp_layer_types` lists every layer.
pub(super) fn one_dense_layer(c: &Config) -> Result<()> {
    match c.count("first_k_dense_replace")? {
        Some(count) if count != 1 && !c.has("mlp_layer_types") => Err(c
            .contradiction("first_k_dense_replace", &format!("is {count}; only 1 is counted"))
            .hint("list the layers in `mlp_layer_types`")),
        _ => Ok(()),
    }
}
