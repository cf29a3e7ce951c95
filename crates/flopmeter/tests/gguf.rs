//! A config that was converted to GGUF counts as it does itself.
//!
//! `tests/recorded/gguf` has what llama.cpp's converter wrote for the recorded configs; its README says how.

use flopmeter::weights::gguf::{Header, Parsed};
use flopmeter::{Config, Convention, Model, Workload};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

#[derive(Deserialize)]
struct Converted {
    keys: BTreeMap<String, Value>,
    tensors: BTreeMap<String, Shapes>,
}

/// The shape of one tensor, or those of a layer's, `N` in its name, with the layers that have them.
#[derive(Deserialize)]
#[serde(untagged)]
enum Shapes {
    One(Vec<u64>),
    Layers(Vec<(Vec<u64>, Vec<u64>)>),
}

impl Converted {
    /// Names and shapes of all tensors.
    fn tensors(&self) -> Vec<(String, &[u64])> {
        let mut tensors = Vec::new();
        for (name, shapes) in &self.tensors {
            match shapes {
                Shapes::One(shape) => tensors.push((name.clone(), &**shape)),
                Shapes::Layers(all) => {
                    for (shape, layers) in all {
                        let of =
                            |layer: &u64| (name.replacen('N', &layer.to_string(), 1), &**shape);
                        tensors.extend(layers.iter().map(of));
                    }
                }
            }
        }
        tensors
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded")
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat()
}

/// A value as the format has it: its type and its bytes.
fn value(value: &Value) -> (u32, Vec<u8>) {
    match value {
        Value::Bool(flag) => (7, vec![u8::from(*flag)]),
        Value::String(said) => (8, text(said)),
        Value::Number(number) => match number.as_u64() {
            Some(number) => (10, number.to_le_bytes().to_vec()),
            None => (12, number.as_f64().expect("a number").to_le_bytes().to_vec()),
        },
        Value::Array(items) => {
            let written: Vec<(u32, Vec<u8>)> = items.iter().map(self::value).collect();
            let mut list = written.first().map_or(4, |(kind, _)| *kind).to_le_bytes().to_vec();
            list.extend((items.len() as u64).to_le_bytes());
            list.extend(written.into_iter().flat_map(|(_, bytes)| bytes));
            (9, list)
        }
        other => panic!("{other} is no value of the metadata"),
    }
}

/// The header of a file of fp32 tensors.
fn header(converted: &Converted) -> Header {
    let fp32 = |(name, shape): (String, &'_ [u64])| Written {
        name,
        shape: shape.to_vec(),
        kind: 0,
        bytes: 4 * shape.iter().product::<u64>(),
    };
    let tensors: Vec<Written> = converted.tensors().into_iter().map(fp32).collect();
    write(&converted.keys, &tensors).expect("a header")
}

/// A tensor to write.
struct Written {
    name: String,
    shape: Vec<u64>,
    kind: u32,
    bytes: u64,
}

/// The header of a file.
fn write(keys: &BTreeMap<String, Value>, tensors: &[Written]) -> flopmeter::Result<Header> {
    let mut file = b"GGUF\x03\0\0\0".to_vec();
    file.extend((tensors.len() as u64).to_le_bytes());
    file.extend((keys.len() as u64).to_le_bytes());
    for (key, said) in keys {
        let (kind, bytes) = value(said);
        file.extend([&*text(key), &kind.to_le_bytes(), &bytes].concat());
    }
    let mut offset = 0_u64;
    for Written { name, shape, kind, bytes } in tensors {
        file.extend(text(name));
        file.extend(u32::try_from(shape.len()).expect("few").to_le_bytes());
        shape.iter().rev().for_each(|size| file.extend(size.to_le_bytes()));
        file.extend(kind.to_le_bytes());
        file.extend(offset.to_le_bytes());
        offset = (offset + bytes).next_multiple_of(32);
    }
    let length = (file.len() as u64).next_multiple_of(32) + offset;
    match Header::parse(&file, length)? {
        Parsed::Header(header) => Ok(header),
        Parsed::More(end) => panic!("all is there, {end} is asked for"),
    }
}

#[test]
fn every_type_of_ggml_has_as_many_bytes_as_its_package_says() {
    let recorded = fs::read_to_string(folder().join("gguf/types.json")).expect("a readable file");
    let types: BTreeMap<String, (u32, u64, u64)> =
        serde_json::from_str(&recorded).expect("ids, blocks and their bytes");
    assert!(types.len() > 30);
    for (name, &(kind, block, bytes)) in &types {
        // Three rows of two blocks.
        let bytes = match name.as_str() {
            // 32 elements and two fp16 in the C struct, which is what is stored; the package has fp32.
            "Q8_1" => 6 * (32 + 2 * 2),
            _ => 6 * bytes,
        };
        let tensor = Written { name: name.clone(), shape: vec![3, 2 * block], kind, bytes };
        let header = write(&BTreeMap::new(), &[tensor]).expect("a header");
        assert_eq!(header.tensors[0].bytes, bytes, "{name}");
        assert_eq!(
            header.tensors[0].storage.matrix_bits(2 * block, 3),
            u128::from(8 * bytes),
            "{name}"
        );
    }
    let known: Vec<u32> = types.values().map(|(kind, ..)| *kind).collect();
    for kind in (0..200).filter(|kind| !known.contains(kind)) {
        let tensor = Written { name: "a".into(), shape: vec![256], kind, bytes: 256 };
        assert!(write(&BTreeMap::new(), &[tensor]).is_err(), "{kind}");
    }
}

/// What a converter drops: cases, and the keys that their files no longer tell.
const DROPPED: &[(&[&str], &[&str])] = &[
    (
        &[
            "mistral",
            "mixtral",
            "ministral3@window",
            "mistral3",
            "starcoder2",
            "qwen3_vl@window",
            "qwen3_vl_moe@window",
        ],
        &["sliding_window"],
    ),
    (
        &[
            "qwen2@window",
            "qwen3@window",
            "qwen2_moe@window",
            "qwen3_moe@window",
            "smollm3@window",
            "qwen2_5_vl",
        ],
        &["use_sliding_window", "layer_types"],
    ),
    (&["gemma3_text@untied"], &["layer_types"]),
    (&["gemma4_text@keys-as-values"], &["tie_word_embeddings"]),
    (
        &["gemma3_text@pattern"],
        &["layer_types", "sliding_window_pattern", "_sliding_window_pattern"],
    ),
    (&["dots1@window"], &["layer_types", "sliding_window"]),
    (&["afmoe@every-second"], &["layer_types", "global_attn_every_n_layers"]),
    (
        &["llama4", "llama4@tied", "llama4@text-tied", "llama4_text", "llama4_text@interleaved"],
        &["attention_chunk_size"],
    ),
    (
        &["bamba", "bamba@bias", "falcon_h1", "granitemoehybrid", "granitemoehybrid@dense"],
        &["mamba_chunk_size"],
    ),
    (
        &["mamba2", "mamba2@bias", "nemotron_h", "nemotron_h@experts", "nemotron_h@latent"],
        &["chunk_size"],
    ),
];

/// Keys that a converter drops of a case.
fn dropped(name: &str) -> Vec<&'static str> {
    let of = DROPPED.iter().filter(|(cases, _)| cases.contains(&name));
    of.flat_map(|(_, keys)| keys.iter().copied()).collect()
}

