//! Every built-in model has exactly the parameters that PyTorch counts in it and that its row states.

use flopmeter::flops::nominal_billions;
use flopmeter::{Builtin, ErrorKind};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// Counts of the reference implementation's own modules, built without weights
/// (`tests/recorded/parameters.py`).
#[derive(Deserialize)]
struct Recorded {
    parameters: BTreeMap<String, u128>,
}

fn recorded() -> BTreeMap<String, u128> {
    let text = include_str!("recorded/parameters.json");
    serde_json::from_str::<Recorded>(text).expect("a recording").parameters
}

#[test]
fn every_row_has_the_recorded_and_the_published_parameters() {
    let recorded = recorded();
    let rows = Builtin::all();
    assert!(rows.len() >= 150, "only {} rows", rows.len());
    assert_eq!(rows.len(), recorded.len(), "rows and recordings are one to one");
    let mut wrong = Vec::new();
    for row in rows {
        let counted = match row.model() {
            Ok(model) => model.parameters().total,
            Err(error) => {
                wrong.push(format!("{}: {error}", row.id));
                continue;
            }
        };
        if Some(&counted) != recorded.get(row.id) || counted != row.parameters {
            let recorded = recorded.get(row.id);
            wrong.push(format!(
                "{}: {counted}, recorded {recorded:?}, published {}",
                row.id, row.parameters
            ));
        }
    }
    assert!(wrong.is_empty(), "{} rows differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn no_key_of_a_row_goes_unread() {
    let unread: Vec<String> = Builtin::all()
        .iter()
        .filter_map(|row| Some((row.id, row.model().ok()?.unread().join(", "))))
        .filter(|(_, keys)| !keys.is_empty())
        .map(|(id, keys)| format!("{id}: {keys}"))
        .collect();
    assert!(unread.is_empty(), "{}", unread.join("\n"));
}

#[test]
fn names_are_unique_and_find_their_row() {
    let mut seen = BTreeSet::new();
    for row in Builtin::all() {
        assert!(!row.source.is_empty(), "{}: a row needs its source", row.id);
        for name in row.names() {
            assert!(seen.insert(name.to_lowercase()), "{}: the name `{name}` is taken", row.id);
            assert_eq!(Builtin::find(&name.to_uppercase()).expect("it is there").id, row.id);
        }
    }
}

#[test]
fn a_name_that_states_a_size_has_it_and_an_unknown_one_has_near_names() {
    for row in Builtin::all() {
        let total = row.parameters as f64 / 1e9;
        if let Some(nominal) = row.nominal_billions {
            // Vendors round, leave embeddings out or count a vision tower in; none is off by two.
            let ratio = nominal / total;
            assert!((0.5..2.0).contains(&ratio), "{}: {nominal} of {total} billion", row.id);
            assert_eq!(nominal_billions(row.id), Some(nominal), "{}", row.id);
        }
    }
    let error = Builtin::find("meta-llama/Llama-3.1-9B").expect_err("nobody");
    assert_eq!(error.kind(), ErrorKind::Model);
    assert!(error.to_string().contains("Llama-3.1-8B"), "{error}");
}
