//! What is asked of a model: sequences, never averages of them.

mod run;
mod sequence;

pub use run::Phase;
pub(crate) use run::Run;
pub use sequence::Sequence;

use crate::audio::{Clip, Heard};
use crate::error::{Error, ErrorKind, Result};
use crate::few::Few;
use crate::image::{Ahead, Cut, Image};

/// The most images of a prompt, and the most clips.
const MOST_IMAGES: usize = 4096;

/// A batch of requests that run together.
///
/// A request with p prompt tokens, c of them cached, that generates g is one prefill pass over p − c
/// tokens, then g − 1 decode passes of one: the last token is never fed back. Without a KV cache each of
/// the g passes computes everything before it anew.
///
/// # Example
///
/// ```
/// use flopmeter::{Sequence, Workload};
///
/// let request = Workload::request(1024, 256);
/// assert_eq!(request.sequences(), &[Sequence::new(1024, 256)]);
/// let mixed = Workload::batch(vec![Sequence::new(1024, 256), Sequence::new(8000, 20)])?;
/// assert_eq!(mixed.sequences().len(), 2);
/// # Ok::<(), flopmeter::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workload {
    sequences: Few<Sequence>,
    kv_cache: bool,
    /// Whether the head runs for every token of the prompt.
    scored: bool,
    decoder_prompt: Option<u64>,
    /// Positions that each sequence attends to beside its own, where a model has an encoder.
    sources: Few<u64>,
    /// What a prompt has besides text. Most have nothing, and are small to carry.
    perceived: Option<Box<Perceived>>,
    /// Whether every token of a prompt sees all of it.
    whole_prompts: bool,
}

/// Images and clips of sound.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Perceived {
    /// The images of each prompt.
    images: Vec<Image>,
    /// What a model makes of them, equal ones together with their number.
    cuts: Vec<(Cut, u64)>,
    /// The clips of each prompt.
    audio: Vec<Clip>,
    /// What a model makes of them, equal ones together with their number.
    heard: Vec<(Heard, u64)>,
    /// Pairs of a token of an image and one after it that it sees, in each prompt: in all layers, and in those with a
    /// window besides.
    ahead: [u64; 2],
}

impl Workload {
    /// One request with a KV cache, nothing of it cached before.
    pub fn request(prompt: u64, generate: u64) -> Self {
        Self::of(Few::One(Sequence::new(prompt, generate)))
    }

    /// Requests that run together.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Workload`] if there is none, one is there zero times, or one has more cached than
    /// its prompt.
    pub fn batch(sequences: Vec<Sequence>) -> Result<Self> {
        if sequences.is_empty() {
            return Err(Error::new(ErrorKind::Workload, "batch", "has no sequence"));
        }
        for sequence in &sequences {
            if sequence.count == 0 {
                return Err(Error::new(ErrorKind::Workload, "batch", "is 0")
                    .hint("a batch has at least one sequence"));
            }
            if sequence.cached > sequence.prompt {
                return Err(Error::new(
                    ErrorKind::Workload,
                    "cached",
                    format!(
                        "is {}, more than the prompt's {} tokens",
                        sequence.cached, sequence.prompt
                    ),
                )
                .hint("the prompt counts every token, cached ones included"));
            }
        }
        Ok(Self::of(Few::Any(sequences)))
    }

    fn of(sequences: Few<Sequence>) -> Self {
        Self {
            sequences,
            kv_cache: true,
            scored: false,
            decoder_prompt: None,
            sources: Few::NONE,
            perceived: None,
            whole_prompts: false,
        }
    }

    /// The same requests of an encoder-decoder whose decoder starts from `tokens` each.
    ///
    /// What such a model's encoder reads is the request's prompt. Its decoder starts from one token if nothing else
    /// is said, and the prefill is its pass over these.
    ///
    /// ```
    /// use flopmeter::Workload;
    ///
    /// let translation = Workload::request(40, 30).with_decoder_prompt(2);
    /// assert_eq!(translation.decoder_prompt(), Some(2));
    /// ```
    #[must_use]
    pub fn with_decoder_prompt(mut self, tokens: u64) -> Self {
        self.decoder_prompt = Some(tokens);
        self
    }

    /// What one of some replicas has of them: each kind of sequence is shared out evenly.
    pub(crate) fn share(&self, replicas: u64) -> Result<Self> {
        let mut share = self.clone();
        for sequence in &mut *share.sequences {
            if !sequence.count.is_multiple_of(replicas) {
                let fact =
                    format!("{} sequences cannot be shared evenly by {replicas}", sequence.count);
                let nearest = sequence.count.div_ceil(replicas).saturating_mul(replicas);
                return Err(Error::new(ErrorKind::Parallelism, "data", fact)
                    .hint(format!("a batch of {nearest} can")));
            }
            sequence.count /= replicas;
        }
        Ok(share)
    }

