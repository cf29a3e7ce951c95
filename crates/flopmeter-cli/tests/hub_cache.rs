//! A Hub id is looked for in the local cache as the Hub's client lays it out, before the built-in table.

mod run;

use run::{LLAMA, Place, Report, Run};
use std::fs;
use std::path::PathBuf;

const HASH: &str = "0123456789abcdef0123456789abcdef01234567";
const OTHER: &str = "89abcdef0123456789abcdef0123456789abcdef";
const FETCH: &str = "fetch it: `hf download org/name config.json";
const OFFLINE: &str = "HF_HUB_OFFLINE is set: without it the Hub is asked";

/// A cache in a place of its own, below its home.
struct Cache(Place);

impl Cache {
    fn new() -> Self {
        Self(Place::new())
    }

    fn folder(&self, repository: &str) -> PathBuf {
        let folder = format!("models--{}", repository.replace('/', "--"));
        self.0.path().join(".cache/huggingface/hub").join(folder)
    }

    /// A file below a repository's folder.
    fn put(&self, repository: &str, path: &str, text: &str) -> PathBuf {
        let path = self.folder(repository).join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(&path, text).expect("a file");
        path
    }

    /// A snapshot as the client makes it: a blob, and a link to it.
    fn snapshot(&self, repository: &str, hash: &str, config: &str) {
        let blob = format!("blobs/blob-of-{hash}");
        self.put(repository, &blob, config);
        let snapshot = self.folder(repository).join("snapshots").join(hash);
        fs::create_dir_all(&snapshot).expect("a folder");
        #[cfg(unix)]
        std::os::unix::fs::symlink(format!("../../{blob}"), snapshot.join("config.json"))
            .expect("a link");
        #[cfg(not(unix))]
        fs::write(snapshot.join("config.json"), config).expect("a file");
    }

    fn estimate(&self, model: &str) -> Run {
        self.0.run_args(["estimate", model, "-p", "10", "--format", "json"])
    }

    #[track_caller]
    fn fails(&self, model: &str, message: &str) {
        let (said, candidates) = self.estimate(model).failure();
        let home = format!("{}/.cache/huggingface/hub/", self.0.path().display());
        assert_eq!(said.replace(&home, ""), message);
        assert!(candidates.is_empty());
    }
}

/// [`run::LLAMA`] with so many layers.
fn llama(layers: u64) -> String {
    LLAMA.replace("\"num_hidden_layers\": 2", &format!("\"num_hidden_layers\": {layers}"))
}

/// Its parameters: 12,288 + 18,432 + 128 a layer, 6,400 + 6,400 + 64 outside.
fn parameters(layers: u128) -> u128 {
    layers * 30_848 + 12_864
}

#[test]
fn a_snapshot_of_main_is_read() {
    let cache = Cache::new();
    cache.snapshot("org/name", HASH, LLAMA);
    cache.put("org/name", "refs/main", HASH);
    let report: Report = cache.estimate("org/name").json();
    assert_eq!(report.model.id, "org/name");
    assert_eq!(report.model.parameters.total, 74_560);
    assert_eq!(report.notes[0], format!("snapshot {HASH} (revision main) in the local Hub cache"));
    assert_eq!(cache.estimate("org/name@main").json::<Report>().notes, report.notes);
}

#[test]
fn branches_pull_requests_and_hashes_are_revisions() {
    let cache = Cache::new();
    for (hash, reference, layers) in [(HASH, "main", 2), (OTHER, "refs/pr/3", 3)] {
        cache.snapshot("org/name", hash, &llama(layers));
        cache.put("org/name", &format!("refs/{reference}"), &format!("{hash}\n"));
    }
    let total = |model: &str| cache.estimate(model).json::<Report>().model.parameters.total;
    assert_eq!(total("org/name"), parameters(2));
    assert_eq!(total("org/name@refs/pr/3"), parameters(3));
    assert_eq!(total(&format!("org/name@{OTHER}")), parameters(3));
    let report: Report = cache.estimate(&format!("org/name@{OTHER}")).json();
    assert_eq!(report.notes[0], format!("snapshot {OTHER} in the local Hub cache"));
}

#[test]
fn a_cached_config_stands_before_the_built_in_row() {
    let (id, cache) = ("meta-llama/Llama-3.1-8B", Cache::new());
    let built_in: Report = cache.estimate(id).json();
    assert_eq!(built_in.model.parameters.total, 8_030_261_248);
    cache.snapshot(id, HASH, LLAMA);
    cache.put(id, "refs/main", HASH);
    let report: Report = cache.estimate(id).json();
    assert_eq!(report.model.parameters.total, 74_560);
    // A path that exists is a path.
    fs::create_dir_all(cache.0.path().join(id)).expect("a folder");
    cache.0.put(&format!("{id}/config.json"), llama(5));
    assert_eq!(cache.estimate(id).json::<Report>().model.parameters.total, parameters(5));
}

#[test]
fn a_snapshot_without_a_config_leaves_the_built_in_row() {
    let (id, cache) = ("meta-llama/Llama-3.1-8B", Cache::new());
    cache.put(id, "refs/main", HASH);
    cache.put(id, &format!("snapshots/{HASH}/tokenizer.json"), "{}");
    let report: Report = cache.estimate(id).json();
    assert_eq!(report.model.parameters.total, 8_030_261_248);
    let aside = "the local cache is left aside: ";
    let note = report.notes.iter().find(|note| note.starts_with(aside)).expect("a note");
    assert!(note.ends_with("config.json is not in the snapshot"), "{note}");
    // A revision is none of a built-in row's.
    let (message, _) = cache.estimate(&format!("{id}@main")).failure();
    assert!(message.contains("config.json: is not in the snapshot; fetch it: "), "{message}");
}

