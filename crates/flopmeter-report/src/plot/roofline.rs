//! The roofline, and where the phases of a request are under it.

use super::{Axis, Chart, Look, Panel, Scale, Series, Subject};
use flopmeter::units::Si;
use flopmeter::{Phase, Result};

/// Each phase of each batch as a point: FLOPs ÷ bytes across, FLOPs ÷ the ideal time up. A phase whose passes are bound by
/// different sides is a little below the roof.
pub fn roofline(subject: &Subject, batches: &[u64]) -> Result<Chart> {
    let (machine, bandwidth) = subject.machine()?;
    let count = machine.hardware.count as f64;
    let (peak, bandwidth) = (machine.hardware.peak.0 * count, bandwidth.0 * count);
    let ridge = peak / bandwidth;
    let mut series = Vec::new();
    for &batch in batches {
        let point = subject.point(subject.prompt, subject.generate, batch)?;
        let moved = [point.bytes.prefill, point.bytes.decode];
        for (at, phase) in Phase::ALL.into_iter().enumerate() {
            // Parts of a total that fits.
            let flops = point.flops.phase(phase).total().unwrap_or(point.flops.total) as f64;
            let bytes = moved[at].read.saturating_add(moved[at].written) as f64;
            let seconds = point.ideal.map_or(0.0, |ideal| ideal[at].seconds);
            let name = match batches.len() {
                1 => phase.name().to_owned(),
                _ => format!("{}, batch {batch}", phase.name()),
            };
            let (points, colour) = (vec![(flops / bytes, flops / seconds)], at + 1);
            series.push(Series { name, points, look: Look::Point, colour });
        }
    }
    let places = series.iter().map(|it| it.points[0].0).filter(|place| Scale::Decades.has(*place));
    let (least, most) =
        places.fold((ridge, ridge), |(least, most), place| (least.min(place), most.max(place)));
    let (from, to) = (least / 4.0, most * 4.0);
    let roof = Series {
        name: format!(
            "roof: {}B/s, then {}FLOP/s from {:.0} FLOP/B on",
            Si(bandwidth),
            Si(peak),
            ridge
        ),
        points: vec![(from, from * bandwidth), (ridge, peak), (to, peak)],
        look: Look::Bare,
        colour: 0,
    };
    series.insert(0, roof);
    let batch = match batches {
        [batch] => format!(", batch {batch}"),
        _ => String::new(),
    };
    let request = format!("prompt {}, generate {}{batch}; ", subject.prompt, subject.generate);
    Ok(Chart {
        title: format!("Roofline of {}", subject.name()),
        said: subject.said(&request),
        x: Axis { label: "arithmetic intensity, FLOP/B", unit: "", scale: Scale::Decades },
        panels: vec![Panel {
            y: Axis { label: "attainable, FLOP/s", unit: "FLOP/s", scale: Scale::Decades },
            series,
            from: None,
        }],
    })
}
