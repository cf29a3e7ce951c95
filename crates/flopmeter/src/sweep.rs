//! A point of a sweep: what a request, or a step of training, costs, and what hardware makes of it at best.
//!
//! Points are counted one by one: a sweep is as many of them as somebody wants, and none depends on another.

use crate::bytes::Bytes;
use crate::convention::Convention;
use crate::cost::Flops;
use crate::error::Result;
use crate::model::Model;
use crate::parallelism::{Busiest, BusiestStep, Split, StepSplit};
use crate::training::{Step, Training, TrainingFlops};
use crate::units::BytesPerSecond;
use crate::utilization::{Bound, Hardware, Ideal, Utilization};
use crate::workload::{Phase, Workload};

/// A request, and the shortest time in which hardware can do it.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// FLOPs, by the convention that was asked for.
    pub flops: Flops,
    /// Bytes.
    pub bytes: Bytes,
    /// The shortest time of the prefill and of the decode phase, if a bandwidth is known: of ranks that of the busiest.
    pub ideal: Option<[Ideal; 2]>,
    /// What the links of the rank take that sends most, in each phase; 0 where nothing is sent, or links are not known.
    pub link_seconds: [f64; 2],
    /// MFU and MBU that a run in that time has: no run has more. `None` if there is no time, or no work.
    pub utilization: Option<Utilization>,
    /// Tokens that are generated, in all sequences together.
    pub generated: u128,
    /// Decode passes of the longest answer.
    pub passes: u64,
}

impl Model {
    /// Counts a request, and what the hardware, if there is any, makes of it at best.
    ///
    /// # Errors
    ///
    /// As [`flops`](Self::flops), [`bytes`](Self::bytes) and [`ideal`](Self::ideal).
    ///
    /// # Example
    ///
    /// ```
    /// use flopmeter::{Builtin, Convention, Hardware, Workload, Sequence, device};
    ///
    /// let llama = Builtin::find("meta-llama/Llama-3.1-8B")?.model()?;
    /// let h100 = device::find("NVIDIA H100 80GB HBM3")?;
    /// let hardware = Hardware::new(h100.peak(llama.quantization().compute)?, h100.bandwidth().ok(), 1)?;
    /// let mut before = 0.0;
    /// for batch in [1, 2, 4, 8] {
    ///     let requests = Workload::batch(vec![Sequence { count: batch, ..Sequence::new(1024, 256) }])?;
    ///     let point = llama.point(&requests, &Convention::MODEL, Some(&hardware))?;
    ///     let throughput = point.tokens_per_second().expect("the bandwidth is known");
    ///     assert!(throughput > before); // the weights are read once for all
    ///     before = throughput;
    /// }
    /// # Ok::<(), flopmeter::Error>(())
    /// ```
    pub fn point(
        &self,
        workload: &Workload,
        convention: &Convention,
        hardware: Option<&Hardware>,
    ) -> Result<Point> {
        let (flops, bytes) = (self.flops(workload, convention)?, self.bytes(workload)?);
        let ideal = match hardware {
            Some(hardware) => {
                let phase = |phase| self.ideal(workload, phase, hardware);
                phase(Phase::Prefill)?.zip(phase(Phase::Decode)?).map(|(first, rest)| [first, rest])
            }
            None => None,
        };
        Point::of(flops, bytes, workload).within(ideal, [0.0; 2], hardware)
    }

