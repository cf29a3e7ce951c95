//! What ranks do: by hand on small models, and by laws on those that are built in.

use flopmeter::{
    Builtin, Collective, Component, Config, Convention, Model, Parallelism, Rank, Recompute, Split,
    Step, StepRank, Workload,
};

/// 2 layers, 4 heads of 16 that share 2 KV heads, a gated feed-forward layer of 96, a vocabulary of 100 with a head of
/// its own.
///
/// ```text
/// a layer   q, o 2·64·64 + k, v 2·64·32 = 12,288 · gate, up, down 3·64·96 = 18,432 · norms 2·64 = 128
/// a token   2·2·(12,288 + 18,432) = 122,880 FLOPs; a pair 2·(2·4·16 + 2·4·16) = 512; a head 2·64·100 = 12,800
/// ```
const LLAMA: &str = r#"{"model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 96, "vocab_size": 100,
    "torch_dtype": "bfloat16"}"#;

/// The same with 8 experts of 32 in each layer, of which a token is routed to 2.
const MIXTRAL: &str = r#"{"model_type": "mixtral", "hidden_size": 64, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 32, "vocab_size": 100,
    "num_local_experts": 8, "num_experts_per_tok": 2, "sliding_window": null,
    "torch_dtype": "bfloat16"}"#;

fn model(text: &str) -> Model {
    Config::parse(text).and_then(|config| Model::from_config(&config)).expect("a model")
}

fn builtin(name: &str) -> Model {
    Builtin::find(name).and_then(Builtin::model).expect("a built-in model")
}

fn split(model: &Model, plan: &Parallelism) -> Split {
    model.split(plan).expect("a plan that can be")
}

#[track_caller]
fn refused(model: &Model, plan: &Parallelism) -> String {
    model.split(plan).expect_err("a plan that cannot be").to_string()
}

/// 10 tokens and 3 that are generated: 55 pairs, then 11 and 12.
fn ranks<'s>(split: &'s Split, batch: u64) -> Vec<Rank<'s>> {
    let sequence = flopmeter::Sequence { count: batch, ..flopmeter::Sequence::new(10, 3) };
    let workload = Workload::batch(vec![sequence]).expect("a batch");
    split.ranks(&workload, &Convention::MODEL).expect("ranks")
}

/// What a rank sends by a collective for a reason, in each phase.
fn sent(rank: &Rank<'_>, collective: Collective, of: &str) -> [u128; 2] {
    let of_it = |it: &&flopmeter::Transfer| (it.collective, it.of) == (collective, of);
    rank.transfers.iter().find(of_it).unwrap_or_else(|| panic!("{:?}", rank.transfers)).sent
}

const TENSOR: fn(u64) -> Parallelism = |tensor| Parallelism { tensor, ..Parallelism::NONE };

#[test]
fn two_tensor_ranks_have_half_each() {
    let llama = model(LLAMA);
    let split = split(&llama, &TENSOR(2));
    let ranks = ranks(&split, 1);
    assert_eq!((ranks.len(), ranks[0].count, ranks[0].name), (1, 2, "every rank"));
    // The vocabulary is padded to 128, of which a rank has 64: 2·64·64 = 8192 for a sample.
    let rank = &ranks[0];
    assert_eq!(split.vocabulary_padding(), 28);
    assert_eq!(rank.flops.prefill.total(), Some(10 * 61_440 + 55 * 256 + 8192));
    assert_eq!(rank.flops.decode.total(), Some(2 * (61_440 + 8192) + (11 + 12) * 256));
    // Halves, but for the norms; table and head 64·64 each.
    let parameters = 2 * (6144 + 9216 + 128) + 2 * 4096 + 64;
    assert_eq!(rank.model.parameters().total, parameters);
    assert_eq!(rank.bytes.weights, 2 * parameters);
    // A key and a value of one head of 16, in two layers.
    assert_eq!(rank.bytes.kv_cache_per_token, 2 * 2 * 16 * 2);
    // A ring of two: each sends what it has once. 64 elements a token and layer, in bf16.
    assert_eq!(sent(rank, Collective::AllReduce, "attention"), [10 * 256, 2 * 256]);
    assert_eq!(sent(rank, Collective::AllReduce, "feed-forward layers"), [10 * 256, 2 * 256]);
    assert_eq!(sent(rank, Collective::AllReduce, "embedding"), [10 * 128, 2 * 128]);
    assert_eq!(sent(rank, Collective::AllGather, "logits"), [128, 2 * 128]);
    assert_eq!(rank.transfers.len(), 4);
}

