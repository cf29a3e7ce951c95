//! The JSON of headers and of indices, walked over once: texts are lent and not copied, and what nobody asks for is
//! passed over.
//!
//! A header may have 57,344 tensors and an index 393,216; a reader that makes values of them takes several times as
//! long.

use super::GIVE_CONFIG;
use super::scan::{leading_number, next_special, spaces};
use super::window::{Text, Window};
use crate::error::shown;
use serde::de::IgnoredAny;
use std::borrow::Cow;

/// How deep a value that nobody asks for may be nested.
const DEEPEST: usize = 64;
/// The most values that nobody asks for; real indices have one or two, the sizes of all.
const MOST_PASSED: usize = 1 << 12;
/// The most bytes of one entry, white space included, of which a name and what is said of it are kept; real ones have under
/// 400.
const MOST_KEPT: usize = 1 << 20;

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

/// In a box, for there are many results and few errors.
pub(super) type Read<T> = Result<T, Box<Wrong>>;

/// A place in a text, and all that is after it.
pub(super) struct Cursor<'t> {
    window: Window<'t>,
    /// How many values were passed over.
    passed: usize,
}

/// Where a text stands in the JSON.
#[derive(Debug, Clone, Copy)]
pub(super) struct Quoted {
    /// The bytes between its quotes.
    pub from: usize,
    pub to: usize,
    /// Whether it has an escape, so that it says something else than stands there.
    pub escaped: bool,
}

impl Quoted {
    /// The byte of the first quote.
    pub fn at(self) -> usize {
        self.from - 1
    }
}

impl<'t> Cursor<'t> {
    pub fn new(text: &'t dyn Text) -> Read<Self> {
        let fact = |error| format!("cannot be read: {error}");
        let source =
            text.open().map_err(|error| Wrong { at: 0, fact: fact(error), over: false })?;
        Ok(Self { window: Window::new(source), passed: 0 })
    }

    /// The next byte of the text.
    pub fn position(&self) -> usize {
        self.window.position()
    }

    /// What stood in front is not asked for again: texts that come are kept from the first on.
    #[inline]
    pub fn forget(&mut self) {
        self.window.forget();
    }

    /// Passes over so many bytes, or as many as there are.
    pub fn pass_bytes(&mut self, bytes: usize) -> Read<()> {
        while self.position() < bytes && self.byte()?.is_some() {
            let there = self.window.rest().len();
            self.window.advance(there.min(bytes - self.position()));
            self.window.forget();
        }
        Ok(())
    }

    /// A text as it stands in the JSON.
    #[inline]
    pub fn raw(&self, quoted: Quoted) -> &str {
        self.window.between(quoted.from, quoted.to)
    }

