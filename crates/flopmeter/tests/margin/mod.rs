//! Does the arithmetic in a margin give the number beside it?
//!
//! A comment that is indented by three spaces names values, `#   pairs = t*(t + 1)/2 = 36`; a number's
//! comment is its formula, up to a semicolon, `mlp = 48 # 2*3*d*f; a word about it`. What a line
//! names, the lines after it may use.

use std::collections::HashMap;

/// A value, exact as long as it is a whole number that fits.
#[derive(Debug, Clone, Copy)]
struct Value {
    exact: Option<i128>,
    float: f64,
}

/// Lines whose formula does not give their number, or that have a number and no formula.
pub fn wrong(text: &str) -> Vec<String> {
    let mut names = HashMap::new();
    let mut wrong = Vec::new();
    let mut expects = false;
    for line in text.lines() {
        if let Some(definitions) = line.strip_prefix("#   ") {
            for definition in definitions.split(", ") {
                let parts: Vec<&str> = definition.split(" = ").collect();
                let sound = match parts[..] {
                    [name, formula] => name_value(name, formula, None, &mut names),
                    [name, formula, number] => name_value(name, formula, Some(number), &mut names),
                    _ => false,
                };
                if !sound {
                    wrong.push(definition.to_owned());
                }
            }
        } else if line.starts_with("[expect") {
            expects = true;
        } else if let Some((name, rest)) = line.split_once(" = ")
            && rest.starts_with(|first: char| first.is_ascii_digit())
            && expects
        {
            let (number, formula) = rest.split_once(" # ").unwrap_or((rest, rest));
            // What is given needs no formula: the device and the time.
            let given = ["peak", "bandwidth", "devices", "seconds"].contains(&name);
            let formula = formula.split(';').next().unwrap_or(formula);
            if (number == formula && number != "0" && !given)
                || !name_value(name.trim_matches('"'), formula, Some(number), &mut names)
            {
                wrong.push(line.to_owned());
            }
        }
    }
    wrong
}

/// Gives a formula's value a name; false if it has none, or not the one that is stated.
fn name_value(
    name: &str,
    formula: &str,
    stated: Option<&str>,
    names: &mut HashMap<String, Value>,
) -> bool {
    let Some(value) = evaluate(formula, names) else { return false };
    let Some(stated) = stated.map_or(Some(value), |stated| evaluate(stated, names)) else {
        return false;
    };
    names.insert(name.to_owned(), stated);
    match (value.exact, stated.exact) {
        (Some(value), Some(stated)) => value == stated,
        // A quotient or an expectation: a double, or rounded to a byte.
        (_, stated_exact) => {
            let byte = if stated_exact.is_some() { 0.5 } else { 0.0 };
            (value.float - stated.float).abs() <= byte + 1e-12 * stated.float.abs()
        }
    }
}

fn evaluate(formula: &str, names: &HashMap<String, Value>) -> Option<Value> {
    let mut formula = Formula { rest: formula.trim(), names };
    let value = formula.sum()?;
    formula.rest.is_empty().then_some(value)
}

/// A formula that is read from left to right: `+ -`, `* /`, `^`, brackets, numbers and names.
struct Formula<'f> {
    rest: &'f str,
    names: &'f HashMap<String, Value>,
}

impl Formula<'_> {
    fn sum(&mut self) -> Option<Value> {
        let mut sum = self.product()?;
        while let Some(sign) = self.take(&['+', '-']) {
            let term = self.product()?;
            sum = match sign {
                '+' => sum.with(term, i128::checked_add, |a, b| a + b),
                _ => sum.with(term, i128::checked_sub, |a, b| a - b),
            };
        }
        Some(sum)
    }

    fn product(&mut self) -> Option<Value> {
        let mut product = self.power()?;
        while let Some(sign) = self.take(&['*', '/']) {
            let factor = self.power()?;
            product = match sign {
                '*' => product.with(factor, i128::checked_mul, |a, b| a * b),
                _ => product.with(factor, divided, |a, b| a / b),
            };
        }
        Some(product)
    }

    fn power(&mut self) -> Option<Value> {
        let base = self.atom()?;
        let Some(_) = self.take(&['^']) else { return Some(base) };
        let power = |a: i128, b: i128| a.checked_pow(b.try_into().ok()?);
        Some(base.with(self.atom()?, power, f64::powf))
    }

    fn atom(&mut self) -> Option<Value> {
        if self.take(&['(']).is_some() {
            let inner = self.sum()?;
            return self.take(&[')']).map(|_| inner);
        }
        let of_word = |c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '.');
        // The sign in 1e-3 belongs to the number.
        let mut end = self.rest.find(of_word).unwrap_or(self.rest.len());
        let is_number = self.rest.starts_with(|first: char| first.is_ascii_digit());
        if is_number && self.rest[..end].ends_with('e') && self.rest[end..].starts_with('-') {
            let tail = &self.rest[end + 1..];
            end += 1 + tail.find(of_word).unwrap_or(tail.len());
        }
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest.trim_start();
        if !is_number {
            return self.names.get(word).copied();
        }
        let digits = word.replace('_', "");
        Some(Value { exact: digits.parse().ok(), float: digits.parse().ok()? })
    }

    fn take(&mut self, signs: &[char]) -> Option<char> {
        let first = self.rest.chars().next().filter(|first| signs.contains(first))?;
        self.rest = self.rest[1..].trim_start();
        Some(first)
    }
}

impl Value {
    fn with(
        self,
        other: Self,
        exact: impl Fn(i128, i128) -> Option<i128>,
        float: impl Fn(f64, f64) -> f64,
    ) -> Self {
        let exact = self.exact.zip(other.exact).and_then(|(a, b)| exact(a, b));
        // What is exact is rounded once.
        let float = exact.map_or_else(|| float(self.float, other.float), |exact| exact as f64);
        Self { exact, float }
    }
}

/// A quotient that is a whole number.
fn divided(a: i128, b: i128) -> Option<i128> {
    (b != 0 && a % b == 0).then(|| a / b)
}

#[test]
fn formulas() {
    let names = HashMap::from([("d.x".to_owned(), Value { exact: Some(6), float: 6.0 })]);
    let exact = |formula| evaluate(formula, &names).and_then(|value| value.exact);
    assert_eq!(exact("2*d.x^2 - (1 + 3)*2/4"), Some(70));
    assert_eq!(exact("1_000 - 1 - 1"), Some(998));
    assert_eq!(exact("1/3"), None);
    assert_eq!(evaluate("2.5e-1*4", &names).map(|value| value.float), Some(1.0));
    for broken in ["", "2*", "(2", "y", "2 3", "2)"] {
        assert!(evaluate(broken, &names).is_none(), "{broken}");
    }
    assert!(wrong("#   a = 2, b = a*3 = 6\n[expect]\nc = 12 # 2*b").is_empty());
    assert_eq!(wrong("#   a = 2, b = a*3 = 7").len(), 1);
    assert_eq!(wrong("[expect]\nc = 12").len(), 1);
}
