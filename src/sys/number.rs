//! Decimal numbers: digits alone, no sign, no blank.

/// Parses a number of at most 18 digits; `None` for anything else.
pub fn decimal(text: &[u8]) -> Option<u64> {
    let digits = (1..=18).contains(&text.len()) && text.iter().all(u8::is_ascii_digit);
    digits.then(|| text.iter().fold(0, |number, digit| number * 10 + u64::from(digit & 15)))
}

#[cfg(test)]
mod tests {
    use super::decimal;

    #[test]
    fn only_digits_are_a_number() {
        for (text, number) in
            [("0", 0), ("007", 7), ("4294967295", 4_294_967_295), (&"9".repeat(18), 999_999_999_999_999_999)]
        {
            assert_eq!(decimal(text.as_bytes()), Some(number));
        }
        for text in ["", "-1", "+1", " 1", "1 ", "1.0", "x", "\u{661}", &"1".repeat(19)] {
            assert_eq!(decimal(text.as_bytes()), None, "{text:?}");
        }
    }
}
