//! CLIP (arXiv:2103.00020) and SigLIP (arXiv:2303.15343): an encoder of text beside a tower that sees, and each alone.
//!
//! ```text
//! text   embed + positions → L × [ norm → q, k, v → attend → out ] [ norm → fc1 → fc2 ] → norm → project the last one ┐
//! image  patches → tower → a vector → project ────────────────────────────────────────────────────────────────────┴→ ·
//! ```
//!
//! A token of CLIP's text sees those before it, of SigLIP's all; neither keeps a cache. An image adds no tokens to the
//! text. The vectors of a text and of an image are compared by one product. What sees alone is a type of its own.

use super::parts::{Heads, layer_norm, mlp, projection, table};
use super::task::{BEFORE, for_sequence};
use super::tower::{Tower, alone, with_towers};
use super::vision::clip::{squares, squares_pooled};
use crate::config::Config;
use crate::error::{Result, shown};
use crate::image::{Cut, Processor, Seen};
use crate::model::{Builder, Model};
use crate::op::Op;
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] = &[
    "clip",
    "clip_text_model",
    "clip_vision_model",
    "siglip",
    "siglip_text_model",
    "siglip_vision_model",
];

pub(super) fn build(c: &Config) -> Result<Model> {
    let part = |model_type| {
        c.text_part(model_type)?
            .ok_or_else(|| c.contradiction("text_config", "is missing").hint("state both parts"))
    };
    match c.model_type() {
        "clip" => {
            let part = part("clip_text_model")?;
            // The whole has a projection of the text, and a width for both.
            let to = c.size_or("projection_dim", 512)?;
            part.raw("projection_dim");
            with_towers(c, text(&part, Some(to))?)
        }
        "siglip" => with_towers(c, text(&part("siglip_text_model")?, None)?),
        "clip_vision_model" => alone(c, clip_alone),
        "siglip_vision_model" => alone(c, |tower| {
            let squares = squares_pooled(tower)?;
            Ok(Processor::Square(Cut::whole(squares.side, squares.side, 0)))
        }),
        "clip_text_model" if projects(c)? => {
            let to = c.size_or("projection_dim", 512)?;
            text(c, Some(to))
        }
        _ => text(c, None),
    }
}

/// Whether the class is that with a projection.
fn projects(c: &Config) -> Result<bool> {
    c.raw("projection_dim");
    let named = c.texts("architectures")?.unwrap_or_default();
    Ok(named.iter().any(|class| class.ends_with("WithProjection")))
}

fn clip_alone(tower: &mut Tower<'_>) -> Result<Processor> {
    let squares = squares(tower, "clip_vision_model", Ok)?;
    if projects(tower.whole)? {
        let to = tower.whole.size_or("projection_dim", 512)?;
        let matrix = super::vision::linear("visual_projection", squares.width, to, false);
        tower.once("projector", Seen::once(), [matrix])?;
    }
    Ok(Processor::Square(Cut::whole(squares.side, squares.side, 0)))
}

/// The encoder of text; `to` is the width that CLIP projects it to.
fn text(c: &Config, to: Option<u64>) -> Result<Model> {
    let siglip = match c.model_type() {
        "clip_text_model" => false,
        "siglip_text_model" => true,
        other => {
            let fact = format!("is \"{}\", whose text part is not counted", shown(other));
            return Err(c.contradiction("model_type", &fact));
        }
    };
    let [width, inner, heads, vocab, positions] =
        if siglip { [768, 3072, 12, 32000, 64] } else { [512, 2048, 8, 49408, 77] };
    let d = c.size_or("hidden_size", width)?;
    let f = c.size_or("intermediate_size", inner)?;
    let layers = c.size_or("num_hidden_layers", 12)?;
    let query = c.size_or("num_attention_heads", heads)?;
    let heads = super::tower::heads(c, d, query)?;
    let vocab = c.size_or("vocab_size", vocab)?;
    let positions = c.size_or("max_position_embeddings", positions)?;
    let mask = if siglip { Mask::Full } else { BEFORE };

    let mut model = Builder::new(c)?;
    model.once(
        "embedding",
        [
            table("text_model.embeddings.token_embedding", vocab, d),
            table("text_model.embeddings.position_embedding", positions, d),
        ],
    );
    model.layers(layers, |_| Ok(layer(heads, d, f, mask)))?;
    let mut last = vec![layer_norm("text_model.final_layer_norm", d, true)];
    if siglip {
        let to = c.maybe("projection_size")?.unwrap_or(d);
        last.push(for_sequence("text_model.head", d, to).into());
    } else if let Some(to) = to {
        last.push(for_sequence("text_projection", d, to).bias(false).into());
    }
    model.head(last)?;
    model.finish()
}

