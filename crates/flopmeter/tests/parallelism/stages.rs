//! Layers shared out among stages, evenly and by hand.

use super::{LLAMA, builtin, model, ranks, sent, split};
use flopmeter::{Collective, Convention, Model, Parallelism, Step, Workload};

#[test]
fn stages_have_their_layers_and_what_stands_at_the_ends() {
    let llama = model(LLAMA);
    let split = split(&llama, &Parallelism { pipeline: 2, ..Parallelism::NONE });
    let ranks = ranks(&split, 1);
    let names: Vec<&str> = ranks.iter().map(|rank| rank.name).collect();
    assert_eq!(names, ["stage 1 of 2, layer 0", "stage 2 of 2, layer 1"]);
    let layer = 12_288 + 18_432 + 128;
    assert_eq!(ranks[0].model.parameters().total, 6400 + layer);
    assert_eq!(ranks[1].model.parameters().total, layer + 64 + 6400);
    assert_eq!(ranks[0].flops.prefill.total(), Some(10 * 61_440 + 55 * 256));
    assert_eq!(ranks[1].flops.prefill.total(), Some(10 * 61_440 + 55 * 256 + 12_800));
    let of = "hidden states to the next stage";
    assert_eq!(sent(&ranks[0], Collective::PointToPoint, of), [10 * 128, 2 * 128]);
    assert!(ranks[1].transfers.is_empty());
}

#[test]
fn layers_left_over_go_to_the_stages_before_the_last() {
    let v3 = builtin("deepseek-ai/DeepSeek-V3");
    let split = split(&v3, &Parallelism { pipeline: 4, ..Parallelism::NONE });
    let names: Vec<&str> = ranks(&split, 1).iter().map(|rank| rank.name).collect();
    assert_eq!(
        names,
        [
            "stage 1 of 4, layers 0–14",
            "stage 2 of 4, layers 15–29",
            "stage 3 of 4, layers 30–45",
            "stage 4 of 4, layers 46–60"
        ]
    );
    // Equal stages are one kind: 32 layers over 8 stages.
    let llama = builtin("meta-llama/Llama-3.1-8B");
    let split =
        llama.split(&Parallelism { pipeline: 8, ..Parallelism::NONE }).expect("a plan that can be");
    let kinds: Vec<(&str, u64)> =
        ranks(&split, 1).iter().map(|rank| (rank.name, rank.count)).collect();
    let middle = "stages 2–7 of 8, 4 layers each";
    assert_eq!(kinds[1], (middle, 6));
    assert_eq!(kinds.len(), 3);
}

#[test]
fn interleaved_stages_send_more_often() {
    let llama = builtin("meta-llama/Llama-3.1-8B");
    let plan = Parallelism { pipeline: 4, virtual_stages: 2, ..Parallelism::NONE };
    let split = split(&llama, &plan);
    let ranks = ranks(&split, 1);
    assert_eq!(ranks[0].name, "stage 1 of 4, layers 0–3, 16–19");
    let of = "hidden states to the next stage";
    let token = 2 * 4096;
    assert_eq!(sent(&ranks[0], Collective::PointToPoint, of)[0], 2 * 10 * token);
    let last = ranks.last().expect("a stage");
    assert_eq!(sent(last, Collective::PointToPoint, of)[0], 10 * token);
}

#[test]
fn a_tied_head_is_stored_on_the_last_stage_as_well() {
    let gpt2 = builtin("gpt2");
    let split = split(&gpt2, &Parallelism { pipeline: 3, ..Parallelism::NONE });
    let stored: u128 =
        ranks(&split, 1).iter().map(|it| u128::from(it.count) * it.model.parameters().total).sum();
    assert_eq!(stored, gpt2.parameters().total + 50_257 * 768);
}

const STAGES: fn(u64) -> Parallelism = |pipeline| Parallelism { pipeline, ..Parallelism::NONE };

fn named(model: &Model, plan: &Parallelism, stages: &[u64]) -> Vec<String> {
    let split = model.split_staged(plan, stages).expect("a plan that can be");
    ranks(&split, 1).iter().map(|rank| rank.name.to_owned()).collect()
}

