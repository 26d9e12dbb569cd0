//! TAI64N labels, as s6 writes times: eight bytes of seconds, four of nanoseconds, both big-endian.

/// A TAI64N label. Labels are ordered by time.
pub type Label = [u8; 12];

/// The seconds of the label of the beginning of 1970. skalibs counts UTC with leap seconds, 10 before 1972 and 27 since, the last one of
/// 2016; so do Debian's and s6-overlay's builds. A skalibs that is built with `--enable-tai-clock` does not.
pub(super) const EPOCH: i64 = (1 << 62) + 37;

/// Returns the seconds since 1970 of bytes that begin with a TAI64 label; 0 for fewer than eight bytes.
pub fn seconds(label: &[u8]) -> i64 {
    label.first_chunk().map_or(0, |label| i64::from_be_bytes(*label).saturating_sub(EPOCH))
}

/// Returns the nanoseconds of a label.
pub fn nanoseconds(label: &Label) -> u32 {
    label.last_chunk().map_or(0, |nanoseconds| u32::from_be_bytes(*nanoseconds))
}

/// Returns the label of a moment, in seconds since 1970 and nanoseconds.
pub fn label((seconds, nanoseconds): (i64, u32)) -> Label {
    let mut label = Label::default();
    let bytes = EPOCH.saturating_add(seconds).to_be_bytes().into_iter().chain(nanoseconds.to_be_bytes());
    label.iter_mut().zip(bytes).for_each(|(to, byte)| *to = byte);
    label
}

/// Returns a label in hexadecimal digits.
pub fn hex(label: &Label) -> String {
    label.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the label that these hexadecimal digits are; `None` if they are none.
pub fn label_of_hex(digits: &str) -> Option<Label> {
    let is_one =
        digits.len() == 2 * size_of::<Label>() && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let number = u128::from_str_radix(digits, 16).ok().filter(|_| is_one)?;
    number.to_be_bytes().last_chunk().copied()
}

/// Returns the seconds since 1970 of a TAI64N label in hexadecimal digits, as s6-log(8) prints it; `None` if it is none.
pub fn of_hex(label: &[u8]) -> Option<i64> {
    let digits = std::str::from_utf8(label.get(..16)?).ok()?;
    let number = i64::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with(['+', '-']))?;
    Some(number.saturating_sub(EPOCH))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_gives_seconds_since_1970() {
        for time in [0, 1, -1, 1_700_000_000] {
            let label = [&(EPOCH + time).to_be_bytes()[..], &[0, 0, 0, 1]].concat();
            assert_eq!(seconds(&label), time);
            let digits: String = label.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(of_hex(digits.as_bytes()), Some(time));
        }
        assert_eq!(seconds(b"short"), 0);
    }

    #[test]
    fn a_label_and_its_digits_give_the_moment_back() {
        for moment in [(0, 0), (1_700_000_000, 999_999_999), (-1, 1)] {
            let made = label(moment);
            assert_eq!((seconds(&made), nanoseconds(&made)), moment);
            assert_eq!(label_of_hex(&hex(&made)), Some(made));
        }
        assert!(label((7, 1)) < label((7, 2)) && label((7, 2)) < label((8, 0)));
        for digits in
            ["", "4", "+00000000000000a00000000", "4000000065000000000000000", "400000006500000000000x00"]
        {
            assert_eq!(label_of_hex(digits), None, "{digits}");
        }
    }

    #[test]
    fn what_is_no_label_is_none() {
        for text in [
            "",
            "400000006500000",
            "+00000000000000a",
            "-00000000000000a",
            "40000000650000x0",
            "ffffffffffffffff",
        ] {
            assert_eq!(of_hex(text.as_bytes()), None, "{text}");
        }
    }
}
