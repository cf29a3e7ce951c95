//! The table as a set: what has to hold of every row.

use super::name::Name;
use super::table::parse;
use super::{Device, Dtype};
use std::collections::{BTreeMap, BTreeSet};

const TEXT: &str = include_str!("../../data/devices.toml");

/// The rows as plain TOML, with the names that the table keeps only in its index.
fn rows() -> Vec<toml::Table> {
    let file: toml::Table = TEXT.parse().expect("TOML");
    file["device"]
        .as_array()
        .expect("devices")
        .iter()
        .map(|row| row.as_table().expect("row").clone())
        .collect()
}

fn strings(row: &toml::Table, key: &str) -> Vec<String> {
    let list = row.get(key).and_then(|value| value.as_array()).cloned().unwrap_or_default();
    list.iter().map(|name| name.as_str().expect("a name").to_owned()).collect()
}

#[test]
fn the_table_is_of_its_shape() {
    let table = parse(TEXT).expect("the shape of a row");
    assert!(table.devices.len() > 230, "{} rows", table.devices.len());
    assert!(
        parse("[[device]]\nid = \"x\"\nmig = []").is_err(),
        "a row without its source has to be refused"
    );
}

#[test]
fn rows_are_sound() {
    for device in Device::all() {
        let id = &device.id;
        assert!(
            id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
                && !id.contains("--")
                && !id.ends_with('-'),
            "{id}: not an id"
        );
        assert!(
            id.starts_with(&device.vendor.to_lowercase().replace(' ', "-")),
            "{id}: its vendor comes first"
        );
        assert!(!device.source.is_empty(), "{id}: a row needs its source");
        assert!(
            ["high", "medium", "low"].contains(&device.confidence.as_str()),
            "{id}: {}",
            device.confidence
        );
        let units = ["device", "package", "half package", "chip", "core"];
        assert!(units.contains(&device.unit.as_str()), "{id}: {}", device.unit);
        assert!(
            device.year.is_none_or(|year| (2015..2030).contains(&year)),
            "{id}: {:?}",
            device.year
        );

        let known = device.peaks.len() + usize::from(device.bandwidth.is_some());
        assert!(known > 0 || device.note.is_some(), "{id}: without a figure it needs the reason");
        for (dtype, peak) in device.peaks() {
            assert!((1e11..1e17).contains(&peak.0), "{id}: {dtype} at {peak}");
        }
        if let (Some(bytes), Ok(rate)) = (device.memory_bytes, device.bandwidth()) {
            // From 11 ms (V100S is 28, H100 24, Rubin 13) to half a second (GB10, with LPDDR).
            let seconds = bytes as f64 / rate.0;
            assert!((0.005..0.75).contains(&seconds), "{id}: its memory is read in {seconds} s");
        }
        if let Some(gb) = id.rsplit('-').next().and_then(|word| word.strip_suffix("gb")) {
            assert_eq!(
                device.memory_bytes,
                gb.parse::<u64>().ok().map(|gb| gb * 1_000_000_000),
                "{id}"
            );
        }
    }
}

/// A narrower dtype is never slower where the hardware has it, but for what the exceptions say.
#[test]
fn peaks_are_in_order() {
    let order = [
        (Dtype::Bf16, Dtype::Fp16),
        (Dtype::Fp32, Dtype::Bf16),
        (Dtype::Tf32, Dtype::Bf16),
        (Dtype::Bf16, Dtype::Fp8),
        (Dtype::Fp16, Dtype::Int8),
        (Dtype::Fp8, Dtype::Fp6),
        (Dtype::Fp8, Dtype::Fp4),
        (Dtype::Fp64, Dtype::Fp32),
    ];
    // Blackwell Ultra has almost no INT8, by design.
    let exceptions = ["nvidia-b300-sxm-270gb", "nvidia-gb300-279gb"];
    for device in Device::all() {
        for (wide, narrow) in order {
            if narrow == Dtype::Int8 && exceptions.contains(&device.id()) {
                continue;
            }
            if let (Ok(wide_peak), Ok(peak)) = (device.peak(wide), device.peak(narrow)) {
                assert!(
                    wide_peak.0 <= peak.0,
                    "{}: {wide} {wide_peak} > {narrow} {peak}",
                    device.id
                );
                assert!(
                    peak.0 <= wide_peak.0 * 1300.0,
                    "{}: {narrow} {peak} for {wide} {wide_peak}",
                    device.id
                );
            }
        }
    }
}

