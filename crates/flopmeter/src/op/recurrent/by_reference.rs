//! What PyTorch's counter sees of a recurrence: the matrix products of the reference implementation.

use super::runs::Runs;
use super::{Convolution, Factors, Kind, NONE, Padding};
use crate::exact::times;
use crate::passes::Passes;

/// Tokens of a chunk of the gated delta rule, a constant of the reference implementation.
pub(super) const DELTA_CHUNK: u64 = 64;

impl Kind {
    /// The terms of the FLOPs that PyTorch's counter counts in some passes, each a product.
    ///
    /// ```text
    /// convolution  every output of a padded input is computed, then cut: positions + kernel − 1 a
    ///              pass, where a cached pass has `kernel` old positions before its own, and a first one
    ///              at least `kernel`; 2 a step. See [`Padding`] for those that are padded otherwise
    /// delayed      the product of every token, and of nothing before the first
    /// selective    the read-out: a product of the state with one vector a token
    /// dual         chunks of c, the last one padded: C·Bᵀ and its product with x (c²), states in and out
    ///              (2·c), then all states times all, the first included; a step: the read-out
    /// delta        chunks of 64, the last one padded: K·Kᵀ and Q·Kᵀ (keys), their product with the new
    ///              values, and three products with the state; a step: nothing, being element by element
    ///              Kimi's has one product with the keys less and one with the values more
    /// lightning    the state's update and read-out, every token; within blocks of a pass that follows
    ///              nothing, the last one short, Q·Kᵀ and its product with V as well
    /// matrix       whole chunks of c: Q·Kᵀ and its product with V (c²), states in and out (2·c), the
    ///              normaliser out; what is left of a pass, and a step: the update of the state, and the
    ///              read-out of the state and of the normaliser
    /// shift, gated, weighted: nothing, being element by element
    /// ```
    pub fn by_reference(self, passes: Passes) -> Option<[Factors; 3]> {
        let runs = Runs::of(passes);
        let nothing: Factors = [("", 0), NONE, NONE, NONE, NONE];
        Some(match self {
            Self::Shift { .. } | Self::Gated { .. } | Self::Weighted { .. } => [nothing; 3],
            Self::Convolution(Convolution { channels, kernel, group, padding, .. }) => {
                let positions = match padding {
                    Padding::Both => runs.convolved(kernel)?,
                    Padding::Anew => runs.convolved_anew(kernel)?,
                    Padding::Elements => 0,
                    Padding::Before(more) => {
                        passes.tokens()?.checked_add(times(more.into(), runs.passes())?)?
                    }
                };
                let product = [
                    ("2", 2),
                    ("channels", channels.into()),
                    ("kernel", kernel.into()),
                    if group > 1 { ("group", group.into()) } else { NONE },
                    ("positions, padding included", positions),
                ];
                [product, nothing, nothing]
            }
            Self::Delayed { from, to, .. } => {
                let inputs = passes.tokens()?.checked_add(runs.first_passes())?;
                let (from, to) = (("in", from.into()), ("out", to.into()));
                let inputs = ("tokens, and one before the first", inputs);
                [[("2", 2), from, to, inputs, NONE], nothing, nothing]
            }
            Self::Selective { channels, state } => {
                let tokens = ("tokens", passes.tokens()?);
                let read_out = [
                    ("2", 2),
                    ("channels", channels.into()),
                    ("state", state.into()),
                    tokens,
                    NONE,
                ];
                [read_out, nothing, nothing]
            }
            Self::Dual { heads, head, state, chunk } => {
                let (c, p, n) = (u128::from(chunk), u128::from(head), u128::from(state));
                let within = c.checked_mul(c)?.checked_mul(p + n)?;
                let between = c.checked_mul(2)?.checked_mul(p.checked_mul(n)?)?;
                let heads = ("heads", u128::from(heads));
                let chunks = ("chunks", runs.chunks(chunk)?);
                let passed = ("Σ (chunks + 1)²", runs.chunks_passed(chunk)?);
                [
                    [
                        ("2", 2),
                        heads,
                        (
                            "(chunk² · (head + state) + 2 · chunk · head · state)",
                            within.checked_add(between)?,
                        ),
                        chunks,
                        NONE,
                    ],
                    [("2", 2), heads, ("head", p), ("state", n), passed],
                    [("2", 2), heads, ("head", p), ("state", n), ("steps", runs.steps.into())],
                ]
            }
            Self::Lightning { heads, head, block } => {
                let (heads, head) = (("heads", u128::from(heads)), ("head", u128::from(head)));
                let squares = ("Σ tokens² of blocks", runs.block_squares(block)?);
                let tokens = ("tokens", passes.tokens()?);
                [
                    [("4", 4), heads, head, head, tokens],
                    [("4", 4), heads, head, squares, NONE],
                    nothing,
                ]
            }
            Self::Matrix { heads, key, value, chunk } => {
                let (c, k, v) = (u128::from(chunk), u128::from(key), u128::from(value));
                let state = k.checked_mul(v)?.checked_mul(2)?.checked_add(k)?;
                let within = c.checked_mul(c)?.checked_mul(k + v)?;
                let heads = ("heads", u128::from(heads));
                let chunks = runs.whole_chunks(chunk)?;
                let left = passes.tokens()?.checked_sub(times(c, chunks)?)?;
                let one = within.checked_add(c.checked_mul(state)?)?;
                [
                    [
                        ("2", 2),
                        heads,
                        ("(chunk² · (key + value) + chunk · (2 · key · value + key))", one),
                        ("whole chunks", chunks),
                        NONE,
                    ],
                    [
                        ("2", 2),
                        heads,
                        ("(2 · key · value + key)", state),
                        ("tokens left", left),
                        NONE,
                    ],
                    nothing,
                ]
            }
            Self::Delta { heads, key, value, by_channel } => {
                let (c, k, v) = (u128::from(DELTA_CHUNK), u128::from(key), u128::from(value));
                let (within, name) = if by_channel {
                    (k + 2 * v, "(64² · (key + 2 · value) + 3 · 64 · key · value)")
                } else {
                    (2 * k + v, "(64² · (2 · key + value) + 3 · 64 · key · value)")
                };
                let one = (c * c).checked_mul(within)?.checked_add((3 * c).checked_mul(k * v)?)?;
                let chunk = [
                    ("2", 2),
                    ("heads", heads.into()),
                    (name, one),
                    ("chunks of 64", runs.chunks(DELTA_CHUNK)?),
                    NONE,
                ];
                [chunk, nothing, nothing]
            }
        })
    }
}
