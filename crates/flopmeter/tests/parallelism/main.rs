//! What ranks do: by hand on small models, and by laws on those that are built in.

mod adapters;
mod context;
mod recurrent;
mod stages;
mod steps;

use flopmeter::{
    Builtin, Collective, Component, Config, Convention, Model, Parallelism, Rank, Split, StepRank,
    Workload,
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

/// Bytes that a rank sends in a step by a collective for a reason.
fn sent_in_step(rank: &StepRank<'_>, collective: Collective, of: &str) -> u128 {
    let of_it = |it: &&flopmeter::Transfer| (it.collective, it.of) == (collective, of);
    rank.transfers.iter().find(of_it).unwrap_or_else(|| panic!("{:?}", rank.transfers)).sent[0]
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
        "virtual stages: 32 layers cannot be cut into 3 equal stretches for each of 4 stages; the nearest are 2 and 4; or say how many layers each has"
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
    let rwkv = builtin("RWKV/rwkv-4-7b-pile");
    assert!(refused(&rwkv, &TENSOR(2)).starts_with("tensor: is not known here for"));
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
