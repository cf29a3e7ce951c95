//! GGUF files of [`LLAMA`](super::LLAMA).

const F32: u32 = 0;
const Q8_0: u32 = 8;

/// A tensor to write: name, sizes as in the file, type.
pub type Tensor = (String, Vec<u64>, u32);

pub fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat()
}

pub fn number(key: &str, value: u32) -> Vec<u8> {
    [&*text(key), &4_u32.to_le_bytes(), &value.to_le_bytes()].concat()
}

/// Metadata of [`LLAMA`](super::LLAMA), and a vocabulary that is longer than the first read.
pub fn keys() -> Vec<Vec<u8>> {
    let tokens = text("a token").repeat(40_000);
    let list = [&8_u32.to_le_bytes()[..], &40_000_u64.to_le_bytes(), &tokens].concat();
    vec![
        [&*text("general.architecture"), &8_u32.to_le_bytes(), &text("llama")].concat(),
        [&*text("tokenizer.ggml.tokens"), &9_u32.to_le_bytes(), &list].concat(),
        number("llama.embedding_length", 64),
        number("llama.block_count", 2),
        number("llama.feed_forward_length", 96),
        number("llama.attention.head_count", 4),
        number("llama.attention.head_count_kv", 2),
    ]
}

pub fn tensors() -> Vec<Tensor> {
    let mut all = vec![
        ("token_embd.weight".to_owned(), vec![64, 100], Q8_0),
        ("output.weight".to_owned(), vec![64, 100], Q8_0),
        ("output_norm.weight".to_owned(), vec![64], F32),
        ("rope_freqs.weight".to_owned(), vec![8], F32),
    ];
    for layer in 0..2 {
        let mut add = |name: &str, sizes: &[u64], kind| {
            all.push((format!("blk.{layer}.{name}.weight"), sizes.to_vec(), kind))
        };
        add("attn_norm", &[64], F32);
        add("attn_q", &[64, 64], Q8_0);
        add("attn_k", &[64, 32], Q8_0);
        add("attn_v", &[64, 32], Q8_0);
        add("attn_output", &[64, 64], Q8_0);
        add("ffn_norm", &[64], F32);
        add("ffn_gate", &[64, 96], Q8_0);
        add("ffn_up", &[64, 96], Q8_0);
        add("ffn_down", &[96, 64], Q8_0);
    }
    all
}

/// 34 bytes for 32 of the 74,560 − 5·64 parameters of matrices, 4 for each of a norm.
pub const BYTES: u128 = 34 * (74_560 - 5 * 64) / 32 + 4 * 5 * 64;

/// A file as the format has it: its first bytes, as far as the data, and its whole length.
pub fn file(keys: &[Vec<u8>], tensors: &[Tensor]) -> (Vec<u8>, u64) {
    let mut file = b"GGUF\x03\0\0\0".to_vec();
    file.extend((tensors.len() as u64).to_le_bytes());
    file.extend((keys.len() as u64).to_le_bytes());
    file.extend(keys.concat());
    let mut offset = 0_u64;
    for (name, sizes, kind) in tensors {
        file.extend(text(name));
        file.extend(u32::try_from(sizes.len()).expect("few").to_le_bytes());
        sizes.iter().for_each(|size| file.extend(size.to_le_bytes()));
        file.extend(kind.to_le_bytes());
        file.extend(offset.to_le_bytes());
        let elements = sizes.iter().product::<u64>();
        let bytes = if *kind == F32 { 4 * elements } else { elements / 32 * 34 };
        offset = (offset + bytes).next_multiple_of(32);
    }
    let size = (file.len() as u64).next_multiple_of(32) + offset;
    (file, size)
}
