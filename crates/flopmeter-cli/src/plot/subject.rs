//! What a plot is about: a model, what is asked of it, and what it runs on.

use crate::args::{PlotArgs, Values};
use crate::request::Machine;
use crate::source;
use crate::visible::visible;
use flopmeter::units::{BytesPerSecond, Si};
use flopmeter::{Convention, Error, ErrorKind, Model, Point, Result, Sequence, Workload};

/// The most points of a line.
const MOST: u128 = 4096;

pub struct Subject {
    pub id: String,
    pub model: Model,
    pub convention: Convention,
    pub prompt: u64,
    pub generate: u64,
    machine: Option<Machine>,
}

impl Subject {
    pub fn read(args: &PlotArgs) -> Result<Self> {
        let source = source::find(&args.model)?;
        let mut model = source.model;
        if let Some(dtype) = &args.dtype {
            model = model.with_dtype(dtype.parse()?);
        }
        if let Some(dtype) = &args.kv_dtype {
            model = model.with_cache_dtype(dtype.parse()?);
        }
        let machine = Machine::read(&args.hardware, None, model.quantization().compute)?;
        // What only reads generates nothing.
        let most = if model.encodes_only() { 1 } else { 256 };
        Ok(Self {
            id: visible(&source.id),
            convention: args.convention.parse()?,
            prompt: args.prompt,
            generate: args.generate.unwrap_or(most),
            machine,
            model,
        })
    }

    /// The devices, whose bandwidth is known.
    pub fn machine(&self) -> Result<(&Machine, BytesPerSecond)> {
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
    pub fn point(&self, prompt: u64, generate: u64, batch: u64) -> Result<Point> {
        let sequence = Sequence { count: batch, ..Sequence::new(prompt, generate) };
        let hardware = self.machine.as_ref().map(|machine| &machine.hardware);
        self.model.point(&Workload::batch(vec![sequence])?, &self.convention, hardware)
    }

    /// The devices and the convention in words.
    pub fn said(&self, request: &str) -> Vec<String> {
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

/// Numbers, few enough to be drawn.
pub fn few(values: &Values, of: &str) -> Result<Vec<u64>> {
    if values.count() > MOST {
        let fact = format!("is {} values; at most {MOST} are drawn", values.count());
        return Err(Error::new(ErrorKind::Workload, of, fact)
            .hint("take larger steps, or a range that multiplies: 1..65536x2"));
    }
    let mut few: Vec<u64> = (0..).map_while(|at| values.get(at)).collect();
    few.sort_unstable();
    few.dedup();
    Ok(few)
}
