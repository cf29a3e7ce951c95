//! What is said of a workload, as values: the JSON interface, and what the other forms show.

#![allow(
    missing_docs,
    reason = "docs/reference/json.md describes each of them, and a test holds it to these"
)]

pub mod audit;
pub mod comparison;
pub mod convention;
pub mod device;
pub mod parallel;
pub mod training;

use flopmeter::{
    Bytes, Component, Counts, Flops, Ideal, Model, Result, Sequence, Traffic, Workload,
};
use flopmeter_source::Source;
use parallel::{ParallelismReport, RankReport};
use serde::{Serialize, Serializer, ser::SerializeMap};

/// The JSON of `estimate` and `utilization`.
#[derive(Debug, Serialize)]
pub struct Report {
    pub model: ModelReport,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adapter: Option<AdapterReport>,
    pub workload: WorkloadReport,
    pub convention: &'static str,
    pub flops: FlopsReport,
    pub bytes: BytesReport,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speculation: Option<SpeculationReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub utilization: Option<UtilizationReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parallelism: Option<ParallelismReport>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ranks: Vec<RankReport>,
    pub notes: Vec<String>,
}

#[derive(Debug, Serialize)]
pub struct ModelReport {
    pub id: String,
    pub model_type: String,
    /// `shapes` where no such type is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counted_from: Option<&'static str>,
    pub parameters: ParametersReport,
}

#[derive(Debug, Serialize)]
pub struct ParametersReport {
    pub total: u128,
    pub active: u128,
    pub embedding: u128,
    pub non_embedding: u128,
}

/// An adapter of the model.
#[derive(Debug, Clone, Serialize)]
pub struct AdapterReport {
    pub id: String,
    pub parameters: u128,
    pub modules: u64,
    pub merged: bool,
}

/// What differs among the sequences is null here and stands in `sequences`.
#[derive(Debug, Serialize)]
pub struct WorkloadReport {
    pub prompt: Option<u64>,
    pub cached: Option<u64>,
    pub generate: Option<u64>,
    /// Of an encoder-decoder alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decoder_prompt: Option<u64>,
    pub batch: u128,
    pub kv_cache: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sequences: Vec<SequenceReport>,
    /// Of each prompt.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<ImageReport>,
    /// Of each prompt.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub audio: Vec<ClipReport>,
}

#[derive(Debug, Serialize)]
pub struct ImageReport {
    pub width: u64,
    pub height: u64,
    pub tokens: u64,
}

#[derive(Debug, Serialize)]
pub struct ClipReport {
    pub seconds: f64,
    pub tokens: u64,
}

#[derive(Debug, Serialize)]
pub struct SequenceReport {
    pub prompt: u64,
    pub cached: u64,
    pub generate: u64,
    pub batch: u64,
}

#[derive(Debug, Serialize)]
pub struct FlopsReport {
    pub total: u128,
    pub prefill: u128,
    pub decode: u128,
    #[serde(serialize_with = "by_name")]
    pub components: Vec<(Component, u128)>,
    /// The same by phase, for the table.
    #[serde(skip)]
    pub by_phase: [Counts; 2],
}

#[derive(Debug, Clone, Serialize)]
pub struct BytesReport {
    pub weights: u128,
    pub kv_cache_per_token: u128,
    pub kv_cache: u128,
    pub read: u128,
    pub written: u128,
    pub prefill: TrafficReport,
    pub decode: TrafficReport,
}

#[derive(Debug, Clone, Serialize)]
pub struct TrafficReport {
    pub read: u128,
    pub written: u128,
}

/// A request that is decoded with a draft.
#[derive(Debug, Serialize)]
pub struct SpeculationReport {
    pub draft: ModelReport,
    pub draft_tokens: u64,
    pub acceptance: f64,
    pub tokens_per_step: f64,
    pub steps: f64,
    pub drafted_tokens: f64,
    pub flops: SpentReport,
    pub bytes: BytesReport,
    pub speedup: Option<f64>,
}

#[derive(Debug, Serialize)]
pub struct SpentReport {
    pub useful: u128,
    pub spent: u128,
    pub prefill: u128,
    pub draft_prefill: u128,
    pub drafting: u128,
    pub verification: u128,
}

/// Ratios are fractions. What is not known, or was not measured, is null.
#[derive(Debug, Serialize)]
pub struct UtilizationReport {
    pub mfu: Option<f64>,
    /// There where more is spent than is useful.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hfu: Option<f64>,
    pub mbu: Option<f64>,
    pub seconds: Option<f64>,
    pub ideal_seconds: Option<f64>,
    pub of_ideal: Option<f64>,
    pub bound: Option<&'static str>,
    pub prefill: IdealReport,
    pub decode: IdealReport,
}

