//! Recurrent layers: what Mamba, Mamba-2 and gated delta nets are put together from, and which layers
//! of a hybrid are of which kind.
//!
//! Their projections count under `recurrent`, as what stands between them does.

use super::parts::{one_each, rms_norm, uncounted_kind, vector};
use crate::component::Component;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::op::{Convolution, Linear, Op, Recurrent, RecurrentKind};

/// The widest that a layer is believed to be inside.
const WIDEST: u64 = 1 << 24;

/// What a layer of a hybrid does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layer {
    Recurrent,
    Attention,
    Mlp,
    Experts,
}

impl Layer {
    /// By the names of newer libraries and of older files.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "linear_attention" | "mamba" | "conv" => Self::Recurrent,
            "full_attention" | "attention" => Self::Attention,
            "mlp" => Self::Mlp,
            "moe" => Self::Experts,
            _ => return None,
        })
    }
}

/// The layers that a list of the config names, `None` where there is none.
pub(super) fn listed(c: &Config, key: &'static str, known: &[Layer]) -> Result<Option<Vec<Layer>>> {
    let Some(names) = c.texts(key)? else { return Ok(None) };
    let kind = |name: &str| {
        let layer = Layer::named(name).filter(|layer| known.contains(layer));
        layer.ok_or_else(|| uncounted_kind(c, key, name))
    };
    names.into_iter().map(kind).collect::<Result<_>>().map(Some)
}

/// Which layers recur and which attend: as `layer_types` lists them, or by a rule.
pub(super) fn mixers(
    c: &Config,
    layers: u64,
    recurs: impl Fn(u64) -> bool,
) -> Result<impl Fn(u64) -> Layer> {
    let list = listed(c, "layer_types", &[Layer::Recurrent, Layer::Attention])?;
    if let Some(list) = &list {
        one_each(c, "layer_types", list, layers)?;
    }
    Ok(move |layer: u64| match &list {
        Some(list) => usize::try_from(layer)
            .ok()
            .and_then(|at| list.get(at).copied())
            .unwrap_or(Layer::Recurrent),
        None if recurs(layer) => Layer::Recurrent,
        None => Layer::Attention,
    })
}

/// A product of two sizes that is the width of a layer inside.
pub(super) fn width(c: &Config, key: &str, a: u64, b: u64) -> Result<u64> {
    let width = a.saturating_mul(b);
    if width > WIDEST {
        let fact = format!("makes a width of {width}; the largest that is believed is {WIDEST}");
        return Err(c.contradiction(key, &fact));
    }
    Ok(width)
}

/// A projection of a recurrent layer.
pub(super) fn projection(module: &'static str, from: u64, to: u64) -> Linear {
    Linear::new(module, Component::Recurrent, from, to)
}

/// A convolution over time of each channel by itself.
pub(super) fn convolution(module: &'static str, channels: u64, kernel: u64, bias: bool) -> Op {
    let convolution = Convolution { bias, ..Convolution::new(channels, kernel) };
    Recurrent::new(module, RecurrentKind::Convolution(convolution)).into()
}

/// `$module.in_proj`, `.conv1d`, `.x_proj`, `.dt_proj`, `.A_log`, `.D`, `.out_proj` and norms.
macro_rules! names {
    ($module:literal) => {
        Names {
            module: $module,
            in_proj: concat!($module, ".in_proj"),
            conv: concat!($module, ".conv1d"),
            x_proj: concat!($module, ".x_proj"),
            dt_proj: concat!($module, ".dt_proj"),
            dt_bias: concat!($module, ".dt_bias"),
            a: concat!($module, ".A_log"),
            d: concat!($module, ".D"),
            norm: concat!($module, ".norm"),
            out_proj: concat!($module, ".out_proj"),
        }
    };
}

/// What a checkpoint calls the parts of Mamba's block.
#[derive(Debug, Clone, Copy)]
pub(super) struct Names {
    module: &'static str,
    in_proj: &'static str,
    conv: &'static str,
    x_proj: &'static str,
    dt_proj: &'static str,
    dt_bias: &'static str,
    a: &'static str,
    d: &'static str,
    norm: &'static str,
    out_proj: &'static str,
}

/// In models of nothing but Mamba.
pub(super) const MIXER: Names = names!("mixer");
/// In hybrids.
pub(super) const MAMBA: Names = names!("mamba");

/// Mamba's block (arXiv:2312.00752, section 3.4).
///
/// ```text
/// in (x and gate) → convolution of x → x_proj (time step of `rank`, B, C) → dt_proj → scan → out
/// ```
#[derive(Debug, Clone, Copy)]
pub(super) struct Selective {
    pub hidden: u64,
    pub width: u64,
    pub state: u64,
    pub rank: u64,
    pub kernel: u64,
    pub bias: bool,
    pub conv_bias: bool,
}

impl Selective {
    pub fn ops(&self, names: Names) -> Vec<Op> {
        let (width, state) = (self.width, self.state);
        let scan = RecurrentKind::Selective { channels: width, state };
        vec![
            projection(names.in_proj, self.hidden, 2 * width).bias(self.bias).into(),
            convolution(names.conv, width, self.kernel, self.conv_bias),
            projection(names.x_proj, width, self.rank + 2 * state).into(),
            projection(names.dt_proj, self.rank, width).bias(true).into(),
            vector(names.a, width * state),
            vector(names.d, width),
            Recurrent::new(names.module, scan).into(),
            projection(names.out_proj, width, self.hidden).bias(self.bias).into(),
        ]
    }
}

