//! Every case in `tests/cases` holds to the digit, and so does the arithmetic in its margin.

mod margin;

use flopmeter::audio::Clip;
use flopmeter::image::Image;
use flopmeter::units::{BytesPerSecond, FlopsPerSecond};
use flopmeter::{
    Adapter, Bound, Builtin, Component, Config, Convention, Hardware, Ideal, Model, Phase,
    Sequence, Speculation, Utilization, Workload,
};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt::{Debug, Display};
use std::path::{Path, PathBuf};

/// Two ways to sum the same fractions in doubles.
const ROUNDING: f64 = 1e-12;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// A built-in name.
    model: Option<String>,
    /// Or the keys of a config.json.
    config: Option<serde_json::Value>,
    workload: Requests,
    draft: Option<Draft>,
    /// An adapter_config.json, beside the model.
    adapter: Option<serde_json::Value>,
    convention: String,
    expect: Expect,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Requests {
    sequences: Vec<Request>,
    #[serde(default = "yes")]
    kv_cache: bool,
    decoder_prompt: Option<u64>,
    /// Width and height of each.
    #[serde(default)]
    images: Vec<[u64; 2]>,
    /// Seconds of each clip.
    #[serde(default)]
    audio: Vec<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Draft {
    /// A built-in name.
    model: String,
    tokens: u64,
    acceptance: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    prompt: u64,
    #[serde(default)]
    cached: u64,
    generate: u64,
    #[serde(default = "one")]
    count: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expect {
    parameters: Option<u64>,
    /// Of the adapter.
    adapter: Option<u64>,
    /// `total`, `prefill`, `decode` and components by name: none of these, or all that are not zero.
    #[serde(default)]
    flops: BTreeMap<String, u64>,
    #[serde(default)]
    bytes: Bytes,
    utilization: Option<Measured>,
    #[serde(default)]
    speculation: Speculative,
}

/// What decoding with a draft costs.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Speculative {
    steps: Option<f64>,
    drafted: Option<f64>,
    useful: Option<u64>,
    draft_prefill: Option<u64>,
    drafting: Option<u64>,
    verification: Option<u64>,
    spent: Option<u64>,
    decode_read: Option<u64>,
    decode_written: Option<u64>,
}

#[derive(Deserialize, Default, PartialEq)]
#[serde(deny_unknown_fields)]
struct Bytes {
    weights: Option<u64>,
    kv_cache_per_token: Option<u64>,
    kv_cache: Option<u64>,
    prefill: Option<Traffic>,
    decode: Option<Traffic>,
}

#[derive(Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Traffic {
    read: u64,
    written: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Measured {
    peak: f64,
    bandwidth: f64,
    devices: u64,
    seconds: f64,
    mfu: Option<f64>,
    mbu: Option<f64>,
    ideal_seconds: Option<f64>,
    compute_seconds: Option<f64>,
    bound: Option<String>,
}

fn yes() -> bool {
    true
}

fn one() -> u64 {
    1
}

/// What a case states and what is counted instead, a line each.
#[derive(Default)]
struct Differences {
    compared: usize,
    lines: Vec<String>,
}

impl Differences {
    fn compare<T: PartialEq + Display>(&mut self, what: &str, expected: Option<T>, counted: T) {
        let Some(expected) = expected else { return };
        self.compared += 1;
        if expected != counted {
            self.lines.push(format!("{what}: {expected} expected, {counted} counted"));
        }
    }

    fn compare_rounded(&mut self, what: &str, expected: Option<f64>, counted: f64) {
        let Some(expected) = expected else { return };
        self.compared += 1;
        if (expected - counted).abs() > ROUNDING * expected.abs() {
            self.lines.push(format!("{what}: {expected} expected, {counted} counted"));
        }
    }
}

fn cases() -> Vec<(PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(&folder)
        .expect("tests/cases")
        .map(|entry| entry.expect("a file").path())
        .filter(|path| path.extension().is_some_and(|end| end == "toml"))
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} has no case", folder.display());
    paths.into_iter().map(|path| (path.clone(), text_of(&path))).collect()
}

