//! Which modules a quantisation means, or leaves out.

use super::unknown;
use crate::error::{Result, shown};
use foldhash::fast::RandomState;
use memchr::{memchr2_iter, memmem::Finder};
use regex_lite::{Regex, RegexBuilder};
use std::collections::{BTreeSet, HashSet};
use std::iter::once;
use std::ops::Bound;
use std::sync::LazyLock;

/// The most bytes of expressions; real lists have some hundreds.
const MOST_EXPRESSIONS: usize = 1 << 15;

/// Which modules a scheme means: by name, by glob or by regular expression.
#[derive(Debug, Clone, Default)]
pub(super) struct Modules {
    every_linear: bool,
    names: HashSet<String, RandomState>,
    /// Globs whose one `*` is their end, none of which begins another. Files of NVFP4 checkpoints have two
    /// a layer: as expressions they would take longer than everything else together.
    beginnings: BTreeSet<String>,
    patterns: Vec<Regex>,
    /// The length of all patterns as they are written.
    expressions: usize,
    /// Whether a name is of a tower that sees.
    sees: bool,
    /// Whether a name may mean some layers and not others: it has a digit, or is an expression.
    numbered: bool,
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
        self.sees = self.sees || sees(name);
        if name == "Linear" {
            self.every_linear = true;
            return Ok(());
        }
        self.numbered |= name.bytes().any(|byte| byte.is_ascii_digit());
        let beginning = name.strip_suffix('*').filter(|rest| !rest.contains('*'));
        let expression = match name.strip_prefix("re:") {
            Some(expression) => format!("^(?:{expression})"),
            None if beginning.is_some() => {
                self.begin(below_model(beginning.unwrap_or_default()));
                return Ok(());
            }
            None if name.contains('*') => {
                let escaped = regex_lite::escape(below_model(name)).replace(r"\*", ".*");
                format!(r"(?:^|\.){escaped}(?:$|\.)")
            }
            None => {
                self.names.insert(below_model(name).trim_end_matches('.').to_owned());
                return Ok(());
            }
        };
        self.numbered = true;
        self.expressions += expression.len();
        if self.expressions > MOST_EXPRESSIONS {
            let fact = format!(
                "has more than {MOST_EXPRESSIONS} bytes of expressions, too many to look up"
            );
            return Err(unknown("ignore", &fact));
        }
        // No real expression counts its repetitions: a large program from a short one is an attack.
        let size = 4096 + 64 * expression.len();
        let pattern = RegexBuilder::new(&expression).size_limit(size).build().map_err(|error| {
            unknown("ignore", &format!("has the expression \"{}\": {error}", shown(name)))
        })?;
        self.patterns.push(pattern);
        Ok(())
    }

    /// Means whatever begins so, unless a shorter beginning does already.
    fn begin(&mut self, beginning: &str) {
        if self.begins(beginning) {
            return;
        }
        let from = (Bound::Included(beginning), Bound::Unbounded);
        let longer: Vec<String> = self
            .beginnings
            .range::<str, _>(from)
            .take_while(|other| other.starts_with(beginning))
            .cloned()
            .collect();
        longer.iter().for_each(|other| {
            self.beginnings.remove(other);
        });
        self.beginnings.insert(beginning.to_owned());
    }

    /// As no beginning begins another, only the last one that is not above the text can begin it.
    fn begins(&self, text: &str) -> bool {
        let up_to = (Bound::Unbounded, Bound::Included(text));
        self.beginnings
            .range::<str, _>(up_to)
            .next_back()
            .is_some_and(|beginning| text.starts_with(beginning.as_str()))
    }

    /// Whether every linear layer is meant, whatever its name.
    pub fn means_every_linear(&self) -> bool {
        self.every_linear
    }

    /// Whether a tower that sees is meant, or part of one.
    ///
    /// Checkpoints and implementations call its modules by different names: whatever names one stands for all of it.
    pub fn means_tower(&self) -> bool {
        self.sees
    }

    /// Whether no module is meant.
    pub fn is_empty(&self) -> bool {
        !self.every_linear
            && self.names.is_empty()
            && self.beginnings.is_empty()
            && self.patterns.is_empty()
    }

    /// Whether modules of one name may be meant in some layers and not in others.
    pub fn tell_layers_apart(&self) -> bool {
        self.numbered
    }

    /// How much work it is to look a module up: the length of all expressions together.
    pub fn expressions(&self) -> usize {
        self.expressions
    }

    /// Whether a module of these spellings, or one that holds it, is meant.
    pub fn cover(&self, spellings: &[String]) -> bool {
        self.every_linear || self.name(spellings)
    }

    /// Whether it is meant by its name: a name stands for itself wherever it is in the path, so
    /// `lm_head`, `mlp.gate` and `layers.3.self_attn` all do.
    pub fn name(&self, spellings: &[String]) -> bool {
        spellings.iter().any(|path| {
            let mut tails = once(0)
                .chain(path.match_indices('.').map(|(at, _)| at + 1))
                .map(|start| &path[start..]);
            let named = |tail: &str| {
                let ends = tail.match_indices('.').map(|(at, _)| at);
                ends.chain(once(tail.len())).any(|end| self.names.contains(&tail[..end]))
            };
            tails.any(|tail| self.begins(tail) || (!self.names.is_empty() && named(tail)))
                || self.patterns.iter().any(|pattern| pattern.is_match(path))
        })
    }
}

/// A module's path as lists may spell it.
///
/// One op stands for all experts, where checkpoints have a module for each: it is looked up as the first
/// expert as well. Experts are stored alike in every checkpoint that is known. A list that names
/// some of them only is taken as what it says of expert 0, since the op cannot be stored in two ways.
pub(super) fn spellings(path: &str) -> Vec<String> {
    let first_expert = path.contains(".experts.").then(|| path.replace(".experts.", ".experts.0."));
    once(path.to_owned()).chain(first_expert).collect()
}

/// Whether a name is of a part that is not counted: another tower, or layers that predict further tokens.
pub(super) fn is_elsewhere(name: &str) -> bool {
    (0..name.len()).any(|at| begins(&name.as_bytes()[at..], &ELSEWHERE))
}

/// Whether a name is of a tower that sees. A list may have a hundred thousand names, and most have none of the two letters.
fn sees(name: &str) -> bool {
    let name = name.as_bytes();
    memchr2_iter(b'i', b'v', name).any(|at| begins(&name[at..], &TOWERS))
}

fn begins(name: &[u8], words: &[&str]) -> bool {
    words.iter().any(|word| name.starts_with(word.as_bytes()))
}

const ELSEWHERE: [&str; 5] = ["vision", "visual", "image", "audio", "mtp"];
/// What towers that see, and what joins them to the text part, are called: each word begins with one of two letters.
const TOWERS: [&str; 3] = ["vision", "visual", "image"];

/// A module's name from `layers.` on: checkpoints put different prefixes before it.
///
/// A name of another tower, or of layers that predict further tokens (`mtp.layers.0*`), keeps its prefix and so never
/// means a layer of the text part.
fn below_model(name: &str) -> &str {
    static LAYERS: LazyLock<Finder<'_>> = LazyLock::new(|| Finder::new("layers."));
    match LAYERS.find(name.as_bytes()) {
        Some(at) if !is_elsewhere(&name[..at]) => &name[at..],
        _ => name,
    }
}
