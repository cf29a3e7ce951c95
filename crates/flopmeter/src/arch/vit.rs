//! ViT (arXiv:2010.11929), DeiT (arXiv:2012.12877) and DINOv2 (arXiv:2304.07193): a tower that sees and nothing beside it.
//!
//! ```text
//! image → patches, a class (and more vectors) + positions → L × [ norm → q, k, v → attend → out ] [ norm → fc1 → fc2 ]
//! → norm (→ pool, or classify)
//! ```
//!
//! DeiT has a vector of distillation beside the class, DINOv2 perhaps registers, and scales what each half gives; its
//! largest gate their feed-forward layers. Positions of DINOv2 are stretched to the image that the processor cuts.

use super::parts::{layer_norm, table, vector};
use super::tower::{Tower, alone, heads};
use super::vision::{attend, linear};
use crate::config::Config;
use crate::error::{Result, shown};
use crate::image::{Cut, Processor, Seen};
use crate::model::Model;
use crate::model::labels;
use crate::op::Op;

pub(super) const MODEL_TYPES: &[&str] = &["deit", "dinov2", "dinov2_with_registers", "vit"];

pub(super) fn build(c: &Config) -> Result<Model> {
    alone(c, tower)
}

fn tower(tower: &mut Tower<'_>) -> Result<Processor> {
    let c = &tower.config;
    let dino = c.model_type().starts_with("dinov2");
    let d = c.size_or("hidden_size", 768)?;
    let layers = c.size_or("num_hidden_layers", 12)?;
    let query = c.size_or("num_attention_heads", 12)?;
    let heads = heads(c, d, query)?;
    let bias = c.flag("qkv_bias", true)?;
    let channels = c.maybe("num_channels")?.unwrap_or(3);
    // What stands beside the class, and what is stored for training alone.
    let (beside, idle) = match c.model_type() {
        "deit" => (1, false),
        "dinov2" => (0, c.flag("use_mask_token", true)?),
        "dinov2_with_registers" => (c.size_or("num_register_tokens", 4)?, true),
        _ => (0, false),
    };
    let feed_forward = feed_forward(c, d, dino)?;
    let (trained, patch) = tower.patches(224, if c.model_type() == "dinov2" { 14 } else { 16 })?;
    let side = if dino { cropped(tower, patch)? } else { trained };
    // Registers have no positions.
    let positions = trained * trained + if tower.config.model_type() == "deit" { 2 } else { 1 };

    let mut first = vec![
        linear("embeddings.patch_embeddings.projection", channels * patch * patch, d, true),
        vector("embeddings.cls_token", (1 + beside) * d),
    ];
    if idle {
        first.push(Op::Idle(Box::new(vector("embeddings.mask_token", d))));
    }
    tower.once("patches", Seen::patches(0), first)?;
    tower.stack("tower", "encoder.layer", Seen::patches(1 + beside), |builder| {
        builder.once("positions", [table("embeddings.position_embeddings", positions, d)]);
        builder.layers(layers, |_| {
            let mut ops = vec![
                layer_norm("norm1", d, true),
                linear("attention.q_proj", d, d, bias),
                linear("attention.k_proj", d, d, bias),
                linear("attention.v_proj", d, d, bias),
                attend("attention", heads.query, heads.dim),
                linear("attention.o_proj", d, d, true),
                layer_norm("norm2", d, true),
            ];
            ops.extend(feed_forward.iter().cloned());
            if dino {
                ops.extend([vector("layer_scale1", d), vector("layer_scale2", d)]);
            }
            Ok(ops)
        })?;
        builder.once("norm", [layer_norm("layernorm", d, true)]);
        Ok(())
    })?;
    if let Some(last) = last(&tower.config, d, dino)? {
        tower.once("head", Seen::once(), last)?;
    }
    Ok(Processor::Square(Cut::whole(side, side, 0)))
}

fn feed_forward(c: &Config, d: u64, dino: bool) -> Result<Vec<Op>> {
    let f =
        if dino { d * c.size_or("mlp_ratio", 4)? } else { c.size_or("intermediate_size", 3072)? };
    if dino && c.flag("use_swiglu_ffn", false)? {
        let inner = (2 * f / 3).next_multiple_of(8);
        return Ok(vec![
            linear("mlp.gate_proj", d, inner, true),
            linear("mlp.up_proj", d, inner, true),
            linear("mlp.down_proj", inner, d, true),
        ]);
    }
    Ok(vec![linear("mlp.fc1", d, f, true), linear("mlp.fc2", f, d, true)])
}

/// Patches of a side of what DINOv2's processor leaves of an image.
fn cropped(tower: &Tower<'_>, patch: u64) -> Result<u64> {
    let settings = tower.processor("BitImageProcessor")?;
    let side = match settings.child("crop_size")? {
        Some(crop) => {
            let (height, width) = (crop.size("height")?, crop.size("width")?);
            if height != width {
                return Err(settings.contradiction("crop_size", "is no square"));
            }
            height
        }
        None => settings.size_or("crop_size", 224)?,
    };
    tower.whole.adopt(&settings);
    if side < patch {
        let fact = format!("is {side} pixels, less than a patch of {patch}");
        return Err(settings.contradiction("crop_size", &fact));
    }
    Ok(side / patch)
}

