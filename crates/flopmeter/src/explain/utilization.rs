//! Utilisation and the roofline as arithmetic.

use super::{Line, Section};
use crate::bytes::Bytes;
use crate::convention::Convention;
use crate::error::Result;
use crate::model::{Model, too_large};
use crate::utilization::{Hardware, Ideal, Utilization};
use crate::workload::{Phase, Workload};

impl Model {
    /// The arithmetic of [`ideal`](Self::ideal): what each side alone would take, and what both leave
    /// possible. `None` if the bandwidth is not known.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Overflow`](crate::ErrorKind::Overflow) if a count does not fit 128 bits.
    pub fn explain_ideal(
        &self,
        workload: &Workload,
        hardware: &Hardware,
    ) -> Result<Option<Section>> {
        let Some(bandwidth) = hardware.bandwidth else { return Ok(None) };
        let flops = self.flops(workload, &Convention::MODEL)?;
        let bytes = self.bytes(workload)?;
        let devices = hardware.count;
        let mut lines = Vec::new();
        let mut whole = Ideal { seconds: 0.0, compute_seconds: 0.0 };
        for (phase, traffic) in Phase::ALL.into_iter().zip([bytes.prefill, bytes.decode]) {
            let Some(ideal) = self.ideal(workload, phase, hardware)? else { continue };
            let name = phase.name();
            let flops = flops.phase(phase).total().ok_or_else(too_large)?;
            let moved = traffic.read.saturating_add(traffic.written);
            lines.push(Line::new(
                format!("{name}, compute alone"),
                "FLOPs of convention model ÷ (peak · devices)",
                format!("{flops} ÷ ({:e} · {devices})", hardware.peak.0),
                flops as f64 / (hardware.peak.0 * devices as f64),
            ));
            lines.push(Line::new(
                format!("{name}, memory alone"),
                "bytes read and written ÷ (bandwidth · devices)",
                format!("{moved} ÷ ({:e} · {devices})", bandwidth.0),
                moved as f64 / (bandwidth.0 * devices as f64),
            ));
            lines.push(Line::new(
                format!("{name}, ideal"),
                "Σ over passes of the longer of the two: not below either",
                ideal.bound().map_or("no pass", |side| side.name()),
                ideal.seconds,
            ));
            whole = whole.and(ideal);
        }
        lines.push(Line::new("ideal seconds", "prefill + decode", "", whole.seconds));
        Ok(Some(Section { title: "roofline".into(), lines }))
    }
}

/// The arithmetic of utilisation: MFU, and MBU where the bandwidth is known.
pub fn utilization_section(
    total_flops: u128,
    bytes: &Bytes,
    hardware: &Hardware,
    seconds: f64,
    utilization: &Utilization,
) -> Section {
    let devices = hardware.count;
    let mut lines = vec![Line::new(
        "MFU",
        "FLOPs ÷ (time · peak · devices)",
        format!("{total_flops} ÷ ({seconds} · {:e} · {devices})", hardware.peak.0),
        utilization.mfu,
    )];
    if let (Some(mbu), Some(bandwidth)) = (utilization.mbu, hardware.bandwidth) {
        lines.push(Line::new(
            "MBU",
            "(bytes read + written) ÷ (time · bandwidth · devices)",
            format!(
                "({} + {}) ÷ ({seconds} · {:e} · {devices})",
                bytes.read(),
                bytes.written(),
                bandwidth.0
            ),
            mbu,
        ));
    }
    Section { title: "utilization".into(), lines }
}
