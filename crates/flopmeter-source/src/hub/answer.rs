//! What an answer promises before its text is read: a whole file that is not too long, or just the part
//! that was asked for.

use crate::visible::shortened;
use ureq::Body;
use ureq::http::{Response, StatusCode, header};

/// How much of a file is asked for.
#[derive(Clone, Copy)]
pub enum Part {
    /// All, if it is no longer than this.
    Whole { most: u64 },
    /// The bytes from one up to another, as far as the file has them.
    Bytes { from: u64, to: u64 },
}

/// What an answer says that it holds.
pub enum Expected {
    AtMost(u64),
    Exactly { length: u64, file_bytes: u64 },
}

impl Expected {
    /// What the head of an answer promises; what is wrong with it, if it is not what was asked for.
    pub fn of(response: &Response<Body>, part: Part) -> std::result::Result<Self, String> {
        let (status, stated) = (response.status(), response.body().content_length());
        let (from, to) = match part {
            Part::Whole { .. } if status != StatusCode::OK => {
                return Err(format!("answers with status {}", status.as_u16()));
            }
            Part::Whole { most } => {
                return match stated.filter(|stated| *stated > most) {
                    Some(stated) => {
                        Err(format!("has {stated} bytes; the longest that is read is {most}"))
                    }
                    None => Ok(Self::AtMost(most)),
                };
            }
            Part::Bytes { from, to } => (from, to),
        };
        if status != StatusCode::PARTIAL_CONTENT {
            // Some answer with the whole of a file that is no longer than what was asked for.
            return match stated.filter(|stated| from == 0 && *stated <= to) {
                Some(length) if status == StatusCode::OK => {
                    Ok(Self::Exactly { length, file_bytes: length })
                }
                _ => Err("does not send parts of files, and whole ones are not read".to_owned()),
            };
        }
        let range = text_of(response, header::CONTENT_RANGE.as_str());
        match content_range(range) {
            Some((first, end, file_bytes)) if first == from && end == to.min(file_bytes) => {
                Ok(Self::Exactly { length: end - first, file_bytes })
            }
            _ => Err(format!(
                "sends the range \"{}\" where bytes {from}-{} were asked for",
                shortened(range),
                to.max(1) - 1
            )),
        }
    }
}

/// First byte, end and whole length of `bytes 0-65535/4976698672`.
fn content_range(text: &str) -> Option<(u64, u64, u64)> {
    let (range, size) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let number = |text: &str| text.parse::<u64>().ok().filter(|_| !text.starts_with('+'));
    let (first, last, size) = (number(first)?, number(last)?, number(size)?);
    let end = last.checked_add(1)?;
    (first < end && end <= size).then_some((first, end, size))
}

/// A header's text, empty if it is absent or no text.
pub fn text_of<'r>(response: &'r Response<Body>, name: &str) -> &'r str {
    response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::content_range;

    #[test]
    fn ranges() {
        assert_eq!(content_range("bytes 0-65535/4976698672"), Some((0, 65536, 4_976_698_672)));
        assert_eq!(content_range("bytes 8-8/9"), Some((8, 9, 9)));
        for none in [
            "",
            "bytes */9",
            "bytes 0-8/*",
            "bytes 8-7/9",
            "bytes 0-9/9",
            "bytes 0-18446744073709551615/18446744073709551615",
            "bytes +0-8/9",
            "bytes -8/9",
            "items 0-8/9",
            "bytes 0-8",
        ] {
            assert_eq!(content_range(none), None, "{none}");
        }
    }
}
