//! Which modules of a model an adapter means, as PEFT finds them by name.

use super::error;
use crate::config::Config;
use crate::error::{Result, shown};
use crate::model::Model;
use regex_lite::{Regex, RegexBuilder};
use serde_json::{Map, Value};

/// The most names of a list, and patterns of ranks. Real lists have a dozen, or one a module.
const MOST_NAMES: usize = 4096;
/// The longest expression. Real ones stay under 500 bytes.
const LONGEST: usize = 4096;

/// A module of a model or a parameter of one, by the paths that a name may mean it by.
#[derive(Debug)]
pub(super) struct Path {
    /// From the layers on where it is in one, with what stands before them in files.
    spellings: Vec<String>,
    pub layer: Option<u64>,
}

/// What stands before the number of a layer in the reference implementations' paths.
pub(super) type Lists = &'static [&'static str];

/// Of a decoder alone.
const DECODERS: Lists = &[
    "model.layers",
    "model.language_model.layers",
    "language_model.model.layers",
    "model.decoder.layers",
    "transformer.h",
    "transformer.layers",
    "transformer.blocks",
    "gpt_neox.layers",
    "backbone.layers",
];
/// Of a decoder that attends to an encoder.
const BESIDE_ENCODERS: Lists =
    &["model.decoder.layers", "decoder.layers", "decoder.block", "model.decoder.block"];
/// Of an encoder.
const ENCODERS: Lists = &[
    "model.encoder.layers",
    "encoder.layers",
    "encoder.block",
    "encoder.layer",
    "bert.encoder.layer",
    "roberta.encoder.layer",
    "distilbert.transformer.layer",
    "model.layers",
];

/// The lists in which a model's layers may be; `encodes` is for those of an encoder beside a decoder.
pub(super) fn lists(model: &Model, encodes: bool) -> Lists {
    let alone = model.perceives() || model.stacks().is_empty();
    match encodes || (model.encodes_only() && alone) {
        true => ENCODERS,
        false if alone => DECODERS,
        false => BESIDE_ENCODERS,
    }
}

impl Path {
    pub fn new(lists: Lists, layer: Option<u64>, name: &str) -> Self {
        let spellings = match layer {
            Some(index) => lists.iter().map(|list| format!("{list}.{index}.{name}")).collect(),
            None => vec![name.to_owned()],
        };
        Self { spellings, layer }
    }

    /// The same, which another name means too.
    pub fn or(mut self, lists: Lists, name: &str) -> Self {
        self.spellings.extend(Self::new(lists, self.layer, name).spellings);
        self
    }

    /// How it is shown.
    pub fn shown(&self) -> &str {
        self.spellings.first().map_or("", String::as_str)
    }

    /// Whether it is a name, or ends with one after a dot.
    pub fn ends_with(&self, name: &str) -> bool {
        self.spellings.iter().any(|path| {
            path.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        })
    }

    /// Whether it, or what holds it, ends in some letters.
    pub fn is_in(&self, name: &str) -> bool {
        self.spellings.iter().any(|path| {
            let mut holders =
                path.match_indices('.').map(|(at, _)| &path[..at]).chain([path.as_str()]);
            holders.any(|holder| holder.ends_with(name))
        })
    }

    fn matches(&self, expression: &Regex) -> bool {
        self.spellings.iter().any(|path| expression.is_match(path))
    }
}

/// Modules by name: a list of the ends of their paths, an expression of whole paths, or all linear ones.
#[derive(Debug)]
pub(super) enum Names {
    List(Vec<String>),
    Expression(Regex),
    AllLinear,
}

impl Names {
    pub fn read(c: &Config, key: &'static str) -> Result<Option<Self>> {
        let names = match c.raw(key) {
            None => return Ok(None),
            Some(Value::String(text)) if text.eq_ignore_ascii_case("all-linear") => Self::AllLinear,
            Some(Value::String(text)) => {
                Self::Expression(expression(key, text, |it| format!("^(?:{it})$"))?)
            }
            Some(_) => {
                let list = c.texts(key)?.unwrap_or_default();
                if list.len() > MOST_NAMES {
                    let fact = format!("has {} names; {MOST_NAMES} are the most", list.len());
                    return Err(error(key, &fact));
                }
                Self::List(list.into_iter().map(str::to_owned).collect())
            }
        };
        Ok(Some(names))
    }

    /// Those of an adapter of parameters alone.
    pub const fn none() -> Self {
        Self::List(Vec::new())
    }

    pub fn is_list(&self) -> bool {
        matches!(self, Self::List(_))
    }

    /// Whether a module is meant by its name.
    pub fn mean(&self, path: &Path) -> bool {
        match self {
            Self::List(names) => names.iter().any(|name| path.ends_with(name)),
            Self::Expression(expression) => path.matches(expression),
            Self::AllLinear => false,
        }
    }

    /// The names of a list.
    pub fn list(&self) -> &[String] {
        match self {
            Self::List(names) => names,
            _ => &[],
        }
    }
}

/// `layers_to_transform`: the only layers in which modules are adapted.
#[derive(Debug)]
pub(super) struct Layers {
    numbers: Vec<u64>,
    /// `layers_pattern`: what the lists of layers that are meant are called; any, if it is empty.
    lists: Vec<String>,
}

