//! Steps of training: what ranks compute, hold and send.

use super::{LLAMA, MIXTRAL, TENSOR, builtin, model};
use flopmeter::{Convention, Parallelism, Recompute, Step, StepRank};

/// A GPT of 3 layers, 4 heads of 16, a feed-forward layer of 4·64, learned positions.
const GPT: &str = r#"{"model_type": "gpt2", "n_embd": 64, "n_layer": 3, "n_head": 4, "n_positions": 32,
    "vocab_size": 256, "torch_dtype": "bfloat16"}"#;

fn step(rows: u64) -> Step {
    Step::new(32, rows).expect("a step")
}

/// Bytes of activations of the first rank, the head and what is before it left out.
fn of_layers(plan: &Parallelism, step: &Step, outside: u128) -> u128 {
    let gpt = model(GPT);
    let split = gpt.split_step(plan, step, &Convention::MODEL).expect("a plan that can be");
    let ranks = split.ranks(step, 1).expect("ranks");
    ranks[0].memory.activations.expect("all ops are known") - outside
}

/// Korthikanti et al., arXiv:2205.05198, equations 1, 2, 4, 6 and section 5: s = 32, h = 64, a = 4, b = 2, L = 3. Outside
/// the layers are the masks of the embedding s·b·h, the input of the last norm and of the head 2·s·b·h each, and logits in
/// 32 bits 4·s·b·v, shared out with the vocabulary of 256 and, under sequence parallelism, with the tokens.
#[test]
fn activations_are_those_that_are_published_for_a_gpt() {
    let (s, h, a, b, layers) = (32_u128, 64, 4, 2, 3);
    let dropout = step(2).dropping_out();
    let outside = |t: u128| s * b * 5 * h + 4 * s * b * 256 / t;
    let one = Parallelism::NONE;
    assert_eq!(of_layers(&one, &dropout, outside(1)), layers * s * b * (34 * h + 5 * a * s));
    let two = TENSOR(2);
    let tensor = 10 * h + 24 * h / 2 + 5 * a * s / 2;
    assert_eq!(of_layers(&two, &dropout, outside(2)), layers * s * b * tensor);
    let both = Parallelism { sequence: true, ..two };
    let shared = s * b * 5 * h / 2 + 4 * s * b * 256 / 2;
    assert_eq!(of_layers(&both, &dropout, shared), layers * s * b * (34 * h + 5 * a * s) / 2);
    let selective = dropout.clone().recomputing(Recompute::Selective);
    assert_eq!(of_layers(&both, &selective, shared), layers * s * b * 34 * h / 2);
    let full = dropout.clone().recomputing(Recompute::Full);
    assert_eq!(of_layers(&one, &full, outside(1)), layers * 2 * s * b * h);
    let some = dropout.recomputing(Recompute::Layers(1));
    let rest = 2 * s * b * (34 * h + 5 * a * s);
    assert_eq!(of_layers(&one, &some, outside(1)), 2 * s * b * h + rest);
    // Flash attention without dropout: no masks (3·h less in a layer and outside), a sum for each head.
    let flash = step(2).recomputing_scores();
    assert_eq!(of_layers(&one, &flash, outside(1) - s * b * h), layers * s * b * (32 * h + 4 * a));
}

/// Rajbhandari et al., arXiv:1910.02054, figure 1: 7.5 billion parameters, 64 devices, 12 bytes of optimizer's states.
#[test]
fn zero_shards_what_is_published() {
    let llama = model(LLAMA);
    let parameters = 74_560_u128;
    let held = |zero| {
        let plan = Parallelism { data: 64, zero, ..Parallelism::NONE };
        let step = step(64);
        let split = llama.split_step(&plan, &step, &Convention::MODEL).expect("a plan that can be");
        let ranks = split.ranks(&step, 1).expect("ranks");
        assert_eq!(ranks[0].count, 64);
        let memory = ranks[0].memory;
        (memory.weights + memory.gradients + memory.optimizer, sum_of(&ranks[0]))
    };
    // 2Ψ + 2Ψ + 12Ψ and their 64ths; what is sent is 63/64 of 2Ψ elements, with weights as well 3Ψ.
    let sent = |elements: u128| 2 * elements * parameters * 63 / 64;
    assert_eq!(held(0), (16 * parameters, sent(2)));
    assert_eq!(held(1), (4 * parameters + 12 * parameters / 64, sent(2)));
    assert_eq!(held(2), (2 * parameters + 14 * parameters / 64, sent(2)));
    assert_eq!(held(3), (16 * parameters / 64, sent(3)));
}

