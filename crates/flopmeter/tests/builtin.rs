//! Every built-in model has exactly the parameters that PyTorch counts in it and that its row states.

use flopmeter::flops::nominal_billions;
use flopmeter::{Builtin, ErrorKind};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// Counts of the reference implementation's own modules, built without weights
/// (`tests/recorded/parameters.py`).
#[derive(Deserialize)]
struct Recorded {
    parameters: BTreeMap<String, u128>,
    /// Of those that see images, how many are the tower's.
    towers: BTreeMap<String, u128>,
}

fn recordings() -> Recorded {
    serde_json::from_str(include_str!("recorded/parameters.json")).expect("a recording")
}

fn recorded() -> BTreeMap<String, u128> {
    recordings().parameters
}

#[test]
fn every_row_has_the_recorded_and_the_published_parameters() {
    let recorded = recorded();
    let rows = Builtin::all();
    assert!(rows.len() >= 150, "only {} rows", rows.len());
    assert_eq!(rows.len(), recorded.len(), "rows and recordings are one to one");
    let mut wrong = Vec::new();
    for row in rows {
        let counted = match row.model() {
            Ok(model) => model.parameters().total,
            Err(error) => {
                wrong.push(format!("{}: {error}", row.id));
                continue;
            }
        };
        if Some(&counted) != recorded.get(row.id) || counted != row.parameters {
            let recorded = recorded.get(row.id);
            wrong.push(format!(
                "{}: {counted}, recorded {recorded:?}, published {}",
                row.id, row.parameters
            ));
        }
    }
    assert!(wrong.is_empty(), "{} rows differ:\n{}", wrong.len(), wrong.join("\n"));
}

