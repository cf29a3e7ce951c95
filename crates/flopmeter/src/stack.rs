//! Layers that run once before the prefill: an encoder. And what a request then is to the decoder.

use crate::audio::Hears;
use crate::component::Component;
use crate::convention::Rule;
use crate::error::{Error, ErrorKind, Result};
use crate::image::Seen;
use crate::model::{Group, Model};
use crate::perception::Load;
use crate::sums::Sums;
use crate::workload::{Run, Sequence, Workload};
use std::borrow::Cow;

/// Groups of layers that run in one pass before the prefill, over positions of their own.
///
/// An encoder is one stack; where its positions get fewer on the way, it is one for each number of them.
#[derive(Debug, Clone)]
pub struct Stack {
    name: &'static str,
    component: Component,
    reads: Reads,
    groups: Vec<Group>,
    pub(crate) sums: Sums,
}

/// What a stack reads: how many positions its pass has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reads {
    /// The tokens of the request's prompt.
    Prompt,
    /// As many positions whatever is asked: a window of sound that is filled up.
    Window(u64),
    /// What the images of the prompt are cut into.
    Images(Seen),
    /// What the clips of the prompt become.
    Audio(Hears),
}

impl From<Seen> for Reads {
    fn from(seen: Seen) -> Self {
        Self::Images(seen)
    }
}

impl From<Hears> for Reads {
    fn from(hears: Hears) -> Self {
        Self::Audio(hears)
    }
}

impl Reads {
    /// Positions of a pass for a prompt of so many tokens.
    pub const fn rows(self, prompt: u64) -> u64 {
        match self {
            Self::Prompt => prompt,
            Self::Window(rows) => rows,
            Self::Images(_) | Self::Audio(_) => 0,
        }
    }

    /// What the pairs of a tower's rows are a sum of, in words.
    pub(crate) fn pairs_in_words(self, rule: Rule) -> &'static str {
        match self {
            Self::Images(seen) => seen.pairs_in_words(rule),
            Self::Audio(hears) => hears.pairs_in_words(),
            Self::Prompt | Self::Window(_) => "rows²",
        }
    }
}

impl Stack {
    /// `None` if a sum does not fit 128 bits.
    pub(crate) fn new(
        name: &'static str,
        component: Component,
        reads: Reads,
        groups: Vec<Group>,
    ) -> Option<Self> {
        let sums = Sums::of(&groups)?;
        Some(Self { name, component, reads, groups, sums })
    }

    /// The same with other groups, `None` if a sum does not fit 128 bits.
    pub(crate) fn with_groups(&self, groups: Vec<Group>) -> Option<Self> {
        Self::new(self.name, self.component, self.reads, groups)
    }

    /// What it is called in an explanation.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What all of its FLOPs are counted under.
    pub fn component(&self) -> Component {
        self.component
    }

    /// What it reads.
    pub fn reads(&self) -> Reads {
        self.reads
    }

    /// Groups of equal layers, in the order of its pass.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    pub(crate) fn groups_mut(&mut self) -> &mut [Group] {
        &mut self.groups
    }

    /// Adds up anew what has changed how it is stored. Sums of other widths that do not fit stay as they were.
    pub(crate) fn add_up(&mut self) {
        if let Some(sums) = Sums::of(&self.groups) {
            self.sums = sums;
        }
    }

    /// Its pass for a sequence, `None` where it does not run: after the first pass over a sequence the cache has what
    /// it gives.
    pub(crate) fn run(&self, sequence: &Sequence, source: u64) -> Option<Run> {
        let rows = self.reads.rows(source);
        (sequence.cached == 0 && sequence.prompt > 0 && rows > 0).then(|| Run::once(rows))
    }

    /// What the images or the clips of each prompt of a workload are to it, `None` where it perceives none.
    ///
    /// The inner `None` is for a sum that does not fit 128 bits.
    pub(crate) fn perceived(&self, workload: &Workload, rule: Rule) -> Option<Option<Load>> {
        match self.reads {
            Reads::Images(seen) => Some(seen.load(workload.cuts(), workload.batch_size(), rule)),
            Reads::Audio(hears) => Some(hears.load(workload.heard(), rule)),
            Reads::Prompt | Reads::Window(_) => None,
        }
    }
}

impl Model {
    /// What runs once before the prefill, in order; nothing in a decoder alone.
    pub fn stacks(&self) -> &[Stack] {
        &self.stacks
    }

