//! Shares of a device: MIG slices, whose share NVIDIA prints, and the others, whose share nobody does.

use super::name::{Match, Name, ambiguous, candidate, matching, nearest};
use super::table::{Profile, Table};
use super::{BytesPerSecond, Device, FlopsPerSecond, GIVE_THE_PEAK, quoted};
use crate::error::{Error, ErrorKind, Result};

/// Words of a name that is a share: a virtual function, AMD's partition modes.
const SHARES: [&str; 7] = ["vf", "vgpu", "dpx", "tpx", "qpx", "cpx", "mps"];

/// The slice that a name means, or why its share is not known; `None` if the name is not one of a share.
pub(super) fn of(table: &Table, text: &str, name: &Name) -> Option<Result<Device>> {
    if let Some(at) = name.words.iter().position(|word| word == "mig") {
        return Some(slice(table, text, name, at));
    }
    let grid = name.words.first().is_some_and(|word| word == "grid");
    let profile =
        name.words.len() > 1 && name.words.last().is_some_and(|word| is_vgpu_profile(word));
    let share = name.words.iter().any(|word| is_share(word));
    if !(grid || profile || share) {
        return None;
    }
    let words = if grid { &name.words[1..] } else { &name.words[..] };
    let error = Error::new(
        ErrorKind::Ambiguous,
        quoted(text),
        "this is a share of a device, and the name does not tell what share",
    );
    let nearest = nearest(table, &name.with(words));
    Some(Err(match nearest.first() {
        Some(row) => error
            .hint(format!(
                "the nearest row is `{}`, of which it has a part",
                table.devices[*row].id
            ))
            .candidates([candidate(table, *row)]),
        None => error,
    }
    .hint(GIVE_THE_PEAK)))
}

pub(super) fn is_share(word: &str) -> bool {
    SHARES.contains(&word)
}

/// `48q`, `16c`, `8a`, `10cme`: gigabytes and a series.
fn is_vgpu_profile(word: &str) -> bool {
    let word = word.strip_suffix("me").unwrap_or(word);
    let gigabytes = word.strip_suffix(['q', 'c', 'b', 'a']).unwrap_or_default();
    gigabytes.parse::<u32>().is_ok_and(|gb| (1..=288).contains(&gb))
}

/// A MIG slice: `parent MIG 1g.10gb`.
fn slice(table: &Table, text: &str, name: &Name, at: usize) -> Result<Device> {
    let parent = match matching(table, &name.with(&name.words[..at])) {
        Match::One(row) => &table.devices[row],
        Match::Several(rows) => return Err(ambiguous(table, text, &rows)),
        Match::None => {
            return Err(Error::new(
                ErrorKind::Device,
                quoted(text),
                "no device is called what stands before `MIG`",
            )
            .hint(GIVE_THE_PEAK));
        }
    };
    let known = table.mig.iter().find(|mig| mig.of.contains(&parent.id));
    let profiles = known.map_or(&[][..], |mig| &mig.profiles);
    if let [word] = &name.words[at + 1..]
        && let Some(profile) = profiles.iter().find(|profile| profile.name == *word)
    {
        return Ok(cut(parent, profile));
    }
    let error = Error::new(
        ErrorKind::Ambiguous,
        quoted(text),
        format!("the share of this MIG profile of `{}` is not known", parent.id),
    );
    let error = if profiles.is_empty() {
        error
    } else {
        let names: Vec<_> = profiles.iter().map(|profile| profile.name.as_str()).collect();
        error.hint(format!("its profiles are {}", names.join(", ")))
    };
    Err(error.hint(GIVE_THE_PEAK))
}

/// Peaks by the share of the multiprocessors, bandwidth and memory by that of the memory slices.
fn cut(parent: &Device, profile: &Profile) -> Device {
    let of = |value: f64, (part, whole): (u32, u32)| value * f64::from(part) / f64::from(whole);
    let ((sms, all), (part, whole)) = (profile.sms, profile.memory);
    Device {
        id: format!("{}-mig-{}", parent.id, profile.name),
        name: format!("{} MIG {}", parent.name, profile.name),
        unit: "slice".into(),
        memory_bytes: parent.memory_bytes.map(|bytes| bytes * u64::from(part) / u64::from(whole)),
        bandwidth: parent.bandwidth.map(|rate| BytesPerSecond(of(rate.0, profile.memory))),
        peaks: parent
            .peaks
            .iter()
            .map(|(dtype, peak)| (*dtype, FlopsPerSecond(of(peak.0, profile.sms))))
            .collect(),
        // In MIG mode there is no peer-to-peer traffic, and the slices share one power limit.
        interconnect: None,
        power_watts: None,
        note: Some(format!(
            "{sms}/{all} of the multiprocessors, {part}/{whole} of the memory and its bandwidth."
        )),
        ..parent.clone()
    }
}
