//! Safetensors files of [`LLAMA`](super::LLAMA).

/// A tensor to write: name, dtype, bytes of an element, shape.
pub type Tensor = (String, &'static str, u64, Vec<u64>);

/// The tensors of [`LLAMA`](super::LLAMA) with so many layers, its norms in fp32: 3 outside the layers
/// and 9 in each.
pub fn llama(layers: usize) -> Vec<Tensor> {
    let mut all = vec![("model.norm.weight".to_owned(), "F32", 4, vec![64])];
    let mut matrix = |name: String, to, from| all.push((name, "BF16", 2, vec![to, from]));
    matrix("model.embed_tokens.weight".into(), 100, 64);
    matrix("lm_head.weight".into(), 100, 64);
    for layer in 0..layers {
        let mut matrix =
            |name: &str, to, from| matrix(format!("model.layers.{layer}.{name}.weight"), to, from);
        for (name, to) in [("q", 64), ("k", 32), ("v", 32), ("o", 64)] {
            matrix(&format!("self_attn.{name}_proj"), to, 64);
        }
        matrix("mlp.gate_proj", 96, 64);
        matrix("mlp.up_proj", 96, 64);
        matrix("mlp.down_proj", 64, 96);
    }
    for layer in 0..layers {
        for name in ["input_layernorm", "post_attention_layernorm"] {
            all.push((format!("model.layers.{layer}.{name}.weight"), "F32", 4, vec![64]));
        }
    }
    all
}

/// 74,560 parameters of 2 bytes, of which 5·64 of norms have 4.
pub const BYTES: u128 = 2 * 74_560 + 2 * 5 * 64;

/// A file as the format has it: its first bytes, as far as the data, and its whole length.
pub fn file(tensors: &[Tensor]) -> (Vec<u8>, u64) {
    let mut end = 0;
    let entries: Vec<String> = tensors
        .iter()
        .map(|(name, dtype, width, shape)| {
            let from = end;
            end += width * shape.iter().product::<u64>();
            format!(
                r#""{name}":{{"dtype":"{dtype}","shape":{shape:?},"data_offsets":[{from},{end}]}}"#
            )
        })
        .collect();
    let json = format!("{{{}}}", entries.join(","));
    let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
    bytes.extend(json.as_bytes());
    let size = bytes.len() as u64 + end;
    (bytes, size)
}

pub fn index(shards: &[(&str, &[Tensor])]) -> String {
    let names = |(file, tensors): &(&str, &[Tensor])| {
        let entry = |tensor: &Tensor| format!(r#""{}":"{file}""#, tensor.0);
        tensors.iter().map(entry).collect::<Vec<_>>().join(",")
    };
    format!(r#"{{"weight_map":{{{}}}}}"#, shards.iter().map(names).collect::<Vec<_>>().join(","))
}
