//! From a name that somebody printed to the rows that it may mean.

use super::table::{Table, table};
use super::{Device, GIVE_THE_PEAK, partition, quoted};
use crate::error::{Error, ErrorKind, Result};

/// A name as it is compared: lower case, in words, without what never decides.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Name {
    /// The vendor that it begins with, as the table writes it.
    vendor: Option<&'static str>,
    pub words: Vec<String>,
}

/// Vendors and their brands that may stand before a name, or be missing there.
const BRANDS: [(&str, &str); 13] = [
    ("nvidia", "NVIDIA"),
    ("geforce", "NVIDIA"),
    ("tesla", "NVIDIA"),
    ("amd", "AMD"),
    ("instinct", "AMD"),
    ("radeon", "AMD"),
    ("intel", "Intel"),
    ("apple", "Apple"),
    ("google", "Google"),
    ("aws", "AWS"),
    ("huawei", "Huawei"),
    ("microsoft", "Microsoft"),
    ("qualcomm", "Qualcomm"),
];

/// Words that say nothing about which device it is.
const NEUTRAL: [&str; 8] =
    ["accelerator", "card", "corporation", "edition", "fe", "founders", "generation", "graphics"];

/// Bytes of the longest name that is looked at, several times the longest that is printed.
const LONGEST: usize = 256;

impl Name {
    pub fn read(text: &str) -> Self {
        let text =
            text.to_lowercase().replace("(r)", "").replace("(tm)", "").replace(['®', '™'], "");
        let mut words: Vec<String> = Vec::new();
        for word in
            text.split(|c: char| c.is_whitespace() || matches!(c, '-' | '_' | '(' | ')' | ','))
        {
            if word.is_empty() || word == "gpu" {
                continue;
            }
            let unit = match word {
                "gb" | "gib" => "gb",
                "core" | "cores" => "core",
                _ => "",
            };
            match words.last_mut() {
                Some(count) if !unit.is_empty() && is_number(count) => count.push_str(unit),
                _ => words.push(word_of(word)),
            }
        }
        let mut vendor = None;
        let mut leading = 0;
        for word in &words {
            match BRANDS.iter().find(|(brand, _)| brand == word) {
                Some((_, maker)) if vendor.is_none_or(|known| known == *maker) => {
                    vendor = Some(*maker)
                }
                None if vendor.is_some() && word == "corporation" => {}
                _ => break,
            }
            leading += 1;
        }
        words.drain(..leading);
        Self { vendor, words }
    }

    pub fn key(&self) -> String {
        self.words.join(" ")
    }

    /// The same name with only some of its words.
    pub fn with(&self, words: &[String]) -> Self {
        Self { vendor: self.vendor, words: words.to_vec() }
    }

    fn fits(&self, device: &Device) -> bool {
        self.vendor.is_none_or(|vendor| vendor == device.vendor)
    }
}

/// `80GiB` is `80gb`, `40cores` is `40core`; `gfx942:sramecc+:xnack-` is `gfx942`.
fn word_of(word: &str) -> String {
    for (long, short) in [("gib", "gb"), ("cores", "core")] {
        if let Some(count) = word.strip_suffix(long).filter(|count| is_number(count)) {
            return format!("{count}{short}");
        }
    }
    match word.split_once(':') {
        Some((architecture, _)) if architecture.starts_with("gfx") => architecture.into(),
        _ => word.into(),
    }
}

fn is_number(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit())
}

/// The rows that a name may mean.
pub(super) enum Match {
    One(usize),
    Several(Vec<usize>),
    None,
}

pub(super) fn find(text: &str) -> Result<Device> {
    if text.len() > LONGEST {
        return Err(Error::new(
            ErrorKind::Device,
            quoted(text),
            format!("no device has a name of {} bytes", text.len()),
        )
        .hint(GIVE_THE_PEAK));
    }
    let table = table();
    let name = Name::read(text);
    match matching(table, &name) {
        Match::One(row) => Ok(table.devices[row].clone()),
        Match::Several(rows) => Err(ambiguous(table, text, &rows)),
        Match::None => match partition::of(table, text, &name) {
            Some(slice) => slice,
            None => Err(unknown(table, text, &name)),
        },
    }
}

/// The name as a whole, then the longest row's name in it with nothing but facts of that row beside it.
pub(super) fn matching(table: &Table, name: &Name) -> Match {
    let whole = whole(table, name);
    if !matches!(whole, Match::None) {
        return whole;
    }
    let neutral = |word: &&String| {
        !NEUTRAL.contains(&word.as_str()) && !BRANDS.iter().any(|(brand, _)| brand == word)
    };
    let words: Vec<String> = name.words.iter().filter(neutral).cloned().collect();
    // A name of so many words is a sentence; the windows below are for names.
    if words.is_empty() || words.len() > 12 {
        return Match::None;
    }
    let name = name.with(&words);
    let whole = self::whole(table, &name);
    if !matches!(whole, Match::None) {
        return whole;
    }
    for length in (1..words.len()).rev() {
        let mut rows: Vec<usize> = (0..=words.len() - length)
            .flat_map(|start| {
                let window = &words[start..start + length];
                let rest: Vec<_> = words[..start].iter().chain(&words[start + length..]).collect();
                with_facts(table, &name, window, &rest)
            })
            .collect();
        rows.sort_unstable();
        rows.dedup();
        match rows[..] {
            [] => {}
            [row] => return Match::One(row),
            _ => return Match::Several(rows),
        }
    }
    Match::None
}

