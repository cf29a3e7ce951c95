//! HTML tables, for notebooks.

use super::{Block, Document};
use std::fmt::Write;

/// A document in HTML, for the inside of a page.
pub fn render(document: &Document) -> String {
    let document = &document.visible();
    let mut out = String::from("<div class=\"flopmeter\">\n");
    for (at, line) in document.head.iter().enumerate() {
        let name = if at == 0 { "strong" } else { "span" };
        let _ = writeln!(out, "<{name}>{}</{name}><br>", escaped(line));
    }
    for block in &document.blocks {
        table(block, &mut out);
    }
    if !document.notes.is_empty() {
        let _ = writeln!(out, "<ul>");
        for note in &document.notes {
            let _ = writeln!(out, "<li>{}</li>", escaped(note));
        }
        let _ = writeln!(out, "</ul>");
    }
    out + "</div>\n"
}

fn table(block: &Block, out: &mut String) {
    let _ = writeln!(out, "<table>");
    if !block.title.is_empty() {
        let _ = writeln!(out, "<caption>{}</caption>", escaped(&block.title));
    }
    let mut row = |name: &str, cells: &mut dyn Iterator<Item = &str>| {
        let _ = write!(out, "<tr>");
        for (cell, column) in cells.zip(&block.columns) {
            let side = if column.number { "right" } else { "left" };
            let _ = write!(out, "<{name} style=\"text-align:{side}\">{}</{name}>", escaped(cell));
        }
        let _ = writeln!(out, "</tr>");
    };
    row("th", &mut block.columns.iter().map(|column| column.name));
    for cells in &block.rows {
        row("td", &mut cells.iter().map(String::as_str));
    }
    let _ = writeln!(out, "</table>");
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::render;
    use crate::render::{Block, Column, Document};

    #[test]
    fn a_strangers_name_is_no_markup() {
        let block = Block {
            title: "a & b".into(),
            columns: vec![Column::text("FLOPs"), Column::number("exact")],
            rows: vec![vec!["<script>".into(), "7".into()]],
        };
        let document =
            Document { head: vec!["\"x\"".into()], blocks: vec![block], notes: vec!["<b>".into()] };
        let html = render(&document);
        for part in [
            "<strong>&quot;x&quot;</strong>",
            "<caption>a &amp; b</caption>",
            "<td style=\"text-align:left\">&lt;script&gt;</td><td style=\"text-align:right\">7</td>",
            "<li>&lt;b&gt;</li>",
        ] {
            assert!(html.contains(part), "{part}: {html}");
        }
    }
}
