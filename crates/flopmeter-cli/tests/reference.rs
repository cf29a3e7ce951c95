//! `docs/reference/` is written by this test from what it describes. A stale page fails; `UPDATE=1`
//! rewrites it:
//!
//! ```text
//! UPDATE=1 cargo test -p flopmeter-cli --test reference
//! ```

#[allow(dead_code, unused_imports, reason = "the reference needs the options, not their values")]
#[path = "../src/args.rs"]
mod args;
mod run;

use clap::builder::StyledStr;
use clap::{Arg, ArgAction, Command, CommandFactory};
use flopmeter::arch::{FAMILIES, audio_tower_types, tower_types};
use flopmeter::audit::{Column, Table};
use flopmeter::device::{self, Device};
use flopmeter::units::FlopsPerSecond;
use flopmeter::weights::gguf::Header;
use flopmeter::weights::safetensors;
use flopmeter::{
    Adapter, Builtin, Config, Convention, Dtype, Error, ErrorKind, Hardware, Model, Parallelism,
    Sequence, Speculation, Step, Workload,
};
use run::{LLAMA, LORA, Place};
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;
use std::{env, fs};

/// Compares a page with the one that is in the repository, or rewrites it.
fn page(name: &str, text: &str) {
    let text = format!(
        "<!-- Written by crates/flopmeter-cli/tests/reference.rs. Do not edit: change what it describes, then\n     \
         UPDATE=1 cargo test -p flopmeter-cli --test reference -->\n\n{}\n",
        text.trim_end()
    );
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference").join(name);
    if env::var_os("UPDATE").is_some_and(|update| update == "1") {
        fs::create_dir_all(path.parent().expect("a folder")).expect("docs/reference");
        fs::write(&path, text).expect("a page");
        return;
    }
    let old = fs::read_to_string(&path).unwrap_or_default();
    let lines = old.lines().map(Some).chain(std::iter::repeat(None));
    let difference = text.lines().zip(lines).find(|(new, old)| Some(*new) != *old);
    assert!(
        old == text,
        "docs/reference/{name} is stale (UPDATE=1 rewrites it); first difference: {difference:?}"
    );
}

/// A cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

fn row(cells: impl IntoIterator<Item = String>) -> String {
    let cells: Vec<String> = cells.into_iter().map(|text| cell(&text)).collect();
    format!("| {} |\n", cells.join(" | "))
}

fn table<const N: usize>(names: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    // A heading that begins with `#` is of numbers, which are set to the right.
    let mut out = row(names.map(|name| name.trim_start_matches('#').to_owned()));
    out += &row(names.map(|name| if name.starts_with('#') { "---:" } else { "---" }.to_owned()));
    rows.into_iter().for_each(|cells| out += &row(cells));
    out
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

fn codes<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    texts.into_iter().map(code).collect::<Vec<_>>().join(" ")
}

// ── cli.md ──────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn cli() {
    let mut cli = args::Cli::command();
    cli.build();
    let mut out = format!("# The command\n\n{}\n\n", about(&cli));
    out += "Data goes to standard output, words to standard error. Exit code 0; 1 for a failure; 2 for wrong \
            usage. Colour only on a terminal: `NO_COLOR` switches it off, `CLICOLOR_FORCE=1` on.\n\n";
    let commands = || cli.get_subcommands().filter(|command| command.get_name() != "help");
    out += &table(
        ["command", "what it does"],
        commands().map(|command| {
            let name = command.get_name();
            let aliases = command.get_visible_aliases().map(|alias| format!(", `{alias}`"));
            let named = format!("[`{name}`](#flopmeter-{name}){}", aliases.collect::<String>());
            [named, plain(command.get_about())]
        }),
    );
    // What `estimate` has in groups, `utilization` and `explain` have too.
    let estimate = cli.find_subcommand("estimate").expect("a command");
    let shared = |arg: &Arg| {
        let known = estimate.get_arguments().find(|known| known.get_id() == arg.get_id());
        arg.get_help_heading().is_some()
            && known.is_some_and(|known| meaning(known) == meaning(arg))
    };
    for command in commands() {
        out += &described(command, &shared);
    }
    out += "\n## Workload, counting and hardware\n\nOf `estimate`, `utilization` and `explain`; of `train` what it lists of them.\n";
    let mut headings: Vec<&str> =
        estimate.get_arguments().filter_map(Arg::get_help_heading).collect();
    headings.dedup();
    for heading in headings {
        let _ = write!(out, "\n### {heading}\n\n");
        let all = estimate.get_arguments();
        out += &options(all.filter(|arg| arg.get_help_heading() == Some(heading)));
    }
    page("cli.md", &out);
}

fn described(command: &Command, shared: &impl Fn(&Arg) -> bool) -> String {
    let mut out = format!("\n## flopmeter {}\n\n{}.\n\n", command.get_name(), about(command));
    let usage = command.clone().render_usage().to_string();
    let _ = write!(out, "```text\n{}\n```\n\n", usage.trim_start_matches("Usage: "));
    let own = command.get_arguments().filter(|arg| !shared(arg) && arg.get_id() != "help");
    out += &options(own);
    if command.get_arguments().any(shared) {
        out +=
            "\nAnd those of [workload, counting and hardware](#workload-counting-and-hardware).\n";
    }
    let examples = plain(command.get_after_long_help().or(command.get_after_help()));
    let examples = examples.split_once('\n').map_or("", |(_, lines)| lines);
    let lines = examples.lines().map(|line| format!("$ {}\n", line.trim()));
    let _ = write!(out, "\n```console\n{}```\n", lines.collect::<String>());
    out
}

fn options<'a>(args: impl Iterator<Item = &'a Arg>) -> String {
    table(
        ["option", "meaning", "default"],
        args.map(|arg| {
            let defaults: Vec<_> =
                arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
            let default = if takes_value(arg) && !defaults.is_empty() {
                code(&defaults.join(","))
            } else if arg.is_required_set() {
                "required".to_owned()
            } else {
                String::new()
            };
            [option(arg), meaning(arg), default]
        }),
    )
}

fn takes_value(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Set | ArgAction::Append)
}

fn option(arg: &Arg) -> String {
    let value = arg.get_value_names().unwrap_or_default().join(" ");
    match (arg.get_short(), arg.get_long()) {
        (_, None) => code(&value),
        (short, Some(long)) => {
            let short = short.map(|short| format!("`-{short}`, ")).unwrap_or_default();
            let value = if takes_value(arg) { format!(" {value}") } else { String::new() };
            format!("{short}`--{long}{value}`")
        }
    }
}

fn meaning(arg: &Arg) -> String {
    let text = plain(arg.get_long_help().or(arg.get_help()));
    let mut paragraphs: Vec<String> = text.split("\n\n").map(|it| it.replace('\n', " ")).collect();
    for paragraph in &mut paragraphs {
        if !paragraph.ends_with('.') {
            paragraph.push('.');
        }
    }
    let values = arg.get_possible_values();
    if takes_value(arg) && !values.is_empty() && !arg.is_hide_possible_values_set() {
        paragraphs.push(format!("One of {}.", codes(values.iter().map(|value| value.get_name()))));
    }
    paragraphs.join(" ")
}