#[test]
fn layers_of_each_stage_are_given_by_hand() {
    let v3 = builtin("deepseek-ai/DeepSeek-V3");
    assert_eq!(
        named(&v3, &STAGES(4), &[16, 15, 15, 15]),
        [
            "stage 1 of 4, layers 0–15",
            "stages 2–3 of 4, 15 layers each",
            "stage 4 of 4, layers 46–60"
        ]
    );
    // An embedding alone, and a head alone.
    let llama = model(LLAMA);
    assert_eq!(
        named(&llama, &STAGES(4), &[0, 1, 1, 0]),
        ["stage 1 of 4, no layers", "stages 2–3 of 4, 1 layers each", "stage 4 of 4, no layers"]
    );
    let split = llama.split_staged(&STAGES(4), &[0, 1, 1, 0]).expect("a plan that can be");
    let parameters: Vec<u128> =
        ranks(&split, 1).iter().map(|rank| rank.model.parameters().total).collect();
    assert_eq!(parameters, [6400, 12_288 + 18_432 + 128, 6400 + 64]);
}

/// Llama Team, arXiv:2407.21783, section 3.3.2: 126 layers on 16 stages, one layer less on the first and on the last.
#[test]
fn the_first_and_the_last_stage_may_have_fewer_layers() {
    let llama = builtin("meta-llama/Llama-3.1-405B");
    let mut stages = vec![8; 16];
    (stages[0], stages[15]) = (7, 7);
    let step = Step::new(8192, 64 * 32).expect("a step");
    let plan = Parallelism { tensor: 8, data: 64, ..STAGES(16) };
    let split = llama
        .split_step_staged(&plan, &stages, &step, &Convention::MODEL)
        .expect("a plan that can be");
    let kinds: Vec<(String, u64)> = split
        .ranks(&step, 32)
        .expect("ranks")
        .iter()
        .map(|rank| (rank.name.to_owned(), rank.count))
        .collect();
    let kind = |name: &str, count| (name.to_owned(), count);
    assert_eq!(
        kinds,
        [
            kind("stage 1 of 16, layers 0–6", 8 * 64),
            kind("stages 2–15 of 16, 8 layers each", 14 * 8 * 64),
            kind("stage 16 of 16, layers 119–125", 8 * 64)
        ]
    );
    // Table 4: 8,192 devices.
    assert_eq!(kinds.iter().map(|(_, count)| count).sum::<u64>(), 8192);
}

#[test]
fn stretches_of_interleaved_stages_are_given_by_hand() {
    let v3 = builtin("deepseek-ai/DeepSeek-V3");
    let plan = Parallelism { virtual_stages: 2, ..STAGES(3) };
    // 11 + 10, 10 + 10, 10 + 10 layers of 61.
    assert_eq!(
        named(&v3, &plan, &[11, 10, 10, 10, 10, 10]),
        [
            "stage 1 of 3, layers 0–10, 31–40",
            "stage 2 of 3, layers 11–20, 41–50",
            "stage 3 of 3, layers 21–30, 51–60"
        ]
    );
    let whole = v3.flops(&Workload::request(1000, 5), &Convention::MODEL).expect("FLOPs");
    let split = v3.split_staged(&plan, &[11, 10, 10, 10, 10, 10]).expect("a plan that can be");
    let ranks = split.ranks(&Workload::request(1000, 5), &Convention::MODEL).expect("ranks");
    assert_eq!(ranks.iter().map(|rank| rank.flops.total).sum::<u128>(), whole.total);
}

#[test]
fn stages_that_do_not_make_the_model_are_refused() {
    let v3 = builtin("deepseek-ai/DeepSeek-V3");
    let refused = |plan: &Parallelism, stages: &[u64]| {
        v3.split_staged(plan, stages).expect_err("no plan").to_string()
    };
    for (stages, said) in [
        (&[16, 15, 15][..], "stages: are 3 numbers for 4 stages"),
        (&[16, 15, 15, 16], "stages: have 62 layers together, and the model has 61"),
        (&[31, 0, 15, 15], "stages: have no layer in stretch 2, which has nothing else"),
        (
            &[u64::MAX, u64::MAX, 1, 1],
            "stages: have 36893488147419103232 layers together, and the model has 61",
        ),
    ] {
        assert_eq!(refused(&STAGES(4), stages), said);
    }
    let interleaved = Parallelism { virtual_stages: 2, ..STAGES(4) };
    let said = "stages: are 4 numbers for 4 stages of 2 stretches";
    assert_eq!(refused(&interleaved, &[16, 15, 15, 15]), said);
}
