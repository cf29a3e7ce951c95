//! Recurrent layers cut by their heads or channels.

use super::{TENSOR, model, refused, sent};
use flopmeter::{Collective, Convention, Model, Parallelism, Rank, Split, Workload};

fn split(model: &Model, ranks: u64) -> Split {
    model.split(&TENSOR(ranks)).expect("a plan that can be")
}

fn first(split: &Split) -> Rank<'_> {
    split.ranks(&Workload::request(10, 1), &Convention::MODEL).expect("ranks").swap_remove(0)
}

/// One layer of width 8, a state of 3, a time step of rank 2; a vocabulary of 64.
const MAMBA: &str = r#"{"model_type": "mamba", "hidden_size": 4, "num_hidden_layers": 1, "state_size": 3,
    "time_step_rank": 2, "vocab_size": 64, "torch_dtype": "bfloat16"}"#;

#[test]
fn mamba_is_cut_by_channels() {
    let mamba = model(MAMBA);
    let split = split(&mamba, 2);
    let rank = first(&split);
    // Four channels of eight: in 4·8, convolution 4·4 and a bias each, x_proj 4·(2 + 6), dt 2·4 + 4, A 4·3, D 4, out 4·4;
    // a norm of 4 whole. Table 32·4 and the norm before the head, which is the table.
    let layer = 32 + 16 + 4 + 32 + 12 + 12 + 4 + 16 + 4;
    assert_eq!(rank.model.parameters().total, layer + 32 * 4 + 4);
    // A token: 2·(in 32 + convolution 16 + x_proj 32 + dt 8 + out 16) and 5·4·3; the head 2·4·32 once.
    assert_eq!(rank.flops.total, 10 * (2 * 104 + 60) + 256);
    let whole = mamba.flops(&Workload::request(10, 1), &Convention::MODEL).expect("FLOPs").total;
    assert_eq!(2 * rank.flops.total, whole);
    // Three inputs of the convolution and a state of 3 for each channel.
    assert_eq!(rank.bytes.kv_cache, 2 * 4 * (3 + 3));
    // A time step of 2, B and C of 3 each are summed; so is what comes out, 4.
    let summed = |of| sent(&rank, Collective::AllReduce, of);
    assert_eq!(summed("what drives recurrent layers"), [10 * 2 * 8, 0]);
    assert_eq!(summed("recurrent layers"), [10 * 2 * 4, 0]);
    assert!(split.replicated().next().is_none());
}

/// 4 heads of 4, a state of 2, for heads in some groups.
fn mamba_2(groups: u64) -> Model {
    model(&format!(
        r#"{{"model_type": "mamba2", "hidden_size": 8, "num_hidden_layers": 1, "num_heads": 4,
        "head_dim": 4, "n_groups": {groups}, "state_size": 2, "conv_kernel": 4, "expand": 2,
        "tie_word_embeddings": true, "vocab_size": 64, "torch_dtype": "bfloat16"}}"#
    ))
}

#[test]
fn mamba_2_is_cut_by_heads_and_groups() {
    let two = mamba_2(2);
    let split = split(&two, 2);
    let rank = first(&split);
    // Of 16 + 16 + 2·2·2 + 4 outputs half: 22. Convolution 12·4 and 12, time step, A and D 2 each, norm 8, out 8·8.
    let layer = 8 * 22 + 48 + 12 + 6 + 8 + 64 + 8;
    assert_eq!(rank.model.parameters().total, layer + 32 * 8 + 8);
    let whole = two.flops(&Workload::request(10, 1), &Convention::MODEL).expect("FLOPs").total;
    assert_eq!(2 * rank.flops.total, whole);
    assert_eq!(rank.bytes.kv_cache, 2 * (12 * 3 + 2 * 4 * 2));
    assert!(rank.transfers.iter().all(|it| it.of != "norms of recurrent layers"));
}