fn about(command: &Command) -> String {
    plain(command.get_long_about().or(command.get_about()))
}

fn plain(text: Option<&StyledStr>) -> String {
    text.map(ToString::to_string).unwrap_or_default()
}

// ── devices.md ──────────────────────────────────────────────────────────────────────────────────────

/// The names that drivers print, which the library keeps in its index only.
#[derive(Deserialize)]
struct DeviceFile {
    device: Vec<DeviceNames>,
}

#[derive(Deserialize)]
struct DeviceNames {
    id: String,
    #[serde(default)]
    reported: Vec<String>,
}

#[test]
fn devices() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../flopmeter/data/devices.toml");
    let text = fs::read_to_string(file).expect("data/devices.toml");
    let names: DeviceFile = toml::from_str(&text).expect("TOML");
    let names: BTreeMap<String, Vec<String>> =
        names.device.into_iter().map(|row| (row.id, row.reported)).collect();

    let all = Device::all();
    let mut out = format!(
        "# Devices\n\n{} devices, as their vendors specify them. Peaks are dense (a figure that is printed with \
         2:4 sparsity only is halved), accumulated in FP32 where the hardware can; TFLOP/s, for integers TOP/s. \
         GB are 10⁹ bytes. What is not listed is not known: no dtype stands in for another.\n\n\
         A device answers to its id, its name and what its driver prints, as a whole; a name that several share is \
         an error that lists them. `flopmeter devices NAME` says what a name means.\n",
        all.len()
    );
    let mut vendors: Vec<&str> = Vec::new();
    for device in all {
        if !vendors.contains(&device.vendor()) {
            vendors.push(device.vendor());
        }
    }
    for vendor in vendors {
        let _ = write!(out, "\n## {vendor}\n\n");
        out += &table(
            ["id", "peaks", "#GB/s", "#GB", "driver's names", "source"],
            all.iter().filter(|device| device.vendor() == vendor).map(|device| {
                let peaks =
                    device.peaks().map(|(dtype, peak)| format!("{dtype} {}", peak.0 / 1e12));
                let own = names[device.id()].iter().map(String::as_str);
                [
                    code(device.id()),
                    peaks.collect::<Vec<_>>().join(", "),
                    device.bandwidth().map_or_else(|_| "–".into(), |it| (it.0 / 1e9).to_string()),
                    device
                        .memory_bytes()
                        .map_or_else(|| "–".into(), |it| (it as f64 / 1e9).to_string()),
                    codes(own.filter(|name| *name != device.name())),
                    match device.confidence() {
                        "high" => device.source().to_owned(),
                        confidence => format!("{} ({confidence} confidence)", device.source()),
                    },
                ]
            }),
        );
    }
    page("devices.md", &out);
}

// ── models.md ───────────────────────────────────────────────────────────────────────────────────────

#[test]
fn models() {
    let all = Builtin::all();
    let mut out = format!(
        "# Models\n\n{} models by name: the id on the Hub, a tag of Ollama, a short name, in any case. Each is the \
         shape keys of its published config, read as any config is. For every other model give its \
         `config.json`.\n\n`flopmeter models NAME` says more of one: its layers, bytes and source.\n\n",
        all.len()
    );
    out += &table(
        ["id", "model_type", "#parameters", "#active", "also called"],
        all.iter().map(|row| {
            let model = row.model().expect("a built-in model");
            let parameters = model.parameters();
            let active = if parameters.active == parameters.total {
                String::new()
            } else {
                parameters.active.to_string()
            };
            let others = row.aliases.iter().chain(&row.ollama).copied();
            [
                code(row.id),
                model.model_type().to_owned(),
                parameters.total.to_string(),
                active,
                codes(others),
            ]
        }),
    );
    out += "\n## Known, and not built in\n\nWhat models these are is known, and why they have no row:\n\n";
    out += &table(
        ["id", "also called", "reason"],
        Builtin::uncounted().iter().map(|known| {
            [code(known.id), codes(known.ollama.iter().copied()), known.reason.to_owned()]
        }),
    );
    page("models.md", &out);
}

// ── architectures.md ────────────────────────────────────────────────────────────────────────────────

#[test]
fn architectures() {
    let types = FAMILIES.iter().flat_map(|family| family.model_types);
    let mut out = format!(
        "# Architectures\n\nThe {} values of `model_type` in a config.json that are counted, by family. A family is \
         one file, `crates/flopmeter/src/arch/FAMILY.rs`, whose head shows its block. Any other type is an error \
         that names the nearest.\n\n",
        types.count()
    );
    let mut built_in: BTreeMap<&str, usize> = BTreeMap::new();
    for row in Builtin::all() {
        let model = row.model().expect("a built-in model");
        let family =
            FAMILIES.iter().find(|family| family.model_types.contains(&model.model_type()));
        *built_in.entry(family.map_or("", |family| family.name)).or_default() += 1;
    }
    out += &table(
        ["family", "model_type", "#built-in models of it"],
        FAMILIES.iter().map(|family| {
            let link = format!("[{0}](../../crates/flopmeter/src/arch/{0}.rs)", family.name);
            let count = built_in.get(family.name).copied().unwrap_or_default();
            [link, codes(family.model_types.iter().copied()), count.to_string()]
        }),
    );
    let _ = write!(
        out,
        "\nOf a type that sees or hears, the text part is counted. The vision tower is counted too, and images \
         (`--images`) with it, of {}.\n\nThe audio tower is, and clips of sound (`--audio`), of {}.\n",
        codes(tower_types()),
        codes(audio_tower_types())
    );
    out += "\nA GGUF file states its architecture by another name; its metadata and its tensors make up the config. Where a \
            name stands for several types, the tensors tell which it is.\n\n";
    let mut names: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, model_type) in Header::architectures() {
        names.entry(name).or_default().push(model_type);
    }
    out += &table(
        ["`general.architecture`", "model_type"],
        names.into_iter().map(|(name, types)| [code(name), codes(types)]),
    );
    page("architectures.md", &out);
}

// ── conventions.md ──────────────────────────────────────────────────────────────────────────────────

