//! What a model makes of the images of a request.

use super::{Cut, Image, Processor};
use crate::convention::Rule;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Model, too_large};
use crate::workload::Workload;
use std::borrow::Cow;

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

    /// A workload's requests with the tokens of their images in the prompts.
    pub(crate) fn with_images<'w>(
        &self,
        workload: &'w Workload,
        rule: Rule,
    ) -> Result<Cow<'w, Workload>> {
        let mut cuts: Vec<(Cut, u64)> = Vec::new();
        let mut source = 0_u64;
        for cut in self.cuts(workload.images())? {
            let attended = self.processor.as_ref().map_or(0, |it| it.attended(&cut, rule));
            source = source.checked_add(attended).ok_or_else(too_large)?;
            match cuts.iter_mut().find(|(known, _)| *known == cut) {
                Some((_, count)) => *count += 1,
                None => cuts.push((cut, 1)),
            }
        }
        if cuts.is_empty() {
            return Ok(Cow::Borrowed(workload));
        }
        if let Some(sequence) = workload.sequences().iter().find(|it| it.cached > 0 && source > 0) {
            let fact = format!(
                "is {}, before images that every layer of attention to them sees anew",
                sequence.cached
            );
            return Err(
                Error::new(ErrorKind::Workload, "cached", fact).hint("leave one of the two out")
            );
        }
        workload.seeing(source, cuts).map(Cow::Owned).ok_or_else(too_large)
    }
}
