//! An adapter's folder: its `adapter_config.json`, and the header of the weights beside it.

use super::{file, weights};
use flopmeter::{Adapter, Error, ErrorKind, Result};
use std::path::{Path, PathBuf};

/// The name that PEFT gives the config, and the weights.
const CONFIG: &str = "adapter_config.json";
const WEIGHTS: &str = "adapter_model.safetensors";

/// What its weights are taken to be stored as, where their own width is not known.
const AS_MODEL: &str = "the model's plain weights";

/// An adapter and what its files hold.
pub struct Found {
    /// The adapter.
    pub adapter: Adapter,
    /// Parameters in the file of weights, if it is at hand.
    pub stored: Option<u128>,
    /// What a reader should know of it.
    pub notes: Vec<String>,
}

/// Reads an adapter by the path of its config or of the folder that holds it.
pub fn read(name: &str) -> Result<Found> {
    let path = Path::new(name);
    let config: PathBuf = if path.is_dir() { path.join(CONFIG) } else { path.to_owned() };
    let shown = file::shown(&config);
    if !config.exists() {
        return Err(Error::new(ErrorKind::Adapter, shown, "does not exist")
            .hint("give an adapter_config.json or the folder that holds one"));
    }
    let adapter = Adapter::parse(&file::text(&config)?).map_err(|error| error.within(&shown))?;
    let beside = config.with_file_name(WEIGHTS);
    let found = if beside.exists() { Some(weights::of_file(&beside)?) } else { None };
    let stored = found.as_ref().map(|found| found.weights.elements());
    let storage = found.as_ref().and_then(|found| found.weights.storage());
    let notes = match (&found, storage) {
        (None, _) => vec![format!("no {WEIGHTS} is beside it: its bytes are those of {AS_MODEL}")],
        (Some(found), None) => {
            vec![
                found.note.clone(),
                format!("its file has several widths: its bytes are those of {AS_MODEL}"),
            ]
        }
        (Some(found), Some(_)) => vec![found.note.clone()],
    };
    let adapter = match storage {
        Some(storage) => adapter.stored_as(storage),
        None => adapter,
    };
    Ok(Found { adapter, stored, notes })
}

/// Whether a MODEL is an adapter's folder: one without a model's config.
pub fn is_folder_of_one(name: &str) -> bool {
    let folder = Path::new(name);
    folder.join(CONFIG).exists() && !folder.join("config.json").exists()
}
