//! TZ and zone files: whatever is in them, the stamp has its shape, and it names the moment that was asked for, up to the
//! seconds of an offset, which it does not show.
#![no_main]

use hermes_init::fuzzing::localtime::stamp;
use libfuzzer_sys::fuzz_target;

/// Seconds since 1970 of `0000-00-00T00:00:00+0000`, by its digits; days are counted month by month.
fn moment_of(stamp: &str) -> i64 {
    let number = |from: usize, to: usize| stamp[from..to].parse::<i64>().expect("digits");
    let (year, month, day) = (number(0, 4), number(5, 7), number(8, 10));
    let leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let months = [31, if leap(year) { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    assert!((1..=12).contains(&month) && (1..=months[month as usize - 1]).contains(&day), "{stamp}");
    let years: i64 = (1970..year).map(|year| if leap(year) { 366 } else { 365 }).sum();
    let days = years + months[..month as usize - 1].iter().sum::<i64>() + day - 1;
    let (hour, minute, second) = (number(11, 13), number(14, 16), number(17, 19));
    assert!(hour < 24 && minute < 60 && second < 60, "{stamp}");
    let offset = number(20, 22) * 3600 + number(22, 24) * 60;
    let east = if stamp.as_bytes()[19] == b'-' { -offset } else { offset };
    days * 86_400 + hour * 3600 + minute * 60 + second - east
}

fuzz_target!(|input: &[u8]| {
    let Some((head, rest)) = input.split_first_chunk::<5>() else { return };
    let [kind, bytes @ ..] = *head;
    // 1972 to 2107: an offset may be days, and the shape is checked for years from 1970 on.
    let moment = 63_072_000 + i64::from(u32::from_be_bytes(bytes));
    let text = match kind % 3 {
        0 => stamp(moment, Some(rest), |_| None),
        1 => stamp(moment, None, |_| Some(rest.to_vec())),
        _ => stamp(moment, Some(b"Some/Where"), |_| Some(rest.to_vec())),
    };
    // A file may hold an offset of centuries: no digits are left for its hours.
    if text.len() != 24 {
        assert!(kind % 3 != 0 && text.is_ascii(), "{text}");
        return;
    }
    let year: i64 = text[..4].parse().expect("a year");
    if year >= 1970 {
        let apart = moment_of(&text) - moment;
        assert!(apart.abs() < 60, "{text} is {apart} s from {moment}");
    }
});
