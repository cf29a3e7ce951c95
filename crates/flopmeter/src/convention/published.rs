//! Formulas as projects and papers publish them, each over a few sizes of a model. What they leave out they leave out here.

use super::formula::{
    Documents, Experts, FeedForward, Formula, Further, Heads, Knows, Latents, Norms, OtherTables,
    Pairs, Projections, Recomputed, Recurrence, Rest, Routers, Shared, States, TokenTable, Towers,
    Widths, Windows,
};
use super::{Convention, Counted, Kind};

impl Convention {
    const fn of_steps(
        id: &'static str,
        counts: &'static str,
        source: &'static str,
        formula: Formula,
    ) -> Self {
        Self { id, counts, source, counted: Counted::Steps, kind: Kind::Published(formula) }
    }

    const fn of_serving(
        id: &'static str,
        counts: &'static str,
        source: &'static str,
        formula: Formula,
    ) -> Self {
        Self { id, counts, source, counted: Counted::Requests, kind: Kind::Published(formula) }
    }
}

// ── by the number of parameters ─────────────────────────────────────────────────────────────────────

/// Six for each parameter and token, and attention as a square.
pub const PALM: Convention = Convention::of_steps(
    "palm",
    "(6·N + 12·L·H·Q·S)·T: all parameters, the whole attention square, nothing recomputed.",
    "Chowdhery et al., PaLM, arXiv:2204.02311, appendix B",
    PALMS,
);

const PALMS: Formula = Formula {
    documents: Documents::Joined,
    windows: Windows::Ignored,
    pairs: Pairs::Squares,
    widths: Widths::Queries,
    ..Formula::PER_PARAMETER
};

/// Six for each parameter outside tables and head.
pub const KAPLAN: Convention = Convention::of_steps(
    "kaplan",
    "6·N·T, N without the tables of tokens and positions and without the head: no attention scores.",
    "Kaplan et al., arXiv:2001.08361, section 2.1",
    Formula {
        token_table: TokenTable::Left,
        other_tables: OtherTables::Left,
        head: Heads::Left,
        ..Formula::PER_PARAMETER
    },
);

/// Six for each parameter.
pub const CHINCHILLA: Convention = Convention::of_steps(
    "chinchilla",
    "6·N·D, N all parameters and D the tokens: no attention scores.",
    "Hoffmann et al., arXiv:2203.15556, appendix F",
    Formula::PER_PARAMETER,
);

/// PaLM's, with the table of tokens and without that of positions.
pub const NANOGPT: Convention = Convention::of_steps(
    "nanogpt",
    "(6·N + 12·L·H·Q·S)·T, N without position embeddings: PaLM's formula.",
    "karpathy/nanoGPT, model.py, estimate_mfu",
    Formula { other_tables: OtherTables::Left, ..PALMS },
);

/// Two for each active parameter and token, attention as a square, three times; four with recomputation.
pub const LLM_FOUNDRY: Convention = Convention::of_steps(
    "llm-foundry",
    "3·(2·N·S + 4·L·d·S²)·B, N the active parameters, tables included; with recomputation 4/3 of it are executed.",
    "mosaicml/llm-foundry, modeling_mpt.py, flops_per_batch; scripts/train/benchmarking/collect_results.py",
    Formula {
        widths: Widths::Model,
        experts: Experts::Active,
        recomputed: Recomputed::WithTheHead,
        ..PALMS
    },
);

/// Six for each active parameter but those of tables, and attention as a square.
pub const TORCHTITAN: Convention = Convention::of_steps(
    "torchtitan",
    "(6·N + 6·L·H·(q + v)·S)·T, N without tables (a tied one is the head) and of experts the share top-k/E, norms \
     included; the whole attention square in each layer that attends, no windows, no towers.",
    "pytorch/torchtitan, torchtitan/models/utils.py, get_dense_model_nparams_and_flops, get_moe_model_nparams_and_flops",
    Formula {
        widths: Widths::Own,
        experts: Experts::Active,
        token_table: TokenTable::Left,
        other_tables: OtherTables::Left,
        towers: Towers::Idle,
        knows: &Knows { recurrence: Recurrence::Any, ..Knows::LAYERS },
        ..PALMS
    },
);

// ── by layers, width and vocabulary ─────────────────────────────────────────────────────────────────

/// A GPT: heads as wide as the model together, feed-forward layers four times as wide.
const GPT: Formula = Formula {
    documents: Documents::Joined,
    windows: Windows::Ignored,
    pairs: Pairs::Squares,
    widths: Widths::Model,
    projections: Projections::Squares,
    feed_forward: FeedForward::FourTimes,
    routers: Routers::Left,
    rest: Rest::Left,
    head: Heads::Every,
    knows: &Knows::DECODERS,
    ..Formula::MODEL
};

