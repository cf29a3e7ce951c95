//! A counter of requests is held to the count of each request by itself, and that to the count of it beside nothing.

use flopmeter::{Builtin, Config, Convention, ErrorKind, Flops, Model, Sequence, Workload};
use proptest::prelude::*;
use std::sync::LazyLock;

/// One built-in model of each architecture.
static MODELS: LazyLock<Vec<Model>> = LazyLock::new(|| {
    let mut models: Vec<Model> = Vec::new();
    for row in Builtin::all() {
        if models.iter().all(|known| known.model_type() != row.model_type()) {
            models.push(row.model().expect("a built-in model"));
        }
    }
    models
});

fn by_itself(
    model: &Model,
    [prompt, cached, generate]: [u64; 3],
    convention: &Convention,
) -> flopmeter::Result<Flops> {
    let request = Workload::batch(vec![Sequence { prompt, cached, generate, count: 1 }])?;
    model.flops(&request, convention)
}

/// The same in a batch of two, which is counted as any batch is: the other has nothing.
fn beside_nothing(
    model: &Model,
    [prompt, cached, generate]: [u64; 3],
    convention: &Convention,
) -> flopmeter::Result<Flops> {
    let nothing = Sequence { prompt: 0, cached: 0, generate: 0, count: 1 };
    let request = Sequence { prompt, cached, generate, count: 1 };
    model.flops(&Workload::batch(vec![request, nothing])?, convention)
}

fn has_nothing_without_a_request(model: &Model, convention: &Convention) -> bool {
    by_itself(model, [0, 0, 0], convention).is_ok_and(|flops| flops.total == 0)
}

fn check(request: [u64; 3]) -> Result<(), TestCaseError> {
    for model in MODELS.iter() {
        for convention in Convention::ALL {
            check_one(model, request, convention)?;
        }
    }
    Ok(())
}

fn check_one(
    model: &Model,
    request: [u64; 3],
    convention: &Convention,
) -> Result<(), TestCaseError> {
    let what = || format!("{} {} {request:?}", model.model_type(), convention.id);
    let [prompt, cached, generate] = request;
    let flops = by_itself(model, request, convention);
    let total = flops.as_ref().map(|flops| flops.total).map_err(Clone::clone);
    let counted = model.counter(convention).total(prompt, cached, generate);
    prop_assert_eq!(counted, total, "{}", what());
    // Beside an encoder a decoder begins with a token of its own, be there nothing else.
    if has_nothing_without_a_request(model, convention) {
        prop_assert_eq!(&flops, &beside_nothing(model, request, convention), "{}", what());
    }
    if let Ok(flops) = flops {
        prop_assert_eq!(flops.components().total(), Some(flops.total), "{}", what());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Lengths about as wide as windows, chunks and what indexers choose.
    #[test]
    fn every_total_is_the_request_s_own(prompt in 0u64..20_000, cached in 0u64..20_100, generate in 0u64..9_000, few: bool) {
        let scale = if few { 997 } else { 1 };
        check([prompt / scale, cached / scale, generate / scale])?;
    }

    #[test]
    fn what_does_not_fit_is_the_same_error(prompt: u64, cached: u64, generate: u64, shift in 0u32..64) {
        check([prompt >> shift, cached >> shift >> 1, generate >> shift])?;
    }
}

#[test]
fn the_edges_are_the_same() {
    let model = &Convention::MODEL;
    let alone = MODELS.iter().filter(|it| has_nothing_without_a_request(it, model)).count();
    assert!(alone > 40, "{alone} of {}", MODELS.len());
    for request in [[0, 0, 0], [0, 0, 1], [1, 1, 0], [1, 1, 2], [5, 5, 1], [1, 0, 1], [0, 1, 1]] {
        check(request).expect("equal");
    }
}

/// Requests of up to 2³¹ positions are counted without a look at what fits, and longer ones with it.
#[test]
fn the_longest_without_a_look_and_the_next_are_the_same() {
    let most = 1_u64 << 31;
    for request in [
        [most - 1, 0, 1],
        [most, 0, 0],
        [most, 0, 1],
        [1, 0, most - 1],
        [1, 1, most],
        [most - 9, most - 10, 9],
    ] {
        check(request).expect("equal");
    }
    let config = |width: u64, heads: u64| {
        let text = format!(
            r#"{{"model_type": "llama", "hidden_size": {width}, "num_hidden_layers": 4096, "vocab_size": 10,
                "num_attention_heads": {heads}, "head_dim": 64, "intermediate_size": {width}}}"#
        );
        Model::from_config(&Config::parse(&text).expect("a config")).expect("a model")
    };
    // 2¹² layers of seven matrices of 2²⁴ by 2²⁴ are 14·2⁶⁰ FLOPs a token; with four times the heads they do not fit 64 bits.
    for model in [config(1 << 20, 1 << 14), config(1 << 24, 1 << 18), config(1 << 24, 1 << 20)] {
        check_one(&model, [most - 3, 1, 3], &Convention::MODEL).expect("equal");
    }
}

#[test]
fn a_total_can_be_followed_by_hand() {
    let gpt2 = Builtin::find("gpt2").and_then(Builtin::model).expect("GPT-2");
    let counter = gpt2.counter(&Convention::MODEL);
    // 12 layers of width 768: 12·768² elements each; a head of 50,257 rows; a pair costs 4·768 in each layer.
    let (token, head, pair) = (2 * 12 * 12 * 768 * 768_u128, 2 * 768 * 50_257, 12 * 4 * 768);
    // 3 of 5 tokens are cached: tokens 4 and 5, then the first two of three that are generated, see 4 + 5 + 6 + 7.
    assert_eq!(counter.total(5, 3, 3), Ok(4 * token + 3 * head + 22 * pair));
    // Nothing is computed of a prompt that is cached, and the last token is never fed back.
    assert_eq!(counter.total(5, 5, 1), Ok(0));
    let error = counter.total(5, 6, 1).expect_err("more is cached than there is");
    assert_eq!(error.kind(), ErrorKind::Workload);
    let error = counter.total(u64::MAX, 0, 1).expect_err("positions have numbers of 64 bits");
    assert_eq!(error.kind(), ErrorKind::Overflow);
}