/// What stands behind the layers, run once for an image.
fn last(c: &Config, d: u64, dino: bool) -> Result<Option<Vec<Op>>> {
    let named = c.texts("architectures")?.unwrap_or_default();
    let pooled = c.maybe("pooler_output_size")?.unwrap_or(d);
    let classifies = |module, from| Ok(linear(module, from, labels(c)?, true));
    Ok(match named.first() {
        Some(class) if class.ends_with("ForImageClassificationWithTeacher") => {
            Some(vec![classifies("cls_classifier", d)?, classifies("distillation_classifier", d)?])
        }
        Some(class) if class.ends_with("ForImageClassification") => {
            // The class beside the average of the patches.
            Some(vec![classifies("classifier", if dino { 2 * d } else { d })?])
        }
        Some(class) if !class.ends_with("Model") => {
            let fact = format!("names `{}`, whose head is not counted", shown(class));
            return Err(c.contradiction("architectures", &fact));
        }
        _ if dino => None,
        None => {
            c.note(format!(
                "`architectures` is absent: the tower of `{}` is counted with its pooler",
                c.model_type()
            ));
            Some(vec![linear("pooler.dense", d, pooled, true)])
        }
        Some(_) => Some(vec![linear("pooler.dense", d, pooled, true)]),
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fact, model, parameters};
    use crate::image::Image;
    use crate::{Convention, Workload};

    const BASE: &str = r#"{"model_type": "vit", "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12,
        "intermediate_size": 3072, "image_size": 224, "patch_size": 16, "qkv_bias": true,
        "architectures": ["ViTForImageClassification"]}"#;

    /// A layer of width d and inner width 4·d.
    const fn layer(d: u128) -> u128 {
        4 * (d * d + d) + 8 * d * d + 5 * d + 4 * d
    }

    #[test]
    fn vit_base_has_its_published_parameters_and_flops() {
        let classes: Vec<String> = (0..1000).map(|at| format!(r#""{at}": "{at}""#)).collect();
        let told = format!(r#"{{"id2label": {{{}}}, "#, classes.join(", "));
        let vit = model(&BASE.replacen('{', &told, 1));
        let total = 768 * 768 + 768 + 198 * 768 + 12 * layer(768) + 2 * 768 + 769 * 1000;
        assert_eq!(vit.parameters().total, total);
        // As timm has it for vit_base_patch16_224.
        assert_eq!(total, 86_567_656);
        let image =
            Workload::request(0, 1).with_images(vec![Image::new(500, 375).unwrap()]).unwrap();
        let flops = vit.flops(&image, &Convention::MODEL).expect("a count").total;
        // 196 patches of 768², 197 rows of 12·768² and as many pairs of 2·768 in each layer, a classifier: "17.6" G
        // multiply-adds in table 5 of Swin's paper (arXiv:2103.14030).
        let rows = 197 * 12 * 12 * 768 * 768 + 12 * 197 * 197 * 2 * 768;
        assert_eq!(flops, 2 * (196 * 768 * 768 + rows + 768 * 1000));
        assert_eq!((flops / 2 + 50_000_000) / 100_000_000, 176);
        let generates =
            Workload::request(0, 2).with_images(vec![Image::new(500, 375).unwrap()]).unwrap();
        let error = vit.flops(&generates, &Convention::MODEL).expect_err("it generates nothing");
        assert!(error.to_string().starts_with("generate: is 2"), "{error}");
    }

    #[test]
    fn dinov2_giant_gates_its_feed_forward_layers() {
        let giant = r#"{"model_type": "dinov2", "hidden_size": 1536, "num_hidden_layers": 40, "num_attention_heads": 24,
            "mlp_ratio": 4, "image_size": 518, "patch_size": 14, "use_swiglu_ffn": true,
            "architectures": ["Dinov2Model"]}"#;
        // Inner width ⌈2·6144/3 to 8⌉ = 4096; 37² + 1 positions, a class and what masks.
        let attention: u128 = 4 * (1536 * 1536 + 1536);
        let layer = attention + 3 * 1536 * 4096 + 2 * 4096 + 1536 + 4 * 1536 + 2 * 1536;
        let total = 588 * 1536 + 1536 + (1370 + 2) * 1536 + 40 * layer + 2 * 1536;
        assert_eq!(parameters(giant), total);
        // timm prints 1136.48 M, without what masks.
        assert_eq!((total - 1536 + 5_000) / 10_000, 113_648);
    }

    #[test]
    fn other_heads_are_refused() {
        assert_eq!(
            fact(&BASE.replace("ForImageClassification", "ForMaskedImageModeling")),
            "`architectures`: names `ViTForMaskedImageModeling`, whose head is not counted"
        );
    }
}