/// The rank of the time step: a sixteenth of the width, rounded up, where it is `auto` or absent.
pub(super) fn rank(c: &Config, key: &'static str, hidden: u64) -> Result<u64> {
    match c.raw(key).and_then(serde_json::Value::as_str) {
        Some("auto") => Ok(hidden.div_ceil(16)),
        _ => c.size_or(key, hidden.div_ceil(16)),
    }
}

/// Mamba-2's block (arXiv:2405.21060, section 7).
///
/// ```text
/// in (gate, x, B, C, time step) → convolution of x, B, C → scan → gated norm → out
/// ```
#[derive(Debug, Clone, Copy)]
pub(super) struct Dual {
    pub hidden: u64,
    pub heads: u64,
    pub head: u64,
    pub groups: u64,
    pub state: u64,
    pub chunk: u64,
    pub kernel: u64,
    pub conv_bias: bool,
    pub in_bias: bool,
    pub out_bias: bool,
    pub normed: bool,
}

impl Dual {
    /// As hybrids state it (`mamba_…`); `inner` is the width where it is not `mamba_expand` times the
    /// model's.
    pub fn read(c: &Config, hidden: u64, inner: Option<u64>) -> Result<Self> {
        let heads = c.size("mamba_n_heads")?;
        let expand = c.size_or("mamba_expand", 2)?;
        let inner = match inner {
            Some(inner) => inner,
            None => width(c, "mamba_expand", expand, hidden)?,
        };
        let head = match c.raw("mamba_d_head").and_then(serde_json::Value::as_str) {
            Some("auto") => None,
            _ => c.maybe("mamba_d_head")?,
        };
        if !inner.is_multiple_of(heads) || head.is_some_and(|head| head != inner / heads) {
            let fact = format!("{heads} heads do not make up the width {inner}");
            return Err(c.contradiction("mamba_n_heads", &fact).hint("check `mamba_d_head`"));
        }
        let bias = c.flag("mamba_proj_bias", false)?;
        Self {
            hidden,
            heads,
            head: inner / heads,
            groups: c.size_or("mamba_n_groups", 1)?,
            state: c.size("mamba_d_state")?,
            chunk: c.size_or("mamba_chunk_size", 256)?,
            kernel: c.size_or("mamba_d_conv", 4)?,
            conv_bias: c.flag("mamba_conv_bias", true)?,
            in_bias: bias,
            out_bias: bias,
            normed: true,
        }
        .checked(c, "mamba_n_groups")
    }

    /// The same if its sizes fit each other; `groups` is the key that states the groups.
    pub fn checked(self, c: &Config, groups: &str) -> Result<Self> {
        if !self.heads.is_multiple_of(self.groups) {
            let fact = format!("{} heads do not fall into {} groups", self.heads, self.groups);
            return Err(c.contradiction(groups, &fact));
        }
        width(c, groups, self.groups, self.state)?;
        Ok(self)
    }

    pub fn ops(&self, names: Names) -> Vec<Op> {
        let Self { hidden, heads, head, state, chunk, .. } = *self;
        let width = heads * head;
        let convolved = width + 2 * self.groups * state;
        let scan = RecurrentKind::Dual { heads, head, state, chunk };
        let mut ops = vec![
            projection(names.in_proj, hidden, width + convolved + heads).bias(self.in_bias).into(),
            convolution(names.conv, convolved, self.kernel, self.conv_bias),
            vector(names.dt_bias, heads),
            vector(names.a, heads),
            vector(names.d, heads),
            Recurrent::new(names.module, scan).into(),
        ];
        if self.normed {
            ops.push(rms_norm(names.norm, width));
        }
        ops.push(projection(names.out_proj, width, hidden).bias(self.out_bias).into());
        ops
    }
}

/// A gated delta net (arXiv:2412.06464, section 3.4): its sizes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Delta {
    pub key_heads: u64,
    pub value_heads: u64,
    pub key: u64,
    pub value: u64,
    pub kernel: u64,
}

impl Delta {
    /// The same if its sizes fit each other.
    pub fn checked(self, c: &Config) -> Result<Self> {
        if !self.value_heads.is_multiple_of(self.key_heads) {
            let fact = format!(
                "{} value heads cannot share {} key heads evenly",
                self.value_heads, self.key_heads
            );
            return Err(c.contradiction("linear_num_value_heads", &fact));
        }
        self.fits(c).map(|()| self)
    }

    fn fits(&self, c: &Config) -> std::result::Result<(), Error> {
        width(c, "linear_key_head_dim", self.key_heads, self.key)?;
        width(c, "linear_value_head_dim", self.value_heads, self.value)?;
        Ok(())
    }

    /// Width of all keys, and of all queries.
    pub fn keys(&self) -> u64 {
        self.key_heads * self.key
    }

    /// Width of all values, and of the gate.
    pub fn values(&self) -> u64 {
        self.value_heads * self.value
    }

    /// What stands between the projections: the convolution of queries, keys and values, the state.
    pub fn between(&self, norm: &'static str) -> Vec<Op> {
        let rule = RecurrentKind::Delta {
            heads: self.value_heads,
            key: self.key,
            value: self.value,
            by_channel: false,
        };
        vec![
            convolution("linear_attn.conv1d", 2 * self.keys() + self.values(), self.kernel, false),
            vector("linear_attn.dt_bias", self.value_heads),
            vector("linear_attn.A_log", self.value_heads),
            Recurrent::new("linear_attn", rule).into(),
            rms_norm(norm, self.value),
        ]
    }
}