    /// What one of some ranks that share each prompt has of them, counted from 0: of 2·ranks equal pieces of its new
    /// tokens the one as far from the first as the other is from the last. Each piece sees what is before it. The first
    /// token is sampled once, and what follows each rank computes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Parallelism`] for tokens that cannot be cut so, and for requests that are more than tokens or that
    /// keep nothing.
    pub(crate) fn piece(&self, rank: u64, ranks: u64) -> Result<Self> {
        let wrong = |fact: &str| Err(Error::new(ErrorKind::Parallelism, "context", fact));
        if self.is_perceived() {
            return wrong("is not known here for prompts with images or sound");
        }
        if !self.kv_cache {
            return wrong("is not known here without a KV cache");
        }
        let mut pieces = Vec::with_capacity(3 * self.sequences.len());
        for sequence in &*self.sequences {
            let Sequence { prompt, cached, generate, .. } = *sequence;
            let length = crate::parallelism::pieces(prompt - cached, ranks)?;
            let mut add = |piece: u64, generate: u64| {
                let cached = cached + piece * length;
                pieces.push(Sequence { prompt: cached + length, cached, generate, ..*sequence });
            };
            add(rank, 0);
            add(2 * ranks - 1 - rank, generate.min(1));
            if generate > 1 {
                pieces.push(Sequence { cached: prompt, ..*sequence });
            }
        }
        Ok(Self { sequences: Few::Any(pieces), ..self.clone() })
    }

    /// As many of each kind of sequence, whatever their number was; `None` if they are of several kinds.
    pub(crate) fn alone_times(&self, count: u64) -> Option<Self> {
        let mut many = self.clone();
        match &mut *many.sequences {
            [sequence] => sequence.count = count,
            _ => return None,
        }
        Some(many)
    }

    /// The same sequences with prompts of so many tokens; `None` if they are of several kinds.
    pub(crate) fn alone_prompted(&self, prompt: u64) -> Option<Self> {
        let mut other = self.clone();
        match &mut *other.sequences {
            [sequence] => {
                (sequence.prompt, sequence.cached) = (prompt, sequence.cached.min(prompt))
            }
            _ => return None,
        }
        Some(other)
    }

    /// Which sequence has the longest prompt, the first of them, and its tokens.
    pub(crate) fn longest(&self) -> (usize, u64) {
        let prompts = self.sequences.iter().map(|sequence| sequence.prompt).enumerate();
        prompts.rev().max_by_key(|(_, prompt)| *prompt).unwrap_or_default()
    }

    /// The tokens that a decoder starts from, if they were said.
    pub fn decoder_prompt(&self) -> Option<u64> {
        self.decoder_prompt
    }

    /// The same requests as a decoder sees them that attends to what `sources` give: with prompts of its own.
    pub(crate) fn decoded(&self, decoder_prompt: Option<u64>, source: impl Fn(u64) -> u64) -> Self {
        let sequences = self.sequences.iter().map(|sequence| Sequence {
            prompt: decoder_prompt.unwrap_or(sequence.prompt),
            ..*sequence
        });
        let sources = self.sequences.iter().map(|sequence| source(sequence.prompt)).collect();
        Self { sequences: sequences.collect(), sources, perceived: None, ..*self }
    }

    /// The same requests with these images in each prompt, beside the prompt's tokens of text.
    ///
    /// Each image adds tokens of its own to the prompt, as the model's processor makes them of it; a cached prefix is
    /// before them, and holds none. The tower sees them once, with a KV cache or without.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Workload`] for more than 4096 images.
    ///
    /// ```
    /// use flopmeter::{Workload, image::Image};
    ///
    /// let request = Workload::request(20, 100).with_images(vec![Image::new(1280, 720)?])?;
    /// assert_eq!(request.images().len(), 1);
    /// # Ok::<(), flopmeter::Error>(())
    /// ```
    pub fn with_images(mut self, images: Vec<Image>) -> Result<Self> {
        if images.len() > MOST_IMAGES {
            let fact = format!("are {}; a prompt has at most {MOST_IMAGES}", images.len());
            return Err(Error::new(ErrorKind::Workload, "images", fact));
        }
        if !images.is_empty() || self.perceived.is_some() {
            self.perceived.get_or_insert_default().images = images;
        }
        Ok(self)
    }

    /// The same requests with these clips of sound in each prompt, beside the prompt's tokens of text.
    ///
    /// As with images: each adds tokens of its own, behind a cached prefix, and the tower hears them once.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Workload`] for more than 4096 clips.
    ///
    /// ```
    /// use flopmeter::{Workload, audio::Clip};
    ///
    /// let request = Workload::request(20, 100).with_audio(vec![Clip::new(12.5)?])?;
    /// assert_eq!(request.audio().len(), 1);
    /// # Ok::<(), flopmeter::Error>(())
    /// ```
    pub fn with_audio(mut self, audio: Vec<Clip>) -> Result<Self> {
        if audio.len() > MOST_IMAGES {
            let fact = format!("is {} clips; a prompt has at most {MOST_IMAGES}", audio.len());
            return Err(Error::new(ErrorKind::Workload, "audio", fact));
        }
        if !audio.is_empty() || self.perceived.is_some() {
            self.perceived.get_or_insert_default().audio = audio;
        }
        Ok(self)
    }

