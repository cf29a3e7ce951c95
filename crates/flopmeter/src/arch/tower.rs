//! Towers before a text part: what sees or hears, and what puts its vectors into the text part's width.

use super::parts::{Heads, note_other_parts, note_parts_beside};
use super::{audio, vision};
use crate::component::Component;
use crate::config::Config;
use crate::error::{ErrorKind, Result};
use crate::image::Processor;
use crate::model::{Builder, Model};
use crate::op::Op;
use crate::stack::{Reads, Stack};

/// A tower that is being put together.
pub(super) struct Tower<'c> {
    /// The config of the whole.
    pub whole: &'c Config,
    /// What it says of the tower.
    pub config: Config,
    /// The width of the text part.
    pub text_width: u64,
    component: Component,
    builder: Builder<'c>,
}

impl Tower<'_> {
    /// Layers over what an image or a clip becomes; `path` is where their modules are.
    pub fn stack(
        &mut self,
        name: &'static str,
        path: &'static str,
        reads: impl Into<Reads>,
        fill: impl FnOnce(&mut Builder<'_>) -> Result<()>,
    ) -> Result<()> {
        self.builder.stack((name, path), self.component, reads.into(), fill)
    }

    /// Ops over what an image or a clip becomes, once.
    pub fn once(
        &mut self,
        name: &'static str,
        reads: impl Into<Reads>,
        ops: impl IntoIterator<Item = Op>,
    ) -> Result<()> {
        self.stack(name, "", reads, |builder| {
            builder.once(name, ops);
            Ok(())
        })
    }

    /// What preprocessor_config.json states, as far as it is at hand.
    pub fn processor(&self, class: &str) -> Result<Config> {
        self.whole.preprocessor(class)
    }
}

/// Heads that cut the tower's width into equal shares.
pub(super) fn heads(c: &Config, width: u64, count: u64) -> Result<Heads> {
    if !width.is_multiple_of(count) {
        let fact = format!("is {width}, which {count} heads do not divide evenly");
        return Err(c.contradiction("hidden_size", &fact));
    }
    Ok(Heads { query: count, kv: count, dim: width / count })
}

/// What is known of a tower of a config.
pub(super) enum Found<'c, P> {
    /// It is counted: its part's key, itself, and how the model makes rows for it.
    Counted(&'static str, Box<Tower<'c>>, P),
    /// It is not, and a note says why.
    Noted,
    /// The type has none that is counted.
    Unknown,
}

impl<P> Found<'_, P> {
    fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown)
    }
}

/// The tower that `build` makes of the part `key` of a config.
pub(super) fn found<'c, P>(
    c: &'c Config,
    key: &'static str,
    component: Component,
    text_width: u64,
    build: impl FnOnce(&mut Tower<'_>) -> Result<P>,
) -> Result<Found<'c, P>> {
    if !c.has(key) {
        c.note(format!("`{key}` is absent: only the text part is counted"));
        return Ok(Found::Noted);
    }
    let config = c.part(key)?;
    let mut tower = Tower { whole: c, config, text_width, component, builder: Builder::apart(c)? };
    match build(&mut tower) {
        Ok(made) => Ok(Found::Counted(key, Box::new(tower), made)),
        // A tower that is not known leaves a text part that is.
        Err(error) if error.kind() == ErrorKind::Architecture => {
            c.note(format!("only the text part is counted: {} {}", error.place(), error.fact()));
            Ok(Found::Noted)
        }
        Err(error) => Err(error),
    }
}

/// A model that is a tower which sees, and nothing beside it.
pub(super) fn alone(
    c: &Config,
    build: impl FnOnce(&mut Tower<'_>) -> Result<Processor>,
) -> Result<Model> {
    let builder = Builder::new(c)?;
    let component = Component::Vision;
    let mut tower = Tower { whole: c, config: c.clone(), text_width: 0, component, builder };
    let processor = build(&mut tower)?;
    c.take_over(&tower.config);
    let stacks = tower.builder.into_stacks();
    Builder::new(c)?.part()?.with_tower_alone(stacks, Some(processor))
}

/// A text part with the towers before it that the whole config describes, as far as they are counted; a note says what
/// is left out.
pub(super) fn with_towers(c: &Config, text: Model) -> Result<Model> {
    let seeing = vision::tower(c, text.width())?;
    let hearing = audio::tower(c, text.width())?;
    if seeing.is_unknown() && hearing.is_unknown() {
        note_other_parts(c);
    }
    let mut parts = Parts::default();
    let processor = parts.take(seeing);
    let extractor = parts.take(hearing);
    if parts.keys.is_empty() {
        return Ok(text.part_of(c));
    }
    note_parts_beside(c, &parts.keys);
    let mut model = text.with_towers(parts.stacks, processor, extractor, c)?;
    for config in &parts.configs {
        model = model.part_of(config);
    }
    Ok(model.part_of(c))
}

/// What the towers of a model come to.
#[derive(Default)]
struct Parts {
    keys: Vec<&'static str>,
    configs: Vec<Config>,
    stacks: Vec<Stack>,
}

impl Parts {
    fn take<P>(&mut self, found: Found<'_, P>) -> Option<P> {
        let Found::Counted(key, tower, made) = found else { return None };
        let Tower { config, builder, .. } = *tower;
        self.keys.push(key);
        self.configs.push(config);
        self.stacks.extend(builder.into_stacks());
        Some(made)
    }
}
