use super::types::{ALL, find};
use super::{Header, Parsed};
use proptest::prelude::*;

/// A header, written as the format has it.
#[derive(Default)]
struct File {
    keys: Vec<u8>,
    key_count: u64,
    tensors: Vec<u8>,
    tensor_count: u64,
    data: u64,
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat()
}

impl File {
    fn key(mut self, key: &str, kind: u32, value: impl AsRef<[u8]>) -> Self {
        self.keys.extend([&*text(key), &kind.to_le_bytes(), value.as_ref()].concat());
        self.key_count += 1;
        self
    }

    fn number(self, key: &str, value: u32) -> Self {
        self.key(key, 4, value.to_le_bytes())
    }

    fn text(self, key: &str, value: &str) -> Self {
        self.key(key, 8, text(value))
    }

    /// A tensor at an offset; sizes as in the file, the innermost first.
    fn tensor_at(mut self, name: &str, sizes: &[u64], kind: u32, offset: u64) -> Self {
        self.tensors.extend(text(name));
        self.tensors.extend((u32::try_from(sizes.len()).expect("few")).to_le_bytes());
        sizes.iter().for_each(|size| self.tensors.extend(size.to_le_bytes()));
        self.tensors.extend(kind.to_le_bytes());
        self.tensors.extend(offset.to_le_bytes());
        self.tensor_count += 1;
        self
    }

    /// The next tensor.
    fn tensor(mut self, name: &str, sizes: &[u64], kind: u32) -> Self {
        let kind_of = find(kind).expect("a type");
        let offset = self.data;
        let bytes = sizes.iter().product::<u64>() / kind_of.block * kind_of.bytes;
        self.data = (offset + bytes).next_multiple_of(32);
        self.tensor_at(name, sizes, kind, offset)
    }

    fn bytes(&self) -> Vec<u8> {
        let counts = [self.tensor_count.to_le_bytes(), self.key_count.to_le_bytes()].concat();
        [b"GGUF\x03\0\0\0", &*counts, &self.keys, &self.tensors].concat()
    }

    /// The length of the whole file.
    fn length(&self) -> u64 {
        (self.bytes().len() as u64).next_multiple_of(32) + self.data
    }

    fn parse(&self) -> crate::Result<Header> {
        match Header::parse(&self.bytes(), self.length())? {
            Parsed::Header(header) => Ok(header),
            Parsed::More(end) => panic!("all is there, {end} is asked for"),
        }
    }

    #[track_caller]
    fn fails(&self, message: &str) {
        let error = self.parse().expect_err("refused").to_string();
        assert_eq!(error, message);
    }
}

/// A Qwen3 of one layer: width 256, 4 heads of 64 that share 2, a feed-forward layer of 512.
fn qwen3() -> File {
    File::default()
        .text("general.architecture", "qwen3")
        .number("qwen3.embedding_length", 256)
        .number("qwen3.block_count", 1)
        .number("qwen3.feed_forward_length", 512)
        .number("qwen3.attention.head_count", 4)
        .number("qwen3.attention.head_count_kv", 2)
        .number("qwen3.attention.key_length", 64)
        .tensor("token_embd.weight", &[256, 100], 14)
        .tensor("blk.0.attn_norm.weight", &[256], 0)
        .tensor("blk.0.attn_q.weight", &[256, 256], 12)
        .tensor("blk.0.attn_k.weight", &[256, 128], 12)
        .tensor("blk.0.attn_v.weight", &[256, 128], 14)
        .tensor("blk.0.attn_output.weight", &[256, 256], 12)
        .tensor("blk.0.attn_q_norm.weight", &[64], 0)
        .tensor("blk.0.attn_k_norm.weight", &[64], 0)
        .tensor("blk.0.ffn_norm.weight", &[256], 0)
        .tensor("blk.0.ffn_gate.weight", &[256, 512], 12)
        .tensor("blk.0.ffn_up.weight", &[256, 512], 12)
        .tensor("blk.0.ffn_down.weight", &[512, 256], 14)
        .tensor("output_norm.weight", &[256], 0)
}

