//! What PyTorch's counter sees of a recurrence in a backward pass.

use super::Kind;
use super::by_reference::DELTA_CHUNK;
use super::runs::Runs;
use crate::passes::Passes;

impl Kind {
    /// FLOPs that PyTorch's counter counts for the gradients of what a recurrence multiplies, in passes over whole
    /// sequences; `None` if they do not fit.
    ///
    /// Two products for each of the forward pass, but for the delta rule of n chunks of c tokens:
    ///
    /// ```text
    /// triangular systems   solved forward without a product; their gradient is one: c²·(key + value) each chunk
    /// states               the first is nothing that was computed, and of the last nothing is: of three products
    ///                      with a state 6·n − 4 gradients, c·key·value each
    /// ```
    pub(crate) fn gradients_by_reference(self, passes: Passes) -> Option<u128> {
        let Self::Delta { heads, key, value, by_channel } = self else {
            return self.flops_by_reference(passes)?.checked_mul(2);
        };
        let runs = Runs::of(passes);
        let (c, k, v) = (u128::from(DELTA_CHUNK), u128::from(key), u128::from(value));
        let chunks: u128 = runs.chunks(DELTA_CHUNK)?;
        // Each product has two gradients. Kimi's systems are inverted element by element.
        let within = if by_channel { 2 * (k + 2 * v) } else { 2 * (2 * k + v) + k + v };
        let states = chunks.checked_mul(6)?.checked_sub(runs.passes().checked_mul(4)?)?;
        let within = (c * c).checked_mul(within)?.checked_mul(chunks)?;
        let between = c.checked_mul(k.checked_mul(v)?)?.checked_mul(states)?;
        within.checked_add(between)?.checked_mul(2 * u128::from(heads))
    }
}
