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
/// let mxfp4 = Storage::scaled("mxfp4", 4, [Scale::groups(32, 8), Scale::NONE]);
/// assert_eq!(mxfp4.matrix_bits(64, 10), 64 * 10 * 4 + 2 * 10 * 8);
/// assert_eq!(Storage::plain(Dtype::Bf16).matrix_bits(64, 10), 64 * 10 * 16);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Storage {
    name: &'static str,
    bits: u64,
    scales: [Scale; 2],
}

/// Numbers stored beside a matrix, one for each block of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Scale {
    /// Output rows that share one; 0 means all.
    pub rows: u64,
    /// Input columns that share one; 0 means all.
    pub columns: u64,
    /// Width of one, zero point included; 0 means there is none.
    pub bits: u64,
}

impl Scale {
    /// None at all.
    pub const NONE: Self = Self { rows: 0, columns: 0, bits: 0 };

    /// One for each `size` elements along a row.
    pub const fn groups(size: u64, bits: u64) -> Self {
        Self { rows: 1, columns: size, bits }
    }

    /// One for each row.
    pub const fn per_row(bits: u64) -> Self {
        Self { rows: 1, columns: 0, bits }
    }

    /// One for the matrix.
    pub const fn per_matrix(bits: u64) -> Self {
        Self { rows: 0, columns: 0, bits }
    }

    fn stored(self, from: u64, to: u64) -> u128 {
        let blocks =
            |size: u64, block: u64| u128::from(if block == 0 { 1 } else { size.div_ceil(block) });
        if self.bits == 0 {
            return 0;
        }
        blocks(to, self.rows) * blocks(from, self.columns) * u128::from(self.bits)
    }
}

impl Storage {
    /// Elements of a dtype, nothing beside them.
    pub const fn plain(dtype: Dtype) -> Self {
        Self { name: dtype.name(), bits: dtype.bits(), scales: [Scale::NONE; 2] }
    }

    /// Elements of `bits` each, and what scales them.
    pub const fn scaled(name: &'static str, bits: u64, scales: [Scale; 2]) -> Self {
        Self { name, bits, scales }
    }

    /// The name in every output: a dtype's or a format's.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Bits of a `from` × `to` matrix, scales and zero points included.
    ///
    /// Both are at most a product of two sizes of a config (2^24 each), so the result fits.
    pub fn matrix_bits(&self, from: u64, to: u64) -> u128 {
        let elements = u128::from(from) * u128::from(to) * u128::from(self.bits);
        self.scales.iter().fold(elements, |sum, scale| sum + scale.stored(from, to))
    }
}