#[test]
fn conventions() {
    let mut out = "# Conventions\n\nHow to count is a named value, `--convention NAME`, and every output names the one \
                   it used. One multiply-add is two FLOPs in all of them.\n\n"
        .to_owned();
    out += &table(
        ["name", "what it counts", "source"],
        Convention::ALL.iter().map(|convention| {
            [code(convention.id), convention.counts.to_owned(), convention.source.to_owned()]
        }),
    );
    let _ = write!(
        out,
        "\n`{}` is the default. The same request in each, 1024 tokens of prompt and 256 of answer, in TFLOP:\n\n",
        Convention::ALL[0].id
    );
    let requests: Vec<&Convention> = Convention::of_requests().collect();
    let mut names = vec!["model".to_owned()];
    names.extend(requests.iter().map(|convention| code(convention.id)));
    out += &row(names);
    out += &row((0..=requests.len()).map(|at| if at == 0 { "---" } else { "---:" }.into()));
    for name in
        ["meta-llama/Llama-3.1-8B", "mistralai/Mixtral-8x7B-v0.1", "deepseek-ai/DeepSeek-V3"]
    {
        let model = Builtin::find(name).and_then(Builtin::model).expect("a built-in model");
        let mut cells = vec![name.to_owned()];
        for convention in &requests {
            let flops = model.flops(&Workload::request(1024, 256), convention);
            let total = flops.map(|flops| format!("{:.3}", flops.total as f64 / 1e12));
            cells.push(total.unwrap_or_else(|_| "does not apply".into()));
        }
        out += &row(cells);
    }
    out += "\nA step of training, one row of 8192 tokens of meta-llama/Llama-3.1-8B, nothing recomputed:\n\n";
    let llama = Builtin::find("meta-llama/Llama-3.1-8B").and_then(Builtin::model).expect("a model");
    let step = Step::new(8192, 1).expect("a step");
    let count = |convention: &Convention| {
        let training = llama.training(&step, convention).expect("a model to train");
        training.flops(&step).expect("a count")
    };
    let exact = count(&Convention::MODEL).total as f64;
    let steps = Convention::ALL.iter().filter(|convention| convention.counts_steps());
    out += &table(
        ["convention", "model FLOPs", "of `model`", "executed"],
        steps.map(|convention| {
            let flops = count(convention);
            let ratio = format!("{:.4}", flops.total as f64 / exact);
            [code(convention.id), flops.total.to_string(), ratio, flops.executed.to_string()]
        }),
    );
    page("conventions.md", &out);
}

// ── errors.md ───────────────────────────────────────────────────────────────────────────────────────

/// An error of each kind, provoked.
fn provoked(kind: ErrorKind) -> Error {
    let config = |text: &str| Config::parse(text).and_then(|config| Model::from_config(&config));
    let llama = |from: &str, to: &str| config(&LLAMA.replace(from, to));
    let error = match kind {
        ErrorKind::Syntax => config("{'hidden_size': 64}").err(),
        ErrorKind::Config => {
            llama("\"num_key_value_heads\": 2", "\"num_key_value_heads\": 3").err()
        }
        ErrorKind::Architecture => llama("\"llama\"", "\"lama\"").err(),
        ErrorKind::Quantization => {
            llama("}", ", \"quantization_config\": {\"quant_method\": \"magic\"}}").err()
        }
        ErrorKind::Model => Builtin::find("lama3.1:8b").err(),
        // The command finds this one: the core reads no files.
        ErrorKind::Place => Some(
            Error::new(
                ErrorKind::Place,
                "models--org--name/snapshots/0123…/config.json",
                "is not in the snapshot",
            )
            .hint("fetch it: `hf download org/name config.json`"),
        ),
        // So does it these: the core asks nobody.
        ErrorKind::Network => Some(
            Error::new(ErrorKind::Network, "`org/name`", "huggingface.co refuses the connection")
                .hint("check the network, HF_ENDPOINT and HTTPS_PROXY"),
        ),
        ErrorKind::Access => Some(
            Error::new(
                ErrorKind::Access,
                "`org/name`",
                "is gated on huggingface.co, and no token was sent",
            )
            .hint("ask for access on https://huggingface.co/org/name, then set HF_TOKEN, or `hf auth login`"),
        ),
        ErrorKind::Weights => safetensors::header_length(b"<!DOCTYPE html>", 15).err(),
        ErrorKind::Workload => {
            Workload::batch(vec![Sequence { prompt: 10, cached: 11, generate: 1, count: 1 }]).err()
        }
        ErrorKind::Speculation => {
            config(LLAMA).and_then(|draft| Speculation::new(draft, 4, 1.5)).err()
        }
        ErrorKind::Adapter => Adapter::parse(&LORA.replace("LORA", "IA3")).err(),
        ErrorKind::Parallelism => {
            let model = Builtin::find("llama3.1:8b").and_then(Builtin::model).expect("a model");
            let plan = Parallelism { tensor: 5, ..Parallelism::NONE };
            model.split(&plan).err()
        }
        ErrorKind::Convention => "6nd".parse::<Convention>().err(),
        ErrorKind::Dtype => "bf17".parse::<Dtype>().err(),
        ErrorKind::Device => device::find("NVIDIA H1000").err(),
        ErrorKind::Ambiguous => device::find("NVIDIA GeForce RTX 3080").err(),
        ErrorKind::Peak => device::find("Tesla T4").and_then(|t4| t4.peak(Dtype::Bf16)).err(),
        ErrorKind::Table => {
            let header = ["model", "seq_len", "mfu"];
            Table::read(&header, [(2, ["llama3:8b", "8192", "nan"])]).err()
        }
        ErrorKind::Measurement => Hardware::new(FlopsPerSecond(0.0), None, 1).err(),
        ErrorKind::Overflow => config(LLAMA)
            .and_then(|model| model.flops(&Workload::request(u64::MAX, 1), &Convention::MODEL))
            .err(),
        other => panic!("{other:?} has no example: provoke it here"),
    };
    error.unwrap_or_else(|| panic!("no error of kind {kind:?}"))
}

#[test]
fn errors() {
    let mut out = "# Errors\n\nA failure is one line on standard error, `error: place: fact; hint`, and exit code 1; where \
                   several things answer to a name they follow, one a line. Wrong usage has exit code 2. In Rust \
                   `Error::kind` says which kind it is; programs branch on it and never on the text.\n"
        .to_owned();
    let mut seen = BTreeSet::new();
    for &(kind, sentence) in ErrorKind::ALL {
        let error = provoked(kind);
        assert_eq!(error.kind(), kind, "{error}");
        assert!(seen.insert(kind), "{kind:?} is listed twice");
        // A style of their own: no full stop, no newline, a place and a fact.
        let text = error.to_string();
        assert!(!text.ends_with('.') && !text.contains('\n') && text.contains(": "), "{text}");
        let _ = write!(out, "\n## {kind:?}\n\n{sentence}\n\n```text\nerror: {text}\n");
        for candidate in error.candidate_list() {
            let _ = writeln!(out, "  {candidate}");
        }
        out += "```\n";
    }
    page("errors.md", &out);
}

/// The list has every kind: a kind that the code makes and the list lacks would have no page.
#[test]
fn every_kind_of_error_is_listed() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../flopmeter/src/error.rs");
    let text = fs::read_to_string(source).expect("error.rs");
    let (_, body) = text.split_once("pub enum ErrorKind {").expect("the enum");
    let (body, _) = body.split_once("\n}").expect("its end");
    let variants: BTreeSet<String> = body
        .lines()
        .map(str::trim)
        .filter(|line| !line.starts_with("//"))
        .filter_map(|line| Some(line.strip_suffix(',')?.to_owned()))
        .collect();
    let listed = ErrorKind::ALL.iter().map(|(kind, _)| format!("{kind:?}")).collect();
    assert_eq!(variants, listed);
}