impl Layers {
    pub fn read(c: &Config) -> Result<Option<Self>> {
        let pattern = "layers_pattern";
        let lists: Vec<String> = match c.raw(pattern) {
            None => Vec::new(),
            Some(Value::String(name)) => vec![name.clone()],
            Some(_) => {
                c.texts(pattern)?.unwrap_or_default().into_iter().map(str::to_owned).collect()
            }
        };
        let lists: Vec<String> = lists.into_iter().filter(|name| !name.is_empty()).collect();
        if let Some(name) = lists.iter().find(|name| !is_plain(name)) {
            let fact = format!("is the expression \"{}\"; a plain name is counted", shown(name));
            return Err(error(pattern, &fact));
        }
        if lists.len() > MOST_NAMES {
            let fact = format!("has {} names; {MOST_NAMES} are the most", lists.len());
            return Err(error(pattern, &fact));
        }
        let key = "layers_to_transform";
        let numbers = match c.raw(key) {
            None => return Ok(None),
            Some(Value::Number(_)) => vec![c.count(key)?.unwrap_or_default()],
            Some(_) => c.counts(key)?.unwrap_or_default(),
        };
        Ok((!numbers.is_empty()).then_some(Self { numbers, lists }))
    }

    /// Whether a module is in one of them: its number is the first one, or the first one after a list that is meant.
    pub fn have(&self, path: &Path) -> bool {
        let has = |number: Option<u64>| number.is_some_and(|it| self.numbers.contains(&it));
        match self.lists.is_empty() {
            true => has(path.layer),
            false => path
                .spellings
                .iter()
                .any(|path| has(self.lists.iter().find_map(|list| number_after(path, list)))),
        }
    }
}

/// The first number that stands after a name in a path, as in `….name.5.…`.
fn number_after(path: &str, name: &str) -> Option<u64> {
    path.match_indices(name).find_map(|(at, _)| {
        let begins = at == 0 || path[..at].ends_with('.');
        let (number, _) = path[at + name.len()..].strip_prefix('.')?.split_once('.')?;
        begins.then(|| number.parse().ok())?
    })
}

fn is_plain(name: &str) -> bool {
    name.chars().all(|c| c.is_ascii_alphanumeric() || "._".contains(c))
}

/// `r`, and `rank_pattern` for modules of another rank.
#[derive(Debug)]
pub(super) struct Ranks {
    rank: u64,
    others: Vec<(Pattern, u64)>,
}

/// The key of a rank: the end of a path, or an expression of it.
#[derive(Debug)]
enum Pattern {
    End(String),
    Expression(Regex),
}

impl Ranks {
    pub fn read(c: &Config) -> Result<Self> {
        let rank = c.size("r")?;
        let mut others = Vec::new();
        // They are counted before any is copied.
        let count = c.raw("rank_pattern").and_then(Value::as_object).map_or(0, Map::len);
        if count > MOST_NAMES {
            let fact = format!("has {count} patterns; {MOST_NAMES} are the most");
            return Err(error("rank_pattern", &fact));
        }
        if let Some(patterns) = c.child("rank_pattern")? {
            for (key, rank) in patterns.sizes()? {
                let pattern = if is_plain(&key) {
                    Pattern::End(key)
                } else {
                    Pattern::Expression(expression("rank_pattern", &key, |it| {
                        format!(r"^(.*\.)?({it})$")
                    })?)
                };
                others.push((pattern, rank));
            }
        }
        Ok(Self { rank, others })
    }

    /// The rank of a module's adapter.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Adapter`](crate::ErrorKind::Adapter) if two patterns mean it, for their order is not kept.
    pub fn of(&self, path: &Path) -> Result<u64> {
        let mut own = self.others.iter().filter(|(pattern, _)| match pattern {
            Pattern::End(end) => path.ends_with(end),
            Pattern::Expression(expression) => path.matches(expression),
        });
        let Some((_, rank)) = own.next() else { return Ok(self.rank) };
        match own.find(|(_, other)| other != rank) {
            None => Ok(*rank),
            Some((_, other)) => {
                let fact = format!(
                    "has ranks {rank} and {other} for `{}`, and no order says which holds",
                    path.shown()
                );
                Err(error("rank_pattern", &fact))
            }
        }
    }

    /// How much work it is to look a module up.
    pub fn patterns(&self) -> usize {
        self.others.len()
    }
}

fn expression(key: &str, text: &str, whole: impl Fn(&str) -> String) -> Result<Regex> {
    let refused = |why: &str| {
        error(key, &format!("has the expression \"{}\": {why}", shown(text)))
            .hint("name the modules in a list instead")
    };
    if text.len() > LONGEST {
        return Err(refused(&format!("it is {} bytes long; {LONGEST} are the most", text.len())));
    }
    // No real expression counts its repetitions: a large program from a short one is an attack.
    let size = 4096 + 64 * text.len();
    RegexBuilder::new(&whole(text))
        .size_limit(size)
        .build()
        .map_err(|error| refused(&error.to_string()))
}
