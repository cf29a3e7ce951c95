//! A CSV file → its cells, each with the line it is on.

use super::file::{shown, unreadable};
use csv::{ByteRecord, ReaderBuilder};
use flopmeter::audit::Table;
use flopmeter::{Error, ErrorKind, Result};
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

/// The longest table that is read from a file.
const LONGEST_FILE: u64 = 64 << 20;
/// The longest cell: a remark may be long, a figure never.
const LONGEST_CELL: usize = 8 << 10;

/// The cells of a table.
struct Cells {
    /// The names of the columns.
    header: Vec<String>,
    /// The rows, each with the line that it begins on.
    rows: Vec<(u64, Vec<String>)>,
}

/// Reads a file of cells that commas separate, and makes a table of them.
pub fn read(path: &Path) -> Result<Table> {
    let bytes = bytes(path)?;
    let table = || {
        let Cells { header, rows } = cells(&bytes)?;
        Table::read(&header, rows)
    };
    table().map_err(|error| error.within(&shown(path)))
}

fn cells(bytes: &[u8]) -> Result<Cells> {
    let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(bytes);
    let mut cells = Cells { header: Vec::new(), rows: Vec::new() };
    let mut record = ByteRecord::new();
    loop {
        match reader.read_byte_record(&mut record) {
            Ok(true) => {}
            Ok(false) => break,
            // Bytes in memory are read whole, and rows may be of any length.
            Err(error) => {
                return Err(Error::new(ErrorKind::Table, "table", error.to_string()));
            }
        }
        let line = line(&record, bytes);
        let row = texts(&record, line, &cells.header)?;
        if cells.header.is_empty() {
            cells.header = row;
        } else {
            cells.rows.push((line, row));
        }
    }
    if cells.header.is_empty() {
        return Err(Error::new(ErrorKind::Table, "line 1", "is not there")
            .hint("its first line holds the names of the columns"));
    }
    Ok(cells)
}

fn bytes(path: &Path) -> Result<Vec<u8>> {
    let name = path.display().to_string();
    let wrong = |fact: String| Error::new(ErrorKind::Table, shown(path), fact);
    let failed = |error| wrong(unreadable(&name, &error).fact().into()).hint("give a CSV file");
    let metadata = fs::metadata(path).map_err(failed)?;
    if !metadata.is_file() {
        return Err(wrong("is not a file".into()).hint("give a CSV file"));
    }
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(LONGEST_FILE + 1).read_to_end(&mut bytes))
        .map_err(failed)?;
    if bytes.len() as u64 > LONGEST_FILE {
        return Err(wrong(format!("is longer than {LONGEST_FILE} bytes")).hint("cut the table"));
    }
    Ok(bytes)
}

/// The line of a record: the reader says where it went on from, and passes empty lines over.
fn line(record: &ByteRecord, bytes: &[u8]) -> u64 {
    let Some(position) = record.position() else { return 0 };
    let from = usize::try_from(position.byte()).unwrap_or(bytes.len()).min(bytes.len());
    let ends = bytes[from..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n'));
    position.line() + ends.filter(|byte| **byte == b'\n').count() as u64
}

fn texts(record: &ByteRecord, line: u64, header: &[String]) -> Result<Vec<String>> {
    let text = |(at, cell): (usize, &[u8])| {
        let column = || match header.get(at) {
            Some(name) => format!("line {line}, column `{}`", crate::visible::shortened(name)),
            None => format!("line {line}, column {}", at + 1),
        };
        let wrong = |fact: String| Error::new(ErrorKind::Table, column(), fact);
        if cell.len() > LONGEST_CELL {
            let fact = format!(
                "is {} bytes long; the longest cell that is read is {LONGEST_CELL}",
                cell.len()
            );
            return Err(wrong(fact)
                .hint("a quotation mark that is not closed makes one cell of the rest of a file"));
        }
        let text = std::str::from_utf8(cell)
            .map_err(|_| wrong("is not UTF-8 text".into()).hint("save the table as UTF-8"))?;
        Ok(text.to_owned())
    };
    record.iter().enumerate().map(text).collect()
}