    /// Tokens that the decoder of an encoder-decoder starts from in a request; `None` where there is no encoder or it
    /// reads no prompt, for then the prompt is the decoder's.
    ///
    /// ```
    /// use flopmeter::{Builtin, Workload};
    ///
    /// let llama = Builtin::find("meta-llama/Llama-3.1-8B")?.model()?;
    /// assert_eq!(llama.decoder_prompt(&Workload::request(1024, 256)), None);
    /// # Ok::<(), flopmeter::Error>(())
    /// ```
    pub fn decoder_prompt(&self, workload: &Workload) -> Option<u64> {
        let reads_prompt = self.stacks.iter().any(|stack| stack.reads == Reads::Prompt);
        // One that labels a text reads it on both sides.
        (reads_prompt && !self.encodes_only()).then(|| workload.decoder_prompt().unwrap_or(1))
    }

    /// Requests as the main stack runs them: an encoder-decoder's with the decoder's prompt and their source.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Workload`] for what an encoder cannot do: begin in the middle of its prompt, or generate;
    /// [`ErrorKind::Convention`] for a rule by which the model is not counted.
    pub(crate) fn requests<'w>(
        &self,
        workload: &'w Workload,
        rule: Rule,
    ) -> Result<Cow<'w, Workload>> {
        self.check_rule(rule)?;
        if self.only_decodes() && !workload.is_perceived() && workload.decoder_prompt().is_none() {
            return Ok(Cow::Borrowed(workload));
        }
        self.requests_of_encoder(workload, rule)
    }

    /// Whether a request of text is a decoder's alone, each token of which sees what its mask says.
    pub(crate) fn only_decodes(&self) -> bool {
        // A tower for which there is nothing has nothing to do.
        self.generates()
            && (self.stacks.is_empty() || (self.perceives() && !self.listens()))
            && !self.sees_prompt_whole()
    }

    #[cold] // A decoder alone should not pay for it.
    fn requests_of_encoder<'w>(
        &self,
        workload: &'w Workload,
        rule: Rule,
    ) -> Result<Cow<'w, Workload>> {
        let wrong = |what: &str, fact: String, hint: &str| {
            Err(Error::new(ErrorKind::Workload, what, fact).hint(hint))
        };
        let sequences = || workload.sequences().iter();
        let decoder_prompt = self.decoder_prompt(workload);
        if decoder_prompt.is_none()
            && let Some(tokens) = workload.decoder_prompt()
        {
            let fact = format!("is {tokens}, and no encoder of this model reads the prompt");
            return wrong("decoder prompt", fact, "leave it out: the prompt is the decoder's");
        }
        let reads_whole = self.encodes_only() || decoder_prompt.is_some();
        if (reads_whole || self.sees_prompt_whole())
            && let Some(Sequence { cached, .. }) = sequences().find(|it| it.cached > 0)
        {
            let reader = if reads_whole { "an encoder reads its" } else { "this model sees a" };
            let fact = format!("is {cached}, and {reader} prompt whole");
            return wrong("cached", fact, "what it makes of a token depends on those after it");
        }
        if !self.generates()
            && let Some(Sequence { generate, .. }) = sequences().find(|it| it.generate > 1)
        {
            let who = if self.encodes_only() { "an encoder" } else { "a class without a head" };
            let fact = format!("is {generate}, and {who} generates nothing");
            return wrong("generate", fact, "leave it out: it is one pass over the prompt");
        }
        let reads_windows = self.stacks.iter().any(|it| matches!(it.reads, Reads::Window(_)));
        if self.perceives() || (workload.is_perceived() && !reads_windows) {
            let perceiving = self.perceiving(workload, rule)?;
            return Ok(match self.sees_prompt_whole() {
                true => Cow::Owned(perceiving.into_owned().seen_whole()),
                false => perceiving,
            });
        }
        if reads_windows {
            self.cuts(workload.images())?;
            self.check_window(workload)?;
        }
        let Some(last) = self.stacks.last() else { return Ok(Cow::Borrowed(workload)) };
        let decoded = workload.decoded(decoder_prompt, |prompt| last.reads.rows(prompt));
        if decoded.sequences().iter().any(|sequence| sequence.prompt == 0) {
            let what = if decoder_prompt.is_some() { "decoder prompt" } else { "prompt" };
            let hint = "a decoder that attends to an encoder starts from a token at least";
            return wrong(what, "is 0".into(), hint);
        }
        Ok(Cow::Owned(decoded))
    }

    /// Whether the clips of a request are what an encoder of windows reads: one, no longer than a window.
    fn check_window(&self, workload: &Workload) -> Result<()> {
        let longest = self.extractor.and_then(|extractor| extractor.longest_seconds());
        let (Some(longest), [first, others @ ..]) = (longest, workload.audio()) else {
            return Ok(());
        };
        if others.is_empty() && first.seconds() <= longest {
            return Ok(());
        }
        let fact = match others.len() {
            0 => format!("is `{first}`, and the encoder reads a window of {longest} s"),
            more => format!("is {} clips, and the encoder reads one window", more + 1),
        };
        Err(Error::new(ErrorKind::Workload, "audio", fact)
            .hint("a longer recording is a request for each window: a batch of them"))
    }
}
