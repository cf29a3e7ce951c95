//! Work × hardware × time → MFU, MBU and the roofline. Ratios are fractions, kept above 1.

use crate::bytes::{Bytes, Stretch};
use crate::convention::Rule;
use crate::cost::Flops;
use crate::error::{Error, ErrorKind, Result};
use crate::exact::times;
use crate::model::{Model, too_large};
use crate::passes::Mask;
use crate::terms::Amount;
use crate::units::{BytesPerSecond, FlopsPerSecond};
use crate::workload::{Phase, Workload};

/// What some equal devices can do together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hardware {
    /// Dense peak of one for the dtype of the matrix products.
    pub peak: FlopsPerSecond,
    /// Peak bandwidth of one's memory, if it is known.
    pub bandwidth: Option<BytesPerSecond>,
    /// How many there are.
    pub count: u64,
}

impl Hardware {
    /// Equal devices.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Measurement`] if a rate is not a positive number or there is no device,
    /// [`ErrorKind::Overflow`] if together they are faster than a float can say.
    pub fn new(
        peak: FlopsPerSecond,
        bandwidth: Option<BytesPerSecond>,
        count: u64,
    ) -> Result<Self> {
        positive("peak", peak.0)?;
        if let Some(bandwidth) = bandwidth {
            positive("bandwidth", bandwidth.0)?;
        }
        if count == 0 {
            return Err(Error::new(ErrorKind::Measurement, "devices", "is 0")
                .hint("work needs at least one device"));
        }
        let hardware = Self { peak, bandwidth, count };
        let rates = [Some(hardware.flops_per_second()), hardware.bytes_per_second()];
        if rates.into_iter().flatten().all(f64::is_finite) {
            Ok(hardware)
        } else {
            Err(inexpressible())
        }
    }

    /// FLOPs ÷ what the peak makes possible in a time: the MFU of model FLOPs, the HFU of executed ones.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Measurement`] if the time is no positive number, [`ErrorKind::Overflow`] if the ratio is larger than
    /// a float can say.
    ///
    /// ```
    /// use flopmeter::Hardware;
    /// use flopmeter::units::FlopsPerSecond;
    ///
    /// let hardware = Hardware::new(FlopsPerSecond(989.5e12), None, 8)?;
    /// assert_eq!(hardware.flops_utilization(3_958_000_000_000_000, 1.0)?, 0.5);
    /// # Ok::<(), flopmeter::Error>(())
    /// ```
    pub fn flops_utilization(&self, flops: u128, seconds: f64) -> Result<f64> {
        ratio(flops as f64, self.flops_per_second(), seconds)
    }

    pub(crate) fn flops_per_second(&self) -> f64 {
        self.peak.0 * self.count as f64
    }

    pub(crate) fn bytes_per_second(&self) -> Option<f64> {
        Some(self.bandwidth?.0 * self.count as f64)
    }
}

/// What a phase waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// The matrix products take longer than the bytes.
    Compute,
    /// The bytes take longer than the matrix products.
    Memory,
    /// What ranks send to each other takes longer than either.
    Links,
}

impl Bound {
    /// The word in every output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Compute => "compute",
            Self::Memory => "memory",
            Self::Links => "links",
        }
    }
}

/// The shortest time that the hardware allows, and why it is no shorter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ideal {
    /// Seconds, summed over passes.
    pub seconds: f64,
    /// Of them, those of passes that the peak bounds.
    pub compute_seconds: f64,
}

impl Ideal {
    /// The side that binds for the greater part of the time; `None` if there is nothing to do.
    pub fn bound(&self) -> Option<Bound> {
        let memory_seconds = self.seconds - self.compute_seconds;
        let longer =
            if self.compute_seconds > memory_seconds { Bound::Compute } else { Bound::Memory };
        (self.seconds > 0.0).then_some(longer)
    }

    /// How much of the possible was reached in a measured time: ideal ÷ taken seconds.
    pub fn reached_in(&self, seconds: f64) -> f64 {
        self.seconds / seconds
    }

    /// The same done so many times.
    #[must_use]
    pub(crate) fn scaled(self, times: f64) -> Self {
        Self { seconds: self.seconds * times, compute_seconds: self.compute_seconds * times }
    }

