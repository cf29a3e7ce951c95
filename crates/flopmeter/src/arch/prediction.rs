//! Layers that predict further tokens: what a pass of the model proper does not run, and a draft is made by.
//!
//! ```text
//! [ norm of a token's embedding ∥ norm of the hidden state before it ] → 2·d to d → a layer as the model's → norm → head
//! ```
//!
//! DeepSeek-V3's report, section 2.2 (arXiv:2412.19437). Embedding and head are the model's own; files keep copies
//! of both, which are not counted. Others call the parts otherwise, and ERNIE's last norm is the model's own, too.

use super::parts::{head, rms_norm, shared_table};
use crate::component::Component;
use crate::config::Config;
use crate::error::Result;
use crate::model::{Builder, Model};
use crate::op::{Linear, Op};

/// What files call the norms of embedding and hidden state, what joins the two, and the norm before the head where it is
/// the layer's own.
pub(super) struct Names {
    norms: [&'static str; 2],
    projection: &'static str,
    last: Option<&'static str>,
}

const DEEPSEEK: Names =
    Names { norms: ["enorm", "hnorm"], projection: "eh_proj", last: Some("shared_head.norm") };
const QWEN: Names = Names {
    norms: ["pre_fc_norm_embedding", "pre_fc_norm_hidden"],
    projection: "fc",
    last: Some("norm"),
};
pub(super) const MIMO: Names = Names {
    norms: ["token_layernorm", "hidden_layernorm"],
    projection: "input_proj",
    last: Some("final_layernorm"),
};
pub(super) const NEMOTRON: Names =
    Names { norms: ["enorm", "hnorm"], projection: "eh_proj", last: Some("final_layernorm") };
pub(super) const ERNIE: Names =
    Names { norms: ["mtp_emb_norm", "mtp_hidden_norm"], projection: "mtp_linear_proj", last: None };

/// The model with the layers that `num_nextn_predict_layers` says it has, each with `layer` in it.
pub(super) fn with_prediction_layers(
    c: &Config,
    model: Model,
    hidden: u64,
    layer: Vec<Op>,
) -> Result<Model> {
    let count = c.count("num_nextn_predict_layers")?;
    with_layers(c, model, hidden, count, &DEEPSEEK, layer)
}

/// The same as the files of Qwen3-Next and Qwen3.5 have it: one layer, which the config of the former leaves out.
/// Several would share what is around them, and are not counted; neither is one with an embedding of its own.
pub(super) fn with_qwens_layer(
    c: &Config,
    model: Model,
    hidden: u64,
    layer: Vec<Op>,
) -> Result<Model> {
    let own_embedding = c.flag("mtp_use_dedicated_embeddings", false)?;
    let count = match c.count("mtp_num_hidden_layers")? {
        None => c.count("num_nextn_predict_layers")?,
        stated => stated,
    };
    let count = count.filter(|count| *count == 1 && !own_embedding);
    with_layers(c, model, hidden, count, &QWEN, layer)
}

/// The model with `count` layers whose parts are called so.
pub(super) fn with_layers(
    c: &Config,
    model: Model,
    hidden: u64,
    count: Option<u64>,
    names: &Names,
    layer: Vec<Op>,
) -> Result<Model> {
    let first = vec![
        rms_norm(names.norms[0], hidden),
        rms_norm(names.norms[1], hidden),
        Linear::new(names.projection, Component::EmbeddingProjections, 2 * hidden, hidden).into(),
    ];
    let last = names.last.map(|last| rms_norm(last, hidden));
    with_made(c, model, hidden, count, [first, layer, last.into_iter().collect()])
}

/// The model with `count` layers, each of what joins a token's embedding with the hidden state before it, what a layer of
/// the model has, and what stands before the head.
pub(super) fn with_made(
    c: &Config,
    model: Model,
    hidden: u64,
    count: Option<u64>,
    [first, layer, last]: [Vec<Op>; 3],
) -> Result<Model> {
    let Some(count) = count.filter(|count| *count > 0) else { return Ok(model) };
    let vocab = c.size("vocab_size")?;
    // Of some the layers are counted from a list.
    let index = c.maybe("num_hidden_layers")?.unwrap_or(0);
    let mut one = Builder::new(c)?;
    one.once("prediction", [shared_table("embed_tokens", vocab, hidden)].into_iter().chain(first));
    one.layer(index, layer);
    one.head(last.into_iter().chain([head(hidden, vocab, true).into()]))?;
    Ok(model.with_prediction(one.part()?, count))
}

#[cfg(test)]
mod tests {
    use crate::{Builtin, Convention, ErrorKind, Model, Speculation, Workload};

