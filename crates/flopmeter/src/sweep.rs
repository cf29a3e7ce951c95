//! A point of a sweep: what a request, or a step of training, costs, and what hardware makes of it at best.
//!
//! Points are counted one by one: a sweep is as many of them as somebody wants, and none depends on another.

use crate::bytes::Bytes;
use crate::convention::Convention;
use crate::cost::Flops;
use crate::error::Result;
use crate::model::Model;
use crate::training::{Step, Training, TrainingFlops};
use crate::utilization::{Hardware, Ideal, Utilization};
use crate::workload::{Phase, Workload};

/// A request, and the shortest time in which hardware can do it.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// FLOPs, by the convention that was asked for.
    pub flops: Flops,
    /// Bytes.
    pub bytes: Bytes,
    /// The shortest time of the prefill and of the decode phase, if a bandwidth is known.
    pub ideal: Option<[Ideal; 2]>,
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
        let (mut ideal, mut utilization) = (None, None);
        if let Some(hardware) = hardware {
            let phase = |phase| self.ideal(workload, phase, hardware);
            ideal = phase(Phase::Prefill)?
                .zip(phase(Phase::Decode)?)
                .map(|(first, rest)| [first, rest]);
            let seconds = ideal.map(whole).filter(|seconds| *seconds > 0.0);
            utilization = seconds
                .map(|seconds| Utilization::new(&flops, &bytes, hardware, seconds))
                .transpose()?;
        }
        let of = |sequence: &crate::Sequence| {
            u128::from(sequence.generate).saturating_mul(sequence.count.into())
        };
        let sequences = workload.sequences();
        Ok(Point {
            flops,
            bytes,
            ideal,
            utilization,
            generated: sequences.iter().map(of).fold(0, u128::saturating_add),
            passes: sequences.iter().map(|it| it.generate.saturating_sub(1)).max().unwrap_or(0),
        })
    }
}

fn whole([prefill, decode]: [Ideal; 2]) -> f64 {
    prefill.seconds + decode.seconds
}

impl Point {
    /// The shortest time of it all, in seconds.
    pub fn seconds(&self) -> Option<f64> {
        self.ideal.map(whole)
    }

    /// The shortest time of a decode pass, in seconds: the mean of them all. `None` if there is none.
    pub fn seconds_per_token(&self) -> Option<f64> {
        let [_, decode] = self.ideal?;
        (self.passes > 0).then(|| decode.seconds / self.passes as f64)
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
}

impl StepPoint {
    /// Tokens a second that are trained on. `None` if no time is known.
    pub fn tokens_per_second(&self) -> Option<f64> {
        let seconds = self.seconds.filter(|seconds| *seconds > 0.0)?;
        Some(self.tokens as f64 / seconds)
    }
}
