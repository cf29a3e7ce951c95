//! Which GGUF files of a repository are meant: those of one quantisation.

use super::place;
use crate::gguf;
use crate::visible::shortened;
use flopmeter::{Error, ErrorKind, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The most files that an error lists.
const LISTED: usize = 40;

/// A quantisation, or a file of the repository.
pub fn is_label(text: &str) -> bool {
    (1..=255).contains(&text.len())
        && text.split('/').all(|part| !part.is_empty() && !part.starts_with('.'))
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_./+".contains(c))
}

/// The files of the model that a label means, in their order; without a label, of the only one.
///
/// # Errors
///
/// [`ErrorKind::Place`] if there is none, or not all parts of one; [`ErrorKind::Ambiguous`] for several,
/// with their names.
pub fn choose(
    repository: &str,
    files: &BTreeSet<String>,
    label: Option<&str>,
) -> Result<Vec<String>> {
    let models = models(files);
    let fits = |name: &&str| label.is_none_or(|label| fits(name, label));
    let found: Vec<&str> = models.keys().copied().filter(fits).collect();
    let listed = |names: &[&str]| {
        let labels = labels(names);
        let all = labels.into_iter().take(LISTED);
        all.map(|label| format!("{repository}:{label}")).collect::<Vec<_>>()
    };
    match found[..] {
        [name] => whole(repository, name, &models[name]),
        [] => {
            let fact = match label {
                Some(label) => format!("has no GGUF file `{}`", shortened(label)),
                None => "has neither a config.json nor a GGUF file".to_owned(),
            };
            let all: Vec<&str> = models.keys().copied().collect();
            Err(Error::new(ErrorKind::Place, place(repository), fact).candidates(listed(&all)))
        }
        _ => {
            let fact = format!("has {} models in GGUF", found.len());
            Err(Error::new(ErrorKind::Ambiguous, place(repository), fact)
                .hint("say which one, after a colon")
                .candidates(listed(&found)))
        }
    }
}

/// The models that there are: their names, without what numbers the files of one, and the files.
fn models(files: &BTreeSet<String>) -> BTreeMap<&str, Vec<&str>> {
    let mut models: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for file in files {
        let Some(stem) = file.strip_suffix(".gguf") else { continue };
        let own = stem.rsplit('/').next().unwrap_or(stem);
        // A vision tower, and statistics of a quantisation: no models.
        if own.starts_with("mmproj") || own.ends_with("mmproj") || own.contains("imatrix") {
            continue;
        }
        let numbers = gguf::split_name(Path::new(file)).map_or(0, |_| "-00001-of-00001".len());
        models.entry(&stem[..stem.len() - numbers]).or_default().push(file);
    }
    models
}

/// Whether a label means a model: as its file's name, or as the end of it.
fn fits(name: &str, label: &str) -> bool {
    let label = label.strip_suffix(".gguf").unwrap_or(label);
    let Some(start) = name.len().checked_sub(label.len()) else { return false };
    let ends = name.get(start..).is_some_and(|end| end.eq_ignore_ascii_case(label));
    ends && name[..start].chars().next_back().is_none_or(|before| "-./".contains(before))
}

/// The shortest labels of models: the last part of a name, where no two have the same.
fn labels<'n>(names: &[&'n str]) -> Vec<&'n str> {
    let last = |name: &'n str| name.rsplit(['-', '.', '/']).next().unwrap_or(name);
    let is_one = |label: &str| names.iter().filter(|name| fits(name, label)).count() == 1;
    names.iter().map(|name| if is_one(last(name)) { last(name) } else { *name }).collect()
}

/// All files of a model that was split.
fn whole(repository: &str, name: &str, files: &[&str]) -> Result<Vec<String>> {
    let count =
        files.first().and_then(|file| gguf::split_name(Path::new(file))).map(|(_, count)| count);
    let Some(count) = count else {
        return Ok(files.iter().map(|file| (*file).to_owned()).collect());
    };
    let part = |number: u32| format!("{name}-{number:05}-of-{count:05}.gguf");
    let parts: Vec<String> = (1..=count.min(gguf::MOST_FILES)).map(part).collect();
    match parts.iter().find(|part| !files.contains(&part.as_str())) {
        None => Ok(parts),
        Some(missing) => {
            let place = format!("{}: {}", place(repository), shortened(missing));
            let fact = format!("is not there, and {} is one of {count} files", shortened(files[0]));
            Err(Error::new(ErrorKind::Place, place, fact))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::choose;
    use std::collections::BTreeSet;

    const FILES: [&str; 8] = [
        "README.md",
        "imatrix.gguf",
        "mmproj-F16.gguf",
        "m-Q4_K_M.gguf",
        "m-UD-Q4_K_XL.gguf",
        "Q8_0/m-Q8_0-00001-of-00002.gguf",
        "Q8_0/m-Q8_0-00002-of-00002.gguf",
        "BF16/m-BF16-00001-of-00002.gguf",
    ];

    fn chosen(files: &[&str], label: Option<&str>) -> Result<Vec<String>, String> {
        let files: BTreeSet<String> = files.iter().map(|file| (*file).to_owned()).collect();
        choose("a/b", &files, label).map_err(|error| {
            let candidates = error.candidate_list().join(" ");
            format!("{error} {candidates}").trim_end().to_owned()
        })
    }

    #[test]
    fn which_one_is_meant() {
        let one = |label| chosen(&FILES, Some(label));
        let file = |name: &str| Ok(vec![name.to_owned()]);
        for label in ["Q4_K_M", "q4_k_m", "m-Q4_K_M", "m-Q4_K_M.gguf"] {
            assert_eq!(one(label), file("m-Q4_K_M.gguf"), "{label}");
        }
        assert_eq!(one("UD-Q4_K_XL"), file("m-UD-Q4_K_XL.gguf"));
        assert_eq!(one("Q8_0").map(|files| files.len()), Ok(2));
        assert_eq!(one("Q8_0/m-Q8_0").map(|files| files.len()), Ok(2));
        assert_eq!(chosen(&FILES[..4], None), file("m-Q4_K_M.gguf"));
    }

    #[test]
    fn what_is_not_there_or_there_twice() {
        let all = "a/b:BF16 a/b:Q8_0 a/b:Q4_K_M a/b:Q4_K_XL";
        for label in ["Q4_K", "K_M", "Q5_K_M", "README.md"] {
            let said = chosen(&FILES, Some(label));
            assert_eq!(said, Err(format!("`a/b`: has no GGUF file `{label}` {all}")));
        }
        assert_eq!(
            chosen(&FILES, None),
            Err(format!("`a/b`: has 4 models in GGUF; say which one, after a colon {all}"))
        );
        assert_eq!(
            chosen(&["x/m-Q8_0.gguf", "y/m-Q8_0.gguf"], Some("Q8_0")),
            Err("`a/b`: has 2 models in GGUF; say which one, after a colon a/b:x/m-Q8_0 a/b:y/m-Q8_0".to_owned())
        );
        let missing = "`a/b`: BF16/m-BF16-00002-of-00002.gguf: is not there, and \
                       BF16/m-BF16-00001-of-00002.gguf is one of 2 files";
        assert_eq!(chosen(&FILES, Some("BF16")), Err(missing.to_owned()));
        assert_eq!(
            chosen(&[], None),
            Err("`a/b`: has neither a config.json nor a GGUF file".to_owned())
        );
        // 99,999 parts are not gone through.
        assert!(chosen(&["m-00001-of-99999.gguf"], None).is_err());
    }
}
