//! GGUF files: the header alone gives the config, and the widths as they are stored.

mod run;

use run::gguf::{BYTES, Tensor, file, keys, number, tensors};
use run::{Place, Report, Run};
use std::fs;
use std::path::Path;
use std::time::Duration;

/// A file as the format has it; the data are a hole.
fn write(path: &Path, keys: &[Vec<u8>], tensors: &[Tensor]) {
    let (bytes, size) = file(keys, tensors);
    fs::write(path, &bytes).expect("a file");
    let file = fs::OpenOptions::new().write(true).open(path).expect("a file");
    file.set_len(size).expect("a longer file");
}

fn estimate(place: &Place, model: &str) -> Run {
    place.run(&format!("estimate {model} -p 10 --format json"))
}

#[track_caller]
fn fails(place: &Place, model: &str, message: &str) {
    let run = estimate(place, model);
    assert!(run.taken < Duration::from_secs(5));
    assert_eq!(run.failure().0, message);
}

#[test]
fn a_file_gives_config_and_bytes() {
    let place = Place::new();
    write(&place.path().join("m.gguf"), &keys(), &tensors());
    let report: Report = estimate(&place, "m.gguf").json();
    assert_eq!(report.model.model_type, "llama");
    assert_eq!(report.model.parameters.total, 74_560);
    assert_eq!(report.bytes.weights, BYTES);
    // 2 layers of 2 · 2 heads of 16 in fp16.
    assert_eq!(report.bytes.kv_cache_per_token, 2 * 2 * 2 * 16 * 2);
    assert!(report.notes[0].starts_with("shapes and widths of 22 tensors, "), "{:?}", report.notes);
    assert!(!report.notes.iter().any(|note| note.contains("parameters")), "{:?}", report.notes);
    // What the file says of its widths stands against --dtype.
    let wider: Report = place.run("estimate m.gguf -p 10 --dtype fp32 --format json").json();
    assert_eq!(wider.bytes.weights, BYTES);
}

#[test]
fn files_into_which_one_was_split_are_read_together() {
    let place = Place::new();
    let all = tensors();
    let split = |at: u32| [number("split.no", at), number("split.count", 3)];
    let part = |at: usize| format!("m-{at:05}-of-00003.gguf");
    let path = |at: usize| place.path().join(part(at));
    write(&path(1), &[keys(), split(0).to_vec()].concat(), &all[..5]);
    write(&path(2), &split(1), &all[5..12]);
    write(&path(3), &split(2), &all[12..]);
    for at in 1..=3 {
        let report: Report = estimate(&place, &part(at)).json();
        assert_eq!(report.bytes.weights, BYTES);
        assert!(report.notes[0].contains("of 3 GGUF files"), "{:?}", report.notes);
    }
    fs::copy(path(1), place.path().join("one.gguf")).expect("a copy");
    fails(
        &place,
        "one.gguf",
        "one.gguf: is one of 3 files, and 1 are named so; give a file under the name it was published with, \
         such as x-00001-of-00003.gguf",
    );
    fs::copy(path(3), path(2)).expect("a copy");
    fails(&place, &part(1), &format!("{}: tensor `{}`: is there twice", part(1), all[12].0));
    fs::remove_file(path(2)).expect("a file");
    fails(
        &place,
        &part(1),
        &format!(
            "{}: does not exist, and {} is one of 3 files; fetch the file, or give the model's config.json",
            part(2),
            part(1)
        ),
    );
}

#[test]
fn files_that_are_cut_off_or_none() {
    let place = Place::new();
    let path = place.put("m.gguf", "<!DOCTYPE html>");
    fails(&place, "m.gguf", "m.gguf: byte 0: does not begin with \"GGUF\"");
    write(&path, &keys(), &tensors());
    let file = fs::OpenOptions::new().write(true).open(&path).expect("a file");
    file.set_len(file.metadata().expect("a length").len() - 6000).expect("a shorter file");
    let (message, _) = estimate(&place, "m.gguf").failure();
    assert!(
        message.starts_with("m.gguf: tensor `blk.1.ffn_down.weight`: has 6528 bytes"),
        "{message}"
    );
    file.set_len(1000).expect("a shorter file");
    let (message, _) = estimate(&place, "m.gguf").failure();
    assert!(message.contains("key `tokenizer.ggml.tokens`: byte"), "{message}");
}
