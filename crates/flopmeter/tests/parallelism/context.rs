//! Tokens of a sequence shared out among ranks.

use super::{LLAMA, builtin, model, sent, sent_in_step, split};
use flopmeter::op::Op;
use flopmeter::{
    Builtin, Collective, Component, Convention, Model, Parallelism, Phase, Rank, Recompute, Split,
    Step, TrainingFlops, Workload,
};

const CONTEXT: fn(u64) -> Parallelism = |context| Parallelism { context, ..Parallelism::NONE };

/// The llama whose tokens see 4 at most.
const WINDOWED: &str = r#"{"model_type": "mistral", "hidden_size": 64, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "intermediate_size": 96,
    "vocab_size": 100, "sliding_window": 4, "torch_dtype": "bfloat16"}"#;

/// 12 tokens in pieces of 3: the first rank has 0–2 and 9–11, which see 1 + 2 + 3 + 10 + 11 + 12 = 39, and the second
/// 3–8, which see 4 + … + 9 = 39. Three are generated, of 13 and 14 positions in sight.
#[test]
fn two_ranks_share_a_prompt() {
    let llama = model(LLAMA);
    let split = split(&llama, &CONTEXT(2));
    let request = Workload::request(12, 3);
    let ranks = split.ranks(&request, &Convention::MODEL).expect("ranks");
    let [rank] = &ranks[..] else { panic!("{} kinds", ranks.len()) };
    assert_eq!((rank.name, rank.count, rank.context), ("every rank", 2, None));
    assert_eq!(rank.flops.prefill.total(), Some(6 * 122_880 + 39 * 512 + 12_800));
    let decode = 2 * (122_880 + 12_800) + (13 + 14) * 512;
    assert_eq!(rank.flops.decode.total(), Some(decode));
    // Both compute what is generated, and the head that samples the first token.
    let whole = llama.flops(&request, &Convention::MODEL).expect("FLOPs").total;
    assert_eq!(2 * rank.flops.total, whole + decode + 12_800);
    // 256 bytes of keys and values a token: all of them are cached, 12 and 2.
    let bytes = rank.bytes;
    assert_eq!((bytes.kv_cache, bytes.prefill.written), (14 * 256, 12 * 256));
    // All weights but the table, 6 rows of it, and what the pieces see: 3 and 12 positions.
    let weights = 2 * (2 * (12_288 + 18_432 + 128) + 64 + 6400);
    assert_eq!(bytes.prefill.read, weights + 6 * 128 + 15 * 256);
    assert_eq!(bytes.decode, llama.bytes(&request).expect("bytes").decode);
    // Each has half of the keys and values, and of the hidden states, and sends it to the other.
    assert_eq!(sent(rank, Collective::AllGather, "keys and values"), [12 * 256 / 2, 0]);
    assert_eq!(sent(rank, Collective::AllGather, "hidden states before the head"), [12 * 64, 0]);
    assert_eq!(rank.transfers.len(), 2);
}

/// Behind a cached prefix of 8 tokens every one of 12 sees 8 more: 39 + 6·8 each.
#[test]
fn what_is_cached_is_seen_by_both() {
    let split = split(&model(LLAMA), &CONTEXT(2));
    let sequence = flopmeter::Sequence { cached: 8, ..flopmeter::Sequence::new(20, 1) };
    let request = Workload::batch(vec![sequence]).expect("a batch");
    let ranks = split.ranks(&request, &Convention::MODEL).expect("ranks");
    assert_eq!((ranks.len(), ranks[0].count), (1, 2));
    assert_eq!(ranks[0].flops.total, 6 * 122_880 + (39 + 48) * 512 + 12_800);
}

/// Tokens see 1, 2, 3 and then 4: the first rank's 6 + 12, the second's 24.
#[test]
fn ranks_of_a_window_are_unlike() {
    let windowed = model(WINDOWED);
    let split = split(&windowed, &CONTEXT(2));
    let ranks = split.ranks(&Workload::request(12, 1), &Convention::MODEL).expect("ranks");
    let kinds: Vec<_> = ranks.iter().map(|rank| (rank.context, rank.count)).collect();
    assert_eq!(kinds, [(Some([1, 1]), 1), (Some([2, 2]), 1)]);
    let token = 6 * 122_880 + 12_800;
    assert_eq!(ranks[0].flops.total, token + 18 * 512);
    assert_eq!(ranks[1].flops.total, token + 24 * 512);
    // Of 24 tokens in pieces of 3 among 4 ranks only the first piece's windows are not full.
    let split = windowed.split(&CONTEXT(4)).expect("a plan that can be");
    let ranks = split.ranks(&Workload::request(24, 1), &Convention::MODEL).expect("ranks");
    let kinds: Vec<_> = ranks.iter().map(|rank| (rank.context, rank.count)).collect();
    assert_eq!(kinds, [(Some([1, 1]), 1), (Some([2, 4]), 3)]);
}