// ── json.md ─────────────────────────────────────────────────────────────────────────────────────────

/// An encoder-decoder.
const T5: &str = r#"{"model_type": "t5", "d_model": 36, "d_kv": 10, "d_ff": 52, "num_layers": 3,
    "num_heads": 6, "vocab_size": 131}"#;

/// A model that sees images.
const LLAVA: &str = r#"{"model_type": "llava", "vision_config": {"model_type": "clip_vision_model",
    "hidden_size": 20, "intermediate_size": 28, "num_hidden_layers": 4, "num_attention_heads": 2,
    "image_size": 28, "patch_size": 4}, "text_config": {"model_type": "llama", "hidden_size": 60,
    "intermediate_size": 92, "num_hidden_layers": 3, "num_attention_heads": 6, "vocab_size": 131}}"#;

/// A model that hears.
const QWEN_AUDIO: &str = r#"{"model_type": "qwen2_audio", "audio_config": {"d_model": 20, "encoder_layers": 3,
    "encoder_attention_heads": 2, "encoder_ffn_dim": 28, "num_mel_bins": 8}, "text_config": {"model_type": "qwen2",
    "hidden_size": 60, "intermediate_size": 92, "num_hidden_layers": 3, "num_attention_heads": 6,
    "num_key_value_heads": 2, "vocab_size": 131}}"#;

/// Every path of `estimate` and `utilization`, and what it says.
const PATHS: &[(&str, &str)] = &[
    (
        "model.id",
        "the Hub id of a built-in model or of one from the Hub, the tag or the path of any other",
    ),
    ("model.model_type", "the `model_type`, of the text part where no other is counted"),
    ("model.parameters.total", "all, weights that are tied once"),
    (
        "model.parameters.active",
        "those that take part in a token's pass: of the experts, the routed",
    ),
    ("model.parameters.embedding", "those of look-up tables"),
    (
        "model.parameters.non_embedding",
        "`total` − `embedding`: a head of its own is among them, a tied one is not",
    ),
    ("workload.prompt", "tokens of the prompt, cached ones included"),
    ("workload.cached", "those of them that are cached"),
    ("workload.generate", "tokens that are generated"),
    (
        "workload.decoder_prompt",
        "of an encoder-decoder alone: tokens that its decoder starts from; its encoder reads `prompt`",
    ),
    (
        "workload.sequences",
        "in the place of these three where `--sequences` gives several: a list of `prompt`, `cached`, `generate`, `batch`",
    ),
    (
        "workload.images",
        "with `--images` alone: of each prompt, a list of `width`, `height` and the `tokens` that each adds to `prompt`",
    ),
    (
        "workload.audio",
        "with `--audio` alone: of each prompt, a list of `seconds` and the `tokens` that each adds to `prompt`",
    ),
    ("workload.batch", "number of sequences"),
    ("workload.kv_cache", "false with `--no-kv-cache`"),
    ("convention", "the rule of counting, by [name](conventions.md)"),
    ("flops.total", "integer of any size: `prefill` + `decode`, and the sum of `components`"),
    ("flops.prefill", "of the pass over the prompts"),
    ("flops.decode", "of the passes that generate, after the first token"),
    ("flops.components", "by component; one that the model lacks is absent"),
    ("bytes.weights", "as stored"),
    ("bytes.kv_cache_per_token", "what one more token adds while no window is full"),
    ("bytes.kv_cache", "at its largest: all sequences at their ends"),
    ("bytes.read", "in both phases: weights once a pass, and the cache that is in sight"),
    ("bytes.written", "in both phases: the cache of new tokens"),
    ("bytes.prefill.read", "in prefill"),
    ("bytes.prefill.written", "in prefill"),
    ("bytes.decode.read", "in decode"),
    ("bytes.decode.written", "in decode"),
    (
        "utilization.mfu",
        "fraction: `flops.total` ÷ (`seconds` × peak × `count`); null without a time",
    ),
    ("utilization.mbu", "fraction: bytes read and written ÷ (`seconds` × bandwidth × `count`)"),
    ("utilization.seconds", "the time that was measured"),
    (
        "utilization.ideal_seconds",
        "the shortest time the device allows; null if its bandwidth is unknown",
    ),
    ("utilization.of_ideal", "fraction: `ideal_seconds` ÷ `seconds`"),
    (
        "utilization.bound",
        "`compute` or `memory`: what binds for the greater part of the ideal time",
    ),
    ("utilization.prefill.ideal_seconds", "of prefill alone"),
    ("utilization.prefill.bound", "of prefill alone; null if it has no pass"),
    ("utilization.decode.ideal_seconds", "of decode alone"),
    ("utilization.decode.bound", "of decode alone; null if it has no pass"),
    ("device.id", "by [id](devices.md); `custom` if only figures were given"),
    ("device.name", "for people"),
    ("device.count", "number of devices"),
    ("device.dtype", "the dtype whose peak is taken"),
    ("device.peak_flops_per_second", "dense, of one"),
    ("device.bandwidth_bytes_per_second", "of one; null if unknown"),
    ("device.memory_bytes", "of one; null if unknown"),
    (
        "device.fits",
        "whether weights and cache fit `count` of them; null if their memory is unknown",
    ),
    (
        "notes",
        "a list of sentences: defaults that stood in, parts that are not counted, keys not read",
    ),
];

/// What `--adapter` adds.
const ADAPTER_PATHS: &[(&str, &str)] = &[
    ("adapter.id", "the path as given"),
    (
        "adapter.parameters",
        "those that PEFT trains; of `model.parameters.total` too if they are not merged",
    ),
    ("adapter.modules", "matrices and tables that are adapted"),
    ("adapter.merged", "true with `--merged`: then nothing else changes"),
];

/// What `--draft` adds, but for the paths of the draft and of bytes, which are those of any model.
const DRAFT_PATHS: &[(&str, &str)] = &[
    ("speculation.draft", "the draft, as `model`"),
    ("speculation.draft_tokens", "tokens that are drafted a step"),
    ("speculation.acceptance", "the probability that one is accepted"),
    ("speculation.tokens_per_step", "tokens that a step yields, expected, where enough are left"),
    ("speculation.steps", "passes of the model after its prefill, of all sequences, expected"),
    ("speculation.drafted_tokens", "tokens that are drafted for all sequences, expected"),
    ("speculation.flops.useful", "`flops.total`: what the work costs without a draft"),
    (
        "speculation.flops.spent",
        "expected, to the nearest integer: `prefill` + `draft_prefill` + `drafting` + `verification`",
    ),
    ("speculation.flops.prefill", "of the model's pass over the prompts"),
    ("speculation.flops.draft_prefill", "of the draft's"),
    ("speculation.flops.drafting", "of the passes that draft"),
    ("speculation.flops.verification", "of the passes that verify"),
    (
        "speculation.bytes",
        "as `bytes`, of model and draft together; `utilization` and `device.fits` are by these",
    ),
    (
        "speculation.speedup",
        "ideal time without the draft ÷ with it; null without a device or its bandwidth",
    ),
    (
        "utilization.hfu",
        "fraction: `speculation.flops.spent` ÷ (`seconds` × peak × `count`); null without a time",
    ),
];

