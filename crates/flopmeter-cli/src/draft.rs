//! `--draft` → how a request is decoded, and what that costs.

use crate::args::WorkArgs;
use crate::report::{BytesReport, ModelReport, SpeculationReport, SpentReport};
use crate::source::{self, Source};
use flopmeter::{
    Bytes, Convention, Hardware, Ideal, Model, Phase, Result, Speculation, SpeculativeFlops,
    Workload,
};

/// The DRAFT that stands for the model's own layers which predict further tokens.
const PREDICTION: &str = "mtp";

/// A draft as it was understood.
pub struct Draft {
    source: Source,
    pub speculation: Speculation,
}

/// What decoding with it costs.
pub struct Drafted {
    pub flops: SpeculativeFlops,
    pub bytes: Bytes,
}

impl Draft {
    /// Reads the arguments. The draft runs in the dtypes that are given for the model.
    pub fn read(work: &WorkArgs, target: &Source) -> Result<Option<Self>> {
        let args = &work.draft;
        // Each of the three is there if one is.
        let (Some(name), Some(tokens), Some(acceptance)) =
            (&args.draft, args.draft_tokens, args.acceptance)
        else {
            return Ok(None);
        };
        if name == PREDICTION {
            let speculation =
                Speculation::with_prediction_layers(&target.model, tokens, acceptance)?;
            let model = speculation.draft().clone();
            let id = format!("{PREDICTION} of {}", target.id);
            let source = Source { id, model, builtin: None, notes: vec![] };
            return Ok(Some(Self { source, speculation }));
        }
        let mut source = source::find(name).map_err(|error| error.within("draft"))?;
        source.model = super::request::in_dtypes(source.model, work)?;
        let speculation = Speculation::new(source.model.clone(), tokens, acceptance)?;
        Ok(Some(Self { source, speculation }))
    }

    /// What a reader should know of it.
    pub fn notes(&self, target: &Model) -> Vec<String> {
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
    pub fn count(
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
    pub fn ideal(
        &self,
        target: &Model,
        workload: &Workload,
        hardware: &Hardware,
    ) -> Result<[Option<Ideal>; 2]> {
        let of = |phase| self.speculation.ideal(target, workload, phase, hardware);
        Ok([of(Phase::Prefill)?, of(Phase::Decode)?])
    }

    /// What is said of it.
    pub fn report(&self, drafted: &Drafted) -> SpeculationReport {
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
