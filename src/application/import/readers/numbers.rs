//! Parses the numbers of shops' exports as people write them: `1.234,50`, `1 234.50`, `€ 2,50`.
//!
//! A point or comma with exactly three digits after it, and one to three before, is ambiguous: `1.234` is thousands in
//! one shop and a fraction in another. The other values of such a column may show which of the two it is; if they do
//! not, the value is refused.

use std::str::FromStr;

use super::columns::Column;
use super::decimal::{NumberError, units};
use crate::application::import::line::SourceLine;
use crate::domain::money::Currency;

/// The character between the whole and the fraction of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecimalMark {
    /// A point; a comma separates thousands.
    Point,
    /// A comma; a point separates thousands.
    Comma,
}

/// The text is neither a point nor a comma.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a decimal mark is `.` or `,`")]
pub struct UnknownMark;

impl DecimalMark {
    fn of(c: char) -> Self {
        if c == ',' { Self::Comma } else { Self::Point }
    }

    fn other(self) -> Self {
        if self == Self::Comma { Self::Point } else { Self::Comma }
    }
}

impl FromStr for DecimalMark {
    type Err = UnknownMark;

    fn from_str(text: &str) -> Result<Self, UnknownMark> {
        match text {
            "." => Ok(Self::Point),
            "," => Ok(Self::Comma),
            _ => Err(UnknownMark),
        }
    }
}

/// The decimal marks of a file's columns, as far as they are known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Marks {
    /// The mark of prices.
    pub prices: Option<DecimalMark>,
    /// The mark of quantities.
    pub quantities: Option<DecimalMark>,
}

impl Marks {
    /// Returns these marks, and those of `other` where there are none.
    pub(crate) fn or(self, other: Self) -> Self {
        Self { prices: self.prices.or(other.prices), quantities: self.quantities.or(other.quantities) }
    }

    /// Parses a price in minor units of a currency, whose code or symbol may stand before or after the number.
    pub(super) fn price(self, text: &str, currency: Currency) -> Result<i64, NumberError> {
        let (number, label) = without_label(text);
        if !label.is_empty() && !currency.is_named(&label) {
            return Err(NumberError::OtherCurrency);
        }
        Number::parse(&number)?.units(self.prices, currency.minor_digits())
    }

    /// Parses a number of pieces.
    pub(super) fn quantity(self, text: &str) -> Result<i64, NumberError> {
        Number::parse(text)?.units(self.quantities, 0)
    }
}

/// The columns with numbers, and which decimal marks their values so far show.
#[derive(Default)]
pub(super) struct NumberColumns {
    prices: Vec<Column>,
    quantities: Vec<Column>,
    of_prices: Shown,
    of_quantities: Shown,
}

impl NumberColumns {
    pub(super) fn new(prices: Vec<Column>, quantities: Vec<Column>) -> Self {
        Self { prices, quantities, ..Self::default() }
    }

    /// Adds the values of a line.
    pub(super) fn add(&mut self, line: &SourceLine) {
        for column in &self.prices {
            self.of_prices.add(&without_label(column.of(line)).0);
        }
        for column in &self.quantities {
            self.of_quantities.add(column.of(line));
        }
    }

    /// Returns the marks that the values show without a contradiction.
    pub(super) fn marks(&self) -> Marks {
        Marks { prices: self.of_prices.mark(), quantities: self.of_quantities.mark() }
    }
}

/// The decimal marks that values show.
#[derive(Default)]
struct Shown {
    point: bool,
    comma: bool,
}

impl Shown {
    fn add(&mut self, number: &str) {
        match Number::parse(number).ok().and_then(|number| number.shown_mark()) {
            Some(DecimalMark::Point) => self.point = true,
            Some(DecimalMark::Comma) => self.comma = true,
            None => {}
        }
    }

    fn mark(&self) -> Option<DecimalMark> {
        match (self.point, self.comma) {
            (true, false) => Some(DecimalMark::Point),
            (false, true) => Some(DecimalMark::Comma),
            _ => None,
        }
    }
}

