//! A text of which a piece at a time is at hand: memory that is new costs more than what is read into it.

use std::io::{ErrorKind, Read, Result};

/// How much is read at once; it stays in the processor's cache.
const PIECE: usize = 32 << 10;

/// A text that is read in pieces, and from its start once more where an error is to name what stands there.
pub trait Text: Sync {
    /// Its bytes, from the first on.
    ///
    /// # Errors
    ///
    /// Those of the file that it is in.
    fn open(&self) -> Result<Box<dyn Read + '_>>;
}

impl Text for &[u8] {
    fn open(&self) -> Result<Box<dyn Read + '_>> {
        Ok(Box::new(*self))
    }
}

impl Text for &str {
    fn open(&self) -> Result<Box<dyn Read + '_>> {
        Ok(Box::new(self.as_bytes()))
    }
}

/// What is at hand of a text.
pub(super) struct Window<'s> {
    source: Box<dyn Read + 's>,
    text: String,
    /// The byte of the whole with which `text` begins.
    base: usize,
    /// The next byte of `text`, and the first that is still asked for; none is before that if it lies beyond.
    at: usize,
    kept: usize,
    /// Room for a piece, which begins with the bytes of a character that was cut off the last.
    piece: Box<[u8]>,
    cut: usize,
    ended: bool,
}

impl<'s> Window<'s> {
    pub fn new(source: Box<dyn Read + 's>) -> Self {
        let piece = vec![0; PIECE].into();
        Self {
            source,
            text: String::new(),
            base: 0,
            at: 0,
            kept: usize::MAX,
            piece,
            cut: 0,
            ended: false,
        }
    }

    /// The next byte of the whole.
    pub fn position(&self) -> usize {
        self.base + self.at
    }

    /// What is at hand from there on.
    #[inline]
    pub fn rest(&self) -> &[u8] {
        &self.text.as_bytes()[self.at..]
    }

    /// Goes on by so many bytes of the rest, to where a character begins.
    #[inline]
    pub fn advance(&mut self, bytes: usize) {
        self.at += bytes;
    }

    /// What stands between two bytes of the whole, all of which is kept, and neither of which is within a character.
    #[inline]
    pub fn between(&self, from: usize, to: usize) -> &str {
        let within = |byte: usize| byte.checked_sub(self.base);
        let range = within(from).zip(within(to));
        range.and_then(|(from, to)| self.text.get(from..to)).unwrap_or_default()
    }

    /// The next character at hand.
    pub fn character(&self) -> Option<char> {
        self.text.get(self.at..)?.chars().next()
    }

    /// What comes is asked for again, until it is forgotten.
    #[inline]
    pub fn keep(&mut self) {
        self.kept = self.kept.min(self.at);
    }

    /// What was passed is not asked for again, nor is what comes.
    #[inline]
    pub fn forget(&mut self) {
        self.kept = usize::MAX;
    }

    /// How many of the bytes that were passed are still asked for.
    pub fn kept(&self) -> usize {
        self.at.saturating_sub(self.kept)
    }

    /// Takes one piece more; whether there was any. An error says what is wrong, and at which byte.
    #[cold]
    pub fn more(&mut self) -> std::result::Result<bool, (usize, String)> {
        let passed = self.kept.min(self.at);
        self.text.drain(..passed);
        self.base += passed;
        self.at -= passed;
        self.kept -= passed;
        let end = self.base + self.text.len();
        while !self.ended {
            let read = match self.source.read(&mut self.piece[self.cut..]) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                read => read.map_err(|error| (end, format!("cannot be read: {error}")))?,
            };
            self.ended = read == 0;
            let there = self.cut + read;
            self.cut = if self.ended { 0 } else { cut_off(&self.piece[..there]) };
            let text = std::str::from_utf8(&self.piece[..there - self.cut])
                .map_err(|error| (end + error.valid_up_to(), "is not UTF-8 text".to_owned()))?;
            self.text.push_str(text);
            self.piece.copy_within(there - self.cut..there, 0);
            if there > self.cut {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// How many bytes at the end are of a character that goes on.
fn cut_off(bytes: &[u8]) -> usize {
    let first = bytes.iter().rev().take(3).position(|byte| *byte >= 0xC0);
    // The first byte of a character begins with as many ones as the character has bytes.
    let goes_on = |length: &usize| bytes[bytes.len() - length].leading_ones() as usize > *length;
    first.map(|before| before + 1).filter(goes_on).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::cut_off;

    #[test]
    fn what_is_cut_off_a_text_is_no_text() {
        let text = "aé€𝄞";
        for end in 0..=text.len() {
            let bytes = &text.as_bytes()[..end];
            let whole =
                std::str::from_utf8(bytes).map_or_else(|error| error.valid_up_to(), str::len);
            assert_eq!(cut_off(bytes), end - whole, "{end}");
        }
    }
}
