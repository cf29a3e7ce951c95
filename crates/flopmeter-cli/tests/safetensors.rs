//! Folders as `transformers` saves them: the headers of their weights check the config and give the bytes.

mod run;

use run::tensors::{BYTES, Tensor, file, index, llama};
use run::{LLAMA, Place, Report, Run};
use std::fs;
use std::path::Path;
use std::time::Duration;

/// A file as the format has it; the data are a hole.
fn write(path: &Path, tensors: &[Tensor]) {
    let (bytes, size) = file(tensors);
    fs::write(path, &bytes).expect("a file");
    let file = fs::OpenOptions::new().write(true).open(path).expect("a file");
    file.set_len(size).expect("a longer file");
}

/// A folder `m` with [`LLAMA`] as its config.
fn folder() -> Place {
    let place = Place::new();
    fs::create_dir(place.path().join("m")).expect("a folder");
    place.put("m/config.json", LLAMA);
    place
}

fn estimate(place: &Place, model: &str) -> Run {
    place.run(&format!("estimate {model} -p 10 --format json"))
}

const SHARDS: [&str; 2] = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];

/// The same in two files and their index.
fn sharded() -> Place {
    let (place, all) = (folder(), llama(2));
    let (first, second) = all.split_at(9);
    for (name, tensors) in SHARDS.into_iter().zip([first, second]) {
        write(&place.path().join("m").join(name), tensors);
    }
    let text = index(&[(SHARDS[0], first), (SHARDS[1], second)]);
    place.put("m/model.safetensors.index.json", text);
    place
}

#[test]
fn one_file_gives_the_bytes_that_it_holds() {
    let place = folder();
    write(&place.path().join("m/model.safetensors"), &llama(2));
    for model in ["m", "m/model.safetensors"] {
        let report: Report = estimate(&place, model).json();
        assert_eq!(report.model.parameters.total, 74_560);
        assert_eq!(report.bytes.weights, BYTES);
        let note = &report.notes[0];
        let wanted = format!(
            "shapes and widths of 21 tensors, {BYTES} bytes, from the headers of 1 safetensors file ("
        );
        assert!(note.starts_with(&wanted), "{note}");
        assert!(!report.notes.iter().any(|note| note.contains("shapes of the tensors")));
    }
    // The config by itself is not held against what lies beside it.
    let alone: Report = estimate(&place, "m/config.json").json();
    assert_eq!(alone.bytes.weights, 2 * 74_560);
}

#[test]
fn an_index_gathers_its_files() {
    let place = sharded();
    for model in ["m", "m/model.safetensors.index.json", &format!("m/{}", SHARDS[1])] {
        let report: Report = estimate(&place, model).json();
        assert_eq!(report.bytes.weights, BYTES);
        assert!(report.notes[0].contains("21 tensors"), "{:?}", report.notes);
        assert!(report.notes[0].contains("2 safetensors files"), "{:?}", report.notes);
    }
}

#[test]
fn tensors_that_the_config_does_not_count_are_named() {
    let (place, mut all) = (folder(), llama(2));
    all.push(("model.layers.2.mlp.up_proj.weight".into(), "BF16", 2, vec![96, 64]));
    write(&place.path().join("m/model.safetensors"), &all);
    let report: Report = estimate(&place, "m").json();
    let wanted = "shapes of the tensors give 80704 parameters, the config 74560; \
                  `model.layers.2.mlp.up_proj.weight` [96, 64] is in no count";
    assert!(report.notes.iter().any(|note| note == wanted), "{:?}", report.notes);
}