fn whole(table: &Table, name: &Name) -> Match {
    let key = name.key();
    let fits = |row: &usize| name.fits(&table.devices[*row]);
    let joined = || table.joined.get(&key).filter(|_| name.words.len() == 1);
    if let Some(row) = table.own.get(&key).or_else(joined).filter(|row| fits(row)) {
        return Match::One(*row);
    }
    // One row is listed for some shared names, but it is not the only device that prints them.
    match table.shared.get(&key).map(|rows| rows.iter().copied().filter(fits).collect::<Vec<_>>()) {
        Some(rows) if !rows.is_empty() => Match::Several(rows),
        _ => Match::None,
    }
}

/// The rows called `window` of which each word in `rest` is a fact.
fn with_facts(table: &Table, name: &Name, window: &[String], rest: &[&String]) -> Vec<usize> {
    let key = window.join(" ");
    let shared = table.shared.get(&key).into_iter().flatten();
    let mut rows: Vec<usize> = table.own.get(&key).into_iter().chain(shared).copied().collect();
    rows.retain(|row| {
        let (device, labels) = (&table.devices[*row], &table.labels[*row]);
        let names = [&device.id, &device.name].into_iter().chain(&labels.reported);
        let facts: Vec<String> = names.flat_map(|name| Name::read(name).words).collect();
        name.fits(device)
            && rest.iter().all(|word| {
                facts.contains(word) && !window.contains(word) && !partition::is_share(word)
            })
    });
    rows
}

pub(super) fn ambiguous(table: &Table, text: &str, rows: &[usize]) -> Error {
    let error = Error::new(ErrorKind::Ambiguous, quoted(text), "several devices have this name");
    let error = match rows {
        [only] => error.hint(format!("one of them has a row: `{}`", table.devices[*only].id)),
        _ => error.hint(format!(
            "give the name with what tells them apart, or the id, such as `{}`",
            table.devices[rows[0]].id
        )),
    };
    error
        .hint(format!("or {GIVE_THE_PEAK}"))
        .candidates(rows.iter().map(|row| candidate(table, *row)))
}

/// An id and the facts that tell it from others: `nvidia-geforce-rtx-3080-12gb  — 12 GB, 912.4 GB/s`.
pub(super) fn candidate(table: &Table, row: usize) -> String {
    let device = &table.devices[row];
    let mut facts: Vec<String> = table.labels[row].fact.iter().cloned().collect();
    if device.unit != "device" && facts.is_empty() {
        facts.push(device.unit.clone());
    }
    facts.extend(device.memory_bytes.map(|bytes| format!("{} GB", bytes / 1_000_000_000)));
    facts.extend(device.bandwidth.map(|rate| format!("{} GB/s", rate.0 / 1e9)));
    if facts.is_empty() {
        facts.push(device.name.clone());
    }
    format!("{}  — {}", device.id, facts.join(", "))
}

fn unknown(table: &Table, text: &str, name: &Name) -> Error {
    let error = Error::new(ErrorKind::Device, quoted(text), "no device is called that");
    let nearest: Vec<_> = nearest(table, name)
        .into_iter()
        .map(|row| format!("`{}`", table.devices[row].id))
        .collect();
    let error = match nearest[..] {
        [] => error,
        _ => error.hint(format!("nearest: {}", nearest.join(", "))),
    };
    error.hint(GIVE_THE_PEAK)
}

/// Up to three rows with a name like this one, the most alike first.
pub(super) fn nearest(table: &Table, name: &Name) -> Vec<usize> {
    const ALIKE: f64 = 0.82;
    let key: String = name.key().chars().take(64).collect();
    let mut scores = vec![0.0_f64; table.devices.len()];
    let own = table.own.iter().map(|(known, row)| (known, std::slice::from_ref(row)));
    let shared = table.shared.iter().map(|(known, rows)| (known, rows.as_slice()));
    for (known, rows) in own.chain(shared) {
        let score = strsim::jaro_winkler(known, &key);
        for row in rows {
            scores[*row] = scores[*row].max(score);
        }
    }
    let mut rows: Vec<usize> = (0..scores.len())
        .filter(|row| scores[*row] >= ALIKE && name.fits(&table.devices[*row]))
        .collect();
    rows.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]).then(a.cmp(b)));
    rows.truncate(3);
    rows
}
