//! What a layer is made of. Each op answers for its parameters, its FLOPs and its bytes.

mod attention;
mod distances;
mod indexer;
mod latent;
mod linear;
mod local;
mod recurrent;
mod storage;

pub use attention::Attention;
pub use distances::{DistanceScores, Distances};
pub use indexer::{HeadSum, Indexer};
pub use latent::{Form, Latent};
pub(crate) use latent::{InForm, LatentFlops};
pub use linear::{Experts, Linear, Rows, Spread};
pub(crate) use local::LocalAmount;
pub use local::{Local, Pieces, Summaries};
pub(crate) use recurrent::RunAmount;
pub use recurrent::{Convolution, Factors, Kind as RecurrentKind, Padding, Recurrent};
pub use storage::{Scale, Storage};

use crate::component::Component;
use crate::dtype::Dtype;

/// One op of a layer.
#[derive(Debug, Clone, PartialEq)]
pub enum Op {
    /// A matrix product with weights.
    Linear(Linear),
    /// Scores and values of attention over cached keys and values.
    Attention(Attention),
    /// Scores and values of attention to a source, an encoder's output: every new token sees every position of it.
    /// Keys and values come of products over [`Rows::Source`]; the cache keeps them as they are.
    Cross(Attention),
    /// Scores of vectors of distances beside those of keys.
    DistanceScores(DistanceScores),
    /// Scores that choose the keys which sparse attention looks at.
    Indexer(Indexer),
    /// Scores and values of attention over cached latents, and what expands them.
    Latent(Latent),
    /// Scores and values of an encoder's attention within pieces of its sequence.
    Local(Local),
    /// A product of what a pass makes itself: no weights.
    Product(Product),
    /// A convolution over time or the state of a recurrent layer.
    Recurrent(Recurrent),
    /// A table of vectors that are looked up: no FLOPs.
    Table(Table),
    /// Parameters that act element by element (norms, sinks, biases of a router): no FLOPs counted.
    Vector(Vector),
    /// What runs only where there is a source (layers that attend to an image); over text alone, weights that are stored.
    Idle(Box<Op>),
}

/// A product of what a pass makes itself, or once more with weights that another op has read.
///
/// ```text
/// x[rows, from] · w[from, to] -> y[rows, to]     2·from·to a row
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Product {
    /// Name in the reference implementation.
    pub module: &'static str,
    /// What its FLOPs are counted under.
    pub component: Component,
    /// Width of the input.
    pub from: u64,
    /// Width of the output.
    pub to: u64,
}

impl Product {
    /// FLOPs of one row.
    pub fn flops_per_row(&self) -> u128 {
        2 * u128::from(self.from) * u128::from(self.to)
    }
}

/// A look-up table: token or position embeddings.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// Name in the reference implementation.
    pub module: &'static str,
    /// Number of vectors.
    pub rows: u64,
    /// Elements of a vector.
    pub width: u64,
    /// Vectors that a token looks up.
    pub looked_up: u64,
    /// Whether it is another op's table, which is stored once.
    pub shared: bool,
    /// How an element is stored.
    pub storage: Storage,
}

impl Table {
    /// Vectors that are stored here.
    fn stored_rows(&self) -> u64 {
        if self.shared { 0 } else { self.rows }
    }
}

/// Parameters that act element by element.
#[derive(Debug, Clone, PartialEq)]
pub struct Vector {
    /// Name in the reference implementation.
    pub module: &'static str,
    /// Number of elements.
    pub elements: u64,
    /// How an element is stored.
    pub storage: Storage,
    /// Whether they are a buffer of the reference implementation: stored and read, but no parameters,
    /// and of one width whatever the rest is stored in.
    pub buffer: bool,
}

