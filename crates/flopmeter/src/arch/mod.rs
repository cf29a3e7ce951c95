//! Config → Model, one file a family.

mod audio;
mod experts;
mod feed_forward;
mod hyper_connections;
mod parts;
mod prediction;
mod primes;
mod recurrent;
mod shapes;
mod task;
#[cfg(test)]
pub(crate) mod testing;
mod tower;
mod uncounted;
mod vision;

pub use audio::audio_tower_types;
pub use vision::tower_types;

use crate::config::Config;
use crate::error::{Error, ErrorKind, Result, shown};
use crate::model::Model;

/// An architecture family: the `model_type`s that it reads, and how.
#[derive(Debug, Clone, Copy)]
pub struct Family {
    /// The family's name, which is its file's.
    pub name: &'static str,
    /// The `model_type`s of config.json that it reads.
    pub model_types: &'static [&'static str],
    build: fn(&Config) -> Result<Model>,
}

macro_rules! architectures {
    ($($family:ident),+ $(,)?) => {
        $(mod $family;)+

        /// Every family.
        pub const FAMILIES: &[Family] = &[$(Family {
            name: stringify!($family),
            model_types: $family::MODEL_TYPES,
            build: $family::build,
        }),+];
    };
}

// The one list.
architectures! {
    afmoe,
    albert,
    apertus,
    aria,
    axk2,
    bailing_hybrid,
    bamba,
    bart,
    beam,
    bert,
    big_bird,
    biogpt,
    bitnet,
    bloom,
    chameleon,
    clip,
    cohere,
    cohere_moe,
    convbert,
    ctrl,
    cwm,
    dbrx,
    deberta,
    deepseek,
    deepseek_sparse,
    deepseek_v4,
    diffllama,
    distilbert,
    doge,
    dory,
    dots,
    dots3_note,
    electra,
    ernie_moe,
    ernie_vl,
    esm,
    eurobert,
    exaone4,
    exaone_moe,
    falcon,
    flint,
    fsmt,
    gemma,
    gemma3n,
    gemma4,
    git,
    glm,
    glm_moe,
    gpt2,
    gpt_neo,
    gpt_neox,
    gpt_oss,
    gptj,
    granite_hybrid,
    helium,
    hrm,
    hunyuan3,
    hunyuan_moe,
    hy_v4,
    hyperclovax,
    inkling,
    inkling2,
    jamba,
    jetmoe,
    kimi_linear,
    kolibri,
    laguna,
    lara,
    lfm2,
    llama,
    llama4,
    longcat,
    longformer,
    longt5,
    mamba,
    mimo,
    minicpm3,
    minimax,
    minimax_m3,
    mistral,
    mistral_large4,
    mixtral,
    mobilebert,
    mllama,
    modernbert,
    molmo2,
    moonshine,
    moshi,
    mpnet,
    mpt,
    multimodal,
    muse,
    musicgen,
    nanochat,
    nemotron,
    nemotron_h,
    olmo,
    olmo_hybrid,
    olmoe,
    opt,
    pegasus_x,
    phi,
    phi3,
    qwen,
    qwen4,
    qwen_moe,
    qwen_next,
    qwen_omni,
    qwen_vl,
    recurrent_gemma,
    roc_bert,
    rotary_bert,
    rwkv,
    smollm3,
    speech_to_text,
    squeezebert,
    stablelm,
    starcoder2,
    step,
    t5,
    t5gemma,
    vit,
    xlm,
    xlstm,
    xmod,
    zamba,
    zaya,
}

/// Every `model_type` that is counted.
pub fn model_types() -> impl Iterator<Item = &'static str> {
    FAMILIES.iter().flat_map(|family| family.model_types.iter().copied())
}

/// Builds the model of a config.
pub(crate) fn build(config: &Config) -> Result<Model> {
    let name = config.model_type();
    if name.is_empty() {
        // A number or a list is no type either, and the reader says so.
        config.text("model_type")?;
        return Err(Error::new(ErrorKind::Architecture, "`model_type`", "is missing")
            .hint("give the whole config.json; it states the model's type"));
    }
    let family = FAMILIES.iter().find(|family| family.model_types.contains(&name));
    match (family, config.weights()) {
        (Some(family), _) if !config.is_by_shapes() => (family.build)(config),
        (_, Some(weights)) => shapes::build(config, weights),
        _ => Err(not_counted(name)),
    }
}

fn not_counted(name: &str) -> Error {
    let (fact, near) = match uncounted::of_type(name) {
        Some(known) => {
            (format!("\"{name}\" cannot be counted: {}", known.reason), Some(known.like))
        }
        None => (format!("\"{}\" is not counted yet", shown(name)), nearest(name)),
    };
    let hint = match near {
        Some(near) => format!("the nearest that is: \"{near}\""),
        None => "the reference page `architectures` lists every type that is".into(),
    };
    Error::new(ErrorKind::Architecture, "`model_type`", fact)
        .hint(hint)
        .hint("or give the model's weights: their shapes would do")
}

