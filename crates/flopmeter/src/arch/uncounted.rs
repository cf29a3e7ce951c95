//! Types that are known and not counted, each with the reason: what a request costs does not follow from the config, or
//! no count here has the shape of what they do.

/// `model_type` and reason, which ends the sentence "it cannot be counted: …".
pub(super) const UNCOUNTED: &[(&str, &str)] = &[
    ("big_bird", "as a decoder it runs a pooler beside its head in every pass, which nothing uses"),
    ("blt", "how many patches its bytes make depends on which bytes they are"),
    ("cpmant", "it puts positions of its own before a prompt, which a request does not state"),
    ("diffusion_gemma", "it fills blocks of tokens over several steps instead of one token a pass"),
    (
        "gemma4_assistant",
        "it drafts for another model, whose keys and values it reads in place of its own",
    ),
    (
        "gemma4_unified_assistant",
        "it drafts for another model, whose keys and values it reads in place of its own",
    ),
    ("prophetnet", "it runs a stream for each of the next tokens beside the tokens"),
    ("reformer", "which keys a query meets depends on how they hash"),
    (
        "xlnet",
        "its tokens see what follows them, and a step of generation is a permutation of the sequence",
    ),
];

/// Why a type is not counted, if it is one of these.
pub(super) fn reason(model_type: &str) -> Option<&'static str> {
    UNCOUNTED.iter().find(|(known, _)| *known == model_type).map(|(_, reason)| *reason)
}

#[cfg(test)]
mod tests {
    use super::super::model_types;
    use super::super::testing::error;
    use super::{UNCOUNTED, reason};
    use serde_json::Value;

    #[test]
    fn a_reason_holds_only_for_what_is_not_counted() {
        for (model_type, _) in UNCOUNTED {
            assert!(model_types().all(|counted| counted != *model_type), "{model_type}");
        }
        assert!(UNCOUNTED.is_sorted());
    }

    #[test]
    fn every_causal_language_model_of_transformers_is_counted_or_has_a_reason() {
        let types: Value =
            serde_json::from_str(include_str!("../../tests/recorded/mappings.json")).expect("JSON");
        let causal = types["types"]["causal_lm"].as_array().expect("a list");
        assert!(causal.len() > 190);
        let neither: Vec<&str> = causal
            .iter()
            .map(|name| name.as_str().expect("a name"))
            .filter(|name| model_types().all(|counted| counted != *name) && reason(name).is_none())
            .collect();
        assert!(neither.is_empty(), "{neither:?}");
    }

    #[test]
    fn the_error_says_it() {
        assert_eq!(
            error(r#"{"model_type": "reformer"}"#),
            "`model_type`: \"reformer\" cannot be counted: which keys a query meets depends on how they hash; \
             the reference page `architectures` lists every type that is counted"
        );
    }
}
