//! The cells of a row, and what is wrong with one.

use super::column::Column;
use super::printed::Printed;
use crate::error::{Error, ErrorKind, Result, shown};

/// A row's cells that hold something.
pub(super) struct Cells<'t> {
    pub line: u64,
    cells: Vec<(Column, &'t str)>,
}

impl<'t> Cells<'t> {
    pub fn of<T: AsRef<str>>(line: u64, columns: &[Option<Column>], row: &'t [T]) -> Self {
        let filled = columns.iter().zip(row).filter_map(|(column, cell)| {
            let text = cell.as_ref().trim();
            column.filter(|_| !text.is_empty()).map(|column| (column, text))
        });
        Self { line, cells: filled.collect() }
    }

    pub fn text(&self, column: Column) -> Option<&'t str> {
        self.cells.iter().find(|(known, _)| *known == column).map(|(_, text)| *text)
    }

    /// A number, if it is one and no percentage.
    pub fn number(&self, column: Column) -> Option<f64> {
        self.text(column)?.parse().ok()
    }

    pub fn wrong(&self, column: Column, fact: &str, hint: &str) -> Error {
        let place = format!("line {}, column `{}`", self.line, column.name());
        let text = shown(self.text(column).unwrap_or_default()).to_string();
        Error::new(ErrorKind::Table, place, format!("`{text}` {fact}")).hint(hint)
    }

    /// A whole number above zero.
    pub fn whole(&self, column: Column) -> Result<Option<u64>> {
        let Some(text) = self.text(column) else { return Ok(None) };
        match text.parse() {
            Ok(0) => Err(self.wrong(
                column,
                "is not above zero",
                "leave the cell empty if it is not known",
            )),
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(self.wrong(
                column,
                "is no whole number of 64 bits",
                "such as 4096; leave the cell empty if it is not known",
            )),
        }
    }

    /// A number above zero.
    pub fn positive(&self, column: Column) -> Result<Option<Printed>> {
        let Some(text) = self.text(column) else { return Ok(None) };
        self.figure(column, text).map(Some)
    }

    /// A ratio: a fraction, or a percentage if the column is one or the cell says so.
    pub fn ratio(&self, column: Column, percent: bool) -> Result<Option<Printed>> {
        let Some(text) = self.text(column) else { return Ok(None) };
        let number = text.strip_suffix('%').map(str::trim);
        let figure = self.figure(column, number.unwrap_or(text))?;
        Ok(Some(figure.scaled(if percent || number.is_some() { 0.01 } else { 1.0 })))
    }

    fn figure(&self, column: Column, number: &str) -> Result<Printed> {
        let figure = Printed::read(number).ok_or_else(|| {
            self.wrong(
                column,
                "is no number",
                "such as 43.4; leave the cell empty if it is not known",
            )
        })?;
        if figure.value.is_finite() && figure.value > 0.0 {
            return Ok(figure);
        }
        Err(self.wrong(
            column,
            "is no number above zero",
            "leave the cell empty if it is not known",
        ))
    }

    /// `yes` or `no`.
    pub fn flag(&self, column: Column) -> Result<Option<bool>> {
        let Some(text) = self.text(column) else { return Ok(None) };
        match text.to_ascii_lowercase().as_str() {
            "yes" | "true" | "1" => Ok(Some(true)),
            "no" | "false" | "0" => Ok(Some(false)),
            _ => Err(self.wrong(
                column,
                "is neither yes nor no",
                "leave the cell empty if it is not known",
            )),
        }
    }
}
