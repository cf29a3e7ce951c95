//! The JSON of headers and of indices, walked over once: texts are lent and not copied, and what nobody asks for is
//! passed over.
//!
//! A header may have 65,536 tensors and an index 393,216; a reader that makes values of them takes several times as
//! long.

use crate::error::shown;
use memchr::memchr;
use serde::de::IgnoredAny;
use std::borrow::Cow;

/// How deep a value that nobody asks for may be nested.
const DEEPEST: usize = 64;

/// What is wrong with a text, and at which of its bytes.
#[derive(Debug)]
pub(super) struct Wrong {
    pub at: usize,
    pub fact: String,
}

pub(super) type Read<T> = Result<T, Wrong>;

/// A place in a text, and all that is after it.
pub(super) struct Cursor<'t> {
    text: &'t str,
    at: usize,
}

/// A text as it stands in the JSON.
#[derive(Debug, Clone, Copy)]
pub(super) struct Quoted<'t> {
    /// The byte of the first quote.
    pub at: usize,
    /// What is between the quotes.
    pub raw: &'t str,
}

impl<'t> Quoted<'t> {
    /// What it says; `None` for escapes that say nothing.
    pub fn value(self) -> Option<Cow<'t, str>> {
        match memchr(b'\\', self.raw.as_bytes()) {
            None => Some(self.raw.into()),
            Some(_) => {
                let text = ["\"", self.raw, "\""].concat();
                serde_json::from_str::<String>(&text).ok().map(Cow::Owned)
            }
        }
    }
}

impl<'t> Cursor<'t> {
    pub fn new(text: &'t str) -> Self {
        Self { text, at: 0 }
    }

    /// From a byte on.
    pub fn from(text: &'t str, at: usize) -> Self {
        Self { text, at }
    }

    /// An error here.
    pub fn wrong(&self, fact: impl Into<String>) -> Wrong {
        Wrong { at: self.at, fact: fact.into() }
    }

    fn instead_of(&self, wanted: &str) -> Wrong {
        match self.text.get(self.at..).and_then(|rest| rest.chars().next()) {
            None => self.wrong(format!("ends where {wanted} should be")),
            Some(c) => {
                self.wrong(format!("has `{}` where {wanted} should be", shown(&c.to_string())))
            }
        }
    }

