//! The vocabulary, padded so that it can be cut.

use super::cutter::Cutter;
use super::plan::Purpose;
use super::size;
use crate::error::Result;

impl Purpose {
    /// What a vocabulary of so many is padded to for so many ranks: vLLM's multiple of 64, Megatron's of 128 times the
    /// tensor ranks.
    pub fn padded(self, vocabulary: u64, ranks: u64) -> u64 {
        let multiple = match self {
            _ if ranks == 1 => 1,
            Self::Inference => 64,
            Self::Training(_) => 128 * ranks,
        };
        vocabulary.next_multiple_of(multiple)
    }
}

impl Cutter<'_> {
    /// A rank's share of a vocabulary, padded.
    pub(super) fn vocabulary(&self, tokens: u64) -> Result<u64> {
        let ranks = self.plan.tensor;
        let padded = self.purpose.padded(tokens, ranks);
        if padded.is_multiple_of(ranks) {
            return Ok(padded / ranks);
        }
        let fact = format!(
            "a vocabulary of {tokens}, padded to {padded}, cannot be shared evenly by {ranks}"
        );
        let will_do = |ranks| self.purpose.padded(tokens, ranks).is_multiple_of(ranks);
        Err(size::uneven("tensor", fact, ranks, will_do))
    }
}