#[test]
fn variables_say_where_the_cache_is() {
    let cache = Cache::new();
    cache.snapshot("org/name", HASH, LLAMA);
    cache.put("org/name", "refs/main", HASH);
    let moved = cache.0.path().join("elsewhere");
    fs::rename(cache.0.path().join(".cache"), &moved).expect("a folder moves");
    let with = |name: &str, at: PathBuf| {
        let mut command = cache.0.command();
        Run::of(command.args(["estimate", "org/name", "-p", "10"]).env(name, at))
    };
    with("XDG_CACHE_HOME", moved.clone()).ok();
    with("HF_HOME", moved.join("huggingface")).ok();
    with("HF_HUB_CACHE", moved.join("huggingface/hub")).ok();
    with("HF_HOME", moved).failure();
}

#[test]
fn caches_that_lack_what_they_name() {
    let cache = Cache::new();
    cache.put("org/name", "refs/main", HASH);
    cache.fails(
        "org/name",
        &format!(
            "models--org--name/snapshots/{HASH}: does not exist, but `main` names it; {FETCH}`; {OFFLINE}"
        ),
    );
    cache.put("org/name", &format!("snapshots/{HASH}/tokenizer.json"), "{}");
    let config = format!("models--org--name/snapshots/{HASH}/config.json");
    cache.fails("org/name", &format!("{config}: is not in the snapshot; {FETCH}`; {OFFLINE}"));
    cache.put("org/name", "refs/main", "../../../etc");
    cache.fails(
        "org/name",
        &format!("models--org--name/refs/main: does not hold the hash of a commit; {FETCH}`"),
    );
    cache.fails(
        "org/name@v2",
        &format!(
            "`org/name`: has no revision `v2` in the local cache; {FETCH} --revision v2`; or leave the \
             revision out; {OFFLINE}"
        ),
    );
    cache.put("org/name", "refs/bad", OTHER);
    cache.put("org/name", &format!("snapshots/{OTHER}/config.json"), "<html>");
    let (message, _) = cache.estimate("org/name@bad").failure();
    assert!(message.contains(&format!("{OTHER}/config.json: line 1, column 1: is not JSON")));
}

#[test]
fn gguf_files_of_a_snapshot_are_chosen_by_their_label() {
    let cache = Cache::new();
    cache.put("org/name", "refs/main", HASH);
    let put = |name: &str| {
        let path = cache.put("org/name", &format!("snapshots/{HASH}/{name}"), "");
        let (bytes, size) = run::gguf::file(&run::gguf::keys(), &run::gguf::tensors());
        fs::write(&path, bytes).expect("a file");
        let file = fs::OpenOptions::new().write(true).open(path).expect("a file");
        file.set_len(size).expect("a longer file");
    };
    put("name-Q8_0.gguf");
    for model in
        ["org/name", "org/name:q8_0", "hf.co/org/name:name-Q8_0.gguf", "org/name@main:Q8_0"]
    {
        let report: Report = cache.estimate(model).json();
        assert_eq!(report.bytes.weights, run::gguf::BYTES);
        assert!(report.notes[0].starts_with(&format!("snapshot {HASH} (")), "{:?}", report.notes);
    }
    cache.fails(
        "org/name:Q4_K_M",
        &format!(
            "`org/name`: has no GGUF file `Q4_K_M` in the local cache; fetch it: `hf download org/name --include \
             '*.gguf'`; {OFFLINE}"
        ),
    );
    put("BF16/name-BF16.gguf");
    let (message, candidates) = cache.estimate("org/name").failure();
    assert_eq!(message, "`org/name`: has 2 models in GGUF; say which one, after a colon");
    assert_eq!(candidates, ["  org/name:BF16", "  org/name:Q8_0"]);
    // Without a label a config is the model.
    cache.put("org/name", &format!("snapshots/{HASH}/config.json"), LLAMA);
    assert_eq!(cache.estimate("org/name").json::<Report>().bytes.weights, 2 * 74_560);
    let report: Report = cache.estimate("org/name:Q8_0").json();
    assert_eq!(report.bytes.weights, run::gguf::BYTES);
}

#[cfg(unix)]
#[test]
fn a_link_to_a_blob_that_is_gone() {
    let cache = Cache::new();
    cache.snapshot("org/name", HASH, LLAMA);
    cache.put("org/name", "refs/main", HASH);
    fs::remove_dir_all(cache.folder("org/name").join("blobs")).expect("a folder");
    cache.fails(
        "org/name",
        &format!(
            "models--org--name/snapshots/{HASH}/config.json: is a link to a file that does not exist; {FETCH}`; {OFFLINE}"
        ),
    );
}

#[test]
fn no_name_leads_out_of_the_cache() {
    let cache = Cache::new();
    cache.put("org/name", "config.json", LLAMA);
    cache.0.put("outside.json", LLAMA);
    for revision in ["..", "../..", "../../../../../outside", "/etc", "a/../b", "%2e%2e\\x"] {
        cache.fails(
            &format!("org/name@{revision}"),
            &format!(
                "`org/name@{revision}`: has a revision that is none; give a branch, a tag or the hash of a \
                 commit after the @"
            ),
        );
    }
    for id in ["org/..", "org--x/name", "org/na me"] {
        let (message, _) = cache.estimate(id).failure();
        assert!(message.contains("is no model that is built in"), "{message}");
    }
}
