//! What a tensor is by its name and its shape, where no type says it.

use crate::component::Component;
use crate::weights::Part;

/// What becomes of a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Looked up.
    Table,
    /// The head.
    Head,
    /// A product of every token.
    Matrix(Component),
    /// A product of the tokens that are routed to it.
    Expert,
    /// Element by element.
    Vector,
    /// The same, and no parameters.
    Buffer,
    /// Of a convolution or a recurrence.
    Recurrence,
    /// Of attention to what an encoder made, which a pass over text alone does not run.
    Idle,
}

/// How names are read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Roles {
    /// How many experts the config states.
    pub experts: Option<u64>,
}

const TABLES: [&str; 6] = ["embed", "embd", "wte", "wpe", "word_embeddings", "position"];
const HEADS: [&str; 5] = ["lm_head", "output", "embed_out", "output_projection", "head"];
/// Words in the whole name of what belongs to a head.
const OF_HEADS: [&str; 3] = ["lm_head", "cls.", "predictions"];
const NORMS: [&str; 4] = ["norm", "ln_", "ln1", "ln2"];
const RECURRENT: [&str; 9] =
    ["mamba", "ssm", "mixer", "linear_attn", "rwkv", "time_mix", "recurrent", "conv", "mlstm"];
/// Ends of names of what attends, whatever it stands in.
const ATTENDING: [&str; 6] =
    ["q_proj", "k_proj", "v_proj", "o_proj", "qkv_proj", "query_key_value"];
const STATES: [&str; 5] = ["A_log", "ssm_a", "ssm_d", "D", "dt_bias"];
const TO_OTHERS: [&str; 4] = ["encoder_attn", "cross_attn", "crossattention", "EncDecAttention"];
/// What is added to a router's scores: no parameters.
const CORRECTIONS: [&str; 3] = ["correction_bias", "expert_bias", "exp_probs_b"];

impl Roles {
    /// A tensor outside layers.
    pub fn outside(&self, part: &Part<'_>) -> Role {
        if part.is_vector() || has(part.module, &NORMS) {
            return Role::Vector;
        }
        if HEADS.contains(&part.module) || has(part.name, &OF_HEADS) {
            return Role::Head;
        }
        if has(part.module, &TABLES) && !has(part.module, &["proj", "mapping"]) {
            return Role::Table;
        }
        Role::Matrix(Component::EmbeddingProjections)
    }

    /// A tensor of a layer that has experts, or has none.
    pub fn inside(&self, part: &Part<'_>, mixture: bool) -> Role {
        let name = part.module;
        let last = last_of(name);
        if has(name, &TO_OTHERS) {
            return Role::Idle;
        }
        if STATES.contains(&last) {
            return Role::Recurrence;
        }
        if has(name, &CORRECTIONS) {
            return Role::Buffer;
        }
        if part.is_vector() || has(last, &NORMS) || last.ends_with("bias") {
            return Role::Vector;
        }
        if last.contains("conv") && is_convolution(part) {
            return Role::Recurrence;
        }
        let shared = name.contains("shared") || name.contains("shexp");
        if !shared && self.copies(part) > 1 {
            return Role::Expert;
        }
        if has(last, &TABLES) {
            return Role::Table;
        }
        Role::Matrix(self.component(name, last, shared && mixture, mixture, part))
    }

    fn component(
        &self,
        name: &str,
        last: &str,
        shared: bool,
        mixture: bool,
        part: &Part<'_>,
    ) -> Component {
        let routes = self.experts.is_none_or(|total| part.shape.contains(&total));
        if shared {
            Component::MoeShared
        } else if mixture
            && routes
            && (name.contains("gate") || name.contains("router"))
            && is_attention(name, last).is_none()
        {
            Component::MoeRouter
        } else if let Some(component) = is_attention(name, last) {
            component
        } else if has(name, &RECURRENT) {
            Component::Recurrent
        } else {
            Component::Mlp
        }
    }

    /// How many experts a tensor, or a series of tensors, holds a matrix of.
    pub fn copies(&self, part: &Part<'_>) -> u64 {
        if part.copies > 1 {
            return part.copies;
        }
        let expert = part.module.contains("exp");
        match *part.shape {
            [first, _, _] if expert || self.experts == Some(first) => first,
            // DBRX keeps all experts' rows in one matrix.
            [rows, _] if part.module.contains("experts") => match self.experts {
                Some(total) if rows > total && rows.is_multiple_of(total) => total,
                _ => 1,
            },
            _ => 1,
        }
    }

    /// Whether a layer attends: it has matrices of attention, and they are no recurrence's.
    pub fn attends(&self, parts: &[Part<'_>]) -> bool {
        let attention = |part: &&Part<'_>| {
            self.inside(part, true) == Role::Matrix(Component::AttentionProjections)
        };
        let count = parts.iter().filter(attention).count();
        // The in-projections of a recurrence may go by attention's name; one that attends has an output.
        let output = |part: &Part<'_>| {
            let last = last_of(part.module);
            ["o_proj", "out_proj", "attn_output", "dense", "c_proj", "wo"].contains(&last)
        };
        count > 0 && (!self.recurs(parts) || parts.iter().filter(attention).any(output))
    }

    /// Whether a layer has what only recurrences have.
    pub fn recurs(&self, parts: &[Part<'_>]) -> bool {
        parts.iter().any(|part| self.inside(part, true) == Role::Recurrence)
    }

    /// Whether it may be what makes keys and values of a latent.
    pub fn expands(&self, part: &Part<'_>) -> bool {
        let last = last_of(part.module);
        ["kv_b_proj", "attn_kv_b"].contains(&last)
    }

    /// The heads of keys and values that a matrix shows.
    pub fn kv_heads(&self, part: &Part<'_>, hidden: u64, query: u64, dim: u64) -> Option<u64> {
        if self.inside(part, false) != Role::Matrix(Component::AttentionProjections) || dim == 0 {
            return None;
        }
        let last = last_of(part.module);
        let width = if part.rows() == hidden { part.columns() } else { part.rows() };
        if ["k_proj", "key", "attn_k", "wk"].contains(&last) {
            return Some(part.rows() / dim).filter(|kv| *kv > 0);
        }
        if !["qkv", "query_key_value", "c_attn", "attn"].iter().any(|word| last.contains(word)) {
            return None;
        }
        // Queries, keys and values side by side.
        let both = (width / dim).checked_sub(query)?;
        (both > 0 && both.is_multiple_of(2)).then_some(both / 2)
    }
}

fn has(name: &str, words: &[&str]) -> bool {
    words.iter().any(|word| name.contains(word))
}

/// The last word of a name; what only numbers it is none.
fn last_of(name: &str) -> &str {
    let mut words = name.rsplit('.').filter(|word| !word.bytes().all(|byte| byte.is_ascii_digit()));
    words.next().unwrap_or(name)
}

/// Channels, each with the few last positions.
fn is_convolution(part: &Part<'_>) -> bool {
    matches!(*part.shape, [_, 1, _]) || part.shape.last().is_some_and(|kernel| *kernel <= 16)
}

/// Whether a matrix is one of attention, and under what it counts.
fn is_attention(name: &str, last: &str) -> Option<Component> {
    if name.contains("linear_attn") {
        return Some(Component::Recurrent);
    }
    let named = name.contains("attn") || name.contains("attention");
    (named || ATTENDING.contains(&last)).then_some(Component::AttentionProjections)
}
