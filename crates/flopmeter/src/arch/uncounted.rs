//! Types that are known and not counted, each with the reason: what a request costs does not follow from the config, no
//! count here has the shape of what they do, or nobody has recorded what they multiply.

/// Types that are not counted for one reason.
pub(super) struct Uncounted {
    /// The counted type that is nearest in what it does.
    pub like: &'static str,
    /// The end of the sentence "it cannot be counted: …".
    pub reason: &'static str,
    model_types: &'static [&'static str],
}

const fn of(
    model_types: &'static [&'static str],
    like: &'static str,
    reason: &'static str,
) -> Uncounted {
    Uncounted { like, reason, model_types }
}

/// By what they are: decoders, encoders of text, pairs of an encoder and a decoder, what sees, what hears.
const UNCOUNTED: &[Uncounted] = &[
    of(&["blt"], "llama", "how many patches its bytes make depends on which bytes they are"),
    of(
        &["cpmant"],
        "llama",
        "it puts positions of its own before a prompt, which a request does not state",
    ),
    of(
        &["diffusion_gemma"],
        "gemma3",
        "it fills blocks of tokens over several steps instead of one token a pass",
    ),
    of(
        &["gemma4_assistant", "gemma4_unified_assistant"],
        "gemma4",
        "it drafts for another model, whose keys and values it reads in place of its own",
    ),
    of(&["reformer"], "gpt2", "which keys a query meets depends on how they hash"),
    of(
        &["xlnet"],
        "gpt2",
        "its tokens see what follows them, and a step of generation is a permutation of the sequence",
    ),
    of(
        &["pi0"],
        "paligemma",
        "it makes an action in steps that follow a flow, not tokens one by one",
    ),
    of(
        &["glm5_next"],
        "kimi_linear",
        "its layers of linear attention within streams of the residual were never recorded here",
    ),
    of(&["muse_spark"], "muse_glimmer", "its gates of the residual were never recorded here"),
    // Encoders of text.
    of(
        &["fnet"],
        "bert",
        "it mixes tokens by Fourier transforms, which are no products of matrices",
    ),
    of(
        &["canine"],
        "bert",
        "it reads characters, which it hashes, and shortens the sequence by convolutions that were never recorded here",
    ),
    of(&["mra", "yoso"], "roberta", "which keys a query meets depends on what they are"),
    of(
        &["funnel"],
        "bert",
        "it pools its tokens between layers, and with them what attention is multiplied by",
    ),
    of(
        &["nystromformer"],
        "bert",
        "it attends through landmarks, whose inverse it approximates in steps that were never recorded here",
    ),
    of(
        &["luke", "splinter", "tapas"],
        "bert",
        "it reads marks of the text (entities, questions, cells of a table) that a request does not state",
    ),
    of(
        &["bros", "layoutlmv2", "layoutlmv3", "lilt", "markuplm", "udop", "vilt"],
        "bert",
        "it reads where each word stands on a page or what is around it, which a request does not state",
    ),
    of(&["esmc"], "esm", "the class was never recorded here"),
    of(
        &["modernvbert", "neomme", "ultrabert", "ultravbert"],
        "modernbert",
        "the class was never recorded here",
    ),
    of(&["openai_privacy_filter"], "gpt_oss", "its window reaches to both sides of a token"),
    of(
        &["perceiver"],
        "bert",
        "its latents attend to inputs of any kind, whose number the config does not state",
    ),
    // An encoder and a decoder.
    of(
        &["encoder-decoder", "speech-encoder-decoder", "vision-encoder-decoder"],
        "bart",
        "it is a pair of any two models, each of which is counted by itself",
    ),
    of(&["prophetnet"], "bart", "it runs a stream for each of the next tokens beside the tokens"),
    of(
        &["t5gemma2"],
        "t5gemma",
        "its decoder attends to its own tokens and to the encoder's in one product",
    ),
    // What sees.
    of(
        &["blip", "kosmos-2", "kosmos-2.5", "pix2struct", "pp_formulanet"],
        "git",
        "its decoder attends to what its tower sees through layers that were never recorded here",
    ),
    of(
        &["instructblip", "instructblipvideo"],
        "blip-2",
        "queries of its own attend to an image and to the text, how much of which they read a request does not state",
    ),
    of(
        &["deepseek_ocr2", "unlimited_ocr"],
        "deepseek_v2",
        "its tower joins two encoders of an image, and its text part keeps what refers to it in windows of its own",
    ),
    of(&["evolla"], "llama", "it reads a protein beside the text, which a request does not state"),
    of(
        &["florence2"],
        "bart",
        "its tower attends within windows and within channels, stage by stage",
    ),
    of(
        &["idefics"],
        "llama",
        "layers between those of its text part attend to what its tower sees",
    ),
    of(
        &[
            "align",
            "altclip",
            "chinese_clip",
            "clipseg",
            "colmodernvbert",
            "colpali",
            "metaclip_2",
            "siglip2",
            "tipsv2",
            "tipsv2_text_model",
            "videoprism",
        ],
        "clip",
        "it compares an image with a text and generates nothing, and the class was never recorded here",
    ),
    of(
        &[
            "beit",
            "bit",
            "convnext",
            "convnextv2",
            "cvt",
            "data2vec-vision",
            "dinat",
            "donut-swin",
            "efficientnet",
            "focalnet",
            "hgnet_v2",
            "hiera",
            "ijepa",
            "imagegpt",
            "levit",
            "mobilenet_v1",
            "mobilenet_v2",
            "mobilevit",
            "mobilevitv2",
            "poolformer",
            "pp_lcnet",
            "pvt",
            "pvt_v2",
            "regnet",
            "resnet",
            "segformer",
            "swiftformer",
            "swin",
            "swinv2",
            "textnet",
            "timm_wrapper",
            "vit_msn",
        ],
        "vit",
        "the class was never recorded here",
    ),
    // What hears.
    of(
        &["canary", "cohere_asr", "moonshine_streaming"],
        "speech_to_text",
        "its encoder makes as many positions as the sound is long, by convolutions that were never recorded here",
    ),
    of(
        &["dia", "pop2piano", "seamless_m4t", "seamless_m4t_v2", "speecht5", "vibevoice"],
        "whisper",
        "it makes sound of a text by decoders in turn, which no request here describes",
    ),
    of(
        &["kyutai_speech_to_text", "voxtral_realtime"],
        "voxtral",
        "it hears while it generates, so that what a token costs depends on the sound so far",
    ),
    of(
        &[
            "data2vec-audio",
            "granite_speech5_ctc",
            "hubert",
            "lasr_ctc",
            "omniasr_ctc",
            "parakeet_ctc",
            "sew",
            "sew-d",
            "unispeech",
            "unispeech-sat",
            "wav2vec2",
            "wav2vec2-bert",
            "wav2vec2-conformer",
            "wavlm",
        ],
        "whisper",
        "it labels every frame of a sound and knows no prompt, of which the requests here are made",
    ),
    of(
        &["ibert"],
        "roberta",
        "it runs in whole numbers, which the counter of its class does not see apart",
    ),
];

