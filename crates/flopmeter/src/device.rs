//! Accelerators: their dense peaks, bandwidth and memory, and the names they answer to.
//!
//! The figures are copied from what vendors print, one table per device, in `data/devices.toml`; a peak that is
//! printed only with 2:4 sparsity is halved here, once. Names are matched whole: an L40S is never an L4, an RTX A1000
//! never an A100, and a laptop part, a MIG slice or a vGPU never the card whose name it begins with.
//!
//! ```
//! use flopmeter::{Dtype, device};
//!
//! let h100 = device::find("NVIDIA H100 80GB HBM3")?;
//! assert_eq!(h100.id(), "nvidia-h100-sxm-80gb");
//! assert_eq!(h100.peak(Dtype::Bf16)?.0, 989.5e12); // the sheet prints 1979, sparse
//! assert_eq!(h100.bandwidth()?.0, 3.35e12);
//! assert_eq!(h100.memory_bytes(), Some(80_000_000_000));
//! # Ok::<(), flopmeter::Error>(())
//! ```

mod name;
mod partition;
mod table;

use crate::Dtype;
use crate::error::{Error, ErrorKind, Result, shown};
use crate::units::{BytesPerSecond, FlopsPerSecond};

/// Something that multiplies matrices: a row of the table, a slice of one, or what the user says it is.
///
/// What a vendor calls a device is often not what a framework counts as one. [`unit`](Device::unit) says which it
/// is: most rows are what the framework enumerates; packages of two dies and chips of two cores have a row of their
/// own beside that of the part.
#[derive(Debug, Clone, PartialEq)]
pub struct Device {
    id: String,
    name: String,
    vendor: String,
    architecture: String,
    year: Option<u16>,
    unit: String,
    memory_bytes: Option<u64>,
    bandwidth: Option<BytesPerSecond>,
    interconnect: Option<BytesPerSecond>,
    power_watts: Option<f64>,
    peaks: Vec<(Dtype, FlopsPerSecond)>,
    confidence: String,
    source: String,
    note: Option<String>,
}

/// Finds a device by what a driver, a framework, a cloud or a person calls it.
///
/// Case, dashes, underscores, `(R)` and `(TM)`, a leading vendor (`NVIDIA`, `AMD Instinct`, `GeForce`, `Tesla`) and
/// the word `GPU` make no difference. The rest has to be the name of one row as a whole, or hold one and, beside it,
/// only facts of that row: `RTX 3080 12GB`, `A100 80GB SXM`, `Apple M4 Max 40-core`. A word that is not known is
/// never passed over, for it may be the one that matters, as `Laptop`, `Ti` or `NVL` does.
///
/// A MIG slice (`NVIDIA H100 80GB HBM3 MIG 1g.10gb`) has its share of the multiprocessors' peak and of the memory
/// and its bandwidth, for the profiles in NVIDIA's tables.
///
/// # Errors
///
/// - [`ErrorKind::Device`] if nothing has that name, with the nearest that there are.
/// - [`ErrorKind::Ambiguous`] if several have it (a bare `H100`, `GeForce RTX 3080`, `Apple M4 Max`, `gfx942`), with
///   the fact that tells them apart as [candidates](Error::candidate_list), or if it is a share of a device whose size
///   the name does not tell: a vGPU, a partition, a MIG profile that is not in the tables.
///
/// # Example
///
/// ```
/// use flopmeter::{ErrorKind, device};
///
/// assert_eq!(device::find("L40S")?.id(), "nvidia-l40s-48gb");
/// assert_eq!(device::find("RTX 3080 12GB")?.id(), "nvidia-geforce-rtx-3080-12gb");
///
/// let error = device::find("NVIDIA GeForce RTX 3080").unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Ambiguous);
/// assert_eq!(error.candidate_list()[0], "nvidia-geforce-rtx-3080-10gb  — 10 GB, 760.3 GB/s");
///
/// assert_eq!(device::find("NVIDIA L40S-48Q").unwrap_err().kind(), ErrorKind::Ambiguous); // a vGPU
/// assert_eq!(device::find("NVIDIA RTX A1000").unwrap_err().kind(), ErrorKind::Device); // not an A100
/// # Ok::<(), flopmeter::Error>(())
/// ```
pub fn find(name: &str) -> Result<Device> {
    name::find(name)
}

