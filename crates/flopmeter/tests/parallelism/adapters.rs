//! Low-rank adapters beside products that are cut.

use super::{LLAMA, TENSOR, model, sent_in_step};
use flopmeter::{Adapter, Collective, Convention, Frozen, Model, Step, Workload};

/// Adapters of rank 8 of queries (64 to 64) and of what comes out (64 to 64).
fn adapted() -> Model {
    let adapter = r#"{"peft_type": "LORA", "r": 8, "target_modules": ["q_proj", "o_proj"]}"#;
    let adapter = Adapter::parse(adapter).expect("an adapter");
    model(LLAMA).with_adapter(&adapter).expect("a model").unmerged
}

#[test]
fn adapters_are_cut_as_what_they_stand_beside() {
    let model = adapted();
    let request = Workload::request(10, 1);
    let split = model.split(&TENSOR(2)).expect("a plan that can be");
    let rank = &split.ranks(&request, &Convention::MODEL).expect("ranks")[0];
    let alone = super::model(LLAMA).split(&TENSOR(2)).expect("a plan that can be");
    let beside = &alone.ranks(&request, &Convention::MODEL).expect("ranks")[0];
    // q: A 64·8 whole, B 8·32. o: A 32·8, B 8·64 whole. In two layers.
    let parameters = 2 * (512 + 256 + 256 + 512);
    assert_eq!(rank.model.parameters().total, beside.model.parameters().total + parameters);
    assert_eq!(rank.flops.total, beside.flops.total + 10 * 2 * parameters);
    assert_eq!(split.replicated().collect::<Vec<_>>(), ["adapters"]);
    // What B makes of a part is added up with the rest.
    assert_eq!(rank.transfers, beside.transfers);
}

#[test]
fn a_step_adds_up_what_adapters_make() {
    let model = adapted();
    let step = Step::new(32, 2).expect("a step").freezing(Frozen::Base);
    let split = model.split_step(&TENSOR(2), &step, &Convention::MODEL).expect("a plan");
    let rank = &split.ranks(&step, 1).expect("ranks")[0];
    // 8 elements a token and layer: forward beside o, a gradient beside q.
    let sent = sent_in_step(rank, Collective::AllReduce, "adapters");
    assert_eq!(sent, 64 * 2 * (8 + 8) * 2);
    let parameters = 2 * (512 + 256 + 256 + 512);
    assert_eq!(rank.memory.optimizer, 12 * parameters);
}
