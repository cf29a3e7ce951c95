//! What reading the longest headers costs. Run: `cargo bench -p flopmeter --bench headers`.
//!
//! A header as long as those that are read may have is a stranger's, so it is built here in the shapes that take
//! longest; one of them is what a published model has.

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use flopmeter::weights::safetensors::{self, Index};
use flopmeter::weights::{Collector, Weights};
use flopmeter::{Error, Result};
use std::fmt::Write;

fn main() {
    divan::main();
}

/// The most tensors of a file, and the longest header, in bytes.
const TENSORS: usize = 7 << 13;
const LONGEST: usize = 7 << 20;
/// What there is room for in a name, on the average.
const ROOM: usize = LONGEST / TENSORS - 67;

/// What makes a tensor's name of its number.
type Name = fn(usize) -> String;

/// Names of tensors, as many as a file may have, which fill the longest header.
const NAMES: [(&str, Name); 4] = [
    ("published", |at| {
        let (layer, expert, matrix) = (at / 1024, at / 8 % 128, at % 8);
        format!("model.layers.{layer}.mlp.experts.{expert}.matrix_{matrix}.weight")
    }),
    ("parts", |at| filled(format!("{at}."), "abc.", 14)),
    ("experts", |at| filled(format!("h.1.experts.{at}."), "experts.7.", 5)),
    ("not ASCII", |at| filled(format!("{at}."), "é", usize::MAX)),
];

/// A name with so many copies of a piece behind it, or as many as there is room for.
fn filled(mut name: String, piece: &str, most: usize) -> String {
    let room = ROOM.saturating_sub(name.len() + "weight".len()) / piece.len();
    name.push_str(&piece.repeat(room.min(most)));
    name + "weight"
}

fn read(header: &[u8]) -> Result<Weights> {
    let mut collector = Collector::default();
    let file = safetensors::PREFIX + (header.len() + TENSORS) as u64;
    safetensors::each(&header, file, |tensor| collector.add(tensor))?;
    Ok(collector.done())
}

/// A file's header.
#[divan::bench(args = NAMES.map(|(what, _)| what))]
fn header(bencher: Bencher<'_, '_>, what: &str) {
    let (_, name) = NAMES.iter().find(|(it, _)| *it == what).expect("a kind of names");
    let mut json = String::from("{");
    for at in 0..TENSORS {
        let comma = if at == 0 { "" } else { "," };
        let (name, end) = (name(at), at + 1);
        write!(json, r#"{comma}"{name}":{{"dtype":"U8","shape":[1],"data_offsets":[{at},{end}]}}"#)
            .expect("a text grows");
    }
    json.push('}');
    assert!(json.len() <= LONGEST, "{} bytes", json.len());
    assert_eq!(read(json.as_bytes()).expect("a header").tensors(), TENSORS);
    bencher.counter(BytesCount::of_str(&json)).bench(|| read(black_box(json.as_bytes())));
}

/// The index of a model of 60 layers of 384 experts, each of whose matrices has two more tensors: 19 MB.
#[divan::bench]
fn index(bencher: Bencher<'_, '_>) {
    let mut json = String::from(r#"{"metadata":{"total_size":0},"weight_map":{"a":"b""#);
    for at in 0..60 * 384 * 9 {
        let (layer, expert, tensor) = (at / (384 * 9), at / 9 % 384, at % 9);
        let file = at / 3500;
        write!(
            json,
            r#","model.layers.{layer}.mlp.experts.{expert}.tensor_{tensor}":"model-{file:05}-of-00060.safetensors""#
        )
        .expect("a text grows");
    }
    json.push_str("}}");
    let files = |json: &str| Ok::<_, Error>(Index::parse(&json)?.files().count());
    assert_eq!(files(&json).expect("an index"), 61);
    bencher.counter(BytesCount::of_str(&json)).bench(|| files(black_box(&json)));
}
