//! What the command says of ranks, as values.

use super::BytesReport;
use flopmeter::device::Device;
use flopmeter::{Parallelism, Rank, Split, Transfer};
use serde::Serialize;

/// How the work is cut.
#[derive(Debug, Serialize)]
pub struct ParallelismReport {
    pub data: u64,
    pub tensor: u64,
    pub sequence: bool,
    pub pipeline: u64,
    pub virtual_stages: u64,
    pub expert: u64,
    pub expert_tensor: u64,
    pub devices: u64,
    pub vocabulary_padding: u64,
    pub replicated: Vec<&'static str>,
    /// FLOPs of all ranks, what several compute included.
    pub flops: u128,
    /// Null without a device whose memory is known, and for different sequences.
    pub largest_batch: Option<u64>,
}

/// One of some ranks that are alike.
#[derive(Debug, Serialize)]
pub struct RankReport {
    pub name: String,
    pub count: u64,
    pub parameters: u128,
    pub flops: RankFlopsReport,
    pub bytes: BytesReport,
    pub sent: Vec<TransferReport>,
    pub fits: Option<bool>,
}

#[derive(Debug, Serialize)]
pub struct RankFlopsReport {
    pub total: u128,
    pub prefill: u128,
    pub decode: u128,
}

/// Bytes that it sends.
#[derive(Debug, Serialize)]
pub struct TransferReport {
    pub collective: &'static str,
    pub of: &'static str,
    pub ranks: u64,
    pub prefill: u128,
    pub decode: u128,
    /// Null without a device whose links are known.
    pub seconds: Option<f64>,
}

impl ParallelismReport {
    pub fn of(split: &Split, devices: u64, ranks: &[RankReport], largest: Option<u64>) -> Self {
        let plan: &Parallelism = split.parallelism();
        let all = |sum: u128, rank: &RankReport| {
            sum.saturating_add(rank.flops.total.saturating_mul(rank.count.into()))
        };
        Self {
            data: plan.data,
            tensor: plan.tensor,
            sequence: plan.sequence,
            pipeline: plan.pipeline,
            virtual_stages: plan.virtual_stages,
            expert: plan.expert,
            expert_tensor: plan.expert_tensor(),
            devices,
            vocabulary_padding: split.vocabulary_padding(),
            replicated: split.replicated().collect(),
            flops: ranks.iter().fold(0, all),
            largest_batch: largest,
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
            name: rank.name.to_owned(),
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
    fn of(transfer: &Transfer, device: Option<&Device>) -> Self {
        let [prefill, decode] = transfer.sent;
        Self {
            collective: transfer.collective.name(),
            of: transfer.of,
            ranks: transfer.ranks,
            prefill,
            decode,
            // The table's figure is of both directions.
            seconds: device
                .and_then(Device::interconnect)
                .map(|rate| prefill.saturating_add(decode) as f64 / (rate.0 / 2.0)),
        }
    }
}
