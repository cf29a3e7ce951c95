//! A model as it is asked for: in some dtypes, with what adapts it.

use crate::adapter::Adapter;
use crate::report::AdapterReport;
use flopmeter::{Model, Result};
use flopmeter_source::{self as source, Source, adapter};

/// A model with what adapts it.
#[derive(Debug)]
pub struct Base {
    /// The model.
    pub source: Source,
    /// What adapts it.
    pub adapter: Option<AdapterReport>,
}

/// What is asked for beside a model's name.
#[derive(Debug, Clone, Copy, Default)]
pub struct Asked<'a> {
    /// The dtype of its products and weights, if not as stored.
    pub dtype: Option<&'a str>,
    /// The dtype of its KV cache, likewise.
    pub kv_dtype: Option<&'a str>,
    /// The place of a LoRA adapter.
    pub adapter: Option<&'a str>,
    /// Whether the adapter is merged into the weights.
    pub merged: bool,
}

impl Base {
    /// Finds a model.
    ///
    /// # Errors
    ///
    /// If there is no such model, dtype or adapter, or one does not go with the other.
    pub fn find(model: &str, asked: &Asked<'_>) -> Result<Self> {
        let own = adapter::is_folder_of_one(model).then_some(model);
        let adapter = Adapter::read(asked.adapter.or(own), asked.merged)?;
        let source = match &adapter {
            Some(adapter) => adapter.base(model)?,
            None => source::find(model)?,
        };
        Self::made(source, asked, adapter.as_ref())
    }

    /// Makes the same of a model that is there.
    ///
    /// # Errors
    ///
    /// If there is no such dtype or adapter, or one does not go with the other.
    pub fn of(source: Source, asked: &Asked<'_>) -> Result<Self> {
        let adapter = Adapter::read(asked.adapter, asked.merged)?;
        Self::made(source, asked, adapter.as_ref())
    }

    fn made(mut source: Source, asked: &Asked<'_>, adapter: Option<&Adapter>) -> Result<Self> {
        source.model = asked.in_dtypes(source.model)?;
        let adapter = adapter.map(|adapter| adapter.apply(&mut source)).transpose()?;
        Ok(Self { source, adapter })
    }
}

impl Asked<'_> {
    /// A model in the dtypes.
    ///
    /// # Errors
    ///
    /// If no dtype has the name.
    pub fn in_dtypes(&self, mut model: Model) -> Result<Model> {
        if let Some(dtype) = self.dtype {
            model = model.with_dtype(dtype.parse()?);
        }
        if let Some(dtype) = self.kv_dtype {
            model = model.with_cache_dtype(dtype.parse()?);
        }
        Ok(model)
    }
}
