//! Sizes and durations: a number and a unit.
//!
//! Owns their units and the refusal of what can be read in two ways. Knows nothing of keys.

use std::time::Duration;

use super::value::Form;

/// Bytes, as `10GiB`, `500MB` or `1048576`.
pub(super) struct Size;
/// A length of time, as `500ms`, `30s`, `5m`, `1h` or `7d`.
pub(super) struct Time;
/// Binary units are what disks and memory are counted in, so they print first.
const SIZE_UNITS: &[(&str, u64)] = &[
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("B", 1),
];

const TIME_UNITS: &[(&str, u64)] =
    &[("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

const SIZE_HINT: &str = "write a number and a unit, as in 10GiB, 500MB or 1048576";

impl Form for Size {
    type Value = u64;

    fn placeholder() -> String {
        "SIZE".to_owned()
    }

    fn parse(text: &str) -> Result<u64, String> {
        let (number, unit) = split_unit(text);
        let unit_bytes = match SIZE_UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)) {
            Some((_, bytes)) => *bytes,
            None if unit.is_empty() => 1,
            // `10G` is 10^9 to some tools and 2^30 to others: 7 % of a disk is worth a question.
            None if unit.len() == 1 && "kmgt".contains(&unit.to_ascii_lowercase()) => {
                let unit = unit.to_ascii_uppercase();
                return Err(format!(
                    "\"{text}\" can be read in two ways: write {number}{unit}iB (powers of 1024) or \
                     {number}{unit}B (powers of 1000)"
                ));
            }
            None => return Err(not_a_size(text)),
        };
        if unit_bytes == 1 && number.contains('.') {
            return Err(format!("\"{text}\" is not a whole number of bytes: {SIZE_HINT}"));
        }
        scaled(number, unit_bytes).ok_or_else(|| not_a_size(text))
    }

    fn print(value: &u64) -> Option<String> {
        Some(print_scaled(*value, SIZE_UNITS).unwrap_or_else(|| "0".to_owned()))
    }
}

impl Form for Time {
    type Value = Duration;

    fn placeholder() -> String {
        "DURATION".to_owned()
    }

    fn parse(text: &str) -> Result<Duration, String> {
        const HINT: &str = "write a number and a unit, as in 500ms, 30s, 5m, 1h or 7d";
        let (number, unit) = split_unit(text);
        let unit_ms = TIME_UNITS.iter().find(|(name, _)| *name == unit).map(|(_, ms)| *ms);
        match unit_ms {
            None if unit.is_empty() && !number.is_empty() => {
                Err(format!("\"{text}\" has no unit: write {number}s for seconds or {number}m for minutes"))
            }
            None => Err(format!("\"{text}\" is not a duration: {HINT}")),
            Some(unit_ms) => scaled(number, unit_ms)
                .map(Duration::from_millis)
                .ok_or_else(|| format!("\"{text}\" is not a duration: {HINT}")),
        }
    }

    fn print(value: &Duration) -> Option<String> {
        let ms = u64::try_from(value.as_millis()).unwrap_or(u64::MAX);
        Some(print_scaled(ms, TIME_UNITS).unwrap_or_else(|| "0s".to_owned()))
    }
}

fn not_a_size(text: &str) -> String {
    format!("\"{text}\" is not a size: {SIZE_HINT}")
}

/// Splits `1.5 GiB` into number and unit. A sign or anything else odd ends up in the unit, which then is unknown.
fn split_unit(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    (number, unit.trim_start())
}

/// `number` (digits, at most one point) times `unit`, rounded down. `None` when it is no number or does not fit.
fn scaled(number: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if whole.is_empty() || fraction.is_empty() || fraction.len() > 9 || fraction.contains('.') {
        return None;
    }
    let tens = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    let part = fraction.parse::<u128>().ok()? * u128::from(unit) / tens;
    let total = u128::from(whole.parse::<u64>().ok()?) * u128::from(unit) + part;
    u64::try_from(total).ok()
}

/// `value` in the first unit that divides it; `None` for zero.
fn print_scaled(value: u64, units: &[(&str, u64)]) -> Option<String> {
    let (name, unit) = units.iter().find(|(_, unit)| value != 0 && value.is_multiple_of(*unit))?;
    Some(if *name == "B" { value.to_string() } else { format!("{}{name}", value / unit) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, bytes) in [
            ("10GiB", 10 << 30),
            ("500MB", 500_000_000),
            ("1048576", 1 << 20),
            ("1.5GiB", 3 << 29),
            ("2 tib", 2 << 40),
            ("64KiB", 64 << 10),
            ("12B", 12),
            ("0", 0),
        ] {
            assert_eq!(Size::parse(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn junk_sizes_are_refused_with_what_to_write() {
        for text in [
            "",
            "GiB",
            "-1",
            "1.5",
            "1..5GiB",
            ".5GiB",
            "5.GiB",
            "ten",
            "10Gbit",
            "1e9",
            "10GiB!",
            "0x10",
            "99999999999TiB",
            "1_000",
        ] {
            let error = Size::parse(text).expect_err(text);
            assert!(error.contains("10GiB"), "{text}: {error}");
        }
        let error = Size::parse("10G").expect_err("two readings");
        assert!(error.contains("10GiB") && error.contains("10GB"), "{error}");
    }

    #[test]
    fn durations_need_their_unit() {
        for (text, ms) in
            [("500ms", 500), ("30s", 30_000), ("5m", 300_000), ("1.5h", 5_400_000), ("7d", 604_800_000)]
        {
            assert_eq!(Time::parse(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        assert!(Time::parse("30").is_err_and(|error| error.contains("30s") && error.contains("30m")));
        for text in ["", "s", "-5s", "5 parsecs", "1m30s", "5M"] {
            assert!(Time::parse(text).is_err_and(|error| error.contains("30s")), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back(bytes: u64, ms in 0..u64::MAX / 2) {
            prop_assert_eq!(Size::parse(&Size::print(&bytes).unwrap()), Ok(bytes));
            let time = Duration::from_millis(ms);
            prop_assert_eq!(Time::parse(&Time::print(&time).unwrap()), Ok(time));
        }
    }
}
