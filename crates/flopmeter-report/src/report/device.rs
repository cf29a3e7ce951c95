//! What is said of a device, as values.

use flopmeter::device::Device;
use serde::Serialize;
use std::collections::BTreeMap;

/// A row of the table of devices.
#[derive(Debug, Serialize)]
pub struct RowReport<'d> {
    pub id: &'d str,
    pub name: &'d str,
    pub vendor: &'d str,
    pub architecture: &'d str,
    pub unit: &'d str,
    pub memory_bytes: Option<u64>,
    pub bandwidth_bytes_per_second: Option<f64>,
    pub peak_flops_per_second: BTreeMap<&'static str, f64>,
    pub confidence: &'d str,
    pub source: &'d str,
    pub note: Option<&'d str>,
}

impl<'d> RowReport<'d> {
    pub fn of(device: &'d Device) -> Self {
        Self {
            id: device.id(),
            name: device.name(),
            vendor: device.vendor(),
            architecture: device.architecture(),
            unit: device.unit(),
            memory_bytes: device.memory_bytes(),
            bandwidth_bytes_per_second: device.bandwidth().ok().map(|rate| rate.0),
            peak_flops_per_second: device
                .peaks()
                .map(|(dtype, peak)| (dtype.name(), peak.0))
                .collect(),
            confidence: device.confidence(),
            source: device.source(),
            note: device.note(),
        }
    }
}