impl Op {
    /// Name in the reference implementation, below the layer.
    pub fn module(&self) -> &'static str {
        match self {
            Self::Linear(op) => op.module,
            Self::Attention(op) | Self::Cross(op) => op.module,
            Self::DistanceScores(op) => op.module,
            Self::Indexer(op) => op.module,
            Self::Latent(op) => op.module,
            Self::Local(op) => op.module,
            Self::Product(op) => op.module,
            Self::Recurrent(op) => op.module,
            Self::Table(op) => op.module,
            Self::Vector(op) => op.module,
            Self::Idle(op) => op.module(),
        }
    }

    /// Whether it is a head that is the embedding's table.
    pub(crate) fn is_tied_head(&self) -> bool {
        matches!(self, Self::Linear(op) if op.component == Component::Head && op.shared_weights)
    }

    /// Number of parameters, all experts included; weights shared with another op count there.
    pub fn parameters(&self) -> u128 {
        match self {
            Self::Linear(op) => op.parameters(),
            Self::Attention(_)
            | Self::Cross(_)
            | Self::DistanceScores(_)
            | Self::Indexer(_)
            | Self::Local(_)
            | Self::Product(_) => 0,
            Self::Latent(op) => op.parameters(),
            Self::Recurrent(op) => op.parameters(),
            Self::Table(op) => u128::from(op.stored_rows()) * u128::from(op.width),
            Self::Vector(op) => u128::from(if op.buffer { 0 } else { op.elements }),
            Self::Idle(op) => op.parameters(),
        }
    }

    /// Number of parameters that take part in one token's pass.
    pub fn active_parameters(&self) -> u128 {
        match self {
            Self::Linear(op) => op.active_parameters(),
            Self::Idle(_) => 0,
            _ => self.parameters(),
        }
    }

    /// Bits that the parameters are stored in, scales and zero points included.
    pub fn stored_bits(&self) -> u128 {
        match self {
            Self::Linear(op) => op.stored_bits(),
            Self::Attention(_)
            | Self::Cross(_)
            | Self::DistanceScores(_)
            | Self::Indexer(_)
            | Self::Local(_)
            | Self::Product(_) => 0,
            Self::Idle(op) => op.stored_bits(),
            Self::Latent(op) => op.stored_bits(),
            Self::Recurrent(op) => op.stored_bits(),
            Self::Table(op) => op.storage.matrix_bits(op.width, op.stored_rows()),
            Self::Vector(op) => op.storage.matrix_bits(op.elements, 1),
        }
    }

    /// How its weights are stored, `None` for an op without weights.
    pub fn storage(&self) -> Option<Storage> {
        match self {
            Self::Linear(op) => Some(op.storage),
            Self::Attention(_)
            | Self::Cross(_)
            | Self::DistanceScores(_)
            | Self::Indexer(_)
            | Self::Local(_)
            | Self::Product(_) => None,
            Self::Idle(op) => op.storage(),
            Self::Latent(op) => Some(op.storage),
            Self::Recurrent(op) => Some(op.storage),
            Self::Table(op) => Some(op.storage),
            Self::Vector(op) => Some(op.storage),
        }
    }

    /// Caches so what it caches.
    pub(crate) fn cache_in(&mut self, storage: Storage) {
        match self {
            Self::Attention(op) | Self::Cross(op) => op.cache = storage,
            Self::Indexer(op) => op.cache = storage,
            Self::Latent(op) => op.cache = storage,
            Self::Recurrent(op) => op.state = storage,
            Self::Idle(op) => op.cache_in(storage),
            Self::DistanceScores(_)
            | Self::Linear(_)
            | Self::Local(_)
            | Self::Product(_)
            | Self::Table(_)
            | Self::Vector(_) => {}
        }
    }

    /// Stores its weights so; a bias stays as it is.
    pub(crate) fn store_as(&mut self, storage: Storage) {
        match self {
            Self::Linear(op) => op.storage = storage,
            Self::Attention(_)
            | Self::Cross(_)
            | Self::DistanceScores(_)
            | Self::Indexer(_)
            | Self::Local(_)
            | Self::Product(_) => {}
            Self::Idle(op) => op.store_as(storage),
            Self::Recurrent(op) => op.storage = storage,
            Self::Latent(op) => op.storage = storage,
            Self::Table(op) => op.storage = storage,
            Self::Vector(op) => op.storage = storage,
        }
    }

    /// Stores its bias so, if it is one that may have a bias.
    pub(crate) fn store_bias_as(&mut self, storage: Storage) {
        if let Self::Linear(op) = self {
            op.bias_bits = u64::try_from(storage.matrix_bits(1, 1)).unwrap_or(op.bias_bits);
        }
    }

    /// Stores everything in one dtype.
    pub(crate) fn store(&mut self, dtype: Dtype) {
        let plain = Storage::plain(dtype);
        match self {
            Self::Linear(op) => {
                op.storage = plain;
                op.bias_bits = dtype.bits();
            }
            Self::Attention(_)
            | Self::Cross(_)
            | Self::DistanceScores(_)
            | Self::Indexer(_)
            | Self::Local(_)
            | Self::Product(_) => {}
            Self::Idle(op) => op.store(dtype),
            Self::Latent(op) => op.storage = plain,
            Self::Recurrent(op) => op.storage = plain,
            Self::Table(op) => op.storage = plain,
            Self::Vector(op) if op.buffer => {}
            Self::Vector(op) => op.storage = plain,
        }
    }
}