    /// What a text says; `None` for escapes that say nothing.
    #[inline]
    pub fn value(&self, quoted: Quoted) -> Option<Cow<'_, str>> {
        let raw = self.raw(quoted);
        if !quoted.escaped {
            return Some(raw.into());
        }
        serde_json::from_str::<String>(&["\"", raw, "\""].concat()).ok().map(Cow::Owned)
    }

    /// An error here.
    pub fn wrong(&self, fact: impl Into<String>) -> Box<Wrong> {
        Box::new(Wrong { at: self.position(), fact: fact.into(), over: false })
    }

    /// An error here: there is too much of something.
    pub fn over(&self, fact: impl Into<String>) -> Box<Wrong> {
        Box::new(Wrong { at: self.position(), fact: fact.into(), over: true })
    }

    /// The same, of things of which there are more than so many.
    pub fn over_most(&self, most: usize, what: &str) -> Box<Wrong> {
        self.over(format!("has more than {most} {what}, the most that are read"))
    }

    #[cold]
    fn instead_of(&self, wanted: &str) -> Box<Wrong> {
        match self.window.character() {
            None => self.wrong(format!("ends where {wanted} should be")),
            Some(c) => {
                self.wrong(format!("has `{}` where {wanted} should be", shown(&c.to_string())))
            }
        }
    }

    #[cold]
    fn more(&mut self) -> Read<bool> {
        if self.window.kept() > MOST_KEPT {
            return Err(self.over_most(MOST_KEPT, "bytes in one entry"));
        }
        let wrong = |(at, fact)| Wrong { at, fact, over: false }.into();
        self.window.more().map_err(wrong)
    }

    /// The next byte, whatever it is.
    #[inline]
    fn byte(&mut self) -> Read<Option<u8>> {
        if self.window.rest().is_empty() {
            self.more()?;
        }
        Ok(self.window.rest().first().copied())
    }

    /// The next byte that is no white space.
    #[inline]
    fn peek(&mut self) -> Read<Option<u8>> {
        match self.window.rest().first() {
            Some(byte) if *byte > b' ' => Ok(Some(*byte)),
            _ => self.after_space(),
        }
    }

    #[cold]
    fn after_space(&mut self) -> Read<Option<u8>> {
        while self.byte()?.is_some() {
            let passed = spaces(self.window.rest());
            self.window.advance(passed);
            if let Some(byte) = self.window.rest().first() {
                return Ok(Some(*byte));
            }
        }
        Ok(None)
    }

    #[inline]
    fn take(&mut self, byte: u8) -> Read<bool> {
        let there = self.peek()? == Some(byte);
        self.window.advance(usize::from(there));
        Ok(there)
    }

    #[inline]
    fn expect(&mut self, byte: u8, wanted: &str) -> Read<()> {
        if self.take(byte)? { Ok(()) } else { Err(self.instead_of(wanted)) }
    }

    /// Nothing but white space.
    pub fn end(&mut self) -> Read<()> {
        if self.peek()?.is_none() { Ok(()) } else { Err(self.instead_of("the end")) }
    }

    /// An object, each of whose values `entry` reads.
    pub fn object(&mut self, mut entry: impl FnMut(&mut Self, Quoted) -> Read<()>) -> Read<()> {
        self.expect(b'{', "an object")?;
        if self.take(b'}')? {
            return Ok(());
        }
        loop {
            let key = self.text()?;
            self.expect(b':', "`:`")?;
            entry(self, key)?;
            if !self.take(b',')? {
                return self.expect(b'}', "`,` or `}`");
            }
        }
    }

    /// A list, each of whose items `item` reads.
    pub fn list(&mut self, mut item: impl FnMut(&mut Self) -> Read<()>) -> Read<()> {
        self.expect(b'[', "a list")?;
        if self.take(b']')? {
            return Ok(());
        }
        loop {
            item(self)?;
            if !self.take(b',')? {
                return self.expect(b']', "`,` or `]`");
            }
        }
    }

    /// A text, which is kept.
    #[inline]
    pub fn text(&mut self) -> Read<Quoted> {
        self.peek()?;
        self.window.keep();
        // Nearly all are at hand whole, and have no escape.
        if let Some((b'"', inside)) = self.window.rest().split_first()
            && let Some((length, b'"')) = next_special(inside)
        {
            let from = self.position() + 1;
            self.window.advance(length + 2);
            return Ok(Quoted { from, to: from + length, escaped: false });
        }
        self.any_text()
    }

    /// Passes over a text.
    pub fn pass_text(&mut self) -> Read<()> {
        self.any_text().map(drop)
    }

    fn any_text(&mut self) -> Read<Quoted> {
        self.expect(b'"', "a text")?;
        let (from, mut escaped) = (self.position(), false);
        loop {
            let Some((length, byte)) = next_special(self.window.rest()) else {
                self.window.advance(self.window.rest().len());
                if self.more()? {
                    continue;
                }
                return Err(self.instead_of("the end of a text"));
            };
            self.window.advance(length);
            match byte {
                b'"' => {
                    let to = self.position();
                    self.window.advance(1);
                    return Ok(Quoted { from, to, escaped });
                }
                b'\\' => {
                    escaped = true;
                    self.window.advance(1);
                    // No quote that is escaped ends a text.
                    if matches!(self.byte()?, Some(b'"' | b'\\')) {
                        self.window.advance(1);
                    }
                }
                _ => return Err(self.wrong("has a control character in a text")),
            }
        }
    }

    /// A whole number that is not negative.
    #[inline]
    pub fn number(&mut self) -> Read<u64> {
        self.peek()?;
        // Nearly all are at hand whole, and short enough to fit.
        let (number, digits) = leading_number(self.window.rest());
        let whole = (1..self.window.rest().len()).contains(&digits);
        if whole && digits < 20 && (digits == 1 || self.window.rest()[0] != b'0') {
            self.window.advance(digits);
            return Ok(number);
        }
        self.any_number()
    }

    fn any_number(&mut self) -> Read<u64> {
        let first = self.peek()?;
        self.window.keep();
        let from = self.position();
        loop {
            let (_, digits) = leading_number(self.window.rest());
            let goes_on = digits == self.window.rest().len();
            self.window.advance(digits);
            if !goes_on || !self.more()? {
                break;
            }
        }
        let written = self.window.between(from, self.position());
        if written.is_empty() {
            return Err(self.instead_of("a whole number"));
        }
        match written.parse() {
            Ok(number) if written.len() == 1 || first != Some(b'0') => Ok(number),
            _ => {
                let fact = format!("has the number `{}`, which is no size", shown(written));
                Err(Box::new(Wrong { at: from, fact, over: false }))
            }
        }
    }

    /// Passes over any value, and forgets what stood in front.
    pub fn pass(&mut self) -> Read<()> {
        self.pass_within(DEEPEST)
    }

    fn pass_within(&mut self, depth: usize) -> Read<()> {
        self.forget();
        self.passed += 1;
        if self.passed > MOST_PASSED {
            return Err(self.over_most(MOST_PASSED, "values of other keys"));
        }
        match self.peek()? {
            Some(b'{' | b'[') if depth == 0 => {
                Err(self.wrong(format!("is nested deeper than {DEEPEST} levels")))
            }
            Some(b'{') => self.object(|inner, _| inner.pass_within(depth - 1)),
            Some(b'[') => self.list(|inner| inner.pass_within(depth - 1)),
            Some(b'"') => self.pass_text(),
            _ => self.word(),
        }
    }

    /// A number, `true`, `false` or `null`.
    fn word(&mut self) -> Read<()> {
        self.window.keep();
        let from = self.position();
        let is_in_word = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
        while self.byte()?.as_ref().is_some_and(is_in_word) {
            self.window.advance(1);
        }
        let word = self.window.between(from, self.position());
        if serde_json::from_str::<IgnoredAny>(word).is_ok() {
            return Ok(());
        }
        let first = word.chars().next().or(self.window.character());
        let fact = match first {
            None => "ends where a value should be".to_owned(),
            Some(c) => format!("has `{}` where a value should be", shown(&c.to_string())),
        };
        Err(Box::new(Wrong { at: from, fact, over: false }))
    }
}

