//! Durations as Go reads and writes them.

const NANOSECONDS: [(&str, u128); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", SECOND),
    ("m", 60 * SECOND),
    ("h", 3600 * SECOND),
];
const SECOND: u128 = 1_000_000_000;
/// More digits of a fraction than this mean nothing.
const DIGITS: usize = 18;

/// The duration as the API writes it; `None` where it is none.
pub(super) fn canonical(text: &str) -> Option<String> {
    Some(written(if text.is_empty() || text == "0" { 0 } else { parsed(text)? }))
}

fn parsed(text: &str) -> Option<u128> {
    let in_number = |letter: char| letter.is_ascii_digit() || letter == '.';
    let mut rest = text;
    let mut total: u128 = 0;
    while !rest.is_empty() {
        let (number, tail) = rest.split_at(rest.find(|letter: char| !in_number(letter))?);
        let (unit, after) = tail.split_at(tail.find(in_number).unwrap_or(tail.len()));
        let (_, unit) = NANOSECONDS.iter().find(|(name, _)| *name == unit)?;
        total = total.checked_add(scaled(number, *unit)?)?;
        rest = after;
    }
    Some(total)
}

/// So many units, where the number may have a fraction.
fn scaled(number: &str, unit: u128) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let digits = |text: &str| if text.is_empty() { Some(0) } else { text.parse::<u128>().ok() };
    let fraction = fraction.get(..DIGITS).unwrap_or(fraction);
    let part = digits(fraction)?.checked_mul(unit)? / 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    digits(whole)?.checked_mul(unit)?.checked_add(part)
}

fn written(nanoseconds: u128) -> String {
    match nanoseconds {
        0 => "0s".to_owned(),
        1..1_000 => format!("{nanoseconds}ns"),
        1_000..1_000_000 => format!("{}µs", decimal(nanoseconds, 1_000, 3)),
        1_000_000..SECOND => format!("{}ms", decimal(nanoseconds, 1_000_000, 6)),
        _ => {
            let minutes = nanoseconds / (60 * SECOND);
            let seconds = decimal(nanoseconds % (60 * SECOND), SECOND, 9);
            match (minutes / 60, minutes % 60) {
                (0, 0) => format!("{seconds}s"),
                (0, minutes) => format!("{minutes}m{seconds}s"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
            }
        }
    }
}

/// The quotient with at most so many digits of a fraction.
fn decimal(value: u128, unit: u128, digits: usize) -> String {
    let text = format!("{}.{:0digits$}", value / unit, value % unit);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_go_writes_them() {
        for (given, expected) in [
            ("", "0s"),
            ("0", "0s"),
            ("90m", "1h30m0s"),
            ("720h", "720h0m0s"),
            ("1h10m30s", "1h10m30s"),
            ("10m0s", "10m0s"),
            ("1.5s", "1.5s"),
            (".5h", "30m0s"),
            ("100s", "1m40s"),
            ("250ms", "250ms"),
            ("1500us", "1.5ms"),
            ("10s", "10s"),
        ] {
            assert_eq!(canonical(given).as_deref(), Some(expected), "{given}");
        }
        for none in ["soon", "1", "1d", "-1h", "h", ".h", "1h30"] {
            assert_eq!(canonical(none), None, "{none}");
        }
    }
}
