//! `quantization_config` → how each weight is stored.
//!
//! A quantisation changes bytes and never FLOPs. Widths are those of the tensors that the checkpoint
//! keeps: packed weights, their scales and zero points.

mod formats;
mod modules;
mod schemes;

use crate::config::Config;
use crate::dtype::Dtype;
use crate::error::{Error, ErrorKind, Result};
use crate::op::Storage;
use modules::{Modules, spellings};

/// How the weights of a checkpoint are stored.
#[derive(Debug, Clone)]
pub struct Quantization {
    /// The dtype of everything that is not quantised.
    pub dtype: Dtype,
    /// The dtype that quantised matrix products run in: the weights' own where activations are
    /// quantised too, else that of the rest.
    pub compute: Dtype,
    /// How an element of the KV cache is stored.
    pub cache: Storage,
    groups: Vec<Group>,
    kept: Modules,
    /// Whether names are looked up in the order of the file, which is not kept.
    ordered: bool,
    head: Head,
    /// A module that the names mean in two ways.
    torn: Option<String>,
    unread: Vec<String>,
    /// Whether files at hand say how each weight is stored, and not by a dtype alone.
    fixed: bool,
}

/// Weights that are stored alike.
#[derive(Debug, Clone)]
struct Group {
    /// The key that states it.
    key: String,
    targets: Modules,
    storage: Storage,
    /// Whether some module is meant.
    found: bool,
}

/// When the head is quantised.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Head {
    Never,
    /// If a group has its name.
    Named,
    /// As the layers; not found yet.
    Always,
    /// As the layers.
    Found,
}

impl Quantization {
    /// Everything stored in one dtype.
    pub fn none(dtype: Dtype) -> Self {
        Self {
            dtype,
            compute: dtype,
            cache: Storage::plain(dtype),
            groups: Vec::new(),
            kept: Modules::default(),
            ordered: false,
            head: Head::Never,
            torn: None,
            unread: Vec::new(),
            fixed: false,
        }
    }

    /// How a tower beside the text part is stored: plainly where the scheme leaves any of it out.
    pub(crate) fn of_tower(self) -> Self {
        if self.kept.means_tower() { Self::none(self.dtype) } else { self }
    }

    /// Reads `torch_dtype` (or `dtype`) and `quantization_config`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Dtype`] for a dtype that nobody knows, [`ErrorKind::Quantization`] for a method or
    /// a width that flopmeter does not know: its bytes would be a guess.
    pub fn read(config: &Config) -> Result<Self> {
        let stated = match config.text("dtype")? {
            Some(name) => Some(name),
            None => config.text("torch_dtype")?,
        };
        let dtype = match stated {
            None | Some("auto") => {
                config.note(
                    "no dtype in the config; bytes and the peak are those of bf16 (see --dtype)"
                        .into(),
                );
                Dtype::Bf16
            }
            Some(name) => name.parse::<Dtype>().map_err(|error| error.within("`torch_dtype`"))?,
        };
        let mut plan = Self::none(dtype);
        // The first files of compressed-tensors call it otherwise.
        let scheme = match config.child("quantization_config")? {
            None => config.child("compression_config")?,
            scheme => scheme,
        };
        if let Some(scheme) = scheme {
            plan.apply(&scheme)?;
            plan.apply_to_experts(config, &scheme)?;
        }
        plan.fixed = config.weights().is_some_and(|weights| weights.is_quantized());
        Ok(plan)
    }

    /// Modules that are stored as everything that is not quantised, whatever the scheme says.
    pub(crate) fn keep(&mut self, modules: &[&str]) -> Result<()> {
        if self.has_scheme() {
            modules.iter().try_for_each(|name| self.kept.add(name))?;
        }
        Ok(())
    }

    /// How much work it is to look a module up: the length of all expressions together.
    pub(crate) fn expressions(&self) -> usize {
        self.kept.expressions()
            + self.groups.iter().map(|group| group.targets.expressions()).sum::<usize>()
    }

