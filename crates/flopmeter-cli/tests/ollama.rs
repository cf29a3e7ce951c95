//! A tag is looked for in Ollama's store, as Ollama lays it out, before the built-in table.

mod run;

use run::{Place, Report, Run};
use std::fs;
use std::path::PathBuf;

/// A store in a place of its own, below its home.
struct Store(Place);

const HASH: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

impl Store {
    fn new() -> Self {
        Self(Place::new())
    }

    fn put(&self, path: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(".ollama/models").join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(&path, bytes).expect("a file");
        path
    }

    /// A manifest and its blob.
    fn install(&self, tag: &str, bytes: &[u8]) -> PathBuf {
        let manifest = manifest(bytes.len());
        self.put(&format!("manifests/registry.ollama.ai/library/{tag}"), manifest);
        self.put(&format!("blobs/sha256-{HASH}"), bytes)
    }

    fn estimate(&self, model: &str) -> Run {
        self.0.run_args(["estimate", model, "-p", "10", "--format", "json"])
    }

    #[track_caller]
    fn fails(&self, model: &str, message: &str) {
        let (said, _) = self.estimate(model).failure();
        let store = format!("{}/.ollama/models/", self.0.path().display());
        assert_eq!(said.replace(&store, ""), message);
    }
}

fn manifest(size: usize) -> String {
    format!(
        r#"{{"schemaVersion": 2, "config": {{"mediaType": "application/vnd.docker.container.image.v1+json",
            "digest": "sha256:{HASH}", "size": 9}}, "layers": [
            {{"mediaType": "application/vnd.ollama.image.template", "digest": "sha256:{HASH}", "size": 9}},
            {{"mediaType": "application/vnd.ollama.image.model", "digest": "sha256:{HASH}", "size": {size}}},
            {{"mediaType": "application/vnd.ollama.image.projector", "digest": "sha256:{HASH}", "size": 9}}]}}"#
    )
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat()
}

/// A GGUF file of an architecture, without layers' tensors: an embedding of 100 × 32 in Q8_0.
fn gguf(architecture: &str) -> Vec<u8> {
    let sizes = [
        ("embedding_length", 32_u32),
        ("block_count", 1),
        ("feed_forward_length", 64),
        ("attention.head_count", 2),
    ];
    let mut file = b"GGUF\x03\0\0\0".to_vec();
    file.extend(1_u64.to_le_bytes());
    file.extend((sizes.len() as u64 + 1).to_le_bytes());
    file.extend(
        [text("general.architecture"), 8_u32.to_le_bytes().into(), text(architecture)].concat(),
    );
    for (key, size) in sizes {
        file.extend(text(&format!("{architecture}.{key}")));
        file.extend([4_u32.to_le_bytes(), size.to_le_bytes()].concat());
    }
    file.extend(text("token_embd.weight"));
    file.extend(2_u32.to_le_bytes());
    file.extend([32_u64.to_le_bytes(), 100_u64.to_le_bytes()].concat());
    file.extend(8_u32.to_le_bytes());
    file.extend(0_u64.to_le_bytes());
    file.resize(file.len().next_multiple_of(32) + 100 * 34, 0);
    file
}

#[test]
fn an_installed_tag_is_read_from_its_file() {
    let store = Store::new();
    store.install("llama3.1/8b", &gguf("llama"));
    let report: Report = store.estimate("llama3.1:8b").json();
    assert_eq!(report.model.id, "llama3.1:8b");
    // 100·32 + 4·32² + 3·32·64 + 3·32, the head being the embedding.
    assert_eq!(report.model.parameters.total, 13_536);
    assert_eq!(report.notes[0], "llama3.1:8b as Ollama has it installed");
    let has = |words: &str| report.notes.iter().any(|note| note.contains(words));
    assert!(has("its projector is not counted"));
    assert!(has("`layers.0.attn_norm` is in no file"), "{:?}", report.notes);
    // Another tag is still the built-in one.
    let other: Report = store.estimate("llama3.2:1b").json();
    assert!(other.model.parameters.total > 1_000_000_000);
}

