//! Runs the command and holds what it says.

#![allow(dead_code, reason = "each test file uses its part")]

pub mod gguf;
pub mod tensors;

use serde::Deserialize;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A llama whose every count can be followed on paper: 2 layers, 4 heads of 16 that share 2 key/value
/// heads, a gated feed-forward layer of 96, a vocabulary of 100 with a head of its own.
///
/// ```text
/// a layer   q 64·64 + k, v 2·64·32 + o 64·64 = 12,288 · gate, up, down 3·64·96 = 18,432 · norms 2·64
/// in all    2·(12,288 + 18,432 + 128) + embedding 6,400 + head 6,400 + norm 64 = 74,560 parameters
/// ```
pub const LLAMA: &str = r#"{"model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 96, "vocab_size": 100,
    "torch_dtype": "bfloat16"}"#;

/// An adapter of its queries and values: 2 layers of 4·(64 + 64) + 4·(64 + 32) = 1,792 parameters.
pub const LORA: &str = r#"{"peft_type": "LORA", "r": 4, "target_modules": ["q_proj", "v_proj"],
    "base_model_name_or_path": "llama.json", "lora_alpha": 8, "bias": "none"}"#;

/// A folder that goes away with the test, in which commands run.
pub struct Place(TempDir);

impl Place {
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder for temporary files"))
    }

    /// A place with [`LLAMA`] in `llama.json`.
    pub fn with_llama() -> Self {
        let place = Self::new();
        place.put("llama.json", LLAMA);
        place
    }

    pub fn put(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        fs::write(&path, text).expect("a temporary file");
        path
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Runs `flopmeter` here, with the arguments as a shell would cut them at blanks.
    pub fn run(&self, line: &str) -> Run {
        self.run_args(line.split_whitespace())
    }

    pub fn run_args(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Run {
        Run::of(self.command().args(args))
    }

    /// The command, with nothing of the surroundings that changes what it prints.
    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_flopmeter"));
        command.current_dir(self.path()).stdin(Stdio::null()).env("COLUMNS", "80");
        for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "CI"] {
            command.env_remove(name);
        }
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            let upper = name.to_uppercase();
            let of_places = ["HF_", "HUGGING", "TRANSFORMERS_", "OLLAMA_", "XDG_", "SSL_CERT_"];
            if of_places.iter().any(|start| upper.starts_with(start)) || upper.ends_with("_PROXY") {
                command.env_remove(&*name);
            }
        }
        // No test asks the real Hub: those that have a server of their own take this away.
        command.env("HOME", self.path()).env("HF_HUB_OFFLINE", "1");
        command
    }
}

/// What a run of the command said.
#[derive(Debug)]
pub struct Run {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
    pub taken: Duration,
}

impl Run {
    pub fn of(command: &mut Command) -> Self {
        let start = Instant::now();
        let output = command.output().expect("the command starts");
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).expect("UTF-8 on standard output"),
            err: String::from_utf8(output.stderr).expect("UTF-8 on standard error"),
            taken: start.elapsed(),
        }
    }

    /// Data on standard output, no word on standard error, exit code 0.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        assert_eq!(self.err, "");
        self.out
    }

    /// The JSON that it printed.
    #[track_caller]
    pub fn json<T: for<'de> Deserialize<'de>>(self) -> T {
        let out = self.ok();
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error} in {out}"))
    }

    /// A failure: exit code 1, nothing on standard output, one line and perhaps candidates on standard
    /// error.
    #[track_caller]
    pub fn failure(self) -> (String, Vec<String>) {
        assert_eq!(self.code, Some(1), "{self:?}");
        assert_eq!(self.out, "");
        let mut lines = self.err.lines();
        let line = lines.next().unwrap_or_default();
        let message = line.strip_prefix("error: ").unwrap_or_else(|| panic!("{self:?}"));
        let candidates: Vec<String> = lines.map(str::to_owned).collect();
        for candidate in &candidates {
            assert!(candidate.starts_with("  "), "a second line that is no candidate: {candidate}");
        }
        (message.to_owned(), candidates)
    }

    /// Wrong usage: exit code 2, nothing on standard output; what is said on standard error.
    #[track_caller]
    pub fn usage(self) -> String {
        assert_eq!(self.code, Some(2), "{self:?}");
        assert_eq!(self.out, "");
        assert!(self.err.starts_with("error: "), "{self:?}");
        self.err
    }
}

