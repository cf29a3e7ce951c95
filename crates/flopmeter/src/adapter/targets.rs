//! Which modules of a model an adapter means, as PEFT finds them by name.

use super::error;
use crate::config::Config;
use crate::error::{Result, shown};
use regex_lite::{Regex, RegexBuilder};
use serde_json::Value;

/// The most names of a list, and patterns of ranks. Real lists have a dozen, or one a module.
const MOST_NAMES: usize = 4096;
/// The longest expression. Real ones stay under 500 bytes.
const LONGEST: usize = 4096;

/// A module of a model, by the paths that a name may mean it by.
#[derive(Debug)]
pub(super) struct Path {
    /// From the layers on where it is in one, with what stands before them in files.
    spellings: Vec<String>,
    pub layer: Option<u64>,
}

/// What stands before the number of a layer in the reference implementations' paths.
const LISTS: [&str; 9] = [
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

impl Path {
    pub fn new(layer: Option<u64>, module: &str) -> Self {
        let spellings = match layer {
            Some(index) => LISTS.iter().map(|list| format!("{list}.{index}.{module}")).collect(),
            None => vec![module.to_owned()],
        };
        Self { spellings, layer }
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
pub(super) struct Layers(Vec<u64>);

impl Layers {
    pub fn read(c: &Config) -> Result<Option<Self>> {
        // Which list of layers is meant: there is one.
        c.raw("layers_pattern");
        let key = "layers_to_transform";
        let layers = match c.raw(key) {
            None => return Ok(None),
            Some(Value::Number(_)) => vec![c.count(key)?.unwrap_or_default()],
            Some(_) => c.counts(key)?.unwrap_or_default(),
        };
        Ok((!layers.is_empty()).then_some(Self(layers)))
    }

    pub fn have(&self, layer: Option<u64>) -> bool {
        layer.is_some_and(|layer| self.0.contains(&layer))
    }
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
        if let Some(patterns) = c.child("rank_pattern")? {
            let patterns = patterns.sizes()?;
            if patterns.len() > MOST_NAMES {
                let fact = format!("has {} patterns; {MOST_NAMES} are the most", patterns.len());
                return Err(error("rank_pattern", &fact));
            }
            for (key, rank) in patterns {
                let plain = key.chars().all(|c| c.is_ascii_alphanumeric() || "._".contains(c));
                let pattern = if plain {
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
                let path = path.spellings.first().map_or("", String::as_str);
                let fact = format!(
                    "has ranks {rank} and {other} for `{path}`, and no order says which holds"
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