#[test]
fn tokens_that_are_shared_out_as_well_are_scattered_and_gathered() {
    let llama = model(LLAMA);
    let split = split(&llama, &Parallelism { sequence: true, ..TENSOR(4) });
    let ranks = ranks(&split, 1);
    // 3/4 of 2·128 bytes a token by each; together what an all-reduce sends.
    for collective in [Collective::ReduceScatter, Collective::AllGather] {
        assert_eq!(sent(&ranks[0], collective, "attention"), [10 * 192, 2 * 192]);
    }
}

#[test]
fn kv_heads_are_repeated_where_there_are_too_few() {
    let llama = model(LLAMA);
    let split = split(&llama, &TENSOR(4));
    let ranks = ranks(&split, 1);
    let rank = &ranks[0];
    // Of q and o a fourth; of k and v one head of two, a half.
    let token = 2 * 2 * (2 * 64 * 16 + 2 * 64 * 16 + 3 * 64 * 24);
    assert_eq!(rank.flops.prefill.total(), Some(10 * token + 55 * 128 + 2 * 64 * 32));
    assert_eq!(rank.bytes.kv_cache_per_token, 2 * 2 * 16 * 2);
    assert_eq!(split.replicated().collect::<Vec<_>>(), ["self_attn.k_proj", "self_attn.v_proj"]);
    // All ranks together: the whole, k and v once more, 28 rows of padding.
    let whole = llama.flops(&Workload::request(10, 3), &Convention::MODEL).expect("FLOPs").total;
    let again = 12 * 2 * 2 * (2 * 64 * 32) + 3 * 2 * 64 * 28;
    assert_eq!(4 * rank.flops.total, whole + again);
}

#[test]
fn stages_have_their_layers_and_what_stands_at_the_ends() {
    let llama = model(LLAMA);
    let split = split(&llama, &Parallelism { pipeline: 2, ..Parallelism::NONE });
    let ranks = ranks(&split, 1);
    let names: Vec<&str> = ranks.iter().map(|rank| rank.name).collect();
    assert_eq!(names, ["stage 1 of 2, layer 0", "stage 2 of 2, layer 1"]);
    let layer = 12_288 + 18_432 + 128;
    assert_eq!(ranks[0].model.parameters().total, 6400 + layer);
    assert_eq!(ranks[1].model.parameters().total, layer + 64 + 6400);
    assert_eq!(ranks[0].flops.prefill.total(), Some(10 * 61_440 + 55 * 256));
    assert_eq!(ranks[1].flops.prefill.total(), Some(10 * 61_440 + 55 * 256 + 12_800));
    let of = "hidden states to the next stage";
    assert_eq!(sent(&ranks[0], Collective::PointToPoint, of), [10 * 128, 2 * 128]);
    assert!(ranks[1].transfers.is_empty());
}