/// A GPT's hardware FLOPs, every layer recomputed.
pub const MEGATRON_2021: Convention = Convention::of_steps(
    "megatron-2021",
    "96·B·S·L·h²·(1 + S/6h + V/16Lh): a GPT (heads as wide as the model together, a feed-forward layer four times as wide), \
     every layer recomputed, which is executed and no model FLOPs.",
    "Narayanan et al., arXiv:2104.04473, section 5.1",
    Formula { recomputed: Recomputed::Always, ..GPT },
);

/// A GPT's model FLOPs.
pub const MEGATRON_2022: Convention = Convention::of_steps(
    "megatron-2022",
    "72·B·L·S·h²·(1 + S/6h + V/12hL): a GPT's; with selective recomputation S/3h is executed.",
    "Korthikanti et al., arXiv:2205.05198, appendix A",
    Formula { recomputed: Recomputed::ScoresThrice, ..GPT },
);

// ── by the sizes of each layer ──────────────────────────────────────────────────────────────────────

/// Products of each layer as they are, half the square of attention, no routers.
const LAYERS: Formula = Formula {
    documents: Documents::Joined,
    windows: Windows::Ignored,
    pairs: Pairs::HalfSquares,
    latents: Latents::Expanded,
    routers: Routers::Left,
    rest: Rest::Left,
    knows: &Knows::LAYERS,
    ..Formula::MODEL
};

/// Megatron-LM's, as it is now.
pub const MEGATRON: Convention = Convention::of_steps(
    "megatron",
    "6·T·(projections + feed-forward layers + h·V) + 6·L·H·(q + v)·Σℓ²/2 over the documents: half the square whatever the \
     window, top-k and shared experts without router, of latent attention the two norms too, V padded to a multiple of 128. Of \
     Mamba-2 2·h·(2·D + 2·g·n + H) + 7·D·n + 2·D·h a token forward, D = 2·h whatever the heads; of gated delta nets 8·H·v² and \
     the convolution; of a layer that predicts a further token its head, 2·h² that join its inputs, 3·h of norms.",
    "NVIDIA/Megatron-LM, megatron/training/training.py, num_floating_point_operations, transformer_flops, hybrid_flops",
    Formula {
        documents: Documents::Apart,
        shared: Shared::Ungated,
        norms: Norms::Latents,
        head: Heads::Padded,
        states: States::Squares,
        knows: &Knows {
            recurrence: Recurrence::DualAndDelta,
            further: Further::Joined { norms: true },
            ..Knows::LAYERS
        },
        ..LAYERS
    },
);

/// NeMo's, by family.
pub const NEMO: Convention = Convention::of_steps(
    "nemo",
    "B·S·L·h²·(12 + 12·g/H + 18·f/h + 6·S/h + 6·V/Lh), for experts k·f, without a gate 12·f/h: heads together as wide as the \
     model, half the square of attention, no router; of DeepSeek-V3 its own projections, and of a layer that predicts a further \
     token its head and 2·h²; of Nemotron-H three matrices in each feed-forward layer and 2·H·p·n in a state.",
    "NVIDIA/NeMo, nemo/utils/flops_formulas.py, llama2, llama3, nemotron, mixtral, qwen3, deepseekv3, nemotronh",
    Formula {
        widths: Widths::Model,
        projections: Projections::Grouped,
        feed_forward: FeedForward::GatedInHybrids,
        states: States::ReadOut,
        knows: &Knows {
            types: Some((
                &["llama", "nemotron", "mixtral", "qwen3_moe", "deepseek_v3", "nemotron_h"],
                "NeMo has formulas for the families of Llama 2 and 3, Nemotron, Mixtral, Qwen3-MoE, DeepSeek-V3 and Nemotron-H",
            )),
            recurrence: Recurrence::Dual,
            further: Further::Joined { norms: false },
            ..Knows::LAYERS
        },
        ..LAYERS
    },
);

/// MaxText's, causal.
pub const MAXTEXT: Convention = Convention::of_steps(
    "maxtext",
    "6·T·(projections + feed-forward layers, routers and shared experts + h·V) + 6·L·H·(q + v)·S²/2, and S·w − w²/2 where Gemma \
     2, Gemma 3 and gpt-oss have windows of w; half the square of each chunk in Llama 4. Of a layer that predicts a further token \
     neither the head nor what joins its inputs.",
    "AI-Hypercomputer/maxtext, src/maxtext/utils/maxtext_utils.py, calculate_tflops_training_per_device",
    Formula {
        windows: Windows::Cut,
        routers: Routers::Counted,
        knows: &Knows {
            windows: &[
                "gemma2",
                "gemma3",
                "gemma3_text",
                "gemma4",
                "gemma4_text",
                "gpt_oss",
                "llama4",
                "llama4_text",
            ],
            recurrence: Recurrence::NotFollowed,
            further: Further::Bare,
            ..Knows::LAYERS
        },
        ..LAYERS
    },
);

