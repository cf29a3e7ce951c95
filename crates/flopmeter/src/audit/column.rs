//! The columns of a table, by the names that tables give them.

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// What the row is called.
    Row,
    /// A model by name, or what a shape is called.
    Model,
    /// Layers.
    Layers,
    /// Width of what passes from layer to layer.
    Hidden,
    /// Query heads.
    Heads,
    /// Key and value heads.
    KvHeads,
    /// Width of a head.
    HeadDim,
    /// Width of the feed-forward layer, or of one expert.
    Ffn,
    /// Its kind: `gelu`, `relu`, `swiglu`, …
    FfnType,
    /// Tokens that are told apart.
    Vocab,
    /// Experts of a layer.
    Experts,
    /// Experts that a token passes.
    ActiveExperts,
    /// Whether the head is the token table.
    Tied,
    /// Parameters, as the source states them.
    Parameters,
    /// Tokens of a sequence.
    Sequence,
    /// Sequences of a step, over all devices.
    Batch,
    /// Number of devices.
    Devices,
    /// Device, as its driver prints it.
    Device,
    /// Dtype of products, whose peak is taken.
    Dtype,
    /// Dense peak of a device in FLOP/s.
    Peak,
    /// What is computed again: `none`, `selective`, `full`, a number of layers.
    Recompute,
    /// Whether layers that predict further tokens are trained.
    Mtp,
    /// How fast it went.
    Throughput,
    /// Of what: `tokens/s`, `tokens/s/device`, `s/step`, …
    Unit,
    /// Claimed TFLOP/s of a device.
    Tflops,
    /// Claimed MFU.
    Mfu,
    /// Claimed MFU in percent.
    MfuPercent,
    /// Claimed HFU.
    Hfu,
    /// Claimed HFU in percent.
    HfuPercent,
}

use Column as C;

/// A column, what it holds, and its names, the one of every output first.
const COLUMNS: &[(Column, &str, &[&str])] = &[
    (C::Row, "what the row is called", &["row", "id", "name"]),
    (C::Model, "a model by name, or what a shape is called", &["model"]),
    (C::Layers, "layers", &["layers", "n_layers", "num_layers", "num_hidden_layers"]),
    (C::Hidden, "width of what passes from layer to layer", &["hidden", "hidden_size", "d_model"]),
    (C::Heads, "query heads", &["heads", "n_heads", "num_attention_heads"]),
    (C::KvHeads, "key and value heads", &["kv_heads", "n_kv_heads", "num_key_value_heads"]),
    (C::HeadDim, "width of a head", &["head_dim"]),
    (
        C::Ffn,
        "width of the feed-forward layer, or of one expert",
        &["ffn", "ffn_size", "d_ff", "intermediate_size"],
    ),
    (C::FfnType, "its kind: `gelu`, `relu`, `swiglu`, …", &["ffn_type", "activation"]),
    (C::Vocab, "tokens that are told apart", &["vocab", "vocab_size", "vocabulary"]),
    (C::Experts, "experts of a layer", &["experts", "num_experts"]),
    (
        C::ActiveExperts,
        "experts that a token passes",
        &["active_experts", "top_k", "num_experts_per_tok"],
    ),
    (C::Tied, "whether the head is the token table", &["tied", "tie_word_embeddings"]),
    (
        C::Parameters,
        "parameters, as the source states them",
        &["parameters", "params", "params_stated"],
    ),
    (C::Sequence, "tokens of a sequence", &["seq_len", "sequence", "sequence_length"]),
    (
        C::Batch,
        "sequences of a step, over all devices",
        &["batch", "global_batch", "global_batch_size"],
    ),
    (C::Devices, "number of devices", &["devices", "gpus", "chips", "num_gpus", "num_devices"]),
    (C::Device, "device, as its driver prints it", &["device", "gpu", "chip", "accelerator"]),
    (C::Dtype, "dtype of products, whose peak is taken", &["dtype", "precision"]),
    (C::Peak, "dense peak of a device in FLOP/s", &["peak", "peak_flops"]),
    (
        C::Recompute,
        "what is computed again: `none`, `selective`, `full`, a number of layers",
        &["recompute", "recomputation", "activation_checkpointing"],
    ),
    (C::Mtp, "whether layers that predict further tokens are trained", &["mtp"]),
    (C::Throughput, "how fast it went", &["throughput", "throughput_value"]),
    (C::Unit, "of what: `tokens/s`, `tokens/s/device`, `s/step`, …", &["unit", "throughput_unit"]),
    (
        C::Tflops,
        "claimed TFLOP/s of a device",
        &[
            "tflops",
            "claimed_tflops",
            "tflops_per_device",
            "tflops_per_gpu",
            "published_tflops_per_gpu",
        ],
    ),
    (C::Mfu, "claimed MFU", &["mfu", "claimed_mfu"]),
    (
        C::MfuPercent,
        "claimed MFU in percent",
        &["mfu_pct", "mfu_percent", "claimed_mfu_pct", "published_mfu_pct"],
    ),
    (C::Hfu, "claimed HFU", &["hfu", "claimed_hfu"]),
    (
        C::HfuPercent,
        "claimed HFU in percent",
        &["hfu_pct", "hfu_percent", "claimed_hfu_pct", "published_hfu_pct"],
    ),
];

impl Column {
    /// Columns of claimed figures.
    pub const CLAIMS: [Self; 5] =
        [Self::Tflops, Self::Mfu, Self::MfuPercent, Self::Hfu, Self::HfuPercent];

    /// Every column with its names, the one of every output first.
    pub fn all() -> impl Iterator<Item = (Self, &'static [&'static str])> {
        COLUMNS.iter().map(|(column, _, names)| (*column, *names))
    }

    /// The column of this name.
    ///
    /// ```
    /// use flopmeter::audit::Column;
    /// assert_eq!(Column::of("Global batch"), Some(Column::Batch));
    /// assert_eq!(Column::of("colour"), None);
    /// ```
    pub fn of(name: &str) -> Option<Self> {
        let name =
            name.trim_start_matches('\u{feff}').trim().to_lowercase().replace([' ', '-'], "_");
        Self::all().find(|(_, names)| names.contains(&name.as_str())).map(|(column, _)| column)
    }

    /// Its name in every output.
    pub fn name(self) -> &'static str {
        // Each column has a line in the list: a test walks them.
        Self::all().find(|(column, _)| *column == self).map_or("", |(_, names)| names[0])
    }

    /// What it holds, in a few words.
    pub fn holds(self) -> &'static str {
        COLUMNS.iter().find(|(column, ..)| *column == self).map_or("", |(_, holds, _)| holds)
    }
}

#[cfg(test)]
mod tests {
    use super::{COLUMNS, Column};
    use std::collections::BTreeSet;

    #[test]
    fn a_name_means_one_column() {
        let mut seen = BTreeSet::new();
        for (column, holds, names) in COLUMNS {
            assert!(!holds.is_empty() && column.holds() == *holds);
            for name in *names {
                assert!(seen.insert(name), "{name}");
                assert_eq!(Column::of(&name.to_uppercase()), Some(*column));
            }
        }
    }
}
