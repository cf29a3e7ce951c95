//! What requests and steps run on.

use super::Ranges;
use crate::machine::{Given, Machine};
use flopmeter::device::Device;
use flopmeter::{Dtype, ErrorKind, Model, Result};

/// A device, or none, and what is known of it in each dtype.
pub struct Place {
    pub device: Option<Device>,
    pub machines: Vec<Option<Machine>>,
}

/// The devices that are named, or the one that is described, or none. A dtype that one of several has no peak for is
/// left unknown; one that none has is an error.
pub fn read(ranges: &Ranges, models: &[(Dtype, Model)]) -> Result<Vec<Place>> {
    let devices: Vec<Option<&Device>> = match &*ranges.devices {
        [] => vec![None],
        devices => devices.iter().map(Some).collect(),
    };
    let mut missing = None;
    let mut places = Vec::new();
    for device in devices {
        let given = Given { device, peak: &ranges.peak, bandwidth: ranges.bandwidth };
        let mut place = Place { device: device.cloned(), machines: Vec::new() };
        for (dtype, _) in models {
            let machine = match Machine::new(&given, 1, *dtype) {
                Err(error) if error.kind() == ErrorKind::Peak => {
                    missing.get_or_insert(error);
                    None
                }
                machine => machine?,
            };
            if let Some(machine) = &machine {
                place.device.get_or_insert_with(|| machine.device.clone());
            }
            place.machines.push(machine);
        }
        places.push(place);
    }
    let none = places.iter().flat_map(|place| &place.machines).all(Option::is_none);
    match missing {
        Some(error) if none => Err(error),
        _ => Ok(places),
    }
}

impl Place {
    /// What a reader should know of it, for the dtypes of the models.
    pub fn notes(&self, models: &[(Dtype, Model)], links: bool) -> Vec<String> {
        let Some(device) = &self.device else { return Vec::new() };
        let known = || self.machines.iter().flatten();
        let mut notes = known().next().map(Machine::peak_notes).unwrap_or_default();
        for ((dtype, _), machine) in models.iter().zip(&self.machines) {
            if machine.is_none() {
                notes.push(format!("no {dtype} peak of {} is known: no time", device.id()));
            }
        }
        if known().any(|machine| machine.hardware.bandwidth.is_none()) {
            notes.push(format!("no bandwidth of {} is known: no time", device.id()));
        }
        if links && device.interconnect().is_none() {
            let id = device.id();
            notes.push(format!("no links of {id} are known: times leave out what ranks send"));
        }
        notes
    }
}