    /// Whether layers of the same modules may be stored in different ways.
    pub(crate) fn tells_layers_apart(&self) -> bool {
        let targets = self.groups.iter().map(|group| &group.targets);
        targets.chain([&self.kept]).any(Modules::tell_layers_apart)
    }

    /// How the weights of all linear layers are stored, where no name makes a difference.
    pub(crate) fn every_linear(&self) -> Option<Storage> {
        match &self.groups[..] {
            [] => Some(self.plain()),
            [only] if self.kept.is_empty() && only.targets.means_every_linear() => {
                Some(only.storage)
            }
            _ => None,
        }
    }

    /// How the weights of a linear layer at a path (`model.layers.3.mlp.up_proj`) are stored.
    pub fn linear(&self, path: &str) -> Storage {
        let spellings = spellings(path);
        if self.kept.cover(&spellings) {
            return self.plain();
        }
        let named = self.groups.iter().find(|group| group.targets.name(&spellings));
        named.map_or_else(|| self.unnamed(), |group| group.storage)
    }

    /// How a linear layer is stored that no group names.
    fn unnamed(&self) -> Storage {
        let group = self.groups.iter().find(|group| group.targets.means_every_linear());
        group.map_or_else(|| self.plain(), |group| group.storage)
    }

    /// The same, and remembers which groups mean it.
    pub(crate) fn assign(&mut self, path: &str) -> Storage {
        let spellings = spellings(path);
        let kept = self.kept.cover(&spellings);
        let mut own: Option<Storage> = None;
        for group in &mut self.groups {
            if !group.targets.name(&spellings) {
                continue;
            }
            group.found = true;
            let differs = own.replace(group.storage).is_some_and(|other| other != group.storage);
            if (differs && !kept) || (kept && self.ordered) {
                self.torn.get_or_insert_with(|| path.to_owned());
            }
        }
        match own {
            _ if kept => self.plain(),
            Some(storage) => storage,
            None => self.unnamed(),
        }
    }

    /// How a head that has weights of its own is stored.
    pub(crate) fn assign_head(&mut self, module: &str) -> Storage {
        match self.head {
            Head::Never => self.plain(),
            Head::Named => {
                let head = spellings(module);
                if self.groups.iter().any(|group| group.targets.name(&head)) {
                    self.assign(module)
                } else {
                    self.plain()
                }
            }
            Head::Always | Head::Found => {
                self.head = Head::Found;
                self.assign(module)
            }
        }
    }

    /// Whether everything that was said of modules is true of some, once all are assigned.
    pub(crate) fn check(&self) -> Result<()> {
        if let Some(group) = self.groups.iter().find(|group| !group.found) {
            return Err(unknown(&group.key, "names no module of this model"));
        }
        if let Some(path) = &self.torn {
            let fact = format!("have two widths for `{path}`, and no order says which holds");
            return Err(unknown("config_groups` or `dynamic", &fact));
        }
        if self.head == Head::Always {
            return Err(unknown("lm_head", "is true, but the head has no weights of its own"));
        }
        Ok(())
    }

    /// Keys that look as if they changed widths and that nobody read.
    pub(crate) fn unread(&self) -> &[String] {
        &self.unread
    }

    /// How everything else is stored: norms, tables, routers, the head.
    pub fn plain(&self) -> Storage {
        Storage::plain(self.dtype)
    }

    /// Whether any weight is stored otherwise than the rest.
    pub fn is_quantized(&self) -> bool {
        self.fixed || !self.groups.is_empty()
    }

    /// Whether the config names a scheme by which weights are quantised.
    pub(crate) fn has_scheme(&self) -> bool {
        !self.groups.is_empty()
    }
}

fn unknown(key: &str, fact: &str) -> Error {
    Error::new(ErrorKind::Quantization, format!("`quantization_config.{key}`"), fact).hint(
        "take `quantization_config` out and give the width with --dtype to count it all the same",
    )
}