/// What parallel sizes add.
const PARALLEL_PATHS: &[(&str, &str)] = &[
    ("parallelism.data", "replicas, which share the sequences"),
    (
        "parallelism.context",
        "ranks that share the tokens of a sequence; of a request those of its prompt",
    ),
    ("parallelism.tensor", "ranks that share every layer"),
    (
        "parallelism.decode_context",
        "tensor ranks that share by tokens what each of them would cache; 1 in `train`",
    ),
    ("parallelism.sequence", "whether they share the tokens between their products as well"),
    ("parallelism.pipeline", "stages"),
    ("parallelism.virtual_stages", "stretches of layers of each stage"),
    ("parallelism.expert", "groups of ranks that share the experts out"),
    ("parallelism.expert_tensor", "ranks that share an expert"),
    ("parallelism.devices", "`data` × `context` × `tensor` × `pipeline`"),
    ("parallelism.vocabulary_padding", "rows that the vocabulary is padded by, to be cut"),
    (
        "parallelism.replicated",
        "a list of modules that tensor ranks have whole, or several of them the same of",
    ),
    ("parallelism.flops", "of all ranks: `flops.total`, what several compute and what is padding"),
    (
        "parallelism.largest_batch",
        "the most sequences whose weights and cache all ranks hold; null without a known memory, or for different sequences",
    ),
    (
        "parallelism.largest_context",
        "the most tokens of each of a request's sequences, prompt and answer, whose weights and cache all ranks hold; null \
         likewise, where tokens take no memory, and in `train`",
    ),
    (
        "ranks",
        "a list, one for each kind of rank: `name`, `count` of them; of one `parameters`, `flops` (`total`, `prefill`, \
         `decode`), `bytes` as above, `fits`, and `sent`, a list of bytes that it sends in `prefill` and `decode` by a \
         `collective` among so many `ranks`, what it is `of`, and the `seconds` that they take over the device's links in \
         one direction, null where their rate is not known",
    ),
];

/// What `train` has that `estimate` has not. Device and model are the same.
const TRAIN_PATHS: &[(&str, &str)] = &[
    ("step.sequence", "tokens of a sequence; null where rows are packed"),
    (
        "step.packed",
        "with `--packed` alone: a list of `tokens` of a document and `count` of them in a row",
    ),
    ("step.batch", "sequences, or rows, of a batch"),
    ("step.accumulate", "batches of the step"),
    ("step.tokens", "of the whole step"),
    ("step.target", "of an encoder-decoder alone: tokens of its decoder, with `--target`"),
    (
        "step.frozen",
        "what is not trained: `nothing`, `base` (with `--adapter`) or how much of the bottom",
    ),
    ("step.recompute", "`none`, `selective`, `full` or a number of layers"),
    ("step.flash", "whether the backward pass computes scores again"),
    ("step.mtp", "whether layers that predict further tokens are trained"),
    ("step.reference_forwards", "forward passes without a gradient"),
    ("step.rollout", "with `--rollout` alone: `prompt` and `generate` of each sequence"),
    (
        "flops.total",
        "model FLOPs: `forward` + `input_gradients` + `weight_gradients` + `without_gradient`, and the sum of `components`",
    ),
    ("flops.forward", "of the forward pass, the head on every position"),
    ("flops.input_gradients", "gradients of what products multiply that is no weight"),
    ("flops.weight_gradients", "gradients of weights that are trained"),
    ("flops.without_gradient", "`step.rollout` and `step.reference_forwards`"),
    ("flops.recomputed", "what is computed a second time; of HFU alone"),
    ("flops.executed", "`total` + `recomputed`"),
    ("flops.per_token", "`total` ÷ `step.tokens`"),
    ("flops.components", "by component, as in `estimate`"),
    ("utilization.mfu", "fraction: `flops.total` ÷ (`seconds` × peak × `count`)"),
    ("utilization.hfu", "fraction: `flops.executed` ÷ (`seconds` × peak × `count`)"),
    ("utilization.seconds", "the time that was measured"),
    ("utilization.tokens_per_second", "`step.tokens` ÷ `seconds`"),
    ("utilization.tokens_per_second_per_device", "the same ÷ `device.count`"),
    ("utilization.flops_per_second_per_device", "`flops.total` ÷ (`seconds` × `count`)"),
];

/// What parallel sizes add to a step, beside those of a plan.
const STEP_PARALLEL_PATHS: &[(&str, &str)] = &[
    ("parallelism.zero", "what replicas share: 0 nothing, to 3 weights too"),
    ("parallelism.bubble", "fraction of the time at work in which a stage waits"),
    (
        "ranks",
        "a list, one for each kind of rank: `name`, `count`, `parameters`, `fits`; `flops` (`total`, `executed`); `memory` in \
         bytes (`weights`, `gradients`, `optimizer`, `activations`, `total`; null where it is not known what an op keeps); \
         `sent`, a list of `bytes` that it sends in the step, forward and backward, as in `estimate`",
    ),
];

const AUDIT_PATHS: &[(&str, &str)] = &[
    ("verdicts.reproduces", "rows that a convention gives"),
    ("verdicts.within_rounding", "rows that one gives at the digits of the printed throughput"),
    ("verdicts.differs", "rows that none gives"),
    ("verdicts.unknown", "rows that say too little"),
    (
        "conventions",
        "a list of `id`, how many rows it `reproduces`, and of how many `rows` it could be held against",
    ),
    ("rows", "a list, a row each"),
    ("rows.line", "where it begins"),
    ("rows.row", "what it is called"),
    ("rows.claimed", "`tflops` of a device, `mfu` and `hfu`; null where nothing is claimed"),
    ("rows.verdict", "`reproduces`, `within rounding`, `differs` or `unknown`"),
    ("rows.best", "the conventions that come nearest"),
    (
        "rows.deviation",
        "fraction: the recomputed over the claimed figure, less 1; where all hold of the one that is printed most precisely, or else of the one that is farthest off",
    ),
    (
        "rows.division",
        "where TFLOP/s and a ratio are claimed: how far TFLOP/s ÷ peak is from it (`deviation`, `verdict`)",
    ),
    (
        "rows.figures",
        "by convention: `tflops` and `executed_tflops` of a device, `mfu`, `hfu`, `deviation`, `verdict`; or an `error` that says why it does not apply",
    ),
    ("rows.notes", "what it lacks, or what contradicts itself"),
    ("notes", "how the table was read"),
];