/// MaxText's before it was causal.
pub const MAXTEXT_2024: Convention = Convention::of_steps(
    "maxtext-2024",
    "MaxText's until July 2025: the whole attention square, and S·w where Gemma 2 has windows of w.",
    "AI-Hypercomputer/maxtext before its pull request 1988, MaxText/maxtext_utils.py, calculate_tflops_training_per_device",
    Formula {
        windows: Windows::Seen,
        pairs: Pairs::Squares,
        routers: Routers::Counted,
        knows: &Knows { windows: &["gemma2"], ..Knows::LAYERS },
        ..LAYERS
    },
);

/// verl's, by type.
pub const VERL: Convention = Convention::of_steps(
    "verl",
    "6·(layers + 2·V·h)·Σℓ + 6·L·H·d·Σℓ²: half the square of each document, of windows half of ℓ·w, routers; table and head \
     count as two products, tied or not.",
    "volcengine/verl, verl/utils/flops_counter.py, ESTIMATE_FUNC",
    Formula {
        documents: Documents::Apart,
        windows: Windows::HalfRectangles,
        routers: Routers::Counted,
        shared: Shared::IfNumbered,
        token_table: TokenTable::Always,
        norms: Norms::Apertus,
        head: Heads::Every,
        knows: &Knows {
            types: Some((
                &[
                    "apertus",
                    "deepseek_v3",
                    "gemma3_text",
                    "glm4v",
                    "gpt_oss",
                    "llama",
                    "mimo",
                    "minicpmo",
                    "minicpmv",
                    "mistral",
                    "qwen2",
                    "qwen2_5_vl",
                    "qwen2_moe",
                    "qwen2_vl",
                    "qwen3",
                    "qwen3_moe",
                    "qwen3_vl",
                    "qwen3_vl_moe",
                    "seed_oss",
                ],
                "verl knows no such type and answers 0",
            )),
            windows: &["gemma3_text", "gpt_oss"],
            ..Knows::LAYERS
        },
        ..LAYERS
    },
);

/// llm-analysis'.
pub const LLM_ANALYSIS: Convention = Convention::of_steps(
    "llm-analysis",
    "3·(L·(4·S·h² + 4·S·h²·g/H + 4·S²·h + 4·S·h·f) + 2·S·h·V)·B, 6·S·h·f where f is 3.5·h: the whole attention square, one \
     feed-forward layer whatever the experts.",
    "cli99/llm-analysis, llm_analysis/analysis.py, get_num_flops_fwd_total; config.py, get_model_config_from_hf",
    Formula {
        pairs: Pairs::Squares,
        widths: Widths::Model,
        projections: Projections::Grouped,
        feed_forward: FeedForward::EveryLayerByRatio,
        recomputed: Recomputed::WithTheHead,
        knows: &Knows { latents: false, ..Knows::LAYERS },
        ..LAYERS
    },
);

// ── of requests ─────────────────────────────────────────────────────────────────────────────────────

/// vLLM's counters.
pub const VLLM: Convention = Convention::of_serving(
    "vllm",
    "2·T·(projections + three matrices in each feed-forward layer, top-k experts, no router) + 2·h·V for each sampled token + \
     4·H·d·(tokens × context): each token of a prompt attends to all of it (prefilled in one piece), or to a window.",
    "vllm-project/vllm, vllm/v1/metrics/perf.py, ModelMetrics",
    Formula {
        documents: Documents::Apart,
        windows: Windows::Seen,
        pairs: Pairs::Squares,
        feed_forward: FeedForward::Gated,
        shared: Shared::IfNumbered,
        ..LAYERS
    },
);

/// SGLang's counters.
pub const SGLANG: Convention = Convention::of_serving(
    "sglang",
    "2·T·L·(projections + 3·h·f) + 4·L·H·d·pairs, of a token and what is before it: f is `intermediate_size` in every layer, \
     whatever the experts; no windows, no head.",
    "sgl-project/sglang, python/sglang/srt/managers/scheduler_components/metrics_reporter.py, _init_estimated_perf_constants",
    Formula {
        documents: Documents::Apart,
        pairs: Pairs::Seen,
        feed_forward: FeedForward::EveryLayer,
        head: Heads::Left,
        knows: &Knows { latents: false, ..Knows::LAYERS },
        ..LAYERS
    },
);