/// What a token does not pass: in so many layers all but the chosen of so many experts, each of so many parameters.
/// Written down from the configs by hand; an expert has its three matrices, two where nothing gates.
const EXPERTS: &[(&str, u128, u128, u128, u128)] = &[
    ("allenai/OLMoE-1B-7B-0125", 16, 64, 8, 3 * 2048 * 1024),
    ("baidu/ERNIE-4.5-21B-A3B-PT", 27, 64, 6, 3 * 2560 * 1536),
    ("baidu/ERNIE-4.5-300B-A47B-PT", 51, 64, 8, 3 * 8192 * 3584),
    ("databricks/dbrx-base", 40, 16, 4, 3 * 6144 * 10752),
    ("deepseek-ai/DeepSeek-Coder-V2-Instruct", 59, 160, 6, 3 * 5120 * 1536),
    ("deepseek-ai/DeepSeek-Coder-V2-Lite-Base", 26, 64, 6, 3 * 2048 * 1408),
    ("deepseek-ai/DeepSeek-R1", 58, 256, 8, 3 * 7168 * 2048),
    ("deepseek-ai/DeepSeek-V4-Flash", 43, 256, 6, 3 * 4096 * 2048),
    ("deepseek-ai/DeepSeek-V4-Pro", 61, 384, 6, 3 * 7168 * 3072),
    ("google/gemma-4-26B-A4B", 30, 128, 8, 3 * 2816 * 704),
    ("ibm-granite/granite-3.0-1b-a400m-base", 24, 32, 8, 3 * 1024 * 512),
    ("ibm-granite/granite-3.0-1b-a400m-instruct", 24, 32, 8, 3 * 1024 * 512),
    ("ibm-granite/granite-3.0-3b-a800m-instruct", 32, 40, 8, 3 * 1536 * 512),
    ("ibm-granite/granite-4.0-h-tiny", 40, 64, 6, 3 * 1536 * 512),
    ("meta-llama/Llama-4-Maverick-17B-128E", 24, 128, 1, 3 * 5120 * 8192),
    ("meta-llama/Llama-4-Scout-17B-16E", 48, 16, 1, 3 * 5120 * 8192),
    ("microsoft/Phi-3.5-MoE-instruct", 32, 16, 2, 3 * 4096 * 6400),
    ("MiniMaxAI/MiniMax-M2", 62, 256, 8, 3 * 3072 * 1536),
    ("MiniMaxAI/MiniMax-M3", 57, 128, 4, 3 * 6144 * 3072),
    ("mistralai/Mixtral-8x22B-Instruct-v0.1", 56, 8, 2, 3 * 6144 * 16384),
    ("mistralai/Mixtral-8x22B-v0.1", 56, 8, 2, 3 * 6144 * 16384),
    ("mistralai/Mixtral-8x7B-Instruct-v0.1", 32, 8, 2, 3 * 4096 * 14336),
    ("moonshotai/Kimi-K2-Base", 60, 384, 8, 3 * 7168 * 2048),
    ("moonshotai/Kimi-Linear-48B-A3B-Instruct", 26, 256, 8, 3 * 2304 * 1024),
    ("moonshotai/Moonlight-16B-A3B", 26, 64, 6, 3 * 2048 * 1408),
    ("NousResearch/Nous-Hermes-2-Mixtral-8x7B-DPO", 32, 8, 2, 3 * 4096 * 14336),
    ("nvidia/DeepSeek-V3.2-NVFP4", 58, 256, 8, 3 * 7168 * 2048),
    ("nvidia/GLM-5-NVFP4", 75, 256, 8, 3 * 6144 * 2048),
    ("nvidia/GLM-5.2-NVFP4", 75, 256, 8, 3 * 6144 * 2048),
    ("nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16", 23, 128, 6, 2 * 2688 * 1856),
    ("nvidia/NVIDIA-Nemotron-3-Super-120B-A12B-NVFP4", 40, 512, 22, 2 * 1024 * 2688),
    ("nvidia/NVIDIA-Nemotron-3-Ultra-550B-A55B-BF16", 48, 512, 22, 2 * 2048 * 5120),
    ("nvidia/Qwen3-235B-A22B-NVFP4", 94, 128, 8, 3 * 4096 * 1536),
    ("nvidia/Qwen3.5-397B-A17B-NVFP4", 60, 512, 10, 3 * 4096 * 1024),
    ("openai/gpt-oss-120b", 36, 128, 4, 3 * 2880 * 2880 + 2 * 2880 + 2880),
    ("openai/gpt-oss-20b", 24, 32, 4, 3 * 2880 * 2880 + 2 * 2880 + 2880),
    ("openbmb/MiniCPM-MoE-8x2B", 40, 8, 2, 3 * 2304 * 5760),
    ("Qwen/Qwen1.5-MoE-A2.7B", 24, 60, 4, 3 * 2048 * 1408),
    ("Qwen/Qwen2-57B-A14B", 28, 64, 8, 3 * 3584 * 2560),
    ("Qwen/Qwen3-30B-A3B", 48, 128, 8, 3 * 2048 * 768),
    ("Qwen/Qwen3-Coder-480B-A35B-Instruct", 62, 160, 8, 3 * 6144 * 2560),
    ("Qwen/Qwen3-Next-80B-A3B-Instruct", 48, 512, 10, 3 * 2048 * 512),
    ("Qwen/Qwen3.5-122B-A10B", 48, 256, 8, 3 * 3072 * 1024),
    ("Qwen/Qwen3.5-35B-A3B", 40, 256, 8, 3 * 2048 * 512),
    ("tencent/Hunyuan-A13B-Instruct", 32, 64, 8, 3 * 4096 * 3072),
    ("zai-org/GLM-4.5", 89, 160, 8, 3 * 5120 * 1536),
    ("zai-org/GLM-4.5-Air", 45, 128, 8, 3 * 4096 * 1408),
];

#[test]
fn active_parameters_are_the_recorded_ones_less_the_experts_not_chosen() {
    let Recorded { parameters: mut recorded, towers } = recordings();
    // A token of text passes through no tower.
    for (id, tower) in towers {
        *recorded.get_mut(&id).expect("a row") -= tower;
    }
    // Of a name that is not listed, the numbers are those of a listed one of the same size.
    let inactive: BTreeMap<u128, u128> = EXPERTS
        .iter()
        .map(|(id, layers, experts, chosen, each)| {
            (recorded[*id], layers * (experts - chosen) * each)
        })
        // Llama-3.2-Vision: without an image, 8 layers of cross-attention and feed-forward are passed over.
        // q and o 4096², k and v 4096 · 1024, two norms of 128; 3 · 4096 · 14336; two norms of 4096; two gates.
        .chain([(
            9_775_192_080,
            8 * (2 * 4096 * 4096 + 2 * 4096 * 1024 + 256 + 176_160_768 + 8192 + 2),
        )])
        // ESM-2: what would predict contacts, a number for each layer and head and one more, runs in no pass.
        .chain([(7_512_474, 6 * 20 + 1), (651_043_254, 33 * 20 + 1), (2_839_005_634, 36 * 40 + 1)])
        .collect();
    for row in Builtin::all() {
        let parameters = row.model().expect("a model").parameters();
        let inactive = inactive.get(&recorded[row.id]).copied().unwrap_or(0);
        assert_eq!(parameters.active, recorded[row.id] - inactive, "{}", row.id);
        assert_eq!(row.active_parameters(), parameters.active, "{}", row.id);
    }
}

