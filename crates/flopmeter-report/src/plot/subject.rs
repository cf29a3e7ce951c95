//! What a plot is about: a model, what is asked of it, and what it runs on.

use crate::machine::Machine;
use flopmeter::units::{BytesPerSecond, Si};
use flopmeter::{Convention, Error, ErrorKind, Point, Result, Sequence, Workload};
use flopmeter_source::Source;
use flopmeter_source::visible::visible;
use std::sync::Arc;

/// What a plot is about.
pub struct Subject {
    /// The model.
    pub source: Arc<Source>,
    /// How it is counted.
    pub convention: Convention,
    /// Tokens of the prompt.
    pub prompt: u64,
    /// Tokens that are generated.
    pub generate: u64,
    /// What it runs on.
    pub machine: Option<Machine>,
}

impl Subject {
    /// The model's name, as it is shown.
    pub(super) fn name(&self) -> String {
        visible(&self.source.id)
    }

    /// The devices, whose bandwidth is known.
    pub(super) fn machine(&self) -> Result<(&Machine, BytesPerSecond)> {
        let machine = self.machine.as_ref().ok_or_else(|| {
            Error::new(ErrorKind::Peak, "--device", "is missing, and a roofline is a device's")
                .hint("name one (see `flopmeter devices`), or give --peak and --bandwidth")
        })?;
        match machine.hardware.bandwidth {
            Some(bandwidth) => Ok((machine, bandwidth)),
            None => Err(machine.device.bandwidth().err().unwrap_or_else(|| {
                Error::new(ErrorKind::Peak, "--bandwidth", "is missing, and a roofline has one")
            })),
        }
    }

    /// Counts requests of some length that run together.
    pub(super) fn point(&self, prompt: u64, generate: u64, batch: u64) -> Result<Point> {
        let sequence = Sequence { count: batch, ..Sequence::new(prompt, generate) };
        let hardware = self.machine.as_ref().map(|machine| &machine.hardware);
        self.source.model.point(&Workload::batch(vec![sequence])?, &self.convention, hardware)
    }

    /// The devices and the convention in words.
    pub(super) fn said(&self, request: &str) -> Vec<String> {
        let mut said = Vec::new();
        if let Some(machine) = &self.machine {
            let (hardware, name) = (&machine.hardware, machine.device.name());
            let mut line = format!("{} × {name}, {} dense peak", hardware.count, machine.dtype);
            line += &format!(" {}FLOP/s", Si(hardware.peak.0));
            if let Some(bandwidth) = hardware.bandwidth {
                line += &format!(", bandwidth {}B/s", Si(bandwidth.0));
            }
            said.push(line);
        }
        said.push(format!("{request}convention {}", self.convention.id));
        said
    }
}
