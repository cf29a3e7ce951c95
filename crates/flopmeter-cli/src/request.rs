//! Arguments → what is counted, on what: before anything is counted.

use crate::args::{HardwareArgs, WorkArgs};
use crate::cmd::side_by_side::{self, Counted, SideBySide};
use flopmeter::device;
use flopmeter::{
    Convention, Dtype, Error, ErrorKind, Parallelism, Result, Sequence, Utilization, Workload,
};
use flopmeter_report::report::parallel::RankReport;
use flopmeter_report::report::{ModelReport, WorkloadReport};
use flopmeter_report::{
    ALL, Asked, Base, Draft, Given, Machine, RANKS_BY_MODEL, Ranks, Request, devices,
};
use flopmeter_source::Source;
use serde::Serialize;
use std::sync::Arc;

/// Reads the arguments of a request.
pub fn read(
    work: &WorkArgs,
    hardware: &HardwareArgs,
    plan: Option<(Parallelism, Vec<u64>)>,
) -> Result<Request> {
    let asked = Asked {
        dtype: work.dtype.as_deref(),
        kv_dtype: work.kv_dtype.as_deref(),
        adapter: work.adapter.adapter.as_deref(),
        merged: work.adapter.merged,
    };
    let Base { source, adapter } = Base::find(&work.model, &asked)?;
    let draft = draft(work, &source, &asked)?;
    let sizes = plan.as_ref().map(|(sizes, _)| sizes);
    let machine = machine(hardware, sizes, source.model.quantization().compute)?;
    let ranks = match plan {
        Some((plan, stages)) => Some(Ranks::of(&source.model, &plan, &stages, draft.is_some())?),
        None => None,
    };
    Ok(Request {
        adapter,
        draft: draft.map(Box::new),
        workload: workload(work)?,
        // All of them are counted one by one.
        convention: match work.convention.as_str() {
            ALL => Convention::MODEL,
            name => name.parse()?,
        },
        machine,
        ranks,
        source: Arc::new(source),
    })
}

/// Each of the three arguments of a draft is there if one is. It runs in the dtypes that are given for the model.
fn draft(work: &WorkArgs, target: &Source, asked: &Asked<'_>) -> Result<Option<Draft>> {
    let args = &work.draft;
    let (Some(name), Some(tokens), Some(acceptance)) =
        (&args.draft, args.draft_tokens, args.acceptance)
    else {
        return Ok(None);
    };
    Draft::find(name, target, |model| asked.in_dtypes(model), tokens, acceptance).map(Some)
}

/// The devices of the arguments, if there are any, and their peak in a dtype.
pub fn machine(
    args: &HardwareArgs,
    plan: Option<&Parallelism>,
    dtype: Dtype,
) -> Result<Option<Machine>> {
    let device = args.device.as_deref().map(device::find).transpose()?;
    let given = Given { device: device.as_ref(), peak: &args.peak, bandwidth: args.bandwidth };
    Machine::new(&given, devices(plan, args.devices)?, dtype)
}

/// What was counted by several conventions.
#[derive(Debug, Serialize)]
pub struct OfRequest {
    pub workload: WorkloadReport,
}

/// Counts a request by every convention; with a time, each one's MFU.
pub fn side_by_side(
    request: Request,
    seconds: Option<f64>,
) -> Result<SideBySide<OfRequest, RankReport>> {
    let model = &request.source.model;
    if request.draft.is_some() {
        let fact = "is every convention, and a draft is counted by one";
        return Err(Error::new(ErrorKind::Convention, "`all`", fact));
    }
    let mut notes = request.notes();
    let bytes = model.bytes(&request.workload)?;
    let timed = request.machine.as_ref().zip(seconds);
    let conventions = side_by_side::rows(Convention::of_requests(), |convention| {
        let flops = model.flops(&request.workload, convention)?;
        let measured =
            timed.map(|(machine, time)| Utilization::new(&flops, &bytes, &machine.hardware, time));
        let mfu = measured.transpose()?.map(|measured| measured.mfu);
        Ok(Counted { flops: flops.total, executed: None, mfu, hfu: None })
    })?;
    let mut device = request.machine.as_ref().map(|machine| machine.device_report(None));
    let (parallelism, ranks) = request.cut(&Convention::MODEL, device.as_mut())?;
    notes.extend(parallelism.as_ref().map(|_| RANKS_BY_MODEL.to_owned()));
    Ok(SideBySide {
        model: ModelReport::of(&request.source),
        adapter: request.adapter,
        work: OfRequest { workload: WorkloadReport::of(model, &request.workload)? },
        conventions,
        device,
        parallelism,
        ranks,
        notes,
    })
}

fn workload(work: &WorkArgs) -> Result<Workload> {
    let sequences = match work.prompt {
        Some(prompt) => {
            vec![Sequence {
                prompt,
                cached: work.cached,
                generate: work.generate,
                count: work.batch,
            }]
        }
        None => work
            .sequences
            .iter()
            .map(|&(prompt, generate)| Sequence { prompt, cached: 0, generate, count: work.batch })
            .collect(),
    };
    let mut workload = Workload::batch(sequences)?;
    if let Some(tokens) = work.decoder_prompt {
        workload = workload.with_decoder_prompt(tokens);
    }
    let mut workload = workload.with_images(work.images.clone())?.with_audio(work.audio.clone())?;
    if work.no_kv_cache {
        workload = workload.without_kv_cache()?;
    }
    Ok(workload)
}