#[test]
fn experts_are_shared_out_over_replicas() {
    let mixtral = model(MIXTRAL);
    let plan = Parallelism { data: 4, expert: 4, ..Parallelism::NONE };
    let split = split(&mixtral, &plan);
    let ranks = ranks(&split, 4);
    let rank = &ranks[0];
    assert_eq!(rank.count, 4);
    // Two of eight experts of 3·64·32, the rest whole.
    let layer = 12_288 + 64 * 8 + 2 * 6144 + 128;
    assert_eq!(rank.model.parameters().total, 2 * layer + 2 * 6400 + 64);
    // Each has the rows of one replica: those that others send are as many as it sends.
    let whole = mixtral.flops(&Workload::request(10, 3), &Convention::MODEL).expect("FLOPs");
    assert_eq!(rank.flops.total, whole.total);
    // 2 experts a token of 64 elements in 2 layers: 512 bytes, of which a fourth stays.
    for of in ["tokens to their experts", "results of experts"] {
        assert_eq!(sent(rank, Collective::AllToAll, of), [10 * 384, 2 * 384]);
    }
    // Read in a decode pass: the two with the probability that one of 4 tokens is routed to each, 1 − (3/4)⁴ = 175/256.
    // Beside them all but the table, of which a row of 128 bytes is looked up, and a cache of 2·2·2·16 elements a token.
    let others = 2 * (2 * (12_288 + 512 + 128) + 64 + 6400) + 128;
    let experts = 2 * (2 * 2 * 2 * 6144) * 175 / 256;
    assert_eq!(rank.bytes.decode.read, 2 * others + 256 * (11 + 12) + experts);
}

#[test]
fn experts_among_tensor_ranks_are_added_up() {
    let mixtral = model(MIXTRAL);
    let tensor = split(&mixtral, &TENSOR(2));
    let expert = split(&mixtral, &Parallelism { expert: 2, ..TENSOR(2) });
    let [a, b] = [&ranks(&tensor, 1)[0], &ranks(&expert, 1)[0]];
    // Half the width of all experts, or half of the experts whole: as many parameters, as much work.
    assert_eq!(a.model.parameters().total, b.model.parameters().total);
    assert_eq!(a.flops, b.flops);
    assert_eq!(a.flops.prefill[Component::MoeExperts], 10 * 2 * 2 * 2 * 6144 / 2);
    for rank in [a, b] {
        assert_eq!(sent(rank, Collective::AllReduce, "experts"), [10 * 256, 2 * 256]);
    }
    // Whole experts over two replicas of two tensor ranks, each cut in two: 2·3·64·16 in each of 8 / 2.
    let cut = Parallelism { data: 2, expert: 2, expert_tensor: Some(2), ..TENSOR(2) };
    let cut = split(&mixtral, &cut);
    let rank = &ranks(&cut, 2)[0];
    let experts = 2 * 4 * 3 * 64 * 16;
    let others = a.model.parameters().total - 2 * 8 * 3 * 64 * 16;
    assert_eq!(rank.model.parameters().total, others + experts);
    // A rank sends half of the 512 bytes of a token, of which half stays, then what it got to the other that has it.
    let of = "tokens to their experts";
    assert_eq!(sent(rank, Collective::AllToAll, of), [10 * 128, 2 * 128]);
    assert_eq!(sent(rank, Collective::AllGather, of), [10 * 256, 2 * 256]);
}

#[test]
fn latent_attention_is_cut_by_heads_alone() {
    let v3 = builtin("deepseek-ai/DeepSeek-V3");
    let split = split(&v3, &TENSOR(8));
    let whole = ["mlp.gate", "self_attn.kv_a_proj_with_mqa", "self_attn.q_a_proj"];
    assert_eq!(split.replicated().collect::<Vec<_>>(), whole);
    let request = Workload::request(1000, 1);
    let rank = &split.ranks(&request, &Convention::MODEL).expect("ranks")[0];
    let all = v3.flops(&request, &Convention::MODEL).expect("FLOPs");
    // A vocabulary of 129,280 is a multiple of 64 as it is. Seven times more than once, a token:
    let again = 2 * 7168 * (61 * (1536 + 576) + 58 * 256);
    assert_eq!(8 * rank.flops.total, all.total + 7 * 1000 * again);
    // Each has the cache whole.
    let cache = v3.bytes(&request).expect("bytes").kv_cache;
    assert_eq!(rank.bytes.kv_cache, cache);
}

