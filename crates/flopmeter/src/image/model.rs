//! What a model makes of the images of a request.

use super::{Cut, Image, Processor};
use crate::error::{Error, ErrorKind, Result};
use crate::model::Model;

impl Model {
    /// How the model cuts images, `None` where it sees none or its tower is not counted.
    pub fn processor(&self) -> Option<&Processor> {
        self.processor.as_ref()
    }

    /// What becomes of an image: tiles, patches, and the tokens that it adds to a prompt.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Workload`] for a model that sees no images, or an image that its processor refuses.
    ///
    /// # Example
    ///
    /// ```
    /// use flopmeter::{Config, Model, image::Image};
    ///
    /// let config = Config::parse(
    ///     r#"{"model_type": "llava", "vision_config": {"model_type": "clip_vision_model", "image_size": 336,
    ///             "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24,
    ///             "num_attention_heads": 16, "patch_size": 14},
    ///         "text_config": {"model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 32,
    ///             "num_attention_heads": 32, "intermediate_size": 11008, "vocab_size": 32064}}"#,
    /// )?;
    /// let llava = Model::from_config(&config)?;
    /// // 336 ÷ 14 = 24 patches a side, whatever the image.
    /// assert_eq!(llava.cut(Image::new(1280, 720)?)?.tokens, 24 * 24);
    /// # Ok::<(), flopmeter::Error>(())
    /// ```
    pub fn cut(&self, image: Image) -> Result<Cut> {
        self.cut_among(image, 1)
    }

    /// What becomes of several images of one prompt.
    ///
    /// # Errors
    ///
    /// As [`cut`](Self::cut).
    pub fn cuts(&self, images: &[Image]) -> Result<Vec<Cut>> {
        images.iter().map(|image| self.cut_among(*image, images.len())).collect()
    }

    fn cut_among(&self, image: Image, images: usize) -> Result<Cut> {
        match &self.processor {
            Some(processor) => processor.cut_among(image, images),
            None => Err(Error::new(
                ErrorKind::Workload,
                "images",
                format!("`{image}` is given to a model of which only text is counted"),
            )
            .hint(
                "the reference page `architectures` lists the types whose vision tower is counted",
            )),
        }
    }
}