#[test]
fn a_type_that_nobody_knows_is_counted_from_shapes_and_says_so() {
    let (place, known) = (folder(), folder());
    place.put("m/config.json", LLAMA.replace("\"llama\"", "\"mystery\""));
    write(&place.path().join("m/model.safetensors"), &llama(2));
    write(&known.path().join("m/model.safetensors"), &llama(2));
    let report: Report = estimate(&place, "m").json();
    let wanted: Report = estimate(&known, "m").json();
    assert_eq!(report.model.model_type, "mystery");
    assert_eq!(report.model.counted_from.as_deref(), Some("shapes"));
    assert_eq!(wanted.model.counted_from, None);
    assert_eq!(report.flops.total, wanted.flops.total);
    assert_eq!(report.bytes.weights, wanted.bytes.weights);
    assert_eq!(report.bytes.kv_cache, wanted.bytes.kv_cache);
    let note = "counted from the shapes of its weights, for `mystery` is no known type";
    assert!(report.notes.iter().any(|said| said.starts_with(note)), "{:?}", report.notes);
    let table = place.run("estimate m -p 10").ok();
    assert!(table.contains("note: counted from the shapes of its weights"), "{table}");
    // Without weights nothing is known of it.
    let (message, _) = estimate(&place, "m/config.json").failure();
    assert!(message.ends_with("or give the model's weights: their shapes would do"), "{message}");
    // Without heads nobody can say how it attends.
    let headless = LLAMA.replace("\"llama\"", "\"mystery\"").replace("num_attention_heads", "many");
    place.put("m/config.json", headless);
    fails(
        &place,
        "m",
        "m/config.json: `num_attention_heads`: is missing, and no shape tells into how many heads a layer \
         attends; add it to the config",
    );
}

#[track_caller]
fn fails(place: &Place, model: &str, message: &str) {
    let run = estimate(place, model);
    assert!(run.taken < Duration::from_secs(5));
    assert_eq!(run.failure().0, message);
}

#[test]
fn an_index_and_files_that_disagree() {
    let place = sharded();
    let all = llama(2);
    let shard = |number: usize| place.path().join("m").join(SHARDS[number]);
    write(&shard(1), &all[9..20]);
    fails(
        &place,
        "m",
        &format!("m/{}: tensor `{}`: is in the index, but not in the file", SHARDS[1], all[20].0),
    );
    write(&shard(1), &all[8..]);
    fails(
        &place,
        "m",
        &format!(
            "m/{}: tensor `{}`: is in the file, but the index has it in `{}`",
            SHARDS[1], all[8].0, SHARDS[0]
        ),
    );
    fs::remove_file(shard(1)).expect("a file");
    let hint = "fetch the file, or give the config.json alone";
    fails(
        &place,
        "m",
        &format!(
            "m/{}: does not exist, but the index has tensor `{}` in it; {hint}",
            SHARDS[1], all[9].0
        ),
    );
    fs::remove_file(place.path().join("m/model.safetensors.index.json")).expect("a file");
    fails(
        &place,
        &format!("m/{}", SHARDS[0]),
        &format!(
            "m/{}: is one of several files, and their index does not lie beside it; put \
             m/model.safetensors.index.json there",
            SHARDS[0]
        ),
    );
}

#[test]
fn files_that_are_no_safetensors() {
    let place = folder();
    let cut = "the file is cut off: fetch it again";
    let name = "m/model.safetensors";
    let with = |bytes: &[u8], message: &str| {
        place.put(name, bytes);
        fails(&place, "m", &format!("{name}: {message}"));
    };
    with(b"", &format!("byte 0: has 0 bytes, not the 8 of a header's length; {cut}"));
    with(
        b"<!DOCTYPE html>",
        "byte 0: the header is said to have 5789751444030890300 bytes; the format allows 100000000; is it a \
         safetensors file at all?",
    );
    with(
        &[9, 0, 0, 0, 0, 0, 0, 0, b'{'],
        &format!("byte 0: the header has 9 bytes, the whole file 9; {cut}"),
    );
    write(&place.path().join(name), &llama(2));
    let file = fs::OpenOptions::new().write(true).open(place.path().join(name)).expect("a file");
    file.set_len(file.metadata().expect("a length").len() - 1).expect("a shorter file");
    let (message, _) = estimate(&place, "m").failure();
    assert!(
        message.starts_with("m/model.safetensors: tensor `model.layers.1.post_attention_layernorm")
    );
    assert!(message.ends_with(cut), "{message}");
    fs::remove_file(place.path().join("m/config.json")).expect("a file");
    let hint = "give a config.json, a folder that holds one, or a model's name";
    fails(&place, name, &format!("m/config.json: does not exist; {hint}"));
}