#[test]
fn blocks_are_as_wide_as_their_storage_says() {
    for kind in ALL {
        assert_eq!(kind.storage().matrix_bits(kind.block, 3), u128::from(3 * 8 * kind.bytes));
    }
    let bits = |id: u32| find(id).map(|kind| kind.storage().matrix_bits(256, 1) as f64 / 256.0);
    assert_eq!([2, 8, 12, 14].map(bits), [Some(4.5), Some(8.5), Some(4.5), Some(6.5625)]);
}

#[test]
fn metadata_becomes_a_config_and_tensors_give_the_bytes() {
    let header = qwen3().parse().expect("a header");
    let config = header.config(header.tensors.clone()).expect("a config");
    let model = crate::Model::from_config(&config).expect("a model");
    assert_eq!(model.notes(), [""; 0]);
    // 25,600 + 2·65,536 + 2·32,768 + 3·131,072 + 3·256 + 2·64
    assert_eq!(model.parameters().total, 616_320);
    // Q4_K: (2·65,536 + 32,768 + 2·131,072)·4.5 bits; Q6_K: (25,600 + 32,768 + 131,072)·6.5625 bits;
    // fp32: (3·256 + 2·64)·4 bytes
    let bytes = model.bytes(&crate::Workload::request(1, 1)).expect("bytes");
    assert_eq!(bytes.weights, 425_984 * 9 / 16 + 189_440 * 105 / 128 + 896 * 4);
}

/// Keys and values of latent attention: 2 heads, 6 and 4 wide, keys with 2 more for positions; rank 8.
fn latent() -> File {
    File::default()
        .text("general.architecture", "deepseek2")
        .number("deepseek2.embedding_length", 16)
        .number("deepseek2.block_count", 1)
        .number("deepseek2.attention.head_count", 2)
        .number("deepseek2.attention.kv_lora_rank", 8)
        .number("deepseek2.rope.dimension_count", 2)
        .tensor("token_embd.weight", &[16, 100], 0)
        .tensor("blk.0.attn_norm.weight", &[16], 0)
        .tensor("blk.0.attn_q.weight", &[16, 16], 0)
        .tensor("blk.0.attn_kv_a_mqa.weight", &[16, 10], 0)
        .tensor("blk.0.attn_kv_a_norm.weight", &[8], 0)
        .tensor("blk.0.attn_output.weight", &[8, 16], 0)
        .tensor("blk.0.ffn_norm.weight", &[16], 0)
        .tensor("blk.0.ffn_gate.weight", &[16, 24], 0)
        .tensor("blk.0.ffn_up.weight", &[16, 24], 0)
        .tensor("blk.0.ffn_down.weight", &[24, 16], 0)
        .tensor("output_norm.weight", &[16], 0)
}

#[test]
fn keys_and_values_of_latents_in_one_matrix_or_in_two_are_the_same() {
    let one = latent()
        .number("deepseek2.attention.key_length", 8)
        .number("deepseek2.attention.value_length", 4)
        .tensor("blk.0.attn_kv_b.weight", &[8, 20], 0);
    // As of 2025 the widths that these keys state are those of the latents, one for all heads.
    let two = latent()
        .number("deepseek2.attention.key_length", 10)
        .number("deepseek2.attention.value_length", 8)
        .number("deepseek2.attention.key_length_mla", 8)
        .number("deepseek2.attention.value_length_mla", 4)
        .tensor("blk.0.attn_k_b.weight", &[6, 8, 2], 0)
        .tensor("blk.0.attn_v_b.weight", &[8, 4, 2], 0);
    for file in [one, two] {
        let header = file.parse().expect("a header");
        let config = header.config(header.tensors.clone()).expect("a config");
        let model = crate::Model::from_config(&config).expect("a model");
        assert_eq!(model.notes(), [""; 0]);
        // 100·16 + 16·16 + 16·10 + 8 + 8·20 + 8·16 + 3·16·24 + 3·16
        assert_eq!(model.parameters().total, 3512);
        let bytes = model.bytes(&crate::Workload::request(1, 1)).expect("bytes");
        assert_eq!(bytes.weights, 4 * 3512);
    }
}