    /// The same over the ranks of a cut model, with the most that one of them does: bytes are those of all ranks
    /// together, times those of the busiest and of what it sends over links of so many bytes a second each way. Ranks
    /// are counted by the convention, or by `model` where that knows no parts of a model.
    ///
    /// # Errors
    ///
    /// As [`point`](Self::point) and [`Split::ranks`].
    ///
    /// # Example
    ///
    /// ```
    /// use flopmeter::{Builtin, Convention, Hardware, Parallelism, Workload, device};
    ///
    /// let llama = Builtin::find("meta-llama/Llama-3.1-8B")?.model()?;
    /// let h100 = device::find("NVIDIA H100 80GB HBM3")?;
    /// let hardware = Hardware::new(h100.peak(llama.quantization().compute)?, h100.bandwidth().ok(), 8)?;
    /// let split = llama.split(&Parallelism { tensor: 8, ..Parallelism::NONE })?;
    /// let request = Workload::request(1024, 256);
    /// let (point, busiest) =
    ///     llama.point_of_ranks(&split, &request, &Convention::MODEL, Some(&hardware), h100.link())?;
    /// // What is not shared, the norms, is read by each: no faster than eight times.
    /// let alone = llama.point(&request, &Convention::MODEL, Some(&hardware))?;
    /// assert!(point.seconds() > alone.seconds());
    /// assert!(busiest.held() * 8 > alone.bytes.held());
    /// # Ok::<(), flopmeter::Error>(())
    /// ```
    pub fn point_of_ranks(
        &self,
        split: &Split,
        workload: &Workload,
        convention: &Convention,
        hardware: Option<&Hardware>,
        link: Option<BytesPerSecond>,
    ) -> Result<(Point, Busiest)> {
        let by = if convention.counts_products() { convention } else { &Convention::MODEL };
        let (busiest, bytes) = split.busiest_and_all(workload, by)?;
        let ideal = match hardware {
            Some(hardware) => split.ideal(workload, hardware)?,
            None => None,
        };
        let links = busiest.sent.map(|bytes| link.map_or(0.0, |link| bytes as f64 / link.0));
        let flops = self.flops(workload, convention)?;
        let point = Point::of(flops, bytes, workload).within(ideal, links, hardware)?;
        Ok((point, busiest))
    }
}

impl Point {
    fn of(flops: Flops, bytes: Bytes, workload: &Workload) -> Self {
        let of = |sequence: &crate::Sequence| {
            u128::from(sequence.generate).saturating_mul(sequence.count.into())
        };
        let sequences = workload.sequences();
        Self {
            flops,
            bytes,
            ideal: None,
            link_seconds: [0.0; 2],
            utilization: None,
            generated: sequences.iter().map(of).fold(0, u128::saturating_add),
            passes: sequences.iter().map(|it| it.generate.saturating_sub(1)).max().unwrap_or(0),
        }
    }

    /// The same in the shortest time.
    fn within(
        self,
        ideal: Option<[Ideal; 2]>,
        link_seconds: [f64; 2],
        hardware: Option<&Hardware>,
    ) -> Result<Self> {
        let timed = Self { ideal, link_seconds, ..self };
        let seconds = timed.seconds().filter(|seconds| *seconds > 0.0);
        let utilization = hardware.zip(seconds).map(|(hardware, seconds)| {
            Utilization::new(&timed.flops, &timed.bytes, hardware, seconds)
        });
        Ok(Self { utilization: utilization.transpose()?, ..timed })
    }

    /// The shortest time of a phase, in seconds: links may work beside products and memory.
    pub fn seconds_of(&self, phase: Phase) -> Option<f64> {
        let at = phase as usize;
        Some(self.ideal?[at].seconds.max(self.link_seconds[at]))
    }

    /// What a phase waits for; `None` if there is nothing to do.
    pub fn bound(&self, phase: Phase) -> Option<Bound> {
        let (ideal, links) = (self.ideal?[phase as usize], self.link_seconds[phase as usize]);
        if links > ideal.seconds { Some(Bound::Links) } else { ideal.bound() }
    }

    /// The shortest time of it all, in seconds.
    pub fn seconds(&self) -> Option<f64> {
        Some(self.seconds_of(Phase::Prefill)? + self.seconds_of(Phase::Decode)?)
    }

    /// The shortest time of a decode pass, in seconds: the mean of them all. `None` if there is none.
    pub fn seconds_per_token(&self) -> Option<f64> {
        let decode = self.seconds_of(Phase::Decode)?;
        (self.passes > 0).then(|| decode / self.passes as f64)
    }

    /// Generated tokens a second, of all sequences together. `None` if there is nothing to take time.
    pub fn tokens_per_second(&self) -> Option<f64> {
        let seconds = self.seconds().filter(|seconds| *seconds > 0.0)?;
        Some(self.generated as f64 / seconds)
    }
}

/// A step of training, and the shortest time in which hardware can do its products.
#[derive(Debug, Clone, PartialEq)]
pub struct StepPoint {
    /// FLOPs, by the convention that was asked for.
    pub flops: TrainingFlops,
    /// Tokens of the step.
    pub tokens: u64,
    /// Executed FLOPs ÷ (peak × devices), in seconds. What a step moves is not counted: it may bind before.
    pub seconds: Option<f64>,
    /// MFU of a step in that time: 1 where nothing is recomputed.
    pub mfu: Option<f64>,
}