/// A number that was split at its marks.
struct Number<'a> {
    sign: &'a str,
    /// The digits before the decimal mark, without separators of thousands.
    whole: String,
    /// The separator of thousands, if there are several groups.
    group: Option<char>,
    /// The last point or comma with the digits after it, unless it occurs before, too.
    fraction: Option<(DecimalMark, &'a str)>,
}

impl<'a> Number<'a> {
    fn parse(text: &'a str) -> Result<Self, NumberError> {
        let unsigned = text.trim_start_matches(['-', '+']);
        let (sign, digits) = text.split_at(text.len() - unsigned.len());
        let last = digits.char_indices().rfind(|(_, c)| matches!(c, '.' | ','));
        let last = last.filter(|(at, c)| !digits[..*at].contains(*c));
        let (whole, fraction) = match last {
            Some((at, c)) => (&digits[..at], Some((DecimalMark::of(c), &digits[at + 1..]))),
            None => (digits, None),
        };

        let group = whole.chars().find(|c| is_group_separator(*c));
        if let Some(group) = group {
            let mut groups = whole.split(group);
            let has_valid_first = groups.next().is_some_and(|first| (1..=3).contains(&first.len()));
            if !has_valid_first || !groups.all(|group| group.len() == 3) {
                return Err(NumberError::Malformed);
            }
        }
        let whole: String = whole.chars().filter(|c| Some(*c) != group).collect();
        let fraction_digits = fraction.map_or("0", |(_, digits)| digits);
        let mut all = whole.bytes().chain(fraction_digits.bytes());
        if fraction_digits.is_empty() || !all.all(|byte| byte.is_ascii_digit()) {
            return Err(NumberError::Malformed);
        }
        Ok(Self { sign, whole, group, fraction })
    }

    /// Returns whether the mark may be that of a fraction or that of thousands.
    fn is_ambiguous(&self) -> bool {
        let is_thousands = (1..=3).contains(&self.whole.len()) && !self.whole.starts_with('0');
        self.group.is_none() && is_thousands && self.fraction.is_some_and(|(_, digits)| digits.len() == 3)
    }

    /// Returns the decimal mark that the number shows.
    fn shown_mark(&self) -> Option<DecimalMark> {
        match (self.fraction, self.group) {
            _ if self.is_ambiguous() => None,
            (Some((mark, _)), _) => Some(mark),
            (None, Some(group @ ('.' | ','))) => Some(DecimalMark::of(group).other()),
            (None, _) => None,
        }
    }

    /// Returns the number in units of `10^-digits`.
    fn units(&self, mark: Option<DecimalMark>, digits: u32) -> Result<i64, NumberError> {
        let Self { sign, whole, .. } = self;
        match self.fraction {
            None => units(&format!("{sign}{whole}"), digits),
            Some((found, fraction)) if !self.is_ambiguous() || mark == Some(found) => {
                units(&format!("{sign}{whole}.{fraction}"), digits)
            }
            Some((_, fraction)) if mark.is_some() => units(&format!("{sign}{whole}{fraction}"), digits),
            Some(_) => Err(NumberError::Ambiguous),
        }
    }
}

/// Returns whether a character separates thousands. A space may be one that does not break, or a thin one.
fn is_group_separator(c: char) -> bool {
    c.is_whitespace() || matches!(c, '.' | ',' | '\'' | '’')
}