#[test]
fn the_one_group_of_mamba_2_is_on_every_rank() {
    let one = mamba_2(1);
    let split = split(&one, 2);
    let rank = first(&split);
    // 8 + 8 + 2·2 + 2 outputs, and a convolution of 8 + 4.
    let layer = 8 * 22 + 12 * 4 + 12 + 6 + 8 + 64 + 8;
    assert_eq!(rank.model.parameters().total, layer + 32 * 8 + 8);
    assert_eq!(split.replicated().collect::<Vec<_>>(), ["mixer.in_proj"]);
    // B and C of 2 elements each, of the projection from 8 and of the convolution over 4, once more.
    let whole = one.flops(&Workload::request(10, 1), &Convention::MODEL).expect("FLOPs").total;
    assert_eq!(2 * rank.flops.total, whole + 10 * 2 * 4 * (8 + 4));
    // The norm over all heads adds up a number of 32 bits.
    let of = "norms of recurrent layers";
    assert_eq!(sent(&rank, Collective::AllReduce, of), [10 * 4, 0]);
    // Two are neither one nor enough for four ranks.
    assert_eq!(
        refused(&mamba_2(2), &TENSOR(4)),
        "tensor: 2 groups of a recurrent layer cannot be shared evenly by 4; the nearest is 2"
    );
}

/// 2 key heads and 4 value heads of 4 and 8.
const NEXT: &str = r#"{"model_type": "qwen3_next", "head_dim": 16, "hidden_size": 32,
    "intermediate_size": 48, "linear_conv_kernel_dim": 4, "linear_key_head_dim": 4,
    "linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_value_head_dim": 8,
    "moe_intermediate_size": 16, "num_attention_heads": 4, "num_experts": 8,
    "num_experts_per_tok": 2, "num_hidden_layers": 4, "num_key_value_heads": 2,
    "shared_expert_intermediate_size": 16, "tie_word_embeddings": false,
    "torch_dtype": "bfloat16", "vocab_size": 64}"#;

#[test]
fn a_delta_net_is_cut_by_heads() {
    let next = model(NEXT);
    let split = split(&next, 2);
    let rank = first(&split);
    // Routers and the shared experts' gates are whole, all else is cut evenly.
    let whole = ["mlp.gate", "mlp.shared_expert_gate"];
    assert_eq!(split.replicated().collect::<Vec<_>>(), whole);
    let flops = next.flops(&Workload::request(10, 1), &Convention::MODEL).expect("FLOPs").total;
    assert_eq!(2 * rank.flops.total, flops + 10 * 4 * 2 * 32 * (8 + 1));
    // A layer of three: in 32·(2·8 + 2·32 + 2·4)/2, convolution (2·8 + 32)/2·4, time step and A 2 each, a norm of 8 for
    // every head, out 16·32.
    let delta = 32 * 44 + 24 * 4 + 4 + 8 + 16 * 32;
    // One attends: gated queries 32·64, keys and values 32·16 each, norms 2·16, out 32·32.
    let attention = 32 * 64 + 2 * 32 * 16 + 2 * 16 + 32 * 32;
    let experts = 32 * 8 + 8 * 3 * 32 * 8 + 3 * 32 * 8 + 32;
    let rest = 4 * (experts + 2 * 32) + 2 * 32 * 32 + 32;
    assert_eq!(rank.model.parameters().total, 3 * delta + attention + rest);
    assert_eq!(
        refused(&next, &TENSOR(4)),
        "tensor: 2 key heads of a recurrent layer cannot be shared evenly by 4; the nearest is 2"
    );
}

#[test]
fn recurrent_layers_of_a_step_are_cut_likewise() {
    let mamba = mamba_2(2);
    let step = flopmeter::Step::new(32, 2).expect("a step");
    let whole = mamba.training(&step, &Convention::MODEL).expect("a model").flops(&step);
    let plan = Parallelism { sequence: true, ..TENSOR(2) };
    let split = mamba.split_step(&plan, &step, &Convention::MODEL).expect("a plan that can be");
    let rank = &split.ranks(&step, 1).expect("ranks")[0];
    // The vocabulary of 64 is padded to 256: a head of 192 rows more, three times.
    let padding = 3 * 2 * 8 * 192 * 64;
    assert_eq!(2 * rank.flops.total, whole.expect("FLOPs").total + padding);
}
