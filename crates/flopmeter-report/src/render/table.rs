//! Tables for people.

use super::Document;
use crate::paint::TITLE;
use comfy_table::{CellAlignment, ContentArrangement, Table, TableComponent, presets};
use std::fmt::Write;

/// A document as tables for a terminal.
pub fn render(document: &Document) -> String {
    let document = &document.visible();
    let mut out = String::new();
    for (at, line) in document.head.iter().enumerate() {
        let _ =
            if at == 0 { writeln!(out, "{}", TITLE.apply(line)) } else { writeln!(out, "{line}") };
    }
    for block in &document.blocks {
        out.push('\n');
        if !block.title.is_empty() {
            let _ = writeln!(out, "{}", TITLE.apply(&block.title));
        }
        let mut table = Table::new();
        table
            .load_preset(presets::NOTHING)
            .set_style(TableComponent::HeaderLines, '─')
            .set_style(TableComponent::MiddleHeaderIntersections, '─')
            .set_content_arrangement(ContentArrangement::Disabled)
            .set_header(block.columns.iter().map(|column| column.name));
        table.add_rows(&block.rows);
        for (column, known) in table.column_iter_mut().zip(&block.columns) {
            if known.number {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        for line in table.lines() {
            let _ = writeln!(out, "{}", line.trim_end());
        }
    }
    for note in &document.notes {
        let _ = writeln!(out, "note: {note}");
    }
    out
}
