//! How busy hardware can be with a batch, and how many tokens a second it can give.

use super::{Axis, Chart, Look, Panel, Scale, Series, Subject};
use flopmeter::Result;

/// MFU and MBU at the ideal time above, throughput below.
pub fn batch(subject: &Subject, batches: &[u64]) -> Result<Chart> {
    let (machine, _) = subject.machine()?;
    let memory = machine.device.memory_bytes();
    let [mut mfu, mut mbu, mut all, mut one] = <[Vec<(f64, f64)>; 4]>::default();
    let mut full = None;
    for &batch in batches {
        let point = subject.point(subject.prompt, subject.generate, batch)?;
        let x = batch as f64;
        if let Some(utilization) = point.utilization {
            mfu.push((x, utilization.mfu));
            mbu.extend(utilization.mbu.map(|mbu| (x, mbu)));
        }
        if let Some(rate) = point.tokens_per_second() {
            all.push((x, rate));
            one.push((x, rate / x));
        }
        if let Some(memory) = memory
            && full.is_none()
            && !point.bytes.fit_in(memory.into(), machine.hardware.count)
        {
            full = Some((x, "no longer fits the memory".to_owned()));
        }
    }
    let series =
        |name: &str, points, colour| Series { name: name.into(), points, look: Look::Line, colour };
    let request = format!("prompt {}, generate {}; ", subject.prompt, subject.generate);
    Ok(Chart {
        title: format!("Batches of {}", subject.name()),
        said: subject.said(&request),
        x: Axis { label: "batch, sequences", unit: "", scale: Scale::Doublings },
        panels: vec![
            Panel {
                y: Axis { label: "at the ideal time", unit: "", scale: Scale::Share },
                series: vec![series("MFU", mfu, 0), series("MBU", mbu, 1)],
                from: full.clone(),
            },
            Panel {
                y: Axis { label: "ideal tokens/s", unit: "", scale: Scale::Decades },
                series: vec![
                    series("all sequences", all, 2),
                    Series { look: Look::Dashes, ..series("each sequence", one, 3) },
                ],
                from: full,
            },
        ],
    })
}
