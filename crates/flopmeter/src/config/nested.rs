//! Objects within a config: parts of a model, quantisations.

use super::Config;
use crate::error::Result;
use serde_json::{Map, Value};

/// Types whose class has a head of its own whatever the part says: the whole has no key that would tie it.
const NEVER_TIED: [&str; 6] =
    ["nemo_speechlm", "nemotron_h_omni", "omniasr", "qwen2_audio", "vibevoice_asr", "voxtral"];
/// Where a config keeps what preprocessor_config.json says.
const PREPROCESSOR: &str = "preprocessor_config";

impl Config {
    fn nested(&self, key: &str, object: &Map<String, Value>) -> Self {
        let prefix = format!("{}{key}.", self.prefix);
        let mut nested = Self::of(object.clone(), prefix, self.class().to_owned());
        nested.weights.clone_from(&self.weights);
        nested
    }

    /// A nested object as a config of its own, or `None`.
    ///
    /// Its notes are its own: carry them over with [`adopt`](Self::adopt).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if it is there and not an object.
    pub fn child(&self, key: &'static str) -> Result<Option<Self>> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Object(object)) => Ok(Some(self.nested(key, object))),
            Some(other) => Err(self.wrong(key, other, "an object")),
        }
    }

    /// A nested object that must be there, as a config of its own.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if it is not there or not an object.
    pub fn part(&self, key: &'static str) -> Result<Self> {
        self.child(key)?.ok_or_else(|| self.missing(key))
    }

    /// The text part of a multimodal config: `text_config`, or `None`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if it is there and not an object.
    pub fn text_part(&self, model_type: &str) -> Result<Option<Self>> {
        self.part_of_whole("text_config", model_type)
    }

    /// A part of a config of several, or `None`.
    ///
    /// What holds for the whole model is the part's too: how weights are stored where the part does not
    /// say it, and whether the head is tied where the whole says it. A part that names no type is of
    /// `model_type`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if it is there and not an object.
    pub fn part_of_whole(&self, key: &'static str, model_type: &str) -> Result<Option<Self>> {
        let Some(mut part) = self.child(key)? else { return Ok(None) };
        if part.model_type().is_empty() {
            part.object.insert("model_type".into(), model_type.into());
        }
        let states_dtype = part.has("dtype") || part.has("torch_dtype");
        for key in ["dtype", "torch_dtype", "quantization_config", "tie_word_embeddings"] {
            let own = match key {
                // Llama 4's head is wholly the part's.
                "tie_word_embeddings" if self.model_type() == "llama4" => true,
                // LLaVA's first files tie in the part and deny it in the whole, and Qwen's may.
                "tie_word_embeddings"
                    if matches!(self.model_type(), "qwen2_vl" | "qwen2_5_vl")
                        || self.model_type().starts_with("llava") =>
                {
                    part.flag(key, false)?
                }
                "tie_word_embeddings" => false,
                "quantization_config" => part.has(key),
                _ => states_dtype,
            };
            if let Some(value) = self.get(key)
                && !own
            {
                part.object.insert(key.into(), value.clone());
            }
        }
        if key == "thinker_config"
            && let Some(preprocessor) = self.get(PREPROCESSOR)
        {
            part.object.insert(PREPROCESSOR.into(), preprocessor.clone());
        }
        if NEVER_TIED.contains(&self.model_type()) {
            part.object.insert("tie_word_embeddings".into(), false.into());
        }
        Ok(Some(part))
    }

    /// The same config with the quantisation that a file beside it states (modelopt's
    /// `hf_quant_config.json`), which is noted. What the config itself says of one holds instead.
    #[must_use]
    pub fn with_quantization(mut self, quantization: Self) -> Self {
        let said = |object: &Map<String, Value>| {
            let has = |key| object.get(key).is_some_and(|value| !value.is_null());
            has("quantization_config") || has("compression_config")
        };
        let part = self.object.get("text_config").and_then(Value::as_object);
        if !said(&self.object) && !part.is_some_and(said) {
            self.object.insert("quantization_config".into(), quantization.object.into());
            self.note(
                "the quantisation is that of `hf_quant_config.json` beside the config".into(),
            );
        }
        self
    }

    /// Whether a part of it hears, be it one that is counted or not.
    pub(crate) fn hears(&self) -> bool {
        const PARTS: [&str; 4] =
            ["audio_config", "speech_config", "sound_config", "audio_encoder_config"];
        let thinker = self.get("thinker_config").and_then(Value::as_object);
        let granite = self.model_type().starts_with("granite_speech");
        granite
            || PARTS.iter().any(|key| {
                self.has(key)
                    || thinker.is_some_and(|it| it.get(*key).is_some_and(Value::is_object))
            })
    }

    /// Whether a part of it sees or hears.
    pub fn perceives(&self) -> bool {
        self.has("vision_config") || self.has("thinker_config") || self.hears()
    }

    /// The same config with the preprocessor_config.json beside it, which says how images are cut and sound is framed.
    #[must_use]
    pub fn with_preprocessor(mut self, preprocessor: Self) -> Self {
        if !self.has(PREPROCESSOR) {
            self.object.insert(PREPROCESSOR.into(), preprocessor.object.into());
        }
        self
    }

    /// The same config with the processor_config.json beside it, which has an object for images, one for sound, and keys
    /// of its own: what preprocessor_config.json states holds instead.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if one of them is no object.
    pub fn with_processor(mut self, processor: &Self) -> Result<Self> {
        let mut stated = match self.object.remove(PREPROCESSOR) {
            Some(Value::Object(stated)) => stated,
            other => other.into_iter().map(|value| (PREPROCESSOR.to_owned(), value)).collect(),
        };
        for key in ["image_processor", "feature_extractor"] {
            for (key, value) in processor.child(key)?.map(|part| part.object).unwrap_or_default() {
                stated.entry(key).or_insert(value);
            }
        }
        if let Some(longest) = processor.get("max_audio_len") {
            stated.entry("max_audio_len").or_insert(longest.clone());
        }
        if !stated.is_empty() {
            self.object.insert(PREPROCESSOR.into(), stated.into());
        }
        Ok(self)
    }

    /// What preprocessor_config.json states for a processor of this class, as far as it is at hand.
    ///
    /// Its notes are its own: carry them over with [`adopt`](Self::adopt).
    pub(crate) fn preprocessor(&self, class: &str) -> Result<Self> {
        let stated = self.child(PREPROCESSOR)?.map(|child| child.object).unwrap_or_default();
        Ok(Self::of(stated, format!("{PREPROCESSOR}."), class.to_owned()))
    }

    /// The nested objects of a config that names them freely (`config_groups`), with their names.
    pub fn children(&self) -> Vec<(String, Self)> {
        self.object
            .iter()
            .filter_map(|(name, value)| Some((name.clone(), self.nested(name, value.as_object()?))))
            .collect()
    }

    /// The keys of a config that names sizes freely (`rank_pattern`), with their sizes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if a value is no size.
    pub(crate) fn sizes(&self) -> Result<Vec<(String, u64)>> {
        let sizes = self.object.iter();
        sizes.map(|(key, value)| Ok((key.clone(), self.as_size(key, value, 1)?))).collect()
    }

    /// Takes over what another reader of the same config has read, and had to say.
    pub(crate) fn take_over(&self, other: &Self) {
        self.read.borrow_mut().extend(other.read.borrow().iter());
        let known = self.notes.borrow().len();
        self.notes.borrow_mut().extend(other.notes.borrow().iter().skip(known).cloned());
    }

    /// Takes over what a nested config had to say.
    pub fn adopt(&self, child: &Self) {
        self.notes.borrow_mut().extend(child.notes.borrow().iter().cloned());
    }
}
