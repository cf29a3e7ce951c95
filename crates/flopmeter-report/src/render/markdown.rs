//! Markdown tables, for issues and pages.

use super::{Block, Document};
use std::fmt::Write;

/// A document in Markdown.
pub fn render(document: &Document) -> String {
    let document = &document.visible();
    let mut out = String::new();
    for (at, line) in document.head.iter().enumerate() {
        let _ = if at == 0 { writeln!(out, "## {line}\n") } else { writeln!(out, "{line}\n") };
    }
    for block in &document.blocks {
        if !block.title.is_empty() {
            let _ = writeln!(out, "### {}\n", block.title);
        }
        table(block, &mut out);
    }
    for note in &document.notes {
        let _ = writeln!(out, "- {}", note.replace('\n', " "));
    }
    out
}

fn table(block: &Block, out: &mut String) {
    let cell = |text: &str| text.replace('|', "\\|").replace('\n', " ");
    let row = |cells: Vec<String>| format!("| {} |", cells.join(" | "));
    let names = block.columns.iter().map(|column| column.name.to_owned()).collect();
    let rule = block.columns.iter().map(|column| if column.number { "---:" } else { "---" });
    let _ = writeln!(out, "{}", row(names));
    let _ = writeln!(out, "{}", row(rule.map(str::to_owned).collect()));
    for cells in &block.rows {
        let _ = writeln!(out, "{}", row(cells.iter().map(|text| cell(text)).collect()));
    }
    out.push('\n');
}
