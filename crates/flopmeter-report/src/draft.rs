//! How a request is decoded with a draft, and what that costs.

use crate::report::{BytesReport, ModelReport, SpeculationReport, SpentReport};
use flopmeter::{
    Bytes, Convention, Hardware, Ideal, Model, Phase, Result, Speculation, SpeculativeFlops,
    Workload,
};
use flopmeter_source::{self as source, Source};

/// The DRAFT that stands for the model's own layers which predict further tokens.
const PREDICTION: &str = "mtp";

/// A draft as it was understood.
#[derive(Debug, Clone)]
pub struct Draft {
    source: Source,
    /// The draft as the core counts it.
    pub speculation: Speculation,
}

/// What decoding with it costs.
pub(crate) struct Drafted {
    pub flops: SpeculativeFlops,
    pub bytes: Bytes,
}

impl Draft {
    /// Finds a draft: a model, or with `mtp` the target's own layers that predict further tokens. A model is made over as
    /// the target was (its dtypes, say).
    ///
    /// # Errors
    ///
    /// If there is no such model, or it cannot draft for the target.
    pub fn find(
        name: &str,
        target: &Source,
        made: impl FnOnce(Model) -> Result<Model>,
        tokens: u64,
        acceptance: f64,
    ) -> Result<Self> {
        if name == PREDICTION {
            let speculation =
                Speculation::with_prediction_layers(&target.model, tokens, acceptance)?;
            let model = speculation.draft().clone();
            let id = format!("{PREDICTION} of {}", target.id);
            let source = Source { id, model, builtin: None, notes: vec![] };
            return Ok(Self { source, speculation });
        }
        let mut source = source::find(name).map_err(|error| error.within("draft"))?;
        source.model = made(source.model)?;
        Self::of(source, tokens, acceptance)
    }

    /// A model that drafts.
    ///
    /// # Errors
    ///
    /// If it cannot draft so many tokens, or the acceptance is no probability.
    pub fn of(source: Source, tokens: u64, acceptance: f64) -> Result<Self> {
        let speculation = Speculation::new(source.model.clone(), tokens, acceptance)?;
        Ok(Self { source, speculation })
    }

    /// What a reader should know of it.
    pub(crate) fn notes(&self, target: &Model) -> Vec<String> {
        let own = self.source.notes.iter().chain(self.source.model.notes());
        // Layers of the model have its notes.
        let own = own.filter(|note| !target.notes().contains(note));
        let mut notes: Vec<String> = own.map(|note| format!("draft: {note}")).collect();
        notes.extend(self.speculation.notes(target));
        let [drafts, verifies] = [&self.source.model, target].map(|it| it.quantization().compute);
        if drafts != verifies {
            notes.push(format!(
                "the draft's products run in {drafts}, and their FLOPs are held against the peak of {verifies}"
            ));
        }
        notes
    }

    /// Counts the request decoded so.
    pub(crate) fn count(
        &self,
        target: &Model,
        workload: &Workload,
        convention: &Convention,
    ) -> Result<Drafted> {
        Ok(Drafted {
            flops: self.speculation.flops(target, workload, convention)?,
            bytes: self.speculation.bytes(target, workload)?,
        })
    }

    /// The shortest times in which some hardware can do each phase so.
    pub(crate) fn ideal(
        &self,
        target: &Model,
        workload: &Workload,
        hardware: &Hardware,
    ) -> Result<[Option<Ideal>; 2]> {
        let of = |phase| self.speculation.ideal(target, workload, phase, hardware);
        Ok([of(Phase::Prefill)?, of(Phase::Decode)?])
    }

    /// What is said of it.
    pub(crate) fn report(&self, drafted: &Drafted) -> SpeculationReport {
        let flops = &drafted.flops;
        // Parts of a total that fits.
        let sum = |counts: &flopmeter::Counts| counts.total().unwrap_or(flops.total);
        SpeculationReport {
            draft: ModelReport::of(&self.source),
            draft_tokens: self.speculation.draft_tokens(),
            acceptance: self.speculation.acceptance(),
            tokens_per_step: self.speculation.tokens_per_step(),
            steps: flops.steps,
            drafted_tokens: flops.drafted,
            flops: SpentReport {
                useful: flops.useful.total,
                spent: flops.total,
                prefill: sum(&flops.useful.prefill),
                draft_prefill: sum(&flops.draft_prefill),
                drafting: sum(&flops.drafting),
                verification: sum(&flops.verification),
            },
            bytes: BytesReport::of(&drafted.bytes),
            speedup: None,
        }
    }
}
