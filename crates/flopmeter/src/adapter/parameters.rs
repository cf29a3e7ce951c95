//! Adapters of parameters, `target_parameters`: of matrices that are no modules, as those of fused experts are.
//!
//! ```text
//! E matrices of to × from, rank r     A is E·r × from, B is to × E·r (PEFT 0.21's `ParamWrapper`)
//! E·r·(from + to) parameters          k·2·r·(from + to) FLOPs a row that runs through k of them
//! ```
//!
//! PEFT multiplies them into all E matrices anew in every pass, whatever the rows are: no count here has that.

use super::apply::{Work, path_of};
use super::error;
use super::targets::Path;
use crate::component::Component;
use crate::config::Config;
use crate::error::Result;
use crate::op::{Linear, Op};

/// Why such adapters are not counted as PEFT runs them.
pub(super) const REMADE: &str =
    "does not count adapters of parameters: PEFT makes whole matrices of them anew in every pass";

/// The most names. Real lists have two or three.
const MOST_NAMES: usize = 4096;

/// The ends of paths in `target_parameters`.
///
/// # Errors
///
/// For settings that PEFT refuses with them.
pub(super) fn read(c: &Config) -> Result<Vec<String>> {
    let key = "target_parameters";
    let names = c.texts(key)?.unwrap_or_default();
    if names.len() > MOST_NAMES {
        let fact = format!("has {} names; {MOST_NAMES} are the most", names.len());
        return Err(error(key, &fact));
    }
    for other in ["use_dora", "lora_bias", "fan_in_fan_out"] {
        if !names.is_empty() && c.flag(other, false)? {
            return Err(error(other, "is set, which PEFT refuses with `target_parameters`"));
        }
    }
    Ok(names.into_iter().map(str::to_owned).collect())
}

impl Work<'_> {
    /// Adds to `more` what an adapter of an op's parameter adds to it; `ops` are all of its layer.
    pub fn adapt_parameter(
        &mut self,
        op: &Op,
        layer: Option<u64>,
        ops: &[Op],
        more: &mut Vec<Op>,
    ) -> Result<()> {
        if self.adapter.parameters.is_empty() {
            return Ok(());
        }
        let Some((name, to)) = parameter_of(op, ops) else { return Ok(()) };
        let renamed = name.replace("block_sparse_moe.", "mlp.");
        let path = Path::new(self.lists, layer, &name).or(self.lists, &renamed);
        let adapter = self.adapter;
        let named: Vec<&String> =
            adapter.parameters.iter().filter(|name| path.ends_with(name)).collect();
        if named.is_empty() {
            return Ok(());
        }
        self.met.extend(named);
        let refused = |why: &str| {
            let path = path_of(layer, &name);
            error("target_parameters", &format!("means `{path}`, {why}"))
        };
        let Op::Linear(linear) = op else {
            return Err(refused("which is no matrix of a product: such an adapter is not counted"));
        };
        if self.means(&Path::new(self.lists, layer, linear.module)) {
            return Err(refused("whose module `target_modules` means: PEFT refuses both"));
        }
        let rank = adapter.ranks.of(&path)?;
        let part = |from, to| Linear {
            rows: linear.rows,
            experts: linear.experts,
            ..Linear::new(linear.module, Component::Adapter, from, to)
        };
        for part in [part(linear.from, rank), part(rank, to)] {
            self.add(part.parameters())?;
            more.push(part.into());
        }
        self.modules += 1;
        Ok(())
    }
}

/// The name of an op's parameter in the reference implementation, and how wide its rows come out. `None` for a matrix
/// that is another's part there: gate and up matrices of experts are one.
fn parameter_of(op: &Op, ops: &[Op]) -> Option<(String, u64)> {
    let linear = match op {
        Op::Linear(linear) => linear,
        Op::Latent(latent) => return Some((format!("{}.kv_b_proj.weight", latent.module), 0)),
        other => return Some((format!("{}.weight", other.module()), 0)),
    };
    if linear.experts.is_none() {
        return Some((format!("{}.weight", linear.module), linear.to));
    }
    let (holder, matrix) = linear.module.rsplit_once('.')?;
    let gated =
        || ops.iter().filter_map(expert_in(holder)).any(|it| ["gate_proj", "w1"].contains(&it));
    match matrix {
        "gate_proj" | "w1" => Some((format!("{holder}.gate_up_proj"), 2 * linear.to)),
        "up_proj" | "w3" if gated() => None,
        "down_proj" | "w2" => Some((format!("{holder}.down_proj"), linear.to)),
        "gate_up_proj" | "up_proj" => Some((linear.module.to_owned(), linear.to)),
        _ => None,
    }
}

/// The last part of the name of an op that is experts of a holder.
fn expert_in<'o>(holder: &str) -> impl Fn(&'o Op) -> Option<&'static str> {
    move |op| match op {
        Op::Linear(linear) if linear.experts.is_some() => {
            linear.module.strip_prefix(holder)?.strip_prefix('.')
        }
        _ => None,
    }
}
