//! How weights are stored: the elements' width, and what scales them.

use crate::dtype::Dtype;

/// Storage of a weight matrix.
///
/// # Example
///
/// ```
/// use flopmeter::op::{Scale, Storage};
/// use flopmeter::Dtype;
///
/// // MXFP4: 4 bits an element and an 8-bit scale for every 32 along a row.
/// let mxfp4 = Storage::scaled("mxfp4", 4, [Scale::groups(32, 8), Scale::None]);
/// assert_eq!(mxfp4.matrix_bits(64, 10), 64 * 10 * 4 + 2 * 10 * 8);
/// assert_eq!(Storage::plain(Dtype::Bf16).matrix_bits(64, 10), 64 * 10 * 16);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Storage {
    name: &'static str,
    bits: u64,
    scales: [Scale; 2],
}

/// Numbers stored beside a matrix, one for each piece of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scale {
    /// None at all.
    None,
    /// One for each block of rows and columns.
    Blocks {
        /// Output rows that share one; 0 means all.
        rows: u64,
        /// Input columns that share one; 0 means all.
        columns: u64,
        /// Width of one, zero point included.
        bits: u64,
    },
    /// One for so many elements, the matrix being taken as one long row.
    Elements {
        /// Elements that share one.
        count: u64,
        /// Width of one.
        bits: u64,
    },
}

impl Scale {
    /// One for each `size` elements along a row.
    pub const fn groups(size: u64, bits: u64) -> Self {
        Self::Blocks { rows: 1, columns: size, bits }
    }

    /// One for each row.
    pub const fn per_row(bits: u64) -> Self {
        Self::Blocks { rows: 1, columns: 0, bits }
    }

    /// One for the matrix.
    pub const fn per_matrix(bits: u64) -> Self {
        Self::Blocks { rows: 0, columns: 0, bits }
    }

    fn stored(self, from: u64, to: u64) -> u128 {
        let pieces =
            |size: u64, piece: u64| u128::from(if piece == 0 { 1 } else { size.div_ceil(piece) });
        match self {
            Self::None => 0,
            Self::Blocks { rows, columns, bits } => {
                pieces(to, rows) * pieces(from, columns) * u128::from(bits)
            }
            Self::Elements { count, bits } => {
                (u128::from(from) * u128::from(to)).div_ceil(count.into()) * u128::from(bits)
            }
        }
    }
}

impl Storage {
    /// Elements of a dtype, nothing beside them.
    pub const fn plain(dtype: Dtype) -> Self {
        Self { name: dtype.name(), bits: dtype.bits(), scales: [Scale::None; 2] }
    }

    /// Elements of `bits` each, and what scales them.
    pub const fn scaled(name: &'static str, bits: u64, scales: [Scale; 2]) -> Self {
        Self { name, bits, scales }
    }

    /// The name in every output: a dtype's or a format's.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Whether its width is no dtype's: something scales it, or it is packed.
    pub(crate) fn is_scaled(&self) -> bool {
        self.scales != [Scale::None; 2]
            || Dtype::ALL.iter().all(|dtype| Self::plain(*dtype) != *self)
    }

    /// Bits of a `from` × `to` matrix, scales and zero points included.
    ///
    /// Both are at most a product of two sizes of a config (2^24 each), so the result fits.
    pub fn matrix_bits(&self, from: u64, to: u64) -> u128 {
        let elements = u128::from(from) * u128::from(to) * u128::from(self.bits);
        self.scales.iter().fold(elements, |sum, scale| sum + scale.stored(from, to))
    }
}
