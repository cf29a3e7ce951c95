//! Which of the built-in models take longest to count. Run: `cargo bench -p flopmeter --bench slowest`.
//!
//! A time is the least of several rounds, which is what stays of it on a machine that others use too.

use flopmeter::{Builtin, Convention, Model, Workload};
use std::hint::black_box;
use std::time::Instant;

const CALLS: u32 = 500;
const ROUNDS: u32 = 40;

fn main() {
    let models: Vec<(&str, Model)> =
        Builtin::all().iter().map(|row| (row.id, row.model().expect("a built-in model"))).collect();
    for convention in [Convention::MODEL, Convention::TORCH] {
        let mut times: Vec<(f64, &str)> = models
            .iter()
            .map(|(id, model)| {
                let answers = u64::from(model.generates());
                let request = Workload::request(1024, 256 * answers);
                let count = || model.flops(black_box(&request), black_box(&convention));
                count().expect("it can be counted");
                (nanoseconds(count), *id)
            })
            .collect();
        times.sort_by(|a, b| b.0.total_cmp(&a.0));
        println!("a request of {} models, convention {}", times.len(), convention.id);
        for (time, id) in &times[..10] {
            println!("{time:8.1} ns  {id}");
        }
        println!("{:8.1} ns  median", times[times.len() / 2].0);
    }
}

/// The least time of a call.
fn nanoseconds<T>(call: impl Fn() -> T) -> f64 {
    let round = || {
        let start = Instant::now();
        for _ in 0..CALLS {
            black_box(call());
        }
        start.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS)
    };
    (0..ROUNDS).map(|_| round()).fold(f64::INFINITY, f64::min)
}