#[derive(Debug, Serialize)]
pub struct IdealReport {
    pub ideal_seconds: Option<f64>,
    pub bound: Option<&'static str>,
}

#[derive(Debug, Serialize)]
pub struct DeviceReport {
    pub id: String,
    pub name: String,
    pub count: u64,
    pub dtype: &'static str,
    pub peak_flops_per_second: f64,
    pub bandwidth_bytes_per_second: Option<f64>,
    pub memory_bytes: Option<u128>,
    pub fits: Option<bool>,
}

impl UtilizationReport {
    /// Why a ratio may be above 1, if one is. It is shown as it is.
    pub fn above_one(&self) -> Option<String> {
        let above = |ratio: Option<f64>| ratio.is_some_and(|ratio| ratio > 1.0);
        (above(self.mfu) || above(self.hfu) || above(self.mbu) || above(self.of_ideal)).then(|| {
            "a ratio above 1 means that the time leaves work out, the device is another, or the work ran in \
             a narrower dtype than the one whose peak was taken"
                .into()
        })
    }
}

impl IdealReport {
    pub fn of(ideal: Option<Ideal>) -> Self {
        Self {
            ideal_seconds: ideal.map(|ideal| ideal.seconds),
            bound: ideal.and_then(|ideal| ideal.bound()).map(|bound| bound.name()),
        }
    }
}

impl ModelReport {
    /// A model and its parameters.
    pub fn of(source: &Source) -> Self {
        let parameters = source.model.parameters();
        Self {
            id: source.id.clone(),
            model_type: source.model.model_type().to_owned(),
            counted_from: source.model.is_counted_from_shapes().then_some("shapes"),
            parameters: ParametersReport {
                total: parameters.total,
                active: parameters.active,
                embedding: parameters.embedding,
                non_embedding: parameters.non_embedding(),
            },
        }
    }
}

impl WorkloadReport {
    pub fn of(model: &Model, workload: &Workload) -> Result<Self> {
        let sequences = workload.sequences();
        let common = |of: fn(&Sequence) -> u64| {
            let first = of(&sequences[0]);
            sequences.iter().all(|sequence| of(sequence) == first).then_some(first)
        };
        let each = sequences.iter().map(|&Sequence { prompt, cached, generate, count }| {
            SequenceReport { prompt, cached, generate, batch: count }
        });
        let cuts = model.cuts(workload.images())?;
        let images = workload.images().iter().zip(cuts).map(|(image, cut)| ImageReport {
            width: image.width(),
            height: image.height(),
            tokens: cut.tokens,
        });
        let heard = model.heard(workload.audio())?;
        let audio = workload
            .audio()
            .iter()
            .zip(heard)
            .map(|(clip, heard)| ClipReport { seconds: clip.seconds(), tokens: heard.tokens });
        Ok(Self {
            prompt: common(|sequence| sequence.prompt),
            cached: common(|sequence| sequence.cached),
            generate: common(|sequence| sequence.generate),
            decoder_prompt: model.decoder_prompt(workload),
            batch: workload.batch_size(),
            kv_cache: workload.kv_cache(),
            sequences: if sequences.len() > 1 { each.collect() } else { Vec::new() },
            images: images.collect(),
            audio: audio.collect(),
        })
    }
}

impl FlopsReport {
    pub fn of(flops: &Flops, components: &[Component]) -> Self {
        // Parts of a total that fits.
        let sum = |counts: &Counts| counts.total().unwrap_or(flops.total);
        Self {
            total: flops.total,
            prefill: sum(&flops.prefill),
            decode: sum(&flops.decode),
            components: components
                .iter()
                .map(|component| (*component, flops.components()[*component]))
                .collect(),
            by_phase: [flops.prefill, flops.decode],
        }
    }
}

impl BytesReport {
    pub fn of(bytes: &Bytes) -> Self {
        let phase =
            |traffic: Traffic| TrafficReport { read: traffic.read, written: traffic.written };
        Self {
            weights: bytes.weights,
            kv_cache_per_token: bytes.kv_cache_per_token,
            kv_cache: bytes.kv_cache,
            read: bytes.read(),
            written: bytes.written(),
            prefill: phase(bytes.prefill),
            decode: phase(bytes.decode),
        }
    }
}

fn by_name<S: Serializer>(
    counts: &[(Component, u128)],
    serializer: S,
) -> std::result::Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(counts.len()))?;
    for (component, count) in counts {
        map.serialize_entry(component.name(), count)?;
    }
    map.end()
}