/// A step's rows of 32 tokens, two of them, among four ranks.
#[test]
fn ranks_of_a_step_share_its_rows() {
    let llama = model(LLAMA);
    let step = Step::new(32, 2).expect("a step");
    let whole = llama.training(&step, &Convention::MODEL).expect("a model").flops(&step);
    let whole = whole.expect("FLOPs");
    let plan = CONTEXT(4);
    let split = llama.split_step(&plan, &step, &Convention::MODEL).expect("a plan that can be");
    let ranks = split.ranks(&step, 1).expect("ranks");
    let rank = &ranks[0];
    assert_eq!((ranks.len(), rank.count, plan.devices()), (1, 4, Some(4)));
    assert_eq!((4 * rank.flops.total, 4 * rank.flops.executed), (whole.total, whole.executed));
    // Keys and values of 64 tokens, 256 bytes each, of which a rank sends 3/4 forward and again backward; and their
    // gradients once.
    let sent = |collective, of| sent_in_step(rank, collective, of);
    assert_eq!(sent(Collective::AllGather, "keys and values"), 2 * 64 * 256 * 3 / 4);
    assert_eq!(sent(Collective::ReduceScatter, "gradients of keys and values"), 64 * 256 * 3 / 4);
    // They are replicas to the gradients of 74,560 parameters.
    assert_eq!(sent(Collective::AllReduce, "gradients"), 2 * 2 * 74_560 * 3 / 4);
    // A fourth of what one device keeps.
    let kept = |plan: &Parallelism| {
        let split = llama.split_step(plan, &step, &Convention::MODEL).expect("a plan that can be");
        split.ranks(&step, 1).expect("ranks")[0].memory.activations.expect("all ops are known")
    };
    assert_eq!(4 * kept(&plan), kept(&Parallelism::NONE));
    // Attention that is computed again gathers them once more.
    for recompute in [Recompute::Selective, Recompute::Full] {
        let step = step.clone().recomputing(recompute);
        let split = llama.split_step(&plan, &step, &Convention::MODEL).expect("a plan that can be");
        let ranks = split.ranks(&step, 1).expect("ranks");
        let gathered = sent_in_step(&ranks[0], Collective::AllGather, "keys and values");
        assert_eq!(gathered, 3 * 64 * 256 * 3 / 4);
    }
}

#[test]
fn weights_are_sharded_over_ranks_that_share_a_sequence_too() {
    let llama = model(LLAMA);
    let plan = Parallelism { data: 2, zero: 3, ..CONTEXT(4) };
    let step = Step::new(32, 2).expect("a step");
    let split = llama.split_step(&plan, &step, &Convention::MODEL).expect("a plan that can be");
    let memory = split.ranks(&step, 1).expect("ranks")[0].memory;
    assert_eq!(memory.weights + memory.gradients + memory.optimizer, 16 * 74_560 / 8);
}

/// 4 heads and 2 KV heads of 16 + 16 each: queries, keys, values and results are (4 + 2)·32 = 192 elements of a token and
/// layer, there and back. Of 2·32 tokens a rank has half, and of their heads it sends half.
#[test]
fn heads_of_windows_go_to_the_ranks_instead_of_keys() {
    let windowed = model(WINDOWED);
    let step = Step::new(32, 2).expect("a step");
    let split = windowed.split_step(&CONTEXT(2), &step, &Convention::MODEL).expect("a plan");
    let ranks = split.ranks(&step, 1).expect("ranks");
    let of = "heads of attention to windows";
    let elements = 2 * 2 * 192 * 32 / 2;
    assert_eq!(sent_in_step(&ranks[0], Collective::AllToAll, of), 2 * elements);
    let whole = windowed.training(&step, &Convention::MODEL).expect("a model").flops(&step);
    assert_eq!(2 * ranks[0].flops.total, whole.expect("FLOPs").total);
    let error = windowed.split_step(&CONTEXT(4), &step, &Convention::MODEL).expect_err("too many");
    assert_eq!(
        error.to_string(),
        "context: 2 KV heads of a tensor rank cannot be shared evenly by 4; the nearest is 2"
    );
}

