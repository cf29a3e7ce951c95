//! CLIP's and SigLIP's towers: equal squares, every layer attending to the whole of one.

use super::{Layers, Tower, attend, linear};
use crate::arch::parts::{Heads, layer_norm, rms_norm, table, vector};
use crate::component::Component;
use crate::error::{Error, ErrorKind, Result, shown};
use crate::image::{Ahead, Cut, Processor, Seen};
use crate::op::{Attention, Linear, Op};
use crate::passes::Mask;

/// A tower of squares, as its projector needs to know it.
#[derive(Debug, Clone, Copy)]
pub(in crate::arch) struct Squares {
    /// Width of a patch's vector.
    pub width: u64,
    /// Patches of a side.
    pub side: u64,
    /// Pixels of a side.
    pub pixels: u64,
    /// Vectors beside the patches: that of the class.
    pub class: u64,
}

/// A class of such towers: what it takes where its config states nothing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Class {
    /// Whether patches have no class beside them, and pooling may follow.
    pub siglip: bool,
    /// Whether it pools where no key says otherwise.
    pub pools: bool,
    pub width: u64,
    pub heads: u64,
    pub patch: u64,
}

const CLIP: Class = Class { siglip: false, pools: false, width: 768, heads: 12, patch: 32 };
pub(super) const SIGLIP: Class = Class { siglip: true, pools: true, patch: 16, ..CLIP };

/// The tower that `vision_config` names, its layers from `needed` on run for nothing; `default` if it names none.
pub(in crate::arch) fn squares(
    tower: &mut Tower<'_>,
    default: &str,
    needed: impl FnOnce(u64) -> Result<u64>,
) -> Result<Squares> {
    let kind = tower.config.text("model_type")?.unwrap_or(default).to_owned();
    let class = match kind.as_str() {
        "clip_vision_model" => CLIP,
        "siglip_vision_model" => SIGLIP,
        other => {
            return Err(Error::new(
                ErrorKind::Architecture,
                "`vision_config.model_type`",
                format!("\"{}\" is not counted yet", shown(other)),
            )
            .hint("clip_vision_model and siglip_vision_model are"));
        }
    };
    squares_of(tower, class, needed)
}

/// A tower of a known class, its layers from `needed` on run for nothing.
pub(super) fn squares_of(
    tower: &mut Tower<'_>,
    Class { siglip, pools, width, heads, patch }: Class,
    needed: impl FnOnce(u64) -> Result<u64>,
) -> Result<Squares> {
    let c = &tower.config;
    let layers = Layers::read(c, [width, 3072, 12, heads])?;
    let Layers { d, f, count, heads, .. } = layers;
    c.raw("projection_dim");
    let (side, patch) = tower.patches(224, patch)?;
    let pooled = pools && tower.config.flag("vision_use_head", true)?;
    let class = u64::from(!siglip);
    let needed = needed(count)?.min(count);
    tower.once(
        "patches",
        Seen::patches(0),
        [
            linear("patch_embedding", layers.values(patch), d, siglip),
            vector("class_embedding", class * d),
        ],
    )?;
    let path = "vision_tower.vision_model.encoder.layers";
    let layer = |_| Ok(layer(d, f, heads));
    tower.stack("tower", path, Seen::patches(class), |builder| {
        builder.once("positions", [table("position_embedding", side * side + class, d)]);
        if !siglip {
            builder.once("norm before", [layer_norm("pre_layrnorm", d, true)]);
        }
        builder.layers(needed, layer)?;
        builder.once("norm after", [layer_norm("post_layernorm", d, true)]);
        Ok(())
    })?;
    if needed < count {
        tower.stack(
            "layers that give nothing",
            path,
            Seen::patches(class).for_nothing(),
            |builder| builder.layers(count - needed, layer),
        )?;
    }
    if pooled {
        pool(tower, d, f, heads, POOLED.map(Seen::for_nothing))?;
    }
    Ok(Squares { width: d, side, pixels: side * patch, class })
}

/// A layer of either's.
pub(super) fn layer(d: u64, f: u64, heads: Heads) -> Vec<Op> {
    vec![
        layer_norm("layer_norm1", d, true),
        linear("self_attn.q_proj", d, d, true),
        linear("self_attn.k_proj", d, d, true),
        linear("self_attn.v_proj", d, d, true),
        attend("self_attn", heads.query, heads.dim),
        linear("self_attn.out_proj", d, d, true),
        layer_norm("layer_norm2", d, true),
        linear("mlp.fc1", d, f, true),
        linear("mlp.fc2", f, d, true),
    ]
}

