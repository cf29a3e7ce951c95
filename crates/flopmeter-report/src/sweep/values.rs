//! Numbers that a sweep goes through: `1,2,8`, `1..9+2`, `1..256x2`.

/// Lists and ranges, in the order in which they were given. Nothing is written out: a range of 2^64 numbers takes as
/// much room as one of two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Values(Vec<Part>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Part {
    /// How many there are in the parts before it.
    before: u128,
    from: u64,
    by: By,
    count: u128,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Adding(u64),
    Multiplying(u64),
}

const FORM: &str = "not a number, a list such as 1,2,8 or a range such as 1..9+2 or 1..256x2";

impl Values {
    /// Reads numbers and ranges, with commas between them. Both ends of a range are in it.
    ///
    /// # Errors
    ///
    /// What is wrong with a range.
    pub fn parse(text: &str) -> Result<Self, String> {
        let parts = text.split(',').map(|part| Part::parse(part.trim()));
        Ok(Self::of(parts.collect::<Result<_, _>>()?))
    }

    /// Numbers, one by one.
    pub fn listed(numbers: impl IntoIterator<Item = u64>) -> Self {
        Self::of(numbers.into_iter().map(Part::one).collect())
    }

    /// One number.
    pub fn one(number: u64) -> Self {
        Self::of(vec![Part::one(number)])
    }

    /// Numbers below an end, each so much more than the one before; nothing if there is none.
    pub fn stepped(from: u64, end: u64, step: u64) -> Option<Self> {
        let count = end.checked_sub(from)?.div_ceil(step.max(1)).into();
        let part = Part { before: 0, from, by: By::Adding(step), count };
        (count > 0).then(|| Self::of(vec![part]))
    }

    fn of(mut parts: Vec<Part>) -> Self {
        let mut before = 0;
        for part in &mut parts {
            part.before = before;
            // A part has at most 2^64 numbers, and a list fewer parts than that.
            before += part.count;
        }
        Self(parts)
    }

    /// How many they are.
    pub fn count(&self) -> u128 {
        self.0.last().map_or(0, |part| part.before + part.count)
    }

    /// The one at a place, `None` behind the last.
    pub fn get(&self, at: usize) -> Option<u64> {
        let at = at as u128;
        let part = &self.0[self.0.partition_point(|part| part.before <= at).checked_sub(1)?];
        let at = at - part.before;
        if at < part.count { part.get(at) } else { None }
    }

    /// The largest.
    pub fn largest(&self) -> u64 {
        self.0.iter().filter_map(|part| part.get(part.count - 1)).max().unwrap_or(0)
    }
}

impl Part {
    fn parse(text: &str) -> Result<Self, String> {
        let number = |text: &str| {
            let text = text.trim();
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse().map_err(|_| match digits {
                true => format!("`{text}` is more than {}", u64::MAX),
                false => FORM.to_owned(),
            })
        };
        let Some((from, rest)) = text.split_once("..") else {
            return Ok(Self::one(number(text)?));
        };
        let (to, by) = match rest.split_once(['x', '+']) {
            None => (rest, By::Adding(1)),
            Some((to, by)) if rest.contains('x') => (to, By::Multiplying(number(by)?)),
            Some((to, by)) => (to, By::Adding(number(by)?)),
        };
        let (from, to) = (number(from)?, number(to)?);
        if to < from {
            return Err(format!("the range {text} ends before it begins; give {to}..{from}"));
        }
        let count = match by {
            By::Adding(0) => {
                return Err(format!("the range {text} adds 0 and never ends; add at least 1"));
            }
            By::Adding(step) => u128::from((to - from) / step) + 1,
            By::Multiplying(0 | 1) => {
                return Err(format!("the range {text} never ends; multiply by at least 2"));
            }
            By::Multiplying(_) if from == 0 => {
                return Err(format!("the range {text} never leaves 0; begin with 1"));
            }
            By::Multiplying(factor) => {
                let powers = std::iter::successors(Some(from), |last| last.checked_mul(factor));
                powers.take_while(|power| *power <= to).count() as u128
            }
        };
        Ok(Self { before: 0, from, by, count })
    }

