//! Names: what drivers print, what people type, and what must never match.

use flopmeter::device::{self, Device};
use flopmeter::{Dtype, ErrorKind};
use proptest::prelude::*;

fn id(name: &str) -> String {
    match device::find(name) {
        Ok(device) => device.id().to_owned(),
        Err(error) => match error.kind() {
            ErrorKind::Ambiguous => "ambiguous".into(),
            ErrorKind::Device => "unknown".into(),
            other => panic!("{name}: {other:?}"),
        },
    }
}

/// A row of the recorded names; a name with a comma is quoted there.
fn recorded() -> Vec<(String, String)> {
    let text = include_str!("recorded/device_names.csv");
    text.lines()
        .skip(2)
        .map(|line| {
            let (name, device) = line.rsplit_once(',').expect("two columns");
            (name.trim_matches('"').to_owned(), device.to_owned())
        })
        .collect()
}

#[test]
fn recorded_names_mean_what_they_did() {
    let names = recorded();
    assert!(names.len() > 300, "{} names", names.len());
    let wrong: Vec<_> = names
        .iter()
        .filter(|(name, device)| id(name) != *device)
        .map(|(name, device)| format!("{name}: {} for {device}", id(name)))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_row_is_found_by_its_id_and_name() {
    for device in Device::all() {
        assert_eq!(id(device.id()), device.id());
        assert_eq!(id(device.name()), device.id());
        assert_eq!(id(&device.id().to_uppercase().replace('-', " ")), device.id());
    }
}
