//! What a row of a sweep says, one cell a column, and how each form writes it.

use crate::render::{percent, si};
use std::io::{self, Write};

/// A column of a sweep.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Its name in CSV and in JSON lines.
    pub name: &'static str,
    /// Its heading in a table, if a table has it.
    pub heading: Option<&'static str>,
    /// What is counted in it.
    pub unit: Unit,
}

impl Column {
    /// One with a heading.
    pub const fn new(name: &'static str, heading: &'static str, unit: Unit) -> Self {
        Self { name, heading: Some(heading), unit }
    }

    /// One that is for programs alone.
    pub const fn exact(name: &'static str, unit: Unit) -> Self {
        Self { name, heading: None, unit }
    }
}

/// What is counted in a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A name.
    Word,
    /// A number that is shown as it is.
    Count,
    /// A number that is shown with a prefix and this unit: an integer.
    Whole(&'static str),
    /// The same, and no integer.
    Real(&'static str),
    /// A fraction.
    Share,
    /// Yes or no.
    Truth,
}

impl Unit {
    /// As wide as a cell of it gets, where no axis says it.
    pub fn width(self) -> usize {
        match self {
            // `999.9 k` and the unit.
            Self::Whole(unit) | Self::Real(unit) => 7 + unit.len(),
            Self::Share => 7,
            Self::Truth => 4,
            Self::Word | Self::Count => 0,
        }
    }
}

/// A value of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cell<'s> {
    /// A name.
    Word(&'s str),
    /// An integer.
    Whole(u128),
    /// A ratio, a time or a rate.
    Real(f64),
    /// Yes or no.
    Truth(bool),
    /// What is not known, or there is not.
    Unknown,
}

impl Cell<'_> {
    /// A value that may be unknown.
    pub fn of(value: Option<f64>) -> Self {
        value.map_or(Self::Unknown, Self::Real)
    }

    /// Its value, to be compared.
    pub fn value(&self) -> Option<f64> {
        match *self {
            Self::Whole(count) => Some(count as f64),
            Self::Real(value) => Some(value),
            Self::Word(_) | Self::Truth(_) | Self::Unknown => None,
        }
    }

    /// For a spreadsheet: nothing where nothing is known.
    ///
    /// # Errors
    ///
    /// If nobody takes what is written.
    pub fn csv(&self, out: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Self::Unknown => Ok(()),
            // Names of dtypes, of devices and of what binds: nothing in them is quoted.
            Self::Word(word) => out.write_all(word.as_bytes()),
            number => number.json(out),
        }
    }

    /// For programs.
    ///
    /// # Errors
    ///
    /// If nobody takes what is written.
    pub fn json(&self, out: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Self::Word(word) => serde_json::to_writer(out, word)?,
            Self::Whole(count) => serde_json::to_writer(out, count)?,
            Self::Real(value) => serde_json::to_writer(out, value)?,
            Self::Truth(value) => serde_json::to_writer(out, value)?,
            Self::Unknown => out.write_all(b"null")?,
        }
        Ok(())
    }

    /// For people.
    pub fn shown(&self, unit: Unit) -> String {
        match (self, unit) {
            (Self::Unknown, _) => "–".into(),
            (Self::Word(word), _) => (*word).to_owned(),
            (Self::Truth(value), _) => if *value { "yes" } else { "no" }.into(),
            (Self::Real(value), Unit::Share) => percent(*value),
            (Self::Whole(count), Unit::Whole(of) | Unit::Real(of)) => si(Some(*count as f64), of),
            (Self::Real(value), Unit::Whole(of) | Unit::Real(of)) => si(Some(*value), of),
            (Self::Whole(count), _) => count.to_string(),
            (Self::Real(value), _) => value.to_string(),
        }
    }
}
