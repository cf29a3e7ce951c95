//! Feed-forward layers, cut by their inner width.

use super::cutter::{Cut, Cutter};
use super::size;
use crate::component::Component;
use crate::error::Result;
use crate::op::{Linear, Op};

impl Cutter<'_> {
    /// Matrices before the inner width by their outputs, the one after it by its inputs.
    pub(super) fn cut_feed_forward(&self, ops: &[&Op], cuts: &mut [Cut]) -> Result<()> {
        for component in [Component::Mlp, Component::MoeShared] {
            for run in runs(ops, component) {
                self.cut_run(ops, &run, cuts)?;
            }
        }
        Ok(())
    }

    fn cut_run(&self, ops: &[&Op], run: &[usize], cuts: &mut [Cut]) -> Result<()> {
        let linear = |at: usize| match ops[at] {
            Op::Linear(linear) => Some(linear),
            _ => None,
        };
        let ends = |linear: &&Linear| linear.to == self.hidden;
        let mut from_the_end = run.iter().skip(1).rev();
        let Some((down, inner)) =
            from_the_end.find_map(|at| linear(*at).filter(ends).map(|it| (*at, it.from)))
        else {
            return Ok(());
        };
        let share =
            size::share("tensor", "of a feed-forward layer's width", inner, self.plan.tensor)?;
        for at in run.iter().filter(|at| **at < down) {
            let Some(matrix) = linear(*at) else { continue };
            if matrix.to.is_multiple_of(inner) {
                cuts[*at] = Cut::Outputs(matrix.to / inner * share);
                cuts[down] = Cut::Inputs(share);
            }
        }
        Ok(())
    }
}

/// Products of one component that stand together, but for norms between them.
fn runs(ops: &[&Op], component: Component) -> Vec<Vec<usize>> {
    let mut runs: Vec<Vec<usize>> = vec![Vec::new()];
    for (at, op) in ops.iter().enumerate() {
        match op {
            // A gate of one output is no matrix of the layer.
            Op::Linear(op) if op.component == component && op.to > 1 => {
                if let Some(run) = runs.last_mut() {
                    run.push(at);
                }
            }
            Op::Linear(op) if op.component == component => {}
            Op::Vector(_) => {}
            _ => runs.push(Vec::new()),
        }
    }
    runs
}