/// Whether a count is what a printed figure says, cut off or rounded: 37,552,282,624 is `37B` and `38B`.
fn is_printed(count: u128, figure: &str) -> bool {
    let (digits, unit) = match figure.split_at(figure.len() - 1) {
        (digits, "B") => (digits, 1_000_000_000),
        // 400M is printed of one digit.
        (digits, "M") => (digits.trim_end_matches('0'), 100_000_000),
        _ => panic!("{figure}"),
    };
    let decimals = digits.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    let unit = unit / 10_u128.pow(u32::try_from(decimals).expect("few"));
    let printed: u128 = digits.replace('.', "").parse().expect("a number");
    [count / unit, (count + unit / 2) / unit].contains(&printed)
}

#[test]
fn published_active_parameters_are_ours_or_the_note_says_what_they_leave_out() {
    for row in Builtin::all() {
        let Some(published) = row.active else { continue };
        let active = row.model().expect("a model").parameters().active;
        if is_printed(active, published) {
            continue;
        }
        // `The published 2.4B active leave the embedding table out: A − B · C = D.`
        let note = row.note.unwrap_or_default();
        let sum =
            note.rsplit_once(": ").filter(|_| note.contains(&format!("published {published}")));
        let (_, sum) = sum.unwrap_or_else(|| panic!("{}: {active} is not {published}", row.id));
        let numbers: Vec<u128> = sum
            .trim_end_matches('.')
            .split([' ', '−', '·', '='])
            .filter(|word| !word.is_empty())
            .map(|word| word.parse().expect("a number"))
            .collect();
        let [from, times, each, left] = numbers[..] else { panic!("{}: {sum}", row.id) };
        assert_eq!((from, left), (active, from - times * each), "{}", row.id);
        assert!(is_printed(left, published), "{}: {left} is not {published}", row.id);
    }
}

#[test]
fn the_type_of_a_row_is_that_of_its_model() {
    for row in Builtin::all() {
        let model = row.model().expect("a model");
        assert_eq!(row.model_type(), model.model_type(), "{}", row.id);
    }
}

#[test]
fn no_key_of_a_row_goes_unread() {
    let unread: Vec<String> = Builtin::all()
        .iter()
        .filter_map(|row| Some((row.id, row.model().ok()?.unread().join(", "))))
        .filter(|(_, keys)| !keys.is_empty())
        .map(|(id, keys)| format!("{id}: {keys}"))
        .collect();
    assert!(unread.is_empty(), "{}", unread.join("\n"));
}

#[test]
fn names_are_unique_and_find_their_row() {
    let mut seen = BTreeSet::new();
    for row in Builtin::all() {
        assert!(!row.source.is_empty(), "{}: a row needs its source", row.id);
        for name in row.names() {
            assert!(seen.insert(name.to_lowercase()), "{}: the name `{name}` is taken", row.id);
            assert_eq!(Builtin::find(&name.to_uppercase()).expect("it is there").id, row.id);
        }
    }
}

#[test]
fn a_name_that_states_a_size_has_it_and_an_unknown_one_has_near_names() {
    for row in Builtin::all() {
        let total = row.parameters as f64 / 1e9;
        if let Some(nominal) = row.nominal_billions {
            // Vendors round, leave embeddings out or count a vision tower in; none is off by two.
            let ratio = nominal / total;
            assert!((0.5..2.0).contains(&ratio), "{}: {nominal} of {total} billion", row.id);
            assert_eq!(nominal_billions(row.id), Some(nominal), "{}", row.id);
        }
    }
    let error = Builtin::find("meta-llama/Llama-3.1-9B").expect_err("nobody");
    assert_eq!(error.kind(), ErrorKind::Model);
    assert!(error.to_string().contains("Llama-3.1-8B"), "{error}");
}

#[test]
fn what_is_known_and_has_no_row_says_why_under_each_of_its_names() {
    let all = Builtin::uncounted();
    assert!(all.is_sorted_by_key(|known| known.id.to_lowercase()));
    for known in all {
        for name in std::iter::once(&known.id).chain(known.ollama) {
            let error = Builtin::find(&name.to_uppercase()).expect_err("no row");
            assert_eq!(error.kind(), ErrorKind::Model);
            assert!(error.hints().iter().any(|hint| hint.contains(known.reason)), "{error}");
        }
        assert!(Builtin::find_variant(known.id).is_none(), "{}", known.id);
    }
}
