//! What a model makes of the clips of a request.

use super::{Clip, Extractor, Heard};
use crate::error::{Error, ErrorKind, Result};
use crate::model::Model;

impl Model {
    /// How the model makes frames of sound, `None` where it hears none or its tower is not counted.
    pub fn extractor(&self) -> Option<&Extractor> {
        self.extractor.as_ref()
    }

    /// What becomes of several clips of one prompt: pieces of frames, and the tokens that each adds to it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Workload`] for a model that hears nothing or whose tower is not counted, or a clip without a frame.
    ///
    /// # Example
    ///
    /// ```
    /// use flopmeter::{Config, Model, audio::Clip};
    ///
    /// let config = Config::parse(
    ///     r#"{"model_type": "qwen2_audio", "audio_config": {"d_model": 1280, "encoder_layers": 32,
    ///             "encoder_attention_heads": 20, "encoder_ffn_dim": 5120, "num_mel_bins": 128},
    ///         "text_config": {"model_type": "qwen2", "hidden_size": 4096, "num_hidden_layers": 32,
    ///             "num_attention_heads": 32, "intermediate_size": 11008, "vocab_size": 156032}}"#,
    /// )?;
    /// let qwen = Model::from_config(&config)?;
    /// // 100 frames a second, every other one a position, and two of those a token.
    /// assert_eq!(qwen.heard(&[Clip::new(12.0)?])?[0].tokens, 300);
    /// # Ok::<(), flopmeter::Error>(())
    /// ```
    pub fn heard(&self, clips: &[Clip]) -> Result<Vec<Heard>> {
        let Some(longest) = clips.iter().max_by_key(|clip| clip.samples(1 << 24)) else {
            return Ok(Vec::new());
        };
        match &self.extractor {
            Some(extractor) => {
                clips.iter().map(|clip| extractor.hear_among(*clip, *longest)).collect()
            }
            None => Err(self.hears_not(*longest)),
        }
    }

    fn hears_not(&self, clip: Clip) -> Error {
        let fact = match self.hears_uncounted {
            true => format!("`{clip}` is given to a model whose audio tower is not counted yet"),
            false => format!("`{clip}` is given to a model that hears nothing"),
        };
        Error::new(ErrorKind::Workload, "audio", fact)
            .hint("the reference page `architectures` lists the types whose audio tower is counted")
    }
}
