//! What a decoder's class has in place of the head that tells tokens apart: `architectures` names it.

use crate::component::Component;
use crate::config::Config;
use crate::error::{Result, shown};
use crate::op::{Linear, Op, Rows};

/// What a decoder ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Its own head: it generates.
    Tokens,
    /// Nothing (`…Model`): its vectors are the result.
    Vectors,
    /// One of so many labels for the sequence, by its last token (`…ForSequenceClassification`: rewards, ranks).
    SequenceLabels(u64),
    /// One of so many labels for each token (`…ForTokenClassification`), or where an answer begins and ends
    /// (`…ForQuestionAnswering`).
    TokenLabels(u64),
}

impl Ending {
    /// The ending of the class that the config of a whole model names; a part's is its own.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) for labels that are no number, and for a class of rewards whose
    /// head no config describes.
    pub fn of(config: &Config) -> Result<Self> {
        let named = config.texts("architectures")?.unwrap_or_default();
        let Some(class) = named.first().filter(|_| !config.is_part()) else {
            return Ok(Self::Tokens);
        };
        let of = |end: &str| class.ends_with(end);
        let ending = match () {
            () if of("ForSequenceClassification") => Self::SequenceLabels(labels(config)?),
            () if of("ForTokenClassification") => Self::TokenLabels(labels(config)?),
            () if of("ForQuestionAnswering") => Self::TokenLabels(2),
            () if of("RewardModel") => {
                let fact = format!("names `{}`, whose head is not counted", shown(class));
                return Err(config
                    .contradiction("architectures", &fact)
                    .hint("name the class that ends with Model for the layers without a head, or with ForCausalLM for the model that generates"));
            }
            () if is_bare(class, config.model_type()) => Self::Vectors,
            () => Self::Tokens,
        };
        Ok(ending)
    }

    /// The ops of a model's end as its class has them.
    pub fn of_class(self, config: &Config, ops: Vec<Op>) -> Vec<Op> {
        let Some(Op::Linear(head)) = ops.iter().find(|op| samples(op)) else { return ops };
        let label = |labels| Linear::new("score", Component::Head, head.from, labels);
        let instead = match self {
            Self::Tokens => return ops,
            Self::Vectors => None,
            Self::SequenceLabels(labels) => Some(label(labels).sampled()),
            Self::TokenLabels(labels) => Some(label(labels).bias(true)),
        };
        config.note(match instead {
            None => "`architectures` names a class without a head: none is counted".into(),
            Some(head) => {
                format!(
                    "`architectures` names a class that labels: its head has {} outputs",
                    head.to
                )
            }
        });
        let of_head = |op: &Op| match op {
            Op::Vector(vector) => vector.module.starts_with("lm_head."),
            op => samples(op),
        };
        let rest = ops.into_iter().filter(|op| !of_head(op));
        rest.chain(instead.map(Op::from)).collect()
    }
}

/// Whether an op is a decoder's head; one that runs over every position is an encoder's.
pub(crate) fn samples(op: &Op) -> bool {
    match op {
        Op::Linear(op) => op.component == Component::Head && op.rows == Rows::Sampled,
        _ => false,
    }
}

/// Whether a class is a type's layers alone: `Qwen2MoeModel` of `qwen2_moe`. Other classes that end so may generate.
fn is_bare(class: &str, model_type: &str) -> bool {
    let Some(name) = class.strip_suffix("Model") else { return false };
    let letters = model_type.chars().filter(|letter| !matches!(letter, '_' | '-'));
    letters.eq(name.chars().map(|letter| letter.to_ascii_lowercase()))
}

/// How many labels a config knows: as many as it names, or 2 as every class has.
pub(crate) fn labels(c: &Config) -> Result<u64> {
    let named =
        c.raw("id2label").and_then(|value| value.as_object()).map(|names| names.len() as u64);
    match named.or(c.count("num_labels")?) {
        Some(labels) => Ok(labels),
        None => {
            c.note_default("id2label", "2 labels");
            Ok(2)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_bare;
    use crate::arch::testing::{error, model};
    use crate::{Convention, Workload};

    /// Two heads of 4, tied to nothing: embedding and head 10·8 each, a layer 4·8·8 + 3·8·12, two norms of 8 and a last.
    fn llama(class: &str, more: &str) -> String {
        format!(
            r#"{{"model_type": "llama", "hidden_size": 8, "num_hidden_layers": 1, "vocab_size": 10,
                "num_attention_heads": 2, "num_key_value_heads": 2, "intermediate_size": 12,
                "tie_word_embeddings": false, "dtype": "bfloat16", "architectures": ["{class}"]{more}}}"#
        )
    }

    #[test]
    fn a_class_without_a_head_has_none() {
        let layers = 80 + (4 * 64 + 3 * 96) + 3 * 8;
        let total = |class: &str, more: &str| model(&llama(class, more)).parameters().total;
        assert_eq!(total("LlamaForCausalLM", ""), layers + 80);
        assert_eq!(total("LlamaModel", ""), layers);
        // A reward is one label without a bias; each token's labels have one.
        assert_eq!(total("LlamaForSequenceClassification", r#", "num_labels": 1"#), layers + 8);
        let three = r#", "id2label": {"0": "a", "1": "b", "2": "c"}"#;
        assert_eq!(total("LlamaForTokenClassification", three), layers + 3 * 8 + 3);
        assert_eq!(total("LlamaForQuestionAnswering", ""), layers + 2 * 8 + 2);
    }

    #[test]
    fn an_embedding_model_has_the_size_of_its_files() {
        // intfloat/e5-mistral-7b-instruct: its safetensors hold this many, 32,000·4,096 fewer than Mistral-7B's.
        let e5 = r#"{"model_type": "mistral", "architectures": ["MistralModel"], "hidden_size": 4096,
            "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8,
            "intermediate_size": 14336, "vocab_size": 32000, "sliding_window": 4096, "tie_word_embeddings": false,
            "torch_dtype": "float16"}"#;
        assert_eq!(model(e5).parameters().total, 7_241_732_096 - 32_000 * 4096);
    }

    #[test]
    fn a_reward_is_made_once_and_nothing_is_generated() {
        let scores = model(&llama("LlamaForSequenceClassification", r#", "num_labels": 1"#));
        let bare = model(&llama("LlamaModel", ""));
        let total = |model: &crate::Model, convention: &Convention| {
            model.flops(&Workload::request(7, 1), convention).expect("a count").total
        };
        let (ours, torch) = (&Convention::MODEL, &Convention::TORCH);
        assert_eq!(total(&scores, ours) - total(&bare, ours), 2 * 8);
        assert_eq!(total(&scores, torch) - total(&bare, torch), 7 * 2 * 8);
        let refused = bare.flops(&Workload::request(7, 2), ours).expect_err("it generates");
        assert!(refused.to_string().contains("generates nothing"), "{refused}");
    }

    #[test]
    fn a_class_is_bare_if_it_is_its_types() {
        assert!(is_bare("Qwen2MoeModel", "qwen2_moe") && is_bare("OpenAIGPTModel", "openai-gpt"));
        for generates in ["GPT2LMHeadModel", "GPT2DoubleHeadsModel", "LlavaLlamaModel"] {
            assert!(!is_bare(generates, "gpt2") && !is_bare(generates, "llama"), "{generates}");
        }
        let refused = error(&llama("LlamaForRewardModel", ""));
        assert!(refused.contains("whose head is not counted"), "{refused}");
    }
}
