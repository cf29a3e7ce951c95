//! Recordings of PyTorch's counter, and counts held to them.

#![allow(dead_code, reason = "each test file uses its part")]

use flopmeter::Counts;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::path::Path;

/// What the counter counted in one forward pass.
#[derive(Deserialize)]
pub struct Pass {
    pub past: u64,
    pub new: u64,
    pub total: u128,
    #[serde(default)]
    pub components: BTreeMap<String, u128>,
}

/// The recordings of a folder by the names of their files, which are cases but for some; in order.
pub fn recordings<T: DeserializeOwned>(folder: &Path, no_cases: &[&str]) -> Vec<(String, T)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the folder of recordings is there") {
        let path = entry.expect("a readable entry").path();
        let name = path.file_stem().expect("a file").to_string_lossy().into_owned();
        if path.extension().is_some_and(|end| end == "json") && !no_cases.contains(&&*name) {
            let text = std::fs::read_to_string(&path).expect("a readable file");
            found.push((name, serde_json::from_str(&text).expect("a recording")));
        }
    }
    found.sort_by(|a: &(String, _), b| a.0.cmp(&b.0));
    found
}

/// What one count has more than another, component by component.
pub fn less(more: &Counts, fewer: &Counts) -> Counts {
    let mut rest = Counts::default();
    for (component, count) in more.present() {
        rest[component] = count - fewer[component];
    }
    rest
}

/// What differs between a count and the counter's, if anything does.
pub fn difference(counts: &Counts, pass: &Pass) -> Option<String> {
    let total = counts.total().expect("it fits");
    let mut differences: Vec<String> = pass
        .components
        .iter()
        .map(|(name, recorded)| {
            let ours = counts.present().find(|(component, _)| component.name() == name);
            (name, ours.map_or(0, |(_, count)| count), *recorded)
        })
        .filter(|(_, ours, recorded)| ours != recorded)
        .map(|(name, ours, recorded)| format!("{name} {ours} not {recorded}"))
        .collect();
    if total != pass.total {
        differences.push(format!("total {total} not {}", pass.total));
    }
    (!differences.is_empty()).then(|| differences.join(", "))
}