/// The section of `audit`.
fn audit_json(place: &Place) -> String {
    place.put(
        "claims.csv",
        "model,seq_len,devices,peak,throughput,unit,tflops,mfu\nllama.json,10,1,1e9,1000,tokens/s,0.0004,41.5\n",
    );
    let report: Value = place.run("audit claims.csv --format json").json();
    let keys = |value: &Value, prefix: &str| -> BTreeSet<String> {
        let object = value.as_object().expect("an object");
        object.keys().map(|key| format!("{prefix}{key}")).collect()
    };
    let mut paths = keys(&report, "");
    paths.extend(keys(&report["verdicts"], "verdicts."));
    paths.extend(keys(&report["rows"][0], "rows."));
    paths.remove("verdicts");
    let described = AUDIT_PATHS.iter().map(|(path, _)| (*path).to_owned()).collect();
    assert_eq!(paths, described, "the paths of an audit, and those that AUDIT_PATHS describes");
    let columns = Column::all().map(|(column, names)| {
        let (first, others) = names.split_first().expect("a name");
        [code(first), codes(others.iter().copied()), column.holds().to_owned()]
    });
    format!(
        "\n## audit\n\n{}\nThe table is CSV with a line of names, in any case and order; a column of another name is not \
         read, and a note says so. A cell that is not known stays empty. Of `mfu` and `hfu` a value is a fraction, or a \
         percentage if it ends with `%` or one of the column is above 1.\n\n{}",
        table(
            ["path", "meaning"],
            AUDIT_PATHS.iter().map(|(path, meaning)| [code(path), (*meaning).to_owned()]),
        ),
        table(["column", "also called", "holds"], columns),
    )
}