#[test]
fn an_architecture_without_a_row_is_counted_from_its_shapes() {
    let mut file = qwen3();
    let known = |file: &File| {
        let header = file.parse().expect("a header");
        let config = header.config(header.tensors.clone()).expect("a config");
        crate::Model::from_config(&config).expect("a model")
    };
    let qwen3 = known(&file);
    // The same file under another name of as many letters.
    for at in 0..file.keys.len() - 5 {
        if &file.keys[at..at + 5] == b"qwen3" {
            file.keys[at..at + 5].copy_from_slice(b"myste");
        }
    }
    let mystery = known(&file);
    assert!(mystery.is_counted_from_shapes() && !qwen3.is_counted_from_shapes());
    assert_eq!(mystery.model_type(), "myste");
    assert_eq!(mystery.parameters(), qwen3.parameters());
    let request = crate::Workload::request(30, 20);
    let total = |model: &crate::Model| {
        (
            model.flops(&request, &crate::Convention::MODEL).expect("a count").total,
            model.bytes(&request).expect("bytes").read(),
        )
    };
    assert_eq!(total(&mystery), total(&qwen3));
}

#[test]
fn tensors_that_are_not_where_they_should_be() {
    let file = || File { data: 64, ..File::default() };
    file().tensor_at("a", &[4], 0, 0).tensor_at("b", &[4], 0, 32).parse().expect("side by side");
    file()
        .tensor_at("a", &[9], 0, 0)
        .tensor_at("b", &[4], 0, 32)
        .fails("tensor `b`: begins at 32, within the one before, which ends at 36");
    file().tensor_at("a", &[4], 0, 8).fails("tensor `a`: begins at 8, which 32 does not divide");
    file().tensor_at("a", &[16], 0, 32).fails(
        "tensor `a`: has 64 bytes at 32 of the data; the file ends before; the file is cut off: fetch it \
         again",
    );
    file()
        .tensor_at("a", &[1 << 63, 1 << 63], 0, 0)
        .fails("tensor `a`: has shape [9223372036854775808, 9223372036854775808], more than any file holds");
    file().tensor_at("a", &[4], 31, 0).fails(
        "tensor `a`: has the quantisation type 31 (Q4_0_4_4), which ggml has no more; quantise the model anew, \
         or give its config.json",
    );
    file().tensor_at("a", &[4], 99, 0).fails(
        "tensor `a`: has the unknown quantisation type 99; the file may be newer than flopmeter, or damaged; \
         give the model's config.json",
    );
    file()
        .tensor_at("a", &[100], 12, 0)
        .fails("tensor `a`: has rows of 100, which blocks of 256 (Q4_K) do not fill");
    let long = "a".repeat(64);
    file().tensor_at(&long, &[4], 0, 0).fails("byte 24: has a name of 64 bytes; 63 are the most");
    file().tensor_at("a", &[1; 5], 0, 0).fails("tensor `a`: has 5 dimensions; 4 are the most");
    // No elements, whatever the other sizes.
    let none = file().tensor_at("a", &[0, 1 << 63, 1 << 63], 0, 0).parse().expect("a header");
    assert_eq!(none.tensors[0].lent().elements(), 0);
}

