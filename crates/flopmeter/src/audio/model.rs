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

#[cfg(test)]
mod tests {
    use super::Clip;
    use crate::{Config, Model};

    fn refused(config: &str) -> String {
        let model = Model::from_config(&Config::parse(config).expect("JSON")).expect("a model");
        let clip = Clip::new(12.5).expect("a clip");
        model.heard(&[clip]).expect_err("no tower").to_string()
    }

    #[test]
    fn a_tower_that_is_not_counted_is_told_from_none() {
        let text = r#""hidden_size": 60, "num_hidden_layers": 1, "num_attention_heads": 6,
            "num_key_value_heads": 3, "intermediate_size": 92, "vocab_size": 131"#;
        let hint =
            "the reference page `architectures` lists the types whose audio tower is counted";
        assert_eq!(
            refused(&format!(r#"{{"model_type": "llama", {text}}}"#)),
            format!("audio: `12.5 s` is given to a model that hears nothing; {hint}")
        );
        let uncounted = format!(
            "audio: `12.5 s` is given to a model whose audio tower is not counted yet; {hint}"
        );
        let granite = format!(
            r#"{{"model_type": "granite_speech", "encoder_config": {{}},
                "text_config": {{"model_type": "granite", {text}}}}}"#
        );
        assert_eq!(refused(&granite), uncounted);
        let phi = format!(r#"{{"model_type": "phi4_multimodal", "audio_config": {{}}, {text}}}"#);
        assert_eq!(refused(&phi), uncounted);
    }

    #[test]
    fn a_shorter_clip_beside_a_longer_one_has_the_frame_that_it_ends_in() {
        let config = r#"{"model_type": "qwen3_asr", "audio_config": {}, "text_config": {
            "model_type": "qwen3", "hidden_size": 60, "num_hidden_layers": 1, "num_attention_heads": 6,
            "num_key_value_heads": 3, "head_dim": 10, "intermediate_size": 92, "vocab_size": 131}}"#;
        let model = Model::from_config(&Config::parse(config).expect("JSON")).expect("a model");
        let frames = |seconds: &[f64]| -> Vec<u64> {
            let clips: Vec<Clip> =
                seconds.iter().map(|seconds| Clip::new(*seconds).expect("a clip")).collect();
            let heard = model.heard(&clips).expect("a tower");
            heard.iter().map(|heard| heard.all_frames()).collect()
        };
        // 0.7005 seconds are 11,208 samples, 70 frames of 160 and a part of one; half a second is the least.
        assert_eq!(frames(&[0.7005]), [70]);
        assert_eq!(frames(&[0.7005, 3.0]), [71, 300]);
        assert_eq!(frames(&[0.1]), [50]);
    }
}