fn drop_keys(config: &mut Value, keys: &[&str]) {
    if let Value::Object(object) = config {
        object.retain(|key, _| !keys.contains(&&**key));
        object.get_mut("text_config").into_iter().for_each(|part| drop_keys(part, keys));
    }
}

#[test]
fn a_converted_config_counts_as_it_does_itself() {
    let (mut cases, mut wrong) = (0, Vec::new());
    let mut files: Vec<PathBuf> = fs::read_dir(folder().join("gguf"))
        .expect("a folder")
        .map(|file| file.expect("a file").path())
        .collect();
    files.sort();
    for path in files.into_iter().filter(|path| !path.ends_with("types.json")) {
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let read = |path: &Path| fs::read_to_string(path).expect("a readable file");
        let recorded: Value = serde_json::from_str(&read(&folder().join(format!("{name}.json"))))
            .expect("a recording");
        let mut config = recorded["config"].clone();
        drop_keys(&mut config, &dropped(&name));
        let itself =
            Model::from_config(&Config::from_value(config).expect("an object")).expect("a model");
        let converted: Converted = serde_json::from_str(&read(&path)).expect("a record");
        let header = header(&converted);
        cases += 1;
        let model =
            header.config(header.tensors.clone()).and_then(|config| Model::from_config(&config));
        let model = match model {
            Ok(model) => model,
            Err(error) => {
                wrong.push(format!("{name}: {error}"));
                continue;
            }
        };
        let mut differs = |what: &str, ours: u128, its: u128| {
            if ours != its {
                wrong.push(format!("{name}: {what} {ours} not {its}"));
            }
        };
        // A file of this format has the text part alone: a tower's is another.
        let decoder = itself.groups().iter().flat_map(|group| {
            group.ops.iter().map(|op| op.parameters() * u128::from(group.repeat))
        });
        differs("parameters", model.parameters().total, decoder.sum());
        differs("active", model.parameters().active, itself.parameters().active);
        for convention in [&Convention::MODEL, &Convention::TORCH] {
            for request in [Workload::request(5, 4), Workload::request(23, 9)] {
                let count =
                    |model: &Model| model.flops(&request, convention).expect("a count").total;
                differs(convention.id, count(&model), count(&itself));
            }
        }
        let bytes = model.bytes(&Workload::request(1, 1)).expect("bytes").weights;
        // Factors of rotary embedding are no parameters; Apertus' activation has 2 in the metadata.
        let stored = header.tensors.iter().filter(|tensor| !tensor.name.starts_with("rope_"));
        let beside = if name.starts_with("apertus") { 4 * 2 * 3 } else { 0 };
        differs(
            "bytes",
            bytes,
            stored.map(|tensor| u128::from(tensor.bytes)).sum::<u128>() + beside,
        );
        let expected = |note: &&String| {
            itself.notes().contains(note)
                || dropped(&name).iter().any(|key| note.starts_with(&format!("`{key}` is absent")))
        };
        for note in model.notes().iter().chain(model.unread()).filter(|note| !expected(note)) {
            wrong.push(format!("{name}: notes {note}"));
        }
    }
    assert!(cases > 0, "nothing was converted");
    assert!(
        wrong.is_empty(),
        "{} differences in {cases} cases:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
