//! What the command says of ranks, as values.

use super::BytesReport;
use flopmeter::device::Device;
use flopmeter::{Parallelism, Rank, Split, StepRank, StepSplit, Transfer};
use serde::Serialize;

/// How the work is cut.
#[derive(Debug, Clone, Serialize)]
pub struct ParallelismReport {
    pub data: u64,
    pub context: u64,
    pub tensor: u64,
    pub decode_context: u64,
    pub sequence: bool,
    /// Of a step alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zero: Option<u64>,
    pub pipeline: u64,
    pub virtual_stages: u64,
    pub expert: u64,
    pub expert_tensor: u64,
    pub devices: u64,
    pub vocabulary_padding: u64,
    pub replicated: Vec<&'static str>,
    /// FLOPs of all ranks, what several compute included.
    pub flops: u128,
    /// Of a step alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bubble: Option<f64>,
    /// Null without a device whose memory is known, and for different sequences.
    pub largest_batch: Option<u64>,
    /// Null likewise, where tokens take no memory, and of a step.
    pub largest_context: Option<u64>,
}

/// One of some ranks that are alike.
#[derive(Debug, Clone, Serialize)]
pub struct RankReport {
    pub name: String,
    pub count: u64,
    pub parameters: u128,
    pub flops: RankFlopsReport,
    pub bytes: BytesReport,
    pub sent: Vec<TransferReport>,
    pub fits: Option<bool>,
}

#[derive(Debug, Clone, Serialize)]
pub struct RankFlopsReport {
    pub total: u128,
    pub prefill: u128,
    pub decode: u128,
}

/// Bytes that it sends.
#[derive(Debug, Clone, Serialize)]
pub struct TransferReport {
    pub collective: &'static str,
    pub of: &'static str,
    pub ranks: u64,
    pub prefill: u128,
    pub decode: u128,
    /// Null without a device whose links are known.
    pub seconds: Option<f64>,
}

/// One of some ranks that are alike in a step.
#[derive(Debug, Clone, Serialize)]
pub struct StepRankReport {
    pub name: String,
    pub count: u64,
    pub parameters: u128,
    pub flops: StepRankFlopsReport,
    pub memory: StepMemoryReport,
    pub sent: Vec<StepTransferReport>,
    pub fits: Option<bool>,
}

#[derive(Debug, Clone, Serialize)]
pub struct StepRankFlopsReport {
    pub total: u128,
    pub executed: u128,
}

/// Bytes that it holds. Null where it is not known what an op keeps.
#[derive(Debug, Clone, Serialize)]
pub struct StepMemoryReport {
    pub weights: u128,
    pub gradients: u128,
    pub optimizer: u128,
    pub activations: Option<u128>,
    pub total: Option<u128>,
}

/// Bytes that it sends in a step.
#[derive(Debug, Clone, Serialize)]
pub struct StepTransferReport {
    pub collective: &'static str,
    pub of: &'static str,
    pub ranks: u64,
    pub bytes: u128,
    /// Null without a device whose links are known.
    pub seconds: Option<f64>,
}

impl ParallelismReport {
    fn new(split: &Split, devices: u64, flops: u128, largest_batch: Option<u64>) -> Self {
        let plan: &Parallelism = split.parallelism();
        Self {
            data: plan.data,
            context: plan.context,
            tensor: plan.tensor,
            decode_context: plan.decode_context,
            sequence: plan.sequence,
            zero: None,
            pipeline: plan.pipeline,
            virtual_stages: plan.virtual_stages,
            expert: plan.expert,
            expert_tensor: plan.expert_tensor(),
            devices,
            vocabulary_padding: split.vocabulary_padding(),
            replicated: split.replicated().collect(),
            flops,
            bubble: None,
            largest_batch,
            largest_context: None,
        }
    }

    pub fn of(
        split: &Split,
        devices: u64,
        ranks: &[RankReport],
        [batch, context]: [Option<u64>; 2],
    ) -> Self {
        let flops = all(ranks.iter().map(|rank| (rank.count, rank.flops.total)));
        Self { largest_context: context, ..Self::new(split, devices, flops, batch) }
    }

    pub fn of_step(
        split: &StepSplit,
        devices: u64,
        ranks: &[StepRankReport],
        micro_batches: u64,
        largest: Option<u64>,
    ) -> Self {
        let flops = all(ranks.iter().map(|rank| (rank.count, rank.flops.total)));
        Self {
            zero: Some(split.split().parallelism().zero),
            bubble: Some(split.bubble(micro_batches)),
            ..Self::new(split.split(), devices, flops, largest)
        }
    }
}

fn all(ranks: impl Iterator<Item = (u64, u128)>) -> u128 {
    ranks.fold(0, |sum, (count, flops)| sum.saturating_add(flops.saturating_mul(count.into())))
}

fn seconds(bytes: u128, device: Option<&Device>) -> Option<f64> {
    device.and_then(Device::link).map(|rate| bytes as f64 / rate.0)
}

impl StepRankReport {
    pub fn of(rank: &StepRank<'_>, device: Option<&Device>) -> Self {
        let memory = rank.memory;
        let total = memory.total();
        let has = device.and_then(Device::memory_bytes);
        let sent = |it: &Transfer| StepTransferReport {
            collective: it.collective.name(),
            of: it.of,
            ranks: it.ranks,
            bytes: it.sent[0],
            seconds: seconds(it.sent[0], device),
        };
        Self {
            name: rank.name.to_owned(),
            count: rank.count,
            parameters: rank.model.parameters().total,
            flops: StepRankFlopsReport { total: rank.flops.total, executed: rank.flops.executed },
            memory: StepMemoryReport {
                weights: memory.weights,
                gradients: memory.gradients,
                optimizer: memory.optimizer,
                activations: memory.activations,
                total,
            },
            sent: rank.transfers.iter().map(sent).collect(),
            fits: has.zip(total).map(|(has, total)| total <= has.into()),
        }
    }
}

impl RankReport {
    pub fn of(rank: &Rank<'_>, device: Option<&Device>) -> Self {
        let [prefill, decode] = [&rank.flops.prefill, &rank.flops.decode]
            // Parts of a total that fits.
            .map(|counts| counts.total().unwrap_or(rank.flops.total));
        let memory = device.and_then(Device::memory_bytes);
        Self {
            name: match rank.context {
                None => rank.name.to_owned(),
                Some([one, last]) if one == last => format!("{}, context rank {one}", rank.name),
                Some([first, last]) => {
                    format!("{}, context ranks {first}–{last}", rank.name)
                }
            },
            count: rank.count,
            parameters: rank.model.parameters().total,
            flops: RankFlopsReport { total: rank.flops.total, prefill, decode },
            bytes: BytesReport::of(&rank.bytes),
            sent: rank.transfers.iter().map(|it| TransferReport::of(it, device)).collect(),
            fits: memory.map(|memory| rank.bytes.fit_in(memory.into(), 1)),
        }
    }
}

impl TransferReport {
    /// In both phases.
    pub fn bytes(&self) -> u128 {
        self.prefill.saturating_add(self.decode)
    }

    fn of(transfer: &Transfer, device: Option<&Device>) -> Self {
        let [prefill, decode] = transfer.sent;
        Self {
            collective: transfer.collective.name(),
            of: transfer.of,
            ranks: transfer.ranks,
            prefill,
            decode,
            seconds: seconds(prefill.saturating_add(decode), device),
        }
    }
}
