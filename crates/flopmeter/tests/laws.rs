//! Laws that every count obeys, attacked by a machine.

use flopmeter::{
    Config, Convention, Counts, Dtype, ErrorKind, Frozen, Model, Phase, Sequence, Step, Workload,
};
use proptest::prelude::*;

/// One model of each kind of mask and of recurrence, and one with experts.
fn models() -> Vec<(&'static str, Model)> {
    let size = r#""hidden_size": 36, "num_hidden_layers": 3, "num_attention_heads": 6, "vocab_size": 131,
        "num_key_value_heads": 3, "head_dim": 10, "intermediate_size": 52, "torch_dtype": "bfloat16""#;
    let windows = r#""sliding_window": 7"#;
    let experts = r#""num_local_experts": 5, "num_experts_per_tok": 2, "sliding_window": null"#;
    let chunks = r#""attention_chunk_size": 5, "num_local_experts": 3, "num_experts_per_tok": 1,
        "intermediate_size_mlp": 20, "interleave_moe_layer_step": 2,
        "layer_types": ["chunked_attention", "full_attention", "chunked_attention"]"#;
    let mamba = r#""mamba_n_heads": 8, "mamba_d_state": 5, "mamba_n_groups": 2, "mamba_chunk_size": 8,
        "attn_layer_indices": [1]"#;
    let delta = r#""linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 5,
        "linear_value_head_dim": 7, "full_attention_interval": 2"#;
    [
        ("causal", format!(r#"{{"model_type": "llama", {size}, "attention_bias": true}}"#)),
        ("sliding", format!(r#"{{"model_type": "mistral", {size}, {windows}}}"#)),
        ("experts", format!(r#"{{"model_type": "mixtral", {size}, {experts}}}"#)),
        (
            "mamba",
            r#"{"model_type": "mamba", "hidden_size": 36, "num_hidden_layers": 3, "state_size": 5,
            "vocab_size": 131, "torch_dtype": "bfloat16"}"#
                .to_owned(),
        ),
        ("bamba", format!(r#"{{"model_type": "bamba", {size}, {mamba}}}"#)),
        ("delta", format!(r#"{{"model_type": "qwen3_5_text", {size}, {delta}}}"#)),
        ("chunked", format!(r#"{{"model_type": "llama4_text", {size}, {chunks}}}"#)),
    ]
    .into_iter()
    .map(|(name, text)| {
        let config = Config::parse(&text).expect("a config");
        (name, Model::from_config(&config).expect("a model"))
    })
    .collect()
}

/// And one of each kind that has an encoder: of a prompt, of a window of sound, and nothing else.
fn all_models() -> Vec<(&'static str, Model)> {
    let t5 = r#""model_type": "t5", "d_model": 36, "d_kv": 10, "d_ff": 52, "num_layers": 3, "num_heads": 6,
        "num_decoder_layers": 2, "vocab_size": 131, "torch_dtype": "bfloat16""#;
    let whisper = r#""model_type": "whisper", "d_model": 36, "encoder_layers": 3, "decoder_layers": 2,
        "encoder_attention_heads": 6, "decoder_attention_heads": 4, "encoder_ffn_dim": 52, "vocab_size": 131,
        "decoder_ffn_dim": 40, "num_mel_bins": 7, "max_source_positions": 9, "max_target_positions": 64,
        "torch_dtype": "bfloat16""#;
    let encoders = [
        ("encoder-decoder", format!("{{{t5}}}")),
        ("sound", format!("{{{whisper}}}")),
        ("encoder", format!(r#"{{{t5}, "architectures": ["T5EncoderModel"]}}"#)),
    ];
    let encoders = encoders.into_iter().map(|(name, text)| {
        let config = Config::parse(&text).expect("a config");
        (name, Model::from_config(&config).expect("a model"))
    });
    models().into_iter().chain(encoders).collect()
}

/// The requests that a model with an encoder can do in the place of any.
fn fitting(model: &Model, mut sequences: Vec<Sequence>) -> Vec<Sequence> {
    let reads_whole =
        model.decoder_prompt(&Workload::request(1, 1)).is_some() || model.encodes_only();
    for sequence in &mut sequences {
        if reads_whole {
            sequence.cached = 0;
        } else if !model.stacks().is_empty() {
            sequence.prompt = sequence.prompt.max(1);
        }
        if !model.generates() {
            sequence.generate = sequence.generate.min(1);
        }
    }
    sequences
}

fn workload(sequences: Vec<Sequence>) -> Workload {
    Workload::batch(sequences).expect("a workload")
}

/// FLOPs of prefilling `new` tokens after `past`, the head left out: it runs where a token is sampled.
fn prefill(model: &Model, past: u64, new: u64) -> Counts {
    let sequence = Sequence { prompt: past + new, cached: past, generate: 0, count: 1 };
    model.flops(&workload(vec![sequence]), &Convention::MODEL).expect("it fits").prefill
}

fn sequences() -> impl Strategy<Value = Sequence> {
    (0u64..60, 0u64..60, 0u64..40, 1u64..4).prop_map(|(cached, new, generate, count)| Sequence {
        prompt: cached + new,
        cached,
        generate,
        count,
    })
}

/// Whether a convention knows a model.
fn applies(model: &Model, convention: &Convention) -> bool {
    match model.flops(&Workload::request(1, 1), convention) {
        Err(error) => error.kind() != ErrorKind::Convention,
        Ok(_) => true,
    }
}

proptest! {
    #[test]
    fn chunking_a_prefill_is_free(past in 0u64..50, first in 0u64..50, second in 0u64..50) {
        for (name, model) in models() {
            let parts = prefill(&model, past, first)
                .checked_add(&prefill(&model, past + first, second));
            prop_assert_eq!(parts, Some(prefill(&model, past, first + second)), "{}", name);
        }
    }

    #[test]
    fn decoding_adds_up_to_a_prefill(prompt in 1u64..50, steps in 0u64..50) {
        for (name, model) in models() {
            let generate = Sequence { prompt, cached: prompt, generate: steps + 1, count: 1 };
            let decode = model.flops(&workload(vec![generate]), &Convention::MODEL).expect("it fits").decode;
            let whole = prefill(&model, prompt, steps);
            // Decoding samples after every token, prefilling after none: the head apart, they are equal.
            let without_head = |counts: Counts| {
                let mut counts = counts;
                counts[flopmeter::Component::Head] = 0;
                counts
            };
            prop_assert_eq!(without_head(decode), without_head(whole), "{}", name);
        }
    }

    #[test]
    fn a_batch_is_the_sum_of_its_sequences(batch in prop::collection::vec(sequences(), 1..5)) {
        for convention in Convention::of_requests() {
            for (name, model) in all_models() {
                let batch = fitting(&model, batch.clone());
                if !applies(&model, convention) {
                    continue;
                }
                let count = |sequences| model.flops(&workload(sequences), convention).expect("it fits").total;
                let each = batch.iter().flat_map(|sequence| {
                    (0..sequence.count).map(|_| Sequence { count: 1, ..*sequence })
                });
                let apart: u128 = each.map(|sequence| count(vec![sequence])).sum();
                prop_assert_eq!(count(batch.clone()), apart, "{} {}", name, convention.id);
            }
        }
    }

    #[test]
    fn components_and_explained_lines_sum_to_the_total(batch in prop::collection::vec(sequences(), 1..4), kv_cache: bool) {
        for convention in Convention::of_requests() {
            for (name, model) in all_models() {
                let mut work = batch.clone();
                if !kv_cache {
                    work.iter_mut().for_each(|sequence| sequence.cached = 0);
                }
                let mut work = workload(fitting(&model, work));
                if !kv_cache {
                    work = work.without_kv_cache().expect("nothing is cached");
                }
                if !applies(&model, convention) || (convention.is_formula() && !kv_cache) {
                    continue;
                }
                let flops = model.flops(&work, convention).expect("it fits");
                prop_assert_eq!(flops.components().total(), Some(flops.total));
                if convention.is_formula() {
                    // It has no products to explain.
                    continue;
                }
                let sections = model.explain(&work, convention).expect("it fits");
                let lines = sections.iter().flat_map(|section| &section.lines);
                let explained: u128 = lines.filter_map(|line| line.flops).sum();
                prop_assert_eq!(explained, flops.total, "{} {}", name, convention.id);
            }
        }
    }

    #[test]
    fn a_dtype_moves_bytes_and_never_flops(sequence in sequences()) {
        for (name, model) in all_models() {
            let work = workload(fitting(&model, vec![sequence]));
            let narrow = model.clone().with_dtype(Dtype::Fp8).with_cache_dtype(Dtype::Fp8);
            for convention in Convention::of_requests() {
                prop_assert_eq!(model.flops(&work, convention), narrow.flops(&work, convention));
            }
            let (wide, narrow) = (model.bytes(&work).expect("it fits"), narrow.bytes(&work).expect("it fits"));
            prop_assert_eq!(wide.weights, 2 * narrow.weights, "{}", name);
            prop_assert_eq!(wide.kv_cache, 2 * narrow.kv_cache, "{}", name);
        }
    }

    #[test]
    fn what_the_counter_counts_is_never_less_than_what_the_work_needs(sequence in sequences()) {
        for (name, model) in all_models() {
            let work = workload(fitting(&model, vec![sequence]));
            // Of a recurrence the counter sees the matrix products only.
            let count = |convention| {
                let flops = model.flops(&work, convention).expect("it fits");
                flops.total - flops.components()[flopmeter::Component::Recurrent]
            };
            prop_assert!(count(&Convention::TORCH) >= count(&Convention::MODEL), "{}", name);
        }
    }

    #[test]
    fn the_ideal_time_is_bounded_by_each_side_and_by_their_sum(batch in prop::collection::vec(sequences(), 1..4), peak in 1e3f64..1e9) {
        use flopmeter::units::{BytesPerSecond, FlopsPerSecond};
        let hardware = flopmeter::Hardware::new(FlopsPerSecond(peak), Some(BytesPerSecond(1e6)), 1).expect("hardware");
        for (name, model) in all_models() {
            let work = workload(fitting(&model, batch.clone()));
            let flops = model.flops(&work, &Convention::MODEL).expect("it fits");
            let bytes = model.bytes(&work).expect("it fits");
            for (phase, traffic) in Phase::ALL.into_iter().zip([bytes.prefill, bytes.decode]) {
                let ideal = model.ideal(&work, phase, &hardware).expect("it fits").expect("a bandwidth").seconds;
                let compute = flops.phase(phase).total().expect("it fits") as f64 / peak;
                // Whole bytes are rounded once a phase, the roofline's are not: a byte's leeway.
                let memory = (traffic.read + traffic.written) as f64 / 1e6;
                prop_assert!(ideal >= compute.max(memory - 4e-6) * (1.0 - 1e-9), "{} {}", name, phase.name());
                prop_assert!(ideal <= (compute + memory + 4e-6) * (1.0 + 1e-9), "{} {}", name, phase.name());
            }
        }
    }

    #[test]
    fn an_encoder_decoder_is_its_encoder_and_a_decoder(prompt in 0u64..60, decoder_prompt in 1u64..20, generate in 0u64..20) {
        let [.., (_, whole), (_, _), (_, encoder)] = &all_models()[..] else { panic!("three encoders") };
        for convention in [Convention::MODEL, Convention::TORCH] {
            let alone = encoder.flops(&Workload::request(prompt, 1), &convention).expect("it fits").total;
            let count = |generate| {
                let request = Workload::request(prompt, generate).with_decoder_prompt(decoder_prompt);
                whole.flops(&request, &convention).expect("it fits")
            };
            let flops = count(generate);
            prop_assert_eq!(flops.components()[flopmeter::Component::Encoder], alone);
            // Each token more attends to the source and to one position more of its own: 2 layers of 6 heads of 10.
            let more = count(generate + 2).total - count(generate + 1).total;
            let then = count(generate + 3).total - count(generate + 2).total;
            prop_assert_eq!(then - more, 2 * 2 * 2 * 6 * 10);
        }
    }

    #[test]
    fn a_source_costs_each_token_the_same(prompt in 1u64..60, more in 0u64..60, generate in 1u64..20) {
        let [.., (_, whole), (_, _), (_, _)] = &all_models()[..] else { panic!("three encoders") };
        let count = |prompt| {
            whole.flops(&Workload::request(prompt, generate), &Convention::MODEL).expect("it fits").decode
        };
        let longer = count(prompt + more).total().expect("it fits") - count(prompt).total().expect("it fits");
        // Scores and values of 2 layers, 6 heads of 10, for each pass after the first.
        prop_assert_eq!(longer, u128::from(more * (generate - 1)) * 2 * 2 * 2 * 6 * 10);
    }

    #[test]
    fn a_step_is_three_forward_passes_of_each_document(lengths in prop::collection::vec(1u64..60, 1..4), rows in 1u64..4) {
        for (name, model) in all_models() {
            // A choice has no gradient, nor has sound.
            let chooses = model.ops().any(|(op, _)| matches!(op, flopmeter::op::Op::Indexer(_)));
            if chooses || model.extractor().is_some() {
                continue;
            }
            let decodes = model.decoder_prompt(&Workload::request(1, 1)).is_some();
            let count = |lengths: &[u64], rows| {
                let step = Step::packed(lengths, rows).expect("a step");
                let step = if decodes { step.with_target(5) } else { step };
                let training = model.training(&step, &Convention::MODEL).expect("it can be trained");
                training.flops(&step).expect("it fits")
            };
            let flops = count(&lengths, rows);
            let forward = flops.forward.total().expect("it fits");
            prop_assert_eq!(flops.total, 3 * forward, "{}", name);
            let apart: u128 = lengths.iter().map(|length| count(&[*length], 1).total).sum();
            prop_assert_eq!(flops.total, apart * u128::from(rows), "{}", name);
        }
    }

    #[test]
    fn less_that_is_trained_never_costs_more(length in 1u64..60, layers in 0u64..4) {
        for (name, model) in all_models() {
            if !model.stacks().is_empty() {
                continue;
            }
            let count = |frozen| {
                let step = Step::new(length, 1).expect("a step").freezing(frozen);
                let training = model.training(&step, &Convention::MODEL).expect("it can be trained");
                training.flops(&step).expect("it fits")
            };
            let most = model.groups().iter().map(|group| group.layers.len() as u64).sum();
            let below = |layers: u64| Frozen::Below(layers.min(most));
            let [all, less, least] = [Frozen::Nothing, below(layers), below(layers + 1)].map(count);
            prop_assert!(all.total >= less.total && less.total >= least.total, "{}", name);
            prop_assert_eq!(all.forward, least.forward, "{}", name);
        }
    }

    #[test]
    fn the_largest_requests_end_in_a_count_or_an_error(prompt: u64, generate: u64, count in 1u64..) {
        for (_, model) in all_models() {
            let sequences = vec![Sequence { prompt, cached: 0, generate, count }];
            let work = workload(fitting(&model, sequences));
            for convention in Convention::of_requests() {
                let _ = model.flops(&work, convention);
                let _ = model.explain(&work, convention);
            }
            let _ = model.bytes(&work);
        }
    }
}
