//! Which modules a quantisation means, or leaves out.

use super::unknown;
use crate::error::{Result, shown};
use regex_lite::{Regex, RegexBuilder};
use std::collections::HashSet;

/// Which modules a scheme means: by name, by glob or by regular expression.
#[derive(Debug, Clone, Default)]
pub(super) struct Modules {
    every_linear: bool,
    names: HashSet<String>,
    patterns: Vec<Regex>,
    /// The length of all patterns as they are written.
    expressions: usize,
}

impl Modules {
    pub fn every_linear() -> Self {
        Self { every_linear: true, ..Self::default() }
    }

    pub fn named(names: &[&str]) -> Result<Self> {
        let mut modules = Self::default();
        names.iter().try_for_each(|name| modules.add(name))?;
        Ok(modules)
    }

    pub fn add(&mut self, name: &str) -> Result<()> {
        if name == "Linear" {
            self.every_linear = true;
            return Ok(());
        }
        let expression = match name.strip_prefix("re:") {
            Some(expression) => format!("^(?:{expression})"),
            None if name.contains('*') => {
                let escaped = regex_lite::escape(below_model(name)).replace(r"\*", ".*");
                format!(r"(?:^|\.){escaped}(?:$|\.)")
            }
            None => {
                self.names.insert(below_model(name).trim_end_matches('.').to_owned());
                return Ok(());
            }
        };
        // No real expression counts its repetitions: a large program from a short one is an attack.
        let size = 4096 + 64 * expression.len();
        let pattern = RegexBuilder::new(&expression).size_limit(size).build().map_err(|error| {
            unknown("ignore", &format!("has the expression \"{}\": {error}", shown(name)))
        })?;
        self.expressions += expression.len();
        self.patterns.push(pattern);
        Ok(())
    }

    /// Whether every linear layer is meant, whatever its name.
    pub fn means_every_linear(&self) -> bool {
        self.every_linear
    }

    /// Whether no module is meant.
    pub fn is_empty(&self) -> bool {
        !self.every_linear && self.names.is_empty() && self.patterns.is_empty()
    }

    /// How much work it is to look a module up: the length of all expressions together.
    pub fn expressions(&self) -> usize {
        self.expressions
    }

    /// Whether the module at a path, or one that holds it, is meant: a name stands for itself wherever
    /// it is in the path, so `lm_head`, `mlp.gate` and `layers.3.self_attn` all do.
    pub fn cover(&self, path: &str) -> bool {
        if self.every_linear {
            return true;
        }
        let named = || {
            let starts = std::iter::once(0).chain(path.match_indices('.').map(|(at, _)| at + 1));
            starts.into_iter().any(|start| {
                let tail = &path[start..];
                let ends = tail.match_indices('.').map(|(at, _)| at);
                ends.chain(std::iter::once(tail.len())).any(|end| self.names.contains(&tail[..end]))
            })
        };
        (!self.names.is_empty() && named())
            || self.patterns.iter().any(|pattern| pattern.is_match(path))
    }
}

/// A module's name from `layers.` on: checkpoints put different prefixes before it.
///
/// A name in another tower keeps its prefix and so never means a layer of the text part.
fn below_model(name: &str) -> &str {
    const OTHER_TOWERS: [&str; 4] = ["vision", "visual", "image", "audio"];
    match name.find("layers.") {
        Some(at) if !OTHER_TOWERS.iter().any(|tower| name[..at].contains(tower)) => &name[at..],
        _ => name,
    }
}
