//! Published tables, row by row: each is recomputed from what its page prints, or has the sentence that says why it does
//! not come out. `docs/published.md` is written from them:
//!
//! ```text
//! UPDATE=1 cargo test -p flopmeter --test tables
//! ```
//!
//! `tests/published/README.md` says what the columns are.

mod bandwidth;

use flopmeter::Builtin;
use flopmeter::audit::{Audit, Claims, Entry, Fit, Printed, Rates, Table, Verdict};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// What a row says for a claim that no convention changes: TFLOP/s ÷ peak = MFU, where no throughput is printed.
const DIVISION: &str = "division";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sources {
    source: Vec<Source>,
}

/// Where a table is from.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Source {
    /// The file beside.
    table: String,
    title: String,
    /// The page, or the file at its commit.
    url: String,
    /// Which table of it.
    page: String,
    /// How the source counts.
    counts: String,
    /// What a referee should know besides.
    #[serde(default)]
    remarks: Option<String>,
}

/// A row with what we say of it.
struct Row {
    entry: Entry,
    audit: Audit,
    convention: String,
    /// Why it does not come out.
    why: String,
    /// What the page would have to print for that.
    lacks: String,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/published")
}

fn sources() -> Vec<Source> {
    let text = fs::read_to_string(folder().join("sources.toml")).expect("sources.toml");
    toml::from_str::<Sources>(&text).expect("sources").source
}

fn rows(table: &str) -> Vec<Row> {
    let path = folder().join(format!("{table}.csv"));
    let mut reader = csv::Reader::from_path(&path).expect("a table");
    let header: Vec<String> =
        reader.headers().expect("a header").iter().map(str::to_owned).collect();
    let cells: Vec<(u64, Vec<String>)> = reader
        .records()
        .map(|record| {
            let record = record.expect("a row");
            let line = record.position().expect("a position").line();
            (line, record.iter().map(str::to_owned).collect())
        })
        .collect();
    let column = |name: &str| header.iter().position(|known| known == name);
    let ours: Vec<[String; 3]> = cells
        .iter()
        .map(|(_, row)| {
            ["convention", "why", "lacks"]
                .map(|name| column(name).map(|at| row[at].clone()).unwrap_or_default())
        })
        .collect();
    let table = Table::read(&header, cells).unwrap_or_else(|error| panic!("{table}: {error}"));
    table
        .entries()
        .iter()
        .zip(ours)
        .map(|(entry, [convention, why, lacks])| Row {
            entry: entry.clone(),
            audit: entry.audit(|name| Builtin::find(name)?.model()),
            convention,
            why,
            lacks,
        })
        .collect()
}

impl Row {
    fn rates(&self) -> Option<Rates> {
        let figures = &self.audit.figures;
        let figure = figures.iter().find(|figure| figure.convention.id == self.convention)?;
        figure.rates.clone().ok()
    }

    /// How near the convention of the table comes.
    fn fit(&self) -> Option<Fit> {
        match &*self.convention {
            DIVISION => self.audit.division,
            _ => self.rates()?.fit,
        }
    }

    fn verdict(&self) -> Verdict {
        self.fit().map_or(Verdict::Unknown, |fit| fit.verdict)
    }
}

