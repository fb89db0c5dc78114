//! Parses the decimal numbers of shops' exports exactly, without floating point.

/// Why a text is not a whole number of units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NumberError {
    /// It is not a decimal number, or has digits beyond the unit.
    Malformed,
    /// It does not fit in 64 bits.
    TooLarge,
    /// Its mark may be that of thousands or that of a fraction.
    Ambiguous,
    /// It is the price in another currency, or has another text beside the number.
    OtherCurrency,
}

/// Parses a number in units of `10^-digits`: `4.15` is 415 units of two digits.
///
/// Zeros beyond the unit are accepted (`2.0` pieces), other digits are not.
pub(super) fn units(text: &str, digits: u32) -> Result<i64, NumberError> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let kept = fraction.len().min(digits as usize);
    // an index within a character means that it is not a digit
    let (kept, beyond) = fraction.split_at_checked(kept).ok_or(NumberError::Malformed)?;
    if text.ends_with('.') || beyond.bytes().any(|digit| digit != b'0') {
        return Err(NumberError::Malformed);
    }
    let (negative, whole) = match whole.strip_prefix('-') {
        Some(whole) => (true, whole),
        None => (false, whole.strip_prefix('+').unwrap_or(whole)),
    };
    let padding = digits as usize - kept.len();
    if whole.is_empty() && kept.is_empty()
        || !whole.bytes().chain(kept.bytes()).all(|byte| byte.is_ascii_digit())
    {
        return Err(NumberError::Malformed);
    }
    let all = whole.bytes().chain(kept.bytes()).chain(std::iter::repeat_n(b'0', padding));
    // negative throughout, because the smallest number has no positive counterpart
    let magnitude = all
        .map(|digit| i64::from(digit - b'0'))
        .try_fold(0_i64, |sum, digit| sum.checked_mul(10)?.checked_sub(digit))
        .ok_or(NumberError::TooLarge)?;
    if negative { Ok(magnitude) } else { magnitude.checked_neg().ok_or(NumberError::TooLarge) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_is_parsed_exactly() {
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
    fn an_inexact_number_is_refused() {
        for text in
            ["", ".", "-", "4.", "4.155", "£4.15", "1e5", "1,200.00", "4 15", "--4", "٤", "4.1é", "NaN"]
        {
            assert_eq!(units(text, 2), Err(NumberError::Malformed), "{text}");
        }
    }

    #[test]
    fn numbers_beyond_64_bits_are_refused() {
        assert_eq!(units("92233720368547758.07", 2), Ok(i64::MAX));
        assert_eq!(units("-92233720368547758.08", 2), Ok(i64::MIN));
        assert_eq!(units("92233720368547758.08", 2), Err(NumberError::TooLarge));
        assert_eq!(units(&"9".repeat(1000), 0), Err(NumberError::TooLarge));
    }
}