/// The JSON of an estimate as DESIGN.md fixes it, and no key that it does not know. Counts are
/// integers of any size: anything else does not parse.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    pub model: ModelJson,
    pub adapter: Option<AdapterJson>,
    pub workload: WorkloadJson,
    pub convention: String,
    pub flops: FlopsJson,
    pub bytes: BytesJson,
    pub speculation: Option<SpeculationJson>,
    pub utilization: Option<UtilizationJson>,
    pub device: Option<DeviceJson>,
    pub parallelism: Option<ParallelismJson>,
    #[serde(default)]
    pub ranks: Vec<RankJson>,
    pub notes: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParallelismJson {
    pub data: u64,
    pub context: u64,
    pub tensor: u64,
    pub decode_context: u64,
    pub sequence: bool,
    pub pipeline: u64,
    pub virtual_stages: u64,
    pub expert: u64,
    pub expert_tensor: u64,
    pub devices: u64,
    pub vocabulary_padding: u64,
    pub replicated: Vec<String>,
    pub flops: u128,
    pub largest_batch: Option<u64>,
    pub largest_context: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RankJson {
    pub name: String,
    pub count: u64,
    pub parameters: u128,
    pub flops: RankFlopsJson,
    pub bytes: BytesJson,
    pub sent: Vec<SentJson>,
    pub fits: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RankFlopsJson {
    pub total: u128,
    pub prefill: u128,
    pub decode: u128,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SentJson {
    pub collective: String,
    pub of: String,
    pub ranks: u64,
    pub prefill: u128,
    pub decode: u128,
    pub seconds: Option<f64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelJson {
    pub id: String,
    pub model_type: String,
    /// Only there where no type is known.
    pub counted_from: Option<String>,
    pub parameters: ParametersJson,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdapterJson {
    pub id: String,
    pub parameters: u128,
    pub modules: u64,
    pub merged: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParametersJson {
    pub total: u128,
    pub active: u128,
    pub embedding: u128,
    pub non_embedding: u128,
}

#[derive(Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct WorkloadJson {
    pub prompt: Option<u64>,
    pub cached: Option<u64>,
    pub generate: Option<u64>,
    pub decoder_prompt: Option<u64>,
    pub sequences: Option<Vec<SequenceJson>>,
    pub batch: u64,
    pub kv_cache: bool,
}

#[derive(Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct SequenceJson {
    pub prompt: u64,
    pub cached: u64,
    pub generate: u64,
    pub batch: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlopsJson {
    pub total: u128,
    pub prefill: u128,
    pub decode: u128,
    pub components: BTreeMap<String, u128>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BytesJson {
    pub weights: u128,
    pub kv_cache_per_token: u128,
    pub kv_cache: u128,
    pub read: u128,
    pub written: u128,
    pub prefill: TrafficJson,
    pub decode: TrafficJson,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpeculationJson {
    pub draft: ModelJson,
    pub draft_tokens: u64,
    pub acceptance: f64,
    pub tokens_per_step: f64,
    pub steps: f64,
    pub drafted_tokens: f64,
    pub flops: SpentJson,
    pub bytes: BytesJson,
    pub speedup: Option<f64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpentJson {
    pub useful: u128,
    pub spent: u128,
    pub prefill: u128,
    pub draft_prefill: u128,
    pub drafting: u128,
    pub verification: u128,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrafficJson {
    pub read: u128,
    pub written: u128,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UtilizationJson {
    pub mfu: Option<f64>,
    pub hfu: Option<f64>,
    pub mbu: Option<f64>,
    pub seconds: Option<f64>,
    pub ideal_seconds: Option<f64>,
    pub of_ideal: Option<f64>,
    pub bound: Option<String>,
    pub prefill: IdealJson,
    pub decode: IdealJson,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdealJson {
    pub ideal_seconds: Option<f64>,
    pub bound: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceJson {
    pub id: String,
    pub name: String,
    pub count: u64,
    pub dtype: String,
    pub peak_flops_per_second: f64,
    pub bandwidth_bytes_per_second: Option<f64>,
    pub memory_bytes: Option<u64>,
    pub fits: Option<bool>,
}