    /// The next byte that is no white space.
    fn peek(&mut self) -> Option<u8> {
        loop {
            let byte = *self.text.as_bytes().get(self.at)?;
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(byte);
            }
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    fn expect(&mut self, byte: u8, wanted: &str) -> Read<()> {
        if self.take(byte) { Ok(()) } else { Err(self.instead_of(wanted)) }
    }

    /// Nothing but white space.
    pub fn end(&mut self) -> Read<()> {
        if self.peek().is_none() { Ok(()) } else { Err(self.instead_of("the end")) }
    }

    /// An object, each of whose values `entry` reads.
    pub fn object(&mut self, mut entry: impl FnMut(&mut Self, Quoted<'t>) -> Read<()>) -> Read<()> {
        self.expect(b'{', "an object")?;
        if self.take(b'}') {
            return Ok(());
        }
        loop {
            let key = self.text()?;
            self.expect(b':', "`:`")?;
            entry(self, key)?;
            if !self.take(b',') {
                return self.expect(b'}', "`,` or `}`");
            }
        }
    }

    /// A list, each of whose items `item` reads.
    pub fn list(&mut self, mut item: impl FnMut(&mut Self) -> Read<()>) -> Read<()> {
        self.expect(b'[', "a list")?;
        if self.take(b']') {
            return Ok(());
        }
        loop {
            item(self)?;
            if !self.take(b',') {
                return self.expect(b']', "`,` or `]`");
            }
        }
    }

    /// A text.
    pub fn text(&mut self) -> Read<Quoted<'t>> {
        self.expect(b'"', "a text")?;
        let (bytes, from) = (self.text.as_bytes(), self.at);
        let mut to = from;
        loop {
            let Some(quote) = memchr(b'"', &bytes[to..]) else {
                self.at = bytes.len();
                return Err(self.instead_of("the end of a text"));
            };
            to += quote;
            let backslashes = bytes[from..to].iter().rev().take_while(|byte| **byte == b'\\');
            if backslashes.count() % 2 == 0 {
                break;
            }
            to += 1;
        }
        // Without an end to the walk before the text's it takes many bytes at a time.
        if bytes[from..to].iter().fold(false, |found, byte| found | (*byte < b' ')) {
            return Err(self.wrong("has a control character in a text"));
        }
        self.at = to + 1;
        Ok(Quoted { at: from - 1, raw: &self.text[from..to] })
    }

    /// A whole number that is not negative.
    pub fn number(&mut self) -> Read<u64> {
        self.peek();
        let rest = &self.text[self.at..];
        let digits = &rest[..rest.bytes().take_while(u8::is_ascii_digit).count()];
        if digits.is_empty() {
            return Err(self.instead_of("a whole number"));
        }
        match digits.parse() {
            Ok(number) if digits.len() == 1 || !digits.starts_with('0') => {
                self.at += digits.len();
                Ok(number)
            }
            _ => Err(self.wrong(format!("has the number `{}`, which is no size", shown(digits)))),
        }
    }

    /// Passes over any value.
    pub fn pass(&mut self) -> Read<()> {
        self.pass_within(DEEPEST)
    }

    fn pass_within(&mut self, depth: usize) -> Read<()> {
        match self.peek() {
            Some(b'{' | b'[') if depth == 0 => {
                Err(self.wrong(format!("is nested deeper than {DEEPEST} levels")))
            }
            Some(b'{') => self.object(|inner, _| inner.pass_within(depth - 1)),
            Some(b'[') => self.list(|inner| inner.pass_within(depth - 1)),
            Some(b'"') => self.text().map(drop),
            _ => self.word(),
        }
    }

    /// A number, `true`, `false` or `null`.
    fn word(&mut self) -> Read<()> {
        let rest = &self.text[self.at..];
        let is_in_word = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
        let word = &rest[..rest.bytes().take_while(is_in_word).count()];
        if serde_json::from_str::<IgnoredAny>(word).is_err() {
            return Err(self.instead_of("a value"));
        }
        self.at += word.len();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Cursor, DEEPEST};
    use proptest::prelude::*;
    use serde_json::Value;

    fn passes(text: &str) -> Result<(), String> {
        let mut cursor = Cursor::new(text);
        let read = cursor.pass().and_then(|()| cursor.end());
        read.map_err(|wrong| format!("{}: {}", wrong.at, wrong.fact))
    }

    #[test]
    fn texts_end_where_json_says() {
        for (text, value) in [
            (r#""""#, Some("")),
            (r#""a b""#, Some("a b")),
            (r#""\"""#, Some("\"")),
            (r#""\\""#, Some("\\")),
            (r#""\\\"é\u0041""#, Some("\\\"éA")),
            (r#""\x""#, None),
            (r#""\ud800""#, None),
        ] {
            let mut cursor = Cursor::new(text);
            let read = cursor.text().expect(text);
            assert_eq!(read.value().as_deref(), value, "{text}");
            assert!(cursor.end().is_ok(), "{text}");
        }
        for none in ["", "a", "\"", "\"\\\"", "\"\\\\\\\"", "\"\u{1}\"", "\"a\nb\""] {
            assert!(Cursor::new(none).text().is_err(), "{none:?}");
        }
    }

    #[test]
    fn numbers_are_sizes() {
        let number = |text| Cursor::new(text).number().map_err(|wrong| wrong.fact);
        assert_eq!(number(" 0"), Ok(0));
        assert_eq!(number("18446744073709551615"), Ok(u64::MAX));
        for none in ["18446744073709551616", "01", "-1", "", "x"] {
            assert!(number(none).is_err(), "{none}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let says = |text: &str| passes(text).expect_err(text);
        assert_eq!(says(r#"{"a" 1}"#), "5: has `1` where `:` should be");
        assert_eq!(says("[1, 2"), "5: ends where `,` or `]` should be");
        assert_eq!(says("[1] é"), "4: has `é` where the end should be");
        assert_eq!(says("[truth]"), "1: has `t` where a value should be");
        let nested = |levels| "[".repeat(levels) + &"]".repeat(levels);
        assert!(passes(&nested(DEEPEST)).is_ok());
        assert_eq!(says(&nested(DEEPEST + 1)), "64: is nested deeper than 64 levels");
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".{0,9}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::vec((".{0,5}", inner), 0..5)
                    .prop_map(|entries| entries.into_iter().collect::<Value>()),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_json_is_read(value in value()) {
            prop_assert_eq!(passes(&value.to_string()), Ok(()));
            let pretty = serde_json::to_string_pretty(&value).expect("JSON");
            prop_assert_eq!(passes(&pretty), Ok(()));
        }

        #[test]
        fn what_is_none_is_not(text in r#"[\[\]{}",:0-9a-c.\-+ \n]{0,40}"#) {
            prop_assert_eq!(passes(&text).is_ok(), serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok());
        }
    }
}