/// What SigLIP's pooling reads: the patches, and them from one vector.
const POOLED: [Seen; 2] = [Seen::patches(0), Seen::probe(0)];

/// SigLIP's pooling: a vector attends to all patches. Before a text part, nothing that follows takes what comes of it.
pub(super) fn pool(
    tower: &mut Tower<'_>,
    d: u64,
    f: u64,
    heads: Heads,
    [patches, probe]: [Seen; 2],
) -> Result<()> {
    let keys_values = linear("head.attention.in_proj_kv", d, 2 * d, true);
    tower.once("pooled keys and values", patches, [keys_values])?;
    tower.once(
        "pooling",
        probe,
        [
            vector("head.probe", d),
            linear("head.attention.in_proj_q", d, d, true),
            attend("head.attention", heads.query, heads.dim),
            linear("head.attention.out_proj", d, d, true),
            layer_norm("head.layernorm", d, true),
            linear("head.mlp.fc1", d, f, true),
            linear("head.mlp.fc2", f, d, true),
        ],
    )
}

/// CLIP, whose image is one vector that is compared with the text's: that of the class, and one matrix.
pub(super) fn clip(tower: &mut Tower<'_>) -> Result<Processor> {
    let squares = squares(tower, "clip_vision_model", Ok)?;
    let to = tower.whole.size_or("projection_dim", 512)?;
    let projection = linear("visual_projection", squares.width, to, false);
    tower.once("projector", Seen::once(), [projection, vector("logit_scale", 1)])?;
    compare(tower, to)?;
    Ok(Processor::Square(Cut::whole(squares.side, squares.side, 0)))
}

/// SigLIP, whose image is the vector that it pools.
pub(super) fn siglip(tower: &mut Tower<'_>) -> Result<Processor> {
    let squares = squares_pooled(tower)?;
    tower.once("scale", Seen::once(), [vector("logit_scale", 2)])?;
    compare(tower, squares.width)?;
    Ok(Processor::Square(Cut::whole(squares.side, squares.side, 0)))
}

/// SigLIP's tower, whose pooling is what it gives where it has one.
pub(in crate::arch) fn squares_pooled(tower: &mut Tower<'_>) -> Result<Squares> {
    tower.config.text("model_type")?;
    let squares = squares_of(tower, Class { pools: false, ..SIGLIP }, Ok)?;
    if tower.config.flag("vision_use_head", true)? {
        let c = &tower.config;
        let d = squares.width;
        let f = c.size_or("intermediate_size", 3072)?;
        let heads = super::heads(c, d, c.size_or("num_attention_heads", 12)?)?;
        pool(tower, d, f, heads, POOLED)?;
    }
    Ok(squares)
}

/// The product of each image's vector with each text's.
fn compare(tower: &mut Tower<'_>, width: u64) -> Result<()> {
    let product = Attention::new("logits_per_text", 1, 1, width, 0, Mask::Full);
    tower.once("comparison", Seen::compared(), [product.into()])
}

/// PaliGemma: one matrix to the text's width, its patches the image's tokens.
pub(super) fn paligemma(tower: &mut Tower<'_>) -> Result<Processor> {
    let squares = squares(tower, "siglip_vision_model", Ok)?;
    let to = tower.whole.size_or("projection_dim", 2048)?;
    tower.whole.raw("hidden_size");
    let matrix = linear("multi_modal_projector.linear", squares.width, to, true);
    tower.once("projector", Seen::features(), [matrix])?;
    let features = squares.side * squares.side;
    Ok(Processor::Square(Cut::whole(squares.side, squares.side, features)))
}

/// Gemma 3: patches averaged to a square of vectors, one matrix to the text's width. Two tokens around them, and two of
/// line ends; the vectors of an image see each other in the text part.
pub(super) fn gemma3(tower: &mut Tower<'_>) -> Result<Processor> {
    const AROUND: u64 = 4;
    let squares = squares(tower, "siglip_vision_model", Ok)?;
    let features = tower.whole.size_or("mm_tokens_per_image", 256)?;
    let (from, to) = (squares.width, tower.text_width);
    let matrix: Op = Linear::new("mm_input_projection", Component::Vision, from, to).into();
    let norm = rms_norm("mm_soft_emb_norm", from);
    tower.once("projector", Seen::features(), [norm, matrix])?;
    let cut = Cut::whole(squares.side, squares.side, features);
    Ok(Processor::Square(Cut { tokens: features + AROUND, ahead: Ahead::Always, ..cut }))
}
