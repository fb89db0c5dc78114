//! Decimal numbers as shops' exports write them, read exactly: no float comes near an amount.

/// Why a text is no number of whole units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotANumber {
    /// It is no decimal number, or finer than the unit.
    Malformed,
    /// It has no place in 64 bits.
    TooLarge,
}

/// The number in units of `10^-digits`: `4.15` is 415 units of two digits.
///
/// Zeros beyond the unit are fine (`2.0` pieces), other digits are not.
pub(super) fn units(text: &str, digits: u32) -> Result<i64, NotANumber> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let kept = fraction.len().min(digits as usize);
    // a byte index may fall into a character, which then is no digit
    let (kept, beyond) = fraction.split_at_checked(kept).ok_or(NotANumber::Malformed)?;
    if text.ends_with('.') || beyond.bytes().any(|digit| digit != b'0') {
        return Err(NotANumber::Malformed);
    }
    let (negative, whole) = match whole.strip_prefix('-') {
        Some(whole) => (true, whole),
        None => (false, whole.strip_prefix('+').unwrap_or(whole)),
    };
    let padding = digits as usize - kept.len();
    if whole.is_empty() && kept.is_empty()
        || !whole.bytes().chain(kept.bytes()).all(|byte| byte.is_ascii_digit())
    {
        return Err(NotANumber::Malformed);
    }
    let all = whole.bytes().chain(kept.bytes()).chain(std::iter::repeat_n(b'0', padding));
    // counted downwards: the smallest number has no positive counterpart
    let magnitude = all
        .map(|digit| i64::from(digit - b'0'))
        .try_fold(0_i64, |sum, digit| sum.checked_mul(10)?.checked_sub(digit))
        .ok_or(NotANumber::TooLarge)?;
    if negative { Ok(magnitude) } else { magnitude.checked_neg().ok_or(NotANumber::TooLarge) }
}

/// Like [`units`], also where the decimal separator is a comma, as `WooCommerce` writes it in many languages.
///
/// With a comma no digit may be beyond the unit: `1,299` would else be taken for thousands in one shop and for
/// tenths in another.
pub(super) fn localized_units(text: &str, digits: u32) -> Result<i64, NotANumber> {
    match text.split_once(',') {
        None => units(text, digits),
        Some((_, fraction)) if fraction.len() > digits as usize || text.contains('.') => {
            Err(NotANumber::Malformed)
        }
        Some((whole, fraction)) => units(&format!("{whole}.{fraction}"), digits),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_is_read_to_the_penny() {
        for (text, expected) in [
            ("4.15", 415),
            ("4.2", 420),
            ("5.0", 500),
            ("7", 700),
            ("-0.01", -1),
            (".5", 50),
            ("4.1500", 415),
        ] {
            assert_eq!(units(text, 2), Ok(expected), "{text}");
        }
        assert_eq!(units("12923.0", 0), Ok(12923));
        assert_eq!(units("1.234", 3), Ok(1234));
    }

    #[test]
    fn what_is_no_exact_number_is_refused() {
        for text in
            ["", ".", "-", "4.", "4.155", "£4.15", "1e5", "1,200.00", "4 15", "--4", "٤", "4.1é", "NaN"]
        {
            assert_eq!(units(text, 2), Err(NotANumber::Malformed), "{text}");
        }
    }

    #[test]
    fn the_ends_of_64_bits_are_numbers_and_what_lies_beyond_is_not() {
        assert_eq!(units("92233720368547758.07", 2), Ok(i64::MAX));
        assert_eq!(units("-92233720368547758.08", 2), Ok(i64::MIN));
        assert_eq!(units("92233720368547758.08", 2), Err(NotANumber::TooLarge));
        assert_eq!(units(&"9".repeat(1000), 0), Err(NotANumber::TooLarge));
    }

    #[test]
    fn a_comma_is_never_taken_for_thousands() {
        assert_eq!(localized_units("12,50", 2), Ok(1250));
        assert_eq!(localized_units("12.50", 2), Ok(1250));
        for text in ["1,200", "1,299", "1.299,00", "1,2,3"] {
            assert_eq!(localized_units(text, 2), Err(NotANumber::Malformed), "{text}");
        }
    }
}
