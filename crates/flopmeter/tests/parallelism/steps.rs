//! Steps of training: what ranks compute, hold and send.

use super::{LLAMA, MIXTRAL, TENSOR, builtin, model, sent_in_step};
use flopmeter::{Collective, Convention, Parallelism, Recompute, Step, StepRank};

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

/// DeepSeek-V3's report (arXiv:2412.19437), section 3.2: 2,048 devices, 16 stages, experts over 64 ranks, ZeRO-1.
#[test]
fn deepseek_v3_is_trained_as_published() {
    let v3 = builtin("deepseek-ai/DeepSeek-V3");
    let plan = Parallelism { data: 128, pipeline: 16, expert: 64, zero: 1, ..Parallelism::NONE };
    assert_eq!(plan.devices(), Some(2048));
    let step = Step::new(4096, 15_360).expect("a step");
    let split = v3.split_step(&plan, &step, &Convention::MODEL).expect("a plan that can be");
    let ranks = split.ranks(&step, 120).expect("ranks");
    assert_eq!(ranks.iter().map(|rank| rank.count).sum::<u64>(), 2048);
    let middle = ranks.iter().find(|rank| rank.name == "stages 3–15 of 16, 4 layers each");
    // Attention and two norms, the router and the shared expert, over all replicas; of 256 experts of 3·7168·2048 four
    // are on two ranks each.
    let expert = 3 * 7168 * 2048_u128;
    let dense = 187_107_328 + 2 * 7168 + 7168 * 256 + expert;
    let optimizer = 12 * 4 * dense / 128 + 12 * 4 * 4 * expert / 2;
    assert_eq!(middle.expect("they are alike").memory.optimizer, optimizer);
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

/// DeepSeek-V3's layer that predicts a further token, 11,610,067,968 parameters, stands on the last stage, with a copy of
/// 129,280 rows of 7168.
#[test]
fn layers_that_predict_further_are_on_the_last_stage() {
    let v3 = builtin("deepseek-ai/DeepSeek-V3");
    let plan = Parallelism { pipeline: 3, ..Parallelism::NONE };
    let alone = Step::new(4096, 2).expect("a step");
    let further = alone.clone().predicting_further();
    let of = |step: &Step| {
        let split = v3.split_step(&plan, step, &Convention::MODEL).expect("a plan that can be");
        let ranks = split.ranks(step, 1).expect("ranks");
        let kinds =
            ranks.iter().map(|rank| (rank.flops.total, rank.memory, rank.transfers.clone()));
        kinds.collect::<Vec<_>>()
    };
    let (with, without) = (of(&further), of(&alone));
    let whole = v3.training(&further, &Convention::MODEL).expect("a model").flops(&further);
    let all: u128 = with.iter().map(|(flops, ..)| flops).sum();
    assert_eq!(all, whole.expect("FLOPs").total);
    assert_eq!((with[0].0, with[1].0), (without[0].0, without[1].0));
    let table = 129_280 * 7168;
    let more = with[2].1.optimizer - without[2].1.optimizer;
    assert_eq!(more, 12 * (11_610_067_968 + table));
    // Its gradient is added up with the first stage's: two ranks, 2 bytes a parameter.
    let sent = |of: &[flopmeter::Transfer]| -> Option<u128> {
        of.iter().find(|it| it.of == "gradients of the tied table").map(|it| it.sent[0])
    };
    let shared: Vec<_> = with.iter().map(|(.., transfers)| sent(transfers)).collect();
    assert_eq!(shared, [Some(2 * table), None, Some(2 * table)]);
    assert!(without.iter().all(|(.., transfers)| sent(transfers).is_none()));
}

#[test]
fn the_gradient_of_a_tied_table_is_added_up_over_the_ends() {
    let gpt2 = builtin("gpt2");
    let step = Step::new(1024, 2).expect("a step");
    let sent = |pipeline| {
        let plan = Parallelism { pipeline, ..Parallelism::NONE };
        let split = gpt2.split_step(&plan, &step, &Convention::MODEL).expect("a plan");
        let ranks = split.ranks(&step, 1).expect("ranks");
        let of = |rank: &StepRank<'_>| {
            let tied = |it: &&flopmeter::Transfer| it.of == "gradients of the tied table";
            rank.transfers.iter().find(tied).map(|it| it.sent[0])
        };
        ranks.iter().map(of).collect::<Vec<_>>()
    };
    let table = 50_257 * 768;
    assert_eq!(sent(1), [None]);
    assert_eq!(sent(3), [Some(2 * table), None, Some(2 * table)]);
}

/// 32 bits each of the largest logit, the sum of exponentials and the token's own, of 64 tokens among two ranks; a ring of
/// two sends them once.
#[test]
fn the_loss_is_summed_over_a_vocabulary_that_is_cut() {
    let split = model(LLAMA).split_step(&TENSOR(2), &step(2), &Convention::MODEL).expect("a plan");
    let ranks = split.ranks(&step(2), 1).expect("ranks");
    assert_eq!(sent_in_step(&ranks[0], Collective::AllReduce, "sums of the loss"), 64 * 12);
}

/// One of two layers is computed again: three passes of it and two of the other.
#[test]
fn layers_that_are_computed_again_exchange_once_more() {
    let step = step(2).recomputing(Recompute::Layers(1));
    let split = model(LLAMA).split_step(&TENSOR(2), &step, &Convention::MODEL).expect("a plan");
    let ranks = split.ranks(&step, 1).expect("ranks");
    // 64 tokens of 128 bytes.
    let sent = sent_in_step(&ranks[0], Collective::AllReduce, "attention");
    assert_eq!(sent, (3 + 2) * 64 * 128);
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
