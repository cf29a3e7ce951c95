//! The JSON of headers and of indices, walked over once: texts are lent and not copied, and what nobody asks for is
//! passed over.
//!
//! A header may have 57,344 tensors and an index 393,216; a reader that makes values of them takes several times as
//! long.

use super::GIVE_CONFIG;
use crate::error::shown;
use memchr::memchr;
use serde::de::IgnoredAny;
use std::borrow::Cow;

/// How deep a value that nobody asks for may be nested.
const DEEPEST: usize = 64;
/// The most values that nobody asks for; real indices have one or two, the sizes of all.
const MOST_PASSED: usize = 1 << 12;

/// What is wrong with a text, and at which of its bytes.
#[derive(Debug)]
pub(super) struct Wrong {
    pub at: usize,
    pub fact: String,
    /// Whether there is too much of something, and not something wrong.
    pub over: bool,
}

impl Wrong {
    /// What to do: something where it is wrong, and always the same where there is too much.
    pub fn hint(&self, wrong: &'static str) -> &'static str {
        if self.over { GIVE_CONFIG } else { wrong }
    }
}

pub(super) type Read<T> = Result<T, Wrong>;

/// A place in a text, and all that is after it.
pub(super) struct Cursor<'t> {
    text: &'t str,
    at: usize,
    /// How many values were passed over.
    passed: usize,
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
        Self::from(text, 0)
    }

    /// From a byte on.
    pub fn from(text: &'t str, at: usize) -> Self {
        Self { text, at, passed: 0 }
    }

    /// An error here.
    pub fn wrong(&self, fact: impl Into<String>) -> Wrong {
        Wrong { at: self.at, fact: fact.into(), over: false }
    }

    /// An error here: there is too much of something.
    pub fn over(&self, fact: impl Into<String>) -> Wrong {
        Wrong { over: true, ..self.wrong(fact) }
    }

    /// The same, of things of which there are more than so many.
    pub fn over_most(&self, most: usize, what: &str) -> Wrong {
        self.over(format!("has more than {most} {what}, the most that are read"))
    }

    #[cold]
    fn instead_of(&self, wanted: &str) -> Wrong {
        match self.text.get(self.at..).and_then(|rest| rest.chars().next()) {
            None => self.wrong(format!("ends where {wanted} should be")),
            Some(c) => {
                self.wrong(format!("has `{}` where {wanted} should be", shown(&c.to_string())))
            }
        }
    }

    /// The next byte that is no white space.
    #[inline]
    fn peek(&mut self) -> Option<u8> {
        match self.text.as_bytes().get(self.at) {
            Some(byte) if *byte > b' ' => Some(*byte),
            _ => self.after_space(),
        }
    }

    #[cold]
    fn after_space(&mut self) -> Option<u8> {
        let rest = &self.text.as_bytes()[self.at..];
        let run = |bytes: &[u8]| bytes.iter().take_while(|byte| is_space(byte)).count();
        let mut passed = run(&rest[..rest.len().min(16)]);
        if passed == 16 {
            // Many at a time, for a text may be full of them.
            let all = |chunk: &&[u8; 16]| chunk.iter().fold(true, |all, it| all & is_space(it));
            passed = 16 * rest.as_chunks::<16>().0.iter().take_while(all).count();
            passed += run(&rest[passed..]);
        }
        self.at += passed;
        self.text.as_bytes().get(self.at).copied()
    }

    #[inline]
    fn take(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    #[inline]
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
        loop {
            let Some((at, byte)) = next_special(bytes, self.at) else {
                self.at = bytes.len();
                return Err(self.instead_of("the end of a text"));
            };
            self.at = at + 1;
            match byte {
                b'"' => return Ok(Quoted { at: from - 1, raw: &self.text[from..at] }),
                // No quote that is escaped ends a text.
                b'\\' if matches!(bytes.get(self.at), Some(b'"' | b'\\')) => self.at += 1,
                b'\\' => {}
                _ => {
                    self.at = at;
                    return Err(self.wrong("has a control character in a text"));
                }
            }
        }
    }

    /// A whole number that is not negative.
    pub fn number(&mut self) -> Read<u64> {
        self.peek();
        let (mut number, mut end) = (0_u64, self.at);
        while let Some(digit @ b'0'..=b'9') = self.text.as_bytes().get(end) {
            number = number.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
            end += 1;
        }
        let digits = &self.text[self.at..end];
        if digits.is_empty() {
            return Err(self.instead_of("a whole number"));
        }
        // One digit less than the longest has always fits.
        let fits = digits.len() < 20 || digits.parse() == Ok(number);
        if !fits || (digits.len() > 1 && digits.starts_with('0')) {
            let fact = format!("has the number `{}`, which is no size", shown(digits));
            return Err(self.wrong(fact));
        }
        self.at = end;
        Ok(number)
    }

    /// Passes over any value.
    pub fn pass(&mut self) -> Read<()> {
        self.pass_within(DEEPEST)
    }

    fn pass_within(&mut self, depth: usize) -> Read<()> {
        self.passed += 1;
        if self.passed > MOST_PASSED {
            return Err(self.over_most(MOST_PASSED, "values of other keys"));
        }
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

fn is_space(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
}

/// The next byte that does not stand in a text as it is, and where: a quote, a backslash or a control character. Eight are
/// looked at at once, for most of a header are texts.
fn next_special(bytes: &[u8], from: usize) -> Option<(usize, u8)> {
    const EACH: u64 = u64::MAX / 0xFF;
    // The highest bit of each byte that is less; of those after the first that is, maybe more.
    let less =
        |word: u64, than: u8| word.wrapping_sub(EACH * u64::from(than)) & !word & (EACH << 7);
    let is = |word: u64, byte: u8| less(word ^ (EACH * u64::from(byte)), 1);
    let (words, rest) = bytes.get(from..)?.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let number = u64::from_le_bytes(*word);
        let found = less(number, b' ') | is(number, b'"') | is(number, b'\\');
        if found != 0 {
            let within = found.trailing_zeros() as usize / 8;
            return Some((from + 8 * at + within, word[within]));
        }
    }
    let from = bytes.len() - rest.len();
    let at = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..b' '))?;
    Some((from + at, rest[at]))
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
            (r#""eight by\"tes and \\\\ more""#, Some("eight by\"tes and \\\\ more")),
            (r#""\x""#, None),
            (r#""\ud800""#, None),
        ] {
            let mut cursor = Cursor::new(text);
            let read = cursor.text().expect(text);
            assert_eq!(read.value().as_deref(), value, "{text}");
            assert!(cursor.end().is_ok(), "{text}");
        }
        for none in ["", "a", "\"", "\"\\\"", "\"\\\\\\\"", "\"\u{1}\"", "\"a\nb\"", "\"\\\n\""] {
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

    /// What stands before the end of a text, byte by byte.
    fn raw(text: &str) -> Option<&str> {
        let (mut escaped, inside) = (false, text.strip_prefix('"')?);
        for (at, byte) in inside.bytes().enumerate() {
            match byte {
                0..b' ' => return None,
                b'"' if !escaped => return Some(&inside[..at]),
                _ => escaped = byte == b'\\' && !escaped,
            }
        }
        None
    }

    proptest! {
        #[test]
        fn texts_end_where_they_end_byte_by_byte(inside in r#"[a-z \x7f-\u{fff}"\\\x01\x1f!]{0,40}"#) {
            let text = format!("\"{inside}\"");
            prop_assert_eq!(Cursor::new(&text).text().ok().map(|text| text.raw), raw(&text));
        }

        #[test]
        fn white_space_of_any_length_is_passed(space in "[ \n\r\t]{0,70}", byte in "[!-~\x01]") {
            let text = format!("{space}{byte}");
            prop_assert_eq!(Cursor::new(&text).peek(), byte.bytes().next());
        }

        #[test]
        fn numbers_are_what_they_are_parsed_as(digits in "[0-9]{1,22}") {
            let parsed = digits.parse::<u64>().ok();
            let parsed = parsed.filter(|number| number.to_string() == digits);
            prop_assert_eq!(Cursor::new(&digits).number().ok(), parsed);
        }

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
