//! Layers that predict further tokens: what a pass of the model proper does not run, and a draft is made by.
//!
//! ```text
//! [ norm of a token's embedding ∥ norm of the hidden state before it ] → 2·d to d → a layer as the model's → norm → head
//! ```
//!
//! DeepSeek-V3's report, section 2.2 (arXiv:2412.19437). Embedding and head are the model's own; files keep copies
//! of both, which are not counted.

use super::parts::{head, rms_norm, shared_table};
use crate::component::Component;
use crate::config::Config;
use crate::error::Result;
use crate::model::{Builder, Model};
use crate::op::{Linear, Op};

/// The model with the layers that `num_nextn_predict_layers` says it has, each with `layer` in it.
pub(super) fn with_prediction_layers(
    c: &Config,
    model: Model,
    hidden: u64,
    layer: Vec<Op>,
) -> Result<Model> {
    let Some(count) = c.count("num_nextn_predict_layers")?.filter(|count| *count > 0) else {
        return Ok(model);
    };
    let (vocab, index) = (c.size("vocab_size")?, c.size("num_hidden_layers")?);
    let mut one = Builder::new(c)?;
    one.once(
        "prediction",
        [
            shared_table("embed_tokens", vocab, hidden),
            rms_norm("enorm", hidden),
            rms_norm("hnorm", hidden),
            Linear::new("eh_proj", Component::EmbeddingProjections, 2 * hidden, hidden).into(),
        ],
    );
    one.layer(index, layer);
    one.once("head", [rms_norm("shared_head.norm", hidden), head(hidden, vocab, true).into()]);
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

    #[test]
    fn a_model_without_such_layers_drafts_not_by_itself() {
        let error = Speculation::with_prediction_layers(&model("gpt2"), 2, 0.5).expect_err("none");
        assert_eq!(error.kind(), ErrorKind::Speculation);
    }

    #[test]
    fn no_reference_implementation_runs_them() {
        let v3 = model("deepseek-ai/DeepSeek-V3");
        let speculation = Speculation::with_prediction_layers(&v3, 1, 0.85).expect("a layer");
        let request = Workload::request(100, 20);
        assert!(speculation.flops(&v3, &request, &Convention::MODEL).is_ok());
        let error = speculation.flops(&v3, &request, &Convention::TORCH).expect_err("nobody");
        assert_eq!(error.kind(), ErrorKind::Convention);
    }
}