fn layer(heads: Heads, d: u64, f: u64, mask: Mask) -> Vec<Op> {
    vec![
        layer_norm("layer_norm1", d, true),
        projection("self_attn.q_proj", d, d).bias(true).into(),
        projection("self_attn.k_proj", d, d).bias(true).into(),
        projection("self_attn.v_proj", d, d).bias(true).into(),
        heads.attend(mask),
        projection("self_attn.out_proj", d, d).bias(true).into(),
        layer_norm("layer_norm2", d, true),
        mlp("mlp.fc1", d, f).bias(true).into(),
        mlp("mlp.fc2", f, d).bias(true).into(),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::testing::model;
    use crate::image::Image;
    use crate::{Component, Convention, Model, Workload};

    /// openai/clip-vit-base-patch32.
    const BASE: &str = r#"{"model_type": "clip", "projection_dim": 512, "text_config": {"hidden_size": 512,
        "intermediate_size": 2048, "num_attention_heads": 8, "num_hidden_layers": 12, "vocab_size": 49408,
        "max_position_embeddings": 77}, "vision_config": {"hidden_size": 768, "intermediate_size": 3072,
        "num_attention_heads": 12, "num_hidden_layers": 12, "image_size": 224, "patch_size": 32}}"#;

    fn count(model: &Model, prompt: u64, images: &[[u64; 2]]) -> crate::Flops {
        let images =
            images.iter().map(|[width, height]| Image::new(*width, *height).expect("an image"));
        let workload = Workload::request(prompt, 1).with_images(images.collect()).expect("images");
        model.flops(&workload, &Convention::MODEL).expect("a count")
    }

    #[test]
    fn clip_base_has_its_published_parameters() {
        let layer = |d: u128| 4 * (d * d + d) + 8 * d * d + 5 * d + 4 * d;
        let text = (49_408 + 77) * 512 + 12 * layer(512) + 2 * 512 + 512 * 512;
        let vision = 3 * 32 * 32 * 768 + 768 + 50 * 768 + 12 * layer(768) + 4 * 768 + 768 * 512;
        assert_eq!(model(BASE).parameters().total, text + vision + 1);
        assert_eq!(text + vision + 1, 151_277_313);
    }

    #[test]
    fn a_text_alone_has_no_image_and_neither_generates() {
        let clip = model(BASE);
        assert!(clip.encodes_only());
        let text = count(&clip, 10, &[]).prefill;
        assert_eq!(text[Component::Vision], 0);
        // 1 + 2 + … + 10 pairs of 2·512, twelve times.
        assert_eq!(text[Component::AttentionScores], 12 * 55 * 2 * 512);
        let both = count(&clip, 10, &[[640, 480]]).prefill;
        // 49 patches, 50 rows; a projection and one product of vectors.
        let rows = 50 * 12 * 2 * (4 * 768 * 768 + 2 * 768 * 3072) + 12 * 2 * 2 * 50 * 50 * 768;
        let image = 49 * 2 * 3072 * 768 + rows + 2 * 768 * 512 + 2 * 512;
        assert_eq!(both[Component::Vision], image);
        assert_eq!(both[Component::Head], text[Component::Head]);
    }

    #[test]
    fn siglip_so400m_has_its_published_parameters() {
        let so400m = model(
            r#"{"model_type": "siglip", "text_config": {"model_type": "siglip_text_model", "hidden_size": 1152,
                "intermediate_size": 4304, "num_attention_heads": 16, "num_hidden_layers": 27, "vocab_size": 32000,
                "max_position_embeddings": 64}, "vision_config": {"model_type": "siglip_vision_model",
                "hidden_size": 1152, "intermediate_size": 4304, "num_attention_heads": 16, "num_hidden_layers": 27,
                "image_size": 384, "patch_size": 14}}"#,
        );
        // As the header of google/siglip-so400m-patch14-384's file has it.
        assert_eq!(so400m.parameters().total, 877_960_498);
    }
}