#[cfg(test)]
mod tests {
    use super::super::window::Text;
    use super::{Cursor, DEEPEST};
    use proptest::prelude::*;
    use serde_json::Value;
    use std::io::{self, Read};

    /// A text that comes in pieces of so many bytes.
    struct Pieces<'t>(&'t str, usize);

    struct Reader<'t>(&'t [u8], usize);

    impl Text for Pieces<'_> {
        fn open(&self) -> io::Result<Box<dyn Read + '_>> {
            Ok(Box::new(Reader(self.0.as_bytes(), self.1)))
        }
    }

    impl Read for Reader<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let most = into.len().min(self.1);
            self.0.read(&mut into[..most])
        }
    }

    fn at<'t>(text: &'t &str) -> Cursor<'t> {
        Cursor::new(text).expect("a text is always there")
    }

    fn passes(text: &str) -> Result<(), String> {
        passes_in(&text)
    }

    fn passes_in(text: &dyn Text) -> Result<(), String> {
        let mut cursor = Cursor::new(text).expect("a text is always there");
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
            let mut cursor = at(&text);
            let read = cursor.text().expect(text);
            assert_eq!(cursor.value(read).as_deref(), value, "{text}");
            assert!(cursor.end().is_ok(), "{text}");
        }
        for none in ["", "a", "\"", "\"\\\"", "\"\\\\\\\"", "\"\u{1}\"", "\"a\nb\"", "\"\\\n\""] {
            assert!(at(&none).text().is_err(), "{none:?}");
        }
    }

    #[test]
    fn numbers_are_sizes() {
        let number = |text: &str| at(&text).number().map_err(|wrong| wrong.fact);
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
            let text = text.as_str();
            let mut cursor = at(&text);
            let read = cursor.text().ok();
            prop_assert_eq!(read.map(|quoted| cursor.raw(quoted)), raw(text));
        }

        #[test]
        fn white_space_of_any_length_is_passed(space in "[ \n\r\t]{0,70}", byte in "[!-~\x01]") {
            let text = format!("{space}{byte}");
            prop_assert_eq!(at(&text.as_str()).peek().ok().flatten(), byte.bytes().next());
        }

        #[test]
        fn numbers_are_what_they_are_parsed_as(digits in "[0-9]{1,22}") {
            let parsed = digits.parse::<u64>().ok();
            let parsed = parsed.filter(|number| number.to_string() == digits);
            prop_assert_eq!(at(&digits.as_str()).number().ok(), parsed);
        }

        #[test]
        fn what_is_json_is_read(value in value()) {
            prop_assert_eq!(passes(&value.to_string()), Ok(()));
            let pretty = serde_json::to_string_pretty(&value).expect("JSON");
            prop_assert_eq!(passes(&pretty), Ok(()));
        }

        #[test]
        fn pieces_are_read_as_the_whole(value in value(), cut in 0_usize..99, piece in 1_usize..9) {
            let pretty = serde_json::to_string_pretty(&value).expect("JSON");
            let cut: String = pretty.chars().take(pretty.chars().count().saturating_sub(cut)).collect();
            for text in [&pretty, &cut] {
                prop_assert_eq!(passes_in(&Pieces(text, piece)), passes(text));
            }
        }

        #[test]
        fn what_is_none_is_not(text in r#"[\[\]{}",:0-9a-c.\-+ \n]{0,40}"#) {
            prop_assert_eq!(passes(&text).is_ok(), serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok());
        }
    }
}
