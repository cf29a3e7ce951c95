//! Metadata and tensors → the config.json that says the same.

use super::architectures::{self, USUAL};
use super::file::File;
use super::keys::Key;
use super::names::{Names, Own};
use super::{Header, Value};
use crate::config::Config;
use crate::error::{Error, ErrorKind, Result, shown};
use crate::weights::{Tensor, Weights};
use serde_json::Map;
use std::sync::Arc;

impl Header {
    /// The config that the metadata says, with the tensors of all of the model's files. Of an architecture
    /// that is not read, it has the keys that most have, and the rest is left to the tensors' shapes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Architecture`] for a file that states no architecture, or an encoder's, [`ErrorKind::Config`] for a size
    /// that is missing or a list, [`ErrorKind::Weights`] for a table of tokens that is missing.
    pub fn config(&self, tensors: Vec<Tensor>) -> Result<Config> {
        let name = self.text("general.architecture").ok_or_else(|| {
            Error::new(ErrorKind::Architecture, "key `general.architecture`", "is missing")
        })?;
        self.decodes(name)?;
        let file = File::new(self, name, &tensors)?;
        let stated = |key: &str| matches!(file.number(key), Ok(Some(number)) if number > 0);
        let row = architectures::find(name, |with| file.has(with) || stated(with));
        let embedding = file.first("token_embd").ok_or_else(|| {
            Error::new(ErrorKind::Weights, "tensor `token_embd.weight`", "is missing")
                .hint("give the first of the model's files")
        })?;
        let mut config = Map::new();
        config.insert("model_type".into(), row.map_or(name, |row| row.model_type).into());
        config.insert("torch_dtype".into(), "float16".into());
        config.insert("tie_word_embeddings".into(), (!file.has("output")).into());
        for (key, size) in [
            ("vocab_size", embedding.shape.first().copied()),
            ("hidden_size", file.number("embedding_length")?),
            ("num_hidden_layers", Some(file.count).filter(|count| *count > 0)),
        ] {
            if let Some(size) = size {
                config.insert(key.into(), size.into());
            }
        }
        let (keys, own): (&[&[Key]], Own) = row.map_or((USUAL, &[]), |row| (row.keys, row.own));
        for keys in keys {
            file.write(keys, &mut config)?;
        }
        let names = Names { own, layers: file.count };
        let weights = Weights::named(&tensors, names)?;
        let config = Config::from_value(config.into())?.with_weights(Arc::new(weights));
        Ok(if row.is_some() { config } else { config.by_shapes() })
    }

    /// Refuses encoders. Their files say that attention is not causal, but for T5's, whose layers go by names of
    /// their own.
    fn decodes(&self, name: &str) -> Result<()> {
        let encodes = self.keys.get(&format!("{name}.attention.causal")) == Some(&Value::Number(0));
        if !encodes && !["t5", "t5encoder"].contains(&name) {
            return Ok(());
        }
        let fact = format!("is \"{}\", here an encoder, which is not read from GGUF", shown(name));
        Err(Error::new(ErrorKind::Architecture, "key `general.architecture`", fact)
            .hint("give the config.json that the file was made from, or the model's id on the Hub"))
    }

    /// A size, also where it is a list of equal ones, one a layer that has any.
    pub(super) fn size(&self, key: &str) -> Result<Option<u64>> {
        let several = || {
            let place = format!("key `{}`", shown(key));
            Error::new(ErrorKind::Config, place, "is not one size for all layers")
                .hint("give the model's config.json")
        };
        match self.keys.get(key) {
            None => Ok(None),
            Some(Value::Number(number)) => Ok(Some(*number)),
            Some(Value::Numbers(list)) => {
                let mut sizes = list.iter().filter(|size| **size > 0);
                let first = sizes.next();
                let alike = sizes.all(|size| Some(size) == first);
                if alike { Ok(first.or(list.first()).copied()) } else { Err(several()) }
            }
            Some(_) => Err(several()),
        }
    }

    /// A short list of whole numbers; empty where there is none.
    pub(super) fn list(&self, key: &str) -> &[u64] {
        match self.keys.get(key) {
            Some(Value::Numbers(list)) => list,
            _ => &[],
        }
    }
}