/// How alike two names are that may be meant for each other; 1 is the same.
const NEAR: f64 = 0.8;

/// The counted type whose name is most like this one, if one is like it.
fn nearest(name: &str) -> Option<&'static str> {
    let name = name.chars().take(64).collect::<String>().to_lowercase();
    model_types()
        .map(|known| (strsim::jaro_winkler(&name, known), known))
        .filter(|(likeness, _)| *likeness >= NEAR)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::testing::{error, fact, model, notes};

    /// A decoder of two layers in the spelling that most types share.
    fn decoder(model_type: &str, more: &str) -> String {
        format!(
            r#"{{"model_type": "{model_type}", "hidden_size": 64, "intermediate_size": 96,
                "num_hidden_layers": 2, "num_attention_heads": 8, "vocab_size": 100,
                "dtype": "bfloat16"{more}}}"#
        )
    }

    /// The same in GPT-2's spelling.
    fn older(model_type: &str, more: &str) -> String {
        format!(
            r#"{{"model_type": "{model_type}", "n_embd": 64, "n_layer": 2, "n_head": 8,
                "vocab_size": 100, "dtype": "bfloat16"{more}}}"#
        )
    }

    #[test]
    fn a_default_that_sets_a_size_is_noted_and_nothing_else_is() {
        let stated = r#", "num_key_value_heads": 2, "head_dim": 8, "tie_word_embeddings": true"#;
        let untied = r#", "tie_word_embeddings": false"#;
        for (class, config, expected) in [
            ("llama", decoder("llama", stated), &[][..]),
            (
                "llama",
                decoder("llama", ""),
                &["`num_key_value_heads` 8", "`head_dim` 8", "`tie_word_embeddings` false"],
            ),
            (
                "llama",
                decoder("llama", &format!(r#", "num_key_value_heads": null{untied}"#)),
                &["`num_key_value_heads` is null 8", "`head_dim` 8"],
            ),
            (
                "gemma",
                decoder("gemma", r#", "num_key_value_heads": null, "head_dim": 16"#),
                &["`num_key_value_heads` is null 8", "`tie_word_embeddings` true"],
            ),
            (
                "mistral",
                decoder("mistral", r#", "head_dim": null"#),
                &[
                    "`num_key_value_heads` 8",
                    "`head_dim` is null 8",
                    "`sliding_window` 4096",
                    "`tie_word_embeddings` false",
                ],
            ),
            (
                "cohere2",
                decoder("cohere2", stated),
                &["`sliding_window` 4096", "`sliding_window_pattern` 4"],
            ),
            ("cohere2", decoder("cohere2", &format!(r#", "sliding_window": null{stated}"#)), &[]),
            (
                "exaone4",
                decoder("exaone4", &format!(r#", "sliding_window": 16{stated}"#)),
                &["`sliding_window_pattern` 4"],
            ),
            (
                "qwen2",
                decoder(
                    "qwen2",
                    &format!(r#", "use_sliding_window": true, "sliding_window": 16{stated}"#),
                ),
                &["`max_window_layers` 28"],
            ),
            ("qwen2", decoder("qwen2", stated), &[]),
            ("smollm3", decoder("smollm3", stated), &[]),
            ("phi3", decoder("phi3", stated), &[]),
            (
                "phi",
                decoder("phi", ""),
                &["`num_key_value_heads` 8", "`head_dim` 8", "`tie_word_embeddings` false"],
            ),
            (
                "falcon",
                decoder("falcon", ""),
                &[
                    "`new_decoder_architecture` false",
                    "`multi_query` true",
                    "`ffn_hidden_size` 256",
                    "`tie_word_embeddings` true",
                ],
            ),
            (
                "falcon",
                decoder("falcon", &format!(r#", "new_decoder_architecture": true{stated}"#)),
                &["`num_kv_heads` 8", "`ffn_hidden_size` 256", "`num_ln_in_parallel_attn` 2"],
            ),
            (
                "gpt2",
                older("gpt2", r#", "n_inner": null"#),
                &["`n_inner` is null 256", "`n_positions` 1024", "`tie_word_embeddings` true"],
            ),
            (
                "gpt_bigcode",
                older("gpt_bigcode", r#", "n_inner": 256, "n_positions": 32"#),
                &["`multi_query` true", "`tie_word_embeddings` true"],
            ),
            ("gptj", older("gptj", untied), &["`n_inner` 256"]),
            ("codegen", older("codegen", untied), &["`n_inner` 256"]),
            (
                "phi-msft",
                older("phi-msft", &format!(r#", "n_head_kv": null{untied}"#)),
                &["`n_head_kv` is null 8", "`head_dim` 8", "`n_inner` 256"],
            ),
            (
                "opt",
                decoder("opt", &format!(r#", "ffn_dim": 96, "max_position_embeddings": 32{untied}"#)),
                &["`word_embed_proj_dim` 64"],
            ),
            (
                "mpt",
                r#"{"model_type": "mpt", "d_model": 64, "n_heads": 8, "n_layers": 2, "vocab_size": 100,
                    "dtype": "bfloat16"}"#
                    .into(),
                &["`expansion_ratio` 4", "`tie_word_embeddings` true"],
            ),
            ("bloom", decoder("bloom", ""), &["`tie_word_embeddings` true"]),
            (
                "dbrx",
                r#"{"model_type": "dbrx", "d_model": 64, "n_heads": 8, "n_layers": 2,
                    "vocab_size": 100, "dtype": "bfloat16", "attn_config": {"model_type": ""},
                    "ffn_config": {"ffn_hidden_size": 96, "moe_num_experts": 8}}"#
                    .into(),
                &[
                    "`attn_config.kv_n_heads` 1",
                    "`tie_word_embeddings` false",
                    "`ffn_config.moe_top_k` 1",
                ],
            ),
            (
                "llama",
                format!(
                    r#"{{"model_type": "llava", "text_config": {}, "tie_word_embeddings": false}}"#,
                    decoder("llama", r#", "num_key_value_heads": 2"#)
                ),
                &["`text_config.head_dim` 8", "`vision_config`: only the text part is counted"],
            ),
        ] {
            assert_eq!(notes(&model(&config), class), expected, "{config}");
        }
        assert_eq!(
            model(&decoder("llama", &format!(r#", "num_key_value_heads": 2{untied}"#))).notes(),
            ["`head_dim` is absent; the reference implementation of `llama` takes 8"]
        );
    }

    #[test]
    fn heads_that_do_not_divide_are_an_error_at_a_key_that_the_file_has() {
        let seven = |name: &str| decoder(name, "").replace("_heads\": 8", "_heads\": 7");
        assert_eq!(
            error(&seven("mistral")),
            "`num_attention_heads`: 7 query heads cannot share 8 key/value heads evenly; \
             `num_key_value_heads` is absent, for which the reference implementation takes 8: state it"
        );
        assert_eq!(
            fact(&seven("llama")),
            "`num_attention_heads`: 7 heads do not divide the width 64 evenly"
        );
        assert_eq!(
            error(&older("phi-msft", r#", "n_head_kv": 3"#)),
            "`n_head_kv`: 8 query heads cannot share 3 key/value heads evenly; check `n_head`"
        );
    }

    #[test]
    fn sizes_that_are_none_come_with_what_a_size_is() {
        let with = |size: &str| error(&decoder("llama", &format!(r#", "head_dim": {size}"#)));
        for (size, expected) in [
            ("0", "is 0, which is no size"),
            ("-8", "is -8, not a whole number above zero"),
            ("0.5", "is 0.5, not a whole number above zero"),
            ("16777217", "is 16777217; the largest size that is believed is 16777216"),
            ("1e300", "is 1e+300; the largest size that is believed is 16777216"),
            ("true", "is true, not a whole number"),
        ] {
            let expected =
                format!("`head_dim`: {expected}; a size is a whole number from 1 to 16777216");
            assert_eq!(with(size), expected);
        }
        assert_eq!(
            with("32.0"),
            "`head_dim`: is 32.0; a size is written without a fraction; write 32"
        );
        assert_eq!(
            error(
                r#"{"model_type": "dbrx", "d_model": 64, "n_heads": 8, "n_layers": 2,
                    "vocab_size": 100, "attn_config": {}, "ffn_config": {}}"#
            ),
            "`ffn_config.ffn_hidden_size`: is missing; a config of type `dbrx` states it"
        );
    }

    #[test]
    fn a_near_type_is_offered_and_a_far_one_is_not() {
        let hint = |name: &str| {
            let error = error(&decoder(name, ""));
            let hints = error.split_once("; ").expect("a hint").1;
            let (near, weights) = hints.split_once("; or ").expect("two hints");
            assert_eq!(weights, "give the model's weights: their shapes would do");
            near.to_owned()
        };
        assert_eq!(hint("LLaMA"), "the nearest that is: \"llama\"");
        assert_eq!(hint("qwen3_mo"), "the nearest that is: \"qwen3_moe\"");
        for far in ["sound", "wave", "模型"] {
            assert_eq!(hint(far), "the reference page `architectures` lists every type that is");
        }
    }
}