#[test]
fn counts_and_lengths_that_no_file_has() {
    let with = |tensors: u64, keys: u64| {
        let file = File { tensor_count: tensors, key_count: keys, ..File::default() };
        file.parse().expect_err("refused").to_string()
    };
    assert_eq!(with(1 << 63, 0), "byte 8: has 9223372036854775808 tensors; 16384 are the most");
    assert_eq!(with(0, u64::MAX), "byte 16: has 18446744073709551615 keys; 4096 are the most");
    assert_eq!(with(9, 0), "byte 8: has 9 tensors, more than 16 bytes hold");
    let cut = "the file is cut off, or it is no GGUF: fetch it again";
    File::default().key("a", 8, u64::MAX.to_le_bytes()).fails(&format!(
        "key `a`: byte 45: needs {} bytes more, and the file has 19; {cut}",
        u64::MAX
    ));
    let list = |kind: u32, count: u64| [&kind.to_le_bytes()[..], &count.to_le_bytes()].concat();
    for kind in [0, 8, 9, 10] {
        let error = File::default().key("a", 9, list(kind, 1 << 61)).parse().expect_err("refused");
        assert!(
            error.fact().starts_with("has a list of 2305843009213693952, more than"),
            "{error}"
        );
    }
    // Two lists of 600,000 empty texts.
    let texts = || [list(8, 600_000), vec![0; 8 * 600_000]].concat();
    File::default()
        .key("a", 9, texts())
        .key("b", 9, texts())
        .fails("key `b`: byte 4800066: has a list of 600000 texts; 1048576 in all are the most");
    let deep = [9_u32; 9].map(|kind| list(kind, 1)).concat();
    File::default()
        .key("a", 9, deep)
        .fails("key `a`: byte 61: has lists of lists that are too deep");
    File::default().key("a", 77, [0; 8]).fails("key `a`: byte 37: has the unknown type 77");
    File::default().number("a", 1).number("a", 1).fails("byte 41: has the key `a` a second time");
    File::default()
        .number("general.alignment", 3)
        .fails("key `general.alignment`: is no alignment: a power of two is one");
}

#[test]
fn what_is_no_gguf() {
    let says =
        |bytes: &[u8]| Header::parse(bytes, 99).map(|_| ()).expect_err("refused").to_string();
    assert_eq!(says(b"<!DOCTYPE html>"), "byte 0: does not begin with \"GGUF\"");
    assert_eq!(says(b"GGUF\x01\0\0\0"), "byte 4: has version 1; 2 and 3 are read");
    assert_eq!(says(b"GGUF\0\0\0\x03"), "byte 4: is big-endian, which is not read");
    // A name that is no text.
    let mut file = File::default().number("abc", 1);
    file.keys[9] = 0xFF;
    file.fails("byte 33: is not UTF-8 text");
}

#[test]
fn what_the_metadata_lacks() {
    let config = |file: File| {
        let header = file.parse().expect("a header");
        header.config(header.tensors.clone()).expect_err("refused").to_string()
    };
    let named = |name| File::default().text("general.architecture", name);
    assert_eq!(config(File::default()), "key `general.architecture`: is missing");
    // Written by every converter of BERT's kin, whose tokens see what follows them.
    let bert = named("bert").key("bert.attention.causal", 7, [0]);
    let refused =
        "key `general.architecture`: is \"bert\", here an encoder, which is not read from GGUF";
    assert!(config(bert).starts_with(refused));
    assert!(config(named("t5")).contains("here an encoder"));
    assert!(config(named("bert").key("bert.attention.causal", 7, [1])).contains("token_embd"));
    assert!(config(named("llama")).starts_with("tensor `token_embd.weight`: is missing"));
}

proptest! {
    #[test]
    fn no_byte_makes_it_panic(at in 0_usize..2000, byte in any::<u8>(), end in 0_usize..2000) {
        let mut bytes = qwen3().bytes();
        let length = qwen3().length();
        let (at, end) = (at % bytes.len(), end % bytes.len());
        bytes[at] = byte;
        if let Ok(Parsed::Header(header)) = Header::parse(&bytes, length) {
            let _ = header.config(header.tensors.clone()).and_then(|c| crate::Model::from_config(&c));
        }
        // Cut where the file goes on, it asks for more; cut where it ends, it is an error.
        let whole = qwen3().bytes();
        prop_assert!(matches!(Header::parse(&whole[..end], length), Ok(Parsed::More(more)) if more > end as u64));
        prop_assert!(Header::parse(&whole[..end], end as u64).is_err());
    }
}
