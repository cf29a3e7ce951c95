//! Numbers of parameters.

use super::group::{Group, ops};
use crate::op::Op;

/// Numbers of parameters. Weights that two ops share count once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameters {
    /// All of them.
    pub total: u128,
    /// Those that take part in one token's pass: of the experts, the routed ones only.
    pub active: u128,
    /// Those of look-up tables (token and position embeddings).
    pub embedding: u128,
}

impl Parameters {
    /// All but those of look-up tables.
    ///
    /// A tied head is its table, which is left out; a head of its own is a matrix product and stays in. Kaplan et
    /// al. (arXiv:2001.08361, section 2.1), whose heads are tied, leave out the same; Qwen's cards take an untied
    /// head out as well, and Hoffmann et al. (arXiv:2203.15556) leave nothing out, which is `total`.
    ///
    /// ```
    /// use flopmeter::Builtin;
    /// // A table and a head of 152,064 · 3584 each, of which the head stays.
    /// let qwen = Builtin::find("Qwen/Qwen2.5-7B")?.model()?.parameters();
    /// assert_eq!(qwen.non_embedding(), 7_615_616_512 - 152_064 * 3584);
    /// # Ok::<(), flopmeter::Error>(())
    /// ```
    pub fn non_embedding(&self) -> u128 {
        self.total - self.embedding
    }
}

impl Parameters {
    pub(super) fn of<'g>(groups: impl Iterator<Item = &'g Group>) -> Option<Self> {
        let mut sum = Self { total: 0, active: 0, embedding: 0 };
        for (op, repeat) in ops(groups) {
            let times = |count: u128| count.checked_mul(repeat.into());
            sum.total = sum.total.checked_add(times(op.parameters())?)?;
            sum.active = sum.active.checked_add(times(op.active_parameters())?)?;
            if let Op::Table(_) = op {
                sum.embedding = sum.embedding.checked_add(times(op.parameters())?)?;
            }
        }
        Some(sum)
    }
}