#[test]
fn layers_left_over_go_to_the_stages_before_the_last() {
    let v3 = builtin("deepseek-ai/DeepSeek-V3");
    let split = split(&v3, &Parallelism { pipeline: 4, ..Parallelism::NONE });
    let names: Vec<&str> = ranks(&split, 1).iter().map(|rank| rank.name).collect();
    assert_eq!(
        names,
        [
            "stage 1 of 4, layers 0–14",
            "stage 2 of 4, layers 15–29",
            "stage 3 of 4, layers 30–45",
            "stage 4 of 4, layers 46–60"
        ]
    );
    // Equal stages are one kind: 32 layers over 8 stages.
    let llama = builtin("meta-llama/Llama-3.1-8B");
    let split =
        llama.split(&Parallelism { pipeline: 8, ..Parallelism::NONE }).expect("a plan that can be");
    let kinds: Vec<(&str, u64)> =
        ranks(&split, 1).iter().map(|rank| (rank.name, rank.count)).collect();
    let middle = "stages 2–7 of 8, 4 layers each";
    assert_eq!(kinds[1], (middle, 6));
    assert_eq!(kinds.len(), 3);
}

#[test]
fn interleaved_stages_send_more_often() {
    let llama = builtin("meta-llama/Llama-3.1-8B");
    let plan = Parallelism { pipeline: 4, virtual_stages: 2, ..Parallelism::NONE };
    let split = split(&llama, &plan);
    let ranks = ranks(&split, 1);
    assert_eq!(ranks[0].name, "stage 1 of 4, layers 0–3, 16–19");
    let of = "hidden states to the next stage";
    let token = 2 * 4096;
    assert_eq!(sent(&ranks[0], Collective::PointToPoint, of)[0], 2 * 10 * token);
    let last = ranks.last().expect("a stage");
    assert_eq!(sent(last, Collective::PointToPoint, of)[0], 10 * token);
}

#[test]
fn a_tied_head_is_stored_on_the_last_stage_as_well() {
    let gpt2 = builtin("gpt2");
    let split = split(&gpt2, &Parallelism { pipeline: 3, ..Parallelism::NONE });
    let stored: u128 =
        ranks(&split, 1).iter().map(|it| u128::from(it.count) * it.model.parameters().total).sum();
    assert_eq!(stored, gpt2.parameters().total + 50_257 * 768);
}

#[test]
fn what_cannot_be_cut_is_refused_with_the_nearest_that_can() {
    let llama = builtin("meta-llama/Llama-3.1-8B");
    assert_eq!(
        refused(&llama, &TENSOR(5)),
        "tensor: 32 heads cannot be shared evenly by 5; the nearest are 4 and 8"
    );
    let pipeline = |pipeline| Parallelism { pipeline, ..Parallelism::NONE };
    assert_eq!(
        refused(&llama, &pipeline(33)),
        "pipeline: 32 layers are too few for 33 stages; the nearest is 32"
    );
    assert_eq!(
        refused(&llama, &Parallelism { virtual_stages: 3, ..pipeline(4) }),
        "virtual stages: 32 layers cannot be cut into 3 equal stretches for each of 4 stages; the nearest are 2 and 4"
    );
    assert_eq!(
        refused(&llama, &Parallelism { data: 2, expert: 2, ..Parallelism::NONE }),
        "expert: is 2, and this model has no experts"
    );
    assert_eq!(
        refused(&llama, &TENSOR(0)),
        "tensor: is 0; a size is 1 at least and 1048576 at most"
    );
    let mixtral = model(MIXTRAL);
    assert_eq!(
        refused(&mixtral, &Parallelism { data: 4, expert: 3, ..Parallelism::NONE }),
        "expert: 4 ranks of a stage cannot be shared evenly by 3; the nearest are 2 and 4"
    );
    let mamba = builtin("tiiuae/falcon-mamba-7b");
    assert!(refused(&mamba, &TENSOR(2)).starts_with("tensor: is not known here for"));
    let split = split(&llama, &Parallelism { data: 4, ..Parallelism::NONE });
    let error =
        split.ranks(&Workload::request(10, 3), &Convention::MODEL).expect_err("one by four");
    assert_eq!(
        error.to_string(),
        "data: 1 sequences cannot be shared evenly by 4; a batch of 4 can"
    );
    let error = split.ranks(&Workload::request(10, 3), &Convention::TWO_PT).expect_err("no parts");
    assert!(error.to_string().contains("knows no parts of a model that a rank could have"));
}