/// The section of `train`.
fn train_json(place: &Place) -> String {
    let line = "train llama.json -s 10 --peak bf16=1e12 --time 1us --format json";
    let example = place.run(line).ok();
    let mut paths = BTreeSet::new();
    leaves("", &serde_json::from_str(&example).expect("JSON"), &mut paths);
    for line in [
        "train llama.json --packed 4,6 --format json",
        "train llama.json -s 10 --rollout 4:6 --format json",
        "train t5.json -s 10 --target 4 --format json",
    ] {
        leaves("", &place.run(line).json(), &mut paths);
    }
    let as_ever = |path: &String| {
        let rest = ["model.", "device.", "step.rollout."];
        path == "notes" || path == "convention" || rest.iter().any(|rest| path.starts_with(rest))
    };
    let mut described: BTreeSet<String> =
        TRAIN_PATHS.iter().map(|(path, _)| (*path).to_owned()).collect();
    assert!(described.remove("step.rollout"));
    paths.retain(|path| !as_ever(path));
    assert_eq!(paths, described, "the paths of a step, and those that TRAIN_PATHS describes");
    let cut: Value = place.run(&format!("{line} --dp 1 --tp 2")).json();
    let mut more = BTreeSet::new();
    leaves("", &cut, &mut more);
    more.retain(|path| !as_ever(path) && !paths.contains(path));
    let of_a_plan = PARALLEL_PATHS.iter().chain(STEP_PARALLEL_PATHS);
    let described = of_a_plan.map(|(path, _)| (*path).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(more, described, "the paths of a step's ranks, and those that are described");
    let cut = table(
        ["path", "meaning"],
        STEP_PARALLEL_PATHS.iter().map(|(path, meaning)| [code(path), (*meaning).to_owned()]),
    );
    let paths = table(
        ["path", "meaning"],
        TRAIN_PATHS.iter().map(|(path, meaning)| [code(path), (*meaning).to_owned()]),
    );
    format!(
        "\n## train\n\n`model`, `adapter`, `convention`, `device` and `notes` are as above; `utilization` is there with a \
         time.\n\n{paths}\n```json\n{example}```\n\nWith `--tp`, `--pp`, `--dp`, `--cp`, `--ep`, `--stages` or `--zero`, beside what a plan has in \
         `estimate`; `parallelism.largest_batch` are sequences of a step:\n\n{cut}"
    )
}

/// What a line of `sweep` says. Those of requests and of steps together.
const SWEEP_KEYS: &[(&str, &str)] = &[
    ("model, convention", "as above"),
    ("device, devices", "id and number of the devices; null without any"),
    ("dtype", "of the products"),
    ("prompt, generate, batch", "of a request"),
    ("prefill_flops, decode_flops, flops", "by phase, and both"),
    ("prefill_bytes, decode_bytes, bytes", "read and written, by phase, and both"),
    (
        "prefill_seconds, decode_seconds, seconds",
        "the shortest time that the hardware allows, by phase, and both; of a step `seconds` alone, its products' at the \
         peak. With parallel sizes the busiest rank's and that of its links, whichever is longer",
    ),
    ("prefill_bound, decode_bound", "`compute`, `memory` or `links`"),
    ("seconds_per_token", "`decode_seconds` ÷ (`generate` − 1)"),
    (
        "tokens_per_second, tokens_per_second_per_device",
        "generated, in all sequences together, in `seconds`; of a step those that are trained on",
    ),
    ("mfu, mbu", "of a run that takes `seconds`; of a step `flops` ÷ `executed_flops`"),
    ("weights_bytes, kv_cache_bytes, memory_bytes", "what is held: weights, KV cache, both"),
    (
        "memory_bytes_per_device, fits",
        "the same in equal parts, or what the rank holds that holds most; whether a device's memory is as large",
    ),
    ("sequence, recompute, executed_flops, tokens", "of a step"),
    ("accumulate", "of a step, with `--accumulate` alone: batches whose gradients add up"),
    (
        "gradients_bytes, optimizer_bytes, activations_bytes",
        "of a step, which holds them and `weights_bytes`; null where it is not known what its ops keep",
    ),
    (
        "tp, pp, dp, cp, dcp, ep, etp, virtual_stages, zero",
        "parallel sizes, each that is given; what is held is then what the rank does that holds most",
    ),
    (
        "rank_flops, sent_bytes, link_seconds",
        "with parallel sizes: the most that a rank executes and sends, and what its links take for it",
    ),
    (
        "bubble",
        "of a step with parallel sizes: the busiest stage's wait for others, of its time at work",
    ),
    ("within_limits", "with `--limit` alone: whether all are kept"),
    ("best", "with `--best` alone: of one row true"),
];

/// The section of `sweep`.
fn sweep_json(place: &Place) -> String {
    let hardware = "--peak bf16=1e12 --bandwidth 1e11 --format json";
    let line = format!("sweep llama.json -p 10 -g 3 -b 1,2 {hardware}");
    let example = place.run(&line).ok();
    let mut keys = BTreeSet::new();
    for line in [
        format!("{line} --best throughput --limit latency=1s"),
        format!("sweep llama.json -s 10 {hardware}"),
        format!(
            "sweep llama.json -s 10 --accumulate 1 --tp 1 --pp 1 --dp 1 --cp 1 --ep 1 --etp 1 --virtual-stages 1 --zero 1 {hardware}"
        ),
        format!("sweep llama.json -p 10 --dcp 1 {hardware}"),
    ] {
        let out = place.run(&line).ok();
        let row = out.lines().next().expect("a row");
        leaves("", &serde_json::from_str(row).expect("JSON"), &mut keys);
    }
    let described: BTreeSet<String> =
        SWEEP_KEYS.iter().flat_map(|(keys, _)| keys.split(", ").map(str::to_owned)).collect();
    assert_eq!(keys, described, "the keys of a row, and those that SWEEP_KEYS describes");
    let keys = table(
        ["key", "meaning"],
        SWEEP_KEYS.iter().map(|(keys, meaning)| [codes(keys.split(", ")), (*meaning).to_owned()]),
    );
    format!(
        "\n## sweep\n\nAn object a line, for each point; CSV has the same columns. Null is what is not known (a peak, a \
         bandwidth) or is not there.\n\n{keys}\n```json\n{example}```\n"
    )
}

/// The sections of `--convention all` and of `compare`.
fn conventions_json(place: &Place) -> String {
    let all = place.run("train llama.json -s 10 --convention all --format json").ok();
    let compared = place.run("compare megatron torchtitan llama.json -s 10 --format json").ok();
    format!(
        "\n## --convention all\n\nOf `estimate`, `utilization` and `train`: `conventions`, a list with a row for each that counts \
         such work, instead of `convention`, `flops`, `bytes` and `utilization`. A row has `id` and either `flops` (model FLOPs), \
         `of_model` (a fraction of those of `model`), of a step `executed` (FLOPs, recomputed ones too) and, with a time, `mfu` and \
         of a step `hfu` (fractions), or `does_not_apply`, the reason. With parallel sizes `parallelism` and `ranks` are there, \
         counted by `model`.\n\n\
         ```json\n{all}```\n\n## compare\n\n`step` or `workload` as above; `terms` sum to `difference`, which is `to.flops` − \
         `from.flops`, and `share` is a fraction of `from.flops`.\n\n```json\n{compared}```\n"
    )
}

#[test]
fn json() {
    let place = Place::with_llama();
    let line =
        "mfu llama.json -p 10 -g 3 --time 1ms --peak bf16=1e12 --bandwidth 1e11 --format json";
    let example = place.run(line).ok();
    let mut paths = BTreeSet::new();
    leaves("", &serde_json::from_str(&example).expect("JSON"), &mut paths);
    let sequences: Value =
        place.run("estimate llama.json --sequences 1:1,2:2 --format json").json();
    leaves("", &sequences, &mut paths);
    place.put("t5.json", T5);
    leaves("", &place.run("estimate t5.json -p 4 --format json").json(), &mut paths);
    place.put("llava.json", LLAVA);
    let seeing = "estimate llava.json -p 4 --images 640x480 --format json";
    leaves("", &place.run(seeing).json(), &mut paths);
    place.put("qwen.json", QWEN_AUDIO);
    let hearing = "estimate qwen.json -p 4 --audio 12.5,3 --format json";
    leaves("", &place.run(hearing).json(), &mut paths);
    let described: BTreeSet<String> = PATHS.iter().map(|(path, _)| (*path).to_owned()).collect();
    assert_eq!(paths, described, "the paths of the JSON, and those that PATHS describes");

    let mut out = "# JSON\n\n`--format json` is an interface: keys stay, their meaning stays, new ones may come. Counts are \
                   integers of any size (FLOPs pass 2⁶⁴ easily: read them with a parser that keeps them). Ratios are \
                   fractions, never per cent, and above 1 where the figures say so. Units are in the names. What is not \
                   known or was not measured is null, never zero. CSV is the same, flattened: a column a path.\n\n\
                   ## estimate, utilization\n\n`utilization` and `device` are there when a device is given.\n\n"
        .to_owned();
    out += &table(
        ["path", "meaning"],
        PATHS.iter().map(|(path, meaning)| [code(path), (*meaning).to_owned()]),
    );
    let components = flopmeter::Component::ALL.iter().map(|component| component.name());
    let _ = write!(
        out,
        "\nWhere no type of the config's name is known and the shapes of its weights were counted, `model.counted_from` is \
         `\"shapes\"`, and notes say what they do not tell.\n\nComponents: {}.\n\n```json\n{example}```\n",
        components.map(code).collect::<Vec<_>>().join(", ")
    );
    let drafted = format!("{line} --draft llama.json --draft-tokens 4 --acceptance 0.8");
    let drafted: Value = place.run(&drafted).json();
    let mut more = BTreeSet::new();
    leaves("", &drafted, &mut more);
    let more = more.into_iter().filter(|path| !paths.contains(path)).map(|path| {
        let whole = ["speculation.draft.", "speculation.bytes."];
        let whole = whole.iter().find(|whole| path.starts_with(**whole));
        whole.map_or(path.clone(), |whole| whole.trim_end_matches('.').to_owned())
    });
    let more: BTreeSet<String> = more.collect();
    let described = DRAFT_PATHS.iter().map(|(path, _)| (*path).to_owned()).collect();
    assert_eq!(more, described, "the paths of a draft, and those that DRAFT_PATHS describes");
    place.put("adapter_config.json", LORA);
    let adapted: Value = place.run(&format!("{line} --adapter adapter_config.json")).json();
    let mut more = BTreeSet::new();
    leaves("", &adapted, &mut more);
    let more: BTreeSet<String> = more.into_iter().filter(|path| !paths.contains(path)).collect();
    let described = ADAPTER_PATHS.iter().map(|(path, _)| (*path).to_owned()).collect();
    assert_eq!(more, described, "the paths of an adapter, and those that ADAPTER_PATHS describes");
    out += "\nWith `--adapter`:\n\n";
    out += &table(
        ["path", "meaning"],
        ADAPTER_PATHS.iter().map(|(path, meaning)| [code(path), (*meaning).to_owned()]),
    );
    let cut: Value = place.run(&format!("{line} --tp 2")).json();
    let mut more = BTreeSet::new();
    leaves("", &cut, &mut more);
    let more: BTreeSet<String> = more.into_iter().filter(|path| !paths.contains(path)).collect();
    let described = PARALLEL_PATHS.iter().map(|(path, _)| (*path).to_owned()).collect();
    assert_eq!(more, described, "the paths of ranks, and those that PARALLEL_PATHS describes");
    out += "\nWith `--tp`, `--pp`, `--dp` or `--ep`, where `device.fits` is of every rank:\n\n";
    out += &table(
        ["path", "meaning"],
        PARALLEL_PATHS.iter().map(|(path, meaning)| [code(path), (*meaning).to_owned()]),
    );
    out += "\nWith `--draft`, where `flops`, `bytes` and `utilization.mfu` stay those of the work without one:\n\n";
    out += &table(
        ["path", "meaning"],
        DRAFT_PATHS.iter().map(|(path, meaning)| [code(path), (*meaning).to_owned()]),
    );
    out += &train_json(&place);
    out += &sweep_json(&place);
    out += &conventions_json(&place);
    out += &audit_json(&place);
    out += "\n## devices\n\n`{\"devices\": [...]}`: all, or the one that a name means. Unknown figures are null; a dtype \
            without a peak is absent.\n\n";
    let devices = place.run_args(["devices", "NVIDIA H100 80GB HBM3", "--format", "json"]).ok();
    let _ = write!(out, "```json\n{devices}```\n");
    out += "\n## models\n\nWithout a name `{\"models\": [...]}`; with one the model, its bytes and its layers.\n\n";
    let model = place.run("models llama.json --format json").ok();
    let _ = write!(out, "```json\n{model}```\n");
    out += "\n## explain\n\n`sections`, each a `title` and `lines` of `name`, `formula`, `numbers` and `result` as text. In \
            the sections of a tower, of an encoder, of prefill and of decode, results of lines whose name begins with a component sum \
            to it. Of `train --explain` those under `forward`, `gradients` and, for HFU alone, `computed again` do.\n";
    page("json.md", &out);
}

/// The paths of the values in an object; `components` and lists are one value.
fn leaves(path: &str, value: &Value, paths: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) if path != "flops.components" => {
            for (key, value) in object {
                let below = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                leaves(&below, value, paths);
            }
        }
        _ => {
            paths.insert(path.to_owned());
        }
    }
}