#[test]
fn every_row_comes_out_or_says_why_not() {
    let (mut reproduced, mut stated, mut wrong) = (0, 0, Vec::new());
    for source in sources() {
        let mut names = BTreeSet::new();
        for row in rows(&source.table) {
            let place = format!("{}, line {}, {}", source.table, row.entry.line, row.entry.name);
            assert!(names.insert(row.entry.name.clone()), "{place}: the name is taken");
            assert_ne!(row.entry.claims, Claims::default(), "{place}: claims nothing");
            let verdict = row.verdict();
            stated += usize::from(verdict != Verdict::Unknown && row.lacks.is_empty());
            reproduced +=
                usize::from(matches!(verdict, Verdict::Reproduces | Verdict::WithinRounding));
            let explained = !row.why.is_empty();
            assert!(explained || row.lacks.is_empty(), "{place}: lacks something, and comes out");
            if (verdict == Verdict::Reproduces) == explained {
                let unknown = row.audit.unknown.as_deref().unwrap_or_default();
                wrong.push(format!(
                    "{place}: {verdict:?} by {}, {:?} {unknown}",
                    row.convention,
                    row.rates()
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "come out and say why not, or neither:\n{}", wrong.join("\n"));
    assert!(stated > 430, "{stated}");
    assert!(reproduced * 100 >= stated * 95, "{reproduced} of {stated}");
}

#[test]
fn every_table_has_its_source() {
    let known: BTreeSet<String> = sources().into_iter().map(|source| source.table).collect();
    let tables = fs::read_dir(folder()).expect("a folder").filter_map(|file| {
        let name = file.expect("a file").file_name().into_string().expect("a name");
        name.strip_suffix(".csv").map(str::to_owned)
    });
    assert_eq!(known, tables.collect());
}

/// A row that is made to claim a hundredth more does not come out any more: the tolerances hold something.
#[test]
fn a_hundredth_more_is_not_reproduced() {
    let rows = rows("llm-foundry");
    for row in &rows {
        let mut entry = row.entry.clone();
        let more =
            |claim: Option<Printed>| claim.map(|it| Printed { value: it.value * 1.01, ..it });
        entry.claims = Claims { mfu: more(row.entry.claims.mfu), hfu: None, tflops: None };
        let audit = entry.audit(|_| unreachable!("rows have shapes"));
        let figure = audit.figures.iter().find(|figure| figure.convention.id == row.convention);
        let fit = figure.and_then(|figure| figure.fit()).expect("a fit");
        assert_eq!(fit.verdict, Verdict::Differs, "{}", row.entry.name);
    }
}

#[test]
fn the_page_is_written_from_the_tables() {
    let mut all = Tally::default();
    let mut summary = String::new();
    let mut sections = String::new();
    for source in sources() {
        let rows = rows(&source.table);
        let tally = Tally::of(&rows);
        let conventions: BTreeSet<&str> = rows.iter().map(|row| &*row.convention).collect();
        let conventions: Vec<String> = conventions.iter().map(|id| named(id)).collect();
        let _ = writeln!(
            summary,
            "| [{}](#{}) | {} | {} | {} | {} | {} | {} | {} |",
            source.title,
            source.table,
            rows.len(),
            tally.reproduced,
            tally.rounded,
            tally.apart,
            tally.unknown,
            conventions.join(", "),
            tally.farthest.map(difference).unwrap_or_default()
        );
        sections += &section(&source, &rows);
        all.add(&tally);
    }
    let come_out = all.reproduced + all.rounded;
    let stated = come_out + all.apart;
    let text = format!(
        "<!-- Written by crates/flopmeter/tests/tables.rs from crates/flopmeter/tests/published. Do not edit: change a \
         table, then\n     UPDATE=1 cargo test -p flopmeter --test tables -->\n\n\
         # Published utilisation, recomputed\n\n\
         {} rows of {} sources, each recomputed from what its page prints: the model's shape, sequence, devices, peak \
         and throughput in, MFU, HFU or TFLOP/s out. **{come_out} of the {stated} that state enough reproduce ({:.1} %)**, {} \
         of them at the digits of their throughput; each of the others is explained below. A row reproduces if MFU and HFU \
         come within 0.1 percentage points and TFLOP/s within 0.2 %, or if the printed digits are equal, rounded or cut; all \
         that it claims has to. At the digits of its throughput it does if a throughput that is printed as the page's is \
         gives the claimed figures to their last digit, which is said of each.\n\n\
         The tables are in [`crates/flopmeter/tests/published`](../crates/flopmeter/tests/published), one a source, and a \
         test recomputes every row; one that reproduces and carries an explanation fails it, as does one that does not and \
         carries none. Any of them can be audited by hand, or a table of your own:\n\n\
         ```sh\nflopmeter audit crates/flopmeter/tests/published/korthikanti-2022.csv\n```\n\n\
         Conventions are described in [reference/conventions.md](reference/conventions.md); “TFLOP/s ÷ peak” stands where a \
         page prints no throughput, so that only the division can be held. The farthest difference is that of the rows that \
         reproduce.\n\n\
         | source | rows | reproduce | at the digits of the throughput | do not | say too little | convention | farthest |\n\
         | --- | ---: | ---: | ---: | ---: | ---: | --- | ---: |\n{summary}\n\
         Bandwidths of decoding are [at the end](#gpt-fast).\n{sections}{}",
        stated + all.unknown,
        sources().len(),
        100.0 * come_out as f64 / stated as f64,
        all.rounded,
        bandwidth::section(),
    );
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/published.md");
    if env::var_os("UPDATE").is_some_and(|update| update == "1") {
        fs::write(&path, text).expect("a page");
        return;
    }
    let old = fs::read_to_string(&path).unwrap_or_default();
    assert!(old == text, "docs/published.md is stale; UPDATE=1 rewrites it");
}

#[derive(Default)]
struct Tally {
    reproduced: usize,
    rounded: usize,
    apart: usize,
    unknown: usize,
    farthest: Option<f64>,
}

impl Tally {
    fn of(rows: &[Row]) -> Self {
        let mut tally = Self::default();
        for row in rows {
            match row.fit() {
                _ if !row.lacks.is_empty() => tally.unknown += 1,
                None => tally.unknown += 1,
                Some(Fit { verdict: Verdict::Reproduces, deviation }) => {
                    tally.reproduced += 1;
                    let farther = tally.farthest.is_none_or(|most| most.abs() < deviation.abs());
                    if farther {
                        tally.farthest = Some(deviation);
                    }
                }
                Some(Fit { verdict: Verdict::WithinRounding, .. }) => tally.rounded += 1,
                Some(_) => tally.apart += 1,
            }
        }
        tally
    }

    fn add(&mut self, other: &Self) {
        self.reproduced += other.reproduced;
        self.rounded += other.rounded;
        self.apart += other.apart;
        self.unknown += other.unknown;
    }
}

fn section(source: &Source, rows: &[Row]) -> String {
    let mut out = format!(
        "\n<a id=\"{}\"></a>\n\n## {}\n\n[{}]({}). {}\n",
        source.table, source.title, source.page, source.url, source.counts
    );
    if let Some(remarks) = &source.remarks {
        let _ = write!(out, "\n{}\n", remarks.trim());
    }
    let explained: Vec<&Row> = rows.iter().filter(|row| !row.why.is_empty()).collect();
    if explained.is_empty() {
        let all = match rows.len() {
            1 => "The row reproduces.".to_owned(),
            rows => format!("All {rows} rows reproduce."),
        };
        let _ = write!(out, "\n{all}\n");
        return out;
    }
    out += "\n| row | claimed | recomputed | off by | why |\n| --- | --- | --- | ---: | --- |\n";
    for row in explained {
        let off = row.fit().map(|fit| difference(fit.deviation)).unwrap_or_default();
        let recomputed = row.rates().map(|rates| recomputed(&row.entry.claims, &rates));
        let _ = writeln!(
            out,
            "| {} | {} | {} | {off} | {} |",
            row.entry.name,
            claimed(&row.entry.claims),
            recomputed.unwrap_or_default(),
            row.why
        );
    }
    out
}

fn named(convention: &str) -> String {
    match convention {
        DIVISION => "TFLOP/s ÷ peak".into(),
        id => format!("`{id}`"),
    }
}

fn claimed(claims: &Claims) -> String {
    let value = |claim: Option<Printed>| claim.map(|printed| printed.value);
    figures(value(claims.tflops), value(claims.mfu), value(claims.hfu))
}

fn recomputed(claims: &Claims, rates: &Rates) -> String {
    let tflops = claims.tflops.map(|claim| {
        let off = |rate: &f64| (rate / 1e12 - claim.value).abs();
        let nearest =
            if off(&rates.executed) < off(&rates.model) { rates.executed } else { rates.model };
        nearest / 1e12
    });
    let [mfu, hfu] = [0, 1].map(|at| rates.utilization.map(|ratios| ratios[at]));
    figures(tflops, claims.mfu.and(mfu), claims.hfu.and(hfu))
}

fn figures(tflops: Option<f64>, mfu: Option<f64>, hfu: Option<f64>) -> String {
    let ratio =
        |name: &str, ratio: Option<f64>| ratio.map(|it| format!("{name} {:.2} %", 100.0 * it));
    let rate = tflops.map(|rate| format!("{rate:.1} TFLOP/s"));
    [rate, ratio("MFU", mfu), ratio("HFU", hfu)]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(", ")
}

fn difference(deviation: f64) -> String {
    format!("{:+.2} %", 100.0 * deviation)
}