/// The dense BF16 peak of the device with this name in TFLOP/s: FP16 where it has no BF16 (V100, T4), `None` if the
/// name is unknown or ambiguous, or if neither peak is known.
///
/// ```
/// use flopmeter::device;
/// assert_eq!(device::bf16_tflops("NVIDIA L40S"), Some(362.05));
/// assert_eq!(device::bf16_tflops("Tesla T4"), Some(65.0));
/// assert_eq!(device::bf16_tflops("H100"), None); // SXM, PCIe or NVL
/// ```
pub fn bf16_tflops(name: &str) -> Option<f64> {
    let device = find(name).ok()?;
    let peak = device.peak(Dtype::Bf16).or_else(|_| device.peak(Dtype::Fp16)).ok()?;
    Some(peak.0 / 1e12)
}

impl Device {
    /// Every device of the table, in its order: by vendor, oldest first.
    ///
    /// ```
    /// use flopmeter::device::Device;
    /// assert!(Device::all().iter().any(|device| device.id() == "google-tpu-v5e"));
    /// ```
    pub fn all() -> &'static [Self] {
        &table::table().devices
    }

    /// A device that is not in the table, by its dense peaks in FLOP/s, its bandwidth in bytes per second and its
    /// memory in bytes, each as far as it is known.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Measurement`] if a figure is zero, negative, infinite or not a number, if a dtype is given twice,
    /// or if there is neither a peak nor a bandwidth.
    ///
    /// ```
    /// use flopmeter::Dtype;
    /// use flopmeter::device::Device;
    ///
    /// let device = Device::custom(&[(Dtype::Bf16, 989.5e12)], Some(3.35e12), None)?;
    /// assert_eq!(device.id(), "custom");
    /// assert_eq!(device.peak(Dtype::Bf16)?.0, 989.5e12);
    /// assert!(Device::custom(&[(Dtype::Bf16, 0.0)], None, None).is_err());
    /// # Ok::<(), flopmeter::Error>(())
    /// ```
    pub fn custom(
        peaks: &[(Dtype, f64)],
        bandwidth: Option<f64>,
        memory_bytes: Option<u64>,
    ) -> Result<Self> {
        let wrong = |place: String, fact: &str| Error::new(ErrorKind::Measurement, place, fact);
        if peaks.is_empty() && bandwidth.is_none() {
            return Err(
                wrong("device".into(), "has neither a peak nor a bandwidth").hint(GIVE_THE_PEAK)
            );
        }
        let mut known = Vec::with_capacity(peaks.len());
        for dtype in Dtype::ALL {
            let mut given = peaks.iter().filter(|(name, _)| *name == dtype).map(|(_, peak)| *peak);
            let Some(peak) = given.next() else { continue };
            if given.next().is_some() {
                return Err(
                    wrong(format!("peak of {dtype}"), "is given twice").hint("give one figure")
                );
            }
            if !is_rate(peak) {
                return Err(wrong(format!("peak of {dtype}"), &format!("is {peak} FLOP/s"))
                    .hint(ABOVE_ZERO));
            }
            known.push((dtype, FlopsPerSecond(peak)));
        }
        if let Some(rate) = bandwidth.filter(|rate| !is_rate(*rate)) {
            return Err(wrong("bandwidth".into(), &format!("is {rate} B/s")).hint(ABOVE_ZERO));
        }
        if memory_bytes == Some(0) {
            return Err(wrong("memory".into(), "is 0 bytes").hint(ABOVE_ZERO));
        }
        Ok(Self {
            id: "custom".into(),
            name: "custom device".into(),
            vendor: "unknown".into(),
            architecture: "unknown".into(),
            year: None,
            unit: "device".into(),
            memory_bytes,
            bandwidth: bandwidth.map(BytesPerSecond),
            interconnect: None,
            power_watts: None,
            peaks: known,
            confidence: "given".into(),
            source: "the user".into(),
            note: None,
        })
    }

    /// The name in every output, such as `nvidia-h100-sxm-80gb`: vendor, product, form and memory. [`find`] takes it.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The name for people.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Who designs it.
    pub fn vendor(&self) -> &str {
        &self.vendor
    }

    /// The architecture and, where it helps, the chip.
    pub fn architecture(&self) -> &str {
        &self.architecture
    }

    /// The year of its release.
    pub fn year(&self) -> Option<u16> {
        self.year
    }

    /// What the figures are of: `device`, `package`, `half package`, `chip`, `core`, or a `slice` of a device.
    pub fn unit(&self) -> &str {
        &self.unit
    }

    /// Its memory in bytes, as marketed: a GB counts 10⁹ bytes, as in the bandwidth. What a driver shows differs by a
    /// few per cent in either direction.
    ///
    /// `None` where it is not known or not fixed: one row for two sizes of equal peak and bandwidth, and the unified
    /// memory of Apple's chips, which comes in several.
    pub fn memory_bytes(&self) -> Option<u64> {
        self.memory_bytes
    }

    /// Peak bandwidth of its memory.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Peak`] if it is not known.
    pub fn bandwidth(&self) -> Result<BytesPerSecond> {
        self.bandwidth.ok_or_else(|| {
            Error::new(ErrorKind::Peak, format!("`{}`", self.id), "no memory bandwidth is known")
                .hint("give it yourself, in bytes per second: `--bandwidth 3.35e12`")
        })
    }

    /// Bandwidth of its links to other devices, all links and both directions.
    pub fn interconnect(&self) -> Option<BytesPerSecond> {
        self.interconnect
    }

    /// What a device sends over its links in a second, one way: half of [`interconnect`](Self::interconnect), which is of
    /// both.
    pub fn link(&self) -> Option<BytesPerSecond> {
        self.interconnect.map(|both| BytesPerSecond(both.0 / 2.0))
    }

    /// The power it is specified for, in watts.
    pub fn power_watts(&self) -> Option<f64> {
        self.power_watts
    }

    /// The dense peak of matrix products in a dtype: without sparsity, accumulated in FP32 where the hardware can.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Peak`] if none is known. No dtype stands in for another: a device without FP8 has no FP8 peak, and
    /// none is made up from its INT8 one.
    ///
    /// ```
    /// use flopmeter::{Dtype, ErrorKind, device};
    ///
    /// let t4 = device::find("Tesla T4")?;
    /// assert_eq!(t4.peak(Dtype::Fp16)?.0, 65e12);
    /// let error = t4.peak(Dtype::Bf16).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Peak);
    /// assert_eq!(error.hints()[0], "it has one for fp64, fp32, fp16, int8");
    /// # Ok::<(), flopmeter::Error>(())
    /// ```
    pub fn peak(&self, dtype: Dtype) -> Result<FlopsPerSecond> {
        if let Some((_, peak)) = self.peaks.iter().find(|(known, _)| *known == dtype) {
            return Ok(*peak);
        }
        let known: Vec<_> = self.peaks.iter().map(|(dtype, _)| dtype.name()).collect();
        let error = Error::new(
            ErrorKind::Peak,
            format!("`{}`", self.id),
            format!("no {dtype} peak is known"),
        );
        Err(if known.is_empty() {
            error.hint("no peak of it is confirmed; give one yourself: `--peak bf16=989.5e12`")
        } else {
            error.hint(format!("it has one for {}", known.join(", ")))
        })
    }

    /// Every peak it has, widest dtype first.
    pub fn peaks(&self) -> impl Iterator<Item = (Dtype, FlopsPerSecond)> + '_ {
        self.peaks.iter().copied()
    }

    /// How sure its figures are: `high` (the vendor's, confirmed elsewhere), `medium`, `low`, or `given` by the user.
    pub fn confidence(&self) -> &str {
        &self.confidence
    }

    /// Where its figures are printed.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// What to know before trusting them.
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }
}

const GIVE_THE_PEAK: &str = "give the peak yourself: `--peak bf16=989.5e12 --bandwidth 3.35e12`";

const ABOVE_ZERO: &str = "it must be a number above zero";

fn is_rate(value: f64) -> bool {
    value.is_finite() && value > 0.0
}

fn quoted(name: &str) -> String {
    format!("`{}`", shown(name))
}

#[cfg(test)]
mod tests;