// ── places.md ───────────────────────────────────────────────────────────────────────────────────────

/// What a MODEL may be, in the order in which it is looked for.
const PLACES: [[&str; 2]; 6] = [
    [
        "a path that exists",
        "A `config.json`, or the folder that holds one; a `.safetensors` file or its index; a `.gguf` file, all parts of a \
         split one.",
    ],
    [
        "`org/name`, `org/name@revision`",
        "In this order: a snapshot in the local cache of the Hub's client; without a revision, what Ollama has under this \
         name and the built-in table; the Hub. So a built-in model with a revision, such as `@main`, is asked for at the Hub.",
    ],
    [
        "`org/name:Q4_K_M`, `org/name@revision:file.gguf`",
        "A GGUF file of a repository, by the end of its name or all of it, in any case; looked for in the same order. \
         `hf.co/` may stand before it. Without a label, a repository that has GGUF files and no config.json has to have one.",
    ],
    [
        "`name`, `name:tag`, `user/name:tag`",
        "What Ollama has installed (without a tag its `latest`), else the built-in table.",
    ],
    ["any other name", "The built-in table: see `flopmeter models`."],
    ["what looks like a path and is none", "An error. No name of a file is sent anywhere."],
];

/// The variables that are read, each by the command itself unless it says otherwise.
const VARIABLES: [[&str; 2]; 20] = [
    ["HF_HUB_CACHE", "The local cache of the Hub's client."],
    ["HUGGINGFACE_HUB_CACHE", "Its older name."],
    ["HF_HOME", "The folder whose `hub` is the cache and whose `token` is the token."],
    [
        "XDG_CACHE_HOME",
        "The folder whose `huggingface` is `HF_HOME`, if that is not set; else `~/.cache`.",
    ],
    ["HF_HUB_OFFLINE", "`1`, `ON`, `YES` or `TRUE`: the Hub is not asked."],
    ["TRANSFORMERS_OFFLINE", "The same, if `HF_HUB_OFFLINE` is not set."],
    ["HF_ENDPOINT", "The address of the Hub, or of what stands in for it; https://huggingface.co."],
    [
        "HF_TOKEN",
        "The token. It is sent to the endpoint alone: to no other host that a file is sent on to, nor shown.",
    ],
    ["HUGGING_FACE_HUB_TOKEN", "Its older name."],
    ["HF_TOKEN_PATH", "The file with the token, if no variable has it."],
    ["HF_HUB_DISABLE_IMPLICIT_TOKEN", "`1`: no token is sent."],
    [
        "HF_HUB_ETAG_TIMEOUT",
        "Seconds in which the Hub has to begin to describe a repository; 10. It has six times as long to end.",
    ],
    ["HF_HUB_DOWNLOAD_TIMEOUT", "The same for each file, or part of one."],
    [
        "HF_HUB_DISABLE_PROGRESS_BARS",
        "`1`: no progress is shown. It never is unless standard error is a terminal.",
    ],
    [
        "SSL_CERT_FILE",
        "Certificates (PEM) to trust in place of Mozilla's list, such as those of a company's proxy.",
    ],
    [
        "HTTPS_PROXY",
        "A proxy, also as `ALL_PROXY` or `HTTP_PROXY` and in lower case. Read by the HTTP client.",
    ],
    ["NO_PROXY", "Hosts that are reached without it. Read by the HTTP client."],
    [
        "OLLAMA_MODELS",
        "Ollama's store; else `~/.ollama/models`, then that of the service, `/usr/share/ollama/.ollama/models`.",
    ],
    ["HOME", "What `~` is."],
    ["USERPROFILE", "The same on Windows."],
];

#[test]
fn places() {
    let mut out = "# Places\n\nWhere a MODEL is looked for, the first that has it; a note on the estimate says which one it \
                   was unless it is a path or built in.\n\n"
        .to_owned();
    out += &table(["MODEL", "where"], PLACES.map(|row| row.map(str::to_owned)));
    out += "\n## What is read from the Hub\n\nA description of the repository (which commit the revision is, which files it \
            has); then, at that commit, `config.json`, `hf_quant_config.json` and `model.safetensors.index.json` as a whole, \
            and the headers of the safetensors files by range requests, several at a time; or the header of a GGUF file, \
            vocabulary included. Of a file of \
            weights only its first bytes are asked for, 64 KiB or as many as the index lets expect, and the rest of the \
            header if it is longer; a server that does not send parts of files is an error. Nothing is written: the next run asks again, and `hf download org/name \
            config.json` brings a config into the cache for good. What fails for now (status 429 or 5xx, a connection that \
            breaks off) is tried twice more.\n\n## Variables\n\n";
    out += &table(
        ["variable", "meaning"],
        VARIABLES.map(|[name, text]| [code(name), text.to_owned()]),
    );
    page("places.md", &out);
}

/// The page has every variable that the sources name, and no other.
#[test]
fn every_variable_is_listed() {
    fn gather(folder: &Path, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                gather(&path, found);
                continue;
            }
            let text = fs::read_to_string(&path).expect("a source");
            let text = text.split("#[cfg(test)]").next().unwrap_or_default();
            let is_variable = |word: &&str| {
                word.len() > 3 && word.chars().all(|c| c.is_ascii_uppercase() || c == '_')
            };
            found.extend(text.split('"').filter(is_variable).map(str::to_owned));
        }
    }
    let mut found = BTreeSet::new();
    gather(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../flopmeter-source/src"), &mut found);
    // These are no variables.
    for word in ["TRUE", "MODEL", "CARGO_PKG_VERSION"] {
        found.remove(word);
    }
    let listed: BTreeSet<String> = VARIABLES.iter().map(|[name, _]| (*name).to_owned()).collect();
    let by_the_client = ["HTTPS_PROXY", "NO_PROXY"].map(str::to_owned);
    found.extend(by_the_client);
    assert_eq!(found, listed);
}

// ── the folder ──────────────────────────────────────────────────────────────────────────────────────

#[test]
fn no_page_is_left_over() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference");
    let mut pages: Vec<String> = fs::read_dir(folder)
        .expect("docs/reference")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    pages.sort();
    // The last is written by the Python package's tests.
    let known = [
        "architectures",
        "cli",
        "conventions",
        "devices",
        "errors",
        "json",
        "models",
        "places",
        "python",
    ];
    assert_eq!(pages, known.map(|name| format!("{name}.md")));
}
