//! Devices that work runs on.

use crate::report::{DeviceReport, IdealReport, UtilizationReport};
use crate::request::whole;
use flopmeter::device::Device;
use flopmeter::units::{BytesPerSecond, FlopsPerSecond};
use flopmeter::{Bytes, Dtype, Flops, Hardware, Ideal, Result, SpeculativeFlops, Utilization};

/// Devices, as far as they are known.
#[derive(Debug, Clone)]
pub struct Machine {
    /// What each is.
    pub device: Device,
    /// The dtype of the products.
    pub dtype: Dtype,
    /// Its peak in this dtype, its bandwidth, and how many there are.
    pub hardware: Hardware,
    notes: Vec<String>,
}

/// What is said of a machine: a device, or figures, or both. What is given overrules the table.
#[derive(Debug, Clone, Copy, Default)]
pub struct Given<'g> {
    /// A device.
    pub device: Option<&'g Device>,
    /// Dense peaks in FLOP/s by dtype.
    pub peak: &'g [(Dtype, f64)],
    /// Bytes a second.
    pub bandwidth: Option<f64>,
}

impl Machine {
    /// So many of a device, and their peak in a dtype.
    ///
    /// # Errors
    ///
    /// If no peak is known for the dtype, or there is no device.
    pub fn of(device: Device, devices: u64, dtype: Dtype) -> Result<Self> {
        let hardware = Hardware::new(device.peak(dtype)?, device.bandwidth().ok(), devices)?;
        Ok(Self { device, dtype, hardware, notes: Vec::new() })
    }

    /// So many devices, if anything is given of them, and their peak in a dtype.
    ///
    /// # Errors
    ///
    /// If no device has the name, no peak is known for the dtype, or a figure is none.
    pub fn new(given: &Given<'_>, devices: u64, dtype: Dtype) -> Result<Option<Self>> {
        let device = match given.device {
            Some(device) => device.clone(),
            None if given.peak.is_empty() && given.bandwidth.is_none() => return Ok(None),
            None => Device::custom(given.peak, given.bandwidth, None)?,
        };
        if !given.peak.is_empty() || given.bandwidth.is_some() {
            // Every figure that is given has to be one, used or not.
            Device::custom(given.peak, given.bandwidth, None)?;
        }
        // What is given on the command line overrules the table.
        let own = given.peak.iter().find(|(of, _)| *of == dtype).map(|(_, peak)| *peak);
        let peak = match own {
            Some(peak) => FlopsPerSecond(peak),
            None => device.peak(dtype).map_err(|error| {
                error.hint("choose the dtype that the products ran in with --dtype")
            })?,
        };
        let bandwidth = match given.bandwidth {
            Some(bandwidth) => Some(BytesPerSecond(bandwidth)),
            None => device.bandwidth().ok(),
        };
        let hardware = Hardware::new(peak, bandwidth, devices)?;
        let mut notes = Vec::new();
        if given.device.is_some() {
            if own.is_some() {
                notes
                    .push(format!("the peak is the one given, not the table's of {}", device.id()));
            } else if !given.peak.is_empty() {
                notes.push(format!(
                    "no given peak is of {dtype}, the dtype of the products: it is the table's (see --dtype)"
                ));
            }
            if given.bandwidth.is_some() {
                notes.push(format!(
                    "the bandwidth is the one given, not the table's of {}",
                    device.id()
                ));
            }
        }
        Ok(Some(Self { device, dtype, hardware, notes }))
    }

    /// What to know about the peak.
    pub fn peak_notes(&self) -> Vec<String> {
        let mut notes = self.notes.clone();
        if ["low", "medium"].contains(&self.device.confidence()) {
            notes.push(format!(
                "figures of {} are of {} confidence: {}",
                self.device.id(),
                self.device.confidence(),
                self.device.source()
            ));
        }
        notes
    }

    /// The same, and what follows where the bandwidth is not known.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = self.peak_notes();
        if self.hardware.bandwidth.is_none() {
            notes.push(format!(
                "no bandwidth is known of {}: no MBU and no ideal time (see --bandwidth)",
                self.device.id()
            ));
        }
        notes
    }

    /// What is said of a request that ran on it, or could.
    pub(crate) fn utilization(
        &self,
        flops: &Flops,
        spent: Option<&SpeculativeFlops>,
        bytes: &Bytes,
        [prefill, decode]: [Option<Ideal>; 2],
        seconds: Option<f64>,
    ) -> Result<UtilizationReport> {
        let measured =
            seconds.map(|time| Utilization::new(flops, bytes, &self.hardware, time)).transpose()?;
        let spent = spent.zip(seconds).map(|(spent, time)| spent.hfu(&self.hardware, time));
        let ideal = whole([prefill, decode]);
        Ok(UtilizationReport {
            mfu: measured.map(|measured| measured.mfu),
            hfu: spent.transpose()?,
            mbu: measured.and_then(|measured| measured.mbu),
            seconds,
            ideal_seconds: ideal.map(|ideal| ideal.seconds),
            of_ideal: ideal.zip(seconds).map(|(ideal, time)| ideal.reached_in(time)),
            bound: ideal.and_then(|ideal| ideal.bound()).map(|bound| bound.name()),
            prefill: IdealReport::of(prefill),
            decode: IdealReport::of(decode),
        })
    }

    /// The devices, and whether what they hold fits, if it is known.
    pub fn device_report(&self, bytes: Option<&Bytes>) -> DeviceReport {
        let memory = self.device.memory_bytes().map(u128::from);
        DeviceReport {
            id: self.device.id().to_owned(),
            name: self.device.name().to_owned(),
            count: self.hardware.count,
            dtype: self.dtype.name(),
            peak_flops_per_second: self.hardware.peak.0,
            bandwidth_bytes_per_second: self.hardware.bandwidth.map(|bandwidth| bandwidth.0),
            memory_bytes: memory,
            fits: memory
                .zip(bytes)
                .map(|(memory, bytes)| bytes.fit_in(memory, self.hardware.count)),
        }
    }
}