/// Over every built-in model and several plans: ranks sum to the whole, component by component, and what they have more
/// than once is what is said to be replicated.
#[test]
fn ranks_sum_to_the_whole_and_what_is_replicated() {
    let request = Workload::request(100, 5);
    for convention in [Convention::MODEL, Convention::TORCH] {
        let mut cut = 0;
        for row in Builtin::all() {
            let whole = row.model().expect("a model");
            let Ok(flops) = whole.flops(&request, &convention) else { continue };
            for (tensor, pipeline) in [(2, 1), (4, 1), (1, 3), (2, 2), (8, 5)] {
                let plan = Parallelism { tensor, pipeline, ..Parallelism::NONE };
                let Ok(split) = whole.split(&plan) else { continue };
                cut += 1;
                let ranks = split.ranks(&request, &convention).expect("ranks");
                let all = |component: Component| -> u128 {
                    let of = |rank: &Rank<'_>| rank.flops.components()[component];
                    ranks.iter().map(|rank| u128::from(rank.count) * of(rank)).sum()
                };
                let name = row.id;
                for component in Component::ALL {
                    let (once, all) = (flops.components()[component], all(component));
                    let times = u128::from(tensor);
                    match component {
                        Component::AttentionScores
                        | Component::AttentionValues
                        | Component::Mlp
                        | Component::MoeExperts => {
                            // The form of latent attention is the cheaper one for a rank's heads, and indexers are
                            // whole on each.
                            let unlike =
                                |it: &str| it.contains("kv_a_proj") || it.contains("indexer");
                            let exact = !split.replicated().any(unlike);
                            assert!(
                                all == once || (!exact && all <= times * once),
                                "{name} {component:?}"
                            );
                        }
                        Component::MoeRouter
                        | Component::Vision
                        | Component::Audio
                        | Component::Encoder => assert_eq!(all, times * once, "{name}"),
                        Component::Head => assert!(all >= once && all <= times * once, "{name}"),
                        _ if split.replicated().next().is_none() => {
                            assert_eq!(all, once, "{name} {component:?} {plan:?}");
                        }
                        _ => assert!(all >= once && all <= times * once, "{name} {component:?}"),
                    }
                }
            }
        }
        assert!(cut > 1500, "{cut} plans");
    }
}

#[test]
fn the_largest_batch_fills_the_memory() {
    let llama = builtin("meta-llama/Llama-3.1-8B");
    let split = split(&llama, &Parallelism { data: 2, ..TENSOR(2) });
    let request = Workload::batch(vec![flopmeter::Sequence {
        count: 2,
        ..flopmeter::Sequence::new(8000, 193)
    }]);
    // 8000 + 192 tokens of 131,072 / 2 bytes: 2^29 a sequence. Weights: half, but for the norms, of which a rank has all.
    let weights = 8_030_261_248 + 65 * 4096;
    let memory = weights + 5 * (1 << 29);
    let largest = |memory| split.largest_batch(request.as_ref().expect("a batch"), memory);
    assert_eq!(largest(memory), Ok(Some(10)));
    assert_eq!(largest(memory - 1), Ok(Some(8)));
    assert_eq!(largest(weights), Ok(Some(0)));
}

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

fn sum_of(rank: &StepRank<'_>) -> u128 {
    rank.transfers.iter().map(|it| it.sent[0]).sum()
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