/// Splits a price into its number and what stands before and after it, such as a currency. A sign may stand before
/// both.
fn without_label(text: &str) -> (String, String) {
    let is_digit = |c: char| c.is_ascii_digit();
    let (Some(first), Some(last)) = (text.find(is_digit), text.rfind(is_digit)) else {
        return (text.to_owned(), String::new());
    };
    let (before, number, after) = (&text[..first], &text[first..=last], &text[last + 1..]);
    let is_sign = |c: char| matches!(c, '-' | '+');
    let label = |part: &str| {
        let part = part.trim_matches(|c: char| c.is_whitespace() || is_sign(c));
        // `kr.`, and the point of `.50`
        part.trim_end_matches(['.', ',']).to_owned()
    };
    let labels = [label(before), label(after)];
    if labels.iter().all(String::is_empty) {
        return (text.to_owned(), String::new());
    }
    let sign: String = before.chars().filter(|c| is_sign(*c)).collect();
    (format!("{sign}{number}"), labels.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn price(text: &str, prices: Option<DecimalMark>) -> Result<i64, NumberError> {
        Marks { prices, quantities: None }.price(text, Currency::EUR)
    }

    #[test]
    fn a_price_is_parsed_as_people_write_it() {
        for (text, expected) in [
            ("4.15", 415),
            ("4,15", 415),
            ("7", 700),
            (".5", 50),
            ("1.234,50", 123_450),
            ("1,234.50", 123_450),
            ("1 234,50", 123_450),
            ("1\u{a0}234,50", 123_450),
            ("1\u{202f}234.50", 123_450),
            ("1'234.50", 123_450),
            ("1 234", 123_400),
            ("1.234.567", 123_456_700),
            ("1,234,567.8", 123_456_780),
            ("-1.234,50", -123_450),
            ("0.500", 50),
            ("1234,500", 123_450),
            ("12,5000", 1_250),
            ("€ 2,50", 250),
            ("2,50 €", 250),
            ("2.50 EUR", 250),
            ("eur 1.234,50", 123_450),
            ("-€2.50", -250),
            ("€ -2.50", -250),
        ] {
            assert_eq!(price(text, None), Ok(expected), "{text}");
        }
        assert_eq!(Marks::default().price("12.50 kr.", "SEK".parse().unwrap()), Ok(1_250));
        assert_eq!(Marks::default().price("1.234,567", "KWD".parse().unwrap()), Ok(1_234_567));
    }

    #[test]
    fn an_ambiguous_number_is_refused_unless_the_mark_is_known() {
        for text in ["1.234", "12,345", "999.000", "-1,200"] {
            assert_eq!(price(text, None), Err(NumberError::Ambiguous), "{text}");
        }
        assert_eq!(price("1.234", Some(DecimalMark::Comma)), Ok(123_400));
        assert_eq!(price("1.230", Some(DecimalMark::Point)), Ok(123));
        assert_eq!(price("1,234", Some(DecimalMark::Point)), Ok(123_400));
        assert_eq!(
            price("1,234", Some(DecimalMark::Comma)),
            Err(NumberError::Malformed),
            "a tenth of a cent"
        );
        assert_eq!(Marks::default().quantity("1.000"), Err(NumberError::Ambiguous));
        assert_eq!(Marks::default().quantity("2.0"), Ok(2));
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in [
            "",
            ".",
            "-",
            "4.",
            "4,",
            "--4",
            "1e5",
            "4 15",
            "1.23.456",
            "1,23,456.00",
            "1.234.56",
            "1.2,3.4",
            "1 234.567,00",
            "1'234 567",
            "5,-",
            "(4.15)",
            "٤",
            "4.155",
        ] {
            assert!(price(text, None).is_err(), "{text}");
        }
        for text in ["$ 2.50", "2.50 USD", "2.50 each", "£2.50"] {
            assert_eq!(price(text, None), Err(NumberError::OtherCurrency), "{text}");
        }
    }

    #[test]
    fn the_values_of_a_column_show_its_mark_unless_they_contradict() {
        let shown = |values: &[&str]| {
            let mut shown = Shown::default();
            for value in values {
                shown.add(value);
            }
            shown.mark()
        };
        assert_eq!(shown(&["1.234", "12,50", ""]), Some(DecimalMark::Comma));
        assert_eq!(shown(&["1.234.567", "1.234"]), Some(DecimalMark::Comma));
        assert_eq!(shown(&["1,234", "0.5", "parent", "on request, 3 days"]), Some(DecimalMark::Point));
        assert_eq!(shown(&["1,234", "1.234", "7"]), None);
        assert_eq!(shown(&["12,50", "12.50", "1.234"]), None);
    }
}