#[test]
fn a_name_without_a_tag_is_its_latest() {
    let store = Store::new();
    store.install("mine/latest", &gguf("llama"));
    store.install("mine/1b", &gguf("llama"));
    store.install("llama3.2/latest", &gguf("llama"));
    store.install("../me/own/latest", &gguf("llama"));
    for model in ["mine", "mine:latest", "llama3.2", "me/own", "registry.ollama.ai/library/mine"] {
        let report: Report = store.estimate(model).json();
        assert_eq!(report.model.parameters.total, 13_536, "{model}");
        assert_eq!(report.model.id, model);
        let whole =
            format!("{}:latest as Ollama has it installed", model.trim_end_matches(":latest"));
        assert_eq!(report.notes[0], whole);
    }
    let (message, _) = store.estimate("mine:2b").failure();
    let end = "; or install it: `ollama pull mine:2b`; Ollama has `mine:1b`, `mine:latest`";
    assert!(message.ends_with(end), "{message}");
    // What is built in and not installed is still built in.
    assert_eq!(store.estimate("gpt2").json::<Report>().model.parameters.total, 124_439_808);
}

#[test]
fn a_registry_may_name_its_port() {
    let store = Store::new();
    store.install("../../localhost:5000/me/mine/1b", &gguf("llama"));
    store.estimate("localhost:5000/me/mine:1b").ok();
}

#[test]
fn the_variable_says_where_the_store_is() {
    let store = Store::new();
    store.install("mine/latest", &gguf("llama"));
    let moved = store.0.path().join("elsewhere");
    fs::rename(store.0.path().join(".ollama/models"), &moved).expect("a folder moves");
    store.estimate("mine:latest").failure();
    let mut command = store.0.command();
    Run::of(command.args(["estimate", "mine:latest", "-p", "1"]).env("OLLAMA_MODELS", moved)).ok();
}

#[test]
fn an_architecture_that_is_not_read_leaves_the_built_in_row() {
    let store = Store::new();
    store.install("llama3.1/8b", &gguf("mystery"));
    store.install("mine/1b", &gguf("mystery"));
    let report: Report = store.estimate("llama3.1:8b").json();
    assert_eq!(report.model.parameters.total, 8_030_261_248);
    assert!(report.notes.iter().any(|note| note.contains("\"mystery\" is of no known type")));
    let (message, _) = store.estimate("mine:1b").failure();
    assert!(
        message.contains("\"mystery\": is of no known type; 1 layers are stated and 0 in"),
        "{message}"
    );
}

#[test]
fn stores_that_lack_what_they_name() {
    let store = Store::new();
    let (blob, pull) = (format!("blobs/sha256-{HASH}"), "install it: `ollama pull mine:1b`");
    let path = store.install("mine/1b", &gguf("llama"));
    let whole = gguf("llama").len();
    fs::write(&path, "GGUF").expect("a file");
    store.fails("mine:1b", &format!("{blob}: has 4 bytes, and the manifest says {whole}; {pull}"));
    fs::remove_file(&path).expect("a file");
    store.fails("mine:1b", &format!("{blob}: does not exist, and mine:1b is made of it; {pull}"));
    let place = "manifests/registry.ollama.ai/library/mine/1b";
    store.put(place, "<html>");
    store.fails(
        "mine:1b",
        &format!("{place}: line 1, column 1: is no manifest: expected value; {pull}"),
    );
    store.install("mine/1b", b"<!DOCTYPE html>");
    store.fails("mine:1b", &format!("{blob}: byte 0: does not begin with \"GGUF\""));
    let (message, _) = store.estimate("mine:2b").failure();
    let end = "; or install it: `ollama pull mine:2b`; Ollama has `mine:1b`";
    assert!(message.ends_with(end), "{message}");
    for tag in ["mine:../mine/1b", "../library/mine:1b"] {
        store.estimate(tag).failure();
    }
}
