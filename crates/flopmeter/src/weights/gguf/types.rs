//! The types of ggml: how many elements a block has, and in how many bytes.

use crate::op::{Scale, Storage};

/// A type: blocks of so many elements in so many bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Type {
    pub id: u32,
    pub name: &'static str,
    pub block: u64,
    pub bytes: u64,
    /// Whole bits of an element; what a block has beside them scales it.
    bits: u64,
}

impl Type {
    const fn new(id: u32, name: &'static str, block: u64, bytes: u64) -> Self {
        Self { id, name, block, bytes, bits: bytes * 8 / block }
    }

    /// Bits of an element, and of what stands beside a block.
    pub fn storage(self) -> Storage {
        let beside = self.bytes * 8 - self.bits * self.block;
        let scale = match beside {
            0 => Scale::None,
            bits => Scale::Elements { count: self.block, bits },
        };
        Storage::scaled(self.name, self.bits, [scale, Scale::None])
    }
}

/// Block structures of ggml-common.h.
pub(super) const ALL: &[Type] = &[
    Type::new(0, "fp32", 1, 4),
    Type::new(1, "fp16", 1, 2),
    Type::new(2, "Q4_0", 32, 18),
    Type::new(3, "Q4_1", 32, 20),
    Type::new(6, "Q5_0", 32, 22),
    Type::new(7, "Q5_1", 32, 24),
    Type::new(8, "Q8_0", 32, 34),
    Type::new(9, "Q8_1", 32, 36),
    Type::new(10, "Q2_K", 256, 84),
    Type::new(11, "Q3_K", 256, 110),
    Type::new(12, "Q4_K", 256, 144),
    Type::new(13, "Q5_K", 256, 176),
    Type::new(14, "Q6_K", 256, 210),
    Type::new(15, "Q8_K", 256, 292),
    Type::new(16, "IQ2_XXS", 256, 66),
    Type::new(17, "IQ2_XS", 256, 74),
    Type::new(18, "IQ3_XXS", 256, 98),
    Type::new(19, "IQ1_S", 256, 50),
    Type::new(20, "IQ4_NL", 32, 18),
    Type::new(21, "IQ3_S", 256, 110),
    Type::new(22, "IQ2_S", 256, 82),
    Type::new(23, "IQ4_XS", 256, 136),
    Type::new(24, "int8", 1, 1),
    Type::new(25, "int16", 1, 2),
    Type::new(26, "int32", 1, 4),
    Type::new(27, "int64", 1, 8),
    Type::new(28, "fp64", 1, 8),
    Type::new(29, "IQ1_M", 256, 56),
    Type::new(30, "bf16", 1, 2),
    Type::new(34, "TQ1_0", 256, 54),
    Type::new(35, "TQ2_0", 256, 66),
    Type::new(39, "MXFP4", 32, 17),
    Type::new(40, "NVFP4", 64, 36),
    Type::new(41, "Q1_0", 128, 18),
];

/// Types that ggml no longer has: files of them are not read by anything current.
pub(super) const REMOVED: &[(u32, &str)] = &[
    (4, "Q4_2"),
    (5, "Q4_3"),
    (31, "Q4_0_4_4"),
    (32, "Q4_0_4_8"),
    (33, "Q4_0_8_8"),
    (36, "IQ4_NL_4_4"),
    (37, "IQ4_NL_4_8"),
    (38, "IQ4_NL_8_8"),
];

pub(super) fn find(id: u32) -> Option<Type> {
    ALL.iter().copied().find(|known| known.id == id)
}