#[test]
fn experts_have_replicas_of_their_own() {
    let mixtral = model(MIXTRAL);
    let plan = Parallelism { data: 8, expert: 4, zero: 1, ..Parallelism::NONE };
    let split = mixtral.split_step(&plan, &step(8), &Convention::MODEL).expect("a plan");
    let memory = split.ranks(&step(8), 1).expect("ranks")[0].memory;
    // Two experts of 6144 in each layer, on two ranks each; the rest on all eight.
    let (dense, experts) = (2 * (12_288 + 512 + 128) + 2 * 6400 + 64_u128, 2 * 2 * 6144);
    assert_eq!(memory.weights, 2 * (dense + experts));
    assert_eq!(memory.optimizer, 12 * dense / 8 + 12 * experts / 2);
}

#[test]
fn ranks_of_a_step_sum_to_it() {
    let llama = builtin("meta-llama/Llama-3.1-8B");
    let step = Step::new(4096, 32).expect("a step").recomputing(Recompute::Full);
    let whole =
        llama.training(&step, &Convention::MODEL).expect("a model").flops(&step).expect("FLOPs");
    let plan = Parallelism { data: 4, tensor: 4, pipeline: 2, sequence: true, ..Parallelism::NONE };
    let split = llama.split_step(&plan, &step, &Convention::MODEL).expect("a plan that can be");
    let ranks = split.ranks(&step, 8).expect("ranks");
    let all = |of: fn(&StepRank<'_>) -> u128| -> u128 {
        ranks.iter().map(|rank| u128::from(rank.count) * of(rank)).sum()
    };
    // 128,256 is padded to 128,512, a multiple of 128·4: the head's 256 rows more, three times a token.
    let padding = 3 * 2 * 4096 * 256 * 4096 * 32;
    assert_eq!(all(|rank| rank.flops.total), whole.total + padding);
    assert_eq!(all(|rank| rank.flops.executed), whole.executed + padding);
    assert_eq!(split.bubble(8), 1.0 / 8.0);
    // Of 8 micro-batches of one row two are under way on the first stage: 16 layers' inputs, 4096 of 4096, each.
    let [first, last] = &ranks[..] else { panic!("{} kinds", ranks.len()) };
    assert_eq!(first.memory.activations, Some(2 * 16 * 2 * 4096 * 4096 / 4));
    // On the last one; with it a norm's input, the head's, and a fourth of the logits.
    let outside = 4096 * (4 * 4096 / 4 + 4 * 128_512 / 4);
    assert_eq!(last.memory.activations, Some(16 * 2 * 4096 * 4096 / 4 + outside));
}

#[test]
fn a_batch_of_a_step_is_as_large_as_its_activations_let_it_be() {
    let llama = model(LLAMA);
    let plan = Parallelism { data: 2, ..Parallelism::NONE };
    let step = step(4);
    let split = llama.split_step(&plan, &step, &Convention::MODEL).expect("a plan that can be");
    let memory = split.ranks(&step, 1).expect("ranks")[0].memory;
    let row = memory.activations.expect("known") / 2;
    let held = memory.total().expect("known") - 2 * row;
    let largest = |memory| split.largest_batch(&step, 1, memory);
    assert_eq!(largest(held + 3 * row), Ok(Some(6)));
    assert_eq!(largest(held + 3 * row - 1), Ok(Some(4)));
    assert_eq!(largest(held - 1), Ok(Some(0)));
}

#[test]
fn what_a_step_cannot_be_cut_by_is_said() {
    let llama = model(LLAMA);
    let refused = |plan: Parallelism, step: &Step| {
        llama.split_step(&plan, step, &Convention::MODEL).expect_err("no plan").to_string()
    };
    let zero = |zero| Parallelism { zero, ..Parallelism::NONE };
    assert_eq!(refused(zero(4), &step(1)), "zero: is 4; stages are 0 to 3");
    assert!(
        llama
            .split(&zero(1))
            .expect_err("no training")
            .to_string()
            .starts_with("zero: is of training")
    );
    // 128·2 rows for 100: a rank's share is more than the whole.
    let padded = llama.split_step(&TENSOR(2), &step(1), &Convention::MODEL).expect("a plan");
    assert_eq!(padded.split().vocabulary_padding(), 156);
    let split = llama.split_step(&zero(0), &step(6), &Convention::MODEL).expect("a plan");
    let error = split.ranks(&step(6), 4).expect_err("six by four").to_string();
    let said =
        "micro-batches: 6 rows of a replica cannot be shared evenly by 4; the nearest are 3 and 6";
    assert_eq!(error, said);
}

fn sum_of(rank: &StepRank<'_>) -> u128 {
    rank.transfers.iter().map(|it| it.sent[0]).sum()
}