#[test]
fn a_peak_is_printed_once() {
    for row in rows() {
        let id = row["id"].as_str().expect("an id");
        let table = |key: &str| {
            row.get(key).and_then(|value| value.as_table()).cloned().unwrap_or_default()
        };
        let (dense, sparse) = (table("dense_tflops"), table("sparse_tflops"));
        for dtype in dense.keys().chain(sparse.keys()) {
            assert!(
                Dtype::ALL.iter().any(|known| known.name() == dtype),
                "{id}: `{dtype}` is no dtype"
            );
            assert!(
                !(dense.contains_key(dtype) && sparse.contains_key(dtype)),
                "{id}: {dtype} twice"
            );
        }
    }
}

#[test]
fn a_name_is_of_one_row() {
    let mut taken: BTreeMap<String, String> = BTreeMap::new();
    let mut joined: BTreeMap<String, String> = BTreeMap::new();
    let mut shared = BTreeSet::new();
    for row in rows() {
        let id = row["id"].as_str().expect("an id").to_owned();
        let own = ["reported", "also"].iter().flat_map(|key| strings(&row, key));
        for name in own.chain([id.clone(), row["name"].as_str().expect("a name").into()]) {
            let key = Name::read(&name).key();
            assert!(!key.is_empty(), "{id}: nothing is left of `{name}`");
            for (index, key) in [(&mut taken, key.clone()), (&mut joined, key.replace(' ', ""))] {
                let other = index.entry(key).or_insert_with(|| id.clone());
                assert_eq!(*other, id, "`{name}` is taken");
            }
        }
        shared.extend(strings(&row, "shared").iter().map(|name| Name::read(name).key()));
    }
    let both: Vec<_> = shared.iter().filter(|key| taken.contains_key(*key)).collect();
    assert!(both.is_empty(), "{both:?}: shared, and the name of one row as well");
}

#[test]
fn slices_are_of_known_rows_and_fill_them() {
    let table = parse(TEXT).expect("the table");
    for mig in &table.mig {
        for id in &mig.of {
            let parent = table.devices.iter().find(|device| device.id == *id);
            let gb = parent.and_then(|parent| parent.memory_bytes).expect(id) as f64 / 1e9;
            for profile in &mig.profiles {
                let (sms, memory) = (profile.sms, profile.memory);
                assert!(
                    0 < sms.0 && sms.0 <= sms.1 && 0 < memory.0 && memory.0 <= memory.1,
                    "{id}: {}",
                    profile.name
                );
                // `2g.20gb`: about two of its slices, about 20 GB.
                let (slices, named) = profile
                    .name
                    .strip_suffix("gb")
                    .and_then(|name| name.split_once("g."))
                    .expect(id);
                let share = gb * f64::from(memory.0) / f64::from(memory.1);
                let named: f64 = named.parse().expect("gigabytes");
                assert!((share - named).abs() <= 0.5, "{id}: {} has {share} GB", profile.name);
                let of = if id.contains("a30") { 4.0 } else { 7.0 };
                let nominal = slices.parse::<f64>().expect("slices") / of;
                let real = f64::from(sms.0) / f64::from(sms.1);
                assert!(
                    (real / nominal - 1.0).abs() < 0.4,
                    "{id}: {} has {real} for {nominal}",
                    profile.name
                );
            }
            let last = mig.profiles.last().expect("profiles");
            assert_eq!(last.memory.0, last.memory.1, "{id}: the last profile is the whole");
        }
    }
}