    /// The clips of each prompt.
    pub fn audio(&self) -> &[Clip] {
        self.perceived.as_deref().map_or(&[], |it| &it.audio)
    }

    /// What a model made of them.
    pub(crate) fn heard(&self) -> &[(Heard, u64)] {
        self.perceived.as_deref().map_or(&[], |it| &it.heard)
    }

    /// Whether a prompt has more than text.
    pub fn is_perceived(&self) -> bool {
        !self.images().is_empty() || !self.audio().is_empty()
    }

    /// Whether a model made something of images or clips.
    pub(crate) fn was_perceived(&self) -> bool {
        !self.cuts().is_empty() || !self.heard().is_empty()
    }

    /// The images of each prompt.
    pub fn images(&self) -> &[Image] {
        self.perceived.as_deref().map_or(&[], |it| &it.images)
    }

    /// What a model made of them.
    pub(crate) fn cuts(&self) -> &[(Cut, u64)] {
        self.perceived.as_deref().map_or(&[], |it| &it.cuts)
    }

    /// The same requests as a model runs them that makes `cuts` of their images and `heard` of their clips, each with
    /// its number: their tokens are in each prompt, and layers attend to `source` positions. `None` if a prompt does not
    /// fit.
    pub(crate) fn perceiving(
        &self,
        source: u64,
        cuts: Vec<(Cut, u64)>,
        heard: Vec<(Heard, u64)>,
    ) -> Option<Self> {
        let (mut tokens, mut ahead) = (0_u64, [0_u64; 2]);
        for (cut, count) in &cuts {
            tokens = tokens.checked_add(cut.tokens.checked_mul(*count)?)?;
            let layers = match cut.ahead {
                Ahead::Never => continue,
                Ahead::Always => &mut ahead[0],
                Ahead::InWindows => &mut ahead[1],
            };
            *layers = layers.checked_add(cut.pairs_ahead().checked_mul(*count)?)?;
        }
        for (heard, count) in &heard {
            tokens = tokens.checked_add(heard.tokens.checked_mul(*count)?)?;
        }
        let mut sequences = self.sequences.clone();
        for sequence in &mut *sequences {
            sequence.prompt = sequence.prompt.checked_add(tokens)?;
        }
        let sources = sequences.iter().map(|_| source).collect();
        let perceived = Perceived { cuts, heard, ahead, ..Perceived::default() };
        let perceived = Some(Box::new(perceived));
        let perceiving = Self { sequences, sources, perceived, ..*self };
        perceiving.numbered().map(|()| perceiving)
    }

    /// The same requests with the head on every token of the prompt, as a loss over all of them needs it.
    #[must_use]
    pub(crate) fn scored(mut self) -> Self {
        self.scored = true;
        self
    }

    /// The same requests without a KV cache.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Workload`] if part of a prompt is cached.
    pub fn without_kv_cache(mut self) -> Result<Self> {
        if let Some(sequence) = self.sequences.iter().find(|sequence| sequence.cached > 0) {
            return Err(Error::new(
                ErrorKind::Workload,
                "cached",
                format!("is {}, but there is no KV cache", sequence.cached),
            )
            .hint("leave one of the two out"));
        }
        self.kv_cache = false;
        Ok(self)
    }

    /// The requests.
    pub fn sequences(&self) -> &[Sequence] {
        &self.sequences
    }

    /// The same requests, every token of a prompt seeing all of it.
    pub(crate) fn seen_whole(mut self) -> Self {
        self.whole_prompts = true;
        self
    }

    /// The requests, each with the number of positions of its source.
    pub(crate) fn with_sources(&self) -> impl Iterator<Item = (&Sequence, u64)> {
        let source = |at: usize| self.sources.get(at).copied().unwrap_or(0);
        self.sequences.iter().enumerate().map(move |(at, sequence)| (sequence, source(at)))
    }

    /// Whether keys and values are kept.
    pub fn kv_cache(&self) -> bool {
        self.kv_cache
    }

    /// Number of requests.
    pub fn batch_size(&self) -> u128 {
        self.sequences.iter().map(|sequence| u128::from(sequence.count)).sum()
    }

    /// Whether every position has a number of 64 bits; where one has not, a count would be wrong.
    pub(crate) fn numbered(&self) -> Option<()> {
        self.sequences.iter().all(|sequence| sequence.end().is_some()).then_some(())
    }

    /// The request, where there is one alone, of text, with a cache, and with nothing that others have beside.
    pub(crate) fn alone(&self) -> Option<&Sequence> {
        let [sequence] = &*self.sequences else { return None };
        let plain = self.kv_cache && !self.scored && !self.whole_prompts;
        let text = self.perceived.is_none() && self.sources.is_empty();
        (plain && text && sequence.count == 1).then_some(sequence)
    }
}