fn text_of(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// `Ok` for something that is known to be there: a case that cannot be read is a broken test.
fn known<T, E: Debug>(result: Result<T, E>) -> T {
    result.expect("a sound case")
}

#[test]
fn every_case_holds() {
    let mut failed = Vec::new();
    for (path, text) in cases() {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let case: Case = toml::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let differences = check(&case, &name);
        assert!(differences.compared > 0, "{name} expects nothing");
        failed.extend(differences.lines.iter().map(|line| format!("{name}: {line}")));
    }
    assert!(failed.is_empty(), "{} numbers differ:\n{}", failed.len(), failed.join("\n"));
}

#[test]
fn every_margin_adds_up() {
    let wrong: Vec<String> = cases()
        .iter()
        .flat_map(|(path, text)| {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            margin::wrong(text).into_iter().map(move |line| format!("{name}: {line}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{} margins are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

fn check(case: &Case, name: &str) -> Differences {
    let model = match (&case.model, &case.config) {
        (Some(name), None) => known(known(Builtin::find(name)).model()),
        (None, Some(config)) => {
            known(Model::from_config(&known(Config::from_value(config.clone()))))
        }
        _ => panic!("{name}: a case has a model or a config"),
    };
    assert!(model.unread().is_empty(), "{name}: nobody read {:?}", model.unread());
    let mut differences = Differences::default();
    let model = match &case.adapter {
        Some(adapter) => {
            let adapter = known(Adapter::parse(&adapter.to_string()));
            let adapted = known(model.with_adapter(&adapter));
            differences.compare("adapter", case.expect.adapter.map(u128::from), adapted.parameters);
            adapted.unmerged
        }
        None => model,
    };
    differences.compare(
        "parameters",
        case.expect.parameters.map(u128::from),
        model.parameters().total,
    );
    let workload = workload(&case.workload);
    let convention = known(case.convention.parse());
    check_flops(&case.expect.flops, &model, &workload, &convention, &mut differences);
    check_bytes(&case.expect.bytes, &model, &workload, &mut differences);
    if let Some(measured) = &case.expect.utilization {
        check_utilization(measured, &model, &workload, &convention, &mut differences);
    }
    if let Some(draft) = &case.draft {
        let expected = &case.expect.speculation;
        check_draft(expected, draft, &model, &workload, &convention, &mut differences);
    }
    differences
}

fn workload(requests: &Requests) -> Workload {
    let sequences = requests.sequences.iter().map(|request| {
        let Request { prompt, cached, generate, count } = *request;
        Sequence { prompt, cached, generate, count }
    });
    let mut workload = known(Workload::batch(sequences.collect()));
    if let Some(tokens) = requests.decoder_prompt {
        workload = workload.with_decoder_prompt(tokens);
    }
    let images = requests.images.iter().map(|[width, height]| known(Image::new(*width, *height)));
    workload = known(workload.with_images(images.collect()));
    let clips = requests.audio.iter().map(|seconds| known(Clip::new(*seconds)));
    workload = known(workload.with_audio(clips.collect()));
    if requests.kv_cache { workload } else { known(workload.without_kv_cache()) }
}

fn check_flops(
    expected: &BTreeMap<String, u64>,
    model: &Model,
    workload: &Workload,
    convention: &Convention,
    differences: &mut Differences,
) {
    let flops = known(model.flops(workload, convention));
    let whole = [
        ("total", flops.total),
        ("prefill", flops.prefill.total().expect("it fits")),
        ("decode", flops.decode.total().expect("it fits")),
    ];
    let components = flops.components();
    let named = Component::ALL.map(|component| (component.name(), components[component]));
    let by_name: BTreeMap<&str, u128> = whole.into_iter().chain(named).collect();
    for (name, flops) in expected {
        let counted = by_name.get(name.as_str()).unwrap_or_else(|| panic!("what is `{name}`?"));
        differences.compare(name, Some((*flops).into()), *counted);
    }
    let names_one = named.iter().any(|(name, _)| expected.contains_key(*name));
    for (name, flops) in named.into_iter().filter(|(_, flops)| names_one && *flops > 0) {
        if !expected.contains_key(name) {
            differences.compare(name, Some(0), flops);
        }
    }
}

fn check_draft(
    expected: &Speculative,
    draft: &Draft,
    model: &Model,
    workload: &Workload,
    convention: &Convention,
    differences: &mut Differences,
) {
    let drafts = known(known(Builtin::find(&draft.model)).model());
    let speculation = known(Speculation::new(drafts, draft.tokens, draft.acceptance));
    let spent = known(speculation.flops(model, workload, convention));
    differences.compare_rounded("steps", expected.steps, spent.steps);
    differences.compare_rounded("drafted", expected.drafted, spent.drafted);
    let total = |counts: flopmeter::Counts| counts.total().expect("it fits");
    let moved = known(speculation.bytes(model, workload)).decode;
    for (name, expected, counted) in [
        ("useful", expected.useful, spent.useful.total),
        ("draft_prefill", expected.draft_prefill, total(spent.draft_prefill)),
        ("drafting", expected.drafting, total(spent.drafting)),
        ("verification", expected.verification, total(spent.verification)),
        ("spent", expected.spent, spent.total),
        ("decode_read", expected.decode_read, moved.read),
        ("decode_written", expected.decode_written, moved.written),
    ] {
        differences.compare(name, expected.map(u128::from), counted);
    }
}

fn check_bytes(
    expected: &Bytes,
    model: &Model,
    workload: &Workload,
    differences: &mut Differences,
) {
    let bytes = known(model.bytes(workload));
    let wide = |bytes: Option<u64>| bytes.map(u128::from);
    differences.compare("weights", wide(expected.weights), bytes.weights);
    let per_token = wide(expected.kv_cache_per_token);
    differences.compare("kv_cache_per_token", per_token, bytes.kv_cache_per_token);
    differences.compare("kv_cache", wide(expected.kv_cache), bytes.kv_cache);
    for (phase, expected, moved) in
        [("prefill", &expected.prefill, bytes.prefill), ("decode", &expected.decode, bytes.decode)]
    {
        let (read, written) = expected.as_ref().map(|moved| (moved.read, moved.written)).unzip();
        differences.compare(&format!("{phase}.read"), wide(read), moved.read);
        differences.compare(&format!("{phase}.written"), wide(written), moved.written);
    }
}

fn check_utilization(
    expected: &Measured,
    model: &Model,
    workload: &Workload,
    convention: &Convention,
    differences: &mut Differences,
) {
    let bandwidth = Some(BytesPerSecond(expected.bandwidth));
    let hardware = known(Hardware::new(FlopsPerSecond(expected.peak), bandwidth, expected.devices));
    let flops = known(model.flops(workload, convention));
    let bytes = known(model.bytes(workload));
    let reached = known(Utilization::new(&flops, &bytes, &hardware, expected.seconds));
    differences.compare_rounded("mfu", expected.mfu, reached.mfu);
    differences.compare_rounded("mbu", expected.mbu, reached.mbu.expect("a bandwidth"));
    let ideal = |phase| known(model.ideal(workload, phase, &hardware)).expect("a bandwidth");
    let ideal: Ideal = ideal(Phase::Prefill).and(ideal(Phase::Decode));
    differences.compare_rounded("ideal_seconds", expected.ideal_seconds, ideal.seconds);
    differences.compare_rounded("compute_seconds", expected.compute_seconds, ideal.compute_seconds);
    let bound = ideal.bound().map_or("none", Bound::name);
    differences.compare("bound", expected.bound.as_deref(), bound);
}
