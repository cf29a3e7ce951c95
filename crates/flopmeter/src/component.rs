//! What a cost is broken down into.

use std::ops::{Index, IndexMut};

/// A part of the work of a forward pass. Components sum to the total.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Component {
    /// A tower that sees images, and what puts its vectors into the text part's width.
    Vision,
    /// A tower that hears, and what puts its vectors into the text part's width.
    Audio,
    /// An encoder that a decoder attends to, as a whole.
    Encoder,
    /// Projections between an embedding width and the model's width.
    EmbeddingProjections,
    /// Hyper-connections: what mixes the parallel streams of the residual, with each other and with a layer.
    Connections,
    /// Query, key, value and output projections, latent ones included.
    AttentionProjections,
    /// Queries times keys.
    AttentionScores,
    /// Attention weights times values.
    AttentionValues,
    /// Dense feed-forward layers.
    Mlp,
    /// The router that scores experts.
    MoeRouter,
    /// Routed experts.
    MoeExperts,
    /// Experts that every token runs through, and their gates.
    MoeShared,
    /// Recurrent layers: projections, convolutions, states.
    Recurrent,
    /// The output head.
    Head,
    /// What an adapter adds beside the weights that it adapts.
    Adapter,
    /// The whole of a count that is made from the number of parameters and knows no parts.
    Parameters,
}

impl Component {
    /// How many there are.
    pub const COUNT: usize = Self::ALL.len();

    /// Every component, in the order of a forward pass.
    pub const ALL: [Self; 16] = [
        Self::Vision,
        Self::Audio,
        Self::Encoder,
        Self::EmbeddingProjections,
        Self::Connections,
        Self::AttentionProjections,
        Self::AttentionScores,
        Self::AttentionValues,
        Self::Mlp,
        Self::MoeRouter,
        Self::MoeExperts,
        Self::MoeShared,
        Self::Recurrent,
        Self::Head,
        Self::Adapter,
        Self::Parameters,
    ];

    /// The key in every output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Vision => "vision",
            Self::Audio => "audio",
            Self::Encoder => "encoder",
            Self::EmbeddingProjections => "embedding.projections",
            Self::Connections => "connections",
            Self::AttentionProjections => "attention.projections",
            Self::AttentionScores => "attention.scores",
            Self::AttentionValues => "attention.values",
            Self::Mlp => "mlp",
            Self::MoeRouter => "moe.router",
            Self::MoeExperts => "moe.experts",
            Self::MoeShared => "moe.shared",
            Self::Recurrent => "recurrent",
            Self::Head => "head",
            Self::Adapter => "adapter",
            Self::Parameters => "parameters",
        }
    }
}

/// A count for each component.
///
/// ```
/// use flopmeter::{Component, Counts};
/// let mut counts = Counts::default();
/// counts[Component::Mlp] = 6;
/// counts[Component::Head] = 4;
/// assert_eq!(counts.total(), Some(10));
/// assert_eq!(counts.present().count(), 2);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts([u128; Component::COUNT]);

impl Counts {
    /// How many counts it holds.
    pub(crate) const LEN: usize = Component::COUNT;

    /// The counts in the order of [`Component::ALL`].
    pub(crate) fn into_array(self) -> [u128; Self::LEN] {
        self.0
    }

    /// Counts in the order of [`Component::ALL`].
    pub(crate) fn from_array(counts: [u128; Self::LEN]) -> Self {
        Self(counts)
    }

    /// The difference to another, `None` if a component of that is larger.
    pub(crate) fn checked_sub(mut self, other: &Self) -> Option<Self> {
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            *mine = mine.checked_sub(*theirs)?;
        }
        Some(self)
    }

    /// The sum of all components, `None` if it does not fit.
    pub fn total(&self) -> Option<u128> {
        self.0.iter().try_fold(0_u128, |sum, count| sum.checked_add(*count))
    }

    /// The sum with another, component by component, `None` if one does not fit.
    pub fn checked_add(mut self, other: &Self) -> Option<Self> {
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            *mine = mine.checked_add(*theirs)?;
        }
        Some(self)
    }

    /// The components that are not zero, in order.
    pub fn present(&self) -> impl Iterator<Item = (Component, u128)> + '_ {
        Component::ALL.into_iter().zip(self.0).filter(|(_, count)| *count > 0)
    }
}

impl Index<Component> for Counts {
    type Output = u128;
    fn index(&self, component: Component) -> &u128 {
        &self.0[component as usize]
    }
}

impl IndexMut<Component> for Counts {
    fn index_mut(&mut self, component: Component) -> &mut u128 {
        &mut self.0[component as usize]
    }
}
