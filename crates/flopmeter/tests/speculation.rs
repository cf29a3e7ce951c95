//! What a draft costs, against a dynamic programme that walks every way in which tokens may be accepted.
//!
//! It knows nothing of the closed sums: a state is the offset at which a step begins and whether the draft has seen
//! all before it, and each step is counted as passes after a cached prefix, which other tests hold to the counter.

use flopmeter::units::{BytesPerSecond, FlopsPerSecond};
use flopmeter::{
    Config, Convention, Hardware, Model, Phase, Sequence, Speculation, SpeculativeFlops, Workload,
};
use proptest::prelude::*;

fn model(text: &str) -> Model {
    Model::from_config(&Config::parse(text).expect("a config")).expect("a model")
}

const SIZE: &str = r#""hidden_size": 36, "num_hidden_layers": 3, "num_attention_heads": 6, "vocab_size": 131,
    "num_key_value_heads": 3, "head_dim": 10, "intermediate_size": 52, "torch_dtype": "bfloat16""#;

/// A model of each kind of mask, of a state, of experts and of latents.
fn models() -> Vec<(&'static str, Model)> {
    let chunks = r#""attention_chunk_size": 5, "num_local_experts": 3, "num_experts_per_tok": 1,
        "intermediate_size_mlp": 20, "interleave_moe_layer_step": 2,
        "layer_types": ["chunked_attention", "full_attention", "chunked_attention"]"#;
    let latent = r#"{"model_type": "deepseek_v3", "first_k_dense_replace": 1, "hidden_size": 36,
        "intermediate_size": 52, "kv_lora_rank": 14, "moe_intermediate_size": 20, "moe_layer_freq": 1,
        "n_routed_experts": 8, "n_shared_experts": 1, "num_attention_heads": 6, "num_experts_per_tok": 2,
        "num_hidden_layers": 3, "num_key_value_heads": 6, "q_lora_rank": 18, "qk_nope_head_dim": 12,
        "qk_rope_head_dim": 4, "tie_word_embeddings": false, "v_head_dim": 10, "vocab_size": 131}"#;
    [
        ("causal", format!(r#"{{"model_type": "llama", {SIZE}}}"#)),
        ("sliding", format!(r#"{{"model_type": "mistral", {SIZE}, "sliding_window": 7}}"#)),
        ("chunked", format!(r#"{{"model_type": "llama4_text", {SIZE}, {chunks}}}"#)),
        (
            "mamba",
            r#"{"model_type": "mamba", "hidden_size": 36, "num_hidden_layers": 3, "state_size": 5,
            "vocab_size": 131, "torch_dtype": "bfloat16"}"#
                .to_owned(),
        ),
        ("latent", latent.to_owned()),
    ]
    .map(|(name, text)| (name, model(&text)))
    .into()
}

fn draft() -> Model {
    model(
        r#"{"model_type": "mistral", "hidden_size": 20, "num_hidden_layers": 2, "num_attention_heads": 2,
            "num_key_value_heads": 1, "intermediate_size": 28, "vocab_size": 131, "sliding_window": 9,
            "torch_dtype": "bfloat16"}"#,
    )
}

/// FLOPs of one pass over `new` tokens after `past`, all of them sampled if `sampled`.
fn pass(model: &Model, convention: &Convention, past: u64, new: u64, sampled: bool) -> f64 {
    let count = |generate| {
        let sequence = Sequence { prompt: past + new, cached: past, generate, count: 1 };
        let workload = Workload::batch(vec![sequence]).expect("a workload");
        model.flops(&workload, convention).expect("it fits").prefill.total().expect("it fits")
    };
    let head = count(1) - count(0);
    (count(0) + if sampled { u128::from(new) * head } else { 0 }) as f64
}

fn index(offset: u64) -> usize {
    usize::try_from(offset).expect("a short answer")
}

/// Expected FLOPs of drafting and of verification, and expected steps, state by state.
fn walked(
    target: &Model,
    draft: &Model,
    convention: &Convention,
    (prompt, tokens): (u64, u64),
    (most, acceptance): (u64, f64),
) -> [f64; 3] {
    // The probability that a step begins at an offset, and that it does after a wholly accepted one.
    let mut begins = vec![[0.0; 2]; index(tokens) + 1];
    begins[0][0] = 1.0;
    let mut sums = [0.0; 3];
    for offset in 0..tokens {
        let [seen, late] = begins[index(offset)];
        let chance = seen + late;
        let drafted = most.min(tokens - offset - 1);
        let past = prompt + offset;
        for at in 0..drafted {
            sums[0] += chance * pass(draft, convention, past + at, 1, true);
        }
        if drafted > 0 && late > 0.0 {
            let both = pass(draft, convention, past - 1, 2, false);
            sums[0] += late * (both - pass(draft, convention, past, 1, false));
        }
        sums[1] += chance * pass(target, convention, past, drafted + 1, true);
        sums[2] += chance;
        for accepted in 0..=drafted {
            let all = accepted == drafted;
            let tried = acceptance.powf(accepted as f64);
            let chance = chance * if all { tried } else { tried * (1.0 - acceptance) };
            begins[index(offset + accepted + 1)][usize::from(all)] += chance;
        }
    }
    sums
}

/// Expected FLOPs of drafting with `layers` layers that predict, step by step and by how long the one before was.
///
/// A layer's position is that of the hidden state which it is given. What the target has computed is given to each layer
/// that is used; what is drafted beyond is computed once more, and thrown away.
fn predicted(
    layer: &Model,
    layers: u64,
    (prompt, tokens): (u64, u64),
    (most, acceptance): (u64, f64),
) -> f64 {
    let token = |at: u64, sampled| pass(layer, &Convention::MODEL, at, 1, sampled);
    let head = token(0, true) - token(0, false);
    let used = layers.min(most);
    // The probability that a step begins at an offset after one of so many tokens; 0 for the first.
    let mut begins = vec![vec![0.0; index(most) + 2]; index(tokens) + 1];
    begins[0][0] = 1.0;
    let mut sum = 0.0;
    for offset in 0..tokens {
        let drafted = most.min(tokens - offset - 1);
        for gained in 0..=most + 1 {
            let chance = begins[index(offset)][index(gained)];
            if chance == 0.0 {
                continue;
            }
            let before = prompt + offset;
            if drafted > 0 && gained > 0 {
                let given: f64 = (before - gained..before).map(|at| token(at, false)).sum();
                let beyond: f64 = (before..before + drafted - 1).map(|at| token(at, false)).sum();
                sum += chance * (used as f64 * given + beyond + drafted as f64 * head);
            } else if drafted > used {
                // The passes over the prompt have drafted the first tokens.
                let beyond = (before..before + drafted - used).map(|at| token(at, false));
                sum += chance * (beyond.sum::<f64>() + (drafted - used) as f64 * head);
            }
            for accepted in 0..=drafted {
                let tried = acceptance.powf(accepted as f64);
                let chance =
                    chance * if accepted == drafted { tried } else { tried * (1.0 - acceptance) };
                begins[index(offset + accepted + 1)][index(accepted + 1)] += chance;
            }
        }
    }
    sum
}

fn counted(
    speculation: &Speculation,
    target: &Model,
    prompt: u64,
    tokens: u64,
    convention: &Convention,
) -> SpeculativeFlops {
    let request = Workload::request(prompt, tokens + 1);
    speculation.flops(target, &request, convention).expect("it fits")
}

fn total(counts: flopmeter::Counts) -> u128 {
    counts.total().expect("it fits")
}

fn acceptances() -> impl Strategy<Value = f64> {
    prop_oneof![Just(0.0), Just(1.0), 0.0..=1.0f64]
}

proptest! {
    #[test]
    fn every_way_of_accepting_adds_up_to_the_expectation(
        prompt in 1u64..30, tokens in 0u64..45, most in 1u64..7, acceptance in acceptances(),
    ) {
        let draft = draft();
        let speculation = Speculation::new(draft.clone(), most, acceptance).expect("a draft");
        for (name, target) in models() {
            for convention in [&Convention::MODEL, &Convention::TORCH] {
                let spent = counted(&speculation, &target, prompt, tokens, convention);
                let walked = walked(&target, &draft, convention, (prompt, tokens), (most, acceptance));
                let ours = [total(spent.drafting) as f64, total(spent.verification) as f64, spent.steps];
                // Components are rounded one by one.
                for (ours, walked) in ours.into_iter().zip(walked) {
                    let near = (ours - walked).abs() <= 4.0 + 1e-9 * walked;
                    prop_assert!(near, "{} {}: {} counted, {} walked", name, convention.id, ours, walked);
                }
                if acceptance == 0.0 || acceptance == 1.0 {
                    prop_assert_eq!(total(spent.drafting) as f64, walked[0], "{}", name);
                    prop_assert_eq!(total(spent.verification) as f64, walked[1], "{}", name);
                }
                let parts = [spent.useful.prefill, spent.draft_prefill, spent.drafting, spent.verification];
                prop_assert_eq!(spent.total, parts.into_iter().map(total).sum::<u128>());
            }
        }
    }

    #[test]
    fn layers_that_predict_are_given_what_the_target_has_computed(
        prompt in 1u64..30, tokens in 0u64..45, most in 1u64..7, layers in 1u64..4, acceptance in acceptances(),
    ) {
        let target = model(&format!(
            r#"{{"model_type": "glm4_moe", {SIZE}, "moe_intermediate_size": 20, "n_routed_experts": 6,
                "n_shared_experts": 1, "num_experts_per_tok": 2, "first_k_dense_replace": 1,
                "num_nextn_predict_layers": {layers}}}"#
        ));
        let speculation = Speculation::with_prediction_layers(&target, most, acceptance).expect("layers");
        let layer = speculation.draft();
        let spent = counted(&speculation, &target, prompt, tokens, &Convention::MODEL);
        let walked = predicted(layer, layers, (prompt, tokens), (most, acceptance));
        let ours = total(spent.drafting) as f64;
        prop_assert!((ours - walked).abs() <= 8.0 + 1e-9 * walked, "{} counted, {} walked", ours, walked);
        if acceptance == 0.0 || acceptance == 1.0 {
            prop_assert_eq!(ours, walked);
        }
        let read = pass(layer, &Convention::MODEL, 0, prompt, false) + pass(layer, &Convention::MODEL, 0, 1, true)
            - pass(layer, &Convention::MODEL, 0, 1, false);
        let used = if tokens < 2 { 0 } else { layers.min(most) };
        prop_assert_eq!(total(spent.draft_prefill) as f64, used as f64 * read);
        prop_assert!(speculation.bytes(&target, &Workload::request(prompt, tokens + 1)).is_ok());
    }

    /// If everything is accepted, each token is verified once: the target does what it does without a draft.
    #[test]
    fn full_acceptance_spares_the_target_no_flops_and_costs_it_none(
        prompt in 1u64..1200, tokens in 0u64..1200, most in 1u64..9,
    ) {
        let speculation = Speculation::new(draft(), most, 1.0).expect("a draft");
        for (name, target) in models() {
            let spent = counted(&speculation, &target, prompt, tokens, &Convention::MODEL);
            if name != "latent" {
                prop_assert_eq!(spent.verification, spent.useful.decode, "{}", name);
            }
            prop_assert_eq!(spent.steps, tokens.div_ceil(most + 1) as f64);
        }
    }

    /// Without acceptance, every step yields the target's own token, and all that is drafted is thrown away.
    #[test]
    fn more_acceptance_costs_less(
        prompt in 1u64..300, tokens in 1u64..400, most in 1u64..9, low in 0.0..1.0f64, more in 0.0..1.0f64,
    ) {
        let of = |acceptance| Speculation::new(draft(), most, acceptance).expect("a draft");
        for (name, target) in models() {
            let count = |acceptance| counted(&of(acceptance), &target, prompt, tokens, &Convention::MODEL);
            let (none, low, high) = (count(0.0), count(low), count(low + (1.0 - low) * more));
            prop_assert!(none.steps >= low.steps - 1e-9 && low.steps >= high.steps - 1e-9, "{}", name);
            prop_assert!(none.total >= low.total && low.total + 20 >= high.total, "{}", name);
            prop_assert!(high.total >= high.useful.total, "{}", name);
        }
    }

    #[test]
    fn more_tokens_cost_more(prompt in 1u64..300, tokens in 1u64..300, most in 1u64..9, acceptance in acceptances()) {
        let speculation = Speculation::new(draft(), most, acceptance).expect("a draft");
        for (name, target) in models() {
            let of = |prompt, tokens| counted(&speculation, &target, prompt, tokens, &Convention::MODEL).total;
            prop_assert!(of(prompt, tokens) <= of(prompt, tokens + 1), "{}", name);
            prop_assert!(of(prompt, tokens) <= of(prompt + 1, tokens), "{}", name);
        }
    }

    #[test]
    fn the_ideal_time_lies_between_each_side_and_their_sum(
        prompt in 1u64..300, tokens in 0u64..600, most in 1u64..9, acceptance in acceptances(),
        count in 1u64..9, peak in 1e6f64..1e10,
    ) {
        let hardware = Hardware::new(FlopsPerSecond(peak), Some(BytesPerSecond(1e8)), 1).expect("hardware");
        let speculation = Speculation::new(draft(), most, acceptance).expect("a draft");
        for (name, target) in models() {
            let sequences = [tokens + 1, tokens / 2 + 1]
                .map(|generate| Sequence { prompt, cached: 0, generate, count });
            let work = Workload::batch(sequences.into()).expect("a workload");
            let spent = speculation.flops(&target, &work, &Convention::MODEL).expect("it fits");
            let moved = speculation.bytes(&target, &work).expect("it fits").decode;
            let ideal = speculation.ideal(&target, &work, Phase::Decode, &hardware);
            let ideal = ideal.expect("it fits").expect("a bandwidth").seconds;
            let compute = (total(spent.drafting) + total(spent.verification)) as f64 / peak;
            let memory = (moved.read + moved.written) as f64 / 1e8;
            let (most, least) = (compute + memory, compute.max(memory));
            // Bytes and components are rounded; of experts near the end of an answer the mean is taken.
            prop_assert!(ideal >= least * 0.98 - 1e-6, "{}: {} {} {}", name, ideal, compute, memory);
            prop_assert!(ideal <= most * 1.02 + 1e-6, "{}: {} {} {}", name, ideal, compute, memory);
        }
    }

    #[test]
    fn the_largest_requests_end_in_a_count_or_an_error(
        prompt: u64, generate: u64, count in 1u64.., most in 1u64..=256, acceptance in acceptances(),
    ) {
        let speculation = Speculation::new(draft(), most, acceptance).expect("a draft");
        let hardware = Hardware::new(FlopsPerSecond(1e12), Some(BytesPerSecond(1e8)), 1).expect("hardware");
        for (_, target) in models() {
            let sequence = Sequence { prompt, cached: 0, generate, count };
            let work = Workload::batch(vec![sequence]).expect("a workload");
            let _ = speculation.flops(&target, &work, &Convention::MODEL);
            let _ = speculation.flops(&target, &work, &Convention::TORCH);
            let _ = speculation.bytes(&target, &work);
            let _ = speculation.ideal(&target, &work, Phase::Decode, &hardware);
        }
    }
}

/// A chunk's mean stands in after 256 chunks: 5 positions each, so from offset 1280 on.
#[test]
fn the_mean_of_a_chunk_is_near_all_chunks() {
    let (_, target) = models().swap_remove(2);
    for acceptance in [0.0, 0.3, 0.9, 1.0] {
        let speculation = Speculation::new(draft(), 3, acceptance).expect("a draft");
        let spent = counted(&speculation, &target, 7, 4000, &Convention::MODEL);
        let walked = walked(&target, &draft(), &Convention::MODEL, (7, 4000), (3, acceptance));
        let ours = total(spent.verification) as f64;
        assert!((ours / walked[1] - 1.0).abs() < 1e-4, "{acceptance}: {ours} {}", walked[1]);
    }
}

#[test]
fn what_is_no_draft_is_refused() {
    let fails = |tokens, acceptance| {
        Speculation::new(draft(), tokens, acceptance).expect_err("no draft").to_string()
    };
    assert_eq!(
        fails(0, 0.5),
        "draft tokens: are 0; a draft of no token is plain decoding: leave the draft out"
    );
    assert_eq!(
        fails(257, 0.5),
        "draft tokens: are 257; the most that are believed is 256; give what is drafted a step, not in all"
    );
    let hint = "it is the probability that a drafted token is accepted, from 0 to 1";
    for (acceptance, shown) in [(-0.1, "-0.1"), (1.5, "1.5"), (f64::NAN, "NaN")] {
        assert_eq!(fails(4, acceptance), format!("acceptance: is {shown}; {hint}"));
    }
    let speculation = Speculation::new(draft(), 4, 0.5).expect("a draft");
    let (_, target) = models().swap_remove(0);
    let request = Workload::request(10, 10);
    let error = speculation.flops(&target, &request, &Convention::TWO_PT).expect_err("no passes");
    assert!(error.to_string().starts_with("`2pt`: knows no passes"), "{error}");
    let bare = request.without_kv_cache().expect("nothing is cached");
    let error = speculation.flops(&target, &bare, &Convention::MODEL).expect_err("no cache");
    assert!(error.to_string().starts_with("draft: needs a KV cache"), "{error}");
}