/// Why a type is not counted, and the counted one it is nearest to, if it is one of these.
pub(super) fn of_type(model_type: &str) -> Option<&'static Uncounted> {
    UNCOUNTED.iter().find(|known| known.model_types.contains(&model_type))
}

#[cfg(test)]
mod tests {
    use super::super::model_types;
    use super::super::testing::error;
    use super::{UNCOUNTED, of_type};

    #[test]
    fn what_transformers_can_build_is_counted_or_has_its_reason() {
        let mappings: serde_json::Value =
            serde_json::from_str(include_str!("../../tests/recorded/mappings.json")).expect("JSON");
        let kinds = mappings["types"].as_object().expect("kinds of model");
        assert!(kinds.len() > 10 && kinds["causal_lm"].as_array().expect("a list").len() > 190);
        let types = kinds.values().flat_map(|kind| kind.as_array().expect("a list"));
        let neither: Vec<&str> = types
            .map(|name| name.as_str().expect("a name"))
            .filter(|name| model_types().all(|counted| counted != *name) && of_type(name).is_none())
            .collect();
        assert!(neither.is_empty(), "{neither:?}");
    }

    #[test]
    fn what_is_counted_has_no_reason_and_what_is_near_is_counted() {
        let reasons: Vec<&str> =
            UNCOUNTED.iter().flat_map(|known| known.model_types).copied().collect();
        for (at, name) in reasons.iter().enumerate() {
            assert!(model_types().all(|counted| counted != *name), "{name} is counted");
            assert!(!reasons[..at].contains(name), "{name} has two reasons");
        }
        for near in UNCOUNTED.iter().map(|known| known.like) {
            assert!(model_types().any(|counted| counted == near), "{near} is not counted");
        }
    }

    #[test]
    fn the_error_says_it_and_names_what_is_near() {
        assert_eq!(
            error(r#"{"model_type": "reformer"}"#),
            "`model_type`: \"reformer\" cannot be counted: which keys a query meets depends on how they hash; \
             the nearest that is: \"gpt2\"; or give the model's weights: their shapes would do"
        );
    }
}
