//! Which keys of a config look as if they shaped the model.

use serde_json::Value;

/// Whether a key that nobody read should be shown to the reader.
pub(super) fn looks_like_a_shape(key: &str, value: &Value) -> bool {
    // Keys that match the patterns below and shape no matrix: generation, pre-training, vocabulary of tasks.
    const KNOWN: [&str; 24] = [
        "chunk_size_feed_forward",
        "encoder_no_repeat_ngram_size",
        "max_position_embeddings",
        "no_repeat_ngram_size",
        "num_beam_groups",
        "num_beams",
        "num_labels",
        "num_logits_to_keep",
        "num_return_sequences",
        "pretraining_tp",
        "original_max_position_embeddings",
        "summary_hidden_size",
        "initial_context_length",
        "ep_size",
        "tp_size",
        "n_group",
        "max_window_layers",
        "n_ctx",
        "n_positions",
        "aux_loss_alpha",
        "tokenizer_class",
        "image_size",
        "mm_tokens_per_image",
        "query_pre_attn_scalar",
    ];
    const PATTERNS: [&str; 17] = [
        "_size", "size_", "num_", "n_", "layer", "window", "head", "_dim", "dim_", "rank",
        "expert", "hidden", "ffn", "chunk", "channels", "d_model", "share",
    ];
    let number_or_list = match value {
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::Array(items) => !items.is_empty() && !items[0].is_object(),
        Value::Bool(_) | Value::Null | Value::String(_) | Value::Object(_) => false,
    };
    let names_a_size = || {
        PATTERNS.iter().any(|pattern| {
            if *pattern == "n_" { key.starts_with(pattern) } else { key.contains(pattern) }
        })
    };
    let is_a_rate = || {
        [
            "norm", "eps", "epsilon", "rope", "theta", "token", "dropout", "drop", "coef", "_id",
            "rotary",
        ]
        .iter()
        .any(|word| key.contains(word))
    };
    number_or_list && names_a_size() && !is_a_rate() && !KNOWN.contains(&key)
}
