//! Attention that scores distances: vectors of how far two positions are apart, beside what stands at them.

use super::Op;

/// How many vectors of distances meet a sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Distances {
    /// All that there are, however long the sequence is.
    All(u64),
    /// Those that two of its positions can be apart, on either side, up to so many.
    Reached(u64),
}

impl Distances {
    /// Vectors for a sequence of so many tokens.
    ///
    /// ```
    /// use flopmeter::op::Distances;
    /// assert_eq!(Distances::All(512).rows(10), 512);
    /// assert_eq!(Distances::Reached(512).rows(10), 20);
    /// assert_eq!(Distances::Reached(512).rows(600), 1024);
    /// ```
    pub fn rows(self, tokens: u64) -> u128 {
        match self {
            Self::All(rows) => rows.into(),
            Self::Reached(most) => 2 * u128::from(tokens.min(most)),
        }
    }
}

/// Scores of every query with vectors of distances, or of every key with them (the disentangled attention of DeBERTa,
/// arXiv:2006.03654, section 3.1), of an encoder's one pass.
///
/// ```text
/// q[heads, s, dim] · r[heads, distances, dim]ᵀ -> [heads, s, distances]     2·heads·dim a token and distance
/// ```
///
/// Each pair then picks the score of its distance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DistanceScores {
    /// Name in the reference implementation, below the layer.
    pub module: &'static str,
    /// Heads.
    pub heads: u64,
    /// Width of a head.
    pub dim: u64,
    /// What is scored.
    pub distances: Distances,
}

impl DistanceScores {
    /// FLOPs of a token and a distance.
    pub fn flops_per_score(&self) -> u128 {
        2 * u128::from(self.heads) * u128::from(self.dim)
    }
}

impl From<DistanceScores> for Op {
    fn from(scores: DistanceScores) -> Self {
        Self::DistanceScores(scores)
    }
}
