//! An adapter's folder: its `adapter_config.json`, and the header of the weights beside it.

use super::{file, weights};
use flopmeter::{Adapter, Error, ErrorKind, Result};
use std::path::{Path, PathBuf};

/// The name that PEFT gives the config, and the weights.
const CONFIG: &str = "adapter_config.json";
const WEIGHTS: &str = "adapter_model.safetensors";

/// An adapter and what its files hold.
pub struct Found {
    pub adapter: Adapter,
    /// Parameters in the file of weights, if it is at hand.
    pub stored: Option<u128>,
    pub note: Option<String>,
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
    Ok(Found { adapter, stored, note: found.map(|found| found.note) })
}

/// Whether a MODEL is an adapter's folder: one without a model's config.
pub fn is_folder_of_one(name: &str) -> bool {
    let folder = Path::new(name);
    folder.join(CONFIG).exists() && !folder.join("config.json").exists()
}