/// Llama Team, arXiv:2407.21783, table 4: the three settings of the 405B model's training, 16 million tokens a batch.
#[test]
fn the_four_dimensions_of_llama_3() {
    let llama = builtin("meta-llama/Llama-3.1-405B");
    let mut stages = vec![8; 16];
    (stages[0], stages[15]) = (7, 7);
    for (devices, context, data, length, rows) in
        [(8192, 1, 64, 8192, 32), (16_384, 1, 128, 8192, 16), (16_384, 16, 8, 131_072, 16)]
    {
        let plan = Parallelism { data, context, tensor: 8, pipeline: 16, ..Parallelism::NONE };
        assert_eq!(plan.devices(), Some(devices));
        let step = Step::new(length, data * rows).expect("a step");
        assert_eq!(step.tokens(), Some(1 << 24));
        let split = llama
            .split_step_staged(&plan, &stages, &step, &Convention::MODEL)
            .expect("a plan that can be");
        let ranks = split.ranks(&step, rows).expect("ranks");
        assert_eq!(ranks.iter().map(|rank| rank.count).sum::<u64>(), devices);
        let whole = llama.training(&step, &Convention::MODEL).expect("a model").flops(&step);
        let all: u128 = ranks.iter().map(|rank| u128::from(rank.count) * rank.flops.total).sum();
        // 128,256 rows of the head are padded to 126·1024 = 129,024, three times for each token.
        let padding = (3 * 2 * 16_384 * (129_024 - 128_256)) << 24;
        assert_eq!(all, whole.expect("FLOPs").total + padding);
    }
}

#[test]
fn what_cannot_be_shared_is_said() {
    let llama = model(LLAMA);
    let of_request = |split: &Split, request: &Workload| {
        split.ranks(request, &Convention::MODEL).expect_err("no plan").to_string()
    };
    let two = split(&llama, &CONTEXT(2));
    assert_eq!(
        of_request(&two, &Workload::request(10, 1)),
        "context: 10 tokens cannot be cut into 2·2 equal pieces; the nearest are 1 and 5; 12 tokens can"
    );
    let anew = Workload::request(12, 2).without_kv_cache().expect("nothing is cached");
    assert_eq!(of_request(&two, &anew), "context: is not known here without a KV cache");
    let by_torch = two.ranks(&Workload::request(12, 1), &Convention::TORCH).expect_err("no ranks");
    assert_eq!(
        by_torch.to_string(),
        "`torch`: knows no ranks that share a sequence; `model` counts them"
    );
    let refused = |name: &str| builtin(name).split(&CONTEXT(2)).expect_err("no plan").to_string();
    assert!(refused("google/flan-t5-xl").contains("an encoder before the decoder"));
    assert!(refused("tiiuae/falcon-mamba-7b").starts_with("context: is not known here for `mixer"));
    let split = llama.split(&CONTEXT(1025)).expect_err("too many").to_string();
    assert_eq!(split, "context: is 1025; a size is 1 at least and 1024 at most");
    // Documents of a row are each cut.
    let packed = Step::packed(&[24, 6], 1).expect("a step");
    let of_step = llama.split_step(&CONTEXT(2), &packed, &Convention::MODEL).expect("a plan");
    let said = of_step.ranks(&packed, 1).expect_err("6 by 4").to_string();
    assert_eq!(
        said,
        "context: 6 tokens cannot be cut into 2·2 equal pieces; the nearest are 1 and 3; 8 tokens can"
    );
    let rollout = Step::new(32, 1).and_then(|step| step.with_rollout(16, 16)).expect("a step");
    let said = llama.split_step(&CONTEXT(2), &rollout, &Convention::MODEL).expect_err("no plan");
    assert!(said.to_string().contains("answers that are generated first"));
}

/// 2 KV heads on 8 ranks of 8 query heads: each is on four, and two or four of these share its tokens.
const GROUPED: &str = r#"{"model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2,
    "num_attention_heads": 8, "num_key_value_heads": 2, "head_dim": 16, "intermediate_size": 96,
    "vocab_size": 128, "torch_dtype": "bfloat16"}"#;