    fn model(name: &str) -> Model {
        Builtin::find(name).expect("a row").model().expect("a model")
    }

    #[test]
    fn deepseek_v3s_layer_has_the_published_parameters() {
        // Attention and two norms 187,107,328 + 2·7168, router 7168·256, experts 257·3·7168·2048, projection
        // 14,336·7168, norms of embedding, hidden state and head 3·7168.
        let experts: u128 = 7168 * 256 + 257 * 3 * 7168 * 2048;
        let layer = 187_107_328 + 2 * 7168 + experts + 14_336 * 7168 + 3 * 7168;
        // "11.5B unique parameters, excluding the shared 0.9B Embedding and 0.9B output Head".
        assert_eq!(layer, 11_610_067_968);
        let v3 = model("deepseek-ai/DeepSeek-V3");
        let speculation = Speculation::with_prediction_layers(&v3, 1, 0.85).expect("a layer");
        assert_eq!(speculation.draft().parameters().total, layer);
        // The files on the Hub hold 3,918,786,560 elements in bf16 and 680,571,043,840 in fp8: the model, the layer,
        // and a copy of embedding and head. Scales and corrections are in fp32.
        let copies = 2 * 129_280 * 7168;
        let stored = v3.parameters().total + layer + copies;
        assert_eq!(stored, 3_918_786_560 + 680_571_043_840);
    }

    /// The parameters of a layer of a config.
    fn layer(config: &str) -> u128 {
        let model = super::super::testing::model(config);
        let speculation = Speculation::with_prediction_layers(&model, 1, 0.5).expect("a layer");
        speculation.draft().parameters().total
    }

    #[test]
    fn deepseek_v32s_layer_has_an_indexer_of_its_own() {
        // V3's layer, and 1536·64·128 + 7168·128 + 2·128 + 7168·64.
        let indexer = 1536 * 64 * 128 + 7168 * 128 + 2 * 128 + 7168 * 64;
        let v32 = model("nvidia/DeepSeek-V3.2-NVFP4");
        let speculation = Speculation::with_prediction_layers(&v32, 1, 0.85).expect("a layer");
        let layer = 11_610_067_968 + indexer;
        assert_eq!(speculation.draft().parameters().total, layer);
        // DeepSeek-V3.2's files hold 685,396,921,376 elements: with the copies of embedding and head, the 41,555,600
        // of V3 in fp32, and a scale for each block of 128² of 62 indexers, 12·64 + 56.
        let stored = v32.parameters().total + layer + 2 * 129_280 * 7168;
        assert_eq!(stored + 41_555_600 + 62 * (12 * 64 + 56), 685_396_921_376);
    }

    #[test]
    fn glm_flashs_layer_is_of_experts() {
        let flash = r#"{"model_type": "glm4_moe_lite", "hidden_size": 2048, "num_hidden_layers": 47, "vocab_size": 154880,
            "intermediate_size": 10240, "moe_intermediate_size": 1536, "n_routed_experts": 64, "num_experts_per_tok": 4,
            "n_shared_experts": 1, "num_attention_heads": 20, "q_lora_rank": 768, "kv_lora_rank": 512,
            "qk_nope_head_dim": 192, "qk_rope_head_dim": 64, "v_head_dim": 256, "num_nextn_predict_layers": 1}"#;
        let queries = 2048 * 768 + 768 + 768 * 20 * (192 + 64);
        let keys_and_values = 2048 * (512 + 64) + 512 + 512 * 20 * (192 + 256);
        let attention: u128 = queries + keys_and_values + 20 * 256 * 2048;
        let experts = 2048 * 64 + 65 * 3 * 2048 * 1536;
        assert_eq!(layer(flash), attention + experts + 2 * 2048 + 4096 * 2048 + 3 * 2048);
    }

