//! `flopmeter conventions`: the named rules of counting.

use crate::args::ConventionsArgs;
use crate::output;
use flopmeter::{Convention, Result};
use flopmeter_report::render::{Block, Column, Document};
use flopmeter_report::report::convention::ConventionReport;
use serde::Serialize;

/// The JSON of `conventions`.
#[derive(Debug, Serialize)]
struct List {
    conventions: Vec<ConventionReport>,
}

pub fn run(args: &ConventionsArgs) -> Result<String> {
    let list = List { conventions: Convention::ALL.iter().map(ConventionReport::of).collect() };
    let cells = |row: &ConventionReport| {
        let of = match (row.requests, row.steps) {
            (true, true) => "requests, steps",
            (true, false) => "requests",
            (false, _) => "steps",
        };
        vec![row.id.to_owned(), of.to_owned(), row.counts.to_owned(), row.source.to_owned()]
    };
    let table = Block {
        title: String::new(),
        columns: vec![
            Column::text("name"),
            Column::text("of"),
            Column::text("what it counts"),
            Column::text("source"),
        ],
        rows: list.conventions.iter().map(cells).collect(),
    };
    let head = vec![format!("{} conventions", list.conventions.len())];
    let document = Document { head, blocks: vec![table], notes: Vec::new() };
    output::document(&document, &list, args.output.format)
}