    /// Itself, if a float can say it.
    pub(crate) fn checked(self) -> Result<Self> {
        if self.seconds.is_finite() { Ok(self) } else { Err(inexpressible()) }
    }

    /// The sum of two phases.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            seconds: self.seconds + other.seconds,
            compute_seconds: self.compute_seconds + other.compute_seconds,
        }
    }
}

/// How well the hardware did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Utilization {
    /// Model FLOPs ÷ (time × peak × devices).
    pub mfu: f64,
    /// Bytes read and written ÷ (time × bandwidth × devices), if the bandwidth is known.
    pub mbu: Option<f64>,
}

impl Utilization {
    /// Work done in a measured time.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Measurement`] if the time is not a positive number, [`ErrorKind::Overflow`] if a
    /// ratio is larger than a float can say.
    ///
    /// # Example
    ///
    /// ```
    /// use flopmeter::units::{BytesPerSecond, FlopsPerSecond};
    /// use flopmeter::{Config, Convention, Hardware, Model, Utilization, Workload};
    ///
    /// let config = Config::parse(
    ///     r#"{"model_type": "llama", "hidden_size": 4, "num_hidden_layers": 1, "vocab_size": 10,
    ///         "num_attention_heads": 1, "intermediate_size": 6, "torch_dtype": "bfloat16"}"#,
    /// )?;
    /// let model = Model::from_config(&config)?;
    /// let request = Workload::request(3, 1);
    /// let flops = model.flops(&request, &Convention::MODEL)?; // 992, as its own example derives
    /// let bytes = model.bytes(&request)?;
    /// let hardware = Hardware::new(FlopsPerSecond(1e3), Some(BytesPerSecond(1e6)), 2)?;
    /// let utilization = Utilization::new(&flops, &bytes, &hardware, 4.0)?;
    /// assert_eq!(utilization.mfu, 992.0 / (4.0 * 1e3 * 2.0));
    /// # Ok::<(), flopmeter::Error>(())
    /// ```
    pub fn new(flops: &Flops, bytes: &Bytes, hardware: &Hardware, seconds: f64) -> Result<Self> {
        let moved = bytes.read().saturating_add(bytes.written()) as f64;
        let bandwidth = hardware.bytes_per_second();
        Ok(Self {
            mfu: hardware.flops_utilization(flops.total, seconds)?,
            mbu: bandwidth.map(|rate| ratio(moved, rate, seconds)).transpose()?,
        })
    }
}

impl Model {
    /// The shortest time in which the hardware can do a phase: the sum over its passes of
    /// max(FLOPs ÷ peak, bytes ÷ bandwidth). `None` if the bandwidth is not known.
    ///
    /// FLOPs are what the work needs (convention `model`), whatever convention an output uses. Sequences
    /// of a batch run together and leave it as they end.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Overflow`] if a count does not fit 128 bits, or the time a float.
    pub fn ideal(
        &self,
        workload: &Workload,
        phase: Phase,
        hardware: &Hardware,
    ) -> Result<Option<Ideal>> {
        let Some(bytes_per_second) = hardware.bytes_per_second() else { return Ok(None) };
        workload.numbered().ok_or_else(too_large)?;
        let workload = &*self.requests(workload, Rule::Needed)?;
        let roofline = Roofline {
            model: self,
            workload,
            flops_per_second: hardware.flops_per_second(),
            bytes_per_second,
        };
        let mut sum = Ideal { seconds: 0.0, compute_seconds: 0.0 };
        if phase == Phase::Prefill {
            sum = sum.and(roofline.of_stacks().ok_or_else(too_large)?);
        }
        let masks: Vec<Mask> = self.masks().collect();
        Stretch::visit(workload, phase, &masks, |stretch| {
            sum = sum.and(roofline.of(stretch)?);
            Some(())
        })
        .ok_or_else(too_large)?;
        sum.checked().map(Some)
    }

    /// What the tokens of its layers see.
    pub(crate) fn masks(&self) -> impl Iterator<Item = Mask> {
        let needed = self.sums.needed.iter().filter_map(|term| match term.amount {
            Amount::Pairs(mask) => Some(mask),
            _ => None,
        });
        needed.chain(self.sums.latents.iter().map(|latent| latent.mask))
    }
}