    #[test]
    fn qwen3_nexts_layer_attends() {
        // q with its gate, k and v, out, norms of heads; router, 512 experts, the shared one and its gate; two norms.
        let attention: u128 = 2048 * 8192 + 2 * 2048 * 512 + 4096 * 2048 + 2 * 256;
        let experts = 2048 * 512 + 513 * 3 * 2048 * 512 + 2048;
        let layer = attention + experts + 2 * 2048 + 4096 * 2048 + 3 * 2048;
        let next = model("Qwen/Qwen3-Next-80B-A3B-Instruct");
        let speculation = Speculation::with_prediction_layers(&next, 1, 0.8).expect("a layer");
        assert_eq!(speculation.draft().parameters().total, layer);
        // Its files hold 81,324,862,720.
        assert_eq!(next.parameters().total + layer, 81_324_862_720);
        // Qwen3.5-9B's is dense: 3·4096·12288.
        let attention: u128 = 4096 * 8192 + 2 * 4096 * 1024 + 4096 * 4096 + 2 * 256;
        let dense = attention + 3 * 4096 * 12288 + 2 * 4096 + 8192 * 4096 + 3 * 4096;
        let qwen = model("Qwen/Qwen3.5-9B");
        let speculation = Speculation::with_prediction_layers(&qwen, 1, 0.8).expect("a layer");
        assert_eq!(speculation.draft().parameters().total, dense);
    }

    #[test]
    fn mimos_layer_is_one_of_its_own_kind() {
        // q and out 2·4096², k and v 2·4096·1024 with biases, 3·4096·11008, two norms.
        let attention: u128 = 2 * 4096 * 4096 + 2 * 4096 * 1024 + 4096 + 2 * 1024;
        let layer = attention + 3 * 4096 * 11008 + 2 * 4096 + 8192 * 4096 + 3 * 4096;
        let mimo = model("XiaomiMiMo/MiMo-7B-Base");
        let speculation = Speculation::with_prediction_layers(&mimo, 1, 0.9).expect("a layer");
        assert_eq!(speculation.draft().parameters().total, layer);
        // Its files hold 7,833,409,536.
        assert_eq!(mimo.parameters().total + layer, 7_833_409_536);
    }

