//! An adapter → the model that it adapts, and what it adds.

use crate::report::AdapterReport;
use flopmeter::{Error, ErrorKind, Result};
use flopmeter_source::visible::shortened;
use flopmeter_source::{self as source, Source, adapter};

/// An adapter as it was given.
pub struct Adapter {
    id: String,
    found: adapter::Found,
    merged: bool,
}

impl Adapter {
    /// Reads an adapter, if one is named.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or there is none to be merged.
    pub fn read(id: Option<&str>, merged: bool) -> Result<Option<Self>> {
        let Some(id) = id else {
            if merged {
                return Err(Error::new(ErrorKind::Adapter, "--merged", "there is no adapter")
                    .hint("give one with --adapter"));
            }
            return Ok(None);
        };
        Ok(Some(Self { id: id.to_owned(), found: adapter::read(id)?, merged }))
    }

    /// The model that is adapted: MODEL, or the base that an adapter's folder names.
    ///
    /// # Errors
    ///
    /// If it is not found.
    pub fn base(&self, model: &str) -> Result<Source> {
        if !adapter::is_folder_of_one(model) {
            return source::find(model);
        }
        let base = self.found.adapter.base_model().ok_or_else(|| {
            let fact = "is an adapter that names no base";
            Error::new(ErrorKind::Adapter, shortened(model), fact)
                .hint("give the base as MODEL and the folder with --adapter")
        })?;
        source::find(base).map_err(|error| error.within("the adapter's base"))
    }

    /// Adapts a model, and says what that adds.
    ///
    /// # Errors
    ///
    /// If it means no module of the model, or one of which it is not known what it adds.
    pub fn apply(&self, source: &mut Source) -> Result<AdapterReport> {
        let base = source.model.clone();
        let adapted = base
            .with_adapter(&self.found.adapter)
            .map_err(|error| error.within(&shortened(&self.id)))?;
        let mut notes = if self.merged { Vec::new() } else { self.found.notes.clone() };
        notes.extend(adapted.notes);
        if let Some(stored) = self.found.stored.filter(|stored| *stored != adapted.parameters) {
            notes.push(format!(
                "its file holds {stored} parameters, its config gives {}",
                adapted.parameters
            ));
        }
        if let Some(base) = self.found.adapter.base_model().filter(|base| *base != source.id) {
            notes.push(format!("it was made for {}", shortened(base)));
        }
        if self.merged && source.model.quantization().is_quantized() {
            notes.push("merged weights are taken to be stored as the base's".into());
        }
        source.notes.extend(notes.into_iter().map(|note| format!("adapter: {note}")));
        if !self.merged {
            source.model = adapted.unmerged;
        }
        Ok(AdapterReport {
            id: self.id.clone(),
            parameters: adapted.parameters,
            modules: adapted.modules,
            merged: self.merged,
        })
    }
}