struct Roofline<'m> {
    model: &'m Model,
    workload: &'m Workload,
    flops_per_second: f64,
    bytes_per_second: f64,
}

impl Roofline<'_> {
    /// What runs before the prefill is one pass more.
    fn of_stacks(&self) -> Option<Ideal> {
        if self.model.stacks.is_empty() {
            return Some(Ideal { seconds: 0.0, compute_seconds: 0.0 });
        }
        let mut flops = 0_u128;
        for (sequence, source) in self.workload.with_sources() {
            self.model.visit_stacks_of(
                self.workload,
                sequence,
                source,
                Rule::Needed,
                &mut |_, each, amount: u128| {
                    let flops_of_one = times(each.all, amount)?;
                    flops = flops.checked_add(times(flops_of_one, sequence.count.into())?)?;
                    Some(())
                },
            )?;
        }
        let bytes = self.model.moved_by_stacks(self.workload)?;
        Some(longer(flops as f64 / self.flops_per_second, bytes / self.bytes_per_second))
    }

    /// Within a stretch FLOPs and bytes of a pass grow by the same amount from one to the next, so at most once does the
    /// other side begin to bind, and the sums on either side have closed forms. Entries and blocks come by steps, which
    /// are bounded together.
    fn of(&self, stretch: Stretch<'_>) -> Option<Ideal> {
        let Stretch { from, to, .. } = stretch;
        let change = self.change(stretch)?;
        let mut sum = Ideal { seconds: 0.0, compute_seconds: 0.0 };
        for (from, to) in [(from, change), (change, to)] {
            if from < to {
                let (compute, memory) = self.seconds(&stretch.part(from, to))?;
                sum = sum.and(longer(compute, memory));
            }
        }
        Some(sum)
    }

    /// The first pass of a stretch on which another side binds than on its first; its end if none.
    fn change(&self, stretch: Stretch<'_>) -> Option<u64> {
        let Stretch { from, to, .. } = stretch;
        let compute_binds = |pass: u64| {
            self.seconds(&stretch.part(pass, pass + 1)).map(|(compute, memory)| compute > memory)
        };
        if to - from < 2 {
            return Some(to);
        }
        let first = compute_binds(from)?;
        if compute_binds(to - 1)? == first {
            return Some(to);
        }
        let (mut same, mut other) = (from, to - 1);
        while other - same > 1 {
            let middle = same + (other - same) / 2;
            if compute_binds(middle)? == first {
                same = middle;
            } else {
                other = middle;
            }
        }
        Some(other)
    }

    /// Seconds that the passes of a stretch take on each side, if that side alone bound them.
    fn seconds(&self, stretch: &Stretch<'_>) -> Option<(f64, f64)> {
        let mut flops = 0_u128;
        for (count, run) in stretch.members() {
            self.model.sums.visit_needed(&[run], &mut |each, [amount]: [u128; 1]| {
                flops = flops.checked_add(times(each.all, times(amount, count)?)?)?;
                Some(())
            })?;
        }
        let flops = flops as f64;
        let bytes = self.model.moved(stretch, self.workload.kv_cache())?;
        Some((flops / self.flops_per_second, bytes / self.bytes_per_second))
    }
}

/// What passes take that are all bound by one side.
fn longer(compute: f64, memory: f64) -> Ideal {
    let compute_seconds = if compute > memory { compute } else { 0.0 };
    Ideal { seconds: compute.max(memory), compute_seconds }
}

/// Work ÷ what a rate makes possible in a time.
fn ratio(work: f64, rate: f64, seconds: f64) -> Result<f64> {
    positive("time", seconds)?;
    let possible = seconds * rate;
    let ratio = work / possible;
    if possible.is_finite() && ratio.is_finite() { Ok(ratio) } else { Err(inexpressible()) }
}

/// A ratio or a time that is beyond every measurement. Unknown would be a lie, and so would zero.
fn inexpressible() -> Error {
    Error::new(ErrorKind::Overflow, "utilization", "does not fit a 64-bit float")
        .hint("check the time, the peak, the bandwidth and the number of devices")
}

fn positive(what: &str, value: f64) -> Result<()> {
    if value.is_finite() && value > 0.0 {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Measurement, what, format!("is {value}"))
        .hint("it must be a number above zero"))
}