impl Training {
    /// Counts a step, and what the hardware, if there is any, makes of it at best.
    ///
    /// # Errors
    ///
    /// As [`flops`](Self::flops); [`ErrorKind::Overflow`](crate::ErrorKind::Overflow) if 64 bits cannot number the
    /// tokens.
    ///
    /// # Example
    ///
    /// ```
    /// use flopmeter::units::FlopsPerSecond;
    /// use flopmeter::{Builtin, Convention, Hardware, Step};
    ///
    /// let llama = Builtin::find("meta-llama/Llama-2-7b-hf")?.model()?;
    /// let step = Step::new(2048, 4)?;
    /// let hardware = Hardware::new(FlopsPerSecond(312e12), None, 1)?;
    /// let point = llama.training(&step, &Convention::MODEL)?.point(&step, Some(&hardware))?;
    /// assert_eq!(point.tokens, 4 * 2048);
    /// assert_eq!(point.mfu, Some(1.0));
    /// # Ok::<(), flopmeter::Error>(())
    /// ```
    pub fn point(&self, step: &Step, hardware: Option<&Hardware>) -> Result<StepPoint> {
        let flops = self.flops(step)?;
        let tokens = step.tokens().ok_or_else(crate::model::too_large)?;
        let executed = flops.executed as f64;
        let seconds = hardware.map(|hardware| executed / hardware.flops_per_second());
        let mfu = (flops.executed > 0 && hardware.is_some()).then(|| flops.total as f64 / executed);
        Ok(StepPoint { flops, tokens, seconds, mfu })
    }

    /// The same over the ranks of a cut model, with the most that one of them does: no step is shorter than the products of
    /// the busiest rank and its bubble, nor than what it sends over links of so many bytes a second each way.
    ///
    /// # Errors
    ///
    /// As [`point`](Self::point) and [`StepSplit::ranks`].
    ///
    /// # Example
    ///
    /// ```
    /// use flopmeter::units::FlopsPerSecond;
    /// use flopmeter::{Builtin, Convention, Hardware, Parallelism, Step};
    ///
    /// let llama = Builtin::find("meta-llama/Llama-2-7b-hf")?.model()?;
    /// let step = Step::new(2048, 16)?;
    /// let plan = Parallelism { tensor: 2, data: 4, ..Parallelism::NONE };
    /// let split = llama.split_step(&plan, &step, &Convention::MODEL)?;
    /// let training = llama.training(&step, &Convention::MODEL)?;
    /// let hardware = Hardware::new(FlopsPerSecond(312e12), None, 8)?;
    /// let (point, busiest) =
    ///     training.point_of_ranks(&split, (&step, 1), Some(&hardware), None)?;
    /// // Heads, widths and the vocabulary, 32,000 = 250·128, are all shared evenly.
    /// assert_eq!(busiest.executed * 8, point.flops.executed);
    /// assert_eq!(point.mfu, Some(1.0));
    /// # Ok::<(), flopmeter::Error>(())
    /// ```
    pub fn point_of_ranks(
        &self,
        split: &StepSplit,
        (step, micro_batches): (&Step, u64),
        hardware: Option<&Hardware>,
        link: Option<BytesPerSecond>,
    ) -> Result<(StepPoint, BusiestStep)> {
        let busiest = split.busiest(step, micro_batches)?;
        let whole = self.point(step, None)?;
        let seconds = hardware.map(|hardware| {
            let products = busiest.executed as f64 / hardware.peak.0 * (1.0 + busiest.bubble);
            products.max(link.map_or(0.0, |link| busiest.sent as f64 / link.0))
        });
        let timed = hardware.zip(seconds.filter(|seconds| *seconds > 0.0));
        let mfu =
            timed.map(|(hardware, seconds)| hardware.flops_utilization(whole.flops.total, seconds));
        Ok((StepPoint { seconds, mfu: mfu.transpose()?, ..whole }, busiest))
    }
}

impl StepPoint {
    /// Tokens a second that are trained on. `None` if no time is known.
    pub fn tokens_per_second(&self) -> Option<f64> {
        let seconds = self.seconds.filter(|seconds| *seconds > 0.0)?;
        Some(self.tokens as f64 / seconds)
    }
}