#[test]
fn what_is_kept_more_than_once_is_shared_by_tokens() {
    let grouped = model(GROUPED);
    let tensor = Parallelism { tensor: 8, ..Parallelism::NONE };
    let decoding = Parallelism { decode_context: 4, ..tensor };
    assert_eq!(decoding.devices(), Some(8));
    let sequence = flopmeter::Sequence { cached: 6, ..flopmeter::Sequence::new(10, 3) };
    let request = Workload::batch(vec![sequence]).expect("a batch");
    let [alone, shared] = [split(&grouped, &tensor), split(&grouped, &decoding)];
    let ranks = |split: &Split| {
        let ranks = split.ranks(&request, &Convention::MODEL).expect("ranks");
        (ranks[0].flops, ranks[0].bytes, ranks[0].transfers.clone())
    };
    let ((flops, bytes, sent), (same, less, more)) = (ranks(&alone), ranks(&shared));
    assert_eq!(flops, same);
    // A token's key and value of a head of 16 in two layers, 128 bytes: 12 of them, of which a rank keeps a fourth.
    assert_eq!((bytes.kv_cache, less.kv_cache), (12 * 128, 12 * 32));
    assert_eq!(less.prefill.read, bytes.prefill.read);
    assert_eq!((bytes.prefill.written, less.prefill.written), (4 * 128, 4 * 32));
    // Two decoded tokens see 11 and 12.
    assert_eq!(bytes.decode.read - less.decode.read, (11 + 12) * (128 - 32));
    let new: Vec<_> = more.iter().filter(|it| !sent.contains(it)).collect();
    let kinds: Vec<_> = new.iter().map(|it| (it.of, it.ranks, it.sent)).collect();
    // Six cached tokens, of which each has a fourth. Of two tokens and layers: queries of a head from each of four, 32
    // bytes; 4 sums of 4 bytes from each; results of 4 heads of 32 bytes. Three fourths of each are sent.
    assert_eq!(
        kinds,
        [
            ("cached keys and values", 4, [6 * 128 * 3 / 4, 0]),
            ("queries", 4, [0, 2 * 2 * 4 * 32 * 3 / 4]),
            ("sums of exponentials", 4, [0, 2 * 2 * 16 * 4 * 3 / 4]),
            ("results of attention", 4, [0, 2 * 2 * 4 * 32 * 3 / 4]),
        ]
    );
}

/// vLLM's docs/serving/context_parallel_deployment.md: DeepSeek-R1 on 8 ranks keeps 8 copies, Kimi-K2 on 16 ranks 16, or 2 with
/// 8 that share; Qwen3-235B-A22B, of 4 KV heads, 2 on 8 ranks.
#[test]
fn the_copies_of_vllms_guide() {
    let kept = |name: &str, tensor, decode_context| {
        let plan = Parallelism { tensor, decode_context, ..Parallelism::NONE };
        let split = builtin(name).split(&plan).expect("a plan that can be");
        let ranks = split.ranks(&Workload::request(1024, 1), &Convention::MODEL).expect("ranks");
        (u128::from(tensor) * ranks[0].bytes.kv_cache)
            / builtin(name).bytes(&Workload::request(1024, 1)).expect("bytes").kv_cache
    };
    for (name, tensor, decode_context, copies) in [
        ("deepseek-ai/DeepSeek-R1", 8, 1, 8),
        ("deepseek-ai/DeepSeek-R1", 8, 8, 1),
        ("moonshotai/Kimi-K2-Instruct", 16, 1, 16),
        ("moonshotai/Kimi-K2-Instruct", 16, 16, 1),
        ("moonshotai/Kimi-K2-Instruct", 16, 8, 2),
        ("Qwen/Qwen3-235B-A22B", 8, 1, 2),
        ("Qwen/Qwen3-235B-A22B", 8, 2, 1),
    ] {
        assert_eq!(kept(name, tensor, decode_context), copies, "{name} {decode_context}");
    }
}

#[test]
fn caches_that_cannot_be_shared_by_tokens_are_said() {
    let refused = |name: &str, tensor, decode_context| {
        let plan = Parallelism { tensor, decode_context, ..Parallelism::NONE };
        builtin(name).split(&plan).expect_err("no plan").to_string()
    };
    assert_eq!(
        refused("meta-llama/Llama-3.1-8B", 8, 2),
        "decode context: is 2, and a KV head is on one tensor rank alone; the nearest is 1"
    );
    assert_eq!(
        refused("Qwen/Qwen3-235B-A22B", 16, 8),
        "decode context: is 8, and a KV head is on 4 tensor ranks; the nearest is 4"
    );
    assert_eq!(
        refused("meta-llama/Llama-3.1-8B", 8, 3),
        "decode context: 8 tensor ranks cannot be shared evenly by 3; the nearest are 2 and 4"
    );
    assert!(
        refused("google/gemma-3-27b-it", 16, 2).starts_with("decode context: is not known here")
    );
    let plan = Parallelism { tensor: 8, decode_context: 2, ..Parallelism::NONE };
    let step = Step::new(32, 8).expect("a step");
    let error = model(GROUPED).split_step(&plan, &step, &Convention::MODEL).expect_err("no plan");
    assert_eq!(error.to_string(), "decode context: is of requests");
}