    fn one(from: u64) -> Self {
        Self { before: 0, from, by: By::Adding(1), count: 1 }
    }

    fn get(&self, at: u128) -> Option<u64> {
        let at = u64::try_from(at).ok()?;
        match self.by {
            By::Adding(step) => self.from.checked_add(step.checked_mul(at)?),
            By::Multiplying(factor) => {
                self.from.checked_mul(factor.checked_pow(u32::try_from(at).ok()?)?)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Values;

    fn read(text: &str) -> Vec<u64> {
        let values = Values::parse(text).unwrap_or_else(|fact| panic!("{text}: {fact}"));
        let all: Vec<u64> = (0..).map_while(|at| values.get(at)).collect();
        assert_eq!(all.len() as u128, values.count(), "{text}");
        assert_eq!(all.iter().copied().max(), Some(values.largest()), "{text}");
        all
    }

    #[test]
    fn lists_and_ranges_are_what_they_say() {
        assert_eq!(read("8"), [8]);
        assert_eq!(read("1,2,8"), [1, 2, 8]);
        assert_eq!(read("8, 2"), [8, 2]);
        assert_eq!(read("3..6"), [3, 4, 5, 6]);
        assert_eq!(read("1..9+2"), [1, 3, 5, 7, 9]);
        assert_eq!(read("1..10+4"), [1, 5, 9]);
        assert_eq!(read("1..256x2"), [1, 2, 4, 8, 16, 32, 64, 128, 256]);
        assert_eq!(read("3..100x3"), [3, 9, 27, 81]);
        assert_eq!(read("0..2,10,5..5"), [0, 1, 2, 10, 5]);
        assert_eq!(read("5..5x2"), [5]);
        assert_eq!(read("18446744073709551615"), [u64::MAX]);
        assert_eq!(read("1..18446744073709551615x9223372036854775807").len(), 2);
    }

    #[test]
    fn numbers_are_listed_or_stepped() {
        let all = |values: &Values| -> Vec<u64> { (0..).map_while(|at| values.get(at)).collect() };
        assert_eq!(all(&Values::listed([8, 2, 2])), [8, 2, 2]);
        assert_eq!(Values::stepped(1, 10, 4).as_ref().map(all), Some(vec![1, 5, 9]));
        assert_eq!(Values::stepped(1, 9, 4).as_ref().map(all), Some(vec![1, 5]));
        assert_eq!(Values::stepped(1, 1, 4), None);
        assert_eq!(Values::stepped(2, 1, 4), None);
        assert_eq!(Values::stepped(0, u64::MAX, 1).map(|it| it.count()), Some(u64::MAX.into()));
        assert_eq!(Values::listed([]).count(), 0);
    }

    #[test]
    fn a_range_that_nobody_can_write_out_has_its_size() {
        let all = Values::parse("0..18446744073709551615").expect("a range");
        assert_eq!(all.count(), 1 << 64);
        assert_eq!((all.get(7), all.get(usize::MAX)), (Some(7), Some(usize::MAX as u64)));
        let powers = Values::parse("1..18446744073709551615x2").expect("a range");
        assert_eq!((powers.count(), powers.largest()), (64, 1 << 63));
        let twice = Values::parse("0..18446744073709551615,0..18446744073709551615").expect("two");
        assert_eq!(twice.count(), 1 << 65);
    }

    #[test]
    fn what_is_no_range_is_told_why() {
        for (text, fact) in [
            ("9..1", "ends before it begins"),
            ("9..1x2", "ends before it begins"),
            ("1..9+0", "adds 0"),
            ("1..9x0", "at least 2"),
            ("1..9x1", "at least 2"),
            ("0..9x2", "never leaves 0"),
            ("1..18446744073709551616", "more than 18446744073709551615"),
            ("1..9x18446744073709551616", "more than 18446744073709551615"),
        ] {
            let said = Values::parse(text).expect_err(text);
            assert!(said.contains(fact), "{text}: {said}");
        }
        for text in
            ["", ",", "1,", "-1", "1..", "..9", "1...9", "1..9*2", "1..9x", "1..9+2x2", "1.5", "a"]
        {
            assert_eq!(Values::parse(text).expect_err(text), super::FORM, "{text}");
        }
    }
}
