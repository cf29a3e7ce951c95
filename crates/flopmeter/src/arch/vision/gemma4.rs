//! Gemma 4's tower: images of any shape, squares of patches averaged to one vector each.

use super::{Tower, linear};
use crate::arch::parts::{Heads, buffer, rms_norm, table};
use crate::error::Result;
use crate::image::{Ahead, Budget, Processor, Seen};
use crate::op::{Attention, Op};
use crate::passes::Mask;

/// Numbers of vectors that the processor takes for the most of an image.
const MOST: [u64; 5] = [70, 140, 280, 560, 1120];

pub(super) fn gemma4(tower: &mut Tower<'_>) -> Result<Processor> {
    let c = &tower.config;
    let d = c.size_or("hidden_size", 768)?;
    let f = c.size_or("intermediate_size", 3072)?;
    let layers = c.size_or("num_hidden_layers", 16)?;
    let query = c.size_or("num_attention_heads", 12)?;
    let kv = c.size_or("num_key_value_heads", 12)?;
    let heads = Heads::checked(c, d, query, kv, Some(c.size_or("head_dim", 64)?))?;
    let patch = c.size_or("patch_size", 16)?;
    let pool = c.size_or("pooling_kernel_size", 3)?;
    let positions = c.size_or("position_embedding_size", 10 * 1024)?;
    let standardized = c.flag("standardize", false)?;
    let clipped = c.flag("use_clipped_linears", false)?;
    // What no layer of the tower reads.
    for other in ["global_head_dim", "default_output_length", "image_seq_length"] {
        c.raw(other);
    }
    tower.whole.raw("vision_soft_tokens_per_image");
    let settings = tower.processor("Gemma4ImageProcessor")?;
    let features = settings.size_or("max_soft_tokens", 280)?;
    if !MOST.contains(&features) {
        let fact = format!("is {features}, which the processor refuses");
        return Err(settings
            .contradiction("max_soft_tokens", &fact)
            .hint("it takes 70, 140, 280, 560 or 1120"));
    }
    tower.whole.adopt(&settings);
    let most = features * pool * pool;
    tower.once(
        "patches",
        Seen::up_to(most),
        [
            linear("patch_embedder.input_proj", 3 * patch * patch, d, false),
            table("patch_embedder.position_embedding_table", 2 * positions, d),
        ],
    )?;
    let (query_width, kv_width) = (heads.query_width(), heads.kv_width());
    tower.stack("tower", "vision_tower.encoder.layers", Seen::up_to(most), |builder| {
        builder.layers(layers, |_| {
            let mut ops = vec![
                rms_norm("input_layernorm", d),
                linear("self_attn.q_proj.linear", d, query_width, false),
                linear("self_attn.k_proj.linear", d, kv_width, false),
                linear("self_attn.v_proj.linear", d, kv_width, false),
                rms_norm("self_attn.q_norm", heads.dim),
                rms_norm("self_attn.k_norm", heads.dim),
                heads.attend(Mask::Full),
                linear("self_attn.o_proj.linear", query_width, d, false),
                rms_norm("post_attention_layernorm", d),
                rms_norm("pre_feedforward_layernorm", d),
                linear("mlp.gate_proj.linear", d, f, false),
                linear("mlp.up_proj.linear", d, f, false),
                linear("mlp.down_proj.linear", f, d, false),
                rms_norm("post_feedforward_layernorm", d),
            ];
            if clipped {
                // Least and greatest input and output of each of seven matrices.
                ops.push(buffer("input_min, input_max, output_min, output_max", 4 * 7));
            }
            Ok(ops)
        })
    })?;
    if pool > 1 {
        let average: Op = Attention::new("pooler", 1, 1, d, 0, Mask::Full).into();
        tower.once("averages", Seen::averages(features, most), [average])?;
    }
    let mut projector =
        vec![linear("embed_vision.embedding_projection", d, tower.text_width, false)];
    if standardized {
        projector.extend([buffer("std_bias", d), buffer("std_scale", d)]);
    }
    tower.once("projector", Seen::features(), projector)?;
    // The smaller models see an image as they see text.
    let text = tower.whole.child("text_config")?;
    let both_ways = match &text {
        Some(text) => text.text("use_bidirectional_attention")? == Some("vision"),
        None => false,
    };
    let ahead = if both_ways { Ahead::InWindows } else { Ahead::Never };
    // One before the vectors and one after them.
    Ok(Processor::Budget(Budget { patch, pool, features, around: 2, ahead }))
}