/// Over every built-in model: ranks that share a prompt sum to it, and each samples and generates.
#[test]
fn ranks_that_share_a_prompt_sum_to_it() {
    let request = Workload::request(96, 5);
    let mut cut = 0;
    for row in Builtin::all() {
        let whole = row.model().expect("a model");
        let Ok(flops) = whole.flops(&request, &Convention::MODEL) else { continue };
        for (context, pipeline) in [(2, 1), (3, 2), (8, 1)] {
            let plan = Parallelism { pipeline, ..CONTEXT(context) };
            let Ok(split) = whole.split(&plan) else { continue };
            cut += 1;
            let ranks = split.ranks(&request, &Convention::MODEL).expect("ranks");
            assert_eq!(
                Some(ranks.iter().map(|rank| rank.count).sum()),
                plan.devices(),
                "{}: {plan:?}",
                row.id
            );
            let latent = has_latents(&whole);
            for component in Component::ALL {
                let sum = |phase: Phase| -> u128 {
                    let of = |rank: &Rank<'_>| rank.flops.phase(phase)[component];
                    ranks.iter().map(|rank| u128::from(rank.count) * of(rank)).sum()
                };
                let prefill = sum(Phase::Prefill);
                let times = u128::from(context);
                let name = row.id;
                let decode = times * flops.decode[component];
                assert_eq!(sum(Phase::Decode), decode, "{name}");
                match component {
                    Component::Head => {
                        assert_eq!(prefill, times * flops.prefill[component], "{name}");
                    }
                    // A part of these runs for sampled tokens alone.
                    Component::EmbeddingProjections => {
                        let once = flops.prefill[component];
                        assert!(prefill >= once && prefill <= times * once, "{name}");
                    }
                    // Each rank expands what it sees, in the form that is the cheaper one for its pieces.
                    Component::AttentionProjections
                    | Component::AttentionScores
                    | Component::AttentionValues
                        if latent =>
                    {
                        assert!(prefill >= flops.prefill[component] / 4, "{name} {component:?}");
                    }
                    _ => assert_eq!(prefill, flops.prefill[component], "{name} {component:?}"),
                }
            }
        }
    }
    assert!(cut > 800, "{cut} plans");
}

fn has_latents(model: &Model) -> bool {
    model.ops().any(|(op, _)| matches!(op, Op::Latent(_)))
}

/// The same of a step, to the integer, component by component.
#[test]
fn ranks_that_share_the_rows_of_a_step_sum_to_it() {
    let step = Step::packed(&[96, 192], 4).expect("a step").recomputing(Recompute::Selective);
    let mut cut = 0;
    for row in Builtin::all() {
        let whole = row.model().expect("a model");
        let Ok(training) = whole.training(&step, &Convention::MODEL) else { continue };
        let Ok(flops) = training.flops(&step) else { continue };
        for (context, pipeline, data) in [(2, 1, 2), (3, 4, 1), (8, 1, 4)] {
            let plan = Parallelism { pipeline, data, ..CONTEXT(context) };
            let Ok(split) = whole.split_step(&plan, &step, &Convention::MODEL) else { continue };
            cut += 1;
            let ranks = split.ranks(&step, 1).expect("ranks");
            for component in Component::ALL {
                let of = |flops: &TrainingFlops| flops.components()[component];
                let all: u128 =
                    ranks.iter().map(|rank| u128::from(rank.count) * of(&rank.flops)).sum();
                assert_eq!(all, of(&flops), "{} {component:?} {plan:?}", row.id);
            }
        }
    }
    assert!(cut > 800, "{cut} plans");
}

/// Each of four has half of the heads, of the widths and of a vocabulary of 128, for half of the prompt.
#[test]
fn tensor_ranks_share_their_pieces() {
    let plan = Parallelism { tensor: 2, ..CONTEXT(2) };
    let split = split(&model(LLAMA), &plan);
    let ranks = split.ranks(&Workload::request(12, 1), &Convention::MODEL).expect("ranks");
    assert_eq!((ranks.len(), ranks[0].count), (1, 4));
    assert_eq!(ranks[0].flops.total, 6 * 61_440 + 39 * 256 + 8192);
    // What the tensor ranks add up are 6 tokens of 128 bytes, in two layers.
    assert_eq!(sent(&ranks[0], Collective::AllReduce, "attention"), [6 * 256, 0]);
    assert_eq!(sent(&ranks[0], Collective::AllGather, "keys and values"), [12 * 128 / 2, 0]);
}