    #[test]
    fn mimo_v2s_layers_slide_and_are_dense() {
        let flash = r#"{"model_type": "mimo_v2_flash", "hidden_size": 4096, "num_hidden_layers": 48, "vocab_size": 152576,
            "intermediate_size": 16384, "moe_intermediate_size": 2048, "n_routed_experts": 256, "num_experts_per_tok": 8,
            "num_attention_heads": 64, "num_key_value_heads": 4, "head_dim": 192, "v_head_dim": 128,
            "num_nextn_predict_layers": 3}"#;
        // Sliding layers have 8 heads of keys, and a sink for each query.
        let attention: u128 = 4096 * (64 * 192 + 8 * 192 + 8 * 128) + 64 * 128 * 4096 + 64;
        let counted = attention + 3 * 4096 * 16384 + 2 * 4096 + 8192 * 4096 + 3 * 4096;
        assert_eq!(layer(flash), counted);
        // "0.33B parameters per block" in its model card.
        assert_eq!(counted / 10_000_000, 32);
        assert_eq!((counted + 5_000_000) / 10_000_000, 33);
    }

    #[test]
    fn ernies_layer_is_dense_and_shares_the_last_norm() {
        let ernie = r#"{"model_type": "ernie4_5_moe", "hidden_size": 2560, "intermediate_size": 12288,
            "moe_intermediate_size": 1536, "moe_k": 6, "moe_num_experts": 64, "moe_num_shared_experts": 2,
            "moe_layer_start_index": 1, "moe_layer_interval": 1, "num_hidden_layers": 28, "num_attention_heads": 20,
            "num_key_value_heads": 4, "tie_word_embeddings": true, "vocab_size": 103424, "num_nextn_predict_layers": 1}"#;
        let attention: u128 = 2 * 2560 * 2560 + 2 * 2560 * 512;
        let counted = attention + 3 * 2560 * 12288 + 2 * 2560 + 5120 * 2560 + 2 * 2560;
        assert_eq!(layer(ernie), counted);
    }

    #[test]
    fn glm_5_2s_layer_has_an_indexer_where_others_share_one() {
        let experts: u128 = 6144 * 256 + 257 * 3 * 6144 * 2048;
        let attention = 6144 * 2048 + 2048 * 16_384 + 6144 * 576 + 512 * 28_672 + 16_384 * 6144;
        let indexer = 2048 * 4096 + 6144 * 128 + 2 * 128 + 6144 * 32;
        let norms = 2 * 6144 + 2048 + 512;
        let layer = experts + attention + indexer + norms + 12_288 * 6144 + 3 * 6144;
        let glm = model("zai-org/GLM-5.2");
        let speculation = Speculation::with_prediction_layers(&glm, 1, 0.8).expect("a layer");
        assert_eq!(speculation.draft().parameters().total, layer);
        // The FP8 files hold 751,226,191,872 elements in fp8 and 2,103,729,152 in bf16.
        assert_eq!(glm.parameters().total + layer, 751_226_191_872 + 2_103_729_152);
    }

    #[test]
    fn deepseek_v4s_layer_joins_every_stream() {
        let flash = model("deepseek-ai/DeepSeek-V4-Flash");
        let speculation = Speculation::with_prediction_layers(&flash, 1, 0.8).expect("a layer");
        let (d, hc) = (4096_u128, 4_u128);
        let draft = speculation.draft();
        // Of the embedding one product of d², of the hidden state one for each stream with one matrix.
        let step = crate::Sequence { prompt: 10, cached: 10, generate: 2, count: 1 };
        let step = Workload::batch(vec![step]).expect("a step");
        let counts = draft.flops(&step, &Convention::MODEL).expect("a count").decode;
        assert_eq!(counts[crate::Component::EmbeddingProjections], (1 + hc) * 2 * d * d);
        // It attends to a window alone: a layer of the model less what stands beside it, and 2·d² + 4·d + the head's
        // streams 4·d·4 + 4 + 1.
        let layer = draft.parameters().total - 2 * d * d - 3 * d - (hc * d * hc + hc + 1);
        let [first, ..] = flash.groups() else { panic!("groups") };
        assert_eq!(first.name, "embedding");
        let window =
            flash.groups().iter().find(|group| group.layers.first() == Some(&0)).expect("a layer");
        let window: u128 = window.ops.iter().map(crate::op::Op::parameters).sum();
        assert_eq!(layer, window);
    }

    #[test]
    fn nemotron_3s_layer_attends_and_then_has_experts() {
        let super_ = model("nvidia/NVIDIA-Nemotron-3-Super-120B-A12B-NVFP4");
        let speculation = Speculation::with_prediction_layers(&super_, 1, 0.8).expect("a layer");
        // q and out 2·4096·4096, k and v 2·4096·256; router 4096·512, to and from the latent 2·4096·1024, 512 experts of
        // 2·1024·2688, one for every token of 2·4096·5376; a norm each.
        let attention: u128 = 2 * 4096 * 4096 + 2 * 4096 * 256;
        let experts = 4096 * 512 + 2 * 4096 * 1024 + 512 * 2 * 1024 * 2688 + 2 * 4096 * 5376;
        let layer = attention + experts + 2 * 4096 + 8192 * 4096 + 3 * 4096;
        assert_eq!(speculation.draft().parameters().total, layer);
    }

    #[test]
    fn a_model_without_such_layers_drafts_not_by_itself() {
        let error = Speculation::with_prediction_layers(&model("gpt2"), 2, 0.5).expect_err("none");
        assert_eq!(error.kind(), ErrorKind::Speculation);
        assert!(error.to_string().contains("`gpt2`"), "{error}");
    }

    #[test]
    fn how_the_reference_implementation_drafts_is_not_counted() {
        let v3 = model("deepseek-ai/DeepSeek-V3");
        let speculation = Speculation::with_prediction_layers(&v3, 1, 0.85).expect("a layer");
        let request = Workload::request(100, 20);
        assert!(speculation.flops(&v3, &request, &Convention::MODEL).is_ok());
        let error = speculation.flops(&v3, &request, &Convention::TORCH).expect_err("nobody");
        assert_eq!(error.kind(), ErrorKind::Convention);
    }
}
