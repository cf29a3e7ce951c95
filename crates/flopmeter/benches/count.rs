//! What a count costs. Run: `cargo bench -p flopmeter`.

use divan::{Bencher, black_box};
use flopmeter::device::{self, Device};
use flopmeter::units::{BytesPerSecond, FlopsPerSecond};
use flopmeter::{
    Builtin, Config, Convention, Hardware, Model, Parallelism, Phase, Recompute, Sequence, Step,
    Workload,
};

fn main() {
    divan::main();
}

fn model(name: &str) -> Model {
    Builtin::find(name).and_then(Builtin::model).expect("a built-in model")
}

/// One request on a built model: the time must not depend on tokens or layers.
#[divan::bench(sample_size = 1000, args = [
    ("gpt2", 10, 10),
    ("llama-3.1-8b", 1024, 256),
    ("llama-3.1-8b", 1_000_000, 1_000_000),
    ("meta-llama/Llama-3.1-405B", 1024, 256),
    ("google/gemma-3-27b-it", 1024, 256),
    ("mistralai/Mixtral-8x7B-v0.1", 1024, 256),
    ("deepseek-ai/DeepSeek-V3", 1024, 256),
])]
fn request(bencher: Bencher<'_, '_>, (name, prompt, generate): (&str, u64, u64)) {
    let model = model(name);
    let request = Workload::request(prompt, generate);
    bencher.bench(|| model.flops(black_box(&request), black_box(&Convention::MODEL)));
}

/// The same as PyTorch's counter would have it.
#[divan::bench(sample_size = 100, args = ["llama-3.1-8b", "deepseek-ai/DeepSeek-V3"])]
fn request_by_reference(bencher: Bencher<'_, '_>, name: &str) {
    let model = model(name);
    let request = Workload::request(1024, 256);
    bencher.bench(|| model.flops(black_box(&request), black_box(&Convention::TORCH)));
}

/// A row of a log, the model being ready for many.
#[divan::bench(sample_size = 1000, args = [
    ("llama-3.1-8b", "model"),
    ("google/gemma-3-27b-it", "model"),
    ("Qwen/Qwen3-235B-A22B", "model"),
    ("deepseek-ai/DeepSeek-V3", "model"),
    ("llama-3.1-8b", "torch"),
    ("llama-3.1-8b", "2pt"),
])]
fn row(bencher: Bencher<'_, '_>, (name, convention): (&str, &str)) {
    let model = model(name);
    let counter = model.counter(&convention.parse().expect("a convention"));
    bencher.bench(|| counter.total(black_box(1024), black_box(512), black_box(256)));
}

/// Bytes of a request.
#[divan::bench(sample_size = 100, args = ["llama-3.1-8b", "deepseek-ai/DeepSeek-V3"])]
fn bytes(bencher: Bencher<'_, '_>, name: &str) {
    let model = model(name);
    let request = Workload::request(1024, 256);
    bencher.bench(|| model.bytes(black_box(&request)));
}

/// The roofline of a request's decode phase.
#[divan::bench(sample_size = 100, args = ["llama-3.1-8b", "google/gemma-3-27b-it"])]
fn roofline(bencher: Bencher<'_, '_>, name: &str) {
    let model = model(name);
    let request = Workload::request(1024, 256);
    let hardware = Hardware::new(FlopsPerSecond(989.5e12), Some(BytesPerSecond(3.35e12)), 1)
        .expect("hardware");
    bencher.bench(|| model.ideal(black_box(&request), Phase::Decode, &hardware));
}

/// The same of a batch of requests that all differ: as many more cost as much more.
#[divan::bench(args = [64, 512, 4096])]
fn roofline_of_a_batch(bencher: Bencher<'_, '_>, requests: u64) {
    let model = model("google/gemma-3-27b-it");
    let sequences = (0..requests).map(|at| Sequence::new(100 + 7 * at % 5000, 2 + at));
    let batch = Workload::batch(sequences.collect()).expect("a batch");
    let hardware = Hardware::new(FlopsPerSecond(989.5e12), Some(BytesPerSecond(3.35e12)), 1)
        .expect("hardware");
    bencher.bench(|| model.ideal(black_box(&batch), Phase::Decode, &hardware));
}

/// A step of training by a published formula, the same.
#[divan::bench(sample_size = 100, args = ["llama-3.1-8b", "deepseek-ai/DeepSeek-V3"])]
fn step_by_formula(bencher: Bencher<'_, '_>, name: &str) {
    let step = Step::new(4096, 15_360).expect("a step");
    let megatron = "megatron".parse().expect("a convention");
    let training = model(name).training(&step, &megatron).expect("it applies");
    bencher.bench(|| training.flops(black_box(&step)));
}

/// A step of training, the model being ready for it.
#[divan::bench(sample_size = 100, args = ["llama-3.1-8b", "deepseek-ai/DeepSeek-V3"])]
fn step(bencher: Bencher<'_, '_>, name: &str) {
    let step = Step::new(4096, 15_360).expect("a step").recomputing(Recompute::Selective);
    let training = model(name).training(&step, &Convention::MODEL).expect("it can be trained");
    bencher.bench(|| training.flops(black_box(&step)));
}

/// What makes a model ready for it.
#[divan::bench(sample_size = 10, args = ["llama-3.1-8b", "deepseek-ai/DeepSeek-V3"])]
fn ready_for_a_step(bencher: Bencher<'_, '_>, name: &str) {
    let model = model(name);
    let step = Step::new(4096, 15_360).expect("a step").recomputing(Recompute::Selective);
    bencher.bench(|| model.training(black_box(&step), &Convention::MODEL));
}

/// What the ranks of 2,048 devices do in a step, the plan being made.
#[divan::bench(sample_size = 100)]
fn ranks_of_a_step(bencher: Bencher<'_, '_>) {
    let plan = Parallelism { data: 128, pipeline: 16, expert: 64, zero: 1, ..Parallelism::NONE };
    let step = Step::new(4096, 15_360).expect("a step").recomputing(Recompute::Selective);
    let split = model("deepseek-ai/DeepSeek-V3")
        .split_step(&plan, &step, &Convention::MODEL)
        .expect("a plan that can be");
    bencher.bench(|| split.ranks(black_box(&step), 60).map(|ranks| ranks.len()));
}

/// Config text → model.
#[divan::bench(sample_size = 100, args = ["llama-3.1-8b", "Qwen/Qwen3-235B-A22B", "deepseek-ai/DeepSeek-V3"])]
fn config_to_model(bencher: Bencher<'_, '_>, name: &str) {
    let text = Builtin::find(name).expect("a built-in model").config_text();
    bencher.bench(|| Model::from_config(&Config::parse(black_box(text))?));
}

/// A driver's name → device, the table being read already.
#[divan::bench(sample_size = 100, args = ["NVIDIA H100 80GB HBM3", "nvidia-l40s-48gb", "NVIDIA RTX A1000"])]
fn device(bencher: Bencher<'_, '_>, name: &str) {
    Device::all();
    bencher.bench(|| device::find(black_box(name)));
}
